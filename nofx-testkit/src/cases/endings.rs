//! How logs end: sealed, then perhaps removed.

use nofx_core::{Direction, LogHead, LogQuery, LogScan, LogState, Mismatch};

use crate::subject::{Subject, batch, entries, entry, note, number, talk, texts};
use crate::unmet::{CaseResult, ensure, ensure_eq};

pub(super) async fn a_sealed_log_takes_no_entries(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..3))).await?;
    store.commits(batch().seal(log.clone())).await?;
    let before = store.content().await?;
    let conflict = store.conflicts(batch().append(log.clone(), entries(3..4))).await?;
    ensure_eq!(conflict.mismatches, vec![Mismatch::Sealed { log: log.clone() }], "whatever its length");
    let conflict = store.conflicts(batch().append_at(log.clone(), 3, entries(3..4))).await?;
    ensure_eq!(conflict.mismatches, vec![Mismatch::Sealed { log: log.clone() }], "at its length");
    let conflict = store.conflicts(batch().append_at(log.clone(), 2, entries(3..4))).await?;
    let length = Mismatch::Length { log: log.clone(), expected: 2, found: 3 };
    ensure_eq!(conflict.mismatches, vec![length], "at another length");
    ensure_eq!(store.content().await?, before, "nothing was appended");
    Ok(())
}

pub(super) async fn a_sealed_log_reads_as_before(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    for n in 0..300 {
        store.commits(batch().append(log.clone(), vec![entry(n)])).await?;
    }
    let before = store.entries(&log).await?;
    let head = store.head(&log).await?;
    store.commits(batch().seal(log.clone())).await?;
    ensure_eq!(
        store.head(&log).await?,
        LogHead { state: LogState::Sealed, ..head },
        "only the state of the head changed"
    );
    ensure_eq!(store.entries(&log).await?, before, "its entries are the same");
    let mut backward = store.paged_entries(LogQuery::newest_first(log.clone(), 7)).await?;
    backward.reverse();
    ensure_eq!(backward, before, "backwards too");
    let page = store.read(&LogQuery::oldest_first(log, 2).within(250..400)).await?;
    ensure_eq!(texts(&page.items), ["250", "251"], "and from the middle");
    Ok(())
}

pub(super) async fn sealing_again_is_no_change(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..2)).seal(log.clone())).await?;
    let before = store.content().await?;
    store.commits(batch().seal(log.clone())).await?;
    store.commits(batch().seal(log.clone()).seal(log)).await?;
    ensure_eq!(store.content().await?, before, "the content");
    Ok(())
}

pub(super) async fn sealing_a_missing_log_makes_an_empty_one(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().seal(log.clone())).await?;
    let expected = LogHead { state: LogState::Sealed, ..LogHead::missing(log.clone()) };
    ensure_eq!(store.head(&log).await?, expected, "its head");
    ensure_eq!(store.paged_logs(LogScan::all(10)).await?, vec![expected], "it is listed");
    let conflict = store.conflicts(batch().append(log.clone(), entries(0..1))).await?;
    ensure_eq!(conflict.mismatches, vec![Mismatch::Sealed { log }], "it takes no entries");
    Ok(())
}

pub(super) async fn a_batch_may_append_to_a_log_and_seal_it(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..2))).await?;
    let committed = store.commits(batch().seal(log.clone()).append_at(log.clone(), 2, entries(2..4))).await?;
    ensure_eq!(committed.appended, vec![2..4], "its own entries still go in");
    let head = store.head(&log).await?;
    ensure_eq!((head.length, head.state), (4, LogState::Sealed), "and then it is sealed");
    store.conflicts(batch().append(log, entries(4..5))).await?;
    Ok(())
}

pub(super) async fn a_removed_log_holds_nothing(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (log, kept) = (talk("a")?, talk("ab")?);
    store.commits(batch().append(log.clone(), entries(0..5)).append(kept.clone(), entries(0..2))).await?;
    store.commits(batch().put(note("a")?, nofx_core::Expect::Any, number(1))).await?;
    store.commits(batch().remove(log.clone())).await?;
    let gone = LogHead { state: LogState::Removed, ..LogHead::missing(log.clone()) };
    ensure_eq!(store.head(&log).await?, gone, "its head");
    for direction in [Direction::Forward, Direction::Backward] {
        let page = store.read(&LogQuery { direction, ..LogQuery::oldest_first(log.clone(), 10) }).await?;
        ensure!(page.items.is_empty() && !page.more, "no entries: {page:?}");
        let listed = store.paged_logs(LogScan { direction, ..LogScan::all(1) }).await?;
        ensure!(listed.len() == 1 && listed[0].log == kept, "only the other log is listed: {listed:?}");
    }
    ensure_eq!(store.entries(&kept).await?.len(), 2, "a log whose id begins the same way");
    ensure_eq!(store.text(&note("a")?).await?, Some("1".into()), "a record of the same id");
    Ok(())
}

pub(super) async fn the_id_of_a_removed_log_is_never_used_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (full, sealed, never) = (talk("full")?, talk("sealed")?, talk("never there")?);
    let setup = batch().append(full.clone(), entries(0..3)).append(sealed.clone(), entries(0..3)).seal(sealed.clone());
    store.commits(setup).await?;
    store.commits(batch().remove(full.clone()).remove(sealed.clone()).remove(never.clone())).await?;
    for log in [full, sealed, never] {
        let refused = vec![Mismatch::Removed { log: log.clone() }];
        for attempt in [
            batch().append(log.clone(), entries(0..1)),
            batch().append_at(log.clone(), 0, entries(0..1)),
            batch().append_at(log.clone(), 3, entries(0..1)),
            batch().seal(log.clone()),
        ] {
            let what = format!("{attempt:?}");
            ensure_eq!(store.conflicts(attempt).await?.mismatches, refused, "{what}");
        }
        let head = store.head(&log).await?;
        ensure_eq!((head.length, head.state), (0, LogState::Removed), "the head of {log} stays");
    }
    Ok(())
}

pub(super) async fn removing_again_is_no_error(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    store.commits(batch().append(log.clone(), entries(0..3))).await?;
    for _ in 0..3 {
        store.commits(batch().remove(log.clone())).await?;
        ensure_eq!(store.head(&log).await?.state, LogState::Removed, "it is removed");
    }
    store.commits(batch().remove(log.clone()).remove(log)).await?;
    Ok(())
}

pub(super) async fn a_long_log_is_removed_whole(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (log, kept) = (talk("a")?, talk("b")?);
    for from in (0..6000).step_by(1000) {
        let both =
            batch().append(log.clone(), entries(from..from + 1000)).append(kept.clone(), entries(from..from + 1000));
        store.commits(both).await?;
    }
    store.commits(batch().remove(log.clone())).await?;
    for range in [0..u64::MAX, 0..1, 999..1001, 5999..6001] {
        let page = store.read(&LogQuery::oldest_first(log.clone(), 10).within(range.clone())).await?;
        ensure!(page.items.is_empty() && !page.more, "entries at {range:?}: {page:?}");
    }
    ensure_eq!(store.entries(&kept).await?.len(), 6000, "the other log");
    Ok(())
}
