//! Which parts of the journal cannot be read, and which keys that may concern.

use std::io;
use std::ops::RangeInclusive;

use nofx_core::Result;

use crate::codec::Encoder;
use crate::files::Files;
use crate::layout::Layout;
use crate::segment::{self, Position, Segment};

/// One or more frames that cannot be read.
#[derive(Clone, Debug)]
pub(crate) struct LostFrames {
    /// Their numbers.
    pub(crate) frames: RangeInclusive<u64>,
    /// The bytes in their place, up to the next whole frame.
    bytes: Vec<u8>,
    /// Set if the bytes are not that many frames, each with one wrong byte, so that they may concern any key.
    is_blank: bool,
}

impl LostFrames {
    /// Examines the bytes at a place where frames should begin, up to the frame with a number.
    pub(crate) fn at(segment: &Segment, at: &Position, last: u64) -> io::Result<Self> {
        let next = segment.whole_groups(at.offset)?.iter().map(|frame| frame.offset).min();
        let bytes = segment.file.read_range(at.offset, next.unwrap_or(u64::MAX))?;
        let is_blank = !segment.resembles_frames(at, &bytes, last);
        Ok(Self { frames: at.frame + 1..=last, bytes, is_blank })
    }

    /// Examines the segments without a header, which may have held some frames.
    pub(crate) fn without_header(files: &dyn Files, layout: &Layout, frames: RangeInclusive<u64>) -> Result<Self> {
        let whole: Vec<_> = Segment::of_any_store(files, layout)?.into_iter().map(|segment| segment.path).collect();
        let mut bytes = Vec::new();
        for path in segment::segment_files(files, layout)?.into_iter().filter(|path| !whole.contains(path)) {
            // A folder or a link in the place of a segment holds nothing.
            bytes.extend(files.read(&path).ok().flatten().unwrap_or_default());
        }
        Ok(Self { is_blank: !segment::contain_frames(&bytes, frames.clone()), frames, bytes })
    }

    /// Returns whether it may concern a key: whether it contains the key, with at most one different byte.
    pub(crate) fn may_concern(&self, key: &impl nofx_core::Key) -> bool {
        if self.is_blank {
            return true;
        }
        let mut sought = Encoder(Vec::new());
        sought.key(key);
        let differs =
            |window: &[u8]| window.iter().zip(&sought.0).filter(|(found, sought)| found != sought).take(2).count();
        self.bytes.windows(sought.0.len()).any(|window| differs(window) < 2)
    }
}
