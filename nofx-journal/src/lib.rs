//! The journal to which the local stores of NofX commit: one checksummed append and one flush for each group.
//!
//! The content of commits is stored later in the **base** of a store, such as the readable files of `nofx-fs`.
//! Everything that does not depend on how a base stores commits is here. `docs/format/journal.md` shows every byte.
//!
#![cfg_attr(feature = "sim", doc = include_str!("example.md"))]
//! - [`base`]: what a store must implement to store commits. A [`Follower`](follower::Follower) reads a base and the
//!   journal beyond it (its [tail](tail::Tail)) at a single point in time; it has nothing to write with.
//! - [`Engine`]: an open store, for all handles of a process. It judges groups, commits each with one append and one
//!   flush, and brings the base up to date in runs. [`Journaled`] is a handle on it: a
//!   [`PersistenceBackend`](nofx_core::PersistenceBackend) over any base. A journal is created by [`Engine::create`]
//!   and opened by [`Engine::writing`] or [`Engine::reading`].
//! - [`segment`]: the files of the journal. A [`Position`](segment::Position) is a place after a frame; its **chain**
//!   is the checksum of that frame, which the next one carries.
//! - [`tip`] and [`shared_files`]: how processes tell each other what is durable, and the [locks](lock) that let one at a time
//!   write.
//! - [`codec`]: commits as bytes. [`feed`]: what is remembered of them for long, for bases that keep it in files.
//! - [`files`]: the file system as this crate sees it. A [`Files`](files::Files) has nothing to write with; a
//!   [`WritableFiles`](files::WritableFiles) has. [`quarantine`] keeps what cannot be read, [`escape`] derives file names
//!   from ids, [`fault`] converts errors.
//!
//! What it does not do: decide how a base stores commits, or continue by itself without a journal, unless the base says
//! that it holds everything. If frames of the journal are damaged, those around them are read, what the damaged ones may
//! concern is `Corrupt`, and commits are refused until [`Engine::repair`] continues after them. A damaged base takes in
//! everything it can; commits are refused if it can take in nothing. `nofx-fs` is such a base, and `nofx-redb` is one if
//! its options request it.
//!
//! Reading takes no lock of the journal and waits for no other process, except for what the snapshot of the base may
//! need, such as the lock on the header of a redb file. Commits wait for other processes at most for
//! [`Options::lock_wait`]. An engine that commits has one thread, which brings the base up to date; nothing else starts
//! one.
//!
//! The feature `sim` adds a file system and a base in memory that know what a power cut may leave, for tests.

mod applier;
mod backend;
pub mod base;
pub mod codec;
mod damage;
mod engine;
pub mod escape;
pub mod fault;
pub mod feed;
pub mod files;
pub mod follower;
mod judge;
pub mod layout;
pub mod lock;
mod lost;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
mod options;
pub mod quarantine;
mod read;
mod repair;
mod requests;
pub mod segment;
pub mod shared_files;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod tip;
mod writer;

pub use backend::Journaled;
pub use engine::Engine;
pub use options::{Applies, Options};
