//! What really happened, according to every commit that was ever created, and whether every caller was told the
//! truth about it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::FutureExt;
use nofx_core::{
    Batch, BatchId, Changes, Conflict, Key, LogEntry, LogHead, LogKey, LogQuery, LogScan, LogState, MemoryBackend,
    Outcome, PersistenceBackend, Record, RecordKey, Result, ScanQuery, Seq, Timestamp, View,
};

use super::world::World;
use crate::commit::Commit;

/// One call and its answer.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) host: usize,
    /// How often the store had been replaced when the call began; `None` if it was replaced during the call.
    pub(crate) epoch: Option<u64>,
    /// The newest commit when the call began and when it ended.
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// A commit and its outcomes, or the code of its error; `crashed` if its caller did not live to receive it.
    Commit { group: Vec<Batch>, outcomes: Result<Vec<Outcome>, &'static str> },
    /// All records.
    Records(Vec<Record>),
    /// All heads.
    Heads(Vec<LogHead>),
    /// All entries of a log.
    Entries(LogKey, Vec<LogEntry>),
    /// A read that found something wrong.
    Wrong(String),
}

/// The content after one commit.
#[derive(Clone, Debug, Default, PartialEq)]
struct Snapshot {
    records: BTreeMap<RecordKey, Record>,
    logs: BTreeMap<LogKey, (LogState, Vec<LogEntry>)>,
    last_seq: Option<Seq>,
}

impl View for Snapshot {
    fn version(&mut self, key: &RecordKey) -> Result<Option<Seq>> {
        Ok(self.records.get(key).map(|record| record.version))
    }

    fn head(&mut self, log: &LogKey) -> Result<LogHead> {
        Ok(Snapshot::head(self, log))
    }
}

impl Snapshot {
    fn head(&self, log: &LogKey) -> LogHead {
        match self.logs.get(log) {
            None => LogHead::missing(log.clone()),
            Some((state, entries)) => LogHead {
                log: log.clone(),
                length: entries.len() as u64,
                last_at: entries.last().map(|entry: &LogEntry| -> Timestamp { entry.at }),
                state: *state,
            },
        }
    }

    fn apply(&mut self, batch: &Batch) {
        if !batch.writes.is_empty() {
            let version = self.last_seq.map_or(Seq::FIRST, Seq::next);
            self.last_seq = Some(version);
            for write in &batch.writes {
                match &write.body {
                    Some(body) => {
                        let record = Record { key: write.key.clone(), version, body: body.clone() };
                        self.records.insert(write.key.clone(), record)
                    }
                    None => self.records.remove(&write.key),
                };
            }
        }
        for append in &batch.appends {
            let (_, entries) = self.log(&append.log);
            for entry in &append.entries {
                let position = entries.len() as u64;
                entries.push(LogEntry { position, at: entry.at, body: entry.body.clone() });
            }
        }
        batch.seals.iter().for_each(|log| self.log(log).0 = LogState::Sealed);
        batch.removals.iter().for_each(|log| *self.log(log) = (LogState::Removed, Vec::new()));
    }

    fn log(&mut self, log: &LogKey) -> &mut (LogState, Vec<LogEntry>) {
        self.logs.entry(log.clone()).or_insert((LogState::Open, Vec::new()))
    }

    fn heads(&self) -> Vec<LogHead> {
        let heads = self.logs.keys().map(|log| self.head(log));
        heads.filter(|head| head.state != LogState::Removed).collect()
    }
}

/// The whole history of a store.
pub(crate) struct Truth {
    /// The content after each commit; empty at 0.
    snapshots: Vec<Snapshot>,
    /// The batches of each commit.
    batches: Vec<Vec<BatchId>>,
    outcomes: HashMap<BatchId, Outcome>,
    number: HashMap<BatchId, u64>,
    pub(crate) problems: Vec<String>,
}

impl Truth {
    /// Replays every commit on the oracle.
    pub(crate) fn of(world: &World, tried: &HashMap<BatchId, Batch>) -> Self {
        let mut truth = Self {
            snapshots: vec![Snapshot::default()],
            batches: vec![Vec::new()],
            outcomes: HashMap::new(),
            number: HashMap::new(),
            problems: world.violations.lock().unwrap().clone(),
        };
        let oracle = MemoryBackend::new();
        let mut snapshot = Snapshot::default();
        let strays = world.strays.lock().unwrap();
        for (number, object) in &*world.commits.lock().unwrap() {
            // A commit that does not follow changes nothing.
            while (truth.snapshots.len() as u64) < *number && strays.contains(&(truth.snapshots.len() as u64)) {
                truth.snapshots.push(snapshot.clone());
                truth.batches.push(Vec::new());
            }
            if truth.snapshots.len() as u64 != *number {
                truth.problems.push(format!("commit {} is missing before {number}", truth.snapshots.len()));
                return truth;
            }
            let commit = match Commit::decode(object, *number, "a commit") {
                Ok(commit) => commit,
                Err(error) => {
                    truth.problems.push(format!("commit {number}: {error}"));
                    return truth;
                }
            };
            let mut batches = Vec::new();
            for applied in commit.last().unwrap().batches() {
                let applied = applied.unwrap();
                let batch = &tried[&applied.id];
                let outcome = oracle.commit(vec![batch.clone()]).now_or_never().unwrap().unwrap().pop().unwrap();
                match &outcome {
                    _ if truth.number.contains_key(&batch.id) => {
                        truth.problems.push(format!("batch {} was committed twice", batch.id));
                    }
                    Outcome::Conflicted(conflict) => {
                        truth.problems.push(format!("commit {number} should have met a {conflict}"));
                    }
                    Outcome::Committed(committed) => {
                        let firsts: Vec<_> = applied.appends.iter().map(|append| append.first).collect();
                        let expected: Vec<_> = committed.appended.iter().map(|range| range.start).collect();
                        if (applied.seq, &firsts) != (committed.seq, &expected) {
                            truth.problems.push(format!("commit {number} gave itself {:?} {firsts:?}", applied.seq));
                        }
                        snapshot.apply(batch);
                    }
                }
                truth.number.insert(batch.id, *number);
                truth.outcomes.insert(batch.id, outcome);
                batches.push(batch.id);
            }
            truth.snapshots.push(snapshot.clone());
            truth.batches.push(batches);
        }
        truth
    }

    /// Compares what every caller was told with what happened, since the store was last replaced.
    pub(crate) fn judge(&mut self, history: &[Event], now: u64) {
        let mut tried: HashSet<BatchId> = HashSet::new();
        let mut certain: Vec<BatchId> = Vec::new();
        let mut tried_again: HashSet<BatchId> = HashSet::new();
        let mut problems = Vec::new();
        for Event { host, epoch, from, to, what } in history {
            if *epoch != Some(now) {
                if let What::Commit { group, .. } = what {
                    tried.extend(group.iter().map(|batch| batch.id));
                }
                continue;
            }
            let told = |what: String| format!("host {host}, between {from} and {to}: {what}");
            let window = &self.snapshots[*from as usize..=*to as usize];
            match what {
                What::Commit { group, outcomes } => {
                    let fresh = group.iter().all(|batch| !tried.contains(&batch.id));
                    tried_again.extend(group.iter().map(|batch| batch.id).filter(|id| !tried.insert(*id)));
                    match outcomes {
                        Ok(outcomes) => {
                            for (at, (batch, outcome)) in group.iter().zip(outcomes).enumerate() {
                                match outcome {
                                    Outcome::Committed(_) if self.outcomes.get(&batch.id) != Some(outcome) => {
                                        let really = self.outcomes.get(&batch.id);
                                        problems.push(told(format!("told {outcome:?}, really {really:?}")));
                                    }
                                    Outcome::Committed(_) if self.number[&batch.id] > *to => {
                                        problems.push(told(format!("{outcome:?} too early")));
                                    }
                                    Outcome::Conflicted(conflict)
                                        if !self.justifies(*from, *to, &group[..at], batch, conflict) =>
                                    {
                                        problems.push(told(format!("no reason for a {conflict}")));
                                    }
                                    Outcome::Committed(_) | Outcome::Conflicted(_) => {}
                                }
                            }
                        }
                        Err("unknown" | "crashed") => {}
                        Err("unavailable" | "gone" | "replaced") => {
                            certain.extend(group.iter().filter(|_| fresh).map(|batch| batch.id))
                        }
                        Err(code) => problems.push(told(format!("a commit answered {code}"))),
                    }
                }
                What::Records(seen) => {
                    if !window.iter().any(|then| then.records.values().eq(seen)) {
                        problems.push(told(format!("records that never were: {seen:?}")));
                    }
                }
                What::Heads(seen) => {
                    if !window.iter().any(|then| then.heads() == *seen) {
                        problems.push(told(format!("heads that never were: {seen:?}")));
                    }
                }
                What::Entries(log, seen) => {
                    let none = (LogState::Open, Vec::new());
                    if !window.iter().any(|then| then.logs.get(log).unwrap_or(&none).1 == *seen) {
                        problems.push(told(format!("entries of {log} that never were: {seen:?}")));
                    }
                }
                What::Wrong(what) => problems.push(told(what.clone())),
            }
        }
        for id in certain {
            if !tried_again.contains(&id)
                && let Some(number) = self.number.get(&id)
            {
                problems.push(format!("batch {id} was told to be unavailable and is commit {number}"));
            }
        }
        self.problems.extend(problems);
    }

    /// Returns whether a batch would have met this conflict at some point during the call.
    fn justifies(&self, from: u64, to: u64, before: &[Batch], batch: &Batch, conflict: &Conflict) -> bool {
        (from..=to).any(|number| {
            let mut then = self.snapshots[number as usize].clone();
            let next = self.batches.get(number as usize + 1);
            before.iter().filter(|one| next.is_some_and(|next| next.contains(&one.id))).for_each(|one| then.apply(one));
            batch.check(&mut then).unwrap().as_ref() == Some(conflict)
        })
    }

    /// Compares what a store finally holds with what happened.
    pub(crate) async fn compare(&mut self, store: &Arc<dyn PersistenceBackend>) {
        let last = self.snapshots.last().cloned().unwrap_or_default();
        let records = all_records(&**store).await.unwrap();
        if !last.records.values().eq(&records) {
            self.problems.push(format!("in the end the records are {records:?}"));
        }
        let heads = store.logs(&LogScan::all(10_000)).await.unwrap().items;
        if heads != last.heads() {
            self.problems.push(format!("in the end the logs are {heads:?}"));
        }
        for head in heads {
            let found = all_entries(&**store, &head.log).await.unwrap();
            let really = last.logs.get(&head.log).map(|log| log.1.as_slice()).unwrap_or_default();
            if found != really {
                self.problems.push(format!("in the end {} holds {found:?}, really {really:?}", head.log));
            }
        }
        let Changes::Page(feed) = store.changes(None, 10_000).await.unwrap() else {
            self.problems.push("a gap".to_owned());
            return;
        };
        let told: Vec<_> = feed.changes.iter().map(|change| change.batch).collect();
        if told != self.batches.concat() {
            self.problems.push(format!("in the end the feed is {told:?}"));
        }
    }
}

/// Reads all records.
pub(crate) async fn all_records(store: &dyn PersistenceBackend) -> Result<Vec<Record>> {
    Ok(store.scan(&ScanQuery::all(10_000)).await?.items)
}

/// Reads all entries of a log.
pub(crate) async fn all_entries(store: &dyn PersistenceBackend, log: &LogKey) -> Result<Vec<LogEntry>> {
    let mut entries = Vec::new();
    loop {
        let query = LogQuery::oldest_first(log.clone(), 10_000).within(entries.len() as u64..u64::MAX);
        let page = store.read(&query).await?;
        entries.extend(page.items);
        if !page.more {
            return Ok(entries);
        }
    }
}

/// Makes a key of a suitable kind.
pub(crate) fn key<K: Key>(id: &str) -> K {
    K::new(nofx_core::Kind::of("test"), id).unwrap()
}
