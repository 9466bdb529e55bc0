//! The import of workspaces that these tests write.

mod again;
mod damage;
mod errors;
mod exact;
mod kinds;
mod merging;
mod resume;
mod strange_files;
mod workspace;
