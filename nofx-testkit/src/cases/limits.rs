//! The largest items that a backend takes, and the minimum that it must.

use nofx_core::{Batch, Body, Expect, Guard, LogQuery, NewEntry};

use crate::subject::{Subject, batch, entry, note, number, sized, talk};
use crate::unmet::{CaseResult, ensure, ensure_eq};

pub(super) async fn at_least_the_guaranteed_sizes_are_taken(subject: Subject) -> CaseResult {
    let (taken, least) = (subject.open().await?.info().limits, nofx_core::Limits::GUARANTEED);
    ensure!(taken.body_bytes >= least.body_bytes, "bodies of {} bytes", taken.body_bytes);
    ensure!(taken.batch_bytes >= least.batch_bytes, "batches of {} bytes", taken.batch_bytes);
    ensure!(taken.batch_items >= least.batch_items, "batches of {} items", taken.batch_items);
    Ok(())
}

fn one_entry(body: Body) -> Vec<NewEntry> {
    vec![NewEntry { body, ..entry(0) }]
}

pub(super) async fn a_body_of_the_largest_size_comes_back(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let largest = sized(store.info().limits.body_bytes);
    let (key, log) = (note("a")?, talk("a")?);
    store.commits(batch().put(key.clone(), Expect::Any, largest.clone())).await?;
    store.commits(batch().append(log.clone(), one_entry(largest.clone()))).await?;
    store.commits(batch().append(log.clone(), one_entry(number(1)))).await?;
    let record = store.record(&key).await?.map(|record| record.body);
    ensure!(record.as_ref() == Some(&largest), "a record of {} bytes came back as {record:?}", largest.len());
    let page = store.read(&LogQuery::oldest_first(log.clone(), 10)).await?;
    let first = page.items.first().map(|entry| &entry.body);
    ensure!(first == Some(&largest), "an entry of {} bytes came back as {first:?}", largest.len());
    ensure_eq!(page.more, page.items.len() < 2, "a page has at least one entry and reports that there is another");
    ensure_eq!(store.entries(&log).await?.len(), 2, "entries");
    store.commits(batch().put(key.clone(), Expect::Any, number(2))).await?;
    ensure_eq!(store.text(&key).await?, Some("2".into()), "a small body in its place");
    Ok(())
}

pub(super) async fn a_body_above_the_largest_size_is_invalid(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let above = sized(store.info().limits.body_bytes + 1);
    let small = || -> CaseResult<Batch> { Ok(batch().put(note("small")?, Expect::Any, number(1))) };
    for attempt in [
        batch().put(note("a")?, Expect::Any, above.clone()),
        batch().append(talk("a")?, vec![entry(0), NewEntry { body: above, ..entry(1) }]),
    ] {
        let id = attempt.id.to_string();
        let message = store.refuses(vec![small()?, attempt]).await?;
        ensure!(message.contains(&id), "the error names the batch: {message}");
        ensure_eq!(store.content().await?, Default::default(), "nothing was written");
    }
    Ok(())
}

pub(super) async fn the_parts_of_a_batch_are_counted_together(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let limit = store.info().limits.batch_items;
    let mixed = |items: usize| -> CaseResult<Batch> {
        let mut mixed = batch()
            .append(talk("appended")?, (0..items as u64 - 2000).map(entry).collect())
            .guard(Guard::Length { log: talk("guarded")?, length: 0 });
        for n in 0..1997 {
            mixed = mixed.put(note(format!("{n:04}"))?, Expect::Any, number(n));
        }
        Ok(mixed.seal(talk("sealed")?).remove(talk("removed")?))
    };
    store.refuses(vec![mixed(limit + 1)?]).await?;
    ensure_eq!(store.content().await?, Default::default(), "nothing was written");
    store.commits(mixed(limit)?).await?;
    ensure_eq!(store.head(&talk("appended")?).await?.length, limit as u64 - 2000, "all of the largest batch");
    ensure_eq!(store.content().await?.records.len(), 1997, "records of the largest batch");
    Ok(())
}

pub(super) async fn the_bytes_of_a_batch_are_counted_together(subject: Subject) -> CaseResult {
    let store = subject.open().await?;
    let limits = store.info().limits;
    let parts = limits.batch_bytes.div_ceil(limits.body_bytes).max(4);
    let part = sized(limits.batch_bytes / parts);
    let rest = limits.batch_bytes - part.len() * (parts - 1);
    let full = |last: usize| -> CaseResult<Batch> {
        let mut full = batch().put(note("last")?, Expect::Any, sized(last));
        for n in 0..parts - 1 {
            full = full.append(talk(format!("{n}"))?, one_entry(part.clone()));
        }
        Ok(full)
    };
    store.refuses(vec![full(rest + 1)?]).await?;
    ensure_eq!(store.content().await?, Default::default(), "nothing was written");
    store.commits(full(rest)?).await?;
    for n in 0..parts - 1 {
        let found = store.entries(&talk(format!("{n}"))?).await?;
        ensure!(found.len() == 1 && found[0].body == part, "part {n} of the largest batch");
    }
    Ok(())
}
