//! What of the journal cannot be read, and which keys that may concern.

use std::io;

use nofx_core::Result;

use crate::codec::Writer;
use crate::files::Files;
use crate::segment::{self, Position, Segment};

/// One frame or more that cannot be read.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The number of the first.
    pub frame: u64,
    /// What stands in its place, up to the next whole frame.
    bytes: Vec<u8>,
    /// Set if that is no frame of which a byte is wrong, so that nothing tells which keys it was about.
    is_blank: bool,
}

impl Lost {
    /// Looks at what stands at a place where a frame should begin.
    pub fn at(segment: &Segment, at: &Position) -> io::Result<Self> {
        let next = segment.whole_groups(at.offset)?.iter().map(|frame| frame.offset).min();
        let bytes = segment.file.read_range(at.offset, next.unwrap_or(u64::MAX))?;
        let is_blank = !segment.resembles_frame(at, &bytes);
        Ok(Self { frame: at.frame + 1, bytes, is_blank })
    }

    /// Looks at the segments without a header, of which one may have held it.
    pub fn without_header(files: &dyn Files, frame: u64) -> Result<Self> {
        let whole: Vec<_> = Segment::of_any_store(files)?.into_iter().map(|segment| segment.path).collect();
        let mut bytes = Vec::new();
        for path in segment::segment_files(files)?.into_iter().filter(|path| !whole.contains(path)) {
            // A folder or a link in the place of one holds nothing.
            bytes.extend(files.read(&path).ok().flatten().unwrap_or_default());
        }
        Ok(Self { frame, is_blank: bytes.is_empty(), bytes })
    }

    /// Returns whether it may be about a key that is known or not: whether the key stands in it, with at most one byte that differs.
    pub fn may_concern(&self, key: &impl nofx_core::Key, is_known: bool) -> bool {
        if self.is_blank {
            return !is_known;
        }
        let mut sought = Writer(Vec::new());
        sought.key(key);
        let differs =
            |window: &[u8]| window.iter().zip(&sought.0).filter(|(found, sought)| found != sought).take(2).count();
        self.bytes.windows(sought.0.len()).any(|window| differs(window) < 2)
    }
}
