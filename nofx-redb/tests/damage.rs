//! Files that are damaged, foreign, of another version, or missing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{batch, body, entries, log, open, open_with, record};
use nofx_core::{
    Changes, Direction, Expect, KeyQuery, LogQuery, NewEntry, PersistenceBackend, Repaired, Store, Timestamp,
};
use nofx_redb::{Access, Options, Probe, RedbBackend};
use redb::{ConcurrencyMode, Database, ReadableTable, TableDefinition};

fn table(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

fn database(path: &Path) -> Database {
    redb::Builder::new().set_concurrency_mode(ConcurrencyMode::SingleWriter).open(path).unwrap()
}

/// Changes one byte of the value in a row of a table, counted from the first.
fn flip(path: &Path, name: &str, row: usize) {
    let database = database(path);
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(table(name)).unwrap();
        let (key, mut value) = {
            let (key, value) = table.iter().unwrap().nth(row).unwrap().unwrap();
            (key.value().to_vec(), value.value().to_vec())
        };
        let last = value.len() - 1;
        value[last] ^= 1;
        table.insert(&*key, &*value).unwrap();
    }
    transaction.commit().unwrap();
}

fn rows(path: &Path, name: &str) -> usize {
    let database = database(path);
    let transaction = database.begin_write().unwrap();
    let rows = transaction.open_table(table(name)).unwrap().iter().unwrap().count();
    transaction.abort().unwrap();
    rows
}

fn long(number: u64) -> NewEntry {
    let text = format!("\"{number} {}\"", (0..60).map(|n| format!("word{} ", n * number % 977)).collect::<String>());
    NewEntry { at: Timestamp::from_millis(number as i64), body: body(&text) }
}

/// A store with records `a` and `b`, a log `rows` of five rows, and a log `chunks` of three chunks.
async fn example(path: &Path) {
    let store = open(path).await;
    store.commit(vec![batch().put(record("a"), Expect::Any, body("1"))]).await.unwrap();
    store.commit(vec![batch().put(record("b"), Expect::Any, body("2"))]).await.unwrap();
    store.commit(vec![batch().append(log("chunks"), (0..600).map(long).collect())]).await.unwrap();
    store.close().await.unwrap();
    // Dropped, not closed, so that its rows are not folded.
    let store = open(path).await;
    store.commit(vec![batch().append(log("rows"), entries(0..5))]).await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_named_and_neither_read_nor_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    flip(&path, "records", 0);
    let store = open(&path).await;
    let error = store.get(&[record("a")]).await.unwrap_err();
    assert_eq!(error.code(), "corrupt");
    assert!(error.to_string().contains("thing/a") && error.to_string().contains("a.redb"), "{error}");
    assert_eq!(store.get(&[record("b")]).await.unwrap()[0].as_ref().unwrap().body, body("2"));
    let over = store.commit(vec![batch().put(record("a"), Expect::Any, body("3"))]).await;
    assert_eq!(over.unwrap_err().code(), "corrupt");
    let guarded = store.commit(vec![batch().put(record("a"), Expect::Absent, body("3"))]).await;
    assert_eq!(guarded.unwrap_err().code(), "corrupt");
    store.commit(vec![batch().put(record("c"), Expect::Absent, body("3"))]).await.unwrap();
    assert_eq!(store.scan(&KeyQuery::all(10)).await.unwrap_err().code(), "corrupt");
    assert_eq!(store.scan(&KeyQuery::all(10).after(record("a"))).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_damaged_bundle_is_named_and_concerns_only_its_records() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let store = open(&path).await;
    let puts = (0..200).map(|n| batch().put(record(&format!("{n:03}")), Expect::Any, long(n).body));
    store.commit(puts.collect()).await.unwrap();
    store.compact().await.unwrap();
    // Rows that hide records of the first bundle.
    let hiding = batch().put(record("001"), Expect::Any, body("1")).delete(record("002"), Expect::Any);
    store.commit(vec![hiding]).await.unwrap();
    store.close().await.unwrap();
    flip(&path, "chunks", 0);
    let store = open(&path).await;
    for round in ["as it was", "compacted"] {
        let error = store.get(&[record("000")]).await.unwrap_err();
        assert!(
            error.code() == "corrupt" && error.to_string().contains("records from thing/000 to"),
            "{round}: {error}"
        );
        assert_eq!(store.get(&[record("001")]).await.unwrap()[0].as_ref().unwrap().body, body("1"), "{round}");
        assert_eq!(store.get(&[record("002")]).await.unwrap(), [None], "{round}");
        assert_eq!(store.get(&[record("199")]).await.unwrap()[0].as_ref().unwrap().body, long(199).body, "{round}");
        let newest = KeyQuery { direction: Direction::Backward, ..KeyQuery::all(20) };
        assert_eq!(store.scan(&newest).await.unwrap().items.len(), 20, "{round}");
        assert_eq!(store.scan(&KeyQuery::all(20)).await.unwrap_err().code(), "corrupt", "{round}");
        let over = store.commit(vec![batch().put(record("000"), Expect::Any, body("3"))]).await;
        assert_eq!(over.unwrap_err().code(), "corrupt", "{round}");
        store.commit(vec![batch().put(record("aaa"), Expect::Any, body("3"))]).await.unwrap();
        store.compact().await.unwrap();
    }
}

#[tokio::test]
async fn a_damaged_row_of_a_log_is_named_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    flip(&path, "entries", 2);
    let store = open(&path).await;
    let error = store.read(&LogQuery::oldest_first(log("rows"), 10)).await.unwrap_err();
    assert!(error.code() == "corrupt" && error.to_string().contains("position 2 of log thing/rows"), "{error}");
    assert_eq!(store.read(&LogQuery::oldest_first(log("rows"), 10).within(0..2)).await.unwrap().items.len(), 2);
    assert_eq!(store.read(&LogQuery::newest_first(log("rows"), 2)).await.unwrap().items[1].position, 3);
    for number in 5..600 {
        store.commit(vec![batch().append(log("rows"), vec![long(number)])]).await.unwrap();
        if number > 80 {
            break;
        }
    }
    store.commit(vec![batch().append(log("rows"), (81..200).map(long).collect()).seal(log("rows"))]).await.unwrap();
    store.close().await.unwrap();
    let store = open(&path).await;
    assert_eq!(store.read(&LogQuery::newest_first(log("rows"), 50)).await.unwrap().items.len(), 50);
    assert_eq!(store.read(&LogQuery::oldest_first(log("rows"), 10)).await.unwrap_err().code(), "corrupt");
}

#[tokio::test]
async fn a_damaged_chunk_is_named_and_the_others_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    assert!(rows(&path, "chunks") > 3);
    flip(&path, "chunks", 0);
    let store = open(&path).await;
    let error = store.read(&LogQuery::oldest_first(log("chunks"), 10)).await.unwrap_err();
    assert!(error.code() == "corrupt" && error.to_string().contains("position 0 of log thing/chunks"), "{error}");
    let newest = store.read(&LogQuery::newest_first(log("chunks"), 10)).await.unwrap();
    assert_eq!(newest.items[0].body, long(599).body);
    store.commit(vec![batch().append(log("chunks"), vec![long(600)])]).await.unwrap();
    assert_eq!(store.read(&LogQuery::oldest_first(log("rows"), 10)).await.unwrap().items.len(), 5);
}

#[tokio::test]
async fn a_damaged_head_or_feed_concerns_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    flip(&path, "logs", 0);
    flip(&path, "feed", 1);
    let store = open(&path).await;
    let error = store.heads(&[log("chunks")]).await.unwrap_err();
    assert!(error.code() == "corrupt" && error.to_string().contains("thing/chunks"), "{error}");
    assert_eq!(store.heads(&[log("rows")]).await.unwrap()[0].length, 5);
    assert_eq!(store.changes(None, 2).await.unwrap_err().code(), "corrupt");
    store.commit(vec![batch().append(log("rows"), entries(5..6))]).await.unwrap();
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let foreign = |name: &str| dir.path().join(name);
    fs::write(foreign("text"), "{\"sessions\":[]}").unwrap();
    fs::write(foreign("empty"), "").unwrap();
    fs::write(foreign("short"), "redb").unwrap();
    fs::write(foreign("torn"), b"redb\x1A\x0A\xA9\x0D\x0A").unwrap();
    for (name, types) in [("other", "things"), ("same-name", "nofx")] {
        let database = Database::create(foreign(name)).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TableDefinition::<u64, u64>::new(types)).unwrap().insert(1, 1).unwrap();
        transaction.commit().unwrap();
    }
    // Another program's file after a crash: copied while it was open.
    let database = Database::create(foreign("open")).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<u64, u64>::new("things")).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    fs::copy(foreign("open"), foreign("crashed")).unwrap();
    drop(database);
    fs::create_dir(foreign("folder")).unwrap();
    for name in ["text", "empty", "short", "torn", "other", "same-name", "crashed", "folder"] {
        let before = fs::read(foreign(name)).ok();
        let error = RedbBackend::open(&foreign(name)).await.unwrap_err();
        let expected = if name == "torn" { "corrupt" } else { "invalid" };
        assert_eq!(error.code(), expected, "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(fs::read(foreign(name)).ok(), before, "{name} was written to");
    }
}

fn set_format(path: &Path, format: u8, readable_from: u8) {
    let payload = [format, readable_from];
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[1]);
    hasher.update(&6_u64.to_le_bytes());
    hasher.update(b"format");
    hasher.update(&payload);
    let value = [&hasher.finalize().to_le_bytes()[..], &payload[..]].concat();
    let database = database(path);
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table("nofx")).unwrap().insert(&b"format"[..], &*value).unwrap();
    transaction.commit().unwrap();
}

#[tokio::test]
async fn another_version_of_the_format_is_recognised() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    set_format(&path, 2, 1);
    let newer = open(&path).await;
    assert!(newer.info().read_only.unwrap().contains("format 2"));
    assert_eq!(newer.get(&[record("a")]).await.unwrap()[0].as_ref().unwrap().body, body("1"));
    let error = newer.commit(vec![batch().put(record("a"), Expect::Any, body("3"))]).await.unwrap_err();
    assert_eq!(error.code(), "too-new");
    drop(newer);
    for (format, readable_from, code) in [(4, 3, "too-new"), (0, 0, "invalid")] {
        set_format(&path, format, readable_from);
        let before = fs::read(&path).unwrap();
        let error = RedbBackend::open(&path).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn a_handle_that_only_reads_never_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    let mut options = Options::default();
    options.read_only = true;
    assert_eq!(RedbBackend::open_with(&path, options.clone()).await.unwrap_err().code(), "invalid");
    assert!(!path.exists());
    example(&path).await;
    let before = fs::read(&path).unwrap();
    let store = RedbBackend::open_with(&path, options.clone()).await.unwrap();
    assert!(store.info().read_only.is_some());
    assert_eq!(store.heads(&[log("rows")]).await.unwrap()[0].length, 5);
    let error = store.commit(vec![batch().append(log("rows"), entries(5..6))]).await.unwrap_err();
    assert_eq!(error.code(), "invalid", "{error}");
    store.close().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), before);
    let writer = open(&path).await;
    writer.commit(vec![batch().append(log("rows"), entries(5..6))]).await.unwrap();
    let reader = RedbBackend::open_with(&path, options).await.unwrap();
    assert_eq!(reader.heads(&[log("rows")]).await.unwrap()[0].length, 6);
}

#[tokio::test]
async fn a_file_that_is_removed_or_replaced_is_missed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    let store = open(&path).await;
    let append = || batch().append(log("rows"), entries(5..6));
    store.commit(vec![append()]).await.unwrap();
    fs::rename(&path, dir.path().join("b.redb")).unwrap();
    for error in [store.get(&[record("a")]).await.unwrap_err(), store.commit(vec![append()]).await.unwrap_err()] {
        assert!(error.code() == "gone" && error.to_string().contains("a.redb"), "{error}");
    }
    let other = open(&path).await;
    other.commit(vec![append()]).await.unwrap();
    for error in [store.get(&[record("a")]).await.unwrap_err(), store.commit(vec![append()]).await.unwrap_err()] {
        assert!(error.code() == "replaced" && error.to_string().contains("a.redb"), "{error}");
    }
    other.close().await.unwrap();
    fs::rename(dir.path().join("b.redb"), &path).unwrap();
    store.commit(vec![append()]).await.unwrap();
    assert_eq!(store.heads(&[log("rows")]).await.unwrap()[0].length, 7);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let path = dir.path().join("file").join("a.redb");
    let error = RedbBackend::open(&path).await.unwrap_err();
    assert!(error.to_string().contains("a.redb"), "{error}");
    assert!(matches!(error.code(), "unavailable" | "invalid"), "{error}");
}

#[tokio::test]
async fn any_flipped_byte_is_answered_and_no_wrong_text_is_returned() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    let whole = fs::read(&path).unwrap();
    let mut corrupt = 0;
    for round in 0..120 {
        let path = dir.path().join(format!("{round}.redb"));
        let mut bytes = whole.clone();
        // A step that has no common divisor with the length visits the whole file.
        let at = round * 104_729 % bytes.len();
        bytes[at] ^= 1 << (round % 8);
        fs::write(&path, bytes).unwrap();
        let Ok(store) = RedbBackend::open(&path).await else {
            corrupt += 1;
            continue;
        };
        for number in 0..6 {
            let query = LogQuery { direction: Direction::Forward, ..LogQuery::oldest_first(log("chunks"), 100) };
            match store.read(&query.within(number * 100..number * 100 + 100)).await {
                Ok(page) => page.items.iter().for_each(|entry| assert_eq!(entry.body, long(entry.position).body)),
                Err(_) => corrupt += 1,
            }
        }
        for (id, text) in [("a", "1"), ("b", "2")] {
            if let Ok(Some(found)) = store.get(&[record(id)]).await.map(|mut found| found.remove(0)) {
                assert_eq!(found.body, body(text));
            }
        }
        let _ = store.commit(vec![batch().append(log("rows"), entries(5..6))]).await;
        let _ = store.changes(None, 10).await;
        let _ = store.close().await;
        fs::remove_file(&path).unwrap();
    }
    assert!(corrupt > 10, "{corrupt}");
}

/// Run by hand, with a store in a folder on a read-only mount.
#[tokio::test]
#[ignore = "needs a store on a read-only file system, named by NOFX_REDB_READ_ONLY"]
async fn a_store_on_a_read_only_file_system_is_read() {
    let path = std::path::PathBuf::from(std::env::var_os("NOFX_REDB_READ_ONLY").unwrap());
    let store = open(&path).await;
    let reason = store.info().read_only.unwrap();
    assert!(reason.contains("cannot be written"), "{reason}");
    store.scan(&KeyQuery::all(10)).await.unwrap();
    let error = store.commit(vec![batch().put(record("a"), Expect::Any, body("3"))]).await.unwrap_err();
    assert!(error.code() == "unavailable" && error.to_string().contains("cannot be written"), "{error}");
    println!("{reason}; {error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_asks_for_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    fs::write(&path, b"redb\x1A\x0A\xA9\x0D\x0A and nothing that belongs there".repeat(200)).unwrap();
    let error = RedbBackend::open(&path).await.unwrap_err();
    assert!(error.code() == "corrupt" && error.to_string().contains("restore a backup"), "{error}");
}

#[tokio::test]
async fn a_later_format_of_redb_is_too_new_and_an_earlier_one_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    drop(database(&path));
    let mut bytes = fs::read(&path).unwrap();
    // Both of redb's commit slots begin with the version of the file format.
    assert_eq!((bytes[64], bytes[192]), (3, 3));
    (bytes[64], bytes[192]) = (9, 9);
    fs::write(&path, &bytes).unwrap();
    let error = RedbBackend::open(&path).await.unwrap_err();
    assert!(error.code() == "too-new" && error.to_string().contains("a.redb"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    // An earlier version is another program's file, or has one damaged bit.
    (bytes[64], bytes[192]) = (3, 3);
    for slot in [64, 192] {
        bytes[slot] = 2;
        fs::write(&path, &bytes).unwrap();
        let error = RedbBackend::open(&path).await.unwrap_err();
        assert!(error.code() == "invalid" && error.to_string().contains("a.redb` is not a NofX store"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        bytes[slot] = 3;
    }
}

#[tokio::test]
async fn a_handle_that_only_reads_repairs_nothing_and_keeps_no_other_from_it() {
    for first_reads in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (path, killed) = (dir.path().join("a.redb"), dir.path().join("b.redb"));
        // As a killed writer leaves it.
        let store = open(&path).await;
        store.commit(vec![batch().put(record("a"), Expect::Any, body("1"))]).await.unwrap();
        fs::copy(&path, &killed).unwrap();
        let crashed = fs::read(&killed).unwrap();

        let mut options = Options::default();
        options.read_only = true;
        let (reader, writer);
        if first_reads {
            reader = RedbBackend::open_with(&killed, options).await.unwrap();
            writer = open(&killed).await;
        } else {
            writer = open(&killed).await;
            reader = RedbBackend::open_with(&killed, options).await.unwrap();
        }
        for handle in [&reader, &writer] {
            assert!(handle.get(&[record("a")]).await.unwrap()[0].is_some(), "the reader was first: {first_reads}");
        }
        assert_eq!(fs::read(&killed).unwrap(), crashed, "who only looked wrote");
        writer.commit(vec![batch().put(record("a"), Expect::Any, body("2"))]).await.unwrap();
        assert_eq!(reader.get(&[record("a")]).await.unwrap()[0].as_ref().unwrap().body, body("2"));
    }
}

#[tokio::test]
async fn a_damaged_commit_after_a_page_of_the_feed_does_not_concern_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    flip(&path, "feed", 2);
    let store = open(&path).await;
    let Changes::Page(page) = store.changes(None, 2).await.unwrap() else { panic!("a gap") };
    assert_eq!(page.changes.len(), 2);
    assert_eq!(store.changes(Some(&page.next), 1).await.unwrap_err().code(), "corrupt");
}

#[tokio::test]
async fn a_codec_of_a_newer_version_is_too_new_and_concerns_only_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    // Version 1, codec 77.
    let (name, payload) = (b"thing\0a", [1, 77, 1, 2, 3]);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[2]);
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name);
    hasher.update(&payload);
    let value = [&hasher.finalize().to_le_bytes()[..], &payload[..]].concat();
    let database = database(&path);
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table("records")).unwrap().insert(&name[..], &*value).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let store = open(&path).await;
    let error = store.get(&[record("a")]).await.unwrap_err();
    assert!(error.code() == "too-new" && error.to_string().contains("thing/a has codec 77"), "{error}");
    assert_eq!(store.get(&[record("b")]).await.unwrap()[0].as_ref().unwrap().body, body("2"));
    store.compact().await.unwrap();
    assert_eq!(store.get(&[record("a")]).await.unwrap_err().code(), "too-new");
}

/// Makes each flush take a while, so that commits accumulate.
#[derive(Debug)]
struct Slow;

impl Probe for Slow {
    fn access(&self, access: &Access<'_>) -> std::io::Result<()> {
        if *access == Access::Flush {
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_batch_that_names_a_damaged_record_fails_no_other_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    example(&path).await;
    flip(&path, "records", 0);
    let backend = Arc::new(open_with(&path, |options| options.probe = Some(Arc::new(Slow))).await);
    let together =
        vec![batch().put(record("a"), Expect::Any, body("3")), batch().put(record("d"), Expect::Any, body("3"))];
    assert_eq!(backend.commit(together).await.unwrap_err().code(), "corrupt");
    assert_eq!(backend.get(&[record("d")]).await.unwrap(), [None], "nothing happened");

    let store = Store::new(backend);
    let put = |id: &str| store.commit(batch().put(record(id), Expect::Any, body("3")));
    let (first, bad, good) = tokio::join!(put("first"), put("a"), put("good"));
    assert_eq!(bad.unwrap_err().code(), "corrupt");
    for outcome in [first, good] {
        outcome.unwrap().committed().unwrap();
    }
    assert_eq!(store.backend().get(&[record("good")]).await.unwrap()[0].as_ref().unwrap().body, body("3"));
}

/// Opens a store that commits to a journal beside its file.
async fn with_journal(path: &Path) -> RedbBackend {
    open_with(path, |options| options.journal = true).await
}

/// Commits three batches that stay in the journal, and damages the middle one.
async fn with_damaged_journal(path: &Path) {
    let store = with_journal(path).await;
    for (at, id) in (0..).zip(["ada", "bob", "cyd"]) {
        let batch = batch().put(record(id), Expect::Absent, body("1"));
        store.commit(vec![batch.append(log("l"), entries(at..at + 1))]).await.unwrap();
    }
    store.close().await.unwrap();
    let segment = path.with_file_name("a.redb-journal").join("segment-0");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(3).position(|window| window == b"bob").unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_frame_of_the_journal_hides_what_it_was_about_until_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.redb");
    with_damaged_journal(&path).await;
    let store = with_journal(&path).await;
    let damage = store.journal_damage().await.unwrap().unwrap();
    let segment = Path::new("a.redb-journal").join("segment-0");
    assert!(damage.starts_with(&format!("`{}`: frame 2 at byte ", segment.display())), "{damage}");
    assert_eq!(store.get(&[record("ada"), record("cyd")]).await.unwrap().iter().flatten().count(), 2);
    assert_eq!(store.get(&[record("bob")]).await.unwrap_err().code(), "corrupt");
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 3, "the last frame says how long the log is");
    let read = |from| LogQuery::oldest_first(log("l"), 9).within(from..9);
    assert_eq!(store.read(&read(1)).await.unwrap_err().code(), "corrupt");
    assert_eq!(store.read(&read(2)).await.unwrap().items.len(), 1);
    assert_eq!(store.commit(vec![batch()]).await.unwrap_err().code(), "corrupt");

    let asked = store.repair_journal(false).await.unwrap();
    assert!(asked.repairs.is_empty() && asked.losses.len() == 1, "{asked:?}");
    let done = store.repair_journal(true).await.unwrap();
    assert!(
        done.losses.is_empty() && done.repairs[0].aside.as_deref() == Some("a.redb-journal/damaged-1-*"),
        "{done:?}"
    );
    assert_eq!(store.journal_damage().await.unwrap(), None);
    assert_eq!(store.repair_journal(false).await.unwrap(), Repaired::default());

    // The log continues after the missing part, in rows, even when there are enough of them to be folded.
    for at in 3..600 {
        store.commit(vec![batch().append(log("l"), entries(at..at + 1))]).await.unwrap();
    }
    store.compact().await.unwrap();
    store.close().await.unwrap();
    let store = with_journal(&path).await;
    assert_eq!(store.get(&[record("bob")]).await.unwrap(), [None], "it was given up");
    assert_eq!(store.heads(&[log("l")]).await.unwrap()[0].length, 600);
    assert_eq!(store.read(&read(0)).await.unwrap().items.len(), 1);
    assert_eq!(store.read(&read(1)).await.unwrap_err().code(), "corrupt");
    let rest = LogQuery::oldest_first(log("l"), 1000).within(2..1000);
    assert_eq!(store.read(&rest).await.unwrap().items.len(), 598);
    assert!(store.check().await.unwrap().is_empty());
}
