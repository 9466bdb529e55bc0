//! What the target shall have of one thing, as digests: small enough to be kept until everything is verified.

use std::collections::HashMap;

use nofx_core::json::{Object, Text};
use nofx_core::{Body, LogKey, RecordKey};

use super::imported::{content, content_digest};
use super::plan::{Plan, PlannedLog, PlannedRecord, Thing};
use crate::digest::{Print, Printing};

/// What was planned in this run, by thing.
pub(crate) type Planned = HashMap<Thing, Expected>;

/// What the target shall have of one thing.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) records: Vec<ExpectedRecord>,
    pub(crate) logs: Vec<ExpectedLog>,
}

/// A record that the target shall have.
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

/// Entries that a log shall have.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedLog {
    pub(crate) kind: &'static str,
    pub(crate) log: LogKey,
    pub(crate) bodies: Bodies,
}

impl Expected {
    /// Makes the digests of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            records: plan.records.iter().map(ExpectedRecord::of).collect(),
            logs: plan.logs.iter().map(log).collect(),
        }
    }
}

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

    /// Returns whether a record has all that is left of a damaged one.
    pub(crate) fn is_part_of(&self, object: &Object) -> bool {
        let has = |(name, value): (Text, &str)| name.as_str().and_then(|name| object.get(name)) == Some(value);
        self.damaged.as_ref().is_some_and(|damaged| damaged.iter().all(has))
    }
}

fn log(planned: &PlannedLog) -> ExpectedLog {
    let mut bodies = Counting::default();
    planned.items.iter().for_each(|item| bodies.add(&item.body));
    ExpectedLog { kind: planned.kind, log: planned.log.clone(), bodies: bodies.finish() }
}

/// Some bodies in their order: how many they are, and what all of them make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bodies {
    pub(crate) count: u64,
    pub(crate) print: Print,
}

/// Counts bodies that come one by one.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    count: u64,
    printing: Printing,
}

impl Counting {
    pub(crate) fn add(&mut self, body: &Body) {
        self.count += 1;
        self.printing.add(&(body.len() as u64).to_le_bytes());
        self.printing.add(body.as_str().as_bytes());
    }

    pub(crate) fn finish(self) -> Bodies {
        Bodies { count: self.count, print: self.printing.finish() }
    }
}
