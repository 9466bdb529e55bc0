//! Untrustworthy stores, and lost answers.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use nofx_core::{Batch, Body, Expect, PersistenceBackend, Sources};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::truth::key;
use super::world::{Line, Rates, World};
use crate::options::Rules;
use crate::{Options, RemoteBackend, Requests};

/// Accepts conditions and ignores them, as some servers do.
#[derive(Debug, Default)]
struct Careless(InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("careless")
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(path, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_server_that_ignores_conditions_is_refused_and_nothing_is_left_on_it() {
    use futures_util::StreamExt;
    let store = std::sync::Arc::new(Careless::default());
    let refused = RemoteBackend::over(store.clone(), "x", Options::default()).await.unwrap_err();
    assert_eq!(refused.code(), "invalid");
    assert!(refused.to_string().contains("If-None-Match"), "{refused}");
    assert_eq!(store.list(None).count().await, 0);
}

#[tokio::test(start_paused = true)]
async fn looking_for_a_store_writes_nothing_whether_there_is_one_or_not() {
    let (world, rules) = (World::new(), Rules::new(Duration::from_secs(20)));
    let look = async || {
        let (line, requests) = (Line::new(world.clone(), Rates::EXACT, 1, &rules), Requests::default());
        let options = Options::default().create(false).requests(requests.clone());
        let opened = RemoteBackend::start(RemoteBackend::given(line.clone(), ""), options, rules.clone()).await;
        let found = match opened {
            Ok(store) => Ok(store.get(&[key("a")]).await.unwrap()),
            Err(error) => Err(error.to_string()),
        };
        let [puts, gets, lists] = line.counts.all().map(|count| count as u64);
        assert_eq!((requests.puts(), requests.gets(), requests.lists()), (puts, gets, lists), "they are counted");
        assert_eq!((puts, requests.deletes()), (0, 0), "nothing is written");
        found
    };
    assert_eq!(look().await.unwrap_err(), "invalid: no NofX store at `line`");
    assert_eq!(world.size().0, 0);
    let store = Line::new(world.clone(), Rates::EXACT, 2, &rules).open(rules.clone()).await.unwrap();
    let batch = Batch::new(Sources::default().batch_id());
    store.commit(vec![batch.put(key("a"), Expect::Absent, Body::trusted("1"))]).await.unwrap();
    assert!(look().await.unwrap()[0].is_some());
}

/// One writer over a connection that loses a third of its answers; returns how often it thinks that another writer was
/// first.
async fn lose_answers() -> u64 {
    let rules = Rules::new(Duration::from_secs(20));
    let rates = Rates { after: 300, ..Rates::EXACT };
    let store = Line::new(World::new(), rates, 5, &rules).open(rules).await.unwrap();
    for n in 0..30 {
        let batch = Batch::new(Sources::default().batch_id());
        let batch = batch.put(key(&n.to_string()), Expect::Absent, Body::trusted("1"));
        let outcome = store.commit(vec![batch]).await.unwrap().pop().unwrap();
        assert_eq!(outcome.committed().unwrap().seq.unwrap().get(), n + 1);
    }
    store.lost_races()
}

/// Batches are remembered, so a writer that takes its own commit for another's still answers correctly; but it competes
/// with itself.
#[tokio::test(start_paused = true)]
async fn an_own_commit_whose_answer_was_lost_is_recognised() {
    assert_eq!(lose_answers().await, 0);
}
