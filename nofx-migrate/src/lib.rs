//! Loss-free migration into NofX stores, and the dump.

mod attachment;
mod copy;
mod digest;
mod dump;
mod filling;

pub use attachment::{CHUNK_BYTES, attachment_chunks, chunk_key, decode_chunk, encode_chunk, read_attachment};
pub use copy::{CopyError, CopyProgress, copy};
pub use dump::{Counts, DumpError, FullDump, LoadError, anything_in, check_dump, dump, dump_full, full_digest, load};
