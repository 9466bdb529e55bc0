//! The feed of changes.

use std::sync::Arc;

use nofx_core::{
    Batch, Change, ChangePage, Changes, Cursor, Durability, Expect, Guard, MemoryBackend, REMEMBERED_COMMITS, Seq,
};

use crate::subject::{Handle, Subject, batch, entries, note, number, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

/// Commits one batch of each sort and returns what watchers should see of them.
async fn commit_various(store: &Handle) -> CaseResult<Vec<Change>> {
    let (a, b) = (note("a")?, note("b")?);
    let (x, y, z) = (talk("x")?, talk("y")?, talk("z")?);
    let batches = [
        batch().put(b.clone(), Expect::Absent, number(1)).put(a.clone(), Expect::Absent, number(1)),
        batch().append(y.clone(), entries(0..2)).append(x.clone(), entries(0..1)),
        batch().delete(a.clone(), Expect::Any),
        batch().delete(note("missing")?, Expect::Any),
        batch().append(x.clone(), entries(1..2)).seal(x.clone()).seal(talk("w")?),
        batch().remove(y.clone()).put(a, Expect::Absent, number(2)).append(z.clone(), entries(0..1)),
        batch().seal(x),
        batch().guard(Guard::Record { key: b, expect: Expect::Any }),
        batch(),
    ];
    let mut expected = Vec::new();
    for batch in batches {
        let seq = store.commits(batch.clone()).await?.seq;
        expected.push(batch.change(seq));
    }
    Ok(expected)
}

async fn page(store: &Handle, after: Option<&Cursor>, limit: usize) -> CaseResult<ChangePage> {
    match store.changes(after, limit).await? {
        Changes::Page(page) => Ok(page),
        Changes::Gap { newest } => Err(Unmet::new(format!("a gap after {after:?}; the newest is {newest:?}"))),
    }
}

pub(super) async fn each_commit_is_found_once_in_order(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let expected = commit_various(&store).await?;
    for limit in [1, 2, 3, 7, 8, 9, 10, usize::MAX] {
        ensure_eq!(store.feed(None, limit).await?.0, expected, "from the beginning, {limit} at a time");
    }
    Ok(())
}

pub(super) async fn a_change_names_what_its_batch_touched(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (a, b, x) = (note("a")?, note("b")?, talk("x")?);
    let busy = batch()
        .delete(b.clone(), Expect::Any)
        .put(a.clone(), Expect::Any, number(1))
        .append(x.clone(), entries(0..3))
        .seal(x.clone())
        .remove(talk("r")?)
        .seal(talk("s")?)
        .guard(Guard::Record { key: note("guarded")?, expect: Expect::Absent });
    let id = busy.id;
    store.commits(busy).await?;
    let found = page(&store, None, 10).await?.changes;
    let logs = vec![x, talk("s")?, talk("r")?];
    let expected = Change { batch: id, seq: Some(Seq::FIRST), records: vec![b, a], logs };
    ensure_eq!(
        found,
        vec![expected],
        "records in the order of the batch, logs each once, nothing that was only guarded"
    );
    Ok(())
}

pub(super) async fn the_feed_of_an_empty_store_is_empty(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for limit in [0, 1, 100] {
        let found = page(&store, None, limit).await?;
        ensure!(found.changes.is_empty(), "{found:?}");
        ensure_eq!(found.next, found.newest, "its beginning is its end");
    }
    let start = page(&store, None, 1).await?.next;
    let expected = commit_various(&store).await?;
    ensure_eq!(store.feed(Some(&start), 100).await?.0, expected, "and a cursor from then finds what came later");
    Ok(())
}

pub(super) async fn a_limit_of_zero_answers_where_the_feed_ends(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    commit_various(&store).await?;
    let (_, end) = store.feed(None, 100).await?;
    let first = page(&store, None, 1).await?.next;
    for after in [None, Some(&first), Some(&end)] {
        let found = page(&store, after, 0).await?;
        ensure!(found.changes.is_empty(), "no changes were requested: {found:?}");
        ensure_eq!(found.newest, end, "the end of the feed");
    }
    Ok(())
}

pub(super) async fn the_newest_cursor_is_where_following_ends(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let expected = commit_various(&store).await?;
    let (_, end) = store.feed(None, 2).await?;
    ensure_eq!(store.end().await?, end, "the reported end and the one that is reached");
    let at_end = page(&store, Some(&end), 10).await?;
    ensure!(at_end.changes.is_empty() && at_end.next == end && at_end.newest == end, "nothing follows yet: {at_end:?}");
    let late = batch().put(note("late")?, Expect::Any, number(1));
    let seq = store.commits(late.clone()).await?.seq;
    let found = page(&store, Some(&end), 10).await?;
    ensure_eq!(found.changes, vec![late.change(seq)], "only what came later");
    ensure!(found.next != end && found.newest == found.next, "the end has moved: {found:?}");
    ensure_eq!(store.feed(None, 3).await?.0.len(), expected.len() + 1, "the whole feed");
    Ok(())
}

pub(super) async fn every_cursor_on_the_way_may_be_kept(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let expected = commit_various(&store).await?;
    let mut kept = vec![page(&store, None, 0).await?.next];
    while kept.len() <= expected.len() {
        let step = page(&store, kept.last(), 1).await?;
        ensure_eq!(step.changes.len(), 1, "one at a time");
        kept.push(step.next);
    }
    let other = subject.open().await?;
    for (n, cursor) in kept.iter().enumerate() {
        for handle in [&store, &other] {
            // A cursor is text: one that was kept in a file for a year is the same.
            let reread = Cursor(cursor.0.clone());
            ensure_eq!(handle.feed(Some(&reread), 2).await?.0, expected[n..], "what follows cursor {n}");
        }
    }
    Ok(())
}

pub(super) async fn what_did_not_happen_is_not_in_the_feed(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let expected = commit_various(&store).await?;
    let repeated = Batch::new(expected[0].batch).put(note("c")?, Expect::Any, number(1));
    store.commits(repeated.clone()).await?;
    store.conflicts(batch().put(note("b")?, Expect::Absent, number(1))).await?;
    store.commit(Vec::new()).await?;
    store.refuses(vec![batch().append(talk("a")?, Vec::new())]).await?;
    let last = batch().put(note("c")?, Expect::Absent, number(1));
    let conflict = batch().put(note("c")?, Expect::Absent, number(2));
    store.commit(vec![repeated, last.clone(), conflict, last.clone()]).await?;
    let found: Vec<_> = store.feed(None, 100).await?.0.iter().map(|change| change.batch).collect();
    let expected: Vec<_> = expected.iter().map(|change| change.batch).chain([last.id]).collect();
    ensure_eq!(found, expected, "commits, each once; no conflicts and no repetitions");
    Ok(())
}

pub(super) async fn the_batches_of_a_group_are_commits_of_their_own(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut expected = Vec::new();
    let mut group = Vec::new();
    for n in 0..50 {
        let batch =
            batch().put(note(format!("{}", n % 7))?, Expect::Any, number(n)).append(talk("a")?, entries(n..n + 1));
        expected.push(batch.change(Seq::new(n + 1)));
        group.push(batch);
    }
    store.commit(group).await?;
    for limit in [1, 7, 100] {
        ensure_eq!(store.feed(None, limit).await?.0, expected, "{limit} at a time, also from within a group");
    }
    Ok(())
}

pub(super) async fn the_cursor_of_another_store_is_a_gap(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let expected = commit_various(&store).await?;
    let place = subject.elsewhere().await?;
    let elsewhere = place.open().await?;
    let empty = elsewhere.end().await?;
    commit_various(&elsewhere).await?;
    let early = page(&elsewhere, None, 3).await?.next;
    for foreign in [empty, early, elsewhere.end().await?] {
        match store.changes(Some(&foreign), 10).await? {
            Changes::Page(page) => {
                return Err(Unmet::new(format!("the cursor {foreign:?} of another store gave {page:?}")));
            }
            Changes::Gap { newest } => {
                ensure_eq!(newest, store.end().await?, "a gap says where to continue");
                ensure!(page(&store, Some(&newest), 10).await?.changes.is_empty(), "which is the end of the feed");
            }
        }
    }
    ensure_eq!(store.feed(None, 10).await?.0, expected, "its own feed is unharmed");
    Ok(())
}

pub(super) async fn the_cursor_of_another_backend_is_a_gap_or_invalid(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    commit_various(&store).await?;
    let memory = Handle(Arc::new(MemoryBackend::new()));
    commit_various(&memory).await?;
    let (other, own) = (memory.info().store, store.end().await?);
    let forms = [format!("{other}@1"), format!("{other}/1"), format!("{other}:1:1"), format!("{other}.1.1")];
    for foreign in [memory.end().await?].into_iter().chain(forms.map(Cursor)) {
        match store.changes(Some(&foreign), 10).await {
            Ok(Changes::Gap { newest }) => ensure_eq!(newest, own, "a gap says where to continue"),
            Ok(Changes::Page(page)) => return Err(Unmet::new(format!("{foreign:?} gave {page:?}"))),
            Err(error) => ensure_eq!(error.code(), "invalid", "{foreign:?}: {error}"),
        }
    }
    Ok(())
}

pub(super) async fn text_that_never_was_a_cursor_is_invalid(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    commit_various(&store).await?;
    for nonsense in ["", " ", "nonsense", "\0", "💥💥", "{}", "a/b/c", &"z".repeat(10_000)] {
        let code = store.changes(Some(&Cursor(nonsense.to_owned())), 10).await.map_err(|error| error.code());
        ensure_eq!(code, Err("invalid"), "the cursor {:?}", nonsense.get(..20).unwrap_or(nonsense));
    }
    Ok(())
}

pub(super) async fn what_is_remembered_is_listed_and_what_is_forgotten_is_a_gap(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let start = store.end().await?;
    let first = batch().put(note("first")?, Expect::Absent, number(0)).append(talk("first")?, entries(0..2));
    let outcome = store.commits(first.clone()).await?;
    let mut made = vec![first.id];
    commit_many(&store, REMEMBERED_COMMITS - made.len(), &mut made).await?;
    let store = match store.info().durability {
        Durability::Process => store,
        Durability::Disk | Durability::Service => {
            store.close().await?;
            drop(store);
            subject.open().await?
        }
    };
    ensure_eq!(store.commits(first).await?, outcome, "the oldest batch that must be remembered");
    for after in [None, Some(&start)] {
        let found = store.feed(after, 20_000).await?.0;
        ensure!(found.iter().map(|change| change.batch).eq(made.iter().copied()), "the whole feed after {after:?}");
    }
    commit_many(&store, REMEMBERED_COMMITS / 5, &mut made).await?;
    for after in [None, Some(&start)] {
        match store.changes(after, 20_000).await? {
            Changes::Gap { newest } => {
                ensure_eq!(newest, store.end().await?, "a gap says where to continue");
                ensure!(page(&store, Some(&newest), 10).await?.changes.is_empty(), "which is the end of the feed");
            }
            // A store may remember more than it must, if it then reports all of it.
            Changes::Page(_) => {
                let found = match (store.feed(after, 20_000).await, store.changes(after, 1).await?) {
                    // It was forgotten since.
                    (Err(_), Changes::Gap { .. }) => continue,
                    (found, _) => found?.0,
                };
                ensure_eq!(found.len(), made.len(), "changes after {after:?}, if that is not a gap");
                ensure!(found.iter().map(|change| change.batch).eq(made.iter().copied()), "in order");
            }
        }
    }
    let late = batch().put(note("late")?, Expect::Any, number(1));
    let end = store.end().await?;
    let seq = store.commits(late.clone()).await?.seq;
    ensure_eq!(store.feed(Some(&end), 10).await?.0, vec![late.change(seq)], "the feed continues");
    Ok(())
}

/// Commits many small batches in large groups, and records their ids.
async fn commit_many(store: &Handle, mut count: usize, made: &mut Vec<nofx_core::BatchId>) -> CaseResult {
    let log = talk("many")?;
    while count > 0 {
        let group: Vec<_> =
            (0..count.min(5000)).map(|n| batch().append(log.clone(), entries(n as u64..n as u64 + 1))).collect();
        count -= group.len();
        made.extend(group.iter().map(|batch| batch.id));
        for outcome in store.commit(group).await? {
            outcome.committed()?;
        }
    }
    Ok(())
}
