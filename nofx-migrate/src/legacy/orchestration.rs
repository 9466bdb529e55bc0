//! `orchestration/messages*.jsonl`: one message a line.

use nofx_core::Timestamp;
use nofx_core::json::Object;

use super::decode::Decoded;
use super::item::{Item, ItemBuffer, Same, fits, is_text, object};
use super::observations::Recorder;
use super::salvage;

/// The most lines of a file that are kept separately; a file with more is kept whole.
const MAX_BAD_LINES: usize = 100;

/// The messages of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrchestrationFile {
    pub(crate) messages: Vec<Item>,
    /// The number of each line that is not exactly one message, from one, and its range in the file.
    pub(crate) bad: Vec<(usize, usize, usize)>,
}

/// Reads the lines of a file.
pub(crate) fn read(decoded: &Decoded<'_>, recorder: &mut Recorder<'_>) -> OrchestrationFile {
    let mut lines = OrchestrationFile::default();
    let (mut from, mut messages) = (0, ItemBuffer::new(Same::Whole, Timestamp::default(), decoded.text.len()));
    for (number, with_end) in decoded.text.split_inclusive('\n').enumerate() {
        let line = with_end.trim_ascii();
        let start = from + salvage::offset(with_end, line);
        from += with_end.len();
        if line.is_empty() {
            continue;
        }
        let place = (decoded.place(start), decoded.place(start + line.len()));
        let is_text = decoded.is_text(place.0, place.1);
        let mut take = |raw: &str| messages.read(raw).is_ok();
        let is_whole = fits(line.len()) && take(line);
        let is_exact = is_text && is_whole && !salvage::has_repeated_names(line);
        let found = match is_whole {
            true => 1,
            false => salvage::objects(line, is_message).into_iter().filter(|raw| take(raw)).count(),
        };
        if !is_exact {
            lines.bad.push((number + 1, place.0, place.1));
            if lines.bad.len() <= MAX_BAD_LINES {
                let what = format!("line {} is not exactly one message; {found} found in it", number + 1);
                recorder.observed.findings.push(("bad-line", crate::report::Level::Warning, what));
            }
        }
        if found == 0 {
            recorder.unused(start, start + line.len(), "not a message");
        }
    }
    if lines.bad.len() > MAX_BAD_LINES {
        let what = format!("{} lines are not exactly one message; the whole file is kept", lines.bad.len());
        recorder.observed.damaged("bad-line", what);
        lines.bad.clear();
    }
    lines.messages = messages.finish();
    recorder.observed.count("orchestration messages", lines.messages.len());
    lines
}

fn is_message(json: &str) -> bool {
    let is_one =
        |object: &Object| is_text(object, "id") && is_text(object, "type") && object.get("timestamp").is_some();
    fits(json.len()) && object(json).as_ref().is_some_and(is_one)
}
