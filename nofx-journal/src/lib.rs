//! The journal to which the local stores of NofX commit: one checksummed append and one flush for a group.
//!
//! What commits say is laid down later, in the **base** of a store, such as the readable files of `nofx-fs`. Everything that knows
//! nothing of how a base is laid down is here. `docs/format/journal.md` shows every byte.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! use std::time::Duration;
//! use nofx_core::{Batch, Body, Expect, Kind, RecordKey, Seq, Sources};
//! use nofx_journal::codec::Commit;
//! use nofx_journal::doors::Doors;
//! use nofx_journal::files::{Disk, Files};
//! use nofx_journal::layout::Layout;
//! use nofx_journal::segment::{Found, Header, Position, Segment, salt};
//! use nofx_journal::tip::Tip;
//!
//! let (layer, sources) = (Disk::new(dir.path()), Sources::default());
//! let layout = Layout::new("journal", *b"example\x01");
//! let doors = Doors::open(&layer, &layout)?;
//! let held = doors.lock().acquire(Duration::from_secs(5))?;
//! let header = Header::behind(&Position::default(), sources.store_id(), salt(&sources), None);
//! let (segment, file) = Segment::begin_next(&layer, &layout, header, 0, 128 << 10)?;
//!
//! let note = RecordKey::new(Kind::of("note"), "a")?;
//! let batch = Batch::new(sources.batch_id()).put(note, Expect::Absent, Body::trusted("{}"));
//! let commit = Commit::of(batch, Some(Seq::FIRST), |_| 0);
//! let (frame, after) = segment.frame(&header.start, std::slice::from_ref(&commit));
//! file.write_at(&frame, header.start.offset)?;
//! file.sync()?; // Now it happened,
//! Tip::tell_durable(doors.tip(), &after, layer.boot())?; // and now others see it.
//! drop(held);
//!
//! assert_eq!(segment.read(&header.start)?, Found::Group(vec![commit], after));
//! # Ok(()) }
//! ```
//!
//! - [`segment`]: the files of the journal. A [`Position`](segment::Position) is a place behind a frame; its **chain** is the checksum
//!   of that frame, which the next one carries.
//! - [`tip`] and [`doors`]: how processes tell each other what is durable, and the [locks](lock) by which one at a time writes.
//! - [`codec`]: commits as bytes. [`feed`]: what is remembered of them for long. [`lost`]: what damage may have been about.
//! - [`base`]: what a store has to say of how it lays commits down. A [`Follower`](follower::Follower) reads a base and the journal beyond it
//!   (its [tail](tail::Tail)) as of one moment; it has nothing to write with.
//! - [`Engine`]: an open store, for all handles of a process. It judges groups, commits each with one append and one flush, and brings the base
//!   up to date in runs. [`Journaled`] is a handle on it: a [`PersistenceBackend`](nofx_core::PersistenceBackend) over any base.
//!   A journal is made by [`Engine::create`] and opened by [`Engine::writing`] or [`Engine::reading`].
//! - [`files`]: the file system as all of this sees it. A [`Files`](files::Files) has nothing to write with; a
//!   [`Layer`](files::Layer) has. [`aside`] keeps what cannot be read, [`escape`] names files by ids, [`fault`] tells errors.
//!
//! What it does not do: lay anything down, or go on by itself without a base or a journal: a store of which either is missing is `Corrupt`. Where frames of the
//! journal are damaged, those around them are read, what they may have been about is `Corrupt`, and commits are refused until
//! [`Engine::repair`] goes on behind them. A base that is damaged takes in all that it can, and refuses commits where it can take in nothing.
//! `nofx-redb` stands on the engine where its options ask for that; `nofx-fs` uses segments, locks and feed, and judges and follows by itself.
//!
//! Reading waits for no other process. Commits wait for others at most for [`Options::lock_wait`]. An engine that commits has one thread, which
//! brings the base up to date; nothing else starts one.
//!
//! The feature `sim` adds a file system and a base in memory that know what a power cut may leave, for tests.

mod applier;
pub mod aside;
mod backend;
pub mod base;
pub mod codec;
mod damage;
pub mod doors;
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
pub mod query;
mod read;
mod repair;
pub mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod tip;
mod writer;

pub use backend::Journaled;
pub use engine::Engine;
pub use options::Options;
