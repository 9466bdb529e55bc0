//! Logs: positions, heads and `read`.

use nofx_core::{Direction, LogHead, LogQuery, LogScan, LogState, Mismatch, NewEntry, Timestamp};

use crate::subject::{Subject, batch, entries, entry, number, sized, talk, texts};
use crate::unmet::{CaseResult, ensure, ensure_eq};

pub(super) async fn positions_are_dense_from_zero(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let mut length = 0;
    for count in [1, 3, 1, 10, 2] {
        let appended = store.commits(batch().append(log.clone(), entries(length..length + count))).await?.appended;
        ensure_eq!(appended, vec![length..length + count], "an append answers its positions");
        length += count;
        ensure_eq!(store.head(&log).await?.length, length, "the length of the log");
    }
    for (expected, entry) in (0..).zip(store.entries(&log).await?) {
        ensure_eq!(entry.position, expected, "positions are dense");
        ensure_eq!(entry.body, number(expected), "each entry is where it was appended");
        ensure_eq!(entry.at, crate::subject::entry(expected).at, "the time is the writer's");
    }
    Ok(())
}

pub(super) async fn each_append_of_a_batch_answers_its_range_in_order(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (a, b, c) = (talk("a")?, talk("b")?, talk("c")?);
    store.commits(batch().append(b.clone(), entries(0..5))).await?;
    let three =
        batch().append(c.clone(), entries(0..2)).append(b.clone(), entries(5..6)).append(a.clone(), entries(0..3));
    let appended = store.commits(three).await?.appended;
    ensure_eq!(appended, vec![0..2, 5..6, 0..3], "in the order of the batch");
    for (log, length) in [(a, 3), (b, 6), (c, 2)] {
        ensure_eq!(store.entries(&log).await?.len(), length, "entries of {log}");
    }
    Ok(())
}

pub(super) async fn a_missing_log_is_open_and_empty_and_asking_does_not_make_it(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    for _ in 0..2 {
        ensure_eq!(store.head(&log).await?, LogHead::missing(log.clone()), "the head of a missing log");
        let page = store.read(&LogQuery::oldest_first(log.clone(), 10)).await?;
        ensure!(page.items.is_empty() && !page.more, "a missing log has no entries: {page:?}");
        ensure!(store.paged_logs(LogScan::all(10)).await?.is_empty(), "and is not listed");
    }
    Ok(())
}

pub(super) async fn heads_answers_each_log_in_the_order_asked(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    store.commits(batch().append(talk("a")?, entries(0..1)).append(talk("b")?, entries(0..2))).await?;
    let asked = ["b", "missing", "a", "b", "missing"].iter().map(talk).collect::<CaseResult<Vec<_>>>()?;
    let heads = store.heads(&asked).await?;
    let found: Vec<_> = heads.iter().map(|head| (head.log.clone(), head.length)).collect();
    let expected: Vec<_> = asked.iter().cloned().zip([2, 0, 1, 2, 0]).collect();
    ensure_eq!(found, expected, "one head for each log, duplicates and missing ones included");
    ensure_eq!(store.heads(&[]).await?, vec![], "nothing was requested");
    Ok(())
}

pub(super) async fn a_head_has_the_time_of_the_last_entry_whatever_it_is(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let times = [5, 100, 3, -7, i64::MAX, 0, i64::MIN, 8_640_000_000_000_001].map(Timestamp::from_millis);
    for (n, at) in (0..).zip(times) {
        store.commits(batch().append(log.clone(), vec![NewEntry { at, body: number(n) }])).await?;
        ensure_eq!(store.head(&log).await?.last_at, Some(at), "the time of the last entry");
    }
    let found: Vec<_> = store.entries(&log).await?.iter().map(|entry| entry.at).collect();
    ensure_eq!(found, times.to_vec(), "times that go back neither change nor move entries");
    Ok(())
}

pub(super) async fn reading_a_range_finds_exactly_what_it_covers(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..7))).await?;
    store.commits(batch().append(log.clone(), entries(7..10))).await?;
    let ends = [0, 1, 2, 6, 7, 8, 9, 10, 11, 1000, u64::MAX - 1, u64::MAX];
    for start in ends {
        for end in ends {
            let mut expected: Vec<u64> = (start.min(10)..end.min(10)).collect();
            for direction in [Direction::Forward, Direction::Backward] {
                let query = LogQuery { log: log.clone(), range: start..end, direction, limit: 100 };
                let page = store.read(&query).await?;
                let found: Vec<_> = page.items.iter().map(|entry| entry.position).collect();
                ensure_eq!(found, expected, "positions in {start}..{end}, {direction:?}");
                ensure!(!page.more, "there is no more in {start}..{end}, {direction:?}");
                expected.reverse();
            }
        }
    }
    Ok(())
}

pub(super) async fn reading_pages_through_ten_thousand_entries_both_ways(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    // Appends of several sizes, so that groups which a backend packs together occur whole, just begun
    // and just ended.
    let mut length = 0;
    for count in (1..).map(|n| n * n % 977 + 1) {
        let count = u64::min(count, 10_000 - length);
        if count == 0 {
            break;
        }
        store.commits(batch().append(log.clone(), entries(length..length + count))).await?;
        length += count;
    }
    for (limit, direction) in [(999, Direction::Forward), (1000, Direction::Backward), (10_000, Direction::Forward)] {
        let query = LogQuery { direction, ..LogQuery::oldest_first(log.clone(), limit) };
        let mut found = store.paged_entries(query).await?;
        if direction == Direction::Backward {
            found.reverse();
        }
        ensure_eq!(found.len(), 10_000, "entries found {direction:?}, {limit} at a time");
        for (expected, found) in (0..).zip(&found) {
            ensure_eq!((found.position, &found.body), (expected, &number(expected)), "each entry once, in order");
        }
    }
    for start in [0, 1, 4998, 9990] {
        let query = LogQuery::oldest_first(log.clone(), 5).within(start..u64::MAX);
        let page = store.read(&query).await?;
        let expected: Vec<_> = (start..start + 5).map(|n| n.to_string()).collect();
        ensure_eq!(texts(&page.items), expected, "a page from the middle, at {start}");
    }
    Ok(())
}

pub(super) async fn a_page_of_entries_says_correctly_whether_there_is_more(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..10))).await?;
    for direction in [Direction::Forward, Direction::Backward] {
        for (range, limit, more) in [
            (0..u64::MAX, 9, true),
            (0..u64::MAX, 10, false),
            (0..u64::MAX, 11, false),
            (0..u64::MAX, usize::MAX, false),
            (2..5, 2, true),
            (2..5, 3, false),
            (5..5, 1, false),
            (10..20, 1, false),
            (9..20, 1, false),
        ] {
            let query = LogQuery { log: log.clone(), range: range.clone(), direction, limit };
            let page = store.read(&query).await?;
            ensure_eq!(page.more, more, "more in {range:?}, {limit} at a time, {direction:?}");
            let covered = range.end.min(10).saturating_sub(range.start) as usize;
            ensure_eq!(page.items.len(), covered.min(limit), "a page is full unless bytes end it");
        }
    }
    Ok(())
}

pub(super) async fn a_page_of_entries_ends_early_only_for_its_bytes(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    for _ in 0..6 {
        let two = vec![NewEntry { body: sized(1 << 20), ..entry(0) }, NewEntry { body: sized(1 << 20), ..entry(0) }];
        store.commits(batch().append(log.clone(), two)).await?;
    }
    for direction in [Direction::Forward, Direction::Backward] {
        let query = LogQuery { direction, ..LogQuery::oldest_first(log.clone(), 12) };
        let page = store.read(&query).await?;
        ensure!(page.items.len() >= 4, "four bodies of 1 MiB fit into a page, {} were found", page.items.len());
        ensure_eq!(page.more, page.items.len() < 12, "and the rest is said to be there");
        ensure_eq!(store.paged_entries(query).await?.len(), 12, "paging finds all of it");
    }
    Ok(())
}

pub(super) async fn a_page_of_no_entries_is_invalid(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for log in [talk("a")?, talk("missing")?] {
        store.commits(batch().append(talk("a")?, entries(0..1))).await?;
        let code = store.read(&LogQuery::oldest_first(log, 0)).await.map_err(|error| error.code());
        ensure_eq!(code, Err("invalid"), "a limit of zero");
    }
    Ok(())
}

pub(super) async fn an_expected_length_is_judged(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let refused = |expected, found| vec![Mismatch::Length { log: log.clone(), expected, found }];
    let early = store.conflicts(batch().append_at(log.clone(), 1, entries(0..1))).await?;
    ensure_eq!(early.mismatches, refused(1, 0), "a missing log has no entries");
    store.commits(batch().append_at(log.clone(), 0, entries(0..3))).await?;
    for wrong in [0, 2, 4, u64::MAX] {
        let conflict = store.conflicts(batch().append_at(log.clone(), wrong, entries(0..1))).await?;
        ensure_eq!(conflict.mismatches, refused(wrong, 3), "the log has three entries");
    }
    let appended = store.commits(batch().append_at(log.clone(), 3, entries(3..4))).await?.appended;
    ensure_eq!(appended, vec![3..4], "the right length lets the batch happen");
    ensure_eq!(store.head(&log).await?.state, LogState::Open, "the log stays open");
    Ok(())
}

pub(super) async fn the_times_of_one_append_may_fall(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let times = [1_700_000_000_500, 1_700_000_000_100, 0, 1_700_000_000_300, 1_700_000_000_100, -5];
    let one = |n: usize| NewEntry { at: Timestamp::from_millis(times[n]), body: number(n as u64) };
    store.commits(batch().append(log.clone(), (0..4).map(one).collect())).await?;
    store.commits(batch().append(log.clone(), (4..6).map(one).collect())).await?;
    for sealed in [false, true] {
        if sealed {
            store.commits(batch().seal(log.clone())).await?;
        }
        let found: Vec<_> = store.entries(&log).await?.iter().map(|entry| entry.at.as_millis()).collect();
        ensure_eq!(found, times, "each entry has its own time, sealed: {sealed}");
        let head = store.head(&log).await?;
        ensure_eq!(head.last_at.map(Timestamp::as_millis), Some(-5), "the head has that of the last, sealed: {sealed}");
    }
    Ok(())
}
