//! Stores of format 1, of both kinds, as an early version of this program wrote them: they open, read, go on and dump the same bytes.
//!
//! Each archive in `tests/format_1` was written by the version of 2026-11-28: sessions with messages, tasks and archived sessions, then
//! records and logs of a host's own, sealed and removed ones among them. `small` and `large` (400 sessions) were closed; the writer of
//! `killed` ended without closing. What the same version said about each is in the table below.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a fixture that cannot be unpacked may well end a test")]
#![expect(clippy::single_range_in_vec_init, reason = "a range of positions in a list is what an append returns")]

use std::path::Path;

use nofx::migrate::dump_full;
use nofx::{
    BatchId, Body, Changes, Cursor, Expect, Kind, Location, LogKey, NewEntry, Options, Outcome, RecordKey, Seq, Store,
    Timestamp, open_with,
};

/// A store, and what the version that wrote it said about it.
struct Fixture {
    name: &'static str,
    /// A batch that it committed: it wrote the record `kept` as this commit, and appended the first two entries of the log `open`.
    batch: &'static str,
    seq: u64,
    /// Where the feed of changes ended after that batch.
    cursor: &'static str,
    /// The digest of its full dump.
    sha256: &'static str,
}

/// How many batches were committed after the one that a fixture names.
const LATER: usize = 6;

const FIXTURES: [Fixture; 6] = [
    Fixture {
        name: "redb-small",
        batch: "01a22dcc8b32d2abf9dcca8d96048bd0",
        seq: 10,
        cursor: "01a22dcc8b0f774a9afc3d2cda1dbfcf:25",
        sha256: "03996cdf64a2e3d108243f510be6e17e863b78be71a197e511528601399bb31a",
    },
    Fixture {
        name: "redb-killed",
        batch: "01a22dcc8b8424f5684565c615517ae4",
        seq: 10,
        cursor: "01a22dcc8b3e7b88e32dc00168c5a5c9:25",
        sha256: "2d7b6575004bad2783517e8d4f2660a0418b64d113f2594e27cc3c937f5b48bd",
    },
    Fixture {
        name: "redb-large",
        batch: "01a22dcca84e83dcec187e6bbfa8017e",
        seq: 940,
        cursor: "01a22dcc8bcc90dc28a9b2ba9e1bd58d:2540",
        sha256: "8526a7218bbffaa8f2cc3096207e11991076461c2cc25a03971e75bbdbeebdc5",
    },
    Fixture {
        name: "fs-small",
        batch: "01a22dcca8c9bfa995b64d800fde0634",
        seq: 10,
        cursor: "01a22dcca8bf349f9d9e739dc77c84ec:25",
        sha256: "eaa8116b60375277b4ae59a6b53e8e93f19d7293a8b1aef44cd00b4eb07d8c86",
    },
    Fixture {
        name: "fs-killed",
        batch: "01a22dcca91b82e249dd6455939d40df",
        seq: 10,
        cursor: "01a22dcca90ffa3d9dd35b1da56a6a9a:25",
        sha256: "11b934c7b5407a02203a52e300ad50a700edbd79219165bcea1e54216770a767",
    },
    Fixture {
        name: "fs-large",
        batch: "01a22dccb1f143011d134059688ea361",
        seq: 940,
        cursor: "01a22dcca94df1940d1b1df2c63e0d6a:2540",
        sha256: "755a91cb62ab3e62fb1a75d03db339a476d711a00d1c55b079452bf2955f11d5",
    },
];

impl Fixture {
    /// Unpacks the store into a folder.
    fn unpacked(&self, folder: &Path) -> Location {
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/format_1/{}.tar.zst", self.name));
        let archive = zstd::Decoder::new(std::fs::File::open(archive).unwrap()).unwrap();
        tar::Archive::new(archive).unpack(folder).unwrap();
        match self.name.starts_with("redb") {
            true => Location::redb(folder.join("nofx.redb")),
            false => Location::fs(folder.join("store")),
        }
    }

    fn batch(&self) -> BatchId {
        BatchId::from_bytes(u128::from_str_radix(self.batch, 16).unwrap().to_be_bytes())
    }
}

async fn digest(store: &Store) -> String {
    dump_full(store, &mut Vec::new()).await.unwrap().sha256
}

fn note(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("note"), id).unwrap()
}

fn log(id: &str) -> LogKey {
    LogKey::new(Kind::of("talk"), id).unwrap()
}

fn entry() -> NewEntry {
    NewEntry { at: Timestamp::from_millis(0), body: Body::trusted("{}") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_1_reads_and_dumps_as_before() {
    for fixture in FIXTURES {
        let folder = tempfile::tempdir().unwrap();
        let location = fixture.unpacked(folder.path());
        let mut options = Options::existing();
        options.read_only = true;
        let store = open_with(&location, options).await.unwrap();
        assert_eq!(digest(&store).await, fixture.sha256, "{}", fixture.name);
        store.close().await.unwrap();
        let store = open_with(&location, Options::existing()).await.unwrap();
        assert_eq!(digest(&store).await, fixture.sha256, "{}", fixture.name);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_format_1_goes_on_where_it_was_left() {
    for fixture in FIXTURES {
        let folder = tempfile::tempdir().unwrap();
        let location = fixture.unpacked(folder.path());
        let store = open_with(&location, Options::existing()).await.unwrap();

        // What was committed then is remembered, whatever the batch says now.
        let mut again = store.batch().put(note("kept"), Expect::Any, Body::trusted("{}"));
        again.id = fixture.batch();
        let Outcome::Committed(first) = store.commit(again).await.unwrap() else { panic!("{}", fixture.name) };
        assert_eq!((first.seq, first.appended), (Seq::new(fixture.seq), Vec::from([0..2])), "{}", fixture.name);
        assert_eq!(digest(&store).await, fixture.sha256, "{}", fixture.name);

        // A cursor of then leads to what came after it, and the id of a removed log stays used.
        let cursor = Cursor(fixture.cursor.to_owned());
        let Changes::Page(page) = store.changes(Some(&cursor), 100).await.unwrap() else { panic!("{}", fixture.name) };
        assert_eq!(page.changes.len(), LATER, "{}", fixture.name);
        for ended in ["gone", "sealed"] {
            let outcome = store.commit(store.batch().append(log(ended), vec![entry()])).await.unwrap();
            assert!(matches!(outcome, Outcome::Conflicted(_)), "{}: {ended}", fixture.name);
        }

        let newest = page.changes.iter().filter_map(|change| change.seq).max().unwrap();
        let more = store.batch().put(note("new"), Expect::Absent, Body::trusted("{}")).append_at(
            log("open"),
            5,
            vec![entry()],
        );
        let done = store.commit(more).await.unwrap().committed().unwrap();
        assert_eq!((done.seq, done.appended), (Some(newest.next()), Vec::from([5..6])), "{}", fixture.name);
        let after = digest(&store).await;
        store.close().await.unwrap();

        let store = open_with(&location, Options::existing()).await.unwrap();
        assert_eq!(digest(&store).await, after, "{}", fixture.name);
        let Changes::Page(page) = store.changes(Some(&cursor), 100).await.unwrap() else { panic!("{}", fixture.name) };
        assert_eq!(page.changes.len(), LATER + 1, "{}", fixture.name);
        store.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_store_of_format_1_dumps_as_before_and_remembers() {
    for fixture in FIXTURES {
        let folder = tempfile::tempdir().unwrap();
        let location = fixture.unpacked(folder.path());
        assert_eq!(nofx::upgrade(&location).await.unwrap(), fixture.name.starts_with("redb"), "{}", fixture.name);
        let store = open_with(&location, Options::existing()).await.unwrap();
        assert_eq!(digest(&store).await, fixture.sha256, "{}", fixture.name);
        let mut again = store.batch();
        again.id = fixture.batch();
        let Outcome::Committed(first) = store.commit(again).await.unwrap() else { panic!("{}", fixture.name) };
        assert_eq!(first.seq, Seq::new(fixture.seq), "{}", fixture.name);
        store.close().await.unwrap();
    }
}
