//! A store as text: the dump for exchange and the full dump, which can be loaded again.

mod attachment;
mod canonical;
mod columns;
mod full;
mod history;
mod in_order;
mod line;
mod lines;
mod load;
mod templates;

pub use canonical::dump;
pub use full::{Counts, FullDump, dump_full, full_digest};
pub use load::{LoadError, anything_in, check_dump, load};

use std::io;

type Result<T, E = DumpError> = std::result::Result<T, E>;

/// Why a dump could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] nofx_core::Error),
    /// The dump could not be written.
    #[error("writing the dump")]
    Write(#[source] io::Error),
}
