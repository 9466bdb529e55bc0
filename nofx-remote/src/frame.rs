//! How text becomes the bytes of an object: one zstd frame with a checksum.

use nofx_core::{Error, Result};
use zstd::zstd_safe::CParameter;

/// What zstd itself takes for its default. Higher levels cost several times the time for a few per cent.
const LEVEL: i32 = 3;

/// Text up to this length is unpacked in one piece of memory.
const LARGEST: u64 = 1 << 30;

/// Compresses text.
pub(crate) fn pack(text: &[u8]) -> Result<Vec<u8>> {
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.compress(text)
    };
    compress().map_err(|error| Error::unavailable_because("compressing an object", error))
}

/// Returns the text of a frame; `Corrupt`, naming the object, unless every byte is as it was written.
pub(crate) fn unpack(frame: &[u8], what: &dyn std::fmt::Display) -> Result<Vec<u8>> {
    let unpack = || match zstd::zstd_safe::get_frame_content_size(frame) {
        // A damaged length may be any number, and memory for it may not be there.
        Ok(Some(length)) if length <= LARGEST => zstd::bulk::decompress(frame, length as usize),
        _ => zstd::stream::decode_all(frame),
    };
    unpack().map_err(|error| Error::corrupt_because(what.to_string(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_frame_is_corrupt_wherever_the_damage_is() {
        let text = "{\"a\":1}\n".repeat(100);
        let frame = pack(text.as_bytes()).unwrap();
        assert_eq!(unpack(&frame, &"it").unwrap(), text.as_bytes());
        for cut in 1..frame.len() {
            assert_eq!(unpack(&frame[..cut], &"it").unwrap_err().code(), "corrupt", "cut at {cut}");
        }
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            // A bit of the header may mean nothing to the content; then the content is unharmed.
            match unpack(&damaged, &"it") {
                Ok(read) => assert_eq!(read, text.as_bytes(), "byte {at}"),
                Err(error) => assert_eq!(error.to_string(), "corrupt data in it", "byte {at}"),
            }
        }
    }
}
