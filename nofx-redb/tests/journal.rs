//! Stores that commit to a journal beside their file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{batch, body, entries, log, open_with, record};
use nofx_core::{
    Batch, Changes, Deadline, Expect, LogQuery, MemoryBackend, Outcome, PersistenceBackend, Record, Result, ScanQuery,
};
use nofx_redb::{Access, Options, Probe, RedbBackend};
use tempfile::TempDir;

fn with_journal() -> Options {
    let mut options = Options::default();
    options.journal = true;
    options
}

async fn open(path: &Path) -> RedbBackend {
    RedbBackend::open_with(path, with_journal()).await.unwrap()
}

fn place() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    (dir, path)
}

fn journal(path: &Path) -> PathBuf {
    path.with_file_name("a.redb-journal")
}

/// Returns every file of a store with its bytes.
fn everything(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(journal(path)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.push(path.to_owned());
    found.sort();
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn copy_journal(from: &Path, to: &Path) {
    _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Returns enough batches that a run is due when they are committed.
fn many() -> Vec<Batch> {
    (0..1000).map(|number| batch().append(log("l"), entries(number..number + 1))).collect()
}

async fn length(store: &RedbBackend) -> u64 {
    store.heads(&[log("l")]).await.unwrap()[0].length
}

/// Counts writes to the file, and makes some fail.
#[derive(Debug)]
struct Watched {
    changes: AtomicU64,
    is_full: AtomicBool,
    /// The flush that fails, counted from the next one; none if negative.
    failing_flush: AtomicI64,
}

impl Watched {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            changes: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            failing_flush: AtomicI64::new(-1),
        })
    }
}

impl Probe for Watched {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        match access {
            Access::Write { .. } | Access::Resize { .. } if self.is_full.load(Ordering::SeqCst) => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Access::Flush if self.failing_flush.fetch_sub(1, Ordering::SeqCst) == 0 => {
                return Err(io::Error::other("injected"));
            }
            Access::Write { .. } | Access::Resize { .. } | Access::Flush => {
                self.changes.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(())
    }
}

async fn watched(path: &Path, watched: &Arc<Watched>) -> RedbBackend {
    let probe = watched.clone();
    open_with(path, |options| {
        options.journal = true;
        options.probe = Some(probe);
    })
    .await
}

#[tokio::test]
async fn a_store_goes_on_as_it_was_made_whatever_its_opener_asks_for() {
    for is_made_with in [true, false] {
        let (_dir, path) = place();
        for (round, journal_option) in [is_made_with, !is_made_with, is_made_with].into_iter().enumerate() {
            let store = open_with(&path, |options| options.journal = journal_option).await;
            store.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap();
            assert_eq!((length(&store).await, journal(&path).exists()), (round as u64 + 1, is_made_with));
            store.close().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_store_that_is_published_takes_nothing_with_it_that_could_be_parted() {
    for has_journal in [true, false] {
        let (_dir, path) = place();
        let made = path.with_file_name("made");
        fs::create_dir(&made).unwrap();
        let made = made.join("b.redb");
        let store = open_with(&made, |options| options.journal = has_journal).await;
        store.commit(many()).await.unwrap();
        store.commit(vec![batch().put(record("a"), Expect::Any, body("1"))]).await.unwrap();
        let before = store.changes(None, 2000).await.unwrap();
        store.close().await.unwrap();
        assert!(nofx_redb::publish(&made, &path).await.unwrap());
        assert!(!made.exists() && !journal(&path).exists());
        // The file holds everything, so it is the whole store even if everything beside it is gone.
        fs::remove_dir_all(made.parent().unwrap()).unwrap();
        let store = RedbBackend::open(&path).await.unwrap();
        assert_eq!(store.changes(None, 2000).await.unwrap(), before);
        store.commit(vec![batch().append_at(log("l"), 1000, entries(0..1))]).await.unwrap();
        assert_eq!(journal(&path).exists(), has_journal);
        store.compact().await.unwrap();
        store.close().await.unwrap();
        let store = RedbBackend::open(&path).await.unwrap();
        assert_eq!(length(&store).await, 1001);
        let Changes::Page(page) = store.changes(None, 2000).await.unwrap() else { panic!("a gap") };
        assert_eq!(page.changes.len(), 1002);
    }
}

#[tokio::test]
async fn a_store_is_published_over_nothing_and_over_no_journal_whose_file_is_gone() {
    for has_journal in [true, false] {
        let (_dir, path) = place();
        let made = path.with_file_name("made.redb");
        for (path, length) in [(&made, 1), (&path, 2)] {
            let store = open_with(path, |options| options.journal = has_journal || path != &made).await;
            store.commit(vec![batch().append(log("l"), entries(0..length))]).await.unwrap();
            store.close().await.unwrap();
        }
        let before = everything(&path);
        assert!(!nofx_redb::publish(&made, &path).await.unwrap());
        assert!(everything(&path) == before);
        let aside = path.with_file_name("aside");
        fs::rename(&path, &aside).unwrap();
        let error = nofx_redb::publish(&made, &path).await.unwrap_err();
        assert!(error.code() == "corrupt" && error.to_string().contains("whose file"), "{error}");
        fs::rename(&aside, &path).unwrap();
        assert!(everything(&path) == before);
        assert_eq!(length(&RedbBackend::open(&path).await.unwrap()).await, 2);
        assert_eq!(length(&RedbBackend::open(&made).await.unwrap()).await, 1);
    }
}

/// A crash after the journal was created and before the file was renamed leaves this state.
#[tokio::test]
async fn an_empty_journal_of_a_store_that_never_got_its_file_keeps_none_from_being_made() {
    for has_journal in [true, false] {
        let (_dir, path) = place();
        let other = path.with_file_name("other.redb");
        open(&other).await.close().await.unwrap();
        copy_journal(&other.with_file_name("other.redb-journal"), &journal(&path));
        let store = open_with(&path, |options| options.journal = has_journal).await;
        store.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap();
        store.close().await.unwrap();
        assert_eq!(length(&RedbBackend::open(&path).await.unwrap()).await, 1);
    }
}

#[tokio::test]
async fn a_commit_writes_and_flushes_nothing_in_the_file() {
    let (_dir, path) = place();
    let probe = Watched::new();
    let store = watched(&path, &probe).await;
    let before = probe.changes.load(Ordering::SeqCst);
    for number in 0..50 {
        store.commit(vec![batch().append(log("l"), entries(number..number + 1))]).await.unwrap();
    }
    assert_eq!((probe.changes.load(Ordering::SeqCst), length(&store).await), (before, 50));
    store.close().await.unwrap();
    assert_eq!(length(&open(&path).await).await, 50);
}

#[tokio::test]
async fn a_reader_leaves_file_and_journal_as_they_are() {
    let (_dir, path) = place();
    let writer = open(&path).await;
    writer.commit(many()).await.unwrap();
    writer.close().await.unwrap();
    // This commit is in the journal only.
    let writer = open(&path).await;
    writer.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap();
    writer.close().await.unwrap();
    let before = everything(&path);
    let mut only_reads = with_journal();
    only_reads.read_only = true;
    for options in [with_journal(), only_reads] {
        let store = RedbBackend::open_with(&path, options).await.unwrap();
        assert_eq!(length(&store).await, 1001);
        assert_eq!(store.scan(&ScanQuery::all(10)).await.unwrap().items, []);
        let Changes::Page(page) = store.changes(None, 2000).await.unwrap() else { panic!("a gap") };
        assert_eq!(page.changes.len(), 1001);
        store.close().await.unwrap();
        assert!(everything(&path) == before);
    }
}

#[tokio::test]
async fn an_older_copy_of_the_file_catches_up_from_the_journal() {
    let (_dir, path) = place();
    let older = path.with_file_name("older");
    let store = open(&path).await;
    store.commit(vec![batch().put(record("a"), Expect::Any, body("1"))]).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    fs::copy(&path, &older).unwrap();
    let store = open(&path).await;
    let again = batch().put(record("a"), Expect::Any, body("2"));
    store.commit(vec![again.clone()]).await.unwrap();
    let first = store.commit(vec![again.clone()]).await.unwrap();
    store.compact().await.unwrap();
    store.close().await.unwrap();
    // Otherwise this process remembers the file, and that it was a different one.
    drop(store);
    assert_ne!(fs::read(&path).unwrap(), fs::read(&older).unwrap());
    // The journal still holds what the file lacks; only the tip says that it is not needed.
    fs::copy(&older, &path).unwrap();
    fs::remove_file(journal(&path).join("tip")).unwrap();
    let store = open(&path).await;
    assert_eq!(store.get(&[record("a")]).await.unwrap()[0].as_ref().unwrap().body, body("2"));
    assert_eq!(store.commit(vec![again]).await.unwrap(), first, "its id is remembered");
    store.compact().await.unwrap();
    assert_eq!(store.get(&[record("a")]).await.unwrap()[0].as_ref().unwrap().body, body("2"));
}

#[tokio::test]
async fn a_file_or_a_journal_without_the_other_is_damage_and_no_new_store() {
    let (_dir, path) = place();
    let store = open(&path).await;
    store.commit(many()).await.unwrap();
    // The file before the close, which completes it if the store was open for a second.
    let (incomplete, closed) = (path.with_file_name("incomplete"), path.with_file_name("closed"));
    fs::copy(&path, &incomplete).unwrap();
    store.close().await.unwrap();
    fs::rename(&path, &closed).unwrap();
    fs::rename(&incomplete, &path).unwrap();
    let (file, kept) = (path.with_file_name("file"), path.with_file_name("kept"));
    fs::rename(journal(&path), &kept).unwrap();
    let store = open(&path).await;
    for error in [store.get(&[]).await.unwrap_err(), store.commit(vec![batch()]).await.unwrap_err()] {
        assert_eq!(error.to_string(), "corrupt data in `a.redb-journal`: the journal of the store is missing");
    }
    store.close().await.unwrap();
    _ = fs::remove_dir_all(journal(&path));
    fs::rename(&kept, journal(&path)).unwrap();
    fs::rename(&path, &file).unwrap();
    let before = fs::read(journal(&path).join("segment-0")).unwrap();
    let mut only_existing = with_journal();
    only_existing.create = false;
    for options in [with_journal(), Options::default(), only_existing] {
        let error = RedbBackend::open_with(&path, options).await.unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("corrupt data in `a.redb-journal`: it holds commits of a store whose file `"),
            "{text}"
        );
        assert!(text.ends_with("a.redb` is gone; remove the folder if that was deleted on purpose"), "{text}");
        assert!(!path.exists());
    }
    assert!(fs::read(journal(&path).join("segment-0")).unwrap() == before);
    fs::rename(&closed, &path).unwrap();
    assert_eq!(length(&open(&path).await).await, 1000);
}

#[tokio::test]
async fn the_journal_of_another_store_is_not_taken_for_the_one_of_this() {
    let ((_dir, path), (_other_dir, other)) = (place(), place());
    for path in [&path, &other] {
        let store = open(path).await;
        store.commit(many()).await.unwrap();
        store.close().await.unwrap();
    }
    copy_journal(&journal(&other), &journal(&path));
    let error = open(&path).await.get(&[record("a")]).await.unwrap_err();
    assert_eq!(error.code(), "corrupt", "{error}");
}

#[tokio::test]
async fn a_full_disk_below_the_file_keeps_it_from_following_and_nothing_else() {
    let (_dir, path) = place();
    let probe = Watched::new();
    let store = watched(&path, &probe).await;
    probe.is_full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        store.commit(many()).await.unwrap();
    }
    assert_eq!(store.compact().await.unwrap_err().code(), "full");
    assert_eq!(length(&store).await, 3000);
    store.commit(many()).await.unwrap();
    probe.is_full.store(false, Ordering::SeqCst);
    store.compact().await.unwrap();
    assert_eq!(length(&store).await, 4000);
    store.close().await.unwrap();
    assert_eq!(length(&open(&path).await).await, 4000);
}

#[tokio::test]
async fn whichever_flush_of_the_file_fails_it_holds_everything_in_the_end() {
    for failing in 0..6 {
        let (_dir, path) = place();
        let probe = Watched::new();
        let store = watched(&path, &probe).await;
        store.commit(many()).await.unwrap();
        probe.failing_flush.store(failing, Ordering::SeqCst);
        _ = store.compact().await;
        probe.failing_flush.store(-1, Ordering::SeqCst);
        store.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap();
        assert_eq!(length(&store).await, 1001, "flush {failing}");
        store.compact().await.unwrap();
        store.close().await.unwrap();
        let store = open(&path).await;
        let page = store.read(&LogQuery::newest_first(log("l"), 2000)).await.unwrap();
        assert_eq!(page.items.len(), 1001, "flush {failing}");
    }
}

#[tokio::test]
async fn damage_in_the_file_is_named_by_what_it_hides_and_the_rest_is_read_and_written() {
    let (_dir, path) = place();
    let name = |number: usize| log(&format!("log-{number:03}"));
    let text = |number: usize| body(&format!("\"{}\"", format!("{number} ").repeat(400)));
    let entry = |number: usize| nofx_core::NewEntry { at: nofx_core::Timestamp::from_millis(1), body: text(number) };
    let store = open(&path).await;
    let all = (0..200).fold(batch(), |batch, number| batch.append(name(number), vec![entry(number)]));
    store.commit(vec![all]).await.unwrap();
    store.compact().await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    let (mut hidden, mut seen) = (0, 0);
    for at in (8192..whole.len()).step_by(whole.len() / 12) {
        let (_dir, copy) = place();
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&copy, bytes).unwrap();
        copy_journal(&journal(&path), &journal(&copy));
        let store = match RedbBackend::open_with(&copy, with_journal()).await {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error.code(), "corrupt", "byte {at}: {error}");
                continue;
            }
        };
        for number in 0..200 {
            let is_damage =
                |error: &nofx_core::Error| error.code() == "corrupt" && error.to_string().contains("a.redb`");
            match store.read(&LogQuery::oldest_first(name(number), 10)).await {
                Ok(page) => {
                    assert_eq!(page.items[0].body, text(number), "byte {at}");
                    seen += 1;
                }
                Err(error) => {
                    assert!(is_damage(&error), "byte {at}: {error}");
                    hidden += 1;
                }
            }
        }
        let other = store.commit(vec![batch().append(log("other"), entries(0..1))]).await;
        assert!(other.is_ok() || other.is_err_and(|error| error.code() == "corrupt"), "byte {at}");
    }
    assert!(hidden > 0 && seen > 1000, "{hidden} hidden, {seen} seen");
}

/// Returns all pages of a query for records.
async fn scanned(store: &dyn PersistenceBackend, mut query: ScanQuery) -> Result<Vec<Record>> {
    let mut found = Vec::new();
    loop {
        let page = store.scan(&query).await?;
        query.after = page.items.last().map(|record| record.key.clone());
        found.extend(page.items);
        if !page.more {
            return Ok(found);
        }
    }
}

#[tokio::test]
async fn records_in_bundles_in_rows_and_in_the_journal_are_one_list() {
    let (_dir, path) = place();
    let (store, oracle) = (open(&path).await, MemoryBackend::new());
    let name = |number: u64| record(&format!("record-{number:04}"));
    let write = |from: u64, step: usize, text: &str| {
        let text = body(&format!("\"{text}\""));
        (from..900).step_by(step).fold(batch(), |batch, number| batch.put(name(number), Expect::Any, text.clone()))
    };
    let delete = |from: u64, step: usize| {
        (from..900).step_by(step).fold(batch(), |batch, number| batch.delete(name(number), Expect::Any))
    };
    let both = async |batch: Batch| {
        for store in [&store as &dyn PersistenceBackend, &oracle] {
            assert!(matches!(store.commit(vec![batch.clone()]).await.unwrap()[..], [Outcome::Committed(_)]));
        }
    };
    both(write(0, 2, "bundled")).await;
    store.compact().await.unwrap();
    for batch in [write(0, 6, "row"), delete(2, 10), write(1, 30, "new row")] {
        both(batch).await;
    }
    // Applied, and not compacted.
    store.commit((0..1000).map(|_| batch()).collect()).await.unwrap();
    let patience = Deadline::after(Duration::from_secs(60));
    while fs::read(journal(&path).join("tip")).unwrap().get(64..72).is_none_or(|applied| applied == [0; 8]) {
        assert!(!patience.has_passed(), "nothing was applied");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for batch in [write(4, 12, "in the journal"), delete(0, 18), delete(1, 60), write(3, 50, "new")] {
        both(batch).await;
    }
    for query in [ScanQuery::all(7), ScanQuery::all(1000), ScanQuery::of(common::KIND, 50).prefixed("record-01")] {
        for query in [query.clone(), query.backward()] {
            let (found, expected) =
                (scanned(&store, query.clone()).await.unwrap(), scanned(&oracle, query).await.unwrap());
            assert_eq!(found, expected);
        }
    }
}

/// What a disk may hold of the file after a power cut, taken at each of its flushes.
#[derive(Debug, Default)]
struct Cuts(Mutex<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    path: PathBuf,
    durable: Vec<u8>,
    /// What was written since the last flush: an offset and the bytes there, or a new length.
    pending: Vec<(u64, Option<Vec<u8>>)>,
    acknowledged: u64,
    dice: u64,
    images: Vec<Cut>,
}

/// The file, every file of the journal except the tip, which means nothing after a restart, and how much was
/// acknowledged.
#[derive(Debug)]
struct Cut {
    file: Vec<u8>,
    journal: Vec<(OsString, Vec<u8>)>,
    acknowledged: u64,
}

impl Recorded {
    fn one_in(&mut self, n: u64) -> bool {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33).is_multiple_of(n)
    }

    /// Returns what is durable, plus those of the sectors written since for which `keeps` returns true.
    fn with_pending(&mut self, mut keeps: impl FnMut(&mut Self) -> bool) -> Vec<u8> {
        let mut image = self.durable.clone();
        for (offset, bytes) in self.pending.clone() {
            let Some(bytes) = bytes else {
                if keeps(self) {
                    image.resize(offset as usize, 0);
                }
                continue;
            };
            for (at, sector) in (offset as usize..).step_by(512).zip(bytes.chunks(512)) {
                if keeps(self) {
                    image.resize(image.len().max(at + sector.len()), 0);
                    image[at..at + sector.len()].copy_from_slice(sector);
                }
            }
        }
        image
    }

    fn cut(&mut self) {
        let entries = fs::read_dir(journal(&self.path)).unwrap().map(|entry| entry.unwrap());
        let files: Vec<_> = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
        for keeps in [|_: &mut Self| false, |this: &mut Self| this.one_in(2), |_: &mut Self| true] {
            let file = self.with_pending(keeps);
            let journal = files.iter().filter(|(name, _)| name != "tip").cloned().collect();
            self.images.push(Cut { file, journal, acknowledged: self.acknowledged });
        }
    }
}

impl Probe for Cuts {
    fn access(&self, access: &Access<'_>) -> io::Result<()> {
        let mut recorded = self.0.lock().unwrap();
        match access {
            Access::Write { offset, bytes } => recorded.pending.push((*offset, Some(bytes.to_vec()))),
            Access::Resize { length } => recorded.pending.push((*length, None)),
            Access::Flush => {
                if recorded.acknowledged > 0 {
                    recorded.cut();
                }
                recorded.durable = recorded.with_pending(|_| true);
                recorded.pending.clear();
            }
            _ => {}
        }
        Ok(())
    }
}

#[tokio::test]
async fn whatever_a_power_cut_leaves_of_a_run_the_journal_has_what_it_lacks() {
    let (_dir, path) = place();
    let probe = Arc::new(Cuts::default());
    probe.0.lock().unwrap().path.clone_from(&path);
    let seen = probe.clone();
    let store = open_with(&path, |options| {
        options.journal = true;
        options.probe = Some(seen);
    })
    .await;
    for round in 1..=2 {
        store.commit(many()).await.unwrap();
        probe.0.lock().unwrap().acknowledged = round * 1000;
        store.compact().await.unwrap();
    }
    store.close().await.unwrap();
    let images = std::mem::take(&mut probe.0.lock().unwrap().images);
    assert!(images.len() > 40, "{} images", images.len());
    for (number, Cut { file, journal: files, acknowledged }) in images.into_iter().enumerate().step_by(3) {
        let (_dir, path) = place();
        fs::write(&path, file).unwrap();
        fs::create_dir(journal(&path)).unwrap();
        files.into_iter().for_each(|(name, bytes)| fs::write(journal(&path).join(name), bytes).unwrap());
        let store = open(&path).await;
        let found = length(&store).await;
        assert!(found >= acknowledged && found.is_multiple_of(1000), "image {number}: {found} of {acknowledged}");
        store.commit(vec![batch().append_at(log("l"), found, entries(0..1))]).await.unwrap();
        store.compact().await.unwrap();
        let page = store.read(&LogQuery::oldest_first(log("l"), 10_000)).await.unwrap();
        assert_eq!(page.items.len() as u64, found + 1, "image {number}");
    }
}

const STORE: &str = "NOFX_BEHIND_STORE";

/// Commits groups without end, and prints the length of the log once each is durable.
#[tokio::test]
#[ignore = "runs only as a child of the other tests"]
async fn commits_without_end() {
    let path = PathBuf::from(std::env::var_os(STORE).unwrap());
    let store = open(&path).await;
    let mut at = length(&store).await;
    loop {
        let group = (at..at + 300).map(|at| batch().append_at(log("l"), at, entries(at..at + 1)));
        let outcomes = store.commit(group.collect()).await.unwrap();
        if cfg!(windows) && !outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))) {
            // Where boots cannot be identified, a commit may find a group that was never reported and that the read
            // before did not see: the lock of a killed process stays for a moment.
            at = length(&store).await;
            continue;
        }
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Committed(_))));
        at += 300;
        println!("> {at}");
    }
}

fn child(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "commits_without_end", "--ignored", "--nocapture"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Returns the numbers that a child prints.
fn heard(child: &mut Child) -> impl Iterator<Item = u64> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map_while(io::Result::ok).filter_map(|line| line.split_once("> ")?.1.parse().ok())
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_whatever_was_being_applied() {
    let (_dir, path) = place();
    let mut acknowledged = 0;
    for round in 0..25_u64 {
        let mut child = child(&path);
        let mut heard = heard(&mut child);
        let first = heard.next().unwrap();
        // Waits for nothing: the clock picks a moment at which the child commits, applies or does both.
        std::thread::sleep(Duration::from_millis(round * 13 % 97));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged = heard.last().unwrap_or(first);
        let store = open(&path).await;
        let found = length(&store).await;
        assert!(found >= acknowledged && found.is_multiple_of(300), "{found} entries of {acknowledged}");
        let newest = store.read(&LogQuery::newest_first(log("l"), 1)).await.unwrap().items.remove(0);
        assert_eq!((newest.position + 1, newest.body), (found, body(&(found - 1).to_string())));
        store.close().await.unwrap();
    }
    let store = open(&path).await;
    let (mut query, mut next) = (LogQuery::oldest_first(log("l"), 1000), 0);
    loop {
        let page = store.read(&query).await.unwrap();
        for entry in page.items {
            assert_eq!((entry.position, entry.body), (next, body(&next.to_string())));
            next += 1;
        }
        query.range.start = next;
        if !page.more {
            break;
        }
    }
    assert!(next >= acknowledged);
    println!("{acknowledged} acknowledged, {next} found");
}

#[cfg(unix)]
#[tokio::test]
async fn a_process_that_is_stopped_while_it_commits_keeps_no_one_from_reading() {
    let (_dir, path) = place();
    let mut child = child(&path);
    let mut heard = heard(&mut child);
    let signal = |signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    };
    // The child creates the store.
    heard.next().unwrap();
    let store = open_with(&path, |options| {
        options.journal = true;
        options.lock_wait = Duration::from_millis(300);
    })
    .await;
    for _ in 0..20 {
        let acknowledged = heard.next().unwrap();
        signal("-STOP");
        let found = store.heads(&[log("l")]).await;
        match found {
            Ok(heads) => assert!(heads[0].length >= acknowledged),
            // The file's header is being written for some microseconds each time commits are applied.
            Err(error) => assert_eq!(error.code(), "locked", "{error}"),
        }
        match store.commit(vec![batch()]).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), "locked", "{error}"),
        }
        signal("-CONT");
    }
    drop(heard);
    child.kill().unwrap();
    child.wait().unwrap();
}
