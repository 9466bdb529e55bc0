//! Batches: all or nothing, expectations, guards, and repeated ids.

use nofx_core::{Batch, BatchId, Conflict, Expect, Guard, Mismatch, Outcome, Seq};

use crate::subject::{Subject, batch, entries, note, number, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_batch_happens_entirely_or_not_at_all(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    store.commits(batch().put(note("taken")?, Expect::Any, number(0)).append(talk("old")?, entries(0..2))).await?;
    let before = store.content().await?;
    let everything = |expect| -> CaseResult<Batch> {
        Ok(batch()
            .put(note("new")?, Expect::Absent, number(1))
            .append(talk("new")?, entries(0..3))
            .append(talk("old")?, entries(2..3))
            .seal(talk("sealed")?)
            .remove(talk("removed")?)
            .delete(note("taken")?, expect))
    };
    store.conflicts(everything(Expect::Absent)?).await?;
    ensure_eq!(store.content().await?, before, "one expectation of many failed, so nothing happened");
    ensure_eq!(store.head(&talk("removed")?).await?.state, nofx_core::LogState::Open, "nothing was removed either");
    store.commits(everything(Expect::At(Seq::FIRST))?).await?;
    let after = store.content().await?;
    ensure_eq!(after.records.len(), 1, "the other record was deleted");
    let lengths: Vec<_> = after.logs.iter().map(|(head, entries)| (head.log.id(), entries.len())).collect();
    ensure_eq!(lengths, vec![("new", 3), ("old", 3), ("sealed", 0)], "every part of the batch happened");
    Ok(())
}

pub(super) async fn a_conflict_leaves_no_trace(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    let first = store.commits(batch().put(key.clone(), Expect::Any, number(1))).await?.seq;
    let (feed, end) = store.feed(None, 100).await?;
    let before = store.content().await?;
    for _ in 0..3 {
        let attempt = batch().put(key.clone(), Expect::Absent, number(2)).append(talk("a")?, entries(0..1));
        store.conflicts(attempt).await?;
    }
    ensure_eq!(store.content().await?, before, "the content");
    ensure_eq!(store.feed(None, 100).await?, (feed, end), "the feed and its end");
    let next = store.commits(batch().put(key, Expect::Any, number(3))).await?.seq;
    ensure_eq!(next, first.map(Seq::next), "no number was used up");
    Ok(())
}

pub(super) async fn a_conflict_lists_every_mismatch(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (taken, free) = (note("taken")?, note("free")?);
    let (long, sealed, removed) = (talk("long")?, talk("sealed")?, talk("removed")?);
    let setup = batch()
        .put(taken.clone(), Expect::Any, number(1))
        .append(long.clone(), entries(0..4))
        .append(sealed.clone(), entries(0..2))
        .seal(sealed.clone())
        .remove(removed.clone());
    let version = store.commits(setup).await?.seq;
    let stale = Expect::At(version.ok_or_else(|| Unmet::new("no seq"))?.next());
    let attempt = batch()
        .put(taken.clone(), Expect::Absent, number(2))
        .put(note("harmless")?, Expect::Absent, number(2))
        .delete(free.clone(), stale)
        .append_at(long.clone(), 3, entries(0..1))
        .append(sealed.clone(), entries(0..1))
        .append(removed.clone(), entries(0..1))
        .append(talk("harmless")?, entries(0..1))
        .guard(Guard::Record { key: taken.clone(), expect: stale })
        .guard(Guard::Record { key: taken.clone(), expect: Expect::Any })
        .guard(Guard::Length { log: sealed.clone(), length: 9 })
        .guard(Guard::Length { log: removed.clone(), length: 0 });
    let expected = Conflict {
        batch: attempt.id,
        mismatches: vec![
            Mismatch::Record { key: taken.clone(), expected: Expect::Absent, found: version },
            Mismatch::Record { key: free, expected: stale, found: None },
            Mismatch::Record { key: taken, expected: stale, found: version },
            Mismatch::Length { log: long, expected: 3, found: 4 },
            Mismatch::Sealed { log: sealed.clone() },
            Mismatch::Removed { log: removed },
            Mismatch::Length { log: sealed, expected: 9, found: 2 },
        ],
    };
    ensure_eq!(store.conflicts(attempt).await?, expected, "exactly what `Batch::check` finds");
    Ok(())
}

pub(super) async fn a_batch_that_met_a_conflict_is_judged_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    store.commits(batch().put(key.clone(), Expect::Any, number(1))).await?;
    let attempt = batch().put(key.clone(), Expect::Absent, number(2));
    for _ in 0..2 {
        store.conflicts(attempt.clone()).await?;
    }
    store.commits(batch().delete(key.clone(), Expect::Any)).await?;
    store.commits(attempt).await?;
    ensure_eq!(store.text(&key).await?, Some("2".into()), "the same batch happened once nothing stood against it");
    Ok(())
}

pub(super) async fn a_batch_committed_again_answers_its_first_outcome(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log) = (note("a")?, talk("a")?);
    store.commits(batch().append(log.clone(), entries(0..2))).await?;
    // Its own success makes its expectations wrong.
    let once = batch()
        .put(key.clone(), Expect::Absent, number(1))
        .append_at(log.clone(), 2, entries(2..5))
        .append(talk("b")?, entries(0..1));
    let first = store.commits(once.clone()).await?;
    ensure_eq!(first.appended, vec![2..5, 0..1], "where its entries went");
    let settled = store.content().await?;
    ensure_eq!(store.commits(once.clone()).await?, first, "at once");
    store.commits(batch().put(key, Expect::Any, number(9)).append(log.clone(), entries(5..6))).await?;
    let moved_on = store.content().await?;
    ensure!(moved_on != settled, "the store went on");
    ensure_eq!(store.commits(once.clone()).await?, first, "after the store went on");
    ensure_eq!(store.content().await?, moved_on, "and nothing happened again");
    store.commits(batch().remove(log)).await?;
    ensure_eq!(store.commits(once).await?, first, "after its log was removed");
    Ok(())
}

pub(super) async fn a_repeated_id_answers_the_first_outcome_whatever_the_batch_says(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let once = batch().put(note("a")?, Expect::Any, number(1));
    let first = store.commits(once.clone()).await?;
    let before = store.content().await?;
    let others = [
        Batch::new(once.id),
        Batch::new(once.id).append(talk("a")?, entries(0..3)),
        Batch::new(once.id).put(note("a")?, Expect::Absent, number(2)),
        Batch::new(once.id).put(note("b")?, Expect::Any, number(2)).seal(talk("b")?),
    ];
    for other in others {
        ensure_eq!(store.commits(other).await?, first, "the id names the batch, for ever");
    }
    ensure_eq!(store.content().await?, before, "and nothing happened");
    let next = store.commits(batch().put(note("c")?, Expect::Any, number(3))).await?.seq;
    ensure_eq!(next, first.seq.map(Seq::next), "nor was a number used up");
    Ok(())
}

pub(super) async fn an_id_of_an_earlier_group_may_be_repeated_several_times_in_one(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let once = batch().append(log.clone(), entries(0..2));
    let first = store.commit(vec![once.clone()]).await?;
    let outcomes =
        store.commit(vec![once.clone(), once.clone(), batch().append(log.clone(), entries(2..3)), once]).await?;
    for again in [0, 1, 3] {
        ensure_eq!(outcomes.get(again), first.first(), "the first outcome, each time");
    }
    ensure_eq!(store.head(&log).await?.length, 3, "and it happened once");
    Ok(())
}

pub(super) async fn an_id_repeated_within_a_group_happens_once(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let once = batch().put(note("a")?, Expect::Absent, number(1)).append(log.clone(), entries(0..2));
    let between = batch().append(log.clone(), entries(2..3));
    let other = Batch::new(once.id).append(log.clone(), entries(7..9));
    let outcomes = store.commit(vec![once.clone(), between, once, other]).await?;
    ensure_eq!(outcomes.len(), 4, "one outcome for each batch");
    let first = &outcomes[0];
    ensure!(matches!(first, Outcome::Committed(committed) if committed.appended == [0..2]), "{first:?}");
    ensure_eq!(&outcomes[2], first, "the same batch later in the group");
    ensure_eq!(&outcomes[3], first, "the same id with another content");
    ensure_eq!(store.head(&log).await?.length, 3, "the entries were appended once");
    let next = store.commits(batch().put(note("b")?, Expect::Any, number(1))).await?.seq;
    ensure_eq!(next, Some(Seq::FIRST.next()), "one number was used");
    Ok(())
}

pub(super) async fn a_batch_without_writes_is_remembered_as_well(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let log = talk("a")?;
    let append = batch().append(log.clone(), entries(0..1));
    let guarded = batch().guard(Guard::Length { log: log.clone(), length: 1 });
    let first = store.commits(append.clone()).await?;
    let judged = store.commits(guarded.clone()).await?;
    store.commits(batch().append(log.clone(), entries(1..2))).await?;
    ensure_eq!(store.commits(append).await?, first, "an append");
    ensure_eq!(store.commits(guarded).await?, judged, "a batch of guards, though they do not hold any more");
    ensure_eq!(store.head(&log).await?.length, 2, "nothing was appended again");
    Ok(())
}

pub(super) async fn guards_are_judged(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log, target) = (note("a")?, talk("a")?, note("target")?);
    let version = store.commits(batch().put(key.clone(), Expect::Any, number(1)).append(log.clone(), entries(0..2)));
    let version = version.await?.seq.ok_or_else(|| Unmet::new("no seq"))?;
    let record = |key: &nofx_core::RecordKey, expect| Guard::Record { key: key.clone(), expect };
    let length = |log: &nofx_core::LogKey, length| Guard::Length { log: log.clone(), length };
    let (no_key, no_log) = (note("missing")?, talk("missing")?);
    let cases = [
        (record(&key, Expect::At(version)), true),
        (record(&key, Expect::Any), true),
        (record(&key, Expect::Absent), false),
        (record(&key, Expect::At(version.next())), false),
        (record(&no_key, Expect::Absent), true),
        (record(&no_key, Expect::Any), true),
        (record(&no_key, Expect::At(version)), false),
        (length(&log, 2), true),
        (length(&log, 0), false),
        (length(&log, 1), false),
        (length(&log, 3), false),
        (length(&no_log, 0), true),
        (length(&no_log, 1), false),
    ];
    for (n, (guard, holds)) in (0..).zip(cases) {
        let what = format!("{guard:?}");
        let attempt = batch().put(target.clone(), Expect::Any, number(n)).guard(guard);
        let happened = matches!(store.outcome(attempt).await?, Outcome::Committed(_));
        ensure_eq!(happened, holds, "{what}");
        let written = store.text(&target).await? == Some(n.to_string());
        ensure_eq!(written, holds, "what the batch with {what} wrote");
    }
    Ok(())
}

pub(super) async fn guards_are_judged_on_the_state_before_the_batch(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log) = (note("a")?, talk("a")?);
    let creates = batch()
        .guard(Guard::Record { key: key.clone(), expect: Expect::Absent })
        .guard(Guard::Length { log: log.clone(), length: 0 })
        .put(key.clone(), Expect::Any, number(1))
        .append(log.clone(), entries(0..2));
    let version = store.commits(creates).await?.seq.ok_or_else(|| Unmet::new("no seq"))?;
    let foresees = batch()
        .guard(Guard::Record { key: key.clone(), expect: Expect::At(version.next()) })
        .guard(Guard::Length { log: log.clone(), length: 3 })
        .put(key.clone(), Expect::At(version), number(2))
        .append_at(log.clone(), 2, entries(2..3));
    let conflict = store.conflicts(foresees).await?;
    ensure_eq!(conflict.mismatches.len(), 2, "a batch's own changes do not satisfy its guards: {conflict}");
    let deletes = batch()
        .guard(Guard::Record { key: key.clone(), expect: Expect::At(version) })
        .guard(Guard::Length { log: log.clone(), length: 2 })
        .delete(key, Expect::At(version))
        .remove(log);
    store.commits(deletes).await?;
    Ok(())
}

pub(super) async fn a_batch_of_guards_alone_writes_nothing_and_takes_no_number(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    let version = store.commits(batch().put(key.clone(), Expect::Any, number(1))).await?.seq;
    let before = store.content().await?;
    let expect = Expect::At(version.ok_or_else(|| Unmet::new("no seq"))?);
    let holds = store.commits(batch().guard(Guard::Record { key: key.clone(), expect })).await?;
    ensure_eq!((holds.seq, holds.appended.len()), (None, 0), "nothing was written");
    store.conflicts(batch().guard(Guard::Record { key, expect: Expect::Absent })).await?;
    ensure_eq!(store.content().await?, before, "the content stays");
    Ok(())
}

pub(super) async fn an_empty_batch_commits_without_a_number(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let empty = batch();
    let first = store.commits(empty.clone()).await?;
    ensure_eq!((first.seq, first.appended.len()), (None, 0), "nothing was written");
    ensure_eq!(store.commits(empty).await?, first, "and again");
    ensure_eq!(store.content().await?, Default::default(), "the store is still empty");
    Ok(())
}

pub(super) async fn the_parts_of_a_batch_may_contradict_only_where_it_is_said(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log) = (note("a")?, talk("a")?);
    let refused = [
        (
            "writes a record twice",
            batch().put(key.clone(), Expect::Any, number(1)).put(key.clone(), Expect::Any, number(2)),
        ),
        ("writes and deletes", batch().put(key.clone(), Expect::Any, number(1)).delete(key.clone(), Expect::Any)),
        ("appends twice", batch().append(log.clone(), entries(0..1)).append(log.clone(), entries(1..2))),
        ("appends nothing", batch().append(log.clone(), Vec::new())),
        ("appends and removes", batch().append(log.clone(), entries(0..1)).remove(log.clone())),
        ("seals and removes", batch().seal(log.clone()).remove(log.clone())),
    ];
    for (what, attempt) in refused {
        let id = attempt.id;
        let message = store.refuses(vec![attempt]).await?;
        ensure!(message.contains(&id.to_string()), "the error names the batch that {what}: {message}");
        ensure_eq!(store.content().await?, Default::default(), "a batch that {what} leaves nothing");
    }
    let twice = batch().seal(log.clone()).seal(log.clone()).remove(talk("b")?).remove(talk("b")?);
    store.commits(twice).await?;
    Ok(())
}

pub(super) async fn any_sixteen_bytes_are_an_id(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut counting = [0; 16];
    counting[15] = 1;
    for (n, bytes) in (0..).zip([[0; 16], [255; 16], counting, *b"\0\0\0\0\0\0\0\0\n\r\"/\\.. "]) {
        let once = Batch::new(BatchId::from_bytes(bytes)).put(note(format!("{n}"))?, Expect::Absent, number(n));
        let first = store.commits(once.clone()).await?;
        ensure_eq!(first.seq, Seq::new(n + 1), "an id of its own");
        ensure_eq!(store.commits(once.clone()).await?, first, "and remembered");
        let newest = store.feed(None, 10).await?.0.pop();
        ensure_eq!(newest.map(|change| change.batch), Some(once.id), "and in the feed");
    }
    Ok(())
}
