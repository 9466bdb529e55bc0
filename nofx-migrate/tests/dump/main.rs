//! Dumps, loads and copies of a small store that has something of every kind, and every oddity that the old format can hold.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backup;
mod canonical;
mod copying;
mod damage;
mod full;
mod odd;
