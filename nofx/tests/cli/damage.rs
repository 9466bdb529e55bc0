//! One damaged message hides only itself.

use std::fs;

use nofx::entity::{Agent, Role};
use nofx::workspace::{NewSession, Workspace};

use crate::program::Place;

/// How many messages the session has.
const MESSAGES: usize = 300;

/// Creates a store in a folder with one session whose message at position 101 is damaged; returns the session's id.
fn with_a_damaged_message() -> (Place, String) {
    let place = Place::new();
    let location = place.shown("kept");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let id = runtime.block_on(async {
        let store = nofx::open(&format!("fs:{location}").parse().expect("a location")).await.expect("a store");
        let workspace = Workspace::new(store);
        let ada = Agent::new("ada", "Ada", "backend");
        let session = workspace.create_session(&ada, NewSession::default()).await.expect("a session");
        let messages = (0..MESSAGES).map(|n| workspace.message(Role::User, format!("text {n} of them")));
        workspace.add_messages(&session.id, messages.collect()).await.expect("messages");
        workspace.store().close().await.expect("it closes");
        session.id.to_string()
    });
    let history =
        place.tree("kept").into_iter().find(|(path, _)| path.ends_with("history.jsonl")).expect("a history").0;
    let text = fs::read_to_string(&history).expect("a text").replacen("text 101 of", "text 1o1 of", 1);
    fs::write(&history, text).expect("it works");
    (place, id)
}

fn lines(out: &str) -> usize {
    out.lines().count()
}

#[test]
fn everything_around_a_damaged_message_is_shown_found_and_exported() {
    let (place, id) = with_a_damaged_message();
    let run = |command: &str| place.run(&format!("{command} --store fs:kept"));

    let shown = run(&format!("show {id}"));
    assert_eq!((shown.code, shown.out.matches("text ").count()), (27, MESSAGES - 1), "{shown:?}");
    assert!(shown.out.contains("(message 101 is unreadable: corrupt data in history/"), "{shown:?}");
    assert!(shown.err.starts_with(&format!("error: 1 message of session `{id}` cannot be read: ")), "{shown:?}");
    let json = run(&format!("show {id} --json"));
    assert_eq!((json.code, lines(&json.out)), (27, MESSAGES), "{json:?}");
    assert!(json.out.contains(r#"{"position":101,"count":1,"unreadable":"corrupt data in history/"#), "{json:?}");

    let tail = run(&format!("tail {id} -n 250 --json"));
    assert_eq!((tail.code, lines(&tail.out)), (27, 250), "{tail:?}");
    assert!(
        tail.out.starts_with(r#"{"position":50,"#) && tail.out.contains(r#"{"position":101,"count":1,"#),
        "{tail:?}"
    );
    assert_eq!(lines(&run(&format!("tail {id} -n 100 --json")).done().out), 100);

    let found = run("search 299 --json");
    assert_eq!((found.code, lines(&found.out)), (27, 1), "{found:?}");
    assert!(found.err.starts_with("error: 1 messages or sessions could not be searched: "), "{found:?}");

    let exported = run(&format!("export {id}"));
    assert_eq!(
        (exported.code, exported.out.matches("text ").count()),
        (27, MESSAGES - 1 + exported.out.matches("```text ").count()),
        "{exported:?}"
    );
    assert!(exported.out.contains("### Message 101 cannot be read"), "{exported:?}");
    let exported = run(&format!("export {id} --format html"));
    assert_eq!((exported.code, exported.out.matches("<article ").count()), (27, MESSAGES), "{exported:?}");
    assert!(exported.out.contains("<h2>Message 101 cannot be read</h2>"), "{exported:?}");
    let exported = run(&format!("export {id} --format json"));
    assert_eq!(
        (exported.code, exported.out.matches("\"content\":\"text ").count()),
        (27, MESSAGES - 1),
        "{exported:?}"
    );
    assert!(exported.out.contains(r#""content":"[Message 101 cannot be read: "#), "{exported:?}");
    place.write("session.json", &exported.out);
    place.run("import session.json --store redb:imported.redb").done();
    let imported = place.run(&format!("show {id} --json --store redb:imported.redb")).done().out;
    assert_eq!((lines(&imported), imported.matches(r#""code":"corrupt""#).count()), (MESSAGES, 1), "{imported}");

    let doctor = run("doctor");
    let damaged: Vec<_> = doctor.out.lines().filter(|line| line.starts_with("damaged  history/")).collect();
    assert_eq!((doctor.code, damaged.len()), (27, 1), "{doctor:?}");
    assert!(damaged[0].contains(" at position 101: "), "{doctor:?}");
    assert!(doctor.out.contains(&format!(" with {} entries: ", MESSAGES - 1)), "{doctor:?}");

    for refused in ["dump", "dump --full", "backup --to redb:copy.redb"] {
        let run = run(refused);
        assert!(run.code == 27 && run.err.contains("at position 101"), "{run:?}");
    }
    let copied = place.run("migrate --from fs:kept --to redb:other.redb");
    assert!(copied.code == 27 && copied.err.contains("at position 101"), "{copied:?}");
}
