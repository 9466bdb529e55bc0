//! The import of workspaces that these tests write.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod again;
mod damage;
mod elsewhere;
mod errors;
mod exact;
mod kinds;
mod merging;
mod resume;
mod strange_files;
mod verifying;
mod workspace;
