//! Scanning records and logs by key: order, prefixes and pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nofx_core::{Direction, Expect, Key, KeyQuery, Kind, LogKey, LogScan, LogState, RecordKey, ScanQuery};

use crate::subject::{Handle, NOTE, Subject, TALK, batch, entries, ids, in_background, note, number, sized, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Ids whose byte order is no other order, sorted.
const SORTED: [&str; 16] =
    ["\0", "\0\0", " ", "-", "10", "9", "A", "Z", "a", "a\0", "a b", "aa", "a\u{7f}", "a\u{80}", "z", "\u{10ffff}"];

/// Writes one record for each id.
async fn write_notes(store: &Handle, ids: &[impl AsRef<str>]) -> CaseResult {
    let mut writes = batch();
    for id in ids {
        writes = writes.put(note(id)?, Expect::Any, number(1));
    }
    store.commits(writes).await?;
    Ok(())
}

pub(super) async fn records_come_in_the_order_of_their_bytes_both_ways(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    // Written in neither order.
    let (front, back) = SORTED.split_at(7);
    write_notes(&store, back).await?;
    write_notes(&store, front).await?;
    let mut expected = SORTED.to_vec();
    for direction in [Direction::Forward, Direction::Backward] {
        for query in [ScanQuery::all(100), ScanQuery::of(NOTE, 100), ScanQuery::of(NOTE, 3), ScanQuery::of(NOTE, 1)] {
            let found = store.paged_records(ScanQuery { direction, ..query }).await?;
            ensure_eq!(ids(&found), expected, "{direction:?}");
        }
        expected.reverse();
    }
    Ok(())
}

/// Kinds with common prefixes, in byte order, and one that is no other's prefix.
const KINDS: [&str; 7] = ["a", "a-", "a-b", "a0", "aa", "ab", "b"];

pub(super) async fn a_kind_is_not_mistaken_for_one_that_begins_alike(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let kinds = KINDS.iter().map(|kind| Ok(Kind::new(*kind)?)).collect::<CaseResult<Vec<_>>>()?;
    let mut writes = batch();
    for kind in kinds.iter().rev() {
        for id in ["\0", "-", "1", "b", "\u{10ffff}"] {
            writes = writes
                .put(RecordKey::new(kind.clone(), id)?, Expect::Any, number(1))
                .append(LogKey::new(kind.clone(), id)?, entries(0..1));
        }
    }
    store.commits(writes).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        for limit in [1, 2, 5, 6, 100] {
            for kind in &kinds {
                let mut expected = vec!["\0", "-", "1", "b", "\u{10ffff}"];
                if direction == Direction::Backward {
                    expected.reverse();
                }
                let records =
                    store.paged_records(ScanQuery { direction, ..ScanQuery::of(kind.clone(), limit) }).await?;
                ensure!(
                    records.iter().all(|record| record.key.kind() == kind),
                    "only records of `{kind}`: {records:?}"
                );
                ensure_eq!(ids(&records), expected, "records of `{kind}`, {direction:?}");
                let heads = store.paged_logs(LogScan { direction, ..LogScan::of(kind.clone(), limit) }).await?;
                ensure!(heads.iter().all(|head| head.log.kind() == kind), "only logs of `{kind}`: {heads:?}");
                let logs: Vec<_> = heads.iter().map(|head| head.log.id()).collect();
                ensure_eq!(logs, expected, "logs of `{kind}`, {direction:?}");
            }
            let all = store.paged_records(ScanQuery { direction, ..ScanQuery::all(limit) }).await?;
            let mut found: Vec<_> = all.iter().map(|record| record.key.kind().as_str()).collect();
            found.dedup();
            let mut expected = KINDS.to_vec();
            if direction == Direction::Backward {
                expected.reverse();
            }
            ensure_eq!(found, expected, "kinds come in the order of their bytes, {direction:?}");
        }
    }
    ensure!(store.paged_records(ScanQuery::of(Kind::of("c"), 10)).await?.is_empty(), "a kind that was never written");
    Ok(())
}

pub(super) async fn a_prefix_finds_the_ids_that_begin_with_it(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    // Prefixes whose successor is awkward: the last character of one, two and three bytes, the one below the
    // surrogates, and the last one of all, once and three times.
    let ends = [
        "a",
        "\0",
        "\u{7f}",
        "\u{7ff}",
        "\u{d7ff}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{10ffff}\u{10ffff}\u{10ffff}",
        "a/b",
        "%",
        "*",
        "_",
    ];
    let mut all = Vec::new();
    for end in ends {
        for id in [end.to_owned(), format!("{end}\0"), format!("{end}x"), format!("{end}\u{10ffff}"), format!("x{end}")]
        {
            all.push(id);
        }
    }
    all.extend(["\u{e000}", "\u{80}", "\u{800}", "\u{10000}", "b", "A"].map(str::to_owned));
    all.sort();
    all.dedup();
    let appends = all.iter().try_fold(batch(), |batch, id| CaseResult::Ok(batch.append(talk(id)?, entries(0..1))))?;
    write_notes(&store, &all).await?;
    store.commits(appends).await?;
    for prefix in ends.iter().copied().chain(["", "x", "\u{10ffff}\u{10ffff}", "nothing begins with this", "ax", "a\0"])
    {
        for direction in [Direction::Forward, Direction::Backward] {
            let mut expected: Vec<&str> = all.iter().filter(|id| id.starts_with(prefix)).map(String::as_str).collect();
            if direction == Direction::Backward {
                expected.reverse();
            }
            for limit in [1, 4, 1000] {
                let query = ScanQuery { direction, ..ScanQuery::of(NOTE, limit).prefixed(prefix) };
                ensure_eq!(ids(&store.paged_records(query).await?), expected, "records that begin with {prefix:?}");
                let query = LogScan { direction, ..LogScan::of(TALK, limit).prefixed(prefix) };
                let heads = store.paged_logs(query).await?;
                let found: Vec<_> = heads.iter().map(|head| head.log.id()).collect();
                ensure_eq!(found, expected, "logs that begin with {prefix:?}");
            }
        }
    }
    Ok(())
}

/// A prefix, a key to continue after, a direction, and what is then found.
type Asked = (&'static str, (&'static str, &'static str), Direction, &'static [&'static str]);

/// Queries on a store that holds `b`, `d`, `da`, `db`, `f` of one kind and `x` of the kinds before and after it.
const ASKED: [Asked; 20] = [
    ("", ("m", "a"), Direction::Forward, &["b", "d", "da", "db", "f"]),
    ("", ("m", "c"), Direction::Forward, &["d", "da", "db", "f"]),
    ("", ("m", "d"), Direction::Forward, &["da", "db", "f"]),
    ("", ("m", "f"), Direction::Forward, &[]),
    ("", ("m", "z"), Direction::Forward, &[]),
    ("", ("l", "z"), Direction::Forward, &["b", "d", "da", "db", "f"]),
    ("", ("n", "a"), Direction::Forward, &[]),
    ("", ("m", "z"), Direction::Backward, &["f", "db", "da", "d", "b"]),
    ("", ("m", "e"), Direction::Backward, &["db", "da", "d", "b"]),
    ("", ("m", "b"), Direction::Backward, &[]),
    ("", ("m", "a"), Direction::Backward, &[]),
    ("", ("l", "z"), Direction::Backward, &[]),
    ("", ("n", "a"), Direction::Backward, &["f", "db", "da", "d", "b"]),
    ("d", ("m", "a"), Direction::Forward, &["d", "da", "db"]),
    ("d", ("m", "da"), Direction::Forward, &["db"]),
    ("d", ("m", "f"), Direction::Forward, &[]),
    ("d", ("m", "z"), Direction::Backward, &["db", "da", "d"]),
    ("d", ("m", "da"), Direction::Backward, &["d"]),
    ("d", ("m", "d"), Direction::Backward, &[]),
    ("d", ("n", "a"), Direction::Backward, &["db", "da", "d"]),
];

pub(super) async fn the_key_to_go_on_after_need_not_exist(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut writes = batch();
    for (kind, id) in [("l", "x"), ("m", "b"), ("m", "d"), ("m", "da"), ("m", "db"), ("m", "f"), ("n", "x")] {
        let kind = Kind::of(kind);
        writes = writes
            .put(RecordKey::new(kind.clone(), id)?, Expect::Any, number(1))
            .append(LogKey::new(kind, id)?, entries(0..1));
    }
    store.commits(writes).await?;
    for (prefix, after, direction, expected) in ASKED {
        for limit in [1, 2, 100] {
            let found = store.paged_records(asked(prefix, after, direction, limit)?).await?;
            ensure_eq!(ids(&found), expected, "records with {prefix:?} after {after:?}, {direction:?}");
            let found = store.paged_logs(asked(prefix, after, direction, limit)?).await?;
            let found: Vec<_> = found.iter().map(|head| head.log.id()).collect();
            ensure_eq!(found, expected, "logs with {prefix:?} after {after:?}, {direction:?}");
        }
    }
    let across: Vec<_> = store.paged_records(ScanQuery::all(2).after(RecordKey::new(Kind::of("l"), "y")?)).await?;
    ensure_eq!(ids(&across), ["b", "d", "da", "db", "f", "x"], "without a kind, the next kind follows");
    Ok(())
}

fn asked<K: Key>(
    prefix: &str,
    after: (&'static str, &str),
    direction: Direction,
    limit: usize,
) -> CaseResult<KeyQuery<K>> {
    let after = K::new(Kind::of(after.0), after.1)?;
    Ok(KeyQuery { direction, ..KeyQuery::of(Kind::of("m"), limit).prefixed(prefix).after(after) })
}

pub(super) async fn a_page_says_correctly_whether_there_is_more(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    write_notes(&store, &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]).await?;
    let appends =
        (0..10).try_fold(batch(), |batch, n| CaseResult::Ok(batch.append(talk(n.to_string())?, entries(0..1))))?;
    store.commits(appends).await?;
    // Neighbours of another kind, and removed logs, do not count as more.
    store.commits(batch().put(RecordKey::new(Kind::of("zebra"), "a")?, Expect::Any, number(1))).await?;
    let removed = ["!", "99", "a"].iter().try_fold(batch(), |batch, id| CaseResult::Ok(batch.remove(talk(id)?)))?;
    store.commits(removed).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        for (limit, more) in [(1, true), (9, true), (10, false), (11, false), (usize::MAX, false)] {
            let page = store.scan(&ScanQuery { direction, ..ScanQuery::of(NOTE, limit) }).await?;
            ensure_eq!((page.items.len(), page.more), (limit.min(10), more), "records, limit {limit}, {direction:?}");
            let page = store.logs(&LogScan { direction, ..LogScan::of(TALK, limit) }).await?;
            ensure_eq!((page.items.len(), page.more), (limit.min(10), more), "logs, limit {limit}, {direction:?}");
        }
        let page = store.scan(&ScanQuery { direction, ..ScanQuery::of(NOTE, 1).prefixed("5") }).await?;
        ensure_eq!((page.items.len(), page.more), (1, false), "the only record with a prefix");
        let page = store.scan(&ScanQuery { direction, ..ScanQuery::of(NOTE, 1).prefixed("no") }).await?;
        ensure_eq!((page.items.len(), page.more), (0, false), "no record with a prefix");
    }
    Ok(())
}

pub(super) async fn a_page_of_records_ends_early_only_for_its_bytes(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for n in 0..10 {
        store.commits(batch().put(note(n.to_string())?, Expect::Any, sized(1 << 20))).await?;
    }
    store.commits(batch().put(note("9 and very large")?, Expect::Any, sized(9 << 20))).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        let query = ScanQuery { direction, ..ScanQuery::all(11) };
        let page = store.scan(&query).await?;
        let bytes: usize = page.items.iter().map(|record| record.body.len()).sum();
        ensure!(page.items.len() == 11 || bytes >= nofx_core::PAGE_BYTES, "a page ended early at {bytes} bytes");
        ensure_eq!(page.more, page.items.len() < 11, "and the rest is said to be there");
        ensure_eq!(store.paged_records(query).await?.len(), 11, "paging finds all of it");
    }
    Ok(())
}

pub(super) async fn questions_that_fail_validation_are_invalid(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    write_notes(&store, &["a"]).await?;
    let prefix_without_kind = ScanQuery::all(10).prefixed("a");
    for query in [ScanQuery::all(0), ScanQuery::of(NOTE, 0), prefix_without_kind] {
        let code = store.scan(&query).await.map_err(|error| error.code());
        ensure_eq!(code, Err("invalid"), "records by {query:?}");
    }
    let prefix_without_kind = LogScan::all(10).prefixed("a");
    for query in [LogScan::all(0), LogScan::of(TALK, 0), prefix_without_kind] {
        let code = store.logs(&query).await.map_err(|error| error.code());
        ensure_eq!(code, Err("invalid"), "logs by {query:?}");
    }
    Ok(())
}

pub(super) async fn what_exists_throughout_is_found_once_while_others_come_and_go(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let lasting: Vec<_> = (0..100).map(|n| format!("{n:03}")).collect();
    write_notes(&store, &lasting).await?;
    let appends =
        lasting.iter().try_fold(batch(), |batch, id| CaseResult::Ok(batch.append(talk(id)?, entries(0..1))))?;
    store.commits(appends).await?;
    let done = Arc::new(AtomicBool::new(false));
    let (other, stop) = (subject.open().await?, done.clone());
    let writer = in_background(async move {
        for round in 0..5000_u64 {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let id = format!("{:03}-passing-{round}", round * 37 % 100);
            let key = note(&id)?;
            let comes = batch().put(key.clone(), Expect::Any, number(round)).append(talk(&id)?, entries(0..1));
            other.patiently(comes).await?;
            // Neither stays, so that a slow store does not get more to list than it can handle.
            other.patiently(batch().delete(key, Expect::Any).remove(talk(&id)?)).await?;
        }
        Ok(())
    });
    for (round, direction) in [Direction::Forward, Direction::Backward].into_iter().cycle().take(10).enumerate() {
        let records = store.paged_records(ScanQuery { direction, ..ScanQuery::of(NOTE, 1 + 3 * round) }).await?;
        let logs = store.paged_logs(LogScan { direction, ..LogScan::of(TALK, 1 + 3 * round) }).await?;
        let mut expected: Vec<_> = lasting.iter().map(String::as_str).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        let records: Vec<_> = ids(&records).into_iter().filter(|id| !id.contains("passing")).collect();
        ensure_eq!(records, expected, "records that were there throughout, {direction:?}");
        let logs: Vec<_> = logs.iter().map(|head| head.log.id()).filter(|id| !id.contains("passing")).collect();
        ensure_eq!(logs, expected, "logs that were there throughout, {direction:?}");
    }
    done.store(true, Ordering::SeqCst);
    writer.await?
}

pub(super) async fn logs_lists_open_and_sealed_logs_with_fresh_heads(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let setup = batch()
        .append(talk("open")?, entries(0..3))
        .append(talk("sealed")?, entries(0..2))
        .seal(talk("sealed")?)
        .seal(talk("sealed empty")?)
        .append(talk("removed later")?, entries(0..4))
        .remove(talk("removed")?);
    store.commits(setup).await?;
    store.commits(batch().remove(talk("removed later")?).append(talk("open")?, entries(3..4))).await?;
    let heads = store.paged_logs(LogScan::all(2)).await?;
    let found: Vec<_> = heads.iter().map(|head| (head.log.id(), head.length, head.state)).collect();
    let expected =
        [("open", 4, LogState::Open), ("sealed", 2, LogState::Sealed), ("sealed empty", 0, LogState::Sealed)];
    ensure_eq!(found, expected, "removed logs are not found");
    for head in heads {
        ensure_eq!(store.head(&head.log).await?, head, "`heads` and `logs` agree");
    }
    Ok(())
}

pub(super) async fn an_empty_store_has_nothing_to_find(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for direction in [Direction::Forward, Direction::Backward] {
        let page = store.scan(&ScanQuery { direction, ..ScanQuery::all(10) }).await?;
        ensure!(page.items.is_empty() && !page.more, "{page:?}");
        let page = store.logs(&LogScan { direction, ..LogScan::all(10) }).await?;
        ensure!(page.items.is_empty() && !page.more, "{page:?}");
    }
    // Deleting the last record leaves nothing behind either.
    write_notes(&store, &["a"]).await?;
    store.commits(batch().delete(note("a")?, Expect::Any)).await?;
    let page = store.scan(&ScanQuery::all(10)).await?;
    ensure!(page.items.is_empty() && !page.more, "{page:?}");
    let logs = store.logs(&LogScan::all(10)).await?;
    logs.items.is_empty().then_some(()).ok_or_else(|| Unmet::new("a record is not a log"))
}
