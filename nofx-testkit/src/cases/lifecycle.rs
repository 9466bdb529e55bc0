//! Closing, and opening again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use nofx_core::{Batch, Cursor, Expect, Guard, LogQuery, LogScan, LogState, ScanQuery, Seq};

use crate::subject::{Handle, Subject, batch, entries, in_background, note, number, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_new_place_that_many_open_at_once_holds_one_store(subject: Subject) -> CaseResult {
    for round in 0..4 {
        let place = subject.elsewhere().await?;
        let opening = (0..8).map(|n| {
            let place = place.clone();
            in_background(async move {
                let store = place.open().await?;
                store.patiently(batch().append(talk("a")?, entries(n..n + 1))).await?.committed()?;
                Ok(store)
            })
        });
        let mut stores = Vec::new();
        for store in join_all(opening).await {
            stores.push(store??);
        }
        for store in &stores {
            ensure_eq!(store.info(), stores[0].info(), "round {round}: all handles are of one store");
            ensure_eq!(store.head(&talk("a")?).await?.length, 8, "round {round}: and each sees what all of them wrote");
        }
    }
    Ok(())
}

pub(super) async fn closing_again_is_no_error(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for _ in 0..3 {
        store.close().await?;
    }
    let both = subject.open().await?;
    let (one, other) = (both.close(), both.close());
    let (one, other) = tokio::join!(one, other);
    one?;
    other?;
    Ok(())
}

pub(super) async fn a_closed_handle_answers_closed_to_every_call(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    store.commits(batch().put(note("a")?, Expect::Any, number(1)).append(talk("a")?, entries(0..1))).await?;
    let end = store.end().await?;
    let info = store.info();
    store.close().await?;
    let twice = batch().put(note("a")?, Expect::Any, number(1)).put(note("a")?, Expect::Any, number(2));
    // To a closed handle, even an invalid query is answered with `Closed`.
    let answers = [
        ("get", store.get(&[note("a")?]).await.err()),
        ("get of nothing", store.get(&[]).await.err()),
        ("scan", store.scan(&ScanQuery::all(1)).await.err()),
        ("heads", store.heads(&[talk("a")?]).await.err()),
        ("heads of nothing", store.heads(&[]).await.err()),
        ("logs", store.logs(&LogScan::all(1)).await.err()),
        ("a scan of nothing", store.scan(&ScanQuery::all(0)).await.err()),
        ("heads of no logs", store.logs(&LogScan::all(0)).await.err()),
        ("no entries", store.read(&LogQuery::oldest_first(talk("a")?, 0)).await.err()),
        ("changes after no cursor", store.changes(Some(&Cursor("never a cursor".into())), 1).await.err()),
        ("a commit that contradicts itself", store.commit(vec![twice]).await.err()),
        ("read", store.read(&LogQuery::oldest_first(talk("a")?, 1)).await.err()),
        ("changes", store.changes(None, 1).await.err()),
        ("changes after a cursor", store.changes(Some(&end), 0).await.err()),
        ("commit", store.commit(vec![batch().append(talk("a")?, entries(1..2))]).await.err()),
        ("commit of nothing", store.commit(Vec::new()).await.err()),
    ];
    for (call, error) in answers {
        ensure_eq!(error.as_ref().map(|error| error.code()), Some("closed"), "{call} on a closed handle");
    }
    ensure_eq!(store.info(), info, "`info` works on a closed handle");
    Ok(())
}

pub(super) async fn other_handles_stay_open(subject: Subject) -> CaseResult {
    let (closed, open) = (subject.open().await?, subject.open().await?);
    closed.commits(batch().put(note("a")?, Expect::Any, number(1))).await?;
    closed.close().await?;
    ensure_eq!(open.text(&note("a")?).await?, Some("1".into()), "reading");
    open.commits(batch().append(talk("a")?, entries(0..1))).await?;
    drop(closed);
    open.commits(batch().append(talk("a")?, entries(1..2))).await?;
    let late = subject.open().await?;
    ensure_eq!(late.head(&talk("a")?).await?.length, 2, "a handle opened later");
    Ok(())
}

pub(super) async fn closing_waits_for_commits_in_flight(subject: Subject) -> CaseResult {
    let (store, observer) = (subject.open().await?, subject.open().await?);
    let started = Arc::new(AtomicBool::new(false));
    let mut running = Vec::new();
    for writer in 0..4 {
        let (handle, started) = (store.clone(), started.clone());
        running.push(in_background(async move {
            let mut told = 0;
            loop {
                let append = batch().append(talk(format!("{writer}"))?, entries(told..told + 1));
                match handle.commit(vec![append]).await {
                    Ok(_) => told += 1,
                    Err(error) if error.code() == "closed" => return Ok(told),
                    Err(error) => return Err(error.into()),
                }
                started.store(told >= 3, Ordering::SeqCst);
            }
        }));
    }
    while !started.load(Ordering::SeqCst) {
        tokio::task::yield_now().await;
    }
    in_background(async move { Ok(store.close().await?) }).await??;
    let at_close = observer.content().await?;
    let mut told = 0;
    for writer in join_all(running).await {
        told += writer??;
    }
    ensure_eq!(observer.content().await?, at_close, "nothing happened once the handle was closed");
    let found: u64 = at_close.logs.iter().map(|(head, _)| head.length).sum();
    ensure_eq!(found, told, "every commit was acknowledged, and none but those is there");
    Ok(())
}

pub(super) async fn a_new_store_can_be_written_and_says_what_it_is(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let info = store.info();
    ensure!(!info.backend.is_empty() && info.read_only.is_none(), "{info:?}");
    store.commits(batch().put(note("a")?, Expect::Any, number(1))).await?;
    ensure_eq!(store.info(), info, "writing changes nothing of it");
    Ok(())
}

pub(super) async fn many_handles_may_be_open_at_once(subject: Subject) -> CaseResult {
    let mut handles = Vec::new();
    for n in 0..40 {
        let handle = subject.open().await?;
        handle.commits(batch().append_at(talk("a")?, n, entries(n..n + 1))).await?;
        handles.push(handle);
    }
    for (n, handle) in handles.iter().enumerate() {
        ensure_eq!(handle.head(&talk("a")?).await?.length, 40, "as handle {n} sees it, those before it being closed");
        handle.close().await?;
    }
    Ok(())
}

/// What a store may hold: logs in every state, deleted records, large and small.
async fn fill(store: &Handle) -> CaseResult<Vec<Batch>> {
    let batches = vec![
        batch().put(note("a")?, Expect::Any, number(1)).put(note("b")?, Expect::Any, number(1)),
        batch().append(talk("open")?, entries(0..500)).append(talk("sealed")?, entries(0..300)),
        batch().append(talk("open")?, entries(500..501)).seal(talk("sealed")?).seal(talk("empty")?),
        batch().delete(note("a")?, Expect::Any).put(note("c")?, Expect::Any, crate::subject::sized(100_000)),
        batch().append(talk("gone")?, entries(0..10)),
        batch().remove(talk("gone")?).remove(talk("never")?),
        batch().guard(Guard::Length { log: talk("open")?, length: 501 }),
        batch().delete(note("c")?, Expect::Any),
        batch().put(note("c")?, Expect::Absent, number(2)),
    ];
    for outcome in store.commit(batches.clone()).await? {
        outcome.committed()?;
    }
    Ok(batches)
}

/// Closes a handle and opens another, several times: a later opening finds what the first one
/// repaired.
async fn open_again(subject: &Subject, mut store: Handle) -> CaseResult<Handle> {
    for _ in 0..2 {
        store.close().await?;
        drop(store);
        store = subject.open().await?;
    }
    Ok(store)
}

pub(super) async fn opening_again_finds_everything(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    fill(&store).await?;
    let (content, feed, info) = (store.content().await?, store.feed(None, 4).await?, store.info());
    let store = open_again(&subject, store).await?;
    ensure_eq!(store.content().await?, content, "records and logs");
    ensure_eq!(store.feed(None, 4).await?, feed, "the feed");
    ensure_eq!(store.info(), info, "it is the same store");
    for gone in ["gone", "never"] {
        ensure_eq!(store.head(&talk(gone)?).await?.state, LogState::Removed, "the removed log `{gone}`");
        store.conflicts(batch().append(talk(gone)?, entries(0..1))).await?;
    }
    store.conflicts(batch().append(talk("sealed")?, entries(0..1))).await?;
    Ok(())
}

pub(super) async fn every_single_commit_is_there_after_opening_again(subject: Subject) -> CaseResult {
    for n in 0..8 {
        let store = subject.open().await?;
        ensure_eq!(store.head(&talk("a")?).await?.length, n, "entries of the rounds before");
        let expect = if n == 0 { Expect::Absent } else { Expect::Any };
        store.commits(batch().put(note("a")?, expect, number(n)).append(talk("a")?, entries(n..n + 1))).await?;
        // Half of the handles are closed, the others just dropped.
        if n % 2 == 0 {
            store.close().await?;
        }
    }
    ensure_eq!(subject.open().await?.text(&note("a")?).await?, Some("7".into()), "the last write");
    Ok(())
}

pub(super) async fn numbers_and_positions_go_on_after_opening_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    fill(&store).await?;
    // The newest number belongs to a deletion, so no record shows it.
    let newest = store.commits(batch().delete(note("c")?, Expect::Any)).await?.seq;
    let store = open_again(&subject, store).await?;
    let next =
        store.commits(batch().put(note("c")?, Expect::Absent, number(3)).append(talk("open")?, entries(0..2))).await?;
    ensure_eq!(next.seq, newest.map(Seq::next), "the next number");
    ensure_eq!(next.appended, vec![501..503], "the next positions");
    Ok(())
}

pub(super) async fn batches_are_remembered_after_opening_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let batches = fill(&store).await?;
    let mut first = Vec::new();
    for batch in &batches {
        first.push(store.commits(batch.clone()).await?);
    }
    let before = store.content().await?;
    let store = open_again(&subject, store).await?;
    for (batch, first) in batches.into_iter().zip(first) {
        let what = format!("{batch:?}");
        ensure_eq!(store.commits(batch).await?, first, "the first outcome of {what}");
    }
    ensure_eq!(store.content().await?, before, "nothing happened again");
    Ok(())
}

pub(super) async fn a_cursor_is_good_after_opening_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let start = store.end().await?;
    let batches = fill(&store).await?;
    let end = store.end().await?;
    let store = open_again(&subject, store).await?;
    ensure_eq!(store.end().await?, end, "the end of the feed");
    let late = batch().append(talk("late")?, entries(0..1));
    store.commits(late.clone()).await?;
    let reread = Cursor(end.0);
    ensure_eq!(store.feed(Some(&reread), 10).await?.0, vec![late.change(None)], "what came after a cursor of before");
    let found = store.feed(Some(&start), 3).await?.0;
    let expected: Vec<_> = batches.iter().map(|batch| batch.id).chain([late.id]).collect();
    let found: Vec<_> = found.iter().map(|change| change.batch).collect();
    ensure_eq!(found, expected, "each commit once, across the opening");
    Ok(())
}

pub(super) async fn an_empty_store_is_the_same_after_opening_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (info, end) = (store.info(), store.end().await?);
    let store = open_again(&subject, store).await?;
    ensure_eq!((store.info(), store.end().await?), (info, end), "its id and the end of its feed");
    ensure!(store.content().await?.records.is_empty(), "it is still empty");
    let first = store.commits(batch().put(note("a")?, Expect::Absent, number(1))).await?;
    first.seq.filter(|seq| *seq == Seq::FIRST).map(drop).ok_or_else(|| Unmet::new("its first number is not one"))
}
