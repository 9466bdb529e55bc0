//! How text becomes the bytes of an object: one zstd frame with a checksum, which says how long the text is.

use nofx_core::{Error, Result};
use zstd::zstd_safe::CParameter;

/// zstd's own default. Higher levels take several times as long for a few per cent.
const LEVEL: i32 = 3;

/// The longest text of a commit or a checkpoint. Both are read and held whole.
pub(crate) const MAX_FRAME_BYTES: u64 = 1 << 30;

/// The longest text of a frame in a pack: a body has at most 16 MiB, a chunk 8 MiB and one line.
pub(crate) const MAX_PACKED_BYTES: u64 = 64 << 20;

/// Compresses text; `Invalid` if it is longer than the reader accepts.
pub(crate) fn pack(text: &[u8], longest: u64) -> Result<Vec<u8>> {
    if text.len() as u64 > longest {
        return Err(Error::invalid(format!(
            "{} bytes are too many for one object; the limit is {longest}",
            text.len()
        )));
    }
    let compress = || {
        let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true))?;
        compressor.compress(text)
    };
    compress().map_err(|error| Error::unavailable_because("compressing an object", error))
}

/// Returns the text of a frame; `Corrupt`, naming the object, unless every byte is as written.
///
/// Allocates no more memory than the frame claims and the caller allows: a few bytes can unpack to any size.
pub(crate) fn unpack(frame: &[u8], longest: u64, what: &dyn std::fmt::Display) -> Result<Vec<u8>> {
    let length = match zstd::zstd_safe::get_frame_content_size(frame) {
        Ok(Some(length)) if length <= longest => length,
        Ok(Some(length)) => {
            return Err(Error::corrupt(format!("{what}: its text would have {length} bytes, which is too long")));
        }
        Ok(None) | Err(_) => return Err(Error::corrupt(format!("{what}: it is not a zstd frame with a length"))),
    };
    let mut text = Vec::new();
    text.try_reserve_exact(length as usize)
        .map_err(|error| Error::unavailable_because(format!("unpacking {what} to {length} bytes"), error))?;
    let unpack = zstd::bulk::Decompressor::new().and_then(|mut unpack| unpack.decompress_to_buffer(frame, &mut text));
    unpack.map_err(|error| Error::corrupt_because(what.to_string(), error))?;
    Ok(text)
}

/// Returns the text of a frame that must have exactly this many bytes.
pub(crate) fn unpack_exactly(frame: &[u8], length: u64, what: &dyn std::fmt::Display) -> Result<Vec<u8>> {
    let text = unpack(frame, length.min(MAX_PACKED_BYTES), what)?;
    match text.len() as u64 == length {
        true => Ok(text),
        false => Err(Error::corrupt(format!("{what}: it has {} bytes instead of {length}", text.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &[u8]) -> Result<Vec<u8>> {
        unpack(frame, MAX_FRAME_BYTES, &"it")
    }

    #[test]
    fn a_damaged_frame_is_corrupt_wherever_the_damage_is() {
        let text = "{\"a\":1}\n".repeat(100);
        let frame = pack(text.as_bytes(), MAX_FRAME_BYTES).unwrap();
        assert_eq!(read(&frame).unwrap(), text.as_bytes());
        for cut in 0..frame.len() {
            assert_eq!(read(&frame[..cut]).unwrap_err().code(), "corrupt", "cut at {cut}");
        }
        for at in 0..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            // A header bit may not affect the content; then the content is intact.
            match read(&damaged) {
                Ok(read) => assert_eq!(read, text.as_bytes(), "byte {at}"),
                Err(error) => assert!(error.to_string().starts_with("corrupt data in it"), "byte {at}: {error}"),
            }
        }
    }

    #[test]
    fn a_frame_takes_no_more_memory_than_it_may() {
        let long = pack(&vec![b'x'; 1 << 20], MAX_FRAME_BYTES).unwrap();
        assert!(long.len() < 1 << 10, "it is small before it is unpacked");
        assert_eq!(unpack(&long, (1 << 20) - 1, &"it").unwrap_err().code(), "corrupt");
        assert_eq!(unpack_exactly(&long, (1 << 20) + 1, &"it").unwrap_err().code(), "corrupt");
        assert_eq!(unpack_exactly(&long, 1 << 20, &"it").unwrap().len(), 1 << 20);
        // A frame that does not give its length, which no version ever wrote.
        let mut silent = Vec::new();
        let mut encoder = zstd::stream::Encoder::new(&mut silent, LEVEL).unwrap();
        std::io::copy(&mut std::io::Read::take(std::io::repeat(b'x'), 1 << 20), &mut encoder).unwrap();
        encoder.finish().unwrap();
        assert_eq!(read(&silent).unwrap_err().code(), "corrupt");
        assert_eq!(pack(&[b'x'; 11], 10).unwrap_err().code(), "invalid");
    }
}
