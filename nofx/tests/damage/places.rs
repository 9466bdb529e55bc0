//! A small store of each backend, as files that can be written again and again, and the ways to damage them.

use std::fs;
use std::path::{Path, PathBuf};

use nofx::{Body, Expect, Kind, Location, LogKey, NewEntry, Options, RecordKey, Result, Store, Timestamp};

use crate::answers::Answers;

/// The backend of the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Backend {
    Redb,
    /// A redb file with a journal beside it.
    Journal,
    Fs,
    Objects,
}

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum State {
    /// It was closed.
    Closed,
    /// Its host ended without closing it.
    Killed,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Killed => "killed",
        }
    }
}

impl Backend {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Redb => "redb",
            Self::Journal => "journal",
            Self::Fs => "fs",
            Self::Objects => "objects",
        }
    }

    /// Returns the location of the store in a folder.
    pub(crate) fn location(self, folder: &Path) -> Location {
        let path = folder.join("store");
        let text = match self {
            Self::Redb | Self::Journal => format!("redb:{}", path.join("x.redb").display()),
            Self::Fs => format!("fs:{}", path.display()),
            // On Windows, with a drive and backslashes: `file:///C:/…`.
            Self::Objects => {
                format!("file:///{}", path.display().to_string().replace('\\', "/").trim_start_matches('/'))
            }
        };
        text.parse().expect("a location")
    }
}

/// The files of a store, by their names in its folder.
#[derive(Debug)]
pub(crate) struct Image {
    folders: Vec<PathBuf>,
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
}

impl Image {
    fn of(root: &Path) -> Self {
        let mut image = Self { folders: Vec::new(), files: Vec::new() };
        let mut waiting = vec![root.to_owned()];
        while let Some(folder) = waiting.pop() {
            image.folders.push(folder.strip_prefix(root).expect("below it").to_owned());
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => waiting.push(path),
                    false => {
                        let name = path.strip_prefix(root).expect("below it").to_owned();
                        image.files.push((name, fs::read(&path).expect("a file")));
                    }
                }
            }
        }
        // A folder comes before its content.
        image.folders.sort();
        image.files.sort();
        image
    }

    /// Returns the names of all files and folders.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let all = self.folders.iter().chain(self.files.iter().map(|(name, _)| name));
        all.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
    }

    /// Writes the store to a folder, damaged.
    pub(crate) fn lay(&self, root: &Path, damage: Option<&Damage>) {
        self.folders.iter().for_each(|folder| fs::create_dir_all(root.join(folder)).expect("a folder"));
        for (number, (name, bytes)) in self.files.iter().enumerate() {
            let damage = damage.filter(|damage| damage.file == number);
            let bytes = damage.map_or_else(|| bytes.clone(), |damage| damage.of(bytes));
            fs::write(root.join(name), bytes).expect("a file");
        }
    }

    /// Returns every damage to try: each `every`th of all bytes is flipped, and each file is truncated at each 64th of its length, of
    /// which so many are skipped that both kinds take about the same time.
    pub(crate) fn damages(&self, every: usize) -> Vec<Damage> {
        let files = || self.files.iter().map(|(_, bytes)| bytes.len()).enumerate();
        let flips = files().flat_map(|(file, length)| (0..length).map(move |at| Damage { file, what: What::Flip(at) }));
        let cuts = files().flat_map(|(file, length)| {
            let mut cuts: Vec<_> = (0..64).map(|part| part * length / 64).filter(|at| *at < length).collect();
            cuts.dedup();
            cuts.into_iter().map(move |at| Damage { file, what: What::Cut(at) })
        });
        flips.step_by(every).chain(cuts.step_by(every.div_ceil(64))).collect()
    }
}

/// A damage of one file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Damage {
    file: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// One bit of the byte here is flipped.
    Flip(usize),
    /// Everything from here on is missing.
    Cut(usize),
}

impl Damage {
    fn of(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        match self.what {
            What::Flip(at) => bytes[at] ^= bit(at),
            What::Cut(at) => bytes.truncate(at),
        }
        bytes
    }

    /// Returns whether the file says what the store is, and of which version.
    pub(crate) fn says_what(&self, backend: Backend, image: &Image) -> bool {
        let file = &image.files[self.file].0;
        match backend {
            Backend::Redb | Backend::Journal => file.ends_with("x.redb"),
            Backend::Fs => file.ends_with("config.json"),
            // Every object has a checksum over its whole content.
            Backend::Objects => false,
        }
    }

    /// Describes the damage.
    pub(crate) fn described(&self, image: &Image) -> String {
        let file = image.files[self.file].0.display();
        match self.what {
            What::Flip(at) => format!("{file} byte {at} ^ {:#04x}", bit(at)),
            What::Cut(at) => format!("{file} cut at {at} of {}", image.files[self.file].1.len()),
        }
    }
}

/// Returns which bit of a byte is flipped: any, but always the same.
fn bit(at: usize) -> u8 {
    1 << ((at ^ (at >> 3)) % 8)
}

/// A store to be damaged, and its answers while it is intact.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) image: Image,
    pub(crate) now: Answers,
    /// Before the last commit.
    pub(crate) before: Answers,
}

impl Sample {
    /// Creates a store in a folder: part of it was closed once, so that the backend has applied it, the rest is new.
    pub(crate) async fn make(backend: Backend, state: State, folder: &Path) -> Result<Self> {
        let location = backend.location(folder);
        let mut options = Options::default();
        options.journal = backend == Backend::Journal;
        let store = nofx::open_with(&location, options.clone()).await?;
        begin(&store).await?;
        store.close().await?;
        let store = nofx::open_with(&location, options).await?;
        go_on(&store).await?;
        let before = Answers::of(&store).await.whole();
        last(&store).await?;
        let now = Answers::of(&store).await.whole();
        if state == State::Closed {
            store.close().await?;
        }
        let image = Image::of(&folder.join("store"));
        store.close().await?;
        let sample = Self { image, now, before };
        let again = folder.join("again");
        sample.image.lay(&again.join("store"), None);
        let store = nofx::open_with(&backend.location(&again), Options::read_only()).await?;
        let found = Answers::of(&store).await.whole();
        assert!(found == sample.now, "{} {}: a copy answers as the store does", backend.name(), state.name());
        store.close().await?;
        Ok(sample)
    }
}

pub(crate) fn record(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("agent"), id).expect("a key")
}

fn other(id: &str) -> RecordKey {
    RecordKey::new(Kind::of("template"), id).expect("a key")
}

pub(crate) fn log(id: &str) -> LogKey {
    LogKey::new(Kind::of("history"), id).expect("a key")
}

/// Returns every log that ever existed in the store.
pub(crate) fn logs() -> Vec<LogKey> {
    ["long", "short", "sealed", "removed", "late"].map(log).to_vec()
}

pub(crate) fn body(text: &str) -> Body {
    Body::parse(&format!("{{\"text\":\"{text}\"}}")).expect("JSON")
}

pub(crate) fn entry(number: usize) -> NewEntry {
    NewEntry { at: Timestamp::from_millis(1_700_000_000_000 + number as i64), body: body(&format!("entry {number}")) }
}

fn entries(count: usize) -> Vec<NewEntry> {
    (0..count).map(entry).collect()
}

async fn begin(store: &Store) -> Result<()> {
    let first = store.batch().put(record("ada"), Expect::Absent, body("Ada")).append(log("long"), entries(40));
    let second = store.batch().put(other("plan"), Expect::Absent, body("a plan")).append(log("sealed"), entries(5));
    let third = store.batch().append(log("removed"), entries(2)).append(log("short"), entries(1));
    let fourth = store.batch().seal(log("sealed")).remove(log("removed"));
    for batch in [first, second, third, fourth] {
        store.commit(batch).await?.committed()?;
    }
    Ok(())
}

async fn go_on(store: &Store) -> Result<()> {
    let first = store.batch().put(record("bob"), Expect::Absent, body("Bob")).append(log("long"), entries(3));
    let second = store.batch().put(record("ada"), Expect::Any, body("Ada, again")).append(log("late"), entries(4));
    let third = store.batch().put(other("other plan"), Expect::Absent, body("another plan"));
    for batch in [first, second, third] {
        store.commit(batch).await?.committed()?;
    }
    Ok(())
}

/// The newest commit, of which there may be no other proof.
async fn last(store: &Store) -> Result<()> {
    let batch = store.batch().put(record("eve"), Expect::Absent, body("Eve")).append(log("late"), entries(1));
    store.commit(batch).await?.committed().map(drop)
}
