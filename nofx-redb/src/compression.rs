//! Compressing texts, each with the codec that suits it.

use std::sync::LazyLock;

use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

use crate::codec::{Unread, Unsealed};
use crate::dictionary::FIRST;
use crate::pool::Pool;

/// How a text is stored. The numbers are part of the format and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain = 0,
    Zstd = 1,
    /// With the dictionary [`FIRST`].
    Primed = 2,
}

impl Codec {
    pub(crate) fn of(number: u64) -> Unsealed<Self> {
        match number {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Zstd),
            2 => Ok(Self::Primed),
            _ => Err(Unread::Newer(number)),
        }
    }
}

/// zstd's own default: makes chat-like text three times smaller, at some hundred megabytes a second.
const LEVEL: i32 = 3;

/// The level for texts that are not expected to change soon.
const DENSE_LEVEL: i32 = 17;

/// Above this many bytes a text repeats itself enough, and loading the dictionary does not pay.
const MAX_PRIMED_BYTES: usize = 256 << 10;

/// The dictionary, prepared once for each use.
static FIRST_QUICK: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(FIRST.as_bytes(), LEVEL));
static FIRST_DENSE: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(FIRST.as_bytes(), DENSE_LEVEL));
static FIRST_READ: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(FIRST.as_bytes()));

static COMPRESSORS: Pool<Compressor<'static>> = Pool::new();
static DECOMPRESSORS: Pool<Decompressor<'static>> = Pool::new();
static ROOMS: Pool<Vec<u8>> = Pool::new();

/// The most memory of a buffer that is kept for the next text: enough for a chunk of ordinary entries.
const MAX_KEPT_BYTES: usize = 512 << 10;

/// The largest size that is ever decompressed: a chunk of short entries that ends with the largest body.
const MAX_UNCOMPRESSED: u64 = 64 << 20;

/// How much time compression may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    Quick,
    Dense,
}

/// Lends a reused buffer for a text, because new memory pages from the system are costly.
pub(crate) fn with_room<T>(using: impl FnOnce(&mut Vec<u8>) -> Option<T>) -> Option<T> {
    let using = |room: &mut Vec<u8>| {
        room.clear();
        let used = using(room);
        if room.capacity() > MAX_KEPT_BYTES {
            *room = Vec::new();
        }
        used
    };
    ROOMS.lend(|| Some(Vec::new()), using)
}

/// Compresses a text with the codec that suits it.
pub(crate) fn pack(bytes: &[u8], effort: Effort) -> Option<(Codec, Vec<u8>)> {
    let (level, dictionary) = match effort {
        Effort::Quick => (LEVEL, &FIRST_QUICK),
        Effort::Dense => (DENSE_LEVEL, &FIRST_DENSE),
    };
    if bytes.len() > MAX_PRIMED_BYTES {
        return Some((Codec::Zstd, zstd::bulk::compress(bytes, level).ok()?));
    }
    let make = || Compressor::with_prepared_dictionary(dictionary).ok();
    let compress = |compressor: &mut Compressor<'_>| {
        with_room(|packed| {
            packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
            compressor.compress_to_buffer(bytes, packed).ok()?;
            Some(packed.as_slice().to_vec())
        })
    };
    let packed = match effort {
        Effort::Quick => COMPRESSORS.lend(make, compress),
        Effort::Dense => compress(&mut make()?),
    };
    Some((Codec::Primed, packed?))
}

/// Decompresses a text of known length and passes it to `see`.
pub(crate) fn unpack<T>(codec: Codec, bytes: &[u8], length: u64, see: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
    if codec == Codec::Plain {
        return (bytes.len() as u64 == length).then(|| see(bytes))?;
    }
    let length = usize::try_from(length).ok().filter(|length| *length as u64 <= MAX_UNCOMPRESSED)?;
    let make = || match codec {
        Codec::Primed => Decompressor::with_prepared_dictionary(&FIRST_READ).ok(),
        _ => Decompressor::new().ok(),
    };
    with_room(|plain| {
        plain.reserve(length);
        let mut decompress = |decompressor: &mut Decompressor<'_>| decompressor.decompress_to_buffer(bytes, plain).ok();
        match codec {
            Codec::Primed => DECOMPRESSORS.lend(make, decompress)?,
            _ => decompress(&mut make()?)?,
        };
        (plain.len() == length).then(|| see(plain))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_any_length_comes_back_at_each_effort() {
        for length in [0, 1, 31, 200, 5000, MAX_PRIMED_BYTES, MAX_PRIMED_BYTES + 1] {
            let plain: Vec<u8> = (0..length).map(|n| b'a' + (n * n % 13) as u8).collect();
            for effort in [Effort::Quick, Effort::Dense] {
                let (codec, packed) = pack(&plain, effort).unwrap();
                let again = |length| unpack(codec, &packed, length, |plain| Some(plain.to_vec()));
                assert_eq!(again(length as u64), Some(plain.clone()));
                assert_eq!(again(length as u64 + 1), None);
            }
        }
    }

    #[test]
    fn the_first_dictionary_is_what_it_was() {
        assert_eq!((FIRST.len(), crc32fast::hash(FIRST.as_bytes())), (5_513, 0x4d23_0de0));
    }
}
