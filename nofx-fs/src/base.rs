//! The files as the base of a journal: what they hold at one point of it, and how they are brought up to date.
//!
//! The catalog lists what they hold. Its last block is what makes a run count, so a snapshot is what the catalog lists
//! then. Files change in place, but never in a way that matters: a document is replaced as a whole and contains its
//! version, and the entries that are listed stay where they are. A file that is not as listed was changed by a run since,
//! or is damaged.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nofx_core::{
    BatchId, Direction, Error, LogEntry, LogHead, LogKey, LogScan, LogState, Record, RecordKey, Result, ScanQuery, Seq,
    StoreId,
};
use nofx_journal::base::{Base, Mark, Rows, Run, Snapshot, SnapshotError};
use nofx_journal::codec::Remembered;
use nofx_journal::fault::{During, is_of_the_file};
use nofx_journal::feed::Feed;
use nofx_journal::files::{Files, ReadableFile, WritableFiles};
use nofx_journal::segment::Segment;
use nofx_journal::tip::Tip;

use crate::apply::Applying;
use crate::catalog::{self, Extent};
use crate::config::{self, Config};
use crate::known::Known;
use crate::listed::{Listed, RecordSlot};
use crate::{layout, rebuild};

/// How many commits are read from the feed at once.
const COMMITS: usize = 256;
/// How often something is read again if other processes replace the catalog.
const TRIES: usize = 20;

/// The files of a store.
#[derive(Debug)]
pub(crate) struct FsBase {
    pub(crate) writable: Arc<dyn WritableFiles>,
    pub(crate) root: PathBuf,
    pub(crate) store: StoreId,
    /// Whether the store was identified by its journal alone.
    is_unnamed: bool,
    /// How many files are flushed concurrently.
    pub(crate) at_once: usize,
    /// Set once another store was found in the place of this one.
    replaced: AtomicBool,
    listing: Mutex<Listing>,
    feed: Mutex<Feed>,
    /// Held while files are written, before any of the others.
    applying: Mutex<Applying>,
}

/// What this process knows of the catalog.
#[derive(Clone, Debug, Default)]
struct Listing {
    known: Option<Arc<Known>>,
    /// The catalog, open as long as it is the one that other processes find; `None` if there is none.
    file: Option<Arc<dyn ReadableFile>>,
    /// Its length, as far as it is known.
    length: u64,
    /// Where its blocks end; `None` if it does not list what is known.
    extent: Option<Extent>,
}

impl FsBase {
    pub(crate) fn new(writable: Arc<dyn WritableFiles>, root: &Path, config: &Config, at_once: usize) -> Self {
        Self {
            writable,
            root: root.to_owned(),
            store: config.store,
            is_unnamed: config.damage.is_some(),
            at_once,
            replaced: AtomicBool::new(false),
            listing: Mutex::default(),
            feed: Mutex::default(),
            applying: Mutex::default(),
        }
    }

    pub(crate) fn files(&self) -> &dyn Files {
        &*self.writable
    }

    pub(crate) fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn applying(&self) -> MutexGuard<'_, Applying> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if this store was replaced by another one, or is gone.
    pub(crate) fn refuse_another(&self) -> Result<()> {
        let replaced = || Error::replaced(format!("another store is at `{}` now", self.root.display()));
        if self.replaced.load(Ordering::Relaxed) {
            return Err(replaced());
        }
        match config::read(self.files(), &self.root) {
            Ok(Some(config)) if config.store == self.store => Ok(()),
            Ok(Some(_)) => {
                self.replaced.store(true, Ordering::Relaxed);
                Err(replaced())
            }
            // That was so when the store was opened, and the journal identified it.
            Ok(None) | Err(Error::Corrupt(_) | Error::Invalid(_)) if self.is_unnamed => Ok(()),
            Ok(None) => Err(Error::gone(format!("`{}` no longer holds a store", self.root.display()))),
            Err(error) => Err(error),
        }
    }

    /// Reads the tip; `None` if there is none or it cannot be read.
    pub(crate) fn tip(&self) -> Option<Tip> {
        let file = self.files().open(Path::new(layout::TIP)).ok()?;
        (0..20).find_map(|_| Tip::read(&*file).transpose()).and_then(std::io::Result::ok)
    }

    /// Returns what the files hold.
    pub(crate) fn known(&self) -> Result<Arc<Known>> {
        Ok(self.known_with_extent()?.0)
    }

    /// Returns all that they hold, read from the whole catalog.
    pub(crate) fn listed(&self) -> Result<Listed> {
        self.settled(|| self.known()?.whole())
    }

    /// Asks what is known of the catalog, and again if it turns out to be damaged: then it is rebuilt.
    pub(crate) fn settled<T>(&self, mut ask: impl FnMut() -> Result<T, SnapshotError>) -> Result<T> {
        for _ in 0..TRIES {
            match ask() {
                Err(SnapshotError::Moved) => {}
                Err(SnapshotError::Differs(error) | SnapshotError::Failed(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(Error::unavailable(format!("reading `{}`: other processes kept replacing it", layout::CATALOG)))
    }

    /// Returns it with where the blocks of the catalog end; `None` if the catalog does not list it.
    pub(crate) fn known_with_extent(&self) -> Result<(Arc<Known>, Option<Extent>)> {
        // Most often it is unchanged, and no reader waits for the system calls of another.
        let Listing { known, file, length, extent } = self.listing().clone();
        if let (Some(known), Some(file)) = (known, file)
            && !known.is_damaged()
            && is_unchanged(&*file, length)?
        {
            return Ok((known, extent));
        }
        let mut listing = self.listing();
        if !take_in_appended(&mut listing)? {
            if listing.known.is_some() {
                self.refuse_another()?;
            }
            self.read_again(&mut listing)?;
        }
        Ok((listing.known.clone().unwrap_or_default(), listing.extent))
    }

    fn listing(&self) -> MutexGuard<'_, Listing> {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the catalog. If it cannot be read or is older than the files, what is known stays, unless that is older or
    /// damaged too: then every file is read.
    fn read_again(&self, listing: &mut Listing) -> Result<()> {
        let was_damaged = listing.known.take_if(|known| known.is_damaged()).is_some();
        // Before the catalog, which by then lists what they say that the files hold.
        let held = self.held()?;
        let path = Path::new(layout::CATALOG);
        let file = match self.files().open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound || is_of_the_file(&error) => None,
            opened => Some(opened.during("opening", path)?),
        };
        let length = file.as_ref().map(|file| file.len()).transpose().during("measuring", path)?.unwrap_or_default();
        let found = file.as_ref().map(catalog::read).transpose()?.flatten();
        (listing.length, listing.file, listing.extent) = (length, file, None);
        if let Some((known, extent)) = found
            && known.mark.frame >= held
            && !(was_damaged && matches!(known.whole(), Err(SnapshotError::Moved)))
        {
            listing.length = extent.map_or(length, |extent| extent.end);
            (listing.known, listing.extent) = (Some(Arc::new(known)), extent);
            return Ok(());
        }
        if listing.known.as_ref().is_none_or(|known| known.mark.frame < held) {
            listing.known = Some(Arc::new(rebuild::rebuild(self.files(), self.store, &self.root)?.into()));
        }
        Ok(())
    }

    /// Returns up to which frame the files are known to hold everything: the tip says so, or the journal no longer has
    /// it.
    fn held(&self) -> Result<u64> {
        let applied = self.tip().map_or(0, |tip| tip.applied);
        let first =
            Segment::newest_run(self.files(), &layout::AT, self.store)?.first().map(|first| first.header.start.frame);
        Ok(applied.max(first.unwrap_or_default()))
    }
}

/// Returns whether a catalog is still in its place, with the same length.
fn is_unchanged(file: &dyn ReadableFile, length: u64) -> Result<bool> {
    let path = Path::new(layout::CATALOG);
    let is_it = || Ok(file.is_at(path)? && file.len()? == length);
    is_it().during("looking for", path)
}

/// Takes in the blocks that were appended to the catalog. `false` if it is not the same file, or was not only appended
/// to.
fn take_in_appended(listing: &mut Listing) -> Result<bool> {
    let path = Path::new(layout::CATALOG);
    let Listing { known: Some(known), file: Some(file), length, extent } = listing else { return Ok(false) };
    if known.is_damaged() {
        return Ok(false);
    }
    if is_unchanged(&**file, *length)? {
        return Ok(true);
    }
    let Some(extent) = extent.as_mut() else { return Ok(false) };
    let is_longer = || Ok(file.is_at(path)? && file.len()? >= extent.end);
    if !is_longer().during("looking for", path)? {
        return Ok(false);
    }
    let bytes = match file.read_range(extent.end, u64::MAX) {
        Err(error) if is_of_the_file(&error) => return Ok(false),
        read => read.during("reading", path)?,
    };
    if catalog::has_block(&bytes) && catalog::read_on(&bytes, Arc::make_mut(known), extent).is_none() {
        return Ok(false);
    }
    // What follows is being written, or was never written completely: each time it is looked at again.
    *length = extent.end;
    Ok(true)
}

impl Base for FsBase {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(FsSnapshot { base: self, known: self.known()? }))
    }

    fn apply(&self, run: &Run) -> Result<()> {
        self.take_run(run)
    }

    fn is_readable_alone(&self) -> bool {
        true
    }

    /// What cannot be written is kept in the journal; everything else is in the files.
    fn stops_commits(&self, _error: &Error) -> bool {
        false
    }
}

/// The files at a single point in time.
pub(crate) struct FsSnapshot<'b> {
    pub(crate) base: &'b FsBase,
    pub(crate) known: Arc<Known>,
}

impl Snapshot for FsSnapshot<'_> {
    fn mark(&self) -> Mark {
        self.known.mark
    }

    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError> {
        match self.known.record(key)? {
            Some(slot) if slot.damaged => Err(Error::corrupt(key.to_string()).into()),
            slot => Ok(slot.map(|slot| slot.version)),
        }
    }

    fn overwrites_damage(&self) -> bool {
        true
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        self.known.record(key)?.map(|slot| self.read_record(key, &slot)).transpose()
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> Rows<'a, (RecordKey, Option<Record>)> {
        let at_hand = |(key, slot): (RecordKey, RecordSlot)| {
            let record = slot.body.map(|body| Record { key: key.clone(), version: slot.version, body });
            (key, record)
        };
        Box::new(self.known.records(query).map(move |found| found.map(at_hand)))
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        let Some(slot) = self.known.log(log)? else { return Ok(None) };
        if slot.is_unknown { Err(self.unknown_length(log)) } else { Ok(Some(slot.head(log))) }
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> Rows<'a, LogHead> {
        Box::new(self.known.logs(query).filter_map(|found| match found {
            Ok((_, slot)) if slot.state == LogState::Removed => None,
            Ok((log, slot)) if slot.is_unknown => Some(Err(self.unknown_length(&log))),
            found => Some(found.map(|(log, slot)| slot.head(&log))),
        }))
    }

    fn entries<'a>(&'a self, log: &'a LogKey, range: Range<u64>, direction: Direction) -> Rows<'a, LogEntry> {
        self.read_entries(log, range, direction)
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        let mut feed = self.base.feed();
        // What cannot be read of the feed counts as not remembered: it is derived, and must not prevent commits.
        _ = feed.catch_up(self.base.files(), self.mark().commits);
        let Some(number) = feed.find(batch) else { return Ok(None) };
        let found = feed.read(self.base.files(), number, 1)?;
        Ok(found.and_then(|found| found.into_iter().next()))
    }

    fn commits(&self, from: u64) -> Result<Option<Rows<'_, Remembered>>, SnapshotError> {
        let end = self.mark().commits;
        let read = move |from: u64| {
            let mut feed = self.base.feed();
            feed.catch_up(self.base.files(), end)?;
            if from < feed.start() {
                return Ok(None);
            }
            match feed.read(self.base.files(), from, COMMITS.min((end - from) as usize)) {
                Err(Error::Corrupt(_)) => Ok(None),
                found => found,
            }
        };
        let Some(first) = read(from)? else { return Ok(None) };
        let (mut next, mut ready) = (from + first.len() as u64, first.into_iter());
        Ok(Some(Box::new(std::iter::from_fn(move || {
            if let Some(found) = ready.next() {
                return Some(Ok(found));
            }
            if next >= end {
                return None;
            }
            match read(next) {
                Ok(found) => {
                    let found = found.unwrap_or_default();
                    next = if found.is_empty() { end } else { next + found.len() as u64 };
                    ready = found.into_iter();
                    ready.next().map(Ok)
                }
                Err(error) => {
                    next = end;
                    Some(Err(SnapshotError::Failed(error)))
                }
            }
        }))))
    }
}
