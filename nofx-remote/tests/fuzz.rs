//! Stores whose objects are damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use nofx_core::PersistenceBackend;
use nofx_remote::{Options, RemoteBackend};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

async fn objects(store: &InMemory) -> BTreeMap<Path, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for found in store.list(None).try_collect::<Vec<_>>().await.unwrap() {
        let bytes = store.get(&found.location).await.unwrap().bytes().await.unwrap();
        objects.insert(found.location, bytes.to_vec());
    }
    objects
}

fn options() -> Options {
    Options::default().commit_timeout(Duration::from_secs(1))
}

#[test]
fn objects_damaged_anywhere_are_read_right_or_not_at_all() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (whole, stored) = runtime.block_on(async {
        let store = Arc::new(InMemory::new());
        let backend = RemoteBackend::over(store.clone(), "team/store", options()).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        backend.close().await.unwrap();
        (objects(&store).await, stored)
    });
    let mut refused = 0;
    fuzz("remote", 40, |seed| {
        let mutator = Mutator::new(seed);
        let mut objects = whole.clone();
        for _ in 0..=mutator.below(3) {
            let place = mutator.below(objects.len());
            let Some((path, bytes)) = objects.iter_mut().nth(place) else { continue };
            let path = path.clone();
            mutator.mutate(bytes);
            if mutator.once_in(8) {
                objects.remove(&path);
            }
        }
        runtime.block_on(async {
            let store = Arc::new(InMemory::new());
            for (path, bytes) in objects {
                store.put(&path, bytes.into()).await.unwrap();
            }
            match RemoteBackend::over(store, "team/store", options()).await {
                Ok(backend) => {
                    stored.exercise(&backend).await;
                }
                Err(_) => refused += 1,
            }
        });
    });
    println!("{refused} were refused");
}
