//! SHA-256, in the forms that this crate needs.

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
