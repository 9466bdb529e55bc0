//! Groups: batches that share a commit and nothing else.

use nofx_core::{Batch, Expect, Guard, NewEntry, Outcome, Seq};

use crate::subject::{Subject, batch, entries, entry, note, number, sized, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn an_empty_group_is_no_work(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let before = store.feed(None, 10).await?;
    ensure_eq!(store.commit(Vec::new()).await?, vec![], "no batches, no outcomes");
    ensure_eq!(store.feed(None, 10).await?, before, "and no change");
    Ok(())
}

pub(super) async fn each_batch_is_judged_on_what_those_before_it_left(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log) = (note("a")?, talk("a")?);
    let second = Seq::FIRST.next();
    let group = vec![
        batch().put(key.clone(), Expect::Absent, number(1)),
        batch().put(key.clone(), Expect::Absent, number(2)),
        batch().put(key.clone(), Expect::At(Seq::FIRST), number(3)),
        batch().put(key.clone(), Expect::At(Seq::FIRST), number(4)),
        batch().append_at(log.clone(), 0, entries(0..2)),
        batch().append_at(log.clone(), 0, entries(2..3)),
        batch()
            .append_at(log.clone(), 2, entries(2..3))
            .guard(Guard::Record { key: key.clone(), expect: Expect::At(second) }),
        batch().seal(log.clone()),
        batch().append(log.clone(), entries(3..4)),
        batch().delete(key.clone(), Expect::At(second)),
        batch().put(key.clone(), Expect::Absent, number(5)),
        batch().remove(log.clone()),
        batch().seal(log.clone()),
    ];
    let expected = [true, false, true, false, true, false, true, true, false, true, true, true, false];
    let outcomes = store.commit(group).await?;
    let happened: Vec<_> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    ensure_eq!(happened, expected, "which batches happened, in order");
    let last = outcomes.get(10).cloned().ok_or_else(|| Unmet::new("an outcome is missing"))?.committed()?;
    ensure_eq!(last.seq, Seq::new(4), "conflicts took no numbers");
    ensure_eq!(store.record(&key).await?.map(|record| record.version), last.seq, "the last write stays");
    ensure_eq!(store.text(&key).await?, Some("5".into()), "its body too");
    Ok(())
}

pub(super) async fn a_conflict_does_not_keep_its_neighbours_from_happening(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let taken = note("taken")?;
    store.commits(batch().put(taken.clone(), Expect::Any, number(0))).await?;
    let log = talk("a")?;
    let bad = || batch().put(taken.clone(), Expect::Absent, number(9)).append(log.clone(), entries(90..99));
    let good = |n: u64| -> CaseResult<Batch> {
        Ok(batch().put(note(format!("{n}"))?, Expect::Absent, number(n)).append(log.clone(), entries(n..n + 1)))
    };
    let outcomes = store.commit(vec![bad(), good(0)?, bad(), good(1)?, good(2)?, bad()]).await?;
    let happened: Vec<_> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    ensure_eq!(happened, [false, true, false, true, true, false], "only the batches with a conflict did not happen");
    let content = store.content().await?;
    ensure_eq!(content.records.len(), 4, "records");
    let found = store.entries(&log).await?;
    ensure_eq!(crate::subject::texts(&found), ["0", "1", "2"], "entries are dense without those of the conflicts");
    Ok(())
}

pub(super) async fn one_invalid_batch_fails_the_whole_group(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    store.commits(batch().put(note("before")?, Expect::Any, number(0))).await?;
    let before = (store.content().await?, store.feed(None, 10).await?);
    for at in [0, 1, 4] {
        let mut group = Vec::new();
        for n in 0..4 {
            group.push(batch().put(note(format!("{n}"))?, Expect::Any, number(n)).append(talk("a")?, entries(0..1)));
        }
        let (first, second) = (batch().append(talk("a")?, Vec::new()), batch().append(talk("b")?, Vec::new()));
        let (named, unnamed) = (first.id.to_string(), second.id.to_string());
        group.insert(at, first);
        group.push(second);
        let message = store.refuses(group).await?;
        ensure!(message.contains(&named) && !message.contains(&unnamed), "the first bad batch is named: {message}");
        ensure_eq!((store.content().await?, store.feed(None, 10).await?), before, "nothing happened");
    }
    Ok(())
}

pub(super) async fn a_batch_refused_with_its_group_may_be_committed_later(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let good = batch().put(note("a")?, Expect::Absent, number(1)).append(talk("a")?, entries(0..1));
    store.refuses(vec![good.clone(), batch().append(talk("a")?, Vec::new())]).await?;
    let committed = store.commits(good).await?;
    ensure_eq!((committed.seq, committed.appended), (Some(Seq::FIRST), vec![0..1]), "as if for the first time");
    Ok(())
}

pub(super) async fn a_conflict_and_its_cure_may_be_in_one_group(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    store.commits(batch().put(key.clone(), Expect::Any, number(1))).await?;
    let stubborn = batch().put(key.clone(), Expect::Absent, number(2));
    let cure = batch().delete(key.clone(), Expect::Any);
    let outcomes = store.commit(vec![stubborn.clone(), cure, stubborn.clone(), stubborn]).await?;
    let happened: Vec<_> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Committed(_))).collect();
    ensure_eq!(happened, [false, true, true, true], "judged again after its conflict, and then remembered");
    ensure_eq!(outcomes[2], outcomes[3], "the first outcome again");
    Ok(())
}

pub(super) async fn a_group_may_have_hundreds_of_batches(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (key, log) = (note("counter")?, talk("a")?);
    let group = (0..500)
        .map(|n| batch().put(key.clone(), Expect::Any, number(n)).append_at(log.clone(), n, vec![entry(n)]))
        .collect();
    for (n, outcome) in (0..).zip(store.commit(group).await?) {
        let committed = outcome.committed()?;
        ensure_eq!(committed.seq, Seq::new(n + 1), "numbers rise by one through the group");
        ensure_eq!(committed.appended, vec![n..n + 1], "positions too");
    }
    ensure_eq!(store.text(&key).await?, Some("499".into()), "the last batch wrote last");
    ensure_eq!(store.entries(&log).await?.len(), 500, "entries");
    Ok(())
}

pub(super) async fn sizes_are_judged_for_each_batch_and_not_for_the_group(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let limits = store.info().limits;
    // Each has half of what a batch may have; together they have more than one may.
    let large = sized(limits.batch_bytes.min(2 * limits.body_bytes) / 2);
    let mut group = Vec::new();
    for n in 0..3 {
        group.push(batch().append(talk(format!("{n}"))?, vec![NewEntry { body: large.clone(), ..entry(n) }]));
    }
    for outcome in store.commit(group).await? {
        outcome.committed()?;
    }
    let found = store.entries(&talk("2")?).await?;
    ensure!(found.len() == 1 && found[0].body == large, "the last of the large bodies is there");
    Ok(())
}
