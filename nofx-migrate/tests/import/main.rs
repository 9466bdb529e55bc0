//! The import of workspaces that these tests write.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod again;
mod damage;
mod errors;
mod exact;
mod kinds;
mod merging;
mod outside;
mod resume;
mod strange_files;
mod verifying;
mod workspace;
