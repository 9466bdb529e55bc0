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
//! use nofx_journal::segment::{Found, Header, Position, Segment, salt};
//! use nofx_journal::tip::Tip;
//!
//! let (layer, sources) = (Disk::new(dir.path()), Sources::default());
//! let doors = Doors::open(&layer)?;
//! let held = doors.lock().acquire(Duration::from_secs(5))?;
//! let header = Header::behind(&Position::default(), sources.store_id(), salt(&sources), None);
//! let (segment, file) = Segment::begin_next(&layer, header, 0, 128 << 10)?;
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
//!   (its [tail](tail::Tail)) as of one moment, and brings the base up to date.
//! - [`files`]: the file system as all of this sees it. A [`Files`](files::Files) has nothing to write with; a
//!   [`Layer`](files::Layer) has. [`aside`] keeps what cannot be read, [`escape`] names files by ids, [`fault`] tells errors.
//!
//! What it does not do: judge what is committed, or lay anything down. No store of ours is read by a `Follower` yet: `nofx-fs` follows by itself. No function here waits for another process, except
//! [`Lock::acquire`](lock::Lock::acquire), which says for how long; none starts a thread.
//!
//! The feature `sim` adds a file system and a base in memory that know what a power cut may leave, for tests.

pub mod aside;
pub mod base;
pub mod codec;
pub mod doors;
pub mod escape;
pub mod fault;
pub mod feed;
pub mod files;
pub mod follower;
pub mod layout;
pub mod lock;
pub mod lost;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
pub mod query;
mod read;
pub mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod tail;
#[cfg(test)]
mod tests;
pub mod tip;
