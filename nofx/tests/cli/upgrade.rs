//! Stores of a later version, as this version's program sees them.

use std::fs;

use crate::program::sha256;
use crate::program::{Place, session};
use crate::reading::with_sessions;

/// Makes a redb store claim format 2, readable by a program of format 1.
fn redb_of_a_later_version(place: &Place, name: &str) {
    let database = redb::Database::open(place.path(name)).expect("a redb file");
    let transaction = database.begin_write().expect("it works");
    // With a journal, which this version knows how to read.
    let (key, payload) = (b"format", [3, 2]);
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[1]);
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(&payload);
    let value = [&hasher.finalize().to_le_bytes()[..], &payload].concat();
    let table: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("nofx");
    transaction.open_table(table).expect("it works").insert(&key[..], &*value).expect("it works");
    transaction.commit().expect("it works");
}

fn folder_of_a_later_version(place: &Place, name: &str) {
    let path = place.path(name).join("config.json");
    let text = fs::read_to_string(&path).expect("it is there");
    assert!(text.contains("\"version\": 1"), "{text}");
    fs::write(path, text.replace("\"version\": 1", "\"version\": 2")).expect("it works");
}

#[test]
fn a_store_of_a_later_format_is_read_and_not_written() {
    let place = with_sessions();
    place.run("migrate --from redb:x.redb --to fs:kept").done();
    place.run("delete one-l --store redb:x.redb").done();
    place.run("delete one-l --store fs:kept").done();
    place.run("export one-h --format json -o one.json --store fs:kept").done();
    for (store, file) in [("redb:x.redb", "x.redb"), ("fs:kept", "kept")] {
        let looks = [
            "ls --json",
            "ls --trash --json",
            "show one-h",
            "tail one-h",
            "search login",
            "export one-h",
            "stats --json",
            "doctor",
            "dump",
            "dump --full",
            "cleanup",
        ];
        let seen = || looks.map(|words| place.run(&format!("{words} --store {store}")).done().out);
        let before = seen();
        match file {
            "kept" => folder_of_a_later_version(&place, file),
            _ => redb_of_a_later_version(&place, file),
        }
        let bytes = || match fs::read(place.path(file)) {
            Ok(bytes) => vec![(place.path(file), Some(bytes))],
            Err(_) => place.tree(file),
        };
        let kept = bytes();
        let after = seen();
        for ((words, before), after) in looks.iter().zip(before).zip(after) {
            // What the file says about itself may have another length.
            assert!(*words == "stats --json" || before == after, "{words}: {after}");
        }
        place.run(&format!("backup --to redb:backup-{file}.redb --store {store}")).done();
        place.run(&format!("archive one-h --store redb:backup-{file}.redb")).done();
        for words in [
            "archive one-h",
            "restore one-h",
            "delete one-h",
            "undelete one-l",
            "delete one-l --for-good",
            "cleanup --yes",
            "compact",
            "upgrade",
            "import one.json --new",
            "doctor --repair",
        ] {
            let run = place.run(&format!("{words} --store {store}"));
            assert_eq!((run.code, run.err.lines().count()), (28, 2), "{words}: {run:?}");
            assert!(run.err.contains("hint: use a newer version of this program"), "{words}: {run:?}");
        }
        let run = place.run(&format!("migrate --from backup-{file}.redb --to {store}"));
        assert!(run.code != 0, "{run:?}");
        assert!(bytes() == kept, "{store} was changed");
    }
}

/// Content that no version writes yet.
const LATER: [&str; 5] = [
    r#"{"record":"agent","id":"ada","body":{"id":"ada","name":"Ada","later":[1.10,1e400,"cut \ud83d"]}}"#,
    r#"{"record":"later-kind","id":"x/y","body":{"$schema":7,"shape":[1.10,1e400,"cut \ud83d"]}}"#,
    r#"{"record":"session","id":"s9","body":{"$schema":9,"id":"s9","name":"from later","agentId":"ada"}}"#,
    r#"{"log":"later-log","id":"x","state":"open","length":1}"#,
    r#"{"entry":0,"at":-1,"body":{"later":12345678901234567890123}}"#,
];

#[test]
fn what_a_later_version_wrote_comes_through_every_copy() {
    let place = Place::new();
    let mut dump = String::from("{\"format\":\"nofx-full-dump\",\"version\":1}\n");
    LATER.iter().for_each(|line| dump.push_str(&format!("{line}\n")));
    let digest = sha256(dump.as_bytes());
    dump.push_str(&format!("{{\"end\":{{\"records\":3,\"logs\":1,\"entries\":1}},\"sha256\":\"{digest}\"}}\n"));
    place.write("later.ndjson", &dump);
    let full = |store: &str| place.run(&format!("dump --full --store {store}")).done().out;
    place.run("load later.ndjson --store redb:a.redb").done();
    assert_eq!(full("redb:a.redb"), dump);
    place.run("migrate --from redb:a.redb --to fs:b").done();
    place.run("backup --to redb:c.redb --store fs:b").done();
    for store in ["fs:b", "redb:c.redb"] {
        assert_eq!(full(store), dump, "{store}");
    }
    // Whatever else is done to the store.
    place.write("work/.nofx/sessions/one-harbour.json", session("one-harbour", "Harbour login"));
    place.run("migrate --from work --to redb:a.redb").done();
    place.run("restore one-h --store redb:a.redb").done();
    place.run("delete one-h --store redb:a.redb").done();
    place.run("delete one-h --for-good --store redb:a.redb").done();
    place.run("cleanup --keep 0 --yes --store redb:a.redb").done();
    place.run("doctor --repair --store redb:a.redb").done();
    let after = full("redb:a.redb");
    for line in LATER {
        assert!(after.contains(line), "{line} is gone from {after}");
    }
}
