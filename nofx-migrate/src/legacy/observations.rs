//! What was observed in a file that is read: what became of its bytes, what did not, and why.

use std::borrow::Cow;

use super::decode::Decoded;
use super::outline::Outline;
use crate::report::{Level, Unused};

/// The most separate ranges of a file; the last one extends to the end of all further ones.
const MAX_RANGES: usize = 1000;

/// The observations made while a file is read: what became of it, what did not, and why.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observations {
    /// What the file was recognised as.
    pub(crate) became: &'static str,
    /// How many entities of each kind are in it.
    pub(crate) counts: Vec<(&'static str, u64)>,
    /// Why the whole file is to be kept as an attachment, if it is.
    pub(crate) keep: Option<String>,
    /// Bytes that became no entity, in order and without overlap.
    pub(crate) unused: Vec<Unused>,
    /// Everything unusual: code, level, message.
    pub(crate) findings: Vec<(&'static str, Level, String)>,
}

impl Observations {
    /// Describes a file that becomes no entity, as expected.
    pub(crate) fn kept(became: &'static str, reason: &str) -> Self {
        Self { became, keep: Some(reason.to_owned()), ..Self::default() }
    }

    /// Notes something and asks for the whole file to be kept, unless it already is.
    pub(crate) fn damaged(&mut self, code: &'static str, message: impl Into<String>) {
        let message = message.into();
        self.keep.get_or_insert_with(|| message.clone());
        self.findings.push((code, Level::Warning, message));
    }

    /// Notes something harmless.
    pub(crate) fn note(&mut self, code: &'static str, message: impl Into<String>) {
        self.findings.push((code, Level::Note, message.into()));
    }

    /// Returns whether some data is truncated.
    pub(crate) fn is_cut(&self) -> bool {
        self.findings.iter().any(|(code, ..)| *code == "cut")
    }

    pub(crate) fn count(&mut self, kind: &'static str, number: usize) {
        let number = number as u64;
        match self.counts.iter_mut().find(|(counted, _)| *counted == kind) {
            _ if number == 0 => {}
            Some((_, count)) => *count += number,
            None => self.counts.push((kind, number)),
        }
    }
}

/// The purpose of reading a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pass<'a> {
    /// To examine it: what it is, which ids are in it, and what of it is damaged. Intact messages of sessions are only counted.
    First,
    /// To import it. Names that occur twice in a list were found before, and perhaps all members.
    Second(Option<&'a Outline>),
}

impl Pass<'_> {
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::First)
    }
}

/// Records ranges of a text, which become ranges of a file.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    pub(crate) pass: Pass<'a>,
    pub(crate) observed: Observations,
    /// Only in the second pass.
    pub(crate) outline: Option<Outline>,
    decoded: &'a Decoded<'a>,
    ranges: Vec<(usize, usize, Cow<'static, str>)>,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(decoded: &'a Decoded<'a>, pass: Pass<'a>) -> Self {
        Self { pass, observed: Observations::default(), outline: None, decoded, ranges: Vec::new() }
    }

    /// Notes that the text from `from` to `to` became no entity.
    pub(crate) fn unused(&mut self, from: usize, to: usize, reason: &str) {
        self.ranges.push((self.decoded.place(from), self.decoded.place(to), reason.to_owned().into()));
    }

    /// Notes damage that makes the text from `from` to `to` unusable.
    pub(crate) fn damaged(&mut self, code: &'static str, (from, to): (usize, usize), what: &str) {
        let place = self.decoded.place(from);
        self.unused(from, to, what);
        self.observed.damaged(code, format!("{what} at byte {place}"));
    }

    /// Finishes reading a file of `size` bytes.
    pub(crate) fn finish(mut self, size: u64) -> Observations {
        for (from, to) in &self.decoded.bad {
            self.ranges.push((*from, *to, "not text".into()));
        }
        if !self.decoded.bad.is_empty() {
            let count = self.decoded.bad.len();
            self.observed.damaged("not-text", format!("{count} stretches of bytes are no text"));
        }
        self.ranges.sort();
        let mut end = 0;
        for (from, to, reason) in self.ranges {
            let (from, to) = ((from as u64).max(end), (to as u64).min(size));
            if from >= to {
                continue;
            }
            let is_full = self.observed.unused.len() == MAX_RANGES;
            match self.observed.unused.last_mut() {
                Some(last) if is_full || (last.to == from && last.reason == *reason) => last.to = to,
                _ => self.observed.unused.push(Unused { from, to, reason: reason.into_owned() }),
            }
            end = to;
        }
        self.observed
    }
}
