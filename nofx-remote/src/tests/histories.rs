//! Histories of several writers over unreliable connections, with crashes and sleep, judged by the oracle.
//!
//! `NOFX_REMOTE_HISTORIES` sets how many of each sort, `NOFX_REMOTE_SEED` the first seed; both are printed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join;
use nofx_core::{
    Batch, BatchId, Body, Expect, Guard, IdSource, LogHead, LogKey, LogScan, NewEntry, PersistenceBackend, RecordKey,
    SeededIds, Seq, Timestamp,
};
use tokio::time::sleep;

use super::sleep::FOR_EVER;
use super::truth::{Event, Truth, What, all_entries, all_records, key};
use super::world::{Copy, Dice, Line, Rates, World};
use crate::RemoteBackend;
use crate::options::Rules;

/// A sort of history.
#[derive(Clone, Copy, Debug)]
struct Sort {
    name: &'static str,
    crashes: bool,
    /// Whether hosts sleep so long that they must open again, while others collect.
    sleeps: bool,
    /// Whether the store is replaced by older copies, or removed and put back, while hosts have it open.
    replaced: bool,
    steps: u64,
}

const PLAIN: Sort = Sort { name: "plain", crashes: false, sleeps: false, replaced: false, steps: 14 };
const CRASHES: Sort = Sort { name: "crashes", crashes: true, ..PLAIN };
const SLEEPS: Sort = Sort { name: "crashes and sleep", crashes: true, sleeps: true, steps: 20, ..PLAIN };

const REPLACED: Sort = Sort { name: "replaced by copies", crashes: true, replaced: true, ..PLAIN };

const HOSTS: usize = 4;

/// Small enough for everything to happen within a few commits.
fn small_rules(patience: Duration) -> Rules {
    Rules {
        stale: Duration::from_secs(100),
        grace: Duration::from_secs(240),
        collect_every: Duration::from_secs(50),
        inline_bytes: 60,
        roll_at: 2 << 10,
        roll_first: 6 << 10,
        burden: 300,
        heavy: 8 << 10,
        ..Rules::new(patience)
    }
}

/// One writer's machine.
struct Host {
    number: usize,
    world: Arc<World>,
    rules: Rules,
    dice: Dice,
    ids: SeededIds,
    line: Arc<Line>,
    store: Option<Arc<RemoteBackend>>,
    /// How often the store had been replaced when it was opened.
    opened: u64,
    records: HashMap<RecordKey, Seq>,
    heads: HashMap<LogKey, LogHead>,
    unsettled: Vec<Vec<Batch>>,
    made: u64,
    history: Arc<Mutex<Vec<Event>>>,
}

impl Host {
    async fn live(mut self, sort: Sort) {
        for _ in 0..sort.steps {
            sleep(self.dice.millis(0..1500)).await;
            if sort.sleeps && self.dice.hits(120) {
                sleep(self.dice.millis(50_000..700_000)).await;
            }
            let Some(store) = self.store().await else { continue };
            let crash = (sort.crashes && self.dice.hits(80)).then(|| self.dice.millis(0..150));
            match self.dice.below(10) {
                0..7 => {
                    let again = self.dice.hits(600).then(|| self.unsettled.pop()).flatten();
                    let group = again.unwrap_or_else(|| self.group());
                    let (epoch, from) = (self.world.epoch(), self.world.newest());
                    let outcomes = match crash {
                        None if self.dice.hits(300) => {
                            // Other tasks use the same handle concurrently.
                            let (outcomes, ()) = join(store.commit(group.clone()), self.look(&store)).await;
                            outcomes.map_err(|error| error.code())
                        }
                        None => store.commit(group.clone()).await.map_err(|error| error.code()),
                        Some(after) => {
                            let given_up = tokio::time::timeout(after, store.commit(group.clone())).await;
                            given_up.map_or(Err("crashed"), |outcomes| outcomes.map_err(|error| error.code()))
                        }
                    };
                    if matches!(outcomes, Err("unknown" | "crashed")) {
                        self.unsettled.push(group.clone());
                    }
                    if matches!(outcomes, Err("gone" | "replaced")) {
                        self.store = None;
                    }
                    self.note(epoch, from, What::Commit { group, outcomes });
                }
                _ => self.look(&store).await,
            }
            if crash.is_some() {
                self.line.cut();
                self.store = None;
            }
        }
    }

    async fn store(&mut self) -> Option<Arc<RemoteBackend>> {
        if self.store.is_none() {
            let rates = Rates::BAD;
            self.line = Line::new(self.world.clone(), rates, self.dice.next(), &self.rules);
            let epoch = self.world.epoch();
            match self.line.open(self.rules.clone()).await {
                Ok(store) => (self.store, self.opened) = (Some(Arc::new(store)), epoch),
                Err(error) if error.is_transient() => {}
                Err(error) => {
                    self.note(epoch, self.world.newest(), What::Wrong(format!("opening: {}", error.chain())));
                }
            }
        }
        self.store.clone()
    }

    fn note(&self, epoch: u64, from: u64, what: What) {
        let epoch = Some(epoch).filter(|epoch| *epoch == self.world.epoch());
        let event = Event { host: self.number, epoch, from, to: self.world.newest(), what };
        self.history.lock().unwrap().push(event);
    }

    async fn look(&mut self, store: &RemoteBackend) {
        let (epoch, from) = (self.world.epoch(), self.world.newest());
        let log: LogKey = key(LOGS[self.dice.below(LOGS.len() as u64) as usize]);
        let seen = match self.dice.below(3) {
            0 => all_records(store).await.map(|records| {
                self.records = records.iter().map(|record| (record.key.clone(), record.version)).collect();
                What::Records(records)
            }),
            1 => store.logs(&LogScan::all(1000)).await.map(|heads| {
                self.heads = heads.items.iter().map(|head| (head.log.clone(), head.clone())).collect();
                What::Heads(heads.items)
            }),
            _ => all_entries(store, &log).await.map(|entries| What::Entries(log.clone(), entries)),
        };
        match seen {
            // Reading checks for newer commits, but not whether what was read before is still there.
            _ if self.opened != epoch => {}
            Ok(seen) => self.note(epoch, from, seen),
            Err(error) if error.is_transient() => {}
            Err(error) => self.note(epoch, from, What::Wrong(format!("reading {log}: {}", error.chain()))),
        }
    }

    fn group(&mut self) -> Vec<Batch> {
        (0..=self.dice.below(3)).map(|_| self.batch()).collect()
    }

    fn batch(&mut self) -> Batch {
        let mut id = [0; 16];
        self.ids.fill(&mut id);
        let batch = Batch::new(BatchId::from_bytes(id));
        let record: RecordKey = key(["a", "b", "c", "d"][self.dice.below(4) as usize]);
        let log: LogKey = key(LOGS[self.dice.below(3) as usize]);
        let mortal: LogKey = key(LOGS[3 + self.dice.below(3) as usize]);
        let known = self.records.get(&record).map_or(Expect::Absent, |version| Expect::At(*version));
        let length = self.heads.get(&log).map_or(0, |head| head.length);
        match self.dice.below(12) {
            0..3 => batch.append(log, self.entries()),
            3 => batch.append_at(log, length, self.entries()),
            4 => batch.put(record, Expect::Any, self.body()),
            5 => batch.put(record, known, self.body()),
            6 => batch.delete(record, Expect::Any),
            7 => batch.put(record, known, self.body()).append(log, self.entries()),
            8 => batch.append(log.clone(), self.entries()).guard(Guard::Record { key: record, expect: known }),
            9 => batch.append(mortal, self.entries()),
            10 => batch.seal(mortal),
            _ => match self.dice.below(4) {
                0 => batch.remove(mortal),
                1 => batch,
                _ => batch.guard(Guard::Length { log, length }),
            },
        }
    }

    fn entries(&mut self) -> Vec<NewEntry> {
        let at = Timestamp::from_millis(self.dice.below(1 << 40) as i64);
        (0..=self.dice.below(3)).map(|_| NewEntry { at, body: self.body() }).collect()
    }

    fn body(&mut self) -> Body {
        self.made += 1;
        let padding = "x".repeat(if self.dice.hits(250) { self.dice.below(400) as usize } else { 0 });
        Body::trusted(format!("\"host {} number {}{padding}\"", self.number, self.made))
    }
}

const LOGS: [&str; 6] = ["x", "y", "z", "mortal 1", "mortal 2", "mortal 3"];

/// Runs one history by rules for this patience and returns what was wrong with it.
async fn history(seed: u64, sort: Sort, rules: fn(Duration) -> Rules) -> Vec<String> {
    // Half of them give up before late requests have arrived.
    let patience = Duration::from_millis(if seed.is_multiple_of(2) { 20_000 } else { 800 });
    let (world, dice) = (World::new(), Dice::new(seed));
    let mut rules = rules(patience);
    if sort.replaced {
        // A pack that was put before the place was replaced is not in the other one, just like a commit.
        rules.inline_bytes = usize::MAX;
    }
    let events = Arc::new(Mutex::new(Vec::new()));
    let mut hosts = Vec::new();
    for number in 0..HOSTS {
        let host = Host {
            number,
            world: world.clone(),
            rules: rules.clone(),
            dice: Dice::new(dice.next()),
            ids: SeededIds::new(dice.next()),
            line: Line::new(world.clone(), Rates::default(), 0, &rules),
            store: None,
            opened: 0,
            records: HashMap::new(),
            heads: HashMap::new(),
            unsettled: Vec::new(),
            made: 0,
            history: events.clone(),
        };
        hosts.push(tokio::spawn(host.live(sort)));
    }
    if sort.replaced {
        replace(&world, &Dice::new(dice.next())).await;
    }
    for host in hosts {
        host.await.unwrap();
    }
    // Requests still in flight arrive.
    sleep(Duration::from_secs(60)).await;
    let events = std::mem::take(&mut *events.lock().unwrap());
    let tried = events.iter().filter_map(|event| match &event.what {
        What::Commit { group, .. } => Some(group),
        _ => None,
    });
    let tried = tried.flatten().map(|batch| (batch.id, batch.clone())).collect();
    let mut truth = Truth::of(&world, &tried);
    if truth.problems.is_empty() {
        truth.judge(&events, world.epoch());
        match Line::new(world.clone(), Rates::default(), seed, &rules).open(rules).await {
            Ok(store) => truth.compare(&(Arc::new(store) as Arc<dyn PersistenceBackend>)).await,
            Err(error) => truth.problems.push(format!("opening in the end: {error}")),
        }
    }
    if !truth.problems.is_empty() {
        let strays = world.strays.lock().unwrap().clone();
        truth.problems.push(format!("strays {strays:?}, replaced {} times", world.epoch()));
    }
    truth.problems
}

/// Replaces the store with older copies, twice, at once or after a while in which nothing is there. Some get other
/// dates, as in a restore.
async fn replace(world: &World, dice: &Dice) {
    for _ in 0..2 {
        sleep(dice.millis(500..4000)).await;
        let copy = world.copied();
        sleep(dice.millis(100..4000)).await;
        if dice.hits(300) {
            world.becomes(&Copy::default());
            sleep(dice.millis(10..2000)).await;
        }
        world.becomes(&if dice.hits(500) { copy.restored(world) } else { copy });
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

fn run(seed: u64, sort: Sort, rules: fn(Duration) -> Rules) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(history(seed, sort, rules))
}

fn try_all(sort: Sort) {
    let (count, first) = (setting("NOFX_REMOTE_HISTORIES", 670), setting("NOFX_REMOTE_SEED", 1));
    println!("{count} histories of sort {:?} from NOFX_REMOTE_SEED={first}", sort.name);
    for seed in first..first + count {
        let problems = run(seed, sort, small_rules);
        assert!(problems.is_empty(), "NOFX_REMOTE_SEED={seed}, sort {:?}: {problems:#?}", sort.name);
    }
}

#[test]
fn nothing_is_lost_or_invented_over_bad_lines() {
    try_all(PLAIN);
}

#[test]
fn nothing_is_lost_or_invented_when_machines_crash() {
    try_all(CRASHES);
}

#[test]
fn nothing_is_lost_or_invented_when_machines_sleep_through_collections() {
    try_all(SLEEPS);
}

#[test]
fn nothing_is_acknowledged_and_lost_when_the_store_is_replaced_by_an_older_copy() {
    try_all(REPLACED);
}

/// Requires that one of this many histories by these rules goes wrong.
fn is_found(rules: fn(Duration) -> Rules, sort: Sort, within: u64) {
    let shown = (1..=within).find_map(|seed| Some((seed, run(seed, sort, rules).into_iter().next()?)));
    let (seed, problem) = shown.unwrap_or_else(|| panic!("nothing was found in {within} histories"));
    println!("NOFX_REMOTE_SEED={seed}, sort {:?}: {problem}", sort.name);
}

#[test]
fn going_on_after_a_long_sleep_is_found() {
    is_found(|patience| Rules { stale: FOR_EVER, ..small_rules(patience) }, SLEEPS, 60);
}

#[test]
fn deleting_without_grace_is_found() {
    is_found(|patience| Rules { grace: Duration::ZERO, ..small_rules(patience) }, SLEEPS, 60);
}
