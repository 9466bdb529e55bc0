//! Mending a damaged branch from the pages below it.
//!
//! A branch has the number and the checksum of each page below it, and a separator key between each two of them. If the
//! pages match their checksums, only separator keys can be lost, and those can be reconstructed. A single page that
//! does not match is left alone; its damage is reported when it is read.

use std::io;
use std::iter;

use crate::pages::{BRANCH, Geometry, LEAF, PageContent, PageRef, children_of, is_whole, u16_at, u32_at};

/// No tree is this deep.
const DEPTH: usize = 16;

/// What is needed to mend a page of one tree.
pub(crate) struct Mending<'f> {
    pub(crate) geometry: Geometry,
    pub(crate) content: PageContent,
    /// Reads from the file.
    pub(crate) read: &'f dyn Fn(u64, &mut [u8]) -> io::Result<()>,
}

/// The first and the last key of the pages below a page, if that is not damaged.
type Edges = Option<(Vec<u8>, Vec<u8>)>;

impl Mending<'_> {
    /// Returns the branch as it must have been, and the pages below it with the intact ones last. `None` if it cannot
    /// be determined.
    pub(crate) fn branch(&self, damaged: &[u8]) -> Option<(Vec<u8>, Vec<PageRef>)> {
        // Only keys that are compared byte by byte can be reconstructed.
        if self.content.is_own || self.content.key.is_some() || damaged.first() == Some(&LEAF) {
            return None;
        }
        // A truncated file reads as zeros here.
        if damaged.iter().all(|byte| *byte == 0) {
            return None;
        }
        let most = damaged.len() / 24;
        let stored = usize::from(u16_at(damaged, 2)?);
        iter::once(stored)
            .chain(1..most)
            .filter(|count| (1..most).contains(count))
            .find_map(|count| self.of(damaged, count))
    }

    /// Interprets the branch as one with this many keys.
    fn of(&self, damaged: &[u8], count: usize) -> Option<(Vec<u8>, Vec<PageRef>)> {
        let children = children_of(damaged, count, self.content);
        if children.len() != count + 1 || children.iter().take(2).all(|child| self.page(child).is_none()) {
            return None;
        }
        let edges: Vec<Edges> = children.iter().map(|child| self.edges(child)).collect();
        if edges.iter().filter(|edges| edges.is_none()).count() > 1 {
            return None;
        }
        let (checksums, ends) = (8, 8 + 24 * (count + 1));
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (at, pair) in edges.windows(2).enumerate() {
            let (left, right) = (pair.first()?.as_ref(), pair.last()?.as_ref());
            let start = if at == 0 {
                Some(ends + 4 * count)
            } else {
                u32_at(damaged, ends + 4 * (at - 1)).map(|end| end as usize)
            };
            let end = u32_at(damaged, ends + 4 * at)? as usize;
            let parts = |key: &[u8]| {
                left.is_none_or(|(_, last)| last.as_slice() <= key)
                    && right.is_none_or(|(first, _)| key < first.as_slice())
            };
            let stored = start.and_then(|start| damaged.get(start..end)).filter(|key| parts(key));
            keys.push(match (stored, left, right) {
                (Some(stored), _, _) => stored.to_vec(),
                (None, Some((_, last)), Some((first, _))) if last < first => between(last, first),
                (None, Some((_, last)), None) => last.clone(),
                _ => return None,
            });
        }
        let mut mended = vec![BRANCH, 0];
        mended.extend_from_slice(&u16::try_from(count).ok()?.to_le_bytes());
        mended.resize(checksums, 0);
        mended.extend_from_slice(damaged.get(checksums..ends)?);
        let mut end = ends + 4 * count;
        for key in &keys {
            end += key.len();
            mended.extend_from_slice(&u32::try_from(end).ok()?.to_le_bytes());
        }
        mended.extend(keys.into_iter().flatten());
        if mended.len() > damaged.len() {
            return None;
        }
        mended.resize(damaged.len(), 0);
        let (whole, other): (Vec<_>, Vec<_>) = iter::zip(children, edges).partition(|(_, edges)| edges.is_some());
        Some((mended, other.into_iter().chain(whole).map(|(child, _)| child).collect()))
    }

    /// Reads a page; `None` if it does not match its checksum.
    fn page(&self, child: &PageRef) -> Option<Vec<u8>> {
        let (offset, length) = self.geometry.place(child.number)?;
        // Most candidates are not in the file at all.
        (self.read)(offset + length as u64 - 1, &mut [0]).ok()?;
        let mut page = vec![0; length];
        (self.read)(offset, &mut page).ok()?;
        is_whole(&page, child).then_some(page)
    }

    fn edges(&self, child: &PageRef) -> Edges {
        let page = self.page(child)?;
        Some((self.edge(&page, false, 0)?, self.edge(&page, true, 0)?))
    }

    /// Returns the first or the last key of a page or of the pages below it.
    fn edge(&self, page: &[u8], is_last: bool, depth: usize) -> Option<Vec<u8>> {
        let count = usize::from(u16_at(page, 2)?);
        match *page.first()? {
            LEAF => {
                let at = if is_last { count.checked_sub(1)? } else { 0 };
                let ends = if self.content.value.is_none() { 8 * count } else { 4 * count };
                let start = if at == 0 { 4 + ends } else { u32_at(page, 4 + 4 * (at - 1))? as usize };
                Some(page.get(start..u32_at(page, 4 + 4 * at)? as usize)?.to_vec())
            }
            BRANCH if depth < DEPTH => {
                let children = children_of(page, count, self.content);
                let child = if is_last { children.last()? } else { children.first()? };
                self.edge(&self.page(child)?, is_last, depth + 1)
            }
            _ => None,
        }
    }
}

/// Returns a short key at or after `last` and before `first`, which comes after `last`.
fn between(last: &[u8], first: &[u8]) -> Vec<u8> {
    let same = iter::zip(last, first).take_while(|(one, other)| one == other).count();
    match first.get(..=same) {
        Some(short) if short.len() < first.len() && short.len() < last.len() => short.to_vec(),
        _ => last.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_parts_two_keys_is_between_them() {
        for (last, first) in [
            ("", "a"),
            ("a", "ab"),
            ("abc", "abd"),
            ("abcdef", "abz"),
            ("a", "b"),
            ("ab", "b\0"),
            ("thing\x001", "thing\x002"),
        ] {
            let (last, first) = (last.as_bytes(), first.as_bytes());
            let key = between(last, first);
            assert!(last <= &key[..] && &key[..] < first, "{last:?} {key:?} {first:?}");
        }
    }
}
