//! Damaged pages of the file: what was on them is reported as damaged, never as absent, and everything else can be
//! read.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use common::{batch, body, entries, log, record};
use futures_util::StreamExt;
use nofx_core::{Changes, Expect, KeyQuery, LogQuery, Outcome, PersistenceBackend, Store};
use nofx_redb::RedbBackend;
use redb::{ReadableDatabase, ReadableTable};

const PAGE: usize = 4096;

/// Everything that a store returns, and how many items cannot be read.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    things: BTreeMap<String, String>,
    errors: Vec<String>,
}

/// Reads everything as programs do. Panics if reading does not end.
async fn contents(store: &Store) -> Contents {
    let mut contents = Contents::default();
    let mut steps = 0;
    let mut step = || {
        steps += 1;
        assert!(steps < 20_000, "reading does not end");
    };
    let mut errors = Vec::new();
    let mut records = store.scan(KeyQuery::all(7));
    while let Some(record) = records.next().await {
        step();
        match record {
            Ok(record) => _ = contents.things.insert(record.key.to_string(), record.body.as_str().to_owned()),
            Err(error) => errors.push(error),
        }
    }
    let mut heads = store.logs(KeyQuery::all(7));
    while let Some(head) = heads.next().await {
        step();
        let head = match head {
            Ok(head) => head,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        contents.things.insert(format!("length of {}", head.log), head.length.to_string());
        let mut read = store.read(LogQuery::oldest_first(head.log.clone(), 7));
        while let Some(entry) = read.next().await {
            step();
            match entry {
                Ok(entry) => {
                    let thing = format!("{} {}", head.log, entry.position);
                    contents.things.insert(thing, entry.body.as_str().to_owned());
                }
                Err(error) => errors.push(error),
            }
        }
    }
    for error in &errors {
        assert!(matches!(error.code(), "corrupt" | "too-new"), "{error}");
    }
    contents.errors = errors.iter().map(|error| error.to_string()).collect();
    contents
}

/// A small store with everything that a file can contain: bundles, chunks, rows of each kind.
async fn small(path: &Path) {
    let store = open(path).await;
    let put = |n: u64| batch().put(record(&format!("{n:03}")), Expect::Any, body(&format!("\"needle {n:05}\"")));
    store.commit((0..60).map(put).collect()).await.unwrap();
    store
        .commit((0..12).map(|n| batch().append(log(&format!("log {n}")), entries(0..40 + n))).collect())
        .await
        .unwrap();
    store.compact().await.unwrap();
    store.commit((40..100).map(put).collect()).await.unwrap();
    store.commit((0..20).map(|n| batch().append(log(&format!("log {n}")), entries(0..7))).collect()).await.unwrap();
    store.close().await.unwrap();
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts the panics that are printed. Called before any test of this program opens a store, which from then on hides
/// those that it contains.
fn count_panics() {
    static COUNTS: Once = Once::new();
    COUNTS.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(panic);
        }));
    });
}

async fn open(path: &Path) -> RedbBackend {
    open_with(path, |_| ()).await
}

async fn open_with(path: &Path, change: impl FnOnce(&mut nofx_redb::Options)) -> RedbBackend {
    count_panics();
    common::open_with(path, change).await
}

/// Reads and writes each of many damaged copies of a store.
///
/// To test more copies: `NOFX_REDB_EVERY=37 cargo nextest run -p nofx-redb --test pages --no-capture`.
#[tokio::test]
async fn a_flipped_byte_hides_nothing_without_an_error() {
    let every = std::env::var("NOFX_REDB_EVERY").map_or(1_301, |every| every.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    small(&path).await;
    let whole = fs::read(&path).unwrap();
    let expected = contents(&Store::new(Arc::new(open(&path).await))).await;
    assert!(expected.errors.is_empty() && expected.things.len() > 500, "{}", expected.things.len());
    let (mut refused, mut told, mut unharmed) = (0, 0, 0);
    for at in (0..whole.len()).step_by(every) {
        let path = dir.path().join(format!("{at}.redb"));
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at / every % 8);
        fs::write(&path, &bytes).unwrap();
        let opened = open_existing(&path).await;
        match opened {
            Err(error) => {
                assert!(matches!(error.code(), "corrupt" | "too-new" | "invalid"), "byte {at}: {error}");
                refused += 1;
            }
            Ok(backend) => {
                let backend = Arc::new(backend);
                let store = Store::new(backend.clone());
                let found = contents(&store).await;
                for (thing, text) in &found.things {
                    assert_eq!(expected.things.get(thing), Some(text), "byte {at}: {thing}");
                }
                if found.things.len() == expected.things.len() {
                    unharmed += 1;
                } else {
                    assert!(!found.errors.is_empty(), "byte {at}: {} of {}", found.things.len(), expected.things.len());
                    assert!(!backend.check().await.unwrap().is_empty(), "byte {at} is not found by a check");
                    told += 1;
                }
                // Whatever a commit returns, existing content of a session is there, or reported as damaged.
                let append = batch().append(log("log 3"), entries(0..1)).put(record("005"), Expect::Any, body("1"));
                let committed = backend.commit(vec![append]).await;
                if let Err(error) = &committed {
                    assert!(matches!(error.code(), "corrupt" | "too-new"), "byte {at}: {error}");
                }
                let again = contents(&store).await;
                let changed = ["thing/005", "length of thing/log 3"];
                for (thing, text) in &found.things {
                    let same = again.things.get(thing) == Some(text);
                    assert!(same || (committed.is_ok() && changed.contains(&&**thing)), "byte {at}: {thing}");
                }
                backend.close().await.unwrap();
            }
        }
        fs::remove_file(&path).unwrap();
    }
    println!("{refused} refused, {told} told, {unharmed} unharmed, {} panics", PANICS.load(Ordering::SeqCst));
    assert!(told > 2 && unharmed > 10, "{refused} refused, {told} told, {unharmed} unharmed");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

async fn open_existing(path: &Path) -> nofx_core::Result<RedbBackend> {
    let mut options = nofx_redb::Options::default();
    options.create = false;
    RedbBackend::open_with(path, options).await
}

#[tokio::test]
async fn a_torn_copy_is_damaged_and_what_it_still_has_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    small(&path).await;
    let whole = fs::read(&path).unwrap();
    let expected = contents(&Store::new(Arc::new(open(&path).await))).await;
    let (mut refused, mut read) = (0, 0);
    for cut in (1..64).map(|part| whole.len() * part / 64 / 512 * 512).filter(|cut| *cut > 0) {
        let path = dir.path().join(format!("{cut}.redb"));
        fs::write(&path, &whole[..cut]).unwrap();
        for read_only in [true, false] {
            let mut options = nofx_redb::Options::default();
            (options.create, options.read_only) = (false, read_only);
            match RedbBackend::open_with(&path, options).await {
                Err(error) => {
                    assert_eq!(error.code(), "corrupt", "cut at {cut}: {error}");
                    assert!(error.to_string().contains(&format!("{cut}.redb")), "{error}");
                    refused += 1;
                }
                Ok(backend) => {
                    let store = Store::new(Arc::new(backend));
                    let found = contents(&store).await;
                    for (thing, text) in &found.things {
                        assert_eq!(expected.things.get(thing), Some(text), "cut at {cut}: {thing}");
                    }
                    assert!(found.things.len() == expected.things.len() || !found.errors.is_empty(), "cut at {cut}");
                    let put = batch().put(record("000"), Expect::Any, body("1"));
                    let error = store.backend().commit(vec![put]).await.unwrap_err();
                    let code = if read_only { "invalid" } else { "corrupt" };
                    assert_eq!(error.code(), code, "cut at {cut}: {error}");
                    read += 1;
                }
            }
            assert_eq!(fs::metadata(&path).unwrap().len(), cut as u64);
        }
    }
    println!("{refused} refused, {read} read");
    assert!(refused > 0 && read > 0, "{refused} refused, {read} read");
}

/// Flips a bit on each page that contains a text, and returns how many such pages there are; some may be free.
fn damage_pages_with(path: &Path, text: &[u8], kind: u8) -> usize {
    let mut bytes = fs::read(path).unwrap();
    let mut count = 0;
    for page in bytes.chunks_mut(PAGE).skip(1) {
        if page[0] == kind && page.windows(text.len()).any(|window| window == text) {
            // In the number of rows, the first key's end, or the branch's entry for its first child.
            page[8] ^= 1;
            count += 1;
        }
    }
    fs::write(path, bytes).unwrap();
    count
}

/// 2,000 records on some dozens of pages, and a log.
async fn large(path: &Path) {
    let store = open(path).await;
    let put = |n: u64| batch().put(record(&format!("{n:04}")), Expect::Any, body(&format!("\"needle {n:05}\"")));
    store.commit((0..2000).map(put).collect()).await.unwrap();
    store.commit(vec![batch().append(log("l"), entries(0..5))]).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_damaged_page_hides_its_rows_and_no_others_and_they_cannot_be_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    large(&path).await;
    assert!(damage_pages_with(&path, b"needle 01000", 1) > 0);
    let damaged = fs::read(&path).unwrap();
    let backend = Arc::new(open(&path).await);
    let store = Store::new(backend.clone());
    let found = contents(&store).await;
    assert!((1850..2000).contains(&found.things.len()), "{}", found.things.len());
    assert_eq!(found.errors.len(), 1, "{:?}", found.errors);
    let error = &found.errors[0];
    assert!(error.contains("the page at byte ") && error.contains("a.redb"), "{error}");
    // Every missing record is reported as damaged, one by one.
    let mut hidden = 0;
    for number in 0..2000 {
        let id = format!("{number:04}");
        match backend.get(&[record(&id)]).await {
            Ok(found) => assert_eq!(found[0].as_ref().unwrap().body, body(&format!("\"needle {number:05}\""))),
            Err(error) => {
                assert!(error.code() == "corrupt" && error.to_string().contains(&id), "{error}");
                assert!(!found.things.contains_key(&format!("thing/{id}")));
                hidden += 1;
            }
        }
    }
    assert!(hidden > 10 && found.things.len() + hidden == 2001 + 5, "{hidden} hidden, {}", found.things.len());
    let check = backend.check().await.unwrap();
    assert!(
        check.len() == 1 && check[0].hides && error.contains(&format!("the page at byte {} of", check[0].at)),
        "{check:?}"
    );
    // There is nothing to repair it from, and trying does no harm.
    assert!(!backend.repair().await.unwrap());
    for expect in [Expect::Any, Expect::Absent] {
        let over = backend.commit(vec![batch().put(record("1000"), expect, body("1"))]).await.unwrap_err();
        assert!(over.code() == "corrupt" && over.to_string().contains("1000"), "{over}");
        // Others are written as usual.
        let put = batch().put(record("0000"), Expect::Any, body("1")).append(log("l"), entries(0..1));
        assert!(matches!(backend.commit(vec![put]).await.unwrap()[0], Outcome::Committed(_)));
    }
    assert_eq!(backend.heads(&[log("l")]).await.unwrap()[0].length, 7);
    assert_eq!(backend.compact().await.unwrap_err().code(), "corrupt");
    backend.close().await.unwrap();
    drop(backend);
    // The damaged page is unchanged, so that a better tool may recover something from it.
    let after = fs::read(&path).unwrap();
    let page = |bytes: &[u8]| {
        let needle: &[u8] = b"needle 01000";
        bytes
            .chunks(PAGE)
            .filter(|page| page.windows(12).any(|window| window == needle))
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    assert!(page(&damaged).iter().all(|page_| page(&after).contains(page_)));
    let again = contents(&Store::new(Arc::new(open(&path).await))).await;
    assert_eq!(again.errors, found.errors);
    assert_eq!(again.things.len(), found.things.len() + 2);
}

#[tokio::test]
async fn one_flipped_bit_of_a_branch_hides_nothing_or_one_page_below_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    large(&path).await;
    let whole = fs::read(&path).unwrap();
    let (mut mended, mut hid) = (0, 0);
    // The kind of page, the number of keys, checksums, page numbers, and keys: every part that is used.
    for at in [0, 1, 2, 3, 5].into_iter().chain((8..1400).step_by(61)) {
        let path = dir.path().join(format!("{at}.redb"));
        let mut bytes = whole.clone();
        for page in bytes.chunks_mut(PAGE).skip(1) {
            if page[0] == 2 && page.windows(6).any(|window| window == b"thing\0") {
                page[at] ^= 1 << (at % 8);
            }
        }
        fs::write(&path, &bytes).unwrap();
        let backend = Arc::new(open(&path).await);
        let store = Store::new(backend.clone());
        let found = contents(&store).await;
        assert!(found.errors.len() <= 1, "byte {at}: {:?}", found.errors);
        let missing = 2006 - found.things.len();
        assert!(missing < 150 && (missing > 0) == (found.errors.len() == 1), "byte {at}: {missing} missing");
        let check = backend.check().await.unwrap();
        let unused = check.is_empty();
        assert!(unused || check.iter().any(|page| !page.hides), "byte {at}: {check:?}");
        for number in (0..2000).step_by(7) {
            let id = format!("{number:04}");
            match backend.get(&[record(&id)]).await {
                Ok(found) => assert_eq!(found[0].as_ref().unwrap().body, body(&format!("\"needle {number:05}\""))),
                Err(error) => assert!(error.code() == "corrupt" && missing > 0, "{error}"),
            }
        }
        // Writes find the right page, and the branch is then a new one.
        let put = |n: u64| batch().put(record(&format!("{n:04} new")), Expect::Absent, body("1"));
        if missing == 0 {
            backend.commit((0..2000).step_by(100).map(put).collect()).await.unwrap();
            assert_eq!(contents(&store).await.things.len(), 2026, "byte {at}");
            assert_eq!(backend.check().await.unwrap(), [], "byte {at}");
            mended += usize::from(!unused);
        } else {
            hid += 1;
        }
        backend.close().await.unwrap();
    }
    println!("{mended} mended, {hid} hid a page");
    assert!(mended > 10 && hid > 0, "{mended} {hid}");
}

#[tokio::test]
async fn a_branch_that_is_lost_hides_what_it_leads_to_and_no_walk_goes_in_a_circle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    large(&path).await;
    let mut bytes = fs::read(&path).unwrap();
    for page in bytes.chunks_mut(PAGE).skip(1) {
        if page[0] == 2 && page.windows(6).any(|window| window == b"thing\0") {
            page[8..].iter_mut().for_each(|byte| *byte ^= 1);
        }
    }
    fs::write(&path, bytes).unwrap();
    let backend = Arc::new(open(&path).await);
    let store = Store::new(backend.clone());
    let found = contents(&store).await;
    assert!(!found.errors.is_empty());
    assert_eq!(found.things.get("length of thing/l").unwrap(), "5");
    for number in (0..2000).step_by(97) {
        let key = record(&format!("{number:04}"));
        assert_eq!(backend.get(std::slice::from_ref(&key)).await.unwrap_err().code(), "corrupt");
        let put = batch().put(key, Expect::Absent, body("1"));
        assert_eq!(backend.commit(vec![put]).await.unwrap_err().code(), "corrupt");
    }
    backend.commit(vec![batch().append(log("l"), entries(0..1))]).await.unwrap();
    assert!(!backend.check().await.unwrap().is_empty());
}

/// Returns the rows of a table as redb stores them.
fn rows(path: &Path, table: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let database = redb::Builder::new().set_concurrency_mode(redb::ConcurrencyMode::SingleWriter).open(path).unwrap();
    let transaction = database.begin_read().unwrap();
    let table = transaction.open_table(redb::TableDefinition::<&[u8], &[u8]>::new(table)).unwrap();
    let row = |(key, value): (redb::AccessGuard<'_, &[u8]>, redb::AccessGuard<'_, &[u8]>)| {
        (key.value().to_vec(), value.value().to_vec())
    };
    table.iter().unwrap().map(|found| row(found.unwrap())).collect()
}

/// Returns the mark: how far a file with a journal holds what was committed.
fn mark(path: &Path) -> Option<Vec<u8>> {
    rows(path, "nofx").into_iter().find(|(key, _)| key == b"mark").map(|(_, mark)| mark)
}

/// With and without a journal, wherever in its table the page is.
#[tokio::test]
async fn commits_go_on_although_a_page_of_what_is_remembered_is_damaged() {
    for (journal, part) in [(false, 0), (true, 0), (true, 1), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.redb");
        // The file immediately follows each commit to the journal.
        let open = || open_with(&path, |options| (options.journal, options.apply_after) = (journal, Duration::ZERO));
        let store = open().await;
        let mut all = Vec::new();
        for number in 0..5 {
            let append = |n: u64| batch().append(log(&format!("l{n}")), entries(number..number + 1));
            let group: Vec<_> = (0..200).map(append).collect();
            let outcomes = store.commit(group.clone()).await.unwrap();
            all.extend(group.into_iter().zip(outcomes));
        }
        let Changes::Page(page) = store.changes(None, 0).await.unwrap() else { panic!("a gap") };
        let newest = page.newest;
        store.close().await.unwrap();
        drop(store);
        // The page with one row of `past`. Each row has the batch ids of this many commits.
        const TOGETHER: usize = 128;
        let past = rows(&path, "past");
        assert!(past.len() > 4, "{}", past.len());
        assert!((0..).zip(&past).all(|(at, (key, _))| key[..] == (at * TOGETHER as u64).to_be_bytes()));
        let damaged = &past[part * (past.len() - 1) / 2].1[..64];
        let mut bytes = fs::read(&path).unwrap();
        let mut hidden = Vec::new();
        for page in bytes.chunks_mut(PAGE).skip(1) {
            let has = |start: &[u8]| page.windows(64).any(|window| window == start);
            if has(damaged) {
                hidden = (0..past.len()).filter(|at| has(&past[*at].1[..64])).collect();
                page[8] ^= 1;
            }
        }
        fs::write(&path, bytes).unwrap();
        let forgotten = all[hidden[0] * TOGETHER].clone();
        let known = (0..).zip(all).filter(|(at, _)| !hidden.contains(&(at / TOGETHER)));
        let mut known: Vec<_> = known.map(|(_, one)| one).collect();
        assert!(known.len() > 600, "{} known", known.len());
        let before = mark(&path);
        for round in 1..=3 {
            let backend = Arc::new(open().await);
            let store = Store::new(backend.clone());
            for number in 0..2 {
                // In a group with new batches, remembered ones get the same outcome as the first time.
                let (mut group, expected): (Vec<_>, Vec<_>) = known.iter().step_by(7).cloned().unzip();
                let new: Vec<_> = (0..150).map(|at| batch().append(log("other"), entries(at..at + 1))).collect();
                group.extend(new.clone());
                let mut outcomes = backend.commit(group).await.unwrap();
                let answered = outcomes.split_off(expected.len());
                assert_eq!(outcomes, expected, "round {round}, {number}");
                known.extend(new.into_iter().zip(answered));
            }
            let damaged = backend.check().await.unwrap();
            assert!(damaged.len() == 1 && damaged[0].hides, "{damaged:?}");
            let Changes::Page(page) = backend.changes(Some(&newest), 1000).await.unwrap() else { panic!("a gap") };
            assert_eq!(page.changes.len(), 300 * round);
            if round == 3 {
                let found = contents(&store).await;
                assert!(found.errors.is_empty(), "{:?}", found.errors);
                assert_eq!(found.things.len(), 200 * 6 + 1 + 300 * round);
            }
            backend.close().await.unwrap();
            assert_eq!(mark(&path) != before, journal, "the file follows");
        }
        let again = open().await.commit(vec![forgotten.0.clone()]).await.unwrap();
        assert_ne!(again[0], forgotten.1);
    }
}

#[tokio::test]
async fn reads_and_commits_of_others_go_on_while_one_reads_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    large(&path).await;
    damage_pages_with(&path, b"needle 01000", 1);
    let backend = Arc::new(open_with(&path, |_| ()).await);
    let damaged = tokio::spawn({
        let backend = backend.clone();
        async move {
            for _ in 0..100 {
                assert_eq!(backend.get(&[record("1000")]).await.unwrap_err().code(), "corrupt");
            }
        }
    });
    for number in 0..100 {
        let put = batch().put(record("0000"), Expect::Any, body(&number.to_string()));
        assert!(matches!(backend.commit(vec![put]).await.unwrap()[0], Outcome::Committed(_)));
        assert_eq!(backend.get(&[record("0000")]).await.unwrap()[0].as_ref().unwrap().body, body(&number.to_string()));
        assert!(backend.read(&LogQuery::oldest_first(log("l"), 10)).await.unwrap().items.len() == 5);
    }
    damaged.await.unwrap();
}
