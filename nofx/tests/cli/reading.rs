//! Listing, showing, following and searching.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nofx::entity::Role;
use nofx::workspace::Workspace;

use crate::program::{LEGACY, Place, run, session};

/// A place with a store of two sessions in `x.redb`.
pub(crate) fn with_sessions() -> Place {
    let place = Place::new();
    place.write("work/.nofx/agents.json", LEGACY);
    place.write("work/.nofx/sessions/one-harbour.json", session("one-harbour", "Harbour login"));
    let later = session("one-lights", "Lights\\u001b[31m").replace("2025-07-01", "2025-07-02");
    place.write("work/.nofx/sessions/one-lights.json", later);
    place.run("migrate --from work --to redb:x.redb").done();
    place
}

#[test]
fn sessions_are_listed_for_people() {
    let place = with_sessions();
    let all = place.run("ls --store redb:x.redb").done().out;
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 3, "{all}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(lines[0]), ["SESSION", "AGENT", "STATE", "MESSAGES", "ACTIVE", "NAME"]);
    assert!(lines[1].starts_with("one-lights   Ada    expired         2  "), "{all}");
    assert!(lines[1].ends_with("  Lights\\u{1b}[31m"), "{all}");
    assert!(lines[2].starts_with("one-harbour  Ada    expired         2  ") && lines[2].ends_with("  Harbour login"));
}

#[test]
fn sessions_are_listed_for_scripts_and_filtered() {
    let place = with_sessions();
    let list = |words: &str| {
        let out = place.run(format!("ls --store redb:x.redb --json {words}").trim_end()).done().out;
        out.lines().map(|line| line.split('"').nth(3).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list(""), ["one-lights", "one-harbour"]);
    assert_eq!(list("--limit 1"), ["one-lights"]);
    assert_eq!(list("--limit 0"), ["one-lights", "one-harbour"]);
    assert_eq!(list("--text HARBOUR"), ["one-harbour"]);
    assert_eq!(list("--since 2025-07-02"), ["one-lights"]);
    assert_eq!(list("--before 2025-07-02"), ["one-harbour"]);
    assert_eq!(list("--agent unknown"), [""; 0]);
    assert_eq!(list("--agent ada"), ["one-lights", "one-harbour"]);
    assert_eq!(list("--status expired"), ["one-lights", "one-harbour"]);
    assert_eq!(list("--status active"), [""; 0]);
    assert_eq!(list("--trash"), [""; 0]);
    let line = place.run("ls --store redb:x.redb --json --limit 1").done().out;
    let expected = r#"{"session":"one-lights","name":"Lights\u001b[31m","agent":"ada","agent_name":"Ada","agent_type":"backend","state":"expired","messages":2,"#;
    assert!(line.starts_with(expected), "{line}");
    for wrong in ["ls --since yesterday", "ls --status asleep", "ls --trash --agent ada"] {
        assert_eq!(place.run(wrong).code, 2, "{wrong}");
    }
}

const SHOWN: &str = "
── 2025-07-01 ────────────────────

10:00 user
  Please write the login form.

10:01 assistant
  Here it is, with everything that you asked for and a little more, so that this
  line is too long for one line of the screen:
  ```html
  <form action=\"/a/very/long/path/that/must/not/break/because/it/is/code/and/should/be/copied\"/>
  ```
  Done\\u{1b}[2J.
";

#[test]
fn a_conversation_is_set_to_be_read() {
    let place = with_sessions();
    let shown = place.run("show one-h --store redb:x.redb").done().out;
    let (head, messages) = shown.split_at(shown.find("\n──").unwrap());
    assert_eq!(messages, SHOWN);
    let head: Vec<&str> = head.lines().collect();
    assert_eq!(head[..3], ["Harbour login", "one-harbour", "Ada (backend) · expired · 2 messages"]);
    assert!(head[3].starts_with("created 2025-07-01 10:00") && head[3].contains("· expires 2025-07-01 15:00"));
    assert_eq!(head[4], "in /work · on branch main");
    let json = place.run("show one-h --store redb:x.redb --json").done().out;
    assert_eq!(json.lines().count(), 2);
    assert!(json.starts_with(r#"{"position":0,"at":"2025-07-01T10:00:00.000Z","message":{"id":"m1","#), "{json}");
}

#[test]
fn a_session_that_is_not_there_is_reported_with_the_nearest_one() {
    let place = with_sessions();
    for command in ["show", "tail", "archive", "restore", "delete", "undelete", "export"] {
        let run = place.run(&format!("{command} one-harbor --store redb:x.redb"));
        let run = run.failed(40, "no session `one-harbor`");
        assert!(run.err.contains("did you mean `one-harbour`, Harbour login?"), "{run:?}");
    }
    assert!(place.run("show login --store redb:x.redb").err.contains("did you mean `one-harbour`"));
    let several = "the ids of several sessions begin with `one-`, such as `one-harbour` and `one-lights`";
    place.run("show one- --store redb:x.redb").failed(41, several);
    let empty = place.run("show x --store memory:");
    assert!(empty.failed(40, "no session `x`").err.contains("no sessions"));
}

#[test]
fn a_session_is_found_by_the_beginning_or_the_end_of_its_id() {
    let place = with_sessions();
    let name = |named: &str| {
        let run = run(&mut place.command(["show", named, "--store", "redb:x.redb"])).done();
        run.out.lines().next().unwrap_or_default().to_owned()
    };
    for named in ["one-harbour", "one-h", "harbour", "bour", "…bour"] {
        assert_eq!(name(named), "Harbour login", "{named}");
    }
    place.run("show our --store redb:x.redb").failed(40, "no session `our`");
    place.run("restore one-h one-l --store redb:x.redb").done();
    assert_eq!(place.run("show restored-ada --store redb:x.redb").code, 41);
}

#[test]
fn messages_are_found() {
    let place = with_sessions();
    let found = place.run("search LOGIN form --store redb:x.redb").done().out;
    let expected = "Lights\\u{1b}[31m  one-lights\n  2025-07-02 10:00  user       Please write the login form.\n\n\
        Harbour login  one-harbour\n  2025-07-01 10:00  user       Please write the login form.\n";
    assert_eq!(found, expected);
    let json = place.run("search form --role assistant --until 2025-07-02 --json --store redb:x.redb").done().out;
    assert_eq!(json.lines().count(), 1);
    assert!(json.starts_with(r#"{"session":"one-harbour","name":"Harbour login","position":1,"#), "{json}");
    assert_eq!(place.run("search form --limit 1 --store redb:x.redb").done().out.lines().count(), 2);
    assert_eq!(place.run("search nothing-like-that --store redb:x.redb").done().out, "");
}

#[test]
fn the_newest_messages_are_shown_and_those_that_come() {
    let place = with_sessions();
    assert_eq!(place.run("tail one-h -n 1 --json --store redb:x.redb").done().out.lines().count(), 1);
    let mut follow = place.command(["tail", "one-h", "-n", "1", "--follow", "--json", "--store", "redb:x.redb"]);
    let mut child = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"position\":1,"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let location = format!("redb:{}", place.shown("x.redb")).parse().unwrap();
    runtime.block_on(async {
        let workspace = Workspace::new(nofx::open(&location).await.unwrap());
        let message = workspace.message(Role::User, "and a button");
        workspace.add_message(&"one-harbour".into(), message).await.unwrap();
    });
    let line = lines.next().unwrap().unwrap();
    assert!(line.starts_with("{\"position\":2,") && line.contains("and a button"), "{line}");
    // It ends on its own once the session is removed.
    place.run("delete one-h --store redb:x.redb").done();
    place.run("delete one-h --for-good --store redb:x.redb").done();
    assert!(child.wait().unwrap().success());
    assert!(lines.next().is_none());
}

#[test]
fn a_store_says_how_much_it_holds() {
    let place = with_sessions();
    let text = place.run("stats --store redb:x.redb").done().out;
    assert!(text.starts_with("redb:x.redb, ") && text.contains("sessions        2, 0 of them archived"), "{text}");
    let json = place.run("stats --store redb:x.redb --json").done().out;
    assert!(json.contains("\"backend\":\"redb\"") && json.contains("\"sessions\":2,"), "{json}");
    let upgraded = place.run("upgrade --store redb:x.redb").done().out;
    assert_eq!(upgraded, "`redb:x.redb` already has the newest format; nothing was changed\n");
}
