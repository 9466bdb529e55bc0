//! Records: versions, expectations and `get`.

use nofx_core::{Conflict, Expect, Mismatch, Seq};

use crate::subject::{Subject, batch, entry, note, number, talk};
use crate::unmet::{CaseResult, Unmet, ensure, ensure_eq};

pub(super) async fn a_written_record_is_found_with_its_version(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (a, b) = (note("a")?, note("b")?);
    let first = store.commits(batch().put(a.clone(), Expect::Absent, number(1))).await?;
    let second = store.commits(batch().put(b.clone(), Expect::Absent, number(2))).await?;
    for (key, committed, text) in [(a, first, "1"), (b, second, "2")] {
        let found = store.record(&key).await?.ok_or_else(|| Unmet::new(format!("{key} is missing")))?;
        ensure_eq!(found.key, key, "a record carries its key");
        ensure_eq!(Some(found.version), committed.seq, "the version of {key} is the seq of its commit");
        ensure_eq!(found.body.as_str(), text, "the body of {key}");
    }
    Ok(())
}

pub(super) async fn a_missing_record_is_none(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    ensure_eq!(store.record(&note("a")?).await?, None, "a record of an empty store");
    store.commits(batch().put(note("a")?, Expect::Any, number(1))).await?;
    ensure_eq!(store.record(&note("b")?).await?, None, "a record that was never written");
    Ok(())
}

pub(super) async fn get_answers_each_key_in_the_order_asked(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    for id in ["a", "b", "c"] {
        store.commits(batch().put(note(id)?, Expect::Any, number(1))).await?;
    }
    let asked = ["c", "missing", "a", "c", "b", "missing", "c"];
    let keys = asked.iter().map(note).collect::<CaseResult<Vec<_>>>()?;
    let found = store.get(&keys).await?;
    let found: Vec<_> = found.iter().map(|record| record.as_ref().map(|record| record.key.id())).collect();
    let expected = [Some("c"), None, Some("a"), Some("c"), Some("b"), None, Some("c")];
    ensure_eq!(found, expected, "one answer for each key, duplicates and missing ones included");
    Ok(())
}

pub(super) async fn get_of_no_keys_is_no_records(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    store.commits(batch().put(note("a")?, Expect::Any, number(1))).await?;
    ensure_eq!(store.get(&[]).await?, vec![], "nothing was requested");
    Ok(())
}

pub(super) async fn get_takes_thousands_of_keys(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut writes = batch();
    for n in 0..2000 {
        writes = writes.put(note(format!("{n:04}"))?, Expect::Any, number(n));
    }
    store.commits(writes).await?;
    let keys = (0..4000).rev().map(|n| note(format!("{n:04}"))).collect::<CaseResult<Vec<_>>>()?;
    let found = store.get(&keys).await?;
    ensure_eq!(found.len(), 4000, "one answer for each key");
    for (key, record) in keys.iter().zip(found) {
        let number: u64 = key.id().parse()?;
        let expected = (number < 2000).then(|| number.to_string());
        ensure_eq!(record.map(|record| record.body.as_str().to_owned()), expected, "the body of {key}");
    }
    Ok(())
}

pub(super) async fn a_record_written_again_is_replaced_whole(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    let mut last = None;
    for n in [111_111, 2, 33_333_333] {
        let seq = store.commits(batch().put(key.clone(), Expect::Any, number(n))).await?.seq;
        ensure!(seq > last, "version {seq:?} after {last:?}");
        last = seq;
        ensure_eq!(store.text(&key).await?, Some(n.to_string()), "the newest body");
    }
    Ok(())
}

pub(super) async fn all_records_of_a_batch_have_its_version(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let keys = ["a", "b", "c"].iter().map(note).collect::<CaseResult<Vec<_>>>()?;
    let writes = keys.iter().fold(batch(), |batch, key| batch.put(key.clone(), Expect::Any, number(1)));
    let seq = store.commits(writes).await?.seq;
    for record in store.get(&keys).await? {
        ensure_eq!(record.map(|record| record.version), seq, "one version for the whole batch");
    }
    Ok(())
}

pub(super) async fn a_deleted_record_is_gone(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (gone, kept) = (note("a")?, note("b")?);
    let write = batch().put(gone.clone(), Expect::Any, number(1)).put(kept.clone(), Expect::Any, number(2));
    store.commits(write).await?;
    store.commits(batch().delete(gone.clone(), Expect::Any)).await?;
    ensure_eq!(store.record(&gone).await?, None, "the deleted record");
    ensure_eq!(store.text(&kept).await?, Some("2".into()), "its neighbour");
    let content = store.content().await?;
    ensure_eq!(content.records.len(), 1, "a scan does not find it either");
    Ok(())
}

pub(super) async fn deleting_takes_a_number_even_of_a_missing_record(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    let written = store.commits(batch().put(key.clone(), Expect::Any, number(1))).await?.seq;
    let deleted = store.commits(batch().delete(key.clone(), Expect::Any)).await?.seq;
    ensure_eq!(deleted, written.map(Seq::next), "deleting takes the next number");
    let again = store.commits(batch().delete(key.clone(), Expect::Any)).await?.seq;
    ensure_eq!(again, deleted.map(Seq::next), "deleting a missing record is no error and takes a number too");
    Ok(())
}

pub(super) async fn a_version_is_never_used_again(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let key = note("a")?;
    let mut last = None;
    for round in 0..5 {
        let written = store.commits(batch().put(key.clone(), Expect::Absent, number(round))).await?.seq;
        ensure!(written > last, "a record written again has version {written:?}, after {last:?}");
        let deleted = store.commits(batch().delete(key.clone(), Expect::Any)).await?.seq;
        ensure!(deleted > written, "the deletion of {written:?} has number {deleted:?}");
        last = deleted;
        if let Some(old) = written {
            // A decision about a record's first life must not hold in its second.
            let conflict = store.conflicts(batch().put(key.clone(), Expect::At(old), number(0))).await?;
            ensure_eq!(found_version(&conflict), Some(None), "the record is missing now");
        }
    }
    Ok(())
}

pub(super) async fn numbers_are_dense_and_only_for_batches_that_write_records(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let mut expected = Seq::FIRST;
    for round in 0..4 {
        let key = note(format!("{round}"))?;
        let seq = store.commits(batch().put(key.clone(), Expect::Any, number(round))).await?.seq;
        ensure_eq!(seq, Some(expected), "each batch that writes records takes the next number, from one");
        expected = expected.next();
        let others = [
            batch(),
            batch().append(talk("a")?, vec![entry(round)]),
            batch().seal(talk(format!("sealed {round}"))?),
            batch().remove(talk(format!("removed {round}"))?),
        ];
        for other in others {
            ensure_eq!(store.commits(other).await?.seq, None, "a batch that writes no record takes no number");
        }
        store.conflicts(batch().put(key, Expect::Absent, number(0))).await?;
    }
    Ok(())
}

pub(super) async fn every_expectation_of_a_record_is_judged(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let (present, absent) = (note("present")?, note("absent")?);
    let older = store.commits(batch().put(note("other")?, Expect::Any, number(0))).await?.seq;
    let other = older.ok_or_else(|| Unmet::new("no seq"))?;
    let mut version = store.commits(batch().put(present.clone(), Expect::Any, number(0))).await?.seq;
    for delete in [false, true] {
        let now = version.ok_or_else(|| Unmet::new("no seq"))?;
        let cases = [
            (&present, Expect::Absent, false),
            (&present, Expect::At(other), false),
            (&present, Expect::At(now.next()), false),
            (&absent, Expect::At(now), false),
            (&absent, Expect::At(Seq::FIRST), false),
            (&absent, Expect::Absent, true),
            (&absent, Expect::Any, true),
            (&present, Expect::Any, true),
        ];
        for (key, expect, holds) in cases {
            let attempt = match delete {
                true => batch().delete(key.clone(), expect),
                false => batch().put(key.clone(), expect, number(1)),
            };
            let id = attempt.id;
            let found = (*key == present).then_some(version).flatten();
            if holds {
                let seq = store.commits(attempt).await?.seq;
                // Restores the state, so that each attempt starts from the same one.
                store.commits(batch().delete(absent.clone(), Expect::Any)).await?;
                if *key == present {
                    version = seq;
                }
            } else {
                let mismatches = vec![Mismatch::Record { key: key.clone(), expected: expect, found }];
                let conflict = store.conflicts(attempt).await?;
                ensure_eq!(conflict, Conflict { batch: id, mismatches }, "{key} judged by {expect:?}");
            }
        }
        version = store.commits(batch().put(present.clone(), Expect::Any, number(0))).await?.seq;
        let now = version.ok_or_else(|| Unmet::new("no seq"))?;
        version = store.commits(batch().put(present.clone(), Expect::At(now), number(1))).await?.seq;
        ensure!(version > Some(now), "the right version lets the batch happen");
    }
    Ok(())
}

fn found_version(conflict: &Conflict) -> Option<Option<Seq>> {
    match conflict.mismatches.as_slice() {
        [Mismatch::Record { found, .. }] => Some(*found),
        _ => None,
    }
}
