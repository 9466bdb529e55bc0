//! What the target must have of one thing, as digests: small enough to be kept until everything is verified.

use nofx_core::json::{Object, Text};
use nofx_core::{Body, Kind, LogKey, RecordKey};

use super::imported::{content, content_digest};
use super::names::NameNumbers;
use super::plan::{Plan, PlannedLog, PlannedRecord};
use crate::digest::{Print, Printing};

/// What the target must have of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) records: Vec<ExpectedRecord>,
    pub(crate) logs: Vec<ExpectedLog>,
}

/// A record that the target must have.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedRecord {
    pub(crate) kind: &'static str,
    pub(crate) key: RecordKey,
    /// The id, for things that people delete.
    pub(crate) id: Option<Text>,
    /// The digest of its content.
    pub(crate) digest: String,
    /// Its content, if that is damaged: the target may have more of it.
    pub(crate) damaged: Option<Object>,
}

/// Entries that a log must have.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedLog {
    pub(crate) kind: &'static str,
    pub(crate) log: LogKey,
    pub(crate) bodies: Bodies,
}

impl Expected {
    /// Computes the digests of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            records: plan.records.iter().map(ExpectedRecord::of).collect(),
            logs: plan.logs.iter().map(log).collect(),
        }
    }

    /// Writes it for [`read`](Self::read) in the same run.
    pub(crate) fn write(&self, names: &NameNumbers) -> Vec<u8> {
        let record = |record: &ExpectedRecord| {
            let ExpectedRecord { kind, key, id, digest, damaged } = record;
            let (id, damaged) = (id.as_ref().map(Text::to_json), damaged.as_ref().map(Object::to_json));
            (names.number(kind), key.kind().as_str().to_owned(), key.id().to_owned(), id, digest.clone(), damaged)
        };
        let log = |log: &ExpectedLog| {
            let ExpectedLog { kind, log, bodies: Bodies { count, print } } = log;
            (names.number(kind), log.kind().as_str().to_owned(), log.id().to_owned(), *count, *print)
        };
        let written: Written = (self.records.iter().map(record).collect(), self.logs.iter().map(log).collect());
        serde_json::to_vec(&written).unwrap_or_default()
    }

    /// Reads what was written; `None` if it was not.
    pub(crate) fn read(written: &[u8], names: &NameNumbers) -> Option<Self> {
        let (records, logs): Written = serde_json::from_slice(written).ok()?;
        let record = |(kind, of, key, id, digest, damaged): WrittenRecord| {
            let key = RecordKey::new(Kind::new(of).ok()?, key).ok()?;
            let id = id.and_then(|id| Text::from_json(&id));
            let damaged = damaged.and_then(|damaged| Object::parse(&damaged).ok());
            Some(ExpectedRecord { kind: names.name(kind), key, id, digest, damaged })
        };
        let log = |(kind, of, log, count, print): WrittenLog| {
            let log = LogKey::new(Kind::new(of).ok()?, log).ok()?;
            Some(ExpectedLog { kind: names.name(kind), log, bodies: Bodies { count, print } })
        };
        Some(Self {
            records: records.into_iter().map(record).collect::<Option<_>>()?,
            logs: logs.into_iter().map(log).collect::<Option<_>>()?,
        })
    }
}

type Written = (Vec<WrittenRecord>, Vec<WrittenLog>);
type WrittenRecord = (usize, String, String, Option<String>, String, Option<String>);
type WrittenLog = (usize, String, String, u64, Print);

impl ExpectedRecord {
    pub(crate) fn of(planned: &PlannedRecord) -> Self {
        Self {
            kind: planned.kind,
            key: planned.key.clone(),
            id: planned.id.clone(),
            digest: content_digest(&planned.object),
            damaged: planned.is_damaged.then(|| content(&planned.object)),
        }
    }

    /// Returns whether a record has everything that is left of a damaged one.
    pub(crate) fn is_part_of(&self, object: &Object) -> bool {
        let has = |(name, value): (Text, &str)| name.as_str().and_then(|name| object.get(name)) == Some(value);
        self.damaged.as_ref().is_some_and(|damaged| damaged.iter().all(has))
    }
}

fn log(planned: &PlannedLog) -> ExpectedLog {
    let mut bodies = BodyCounts::default();
    planned.items.iter().for_each(|item| bodies.add(&item.body));
    ExpectedLog { kind: planned.kind, log: planned.log.clone(), bodies: bodies.finish() }
}

/// Bodies in their order: how many they are, and a digest of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bodies {
    pub(crate) count: u64,
    pub(crate) print: Print,
}

/// Counts bodies that arrive one by one.
#[derive(Debug, Default)]
pub(crate) struct BodyCounts {
    count: u64,
    printing: Printing,
}

impl BodyCounts {
    pub(crate) fn add(&mut self, body: &Body) {
        self.count += 1;
        self.printing.add(&(body.len() as u64).to_le_bytes());
        self.printing.add(body.as_str().as_bytes());
    }

    pub(crate) fn finish(self) -> Bodies {
        Bodies { count: self.count, print: self.printing.finish() }
    }
}

#[cfg(test)]
mod tests {
    use nofx_core::kind;

    use super::*;

    #[test]
    fn what_is_expected_is_read_as_it_was_written() {
        let names = NameNumbers::default();
        let record = ExpectedRecord {
            kind: "sessions",
            key: RecordKey::new(kind::SESSION, "a\u{1}\"é").unwrap(),
            id: Text::from_json(r#""a\ud83db""#),
            digest: "d".repeat(64),
            damaged: Object::parse(r#"{"a":[1,"\ud800"]}"#).ok(),
        };
        let plain = ExpectedRecord { kind: "agents", id: None, damaged: None, ..record.clone() };
        let log = ExpectedLog {
            kind: "messages",
            log: LogKey::new(kind::HISTORY, "a").unwrap(),
            bodies: Bodies { count: u64::MAX, print: Print::MAX },
        };
        let expected = Expected { records: vec![record, plain], logs: vec![log] };
        let read = Expected::read(&expected.write(&names), &names).unwrap();
        assert_eq!(format!("{read:?}"), format!("{expected:?}"));
        assert!(Expected::read(b"", &names).is_none());
    }
}
