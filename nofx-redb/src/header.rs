//! The first bytes of the file: which of two commits is the newest, and what a writer reports there. The layout is that
//! of redb's file format 3.

use std::ops::Bound;

/// The length of the header in bytes.
pub(crate) const HEADER: usize = 320;

/// The byte that a writer locks while the file is open for writing.
pub(crate) const WRITER: (Bound<u64>, Bound<u64>) = (Bound::Included(1 << 62), Bound::Included(1 << 62));

/// The offset of the flags.
const FLAGS: usize = 9;

/// The slot that holds the newest commit.
const PRIMARY: u8 = 1;

/// Set while a writer has the file open, and after it was killed.
const UNCLEAN: u8 = 2;

/// Set while the newest commit may not be on the disk yet, if its writer is still alive: all its content is, but the
/// flag that makes it the newest may not be.
const UNFLUSHED: u8 = 8;

/// The offsets of the commit slots, the length of each, and the offset of the commit number in a slot.
const SLOTS: [usize; 2] = [64, 192];
const SLOT: usize = 128;
const NUMBER: usize = 104;

/// Returns the commit slots, the one with the newest commit last.
pub(crate) fn slots(header: &[u8]) -> [&[u8]; 2] {
    let primary = usize::from(header.get(FLAGS).is_some_and(|flags| flags & PRIMARY != 0));
    [1 - primary, primary].map(|slot| header.get(SLOTS[slot]..SLOTS[slot] + SLOT).unwrap_or_default())
}

fn number(slot: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*slot.get(NUMBER..)?.first_chunk()?))
}

/// Returns the number of the commit that readers should read.
pub(crate) fn published(header: &[u8]) -> Option<u64> {
    let [before, newest] = slots(header);
    number(if is_unflushed(header) { before } else { newest })
}

/// Returns the number of the newest commit.
pub(crate) fn newest(header: &[u8]) -> Option<u64> {
    number(slots(header)[1])
}

/// Returns whether the newest commit may not be on the disk yet.
pub(crate) fn is_unflushed(header: &[u8]) -> bool {
    header.get(FLAGS).is_some_and(|flags| flags & UNFLUSHED != 0)
}

/// Clears the flag that says a writer may have been killed. A reader neither needs to know which pages are free nor
/// fixes it.
pub(crate) fn hide_unclean(header: &mut [u8]) {
    header.iter_mut().skip(FLAGS).take(1).for_each(|flags| *flags &= !UNCLEAN);
}

/// Clears the flag that says the newest commit may not be on the disk yet.
pub(crate) fn hide_unflushed(header: &mut [u8]) {
    header.iter_mut().skip(FLAGS).take(1).for_each(|flags| *flags &= !UNFLUSHED);
}
