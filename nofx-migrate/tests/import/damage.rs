//! Everything intact in a damaged file is imported, and the file is kept.

use crate::workspace::{Workspace, session};

#[tokio::test]
async fn a_session_cut_anywhere_gives_its_whole_messages() {
    let whole = session("session-a-1757341292345", 9, "active", "a b c d");
    for cut in (1..whole.len()).step_by(7) {
        let part = whole.get(..cut).unwrap();
        let workspace = Workspace::with(&[("sessions/session-a-1757341292345.json", part)]);
        let report = workspace.import().await;
        assert!(report.is_complete(), "{report}");
        assert!(report.has_damage(), "{cut}");
        assert_eq!(workspace.all("session", "agent_id").await, ["\"a\""]);
        let expected =
            part.matches("says").count() - usize::from(part.contains("says") && !part.contains("completedTasks"));
        let found = workspace.lines("message").await.len();
        assert!(found == expected || found == expected + 1, "{cut}: {found} of {expected}");
        assert_eq!(workspace.attached("sessions/session-a-1757341292345.json").await.unwrap(), part.as_bytes());
    }
}

#[tokio::test]
async fn a_damaged_copy_is_completed_by_a_whole_one() {
    let whole = session("s", 9, "active", "a b c");
    let cut = whole.get(..whole.find("says c").unwrap()).unwrap().replace("\"name\": \"n\",", "");
    let workspace =
        Workspace::with(&[("sessions/s.json", &cut), ("archives/x_1/s.json", &session("s", 3, "paused", "a"))]);
    workspace.import().await;
    assert_eq!(workspace.messages("s").await, "a b");
    assert_eq!(workspace.all("session", "name").await, ["\"n\""]);
    assert_eq!(workspace.all("session", "status").await, ["\"active\""]);
}

#[tokio::test]
async fn the_name_of_a_file_says_only_what_no_copy_says() {
    let name = "session-a-1757341292345";
    let cut = format!(r#"{{"id": "{name}", "agentId": "#);
    let other = format!(r#"{{"id": "{name}", "agentId": "b", "createdAt": "2025-01-01T00:00:00.000Z", "agentName"#);
    let workspace =
        Workspace::with(&[(&format!("sessions/{name}.json"), &cut), (&format!("archive/{name}.json"), &other)]);
    workspace.import().await;
    assert_eq!(workspace.all("session", "agent_id").await, ["\"b\""]);
    assert_eq!(workspace.all("session", "created_at").await, ["\"2025-01-01T00:00:00.000Z\""]);
}

#[tokio::test]
async fn what_follows_the_end_is_named_and_kept() {
    let whole = session("s", 9, "active", "a b c");
    let text = format!("{whole}timestamp\": 1}}]}}");
    let workspace = Workspace::with(&[("sessions/s.json", &text)]);
    let report = workspace.import().await;
    assert_eq!(workspace.messages("s").await, "a b c");
    let unused = report.files.iter().next().unwrap().unwrap().unused;
    assert_eq!((unused[0].from, unused[0].to), (whole.len() as u64, text.len() as u64));
    assert_eq!(workspace.attached("sessions/s.json").await.unwrap(), text.as_bytes());
}

#[tokio::test]
async fn of_a_session_cut_in_an_archive_only_what_is_not_whole_becomes_nothing() {
    let second = session("s2", 9, "archived", "b c d");
    let wrapper = format!(r#"{{"sessions": [{},{second}], "exportedAt": "x"}}"#, session("s1", 9, "archived", "a"));
    let cut = wrapper.get(..wrapper.find("says d").unwrap()).unwrap();
    let list = wrapper.get(wrapper.find('[').unwrap()..wrapper.find("says d").unwrap()).unwrap();
    for (path, text) in [("archives/s2.json", cut), ("sessions/list.json", list)] {
        let workspace = Workspace::with(&[(path, text)]);
        let report = workspace.import().await;
        assert_eq!(
            (workspace.messages("s1").await, workspace.messages("s2").await),
            ("a".to_owned(), "b c".to_owned())
        );
        let file = report.files.iter().next().unwrap().unwrap();
        let [unused] = file.unused.as_slice() else { panic!("{report}") };
        let whole = text.find("says c\"}").unwrap() + "says c\"}".len();
        assert_eq!((unused.from, unused.to), (whole as u64, text.len() as u64), "{}", unused.reason);
    }
}

#[tokio::test]
async fn a_file_without_content_still_names_a_session() {
    let name = "sessions/restored-session-agent-1-x-1757344201529-1757344819160.json";
    let workspace = Workspace::with(&[("sessions/session-a-1757341292345.json", ""), ("sessions/else.json", "")]);
    workspace.write(name, [0; 100]);
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("session", "agent_id").await, ["\"agent-1-x\"", "\"a\""]);
    assert_eq!(workspace.attachments().await, [name]);
}

#[tokio::test]
async fn bad_lines_of_a_log_are_kept_and_whole_messages_in_them_found() {
    let line = |id: &str| {
        format!(r#"{{"id":"{id}","timestamp":"2025-01-01T00:00:00.000Z","type":"x","payload":{{"a":{{}}}}}}"#)
    };
    let (one, two, three) = (line("1"), line("2"), line("3"));
    let half = one.get(..40).unwrap();
    let glued = format!("{half}{two}");
    let workspace = Workspace::with(&[(
        "orchestration/messages.jsonl",
        &format!("{one}\n{glued}\nrubbish \u{1}\n{two}{three}\n{half}"),
    )]);
    let report = workspace.import().await;
    assert!(report.is_complete(), "{report}");
    assert_eq!(workspace.all("orchestration", "id").await, ["\"1\"", "\"2\"", "\"2\"", "\"3\""]);
    let path = |number: u32| format!("orchestration/messages.jsonl#line-{number}");
    assert_eq!(workspace.attachments().await, [2, 3, 4, 5].map(path));
    assert_eq!(workspace.attached(&path(2)).await.unwrap(), glued.as_bytes());
    assert_eq!(workspace.attached(&path(5)).await.unwrap(), half.as_bytes());
}

#[tokio::test]
async fn bytes_that_are_no_text_do_not_hide_the_rest() {
    let workspace = Workspace::with(&[]);
    let mut bytes = session("s", 9, "active", "a b c").into_bytes();
    let at = bytes.windows(6).position(|window| window == b"says b").unwrap();
    bytes[at] = 0xff;
    workspace.write("sessions/s.json", &bytes);
    let report = workspace.import().await;
    assert!(report.is_complete() && report.has_damage());
    assert_eq!(workspace.messages("s").await, "a b c");
    assert_eq!(workspace.attached("sessions/s.json").await.unwrap(), bytes);
    assert_eq!(report.totals.bytes_kept, 1);
}

#[tokio::test]
async fn no_content_makes_the_import_panic() {
    let names = [
        "agents.json",
        "sessions/session-a-1757341292345.json",
        "sessions/a_checkpoint.json",
        "sessions/a_session.md",
        "archives/x.json",
        "orchestration/messages.jsonl",
        "templates/t.json",
        "other.json",
    ];
    let deep = "[".repeat(20_000);
    let deep_object = "{\"sessions\":[".repeat(6_000);
    let contents: Vec<&[u8]> = vec![
        b"",
        b"\0\0",
        b" ",
        b"{",
        b"[",
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"\"",
        b"\xff\xfe",
        b"\xff\xfe{",
        b"\xef\xbb\xbf",
        b"{\"agents\":",
        b"{\"agents\":[{",
        b"{\"agents\":[1,null,{\"id\":1},{\"id\":\"a\"",
        b"{\"sessions\":[{\"id\":",
        b"{\"sessions\":[1,{}]}",
        b"{\"conversationHistory\":[",
        b"{\"conversationHistory\":[1,{\"id\":\"m\"},",
        b"[1,2]",
        b"[{\"user\":1}",
        b"[{\"agentId\":1,\"id\":{}}]",
        b"{\"id\":\"\",\"agentId\":1}",
        b"{\"template\":{\"id\":5}}x",
        b"\n\n--- 2025-01-01T00:00:00.000Z ---\n",
        b"# Agent Session: \n# Started: x\n\n",
        b"{}{}{}",
        b"{\"a\":1}\n{\"b\"",
        deep.as_bytes(),
        deep_object.as_bytes(),
        b"\xed\xa0\xbd{\"id\":\"\\ud83d\"}",
    ];
    for content in contents {
        let workspace = Workspace::with(&[]);
        names.iter().for_each(|name| workspace.write(name, content));
        let report = workspace.import().await;
        assert!(report.is_complete(), "{}: {report}", String::from_utf8_lossy(content.get(..60).unwrap_or(content)));
        let again = workspace.import().await;
        assert_eq!(again.totals.commits, 0);
    }
}
