//! The life of sessions: archived, restored, deleted, exported, imported, cleaned up.

use crate::program::Place;
use crate::reading::with_sessions;

fn states(place: &Place, words: &str) -> Vec<String> {
    let out = place.run(&format!("ls --json --store redb:x.redb{words}")).done().out;
    let state =
        |line: &str| line.split("\"state\":\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
    out.lines().filter_map(state).collect()
}

#[test]
fn sessions_are_archived_restored_deleted_and_undeleted() {
    let place = with_sessions();
    let archived = place.run("archive one-h one-l one-harbour --store redb:x.redb").done().out;
    assert_eq!(archived, "archived `one-harbour` Harbour login\narchived `one-lights` Lights\\u{1b}[31m\n");
    assert_eq!(states(&place, ""), ["archived", "archived"]);
    let restored = place.run("restore one-h --store redb:x.redb --json").done().out;
    assert!(restored.starts_with("{\"session\":\"one-harbour\",\"restored\":\"restored-ada-"), "{restored}");
    assert_eq!(states(&place, " --status active"), ["active"]);
    let shown = place.run("show restored-ada --store redb:x.redb").done().out;
    assert!(shown.contains("restored from one-harbour") && shown.contains("Please write the login form."), "{shown}");
    place.run("delete one-h --store redb:x.redb").done();
    assert_eq!(states(&place, " --trash"), ["deleted"]);
    place.run("undelete one-h --store redb:x.redb").done();
    assert_eq!(states(&place, " --trash"), [""; 0]);
    let refused = "session `one-harbour` is not in the trash";
    place.run("delete one-h --for-good --store redb:x.redb").failed(42, refused);
    place.run("delete one-h --store redb:x.redb").done();
    let partly = place.run("delete one-h one-l --for-good --store redb:x.redb");
    assert_eq!((partly.code, partly.out.as_str()), (5, "removed `one-harbour` Harbour login\n"), "{partly:?}");
    assert!(partly.err.starts_with("error: 1 of 2 sessions were left unchanged, `one-lights` because "), "{partly:?}");
    assert!(place.run("show restored-ada --store redb:x.redb").done().out.contains("Please write the login form."));
    assert_eq!(place.run("archive one-l unknown --store redb:x.redb").code, 40);
}

#[test]
fn a_session_is_forked_at_a_position_and_rewound() {
    let place = with_sessions();
    let count = |id: &str| place.run(&format!("show {id} --json --store redb:x.redb")).done().out.lines().count();
    let all = count("one-h");
    assert!(all > 1);
    place.run("restore one-h --at 1 --store redb:x.redb").done();
    assert_eq!((count("restored-ada"), count("one-h")), (1, all));
    let beyond = format!("restore one-h --at {} --store redb:x.redb", all + 1);
    place.run(&beyond).failed(42, &format!("session `one-harbour` has {all} messages, fewer than {}", all + 1));
    assert_eq!(place.run("restore one-h --at 1 --without-history --store redb:x.redb").code, 2);
    let rewound = place.run("rewind one-h 1 --json --store redb:x.redb").done().out;
    assert_eq!(rewound, format!("{{\"session\":\"one-harbour\",\"messages\":1,\"taken_back\":{}}}\n", all - 1));
    assert_eq!(count("one-h"), 1);
    let text = place.run("rewind one-h 0 --store redb:x.redb").done().out;
    assert_eq!(text, "removed 1 messages of `one-harbour` Harbour login; 0 are left\n");
    place.run("rewind one-h 1 --store redb:x.redb").failed(42, "session `one-harbour` has 0 messages, fewer than 1");
    place.run("rewind unknown 0 --store redb:x.redb").failed(40, "no session `unknown`");
    place.run("archive one-l --store redb:x.redb").done();
    place.run("rewind one-l 0 --store redb:x.redb").failed(42, "session `one-lights` is archived");
    place.run("doctor --store redb:x.redb").done();
    assert_eq!(count("restored-ada"), 1);
}

#[test]
fn each_namespace_has_its_own_sessions() {
    let place = with_sessions();
    place.run("export one-h --format json -o one.json --store redb:x.redb").done();
    place.run("--namespace chat import one.json --new --store redb:x.redb").done();
    let listed = |words: &str| place.run(&format!("{words} --json --store redb:x.redb")).done().out.lines().count();
    let all = listed("ls");
    assert_eq!((listed("--namespace chat ls"), listed("ls --namespace chat")), (1, 1));
    assert_eq!((listed("ls --namespace other"), all), (0, 2));
    assert!(place.run("show one-h --namespace chat --store redb:x.redb").code == 40);
    assert!(place.run("--namespace chat show imported- --store redb:x.redb").done().out.contains("Harbour login"));
    assert_eq!(place.run("show imported- --store redb:x.redb").code, 40);
    assert_eq!(place.run("archive imported- --store redb:x.redb").code, 40);
    place.run("--namespace chat archive imported- --store redb:x.redb").done();
    let refused = place.run("--namespace Chat ls --store redb:x.redb");
    assert!(refused.code == 2 && refused.err.contains("`Chat` is not a valid namespace"), "{refused:?}");
    for whole in ["stats", "doctor", "dump", "backup --to redb:y.redb", "records chat"] {
        let refused = "this command works on all namespaces of a store";
        place.run(&format!("--namespace chat {whole} --store redb:x.redb")).failed(2, refused);
        place.run(&format!("{whole} --namespace chat --store redb:x.redb")).failed(2, refused);
    }
    assert!(place.run("stats --json --store redb:x.redb").done().out.contains("\"sessions\":3"));
    let dump = place.run("dump --store redb:x.redb").done().out;
    assert_eq!(dump.matches("\"namespace\":\"chat\"").count(), 1, "{dump}");
    place.run("backup --to redb:y.redb --store redb:x.redb").done();
    assert_eq!(place.run("--namespace chat ls --json --store redb:y.redb").done().out.lines().count(), 1);
}

#[test]
fn what_a_host_keeps_for_itself_is_shown() {
    use nofx::{Body, Expect, NewEntry, Timestamp};
    let place = with_sessions();
    let location: nofx::Location = format!("redb:{}", place.path("x.redb").display()).parse().unwrap();
    let written = async {
        let workspace = nofx::workspace::Workspace::new(nofx::open(&location).await.unwrap());
        let records = workspace.records("lang").unwrap();
        let body = |json: &str| Body::parse(json).unwrap();
        let entry = NewEntry { at: Timestamp::from_millis(0), body: body("[1]") };
        let batch = records.batch().append(records.log("turns", "t1").unwrap(), vec![entry]);
        let batch = batch.put(records.key("write", "t1/a").unwrap(), Expect::Absent, body(r#"{"n":1}"#));
        let batch = batch.put(records.key("read", "t1").unwrap(), Expect::Absent, body("2"));
        records.commit(batch).await.unwrap().committed().unwrap();
        workspace.store().close().await.unwrap();
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(written);
    let shown = |words: &str| place.run(&format!("records {words} --store redb:x.redb")).done().out;
    let all = shown("lang --entries");
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines[0].starts_with("{\"record\":\"x-lang-read\",\"id\":\"t1\",\"version\":"), "{all}");
    assert!(lines[1].ends_with("\"body\":{\"n\":1}}"), "{all}");
    assert_eq!(lines[2], "{\"log\":\"x-lang-turns\",\"id\":\"t1\",\"state\":\"open\",\"length\":1}");
    assert_eq!(lines[3..], ["{\"entry\":0,\"at\":\"1970-01-01T00:00:00.000Z\",\"body\":[1]}"]);
    assert_eq!(shown("lang --kind write --prefix t2").lines().count(), 0);
    assert_eq!(shown("lang --kind write --prefix t1").lines().count(), 1);
    assert_eq!(shown("langx"), "");
    assert_eq!(place.run("records lang --prefix t1 --store redb:x.redb").code, 2);
    let refused = place.run("records a-b --store redb:x.redb");
    assert!(refused.code == 2 && refused.err.contains("`a-b` is not a valid name for records"), "{refused:?}");
}

#[test]
fn what_is_exported_is_imported() {
    let place = with_sessions();
    let markdown = place.run("export one-h --store redb:x.redb").done().out;
    assert!(
        markdown.starts_with("# Harbour login\n") && markdown.contains("Please write the login form."),
        "{markdown}"
    );
    place.run("export one-h --format json -o one.json --store redb:x.redb").done();
    let imported = place.run("import one.json --store redb:y.redb").done().out;
    assert_eq!(imported, "imported `one-harbour` Harbour login\n");
    let show = |store: &str| place.run(&format!("show one-h --json --store redb:{store}")).done().out;
    assert_eq!(show("x.redb"), show("y.redb"));
    place.run("import one.json --store redb:y.redb").failed(42, "session `one-harbour` already exists");
    let new = place.run("import one.json --new --json --store redb:y.redb").done().out;
    assert!(new.starts_with("{\"session\":\"imported-"), "{new}");
    place.write("letter.txt", "dear store");
    let run = place.run("import letter.txt --store redb:z.redb");
    assert_eq!((run.code, run.err.lines().count()), (15, 2), "{run:?}");
    assert!(!place.path("z.redb").exists());
    place.run("import nowhere.json --store redb:z.redb").failed(10, "`nowhere.json` does not exist");
    assert!(place.run("export --agents --store redb:x.redb").done().out.contains("## Ada (backend)"));
}

#[test]
fn a_page_is_written_to_a_file_or_standard_output() {
    let place = with_sessions();
    place.run("export one-h --format html -o one.html --store redb:x.redb").done();
    let page = std::fs::read_to_string(place.path("one.html")).unwrap();
    assert!(page.starts_with("<!doctype html>\n") && page.ends_with("</html>\n"), "{page}");
    for part in ["<title>Harbour login</title>", "<p>Please write the login form.</p>"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let printed = place.run("export one-h --format html --store redb:x.redb").done().out;
    let before_footer = |page: &str| page.split("<footer>").next().map(str::to_owned);
    assert_eq!(before_footer(&printed), before_footer(&page));
    assert_eq!(place.run("export --agents --format html --store redb:x.redb").code, 2);
}

#[test]
fn a_cleanup_is_shown_before_it_is_done() {
    let place = with_sessions();
    let plan = place.run("cleanup --keep 1 --archive-after 30d --store redb:x.redb").done().out;
    let lines: Vec<&str> = plan.lines().collect();
    assert_eq!(lines.len(), 3, "{plan}");
    assert!(lines[0].starts_with("archive  `one-lights`") && lines[1].starts_with("delete   `one-harbour`"), "{plan}");
    assert_eq!(lines[2], "nothing was changed; run it again with --yes");
    assert_eq!(states(&place, ""), ["expired", "expired"]);
    let done = place.run("cleanup --keep 1 --archive-after 30d --yes --json --store redb:x.redb").done().out;
    assert!(done.ends_with(
        "{\"archived\":1,\"deleted\":1,\"removed\":0,\"removed_orchestration_messages\":0,\"removed_contents\":0}\n"
    ));
    assert_eq!(states(&place, ""), ["archived"]);
    let nothing = place.run("cleanup --keep 1 --archive-after 30d --yes --store redb:x.redb").done().out;
    assert_eq!(nothing, "there is nothing to clean up\n");
}

#[test]
fn looking_at_a_store_that_is_not_there_does_not_make_it() {
    let place = Place::new();
    for words in [
        "ls",
        "show x",
        "tail x",
        "search x",
        "export x",
        "archive x",
        "restore x",
        "rewind x 0",
        "delete x",
        "undelete x",
    ] {
        for store in ["redb:no.redb", "fs:no"] {
            let error = format!("no NofX store at `{store}`");
            place.run(&format!("{words} --store {store}")).failed(29, &error);
        }
    }
    for words in ["cleanup", "cleanup --yes", "stats", "doctor", "compact", "upgrade", "backup --to redb:y.redb"] {
        place.run(&format!("{words} --store redb:no.redb")).failed(29, "no NofX store at `redb:no.redb`");
    }
    assert_eq!(place.tree(""), []);
}
