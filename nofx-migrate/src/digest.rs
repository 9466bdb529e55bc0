//! Digests, in the forms that this crate needs.
//!
//! SHA-256 for everything that is stored or reported, since other tools compute it too. What is only compared within one run has a
//! [`Print`] by XXH3, because a migration computes it three times for all that it reads, and twice for all bodies. It detects any
//! accidental change. An attacker gains nothing from an undetected change: anyone who can make one can also write to the store.

use std::fmt::{self, Write as _};

use nofx_core::json;
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_128;

/// A digest as bytes, for comparing many of them.
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

/// Returns the digest of a JSON value, independent of spacing, escapes and the order of members.
pub(crate) fn of_json(text: &str) -> Hash {
    match json::canonical(text) {
        Ok(canonical) => sha256(&canonical),
        Err(_) => sha256(text.as_bytes()),
    }
}

/// A digest of bytes that arrive in pieces.
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

/// Equal only for equal bytes, except with a probability of 2^-128.
pub(crate) type Print = u128;

/// Returns the print of bytes that are all in memory.
pub(crate) fn print(bytes: &[u8]) -> Print {
    XxHash3_128::oneshot(bytes)
}

/// The print of bytes that arrive in pieces.
#[derive(Clone, Default)]
pub(crate) struct Printing(XxHash3_128);

impl Printing {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(crate) fn finish(self) -> Print {
        self.0.finish_128()
    }
}

impl fmt::Debug for Printing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Printing").field(&self.0.finish_128()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_print_does_not_depend_on_the_pieces() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        for piece in [1, 700, 1 << 16, 200_000] {
            let mut printing = Printing::default();
            bytes.chunks(piece).for_each(|piece| printing.add(piece));
            assert_eq!(printing.finish(), print(&bytes), "{piece}");
        }
        assert_ne!(Printing::default().finish(), print(&bytes));
    }
}
