//! The journal to which the local stores of NofX commit: one checksummed append and one flush for each group.
//!
//! The content of commits is stored later in the **base** of a store, such as the readable files of `nofx-fs`.
//! Everything that does not depend on how a base stores commits is here. `docs/format/journal.md` shows every byte.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use std::time::Duration;
//! use nofx_core::{Batch, Body, Expect, Kind, RecordKey, Seq, Sources};
//! use nofx_journal::codec::Commit;
//! use nofx_journal::shared_files::SharedFiles;
//! use nofx_journal::files::{Disk, Files};
//! use nofx_journal::layout::Layout;
//! use nofx_journal::segment::{Header, NextFrame, Position, Segment, Spares, salt};
//! use nofx_journal::tip::Tip;
//!
//! let (writable, sources) = (Disk::new(dir.path()), Sources::default());
//! let layout = Layout::new("journal", *b"example\x01");
//! let shared_files = SharedFiles::open(&writable, &layout)?;
//! let held = shared_files.lock().acquire(Duration::from_secs(5))?;
//! let header = Header::after(&Position::default(), sources.store_id(), salt(&sources), None);
//! let (segment, file) = Segment::begin_next(&writable, &layout, header, 0, 128 << 10, Spares::KeepLast)?;
//!
//! let note = RecordKey::new(Kind::of("note"), "a")?;
//! let batch = Batch::new(sources.batch_id()).put(note, Expect::Absent, Body::trusted("{}"));
//! let commit = Commit::of(batch, Some(Seq::FIRST), |_| 0);
//! let (frame, after) = segment.frame(&header.start, std::slice::from_ref(&commit));
//! file.write_at(&frame, header.start.offset)?;
//! file.sync()?; // Now it happened,
//! Tip::write_durable(shared_files.tip(), &after, writable.boot())?; // and now others see it.
//! drop(held);
//!
//! assert_eq!(segment.read(&header.start)?, NextFrame::Group(vec![commit], after));
//! # Ok(()) }
//! ```
//!
//! - [`segment`]: the files of the journal. A [`Position`](segment::Position) is a place after a frame; its **chain**
//!   is the checksum of that frame, which the next one carries.
//! - [`tip`] and [`shared_files`]: how processes tell each other what is durable, and the [locks](lock) that let one at a time
//!   write. [`requests`] tells the thread that brings a store up to date when to work.
//! - [`codec`]: commits as bytes. [`feed`]: what is remembered of them for long. [`lost`]: which keys damage may
//!   concern.
//! - [`base`]: what a store must implement to store commits. A [`Follower`](follower::Follower) reads a base and the
//!   journal beyond it (its [tail](tail::Tail)) at a single point in time; it has nothing to write with.
//! - [`Engine`]: an open store, for all handles of a process. It judges groups, commits each with one append and one
//!   flush, and brings the base up to date in runs. [`Journaled`] is a handle on it: a
//!   [`PersistenceBackend`](nofx_core::PersistenceBackend) over any base. A journal is created by [`Engine::create`]
//!   and opened by [`Engine::writing`] or [`Engine::reading`].
//! - [`files`]: the file system as this crate sees it. A [`Files`](files::Files) has nothing to write with; a
//!   [`WritableFiles`](files::WritableFiles) has. [`quarantine`] keeps what cannot be read, [`escape`] derives file names
//!   from ids, [`fault`] converts errors.
//!
//! What it does not do: decide how a base stores commits, or continue by itself without a base or a journal: a store
//! that lacks either is `Corrupt`. If frames of the journal are damaged, those around them are read, what the damaged
//! ones may concern is `Corrupt`, and commits are refused until [`Engine::repair`] continues after them. A damaged base
//! takes in everything it can, and refuses commits if it can take in nothing. `nofx-redb` uses the engine if its
//! options request it; `nofx-fs` uses segments, locks, feed and [`judge`], and follows by itself.
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
pub mod lost;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
mod options;
pub mod quarantine;
mod read;
mod repair;
pub mod requests;
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
pub use judge::judge;
pub use options::Options;
