//! The first bytes of the file: which of two commits counts, and what a writer says of itself. As in redb's file format 3.

use std::ops::Bound;

/// How many bytes there are.
pub(crate) const HEADER: usize = 320;

/// The byte that a writer has locked as long as the file is open for writing.
pub(crate) const WRITER: (Bound<u64>, Bound<u64>) = (Bound::Included(1 << 62), Bound::Included(1 << 62));

/// Where the flags are.
const FLAGS: usize = 9;

/// Which slot has the newest commit.
const PRIMARY: u8 = 1;

/// That a writer has the file open, or was killed.
const UNCLEAN: u8 = 2;

/// That the newest commit may not be on the disk yet, while its writer lives: everything that it consists of is, but the flag that makes it
/// the newest may not be.
const UNFLUSHED: u8 = 8;

/// Where the commit slots begin, how long each is, and where in it the number of its commit is.
const SLOTS: [usize; 2] = [64, 192];
const SLOT: usize = 128;
const NUMBER: usize = 104;

/// Returns the commit slots, that of the newest commit last.
pub(crate) fn slots(header: &[u8]) -> [&[u8]; 2] {
    let primary = usize::from(header.get(FLAGS).is_some_and(|flags| flags & PRIMARY != 0));
    [1 - primary, primary].map(|slot| header.get(SLOTS[slot]..SLOTS[slot] + SLOT).unwrap_or_default())
}

fn number(slot: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(*slot.get(NUMBER..)?.first_chunk()?))
}

/// Returns the number of the commit that readers are to read.
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

/// Takes out that a writer may have been killed. A reader neither needs to know what is free nor sets it right.
pub(crate) fn hide_unclean(header: &mut [u8]) {
    header.iter_mut().skip(FLAGS).take(1).for_each(|flags| *flags &= !UNCLEAN);
}

/// Takes out that the newest commit may not be on the disk yet.
pub(crate) fn hide_unflushed(header: &mut [u8]) {
    header.iter_mut().skip(FLAGS).take(1).for_each(|flags| *flags &= !UNFLUSHED);
}
