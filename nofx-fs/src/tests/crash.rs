//! Power cuts after every operation: everything acknowledged is there afterwards, complete.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use nofx_core::{
    Batch, BatchId, Body, Changes, Expect, Kind, LogKey, LogQuery, LogScan, LogState, NewEntry, Outcome, RecordKey,
    ScanQuery, Timestamp, kind,
};
use nofx_journal::sim::{Dice, Platter, Sim};

use crate::layout;
use crate::options::Options;
use crate::store::OpenFolder;

const NOTE: Kind = Kind::of("note");
const TALK: Kind = Kind::of("talk");

/// The expected content of a store: each committed batch changes what was before.
#[derive(Clone, Debug, Default, PartialEq)]
struct Content {
    records: BTreeMap<String, (u64, String)>,
    logs: BTreeMap<String, (LogState, Vec<String>)>,
    feed: Vec<BatchId>,
    last_seq: u64,
}

impl Content {
    fn take(&mut self, batch: &Batch) {
        if !batch.writes.is_empty() {
            self.last_seq += 1;
        }
        for write in &batch.writes {
            match &write.body {
                Some(body) => self.records.insert(write.key.to_string(), (self.last_seq, body.to_string())),
                None => self.records.remove(&write.key.to_string()),
            };
        }
        for append in &batch.appends {
            let texts = append.entries.iter().map(|entry| entry.body.to_string());
            self.log(&append.log).1.extend(texts);
        }
        for log in &batch.seals {
            self.log(log).0 = LogState::Sealed;
        }
        for log in &batch.removals {
            self.logs.remove(&log.to_string());
        }
        self.feed.push(batch.id);
    }

    fn log(&mut self, log: &LogKey) -> &mut (LogState, Vec<String>) {
        self.logs.entry(log.to_string()).or_insert((LogState::Open, Vec::new()))
    }

    /// Describes the differences, without the texts.
    fn differences(&self, expected: &Self) -> String {
        let records = expected.records.iter().filter(|(key, record)| self.records.get(*key) != Some(record));
        let records = records.map(|(key, record)| (key, record.0, self.records.get(key).map(|record| record.0)));
        let logs = expected.logs.iter().filter(|(key, log)| self.logs.get(*key) != Some(log));
        let logs = logs.map(|(key, log)| (key, log.0, log.1.len(), self.logs.get(key).map(|log| (log.0, log.1.len()))));
        let (more, less) = (self.feed.len(), expected.feed.len());
        format!(
            "{more} commits instead of {less}; number {} instead of {}; records, expected and found: {:?}; logs: {:?}",
            self.last_seq,
            expected.last_seq,
            records.collect::<Vec<_>>(),
            logs.collect::<Vec<_>>()
        )
    }

    /// Reads everything that a store returns.
    fn of(store: &OpenFolder) -> Result<Self, String> {
        let told = |error: nofx_core::Error| error.to_string();
        let mut content = Self::default();
        for record in store.scan(&ScanQuery::all(usize::MAX)).map_err(told)?.items {
            content.records.insert(record.key.to_string(), (record.version.get(), record.body.to_string()));
        }
        for head in store.logs(&LogScan::all(usize::MAX)).map_err(told)?.items {
            let entries = store.read(&LogQuery::oldest_first(head.log.clone(), usize::MAX)).map_err(told)?.items;
            if entries.len() as u64 != head.length {
                return Err(format!("{} has {} of {} entries", head.log, entries.len(), head.length));
            }
            let texts = entries.into_iter().map(|entry| entry.body.to_string()).collect();
            content.logs.insert(head.log.to_string(), (head.state, texts));
        }
        let mut after = None;
        loop {
            match store.changes(after.as_ref(), 1000).map_err(told)? {
                Changes::Gap { .. } => return Err("a gap in the feed".to_owned()),
                Changes::Page(page) if page.changes.is_empty() => break,
                Changes::Page(page) => {
                    content.feed.extend(page.changes.iter().map(|change| change.batch));
                    after = Some(page.next);
                }
            }
        }
        content.last_seq = store.last_seq().map_or(0, |seq| seq.get());
        Ok(content)
    }
}

/// What has been acknowledged, and what is being committed.
#[derive(Clone, Debug, Default)]
struct Ledger {
    acknowledged: Content,
    /// Groups that may have happened, one after the other: in flight, or failed with an unknown outcome.
    perhaps: Vec<Vec<Batch>>,
    conflicts: usize,
}

impl Ledger {
    /// Returns whether the store may have this content now.
    fn allows(&self, found: &Content) -> bool {
        // Each unsettled group happened or did not.
        (0..1_u32 << self.perhaps.len()).any(|chosen| {
            let mut content = self.acknowledged.clone();
            let groups = self.perhaps.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
            groups.flat_map(|(_, group)| group).for_each(|batch| content.take(batch));
            content == *found
        })
    }
}

/// A random history, with power cuts during it.
struct Run {
    seed: u64,
    steps: usize,
    /// How many power cuts are tried after each operation.
    cuts: usize,
    skipped: Option<fn(&str) -> bool>,
    failures: bool,
}

#[derive(Debug, Default)]
struct Found {
    cuts: u64,
    losses: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self { seed, steps: 40, cuts: 1, skipped: None, failures: false }
    }

    fn options(&self) -> Options {
        // Sequentially, so that a seed determines what happens.
        Options { at_once: 1, applies: false, segment_bytes: 4096, ..Options::default() }
    }

    fn go(&self) -> Found {
        let mut dice = Dice(self.seed);
        let sim = Sim::default();
        sim.set_faults(|faults| faults.skipped = self.skipped);
        let store = |sim: &Sim| OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), self.options());
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let found = Arc::new(Mutex::new(Found::default()));
        let watcher = Watcher {
            seed: self.seed,
            cuts: self.cuts,
            options: self.options(),
            ledger: ledger.clone(),
            found: found.clone(),
            dice: Mutex::new(Dice(!self.seed)),
        };
        sim.watch(move |platter| watcher.look(platter));
        let mut open = store(&sim).unwrap();
        let mut ids = 0_u64;
        for step in 0..self.steps {
            let group: Vec<_> = (0..1 + dice.below(3)).map(|_| random_batch(&mut dice, &mut ids)).collect();
            if self.failures && dice.one_in(6) {
                sim.set_faults(|faults| faults.fail_flush = Some(1));
            }
            if self.failures {
                let fails: fn(&str) -> bool = |path| path == layout::TIP;
                let fails = dice.one_in(3).then_some(fails);
                sim.set_faults(|faults| faults.fail_write = fails);
            }
            // The outcomes of a group with a conflicting batch are beyond the simple model.
            let mut happening = Vec::new();
            for batch in group {
                ledger.lock().unwrap().perhaps.push(vec![batch.clone()]);
                match open.commit(vec![batch.clone()]) {
                    Ok(outcomes) => {
                        let mut ledger = ledger.lock().unwrap();
                        ledger.perhaps.pop();
                        match &outcomes[0] {
                            Outcome::Committed(_) => {
                                // An answer settles what was unknown before.
                                settle(&mut ledger, &open);
                                ledger.acknowledged.take(&batch);
                            }
                            Outcome::Conflicted(_) => ledger.conflicts += 1,
                        }
                    }
                    Err(error) => {
                        // The flush of a new segment may fail as well; then nothing has happened.
                        assert!(
                            ["unknown", "unavailable"].contains(&error.code()),
                            "seed {}, step {step}: {error}",
                            self.seed
                        );
                        if error.code() == "unavailable" {
                            ledger.lock().unwrap().perhaps.pop();
                        }
                        happening.push(batch);
                    }
                }
            }
            for batch in happening {
                if ledger.lock().unwrap().perhaps.iter().all(|group| group[0].id != batch.id) {
                    ledger.lock().unwrap().perhaps.push(vec![batch.clone()]);
                }
                let again = open.commit(vec![batch.clone()]);
                let mut ledger = ledger.lock().unwrap();
                if let Ok(outcomes) = again {
                    ledger.perhaps.retain(|group| group[0].id != batch.id);
                    if matches!(outcomes[0], Outcome::Committed(_)) && !ledger.acknowledged.feed.contains(&batch.id) {
                        ledger.acknowledged.take(&batch);
                    }
                }
            }
            if dice.one_in(4) {
                open.apply().unwrap();
            }
            if dice.one_in(15) {
                drop(open);
                open = store(&sim).unwrap();
            }
            if !found.lock().unwrap().losses.is_empty() {
                break;
            }
        }
        sim.stop_watching();
        let mut found = std::mem::take(&mut *found.lock().unwrap());
        match Content::of(&open) {
            Ok(content) if ledger.lock().unwrap().allows(&content) => {}
            other => found.losses.push(format!("seed {}: at the end {other:?}", self.seed)),
        }
        found
    }
}

/// Settles the groups before an answer: each has happened by now, or never will.
fn settle(ledger: &mut Ledger, store: &OpenFolder) {
    for batch in std::mem::take(&mut ledger.perhaps).iter().flatten() {
        if store.follower().remembered(&batch.id).unwrap().is_some() {
            ledger.acknowledged.take(batch);
        }
    }
}

/// Cuts the power after each operation, and checks what is left.
struct Watcher {
    seed: u64,
    cuts: usize,
    options: Options,
    ledger: Arc<Mutex<Ledger>>,
    found: Arc<Mutex<Found>>,
    dice: Mutex<Dice>,
}

impl Watcher {
    fn look(&self, platter: &Platter) {
        if !self.found.lock().unwrap().losses.is_empty() {
            return;
        }
        let ledger = self.ledger.lock().unwrap().clone();
        for _ in 0..self.cuts {
            let mut dice = self.dice.lock().unwrap();
            let image = platter.cut(&mut dice);
            let again = dice.one_in(4).then(|| dice.roll());
            // The catalog is derived: nothing may depend on it.
            let image = if dice.one_in(5) { image.without(layout::CATALOG) } else { image };
            drop(dice);
            let looked = look_at(image, &self.options, &ledger, again);
            let mut found = self.found.lock().unwrap();
            found.cuts += 1;
            if let Err(what) = looked {
                let loss = format!("seed {}, cut {}: {what}", self.seed, found.cuts);
                found.losses.push(loss);
                return;
            }
        }
    }
}

/// Opens what a power cut left, compares, and continues with it; perhaps until the next power cut.
fn look_at(image: Platter, options: &Options, ledger: &Ledger, again: Option<u64>) -> Result<(), String> {
    let sim = Sim::holding(image);
    let second = Arc::new(Mutex::new(None));
    if let Some(seed) = again {
        let (second, dice) = (second.clone(), Mutex::new(Dice(seed)));
        sim.watch(move |platter| {
            let mut dice = dice.lock().unwrap();
            if dice.one_in(5) {
                *second.lock().unwrap() = Some(platter.cut(&mut dice));
            }
        });
    }
    let store = OpenFolder::open(Arc::new(sim.clone()), Path::new("store"), options.clone())
        .map_err(|error| error.to_string())?;
    if let Some(damage) = store.journal_damage().map_err(|error| error.to_string())? {
        return Err(format!("damaged: {damage}"));
    }
    let content = Content::of(&store)?;
    if !ledger.allows(&content) {
        return Err(content.differences(&ledger.acknowledged));
    }
    // Bringing the files up to date changes no content, and the store can be used further.
    store.apply().map_err(|error| format!("applying: {error}"))?;
    if Content::of(&store)? != content {
        return Err("it holds something else once the files are up to date".to_owned());
    }
    sim.stop_watching();
    let mut after = content;
    let note = Batch::new(BatchId::from_bytes([255; 16])).put(record(NOTE, "after"), Expect::Any, Body::trusted("1"));
    after.take(&note);
    store.commit(vec![note]).map_err(|error| format!("going on: {error}"))?;
    if Content::of(&store)? != after {
        return Err("it does not go on from what it held".to_owned());
    }
    let second = second.lock().unwrap().take();
    match second {
        Some(image) => look_at(image, options, ledger, None).map_err(|what| format!("a second cut: {what}")),
        None => Ok(()),
    }
}

fn record(kind: Kind, id: &str) -> RecordKey {
    RecordKey::new(kind, id).unwrap()
}

fn random_batch(dice: &mut Dice, ids: &mut u64) -> Batch {
    *ids += 1;
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&ids.to_be_bytes());
    let mut batch = Batch::new(BatchId::from_bytes(bytes));
    let body = |dice: &mut Dice| {
        let size = if dice.one_in(10) { 3000 } else { dice.below(200) };
        Body::trusted(format!("{{\"n\":{ids},\"x\":\"{}\"}}", "x".repeat(size as usize)))
    };
    let mut keys =
        vec![record(NOTE, "a"), record(NOTE, "B/c"), record(kind::AGENT, "ada"), record(kind::TEMPLATE_NAME, "t")];
    for _ in 0..dice.below(3) {
        let key = keys.swap_remove(dice.below(keys.len() as u64) as usize);
        batch = match dice.one_in(4) {
            true => batch.delete(key, Expect::Any),
            false => batch.put(key, Expect::Any, body(dice)),
        };
    }
    let talk = |n: u64| {
        LogKey::new(
            if n.is_multiple_of(2) { TALK } else { kind::HISTORY },
            format!("{}{n}", "L".repeat(n as usize % 3 * 80)),
        )
        .unwrap()
    };
    // Logs are created and removed, so that there is always one to append to.
    let window = *ids / 20;
    for n in 0..dice.below(3) {
        let entries =
            (0..1 + dice.below(3)).map(|_| NewEntry { at: Timestamp::from_millis(*ids as i64), body: body(dice) });
        batch = batch.append(talk(window * 3 + n), entries.collect());
    }
    if window > 0 && dice.one_in(4) {
        let old = talk((window - 1) * 3 + dice.below(3));
        batch = if dice.one_in(3) { batch.remove(old) } else { batch.seal(old) };
    }
    batch
}

fn seeds(default: u64) -> u64 {
    std::env::var("NOFX_FS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn nothing_acknowledged_is_lost_by_a_power_cut() {
    let mut cuts = 0;
    for seed in 0..seeds(2) {
        let found = Run::new(seed).go();
        assert_eq!(found.losses, Vec::<String>::new());
        cuts += found.cuts;
    }
    println!("{cuts} power cuts, nothing lost");
    assert!(cuts > 1000);
}

#[test]
fn a_failed_flush_loses_nothing_that_was_acknowledged() {
    let mut cuts = 0;
    for seed in 100..100 + seeds(2) {
        let found = Run { failures: true, ..Run::new(seed) }.go();
        assert_eq!(found.losses, Vec::<String>::new());
        cuts += found.cuts;
    }
    println!("{cuts} power cuts, nothing lost");
}

/// Returns how many of several histories end in a loss.
fn losses(change: impl Fn(&mut Run)) -> usize {
    let lost = (0..4).filter(|seed| {
        let mut run = Run::new(*seed);
        change(&mut run);
        !run.go().losses.is_empty()
    });
    lost.count()
}

#[test]
fn commits_without_a_flush_are_noticed() {
    assert!(losses(|run| run.skipped = Some(|path| path.contains("segment"))) > 0);
}

#[test]
fn files_without_a_flush_are_noticed() {
    let skipped = |path: &str| path.contains("jsonl") || path.ends_with(".json~new");
    assert!(losses(|run| run.skipped = Some(skipped)) > 0);
}

#[test]
fn names_without_a_flush_are_noticed() {
    assert!(losses(|run| run.skipped = Some(|path| path.ends_with('/'))) > 0);
}
