//! Loss-free migration into NofX stores, and the dump.

mod attachment;
mod copy;
mod digest;
mod dump;
mod error;
mod filling;
mod import;
mod legacy;
mod options;
mod report;
mod tree;

pub use attachment::{CHUNK_BYTES, attachment_chunks, chunk_key, decode_chunk, encode_chunk, read_attachment};
pub use copy::{CopyError, CopyProgress, copy};
pub use dump::{Counts, DumpError, FullDump, LoadError, anything_in, check_dump, dump, dump_full, full_digest, load};
pub use error::MigrateError;
pub use import::migrate;
pub use options::{NoProgress, Options, Progress};
pub use report::{
    Compared, FileReport, FileState, Finding, KindTotals, Level, Report, Skipped, Totals, Unused, Verification,
};
pub use tree::find_root as legacy_folder;
