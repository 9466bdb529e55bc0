//! A page of a session's history, on its way to JavaScript.
//!
//! It is several texts, each an array. What consecutive messages of one writer share is written once, as a **run**:
//! `{"messages":[…],"position":7,"step":1,"writer":"…","at":"…"}`, where `at` has 24 characters per message. JavaScript then parses little
//! more than the messages themselves. Anything that is not as usual is an entry of its own, as [`crossing`](crate::crossing) writes it.

use nofx::entity::Message;
use nofx::{Body, Error, Store, Timestamp};

use crate::crossing::{plain, whole, write_message, write_unreadable};

/// The size in bytes at which a text of a page ends, so that as UTF-16 it still has less than 128 KiB: where V8 copies a text, it allocates
/// separate memory for a longer one, and getting that from the system takes half as long as parsing the text.
const PART_BYTES: usize = 60 << 10;

/// The length of a time of the years 0 to 9999.
const TIME_BYTES: usize = 24;

/// A page that is being written.
#[derive(Debug, Default)]
pub(crate) struct HistoryPage {
    /// The texts that are complete, and their length.
    ended: Vec<String>,
    bytes: usize,
    growing: String,
    run: Option<Run>,
}

/// A run whose messages are the end of the growing text.
#[derive(Debug)]
struct Run {
    writer: Option<String>,
    first: u64,
    last: u64,
    times: String,
}

impl Run {
    /// The step between its positions, until there are two.
    fn step(&self) -> i8 {
        if self.last < self.first { -1 } else { 1 }
    }

    fn continues_at(&self, position: u64, writer: Option<&str>) -> bool {
        let is_next = position == self.last + 1 && self.last >= self.first;
        let is_previous = position + 1 == self.last && self.last <= self.first;
        (is_next || is_previous) && self.writer.as_deref() == writer
    }
}

impl HistoryPage {
    /// Adds the entry whose message is stored as `body`. One that cannot be read is reported in its place, so that it hides no other.
    pub(crate) async fn add(&mut self, store: &Store, position: u64, at: Timestamp, body: &Body) {
        let time = at.to_string();
        if let Some((message, writer)) = plain(body.as_str()).filter(|_| time.len() == TIME_BYTES) {
            return self.add_to_run(position, &time, message, writer);
        }
        match whole(store, body).await {
            Ok(message) => self.add_parsed((position, at), &message),
            Err(error) => self.add_unreadable(position, Some(at), &error),
        }
    }

    /// Adds an entry in place of a message that cannot be read; its time may not be known.
    pub(crate) fn add_unreadable(&mut self, position: u64, at: Option<Timestamp>, error: &Error) {
        write_unreadable(position, at, error, self.next());
    }

    fn add_parsed(&mut self, place: (u64, Timestamp), message: &Message) {
        write_message(place, message, self.next());
    }

    /// Adds a message without its closing brace, and the writer as JSON without its quotes.
    fn add_to_run(&mut self, position: u64, time: &str, message: &str, writer: Option<&str>) {
        let is_full = self.growing.len() >= PART_BYTES;
        match self.run.as_mut().filter(|run| !is_full && run.continues_at(position, writer)) {
            Some(run) => {
                run.last = position;
                run.times.push_str(time);
                self.growing.push(',');
            }
            None => {
                self.next().push_str(r#"{"messages":["#);
                let writer = writer.map(str::to_owned);
                self.run = Some(Run { writer, first: position, last: position, times: time.to_owned() });
            }
        }
        self.growing.extend([message, "}"]);
    }

    /// Returns where the next entry or run is to be written.
    fn next(&mut self) -> &mut String {
        self.end_run();
        if self.growing.len() >= PART_BYTES {
            self.end_part();
        }
        if self.growing.is_empty() {
            self.growing.reserve(PART_BYTES + PART_BYTES / 8);
        }
        self.growing.push(if self.growing.is_empty() { '[' } else { ',' });
        &mut self.growing
    }

    fn end_run(&mut self) {
        let Some(run) = self.run.take() else { return };
        let (first, step) = (run.first, run.step());
        self.growing.push_str(&format!(r#"],"position":{first},"step":{step},"at":"{}""#, run.times));
        if let Some(writer) = run.writer {
            self.growing.extend([r#","writer":""#, &writer, "\""]);
        }
        self.growing.push('}');
    }

    fn end_part(&mut self) {
        if !self.growing.is_empty() {
            self.growing.push(']');
            self.bytes += self.growing.len();
            self.ended.push(std::mem::take(&mut self.growing));
        }
    }

    /// Returns its size so far.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.growing.len()
    }

    /// Returns its texts.
    pub(crate) fn into_texts(mut self) -> Vec<String> {
        self.end_run();
        self.end_part();
        self.ended
    }
}
