//! Digests, in the forms that this crate needs.
//!
//! SHA-256 for everything that is stored or told, as other tools make it too. What is only compared within one run has a
//! [`Print`]: BLAKE3 takes less than half of the time, and a migration makes digests of all that it reads three times over.

use std::fmt::Write as _;

use nofx_core::json;
use sha2::{Digest, Sha256};

/// A digest as bytes, for comparing many.
pub(crate) type Hash = [u8; 32];

/// Returns the digest of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// Returns a digest as 64 lower-case hexadecimal digits.
pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the digest of a JSON value, whatever its spacing, escapes and order of members.
pub(crate) fn of_json(text: &str) -> Hash {
    match json::canonical(text) {
        Ok(canonical) => sha256(&canonical),
        Err(_) => sha256(text.as_bytes()),
    }
}

/// A digest of bytes that come in pieces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running(Sha256);

impl Running {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Hash {
        self.0.finalize().into()
    }
}

/// A digest by BLAKE3 of bytes that come in pieces; equal only for equal bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Print {
    hasher: blake3::Hasher,
    // Small pieces together: many blocks at once are made faster.
    pieces: Vec<u8>,
}

/// Bytes of pieces that are taken together.
const TOGETHER: usize = 1 << 16;

impl Print {
    /// Returns the digest of bytes that are all there.
    pub(crate) fn of(bytes: &[u8]) -> Hash {
        blake3::hash(bytes).into()
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        if self.pieces.len() + bytes.len() > TOGETHER {
            self.hasher.update(&self.pieces);
            self.pieces.clear();
        }
        match bytes.len() {
            ..TOGETHER => self.pieces.extend_from_slice(bytes),
            _ => _ = self.hasher.update(bytes),
        }
    }

    pub(crate) fn finish(mut self) -> Hash {
        self.hasher.update(&self.pieces).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        for piece in [1, 700, TOGETHER - 1, TOGETHER, TOGETHER + 1, 200_000] {
            let mut print = Print::default();
            bytes.chunks(piece).for_each(|piece| print.add(piece));
            assert_eq!(print.finish(), Print::of(&bytes), "{piece}");
        }
        assert_ne!(Print::default().finish(), Print::of(&bytes));
    }
}
