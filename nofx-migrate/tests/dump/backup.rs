//! Backs up a store that others write to.

use futures_util::FutureExt;
use nofx_core::{
    Batch, Body, Expect, Kind, Limits, MemoryBackend, PersistenceBackend, RecordKey, SeededIds, Sources, Store,
};
use nofx_migrate::{backup, full_digest};
use std::sync::Arc;

fn batches(count: usize, sources: &Sources, add: impl Fn(Batch, RecordKey) -> Batch) -> Vec<Batch> {
    let keys: Vec<_> = (0..count).map(|n| RecordKey::new(Kind::of("note"), format!("{n}")).unwrap()).collect();
    let some = keys.chunks(Limits::GUARANTEED.batch_items);
    some.map(|keys| keys.iter().cloned().fold(Batch::new(sources.batch_id()), &add)).collect()
}

#[tokio::test]
async fn records_that_are_deleted_while_they_are_copied_are_more_than_a_batch_takes() {
    let sources = Sources { ids: Arc::new(SeededIds::new(1)), ..Sources::default() };
    let memory = MemoryBackend::new();
    let count = 2 * Limits::GUARANTEED.batch_items + 10;
    let body = Body::parse("{}").unwrap();
    let fill = batches(count, &sources, |batch, key| batch.put(key, Expect::Any, body.clone()));
    memory.commit(fill).await.unwrap();
    let (from, to) = (Store::new(Arc::new(memory.another_handle())), Store::new(Arc::new(MemoryBackend::new())));
    let mut deleting = Some(batches(count, &sources, |batch, key| batch.delete(key, Expect::Any)));
    let mut delete = |done: nofx_migrate::Counts| {
        if done.records == count as u64
            && let Some(group) = deleting.take()
        {
            // A store in memory never waits.
            memory.commit(group).now_or_never().unwrap().unwrap();
        }
    };
    backup(&from, &to, &mut delete).await.unwrap();
    assert_eq!(full_digest(&to).await.unwrap(), full_digest(&from).await.unwrap());
    assert_eq!(full_digest(&to).await.unwrap().counts.records, 0);
}
