//! Loss-free migration into NofX stores, and the dump.

mod attachment;
mod digest;
mod dump;

pub use attachment::{CHUNK_BYTES, attachment_chunks, chunk_key, decode_chunk, encode_chunk, read_attachment};
pub use dump::{DumpError, dump};
