//! An object store in virtual time, and the faults of the connections to it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use nofx_core::{Clock, SeededIds, Sources, Timestamp};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::{Instant, sleep};

use crate::commit::Commit;
use crate::location::StorePrefix;
use crate::names::{self, ObjectNames};
use crate::options::{Options, Rules};
use crate::{RemoteBackend, Result as StoreResult};

/// A reproducible sequence of numbers.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed.wrapping_mul(0x2545_F491_4F6C_DD1D)))
    }

    pub(crate) fn next(&self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut mixed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn hits(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn millis(&self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(range.start + self.below(range.end - range.start))
    }
}

/// A clock that follows tokio's.
#[derive(Debug)]
pub(crate) struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).saturating_add(self.0.elapsed())
    }
}

/// Everything in a store at one point in time.
#[derive(Debug, Default)]
pub(crate) struct Copy {
    objects: Vec<(Bytes, Duration, Path)>,
    commits: BTreeMap<u64, Bytes>,
    strays: BTreeSet<u64>,
}

impl Copy {
    /// The same objects with the times that a restore gives them.
    pub(crate) fn restored(mut self, world: &World) -> Self {
        let now = world.started.elapsed();
        self.objects.iter_mut().for_each(|(_, made, _)| *made = now);
        self
    }
}

/// What all machines share.
#[derive(Debug)]
pub(crate) struct World {
    objects: InMemory,
    started: Instant,
    /// The store's first object.
    beginning: ObjectMeta,
    made: Mutex<HashMap<Path, Duration>>,
    /// Every commit that was ever created, including those deleted since.
    pub(crate) commits: Mutex<BTreeMap<u64, Bytes>>,
    /// The numbers of those that do not follow what was there before them.
    pub(crate) strays: Mutex<BTreeSet<u64>>,
    /// What no correct program does.
    pub(crate) violations: Mutex<Vec<String>>,
    /// The bytes of all objects that were ever created, by folder.
    pub(crate) put: Mutex<BTreeMap<String, u64>>,
    epoch: AtomicU64,
}

impl World {
    pub(crate) fn new() -> Arc<Self> {
        let (objects, first) = (InMemory::new(), Path::from("beginning"));
        let beginning = async {
            objects.put(&first, PutPayload::new()).await?;
            let beginning = objects.head(&first).await;
            objects.delete(&first).await?;
            beginning
        };
        let beginning = beginning.now_or_never().expect("memory does not wait").expect("memory does not fail");
        Arc::new(Self {
            objects,
            beginning,
            started: Instant::now(),
            made: Mutex::default(),
            commits: Mutex::default(),
            strays: Mutex::default(),
            violations: Mutex::default(),
            put: Mutex::default(),
            epoch: AtomicU64::new(0),
        })
    }

    /// Returns the number of the newest commit.
    pub(crate) fn newest(&self) -> u64 {
        self.commits.lock().unwrap().last_key_value().map_or(0, |(number, _)| *number)
    }

    fn put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let bytes: Bytes = payload.clone().into();
        let put = self.objects.put_opts(path, payload, options).now_or_never().expect("memory does not wait")?;
        self.made.lock().unwrap().insert(path.clone(), self.started.elapsed());
        let folder = path.as_ref().split('/').next().unwrap_or_default().to_owned();
        *self.put.lock().unwrap().entry(folder).or_default() += bytes.len() as u64;
        if let Some(number) = names::number(path).filter(|_| path.as_ref().starts_with(names::ROOT)) {
            if !self.belongs(number, &bytes) {
                self.strays.lock().unwrap().insert(number);
                return Ok(put);
            }
            let before = self.commits.lock().unwrap().insert(number, bytes.clone());
            if before.is_some_and(|before| before != bytes) {
                self.violations.lock().unwrap().push(format!("commit {number} was created again with other bytes"));
            }
        }
        Ok(put)
    }

    /// Returns whether a commit follows the object under the number before it.
    fn belongs(&self, number: u64, bytes: &Bytes) -> bool {
        let commit = Commit::decode(bytes, number, "a commit").unwrap();
        for before in (1..number).rev() {
            let Some(object) = self.object(&ObjectNames::new(Path::default()).commit(before)) else { return false };
            // A damaged object is no evidence against it.
            if let Ok(found) = Commit::decode(&object, before, "the one before")
                && !commit.nonce_of(before).is_none_or(|named| found.is_named(named))
            {
                return false;
            }
            if !commit.calls_nothing(before) {
                // A host that has not checked yet may create one more.
                return !self.strays.lock().unwrap().contains(&before);
            }
        }
        true
    }

    /// Returns an object.
    pub(crate) fn object(&self, path: &Path) -> Option<Bytes> {
        let found = self.objects.get(path).now_or_never().expect("memory does not wait").ok()?;
        found.bytes().now_or_never().expect("memory does not wait").ok()
    }

    /// Replaces an object with other bytes, or removes it.
    pub(crate) fn damage(&self, path: &Path, bytes: Option<Bytes>) {
        let done = async {
            match bytes {
                Some(bytes) => self.objects.put(path, bytes.into()).await.map(|_| ()),
                None => self.objects.delete(path).await,
            }
        };
        done.now_or_never().expect("memory does not wait").expect("memory does not fail");
    }

    /// Returns the names of all objects in a folder.
    pub(crate) fn names(&self, folder: &str) -> Vec<Path> {
        let listed: Vec<_> = self.objects.list(Some(&Path::from(folder))).collect().now_or_never().unwrap();
        listed.into_iter().map(|meta: Result<ObjectMeta>| meta.unwrap().location).collect()
    }

    /// Returns a copy of everything.
    pub(crate) fn copied(&self) -> Copy {
        let all = [names::ROOT, names::CHECKPOINTS, names::PACKS].iter().flat_map(|folder| self.names(folder));
        let object = |path: Path| {
            let made = self.made.lock().unwrap()[&path];
            (self.object(&path).unwrap(), made, path)
        };
        let (commits, strays) = (self.commits.lock().unwrap().clone(), self.strays.lock().unwrap().clone());
        Copy { objects: all.map(object).collect(), commits, strays }
    }

    /// Replaces everything with a copy, all at once.
    pub(crate) fn becomes(&self, copy: &Copy) {
        let all = [names::ROOT, names::CHECKPOINTS, names::PACKS].iter().flat_map(|folder| self.names(folder));
        all.for_each(|path| self.damage(&path, None));
        for (bytes, made, path) in &copy.objects {
            self.damage(path, Some(bytes.clone()));
            self.made.lock().unwrap().insert(path.clone(), *made);
        }
        *self.commits.lock().unwrap() = copy.commits.clone();
        *self.strays.lock().unwrap() = copy.strays.clone();
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Returns how often everything was replaced.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn age(&self, path: &Path) -> Duration {
        let made = self.made.lock().unwrap().get(path).copied().unwrap_or_default();
        self.started.elapsed().saturating_sub(made)
    }

    /// Dates an object in virtual time.
    fn date(&self, meta: ObjectMeta) -> ObjectMeta {
        let made = self.made.lock().unwrap().get(&meta.location).copied().unwrap_or_default();
        // Only distances count, so any fixed start will do.
        let beginning = self.beginning.last_modified;
        ObjectMeta { last_modified: beginning + made, ..meta }
    }

    /// Returns how many objects there are, and their bytes.
    pub(crate) fn size(&self) -> (usize, u64) {
        let all: Vec<_> = self.objects.list(None).collect::<Vec<_>>().now_or_never().unwrap();
        (all.len(), all.iter().map(|meta| meta.as_ref().unwrap().size).sum())
    }
}

/// How often things go wrong, per mille.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rates {
    /// Fails without an effect.
    pub(crate) before: u64,
    /// Takes effect, and fails.
    pub(crate) after: u64,
    /// Fails, and takes effect up to three seconds later.
    pub(crate) later: u64,
    /// Takes longer than any caller waits.
    pub(crate) slow: u64,
    /// Is refused as if the object existed.
    pub(crate) refused: u64,
    /// Returns only part of the body.
    pub(crate) partial: u64,
    /// A listing that lacks recent objects.
    pub(crate) cut: u64,
    /// Whether 503 is the only answer for 0.6 s every 7 s.
    pub(crate) bursts: bool,
    /// Whether nothing can be read any more.
    pub(crate) no_gets: bool,
    /// How long a request takes, in milliseconds: a PUT; a GET takes two thirds of it, a LIST twice as long.
    pub(crate) latency: u64,
    /// How long every request takes, to the millisecond, so that sequential requests can be counted.
    pub(crate) exact: u64,
}

impl Rates {
    pub(crate) const BAD: Self = Self {
        before: 40,
        after: 60,
        later: 30,
        slow: 5,
        refused: 20,
        partial: 20,
        cut: 300,
        bursts: true,
        no_gets: false,
        latency: 30,
        exact: 0,
    };

    /// Nothing goes wrong, and each request takes ten milliseconds.
    pub(crate) const EXACT: Self = Self {
        before: 0,
        after: 0,
        later: 0,
        slow: 0,
        refused: 0,
        partial: 0,
        cut: 0,
        bursts: false,
        no_gets: false,
        latency: 0,
        exact: 10,
    };
}

/// The number of requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) puts: AtomicUsize,
    pub(crate) gets: AtomicUsize,
    pub(crate) lists: AtomicUsize,
}

impl Counts {
    pub(crate) fn all(&self) -> [usize; 3] {
        [&self.puts, &self.gets, &self.lists].map(|count| count.load(Ordering::SeqCst))
    }
}

/// One machine's view of the world.
pub(crate) struct Line {
    pub(crate) world: Arc<World>,
    pub(crate) counts: Counts,
    rates: Mutex<Rates>,
    dice: Dice,
    /// The machine is gone: it gets no more answers.
    dead: AtomicBool,
    /// What was offered under each number, and when.
    offers: Mutex<HashMap<u64, Vec<(Bytes, Instant)>>>,
    stale: Duration,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("line")
    }
}

impl Line {
    pub(crate) fn new(world: Arc<World>, rates: Rates, seed: u64, rules: &Rules) -> Arc<Self> {
        Arc::new(Self {
            world,
            counts: Counts::default(),
            rates: Mutex::new(rates),
            dice: Dice::new(seed),
            dead: AtomicBool::new(false),
            offers: Mutex::default(),
            stale: rules.stale,
        })
    }

    /// Opens the store over this connection.
    pub(crate) async fn open(self: &Arc<Self>, rules: Rules) -> StoreResult<RemoteBackend> {
        let clock = Arc::new(VirtualClock(self.world.started));
        let ids = Arc::new(SeededIds::new(self.dice.next()));
        let options = Options::default().sources(Sources { clock, ids });
        let place: StorePrefix = RemoteBackend::given(self.clone(), "");
        RemoteBackend::start(place, options, rules).await
    }

    fn rates(&self) -> Rates {
        *self.rates.lock().unwrap()
    }

    /// From now on, this goes wrong.
    pub(crate) fn becomes(&self, rates: Rates) {
        *self.rates.lock().unwrap() = rates;
    }

    /// Disconnects the machine. Requests in flight may still arrive.
    pub(crate) fn cut(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    async fn travel(&self, share: f64) {
        if self.dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(self.rates().exact / 2)).await;
        if self.rates().latency > 0 {
            let jitter = 0.5 + self.dice.below(1000) as f64 / 1000.0;
            sleep(Duration::from_secs_f64(self.rates().latency as f64 / 1000.0 * share * jitter / 2.0)).await;
        }
    }

    /// Fails on the way to the store.
    async fn fail_before(&self) -> Result<()> {
        if self.rates().bursts && self.world.started.elapsed().as_millis() % 7000 > 6400 {
            return Err(generic("503 slow down"));
        }
        if self.dice.hits(self.rates().slow) {
            sleep(self.dice.millis(10_000..40_000)).await;
        }
        match self.dice.hits(self.rates().before) {
            true => Err(generic("connection lost before")),
            false => Ok(()),
        }
    }

    fn note_offer(&self, path: &Path, payload: &PutPayload) {
        let Some(number) = names::number(path).filter(|_| path.as_ref().starts_with(names::ROOT)) else { return };
        let bytes: Bytes = payload.clone().into();
        let mut offers = self.offers.lock().unwrap();
        let offers = offers.entry(number).or_default();
        offers.push((bytes.clone(), Instant::now()));
        if offers.iter().any(|(before, at)| *before != bytes && at.elapsed() < self.stale) {
            let violation = format!("commit {number} was offered with other bytes before the outcome was known");
            self.world.violations.lock().unwrap().push(violation);
        }
    }
}

impl Line {
    /// What was offered once and refused did not happen, and will not.
    fn forget_first_offer(&self, path: &Path) {
        let Some(number) = names::number(path) else { return };
        let mut offers = self.offers.lock().unwrap();
        if offers.get(&number).is_some_and(|offers| offers.len() == 1) {
            offers.remove(&number);
        }
    }
}

#[async_trait]
impl ObjectStore for Line {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.counts.puts.fetch_add(1, Ordering::SeqCst);
        self.note_offer(path, &payload);
        self.travel(1.0).await;
        self.fail_before().await?;
        if self.dice.hits(self.rates().refused) {
            self.forget_first_offer(path);
            return Err(Error::AlreadyExists { path: path.to_string(), source: "409 conflict".into() });
        }
        if self.dice.hits(self.rates().later) {
            let (world, path, wait) = (self.world.clone(), path.clone(), self.dice.millis(100..3000));
            let epoch = world.epoch();
            tokio::spawn(async move {
                sleep(wait).await;
                // It does not arrive at any place other than the one that it was sent to.
                if world.epoch() == epoch {
                    _ = world.put(&path, payload, options);
                }
            });
            return Err(generic("connection lost under way"));
        }
        if self.dead.load(Ordering::SeqCst) && self.dice.hits(500) {
            std::future::pending::<()>().await;
        }
        let put = self.world.put(path, payload, options);
        self.travel(1.0).await;
        match self.dice.hits(self.rates().after) {
            true => Err(generic("connection lost after")),
            false => put,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_used())
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.counts.gets.fetch_add(1, Ordering::SeqCst);
        self.travel(0.67).await;
        self.fail_before().await?;
        if self.rates().no_gets {
            return Err(generic("503 slow down"));
        }
        let found = self.world.objects.get_opts(path, options).await;
        self.travel(0.67).await;
        let mut found = found?;
        found.meta = self.world.date(found.meta);
        if self.dice.hits(self.rates().partial) {
            let range = found.range.clone();
            let (meta, attributes, extensions) =
                (found.meta.clone(), found.attributes.clone(), found.extensions.clone());
            let bytes = found.bytes().await?;
            let part = bytes.slice(..bytes.len() / 2);
            let payload = GetResultPayload::Stream(stream::iter([Ok(part)]).boxed());
            return Ok(GetResult { payload, meta, range, attributes, extensions });
        }
        Ok(found)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        match self.dead.load(Ordering::SeqCst) {
            true => stream::pending().boxed(),
            false => self.world.objects.delete_stream(paths),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.counts.lists.fetch_add(1, Ordering::SeqCst);
        let listed: Vec<_> = self.world.objects.list(prefix).collect().now_or_never().expect("memory does not wait");
        let hidden = match self.dice.hits(self.rates().cut) {
            true => self.dice.millis(0..60_000),
            false => Duration::ZERO,
        };
        let shown: Vec<_> = listed
            .into_iter()
            .map(|meta| meta.map(|meta| self.world.date(meta)))
            .filter(|meta| meta.as_ref().is_ok_and(|meta| self.world.age(&meta.location) >= hidden))
            .collect();
        let fails = self.dice.hits(self.rates().before);
        let (dead, latency) =
            (self.dead.load(Ordering::SeqCst), Duration::from_millis(self.rates().latency * 2 + self.rates().exact));
        let wait = async move {
            if dead {
                std::future::pending::<()>().await;
            }
            sleep(latency).await;
            if fails { vec![Err(generic("connection lost"))] } else { shown }
        };
        wait.into_stream().flat_map(stream::iter).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_used())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_used())
    }
}

fn generic(what: &'static str) -> Error {
    Error::Generic { store: "line", source: what.into() }
}

fn not_used() -> Error {
    Error::NotImplemented { operation: "this".to_owned(), implementer: "line".to_owned() }
}
