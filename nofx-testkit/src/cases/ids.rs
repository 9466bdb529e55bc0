//! Hostile ids: whatever they look like, they are only names.

use std::collections::BTreeSet;

use nofx_core::{Expect, Kind, LogKey, LogState, MAX_ID_BYTES, MAX_KIND_BYTES, RecordKey};

use crate::subject::{Handle, NOTE, Subject, TALK, batch, entry, note, number, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Ids that look like something else, or like each other.
fn hostile() -> BTreeSet<String> {
    let mut ids: BTreeSet<_> = [
        ".",
        "..",
        "...",
        "../evil",
        "../../evil",
        "/",
        "//",
        "/etc/passwd",
        "a/b",
        "a/../b",
        "a//b",
        "a/",
        "/a",
        "a/.",
        "./a",
        "a\\b",
        "\\",
        "..\\evil",
        "C:\\x",
        "C:",
        "c:x",
        "\\\\host\\share",
        "a:b",
        "a:stream",
        "~",
        "~root",
        "$HOME",
        "%2e%2e",
        "%",
        "%00",
        "%2F",
        "a%2Fb",
        "CON",
        "con",
        "Con",
        "con.txt",
        "NUL",
        "nul.json",
        "COM1",
        "LPT9",
        "AUX",
        "aux",
        "PRN",
        "dot.",
        "dot..",
        "dot",
        "space ",
        "space",
        " space",
        "  ",
        " ",
        "space.",
        "space. ",
        "a.json",
        "a.json.tmp",
        ".hidden",
        ".git",
        "-",
        "--",
        "-rf",
        "*",
        "?",
        "a*",
        "<>",
        "|",
        "\"",
        "'",
        "`",
        "a\"b",
        "a'b; drop table",
        "#",
        "a#b",
        "&",
        "=",
        "a=b",
        "\0",
        "a\0",
        "a\0b",
        "\u{1}",
        "\t",
        "\n",
        "\r\n",
        "a\nb",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{feff}a",
        "\u{202e}abc",
        "\u{200b}",
        "a\u{200b}",
        "case",
        "Case",
        "CASE",
        "cASE",
        "straße",
        "STRASSE",
        "strasse",
        "ß",
        "ss",
        "ı",
        "i",
        "I",
        "İ",
        "i\u{307}",
        "\u{e9}",
        "e\u{301}",
        "\u{212b}",
        "\u{c5}",
        "a\u{30a}",
        "\u{1e9b}\u{323}",
        "ﬁ",
        "fi",
        "K",
        "\u{212a}",
        "k",
        "日本語",
        "😀",
        "👨‍👩‍👧",
        "\u{10ffff}",
        "\u{fffe}",
        "\u{fffd}",
        "\u{e000}",
        "\u{d7ff}",
        "null",
        "true",
        "0",
        "00",
        "1",
        "01",
        "1e3",
        "1000",
        "-0",
        "NaN",
        "{}",
        "[]",
        "\"a\"",
        "a,b",
        "a;b",
        "a b",
        "a+b",
        "a@b",
        "config.json",
        "index",
        "lock",
    ]
    .map(str::to_owned)
    .into();
    ids.extend(["a", "A", "é", "/", ".", " ", "\0", "%", "😀"].map(|unit| unit.repeat(MAX_ID_BYTES / unit.len())));
    ids.extend(["x", "y"].map(|end| format!("{}{end}", "a".repeat(MAX_ID_BYTES - 1))));
    ids.extend(["x", "y"].map(|end| format!("{}{end}", "é".repeat((MAX_ID_BYTES - 1) / 2))));
    ids
}

async fn keep(store: &Handle) -> CaseResult {
    let mut writes = batch();
    for (n, id) in (0..).zip(hostile()) {
        writes = writes.put(note(&id)?, Expect::Absent, number(n)).append(talk(&id)?, vec![entry(n)]);
    }
    store.commits(writes).await?;
    Ok(())
}

async fn find_again(store: &Handle) -> CaseResult {
    let ids = hostile();
    for (n, id) in (0..).zip(&ids) {
        ensure_eq!(store.text(&note(id)?).await?, Some(number(n).to_string()), "the record {id:?}");
        let found = store.entries(&talk(id)?).await?;
        ensure!(found.len() == 1 && found[0].body == number(n), "the log {id:?} holds {found:?}");
    }
    let content = store.content().await?;
    let records: Vec<_> = content.records.iter().map(|record| record.key.id()).collect();
    let expected: Vec<_> = ids.iter().map(String::as_str).collect();
    ensure_eq!(records, expected, "every record by its own id, in the order of their bytes");
    let logs: Vec<_> = content.logs.iter().map(|(head, _)| head.log.id()).collect();
    ensure_eq!(logs, expected, "every log by its own id, in the order of their bytes");
    Ok(())
}

pub(super) async fn hostile_ids_come_back_and_do_not_collide(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    keep(&store).await?;
    find_again(&store).await
}

pub(super) async fn hostile_ids_are_the_same_after_opening_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    keep(&store).await?;
    store.close().await?;
    drop(store);
    find_again(&subject.open().await?).await
}

pub(super) async fn hostile_ids_come_back_from_the_feed(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    keep(&store).await?;
    let (found, _) = store.feed(None, 10).await?;
    let change = found.first().ok_or_else(|| Unmet::new("the feed is empty"))?;
    let expected: Vec<_> = hostile().into_iter().collect();
    let records: Vec<_> = change.records.iter().map(|key| key.id().to_owned()).collect();
    let logs: Vec<_> = change.logs.iter().map(|log| log.id().to_owned()).collect();
    ensure_eq!(records, expected, "records in the feed");
    ensure_eq!(logs, expected, "logs in the feed");
    Ok(())
}

pub(super) async fn ids_that_look_alike_are_deleted_and_removed_one_by_one(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let alike =
        ["case", "Case", "CASE", "case ", "case.", "case/", "case\0", "\u{e9}", "e\u{301}", "..", ".", "a/b", "a"];
    for id in alike {
        store.commits(batch().put(note(id)?, Expect::Absent, number(1)).append(talk(id)?, vec![entry(1)])).await?;
    }
    for (gone, id) in alike.iter().enumerate() {
        store.commits(batch().delete(note(id)?, Expect::Any).remove(talk(id)?)).await?;
        for (n, other) in alike.iter().enumerate() {
            let there = n > gone;
            ensure_eq!(
                store.record(&note(other)?).await?.is_some(),
                there,
                "the record {other:?} once {id:?} is deleted"
            );
            let head = store.head(&talk(other)?).await?;
            let expected = if there { (1, LogState::Open) } else { (0, LogState::Removed) };
            ensure_eq!((head.length, head.state), expected, "the log {other:?} once {id:?} is removed");
        }
    }
    Ok(())
}

pub(super) async fn a_record_and_a_log_may_have_the_same_name(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (kind, id) = (Kind::of("both"), "same");
    let (key, log) = (RecordKey::new(kind.clone(), id)?, LogKey::new(kind, id)?);
    store.commits(batch().put(key.clone(), Expect::Any, number(1)).append(log.clone(), vec![entry(2)])).await?;
    ensure_eq!(store.text(&key).await?, Some("1".into()), "the record");
    ensure_eq!(store.entries(&log).await?.len(), 1, "the log");
    store.commits(batch().delete(key.clone(), Expect::Any)).await?;
    ensure_eq!(store.entries(&log).await?.len(), 1, "the log without the record");
    store.commits(batch().put(key.clone(), Expect::Absent, number(3)).remove(log)).await?;
    ensure_eq!(store.text(&key).await?, Some("3".into()), "the record without the log");
    Ok(())
}

pub(super) async fn kinds_that_are_unknown_are_kept(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let longest: String = "z-9".chars().cycle().take(MAX_KIND_BYTES).collect();
    let kinds = ["a", "con", "nul", "log", "record", "index", "x-", "x--", "q9", "unheard-of", longest.as_str()];
    for (n, kind) in (0..).zip(kinds) {
        let kind = Kind::new(kind)?;
        let (key, log) = (RecordKey::new(kind.clone(), "id")?, LogKey::new(kind, "id")?);
        store.commits(batch().put(key, Expect::Absent, number(n)).append(log, vec![entry(n)])).await?;
    }
    for (n, kind) in (0..).zip(kinds) {
        let kind = Kind::new(kind)?;
        let text = store.text(&RecordKey::new(kind.clone(), "id")?).await?;
        ensure_eq!(text, Some(number(n).to_string()), "the record of kind `{kind}`");
        let found = store.entries(&LogKey::new(kind.clone(), "id")?).await?;
        ensure!(found.len() == 1 && found[0].body == number(n), "the log of kind `{kind}` holds {found:?}");
    }
    Ok(())
}

pub(super) async fn kind_and_id_are_not_run_together(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let names =
        [("a", "bc"), ("ab", "c"), ("abc", "a"), ("a", "b/c"), ("a-b", "c"), ("a", "-b/c"), ("a", "/c"), ("a", "\0c")];
    for (n, (kind, id)) in (0..).zip(names) {
        let (key, log) = (RecordKey::new(Kind::of(kind), id)?, LogKey::new(Kind::of(kind), id)?);
        store.commits(batch().put(key, Expect::Absent, number(n)).append_at(log, 0, vec![entry(n)])).await?;
    }
    for (n, (kind, id)) in (0..).zip(names) {
        let text = store.text(&RecordKey::new(Kind::of(kind), id)?).await?;
        ensure_eq!(text, Some(number(n).to_string()), "the record {kind}, {id:?}");
    }
    ensure_eq!(store.content().await?.logs.len(), names.len(), "logs");
    Ok(())
}

pub(super) async fn many_ids_with_a_long_common_beginning_are_told_apart(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let beginning = "x".repeat(MAX_ID_BYTES - 4);
    let mut writes = batch();
    for n in 0..1000 {
        let id = format!("{beginning}{n:04}");
        writes = writes.put(note(&id)?, Expect::Absent, number(n)).append(talk(&id)?, vec![entry(n)]);
    }
    store.commits(writes).await?;
    let content = store.content().await?;
    ensure_eq!((content.records.len(), content.logs.len()), (1000, 1000), "records and logs");
    for (n, record) in (0..).zip(&content.records) {
        ensure_eq!((record.key.kind(), &record.body), (&NOTE, &number(n)), "record {n}");
    }
    for (n, (head, entries)) in (0..).zip(&content.logs) {
        ensure!(*head.log.kind() == TALK && entries.len() == 1 && entries[0].body == number(n), "log {n}: {entries:?}");
    }
    Ok(())
}
