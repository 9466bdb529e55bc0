//! Stores whose objects are damaged at random.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use nofx_core::{MemoryBackend, PersistenceBackend};
use nofx_remote::{Options, RemoteBackend};
use nofx_testkit::fuzz::{Mutator, Stored, fuzz, plant, seeds};
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

const SEEDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/seeds");

/// The objects that the version which wrote the seeds made.
fn planted() -> BTreeMap<Path, Vec<u8>> {
    let object = |(path, bytes): (std::path::PathBuf, Vec<u8>)| {
        let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        (Path::parse(parts.join("/")).unwrap(), bytes)
    };
    seeds(SEEDS.as_ref()).unwrap().into_iter().map(object).collect()
}

async fn put(objects: BTreeMap<Path, Vec<u8>>) -> Arc<InMemory> {
    let store = Arc::new(InMemory::new());
    for (path, bytes) in objects {
        store.put(&path, bytes.into()).await.unwrap();
    }
    store
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn options() -> Options {
    Options::default().commit_timeout(Duration::from_secs(1))
}

#[test]
fn objects_damaged_anywhere_are_read_right_or_not_at_all() {
    let runtime = runtime();
    let (whole, stored, little) = runtime.block_on(async {
        let store = Arc::new(InMemory::new());
        let backend = RemoteBackend::over(store.clone(), "team/store", options()).await.unwrap();
        let stored = Stored::fill(&backend).await.unwrap();
        backend.close().await.unwrap();
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        (objects(&store).await, stored, little)
    });
    let planted = planted();
    let mut refused = 0;
    fuzz("remote", 40, |seed| {
        let mutator = Mutator::new(seed);
        let (mut objects, stored) =
            if mutator.once_in(2) { (whole.clone(), &stored) } else { (planted.clone(), &little) };
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
            match RemoteBackend::over(put(objects).await, "team/store", options()).await {
                Ok(backend) => {
                    stored.exercise(&backend).await;
                }
                Err(_) => refused += 1,
            }
        });
    });
    println!("{refused} were refused");
}

#[test]
fn the_seeds_are_read_without_an_error() {
    runtime().block_on(async {
        let little = Stored::fill_little(&MemoryBackend::new()).await.unwrap();
        let backend = RemoteBackend::over(put(planted()).await, "team/store", options()).await.unwrap();
        assert_eq!(little.exercise(&backend).await, 0);
    });
}

#[test]
#[ignore = "writes the seeds again"]
fn seeds_are_written() {
    runtime().block_on(async {
        let store = Arc::new(InMemory::new());
        let backend = RemoteBackend::over(store.clone(), "team/store", options()).await.unwrap();
        Stored::fill_little(&backend).await.unwrap();
        backend.close().await.unwrap();
        let files = objects(&store).await.into_iter().map(|(path, bytes)| (path.to_string().into(), bytes)).collect();
        plant(SEEDS.as_ref(), &files).unwrap();
    });
}
