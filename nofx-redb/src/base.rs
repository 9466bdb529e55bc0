//! The file as the base of a journal: read at a single point in time, and brought up to date in runs.

use std::cell::{OnceCell, RefCell};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock};

use nofx_core::{
    BatchId, Direction, Error, LogEntry, LogHead, LogKey, LogScan, Record, RecordKey, Result, ScanQuery, Seq, StoreId,
};
use nofx_journal::base::{Base, Mark, Run, Snapshot, SnapshotError};
use nofx_journal::codec::Remembered;
use nofx_journal::files::{Disk, Files};
use nofx_journal::layout::Layout;
use nofx_journal::segment::Segment;
use nofx_journal::{Engine, base};

use crate::codec::placed;
use crate::fault::{Attempt, Fault, contain};
use crate::feed::{Ends, Ids, MAX_COMMITS_PER_ROW};
use crate::file::{self, Identity};
use crate::header::{self, HEADER};
use crate::opener::FileHandle;
use crate::options::Options;
use crate::read::{self, EntryRows, HeadRows, RecordRows};
use crate::store::{OpenStore, lock};
use crate::tables::{ALL, CHUNKS, LOGS, RECORDS, ReadTable, TableRows, Tables};

/// The first bytes of each segment of the journal.
const MAGIC: [u8; 8] = *b"nofxrdb\x01";

/// The suffix of the journal's folder.
const JOURNAL_SUFFIX: &str = "-journal";

/// Returns the location of a file's journal: in the folder that the file is in.
fn layout(path: &Path) -> (Disk, Layout) {
    let mut folder = path.file_name().unwrap_or_default().to_owned();
    folder.push(OsStr::new(JOURNAL_SUFFIX));
    (Disk::new(path.parent().unwrap_or(Path::new("."))), Layout::new(folder, MAGIC))
}

fn engine_options(options: &Options) -> nofx_journal::Options {
    let mut engine = nofx_journal::Options::default();
    (engine.sources, engine.lock_wait) = (options.sources.clone(), options.lock_wait);
    engine.apply_after = options.apply_after;
    engine
}

/// Starts the journal of a store whose file holds what a mark says, before that file can be found.
pub(crate) fn create(path: &Path, store: StoreId, mark: &Mark, options: &Options) -> Result<()> {
    let (disk, layout) = layout(path);
    Engine::create(&disk, &layout, store, mark, &engine_options(options))
}

/// Removes the journal of a missing file, if it has no commits.
pub(crate) fn discard(path: &Path) -> Result<()> {
    let (disk, layout) = layout(path);
    Engine::discard(&disk, &layout)
}

/// Fails if the journal's name would not be valid, before a file is created whose name is.
pub(crate) fn require_name(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(file::beside(path, JOURNAL_SUFFIX)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Err(error),
        _ => Ok(()),
    }
}

/// Fails if there is a journal with commits beside a missing file. They belong to a store, so no new store takes its
/// place.
pub(crate) fn refuse_orphan(path: &Path) -> Result<()> {
    let Some(folder) = with_commits(path)? else { return Ok(()) };
    let (folder, file) = (folder.display(), path.display());
    Err(Error::corrupt(format!(
        "`{folder}`: it holds commits of a store whose file `{file}` is gone; remove the folder if that was deleted on purpose"
    )))
}

/// Fails if a journal with commits lies beside a file that has none of its own yet.
pub(crate) fn refuse_foreign(path: &Path) -> Result<()> {
    let Some(folder) = with_commits(path)? else { return Ok(()) };
    let (folder, file) = (folder.display(), path.display());
    Err(Error::corrupt(format!("`{folder}`: it holds commits of another store than `{file}`; move it away first")))
}

/// Returns the folder of the journal beside a file, if it holds commits of any store.
fn with_commits(path: &Path) -> Result<Option<PathBuf>> {
    let (disk, layout) = layout(path);
    let is_used = Segment::of_any_store(&disk, &layout)?.iter().any(Segment::is_used);
    Ok(is_used.then(|| layout.folder().to_owned()))
}

/// Returns why the journal of a file cannot be written, or must not be because its owner could not read what another
/// user creates.
pub(crate) fn unlockable(path: &Path) -> Option<io::Error> {
    let (disk, layout) = layout(path);
    let refused = file::refusal(disk.may_edit(layout.lock()));
    let folder = file::beside(path, JOURNAL_SUFFIX);
    let foreign =
        || Disk::new(&folder).foreign().ok().flatten().map(|why| io::Error::new(io::ErrorKind::PermissionDenied, why));
    refused.or_else(foreign)
}

/// Returns the engine that commits to the journal of a file, one for all handles of this process.
pub(crate) fn engine(shared: &Arc<OpenStore>) -> Arc<Engine> {
    let mut known = lock(&shared.engine);
    if let Some(engine) = known.upgrade() {
        return engine;
    }
    let (disk, layout) = layout(&shared.opener.path);
    let (store, base) = (shared.meta.store, Arc::new(FileBase::new(shared)));
    let engine = Arc::new(match &shared.read_only {
        Some(read_only) => Engine::reading(Arc::new(disk), layout, store, base, read_only.error.clone()),
        None => Engine::writing(Arc::new(disk), layout, store, base, engine_options(&shared.opener.options)),
    });
    *known = Arc::downgrade(&engine);
    engine
}

/// A store's file, as its journal sees it.
#[derive(Debug)]
pub(crate) struct FileBase {
    shared: Arc<OpenStore>,
    /// The batches that the file remembers.
    ids: Mutex<Ids>,
    seen: Mutex<Option<Arc<Seen>>>,
}

/// What the file held when it was last read. It holds the same as long as its header has the same bytes: each of redb's
/// commits changes them.
#[derive(Debug)]
struct Seen {
    /// A handle for reading the header.
    file: Arc<File>,
    identity: Identity,
    header: [u8; HEADER],
    mark: Mark,
    /// The highest batch id that was ever stored, once it was read.
    highest: OnceLock<BatchId>,
}

impl Base for FileBase {
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        let now = self.shared.opener.identity().map_err(|fault| self.shared.opener.error_for(fault, "reading"))?;
        if let Some(seen) = self.unchanged(now) {
            let (mark, seen) = (seen.mark, Some(seen));
            return Ok(Box::new(FileSnapshot { base: self, now, mark, seen, opened: OnceCell::new() }));
        }
        let (opened, seen) = self.open(now)?;
        Ok(Box::new(FileSnapshot { base: self, now, mark: opened.mark, seen, opened: OnceCell::from(opened) }))
    }

    fn apply(&self, run: &Run) -> Result<()> {
        self.shared.apply_run(run)
    }
}

impl FileBase {
    fn new(shared: &Arc<OpenStore>) -> Self {
        Self { shared: shared.clone(), ids: Mutex::default(), seen: Mutex::default() }
    }

    /// Returns what the file is known to hold, if it has not changed since it was read.
    fn unchanged(&self, now: Identity) -> Option<Arc<Seen>> {
        let seen = lock(&self.seen).clone().filter(|seen| seen.identity == now)?;
        let is_damaged = self.shared.is_damaged.load(Ordering::SeqCst);
        (!is_damaged && read_header(&seen.file) == Some(seen.header)).then_some(seen)
    }

    /// Opens the file for reading at a single point in time. Returns what it holds, unless it was changed concurrently.
    fn open(&self, now: Identity) -> Result<(OpenedFile, Option<Arc<Seen>>)> {
        // The writer's handle shows a commit only some time after the file does. So this also needs that no thread of
        // this process is committing; the lock is not waited for.
        let writer = self.shared.open_writer(now);
        let turn = writer.as_ref().and_then(|_| self.shared.turn.try_lock().ok());
        let before = self.header_of(now).filter(|_| writer.is_none() || turn.is_some());
        let mut attempt = self.try_open(now);
        if attempt.as_ref().is_err_and(Fault::is_stale) {
            self.shared.let_go_of_reader();
            attempt = self.try_open(now);
        }
        let opened = attempt.map_err(|fault| self.shared.opener.error_for(fault, "reading"))?;
        // Which commit counts while its flush is missing is not decided by the header alone.
        let unchanged = before.filter(|(file, header)| {
            opened.source.identity() == now
                && matches!(opened.source, FileHandle::Writer(_)) == writer.is_some()
                && !header::is_unflushed(header)
                && read_header(file) == Some(*header)
        });
        drop(turn);
        let seen = unchanged.map(|(file, header)| {
            Arc::new(Seen { file, identity: now, header, mark: opened.mark, highest: OnceLock::new() })
        });
        lock(&self.seen).clone_from(&seen);
        Ok((opened, seen))
    }

    fn header_of(&self, now: Identity) -> Option<(Arc<File>, [u8; HEADER])> {
        let known = lock(&self.seen).as_ref().filter(|seen| seen.identity == now).map(|seen| seen.file.clone());
        let file = match known {
            Some(file) => file,
            None => {
                let (file, identity) = file::open(&self.shared.opener.path, false).ok()?;
                Some(Arc::new(file)).filter(|_| identity == now)?
            }
        };
        let header = read_header(&file)?;
        Some((file, header))
    }

    fn try_open(&self, now: Identity) -> Attempt<OpenedFile> {
        // After damage was met, each snapshot has its own handle, so that it knows which damage it met itself.
        let is_alone = self.shared.is_damaged.load(Ordering::SeqCst);
        let source = if is_alone { self.shared.alone()? } else { self.shared.source_of(now)? };
        let opened = self.open_through(source, is_alone);
        if opened.is_err() && !is_alone && self.shared.is_damaged.load(Ordering::SeqCst) {
            return self.open_through(self.shared.alone()?, true);
        }
        opened
    }

    fn open_through(&self, source: FileHandle, is_alone: bool) -> Attempt<OpenedFile> {
        let read = contain(|| {
            let tables = Tables::read(&source.begin_read()?, source.pages())?;
            let mark = tables.mark()?;
            tables.trust.require(|| "how far the journal was applied".to_owned())?;
            Ok((tables, mark))
        });
        if source.pages().are_spoiled() {
            self.shared.is_damaged.store(true, Ordering::SeqCst);
        }
        let (tables, mark) = read?;
        Ok(OpenedFile { tables, mark, is_alone, source })
    }
}

fn read_header(file: &File) -> Option<[u8; HEADER]> {
    let mut header = [0; HEADER];
    let read = nofx_platform::read_at(file, &mut header, 0);
    read.is_ok_and(|read| read == HEADER).then_some(header)
}

/// The file at a single point in time, opened when more is asked for than its mark.
struct FileSnapshot<'f> {
    base: &'f FileBase,
    now: Identity,
    mark: Mark,
    seen: Option<Arc<Seen>>,
    opened: OnceCell<OpenedFile>,
}

/// The file, open for reading at a single point in time.
struct OpenedFile {
    tables: Tables<ReadTable>,
    mark: Mark,
    /// Whether nothing else reads through the same handle, so that all damage met through it concerns this snapshot.
    is_alone: bool,
    /// Kept alive while its tables are read.
    source: FileHandle,
}

impl FileSnapshot<'_> {
    fn opened(&self) -> Result<&OpenedFile, SnapshotError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let (opened, _) = self.base.open(self.now)?;
        if opened.mark != self.mark {
            return Err(SnapshotError::Moved);
        }
        Ok(self.opened.get_or_init(|| opened))
    }

    /// Reads something. The error names `what` if it cannot be read.
    fn read<T>(
        &self,
        what: impl Fn() -> String,
        read: impl FnOnce(&Tables<ReadTable>) -> Attempt<T>,
    ) -> Result<T, SnapshotError> {
        let OpenedFile { tables, is_alone, source, .. } = self.opened()?;
        let done = contain(|| {
            let done = read(tables);
            tables.trust.require(&what).and(done)
        });
        if source.pages().are_spoiled() && !is_alone {
            // Another read may have met the damage, or this one may use what that left in memory. The next snapshot
            // gets its own handle.
            self.base.shared.is_damaged.store(true, Ordering::SeqCst);
            return Err(SnapshotError::Moved);
        }
        done.map_err(|fault| {
            if fault.is_stale() {
                self.base.shared.let_go_of_reader();
            }
            SnapshotError::Failed(self.base.shared.opener.error_for(fault, "reading"))
        })
    }

    /// Yields rows one after the other, up to the first that cannot be read.
    fn rows<'a, T: 'a, W: 'a>(
        &'a self,
        what: impl Fn() -> String + 'a,
        walk: impl FnOnce(&'a Tables<ReadTable>) -> Attempt<Option<W>>,
        next: impl Fn(&'a Tables<ReadTable>, &mut W) -> Attempt<Option<T>> + 'a,
    ) -> base::Rows<'a, T> {
        let walk = self.opened().and_then(|opened| Ok((&opened.tables, self.read(&what, |_| walk(&opened.tables))?)));
        let (tables, mut walk) = match walk {
            Ok(walk) => walk,
            Err(error) => return Box::new(std::iter::once(Err(error))),
        };
        Box::new(std::iter::from_fn(move || {
            let found = self.read(&what, |_| walk.as_mut().map_or(Ok(None), |walk| next(tables, walk)));
            if found.is_err() {
                walk = None;
            }
            found.transpose()
        }))
    }

    fn head(&self, log: &LogKey) -> Result<crate::codec::Head, SnapshotError> {
        let what = || format!("log {log}");
        self.read(what, |tables| {
            tables.need(&[LOGS], || Some(what()))?;
            read::head(&tables.logs, log)
        })
    }

    /// Learns which batches the file remembers. Skips damaged ids: otherwise nothing could be committed any more.
    fn learn(&self, ids: &mut Ids) -> Result<Ends, SnapshotError> {
        let learned = self.read(
            || "the newest commit".to_owned(),
            |tables| {
                let mut ends = tables.ends()?;
                tables.trust.require(|| "the newest commit".to_owned())?;
                ends.start = Some(tables.start(&ends)?);
                ids.refresh(tables, &ends)?;
                // What is read next is on other pages, or its number shows that it is missing.
                tables.trust.renew();
                Ok(ends)
            },
        );
        // A handle that other reads share may hide more than is damaged.
        learned.inspect_err(|_| ids.doubt())
    }
}

impl Snapshot for FileSnapshot<'_> {
    fn mark(&self) -> Mark {
        self.mark
    }

    fn version(&self, key: &RecordKey) -> Result<Option<Seq>, SnapshotError> {
        let what = || key.to_string();
        self.read(what, |tables| {
            tables.need(&[RECORDS, CHUNKS], || Some(what()))?;
            read::version(tables, key)
        })
    }

    fn record(&self, key: &RecordKey) -> Result<Option<Record>, SnapshotError> {
        let what = || key.to_string();
        self.read(what, |tables| {
            tables.need(&[RECORDS, CHUNKS], || Some(what()))?;
            read::record(tables, key)
        })
    }

    fn records<'a>(&'a self, query: &'a ScanQuery) -> base::Rows<'a, (RecordKey, Option<Record>)> {
        let walk = |tables: &'a Tables<ReadTable>| {
            tables.need(&[RECORDS, CHUNKS], || None)?;
            RecordRows::new(tables, query)
        };
        let next = |_: &'a _, records: &mut RecordRows<'a, ReadTable>| {
            let record = records.next()?;
            Ok(record.map(|record| (record.key.clone(), Some(record))))
        };
        self.rows(|| "records".to_owned(), walk, next)
    }

    fn head(&self, log: &LogKey) -> Result<Option<LogHead>, SnapshotError> {
        let head = self.head(log)?;
        Ok((head != crate::codec::Head::MISSING).then(|| head.public(log.clone())))
    }

    fn heads<'a>(&'a self, query: &'a LogScan) -> base::Rows<'a, LogHead> {
        let walk = |tables: &'a Tables<ReadTable>| {
            tables.need(&[LOGS], || None)?;
            HeadRows::new(tables, query)
        };
        self.rows(|| "logs".to_owned(), walk, |_, heads| heads.next())
    }

    fn entries<'a>(&'a self, log: &'a LogKey, range: Range<u64>, direction: Direction) -> base::Rows<'a, LogEntry> {
        let walk = |tables: &'a Tables<ReadTable>| {
            tables.need(&[LOGS], || Some(format!("log {log}")))?;
            let head = read::head(&tables.logs, log)?;
            Ok(Some(EntryRows::new(log.clone(), head, range, direction)))
        };
        self.rows(move || format!("log {log}"), walk, |tables, entries: &mut EntryRows| entries.next(tables))
    }

    fn can_take(&self, logs: &[&LogKey]) -> Result<(), SnapshotError> {
        self.read(
            || "the newest commit".to_owned(),
            |tables| {
                // redb reads the first page of each table to open it.
                tables.need(&ALL, || None)?;
                tables.require_readable_ends()?;
                // Where the rows of a new log go.
                tables.entries.last_row()?;
                Ok(())
            },
        )?;
        for log in logs {
            let head = self.head(log)?;
            self.read(
                || format!("log {log}"),
                |tables| {
                    let row = placed(head.number, head.length);
                    tables.entries.range::<&[u8]>(..=&row[..])?.next_back().transpose()?;
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    fn remembered(&self, batch: &BatchId) -> Result<Option<Remembered>, SnapshotError> {
        // Ids begin with the time, so a new one is almost always higher than all before it. The first commit of a
        // process then reads one row instead of a hundred thousand ids.
        let highest = || self.seen.as_ref().and_then(|seen| seen.highest.get());
        if highest().is_some_and(|highest| batch > highest) {
            return Ok(None);
        }
        let mut ids = lock(&self.base.ids);
        let is_unknown = match ids.reach(self.mark.commits) {
            true => ids.is_unknown(batch),
            false => {
                let highest = self.read(|| "what is remembered of commits".to_owned(), Tables::highest_id)?;
                if let Some((seen, highest)) = self.seen.as_ref().zip(highest) {
                    _ = seen.highest.set(highest);
                }
                highest.is_some_and(|highest| *batch > highest)
            }
        };
        if is_unknown {
            return Ok(None);
        }
        let ends = self.learn(&mut ids)?;
        let Some(number) = ids.number(&ends, batch) else { return Ok(None) };
        self.read(
            || "what is remembered of commits".to_owned(),
            |tables| {
                let row = tables.remembered(&ends, number, *batch)?;
                // The batch id proves that this is the right row, whatever was damaged on the way to it.
                tables.trust.renew();
                Ok(Some(journaled(row)))
            },
        )
    }

    fn commits(&self, from: u64) -> Result<Option<base::Rows<'_, Remembered>>, SnapshotError> {
        let ends = self.read(
            || "the newest commit".to_owned(),
            |tables| {
                let mut ends = tables.ends()?;
                if from < ends.rows {
                    ends.start = Some(tables.start(&ends)?);
                }
                Ok(ends)
            },
        )?;
        if ends.start.is_some_and(|start| from < start) {
            return Ok(None);
        }
        let ahead = RefCell::new((from, Vec::new().into_iter()));
        let next = move |tables: &Tables<ReadTable>, (): &mut ()| {
            let (from, rows) = &mut *ahead.borrow_mut();
            if let Some(row) = rows.next() {
                return Ok(Some(journaled(row)));
            }
            if *from >= ends.end {
                return Ok(None);
            }
            let more = tables.remembered_from(&ends, *from, MAX_COMMITS_PER_ROW as usize)?;
            *from += more.len() as u64;
            *rows = more.into_iter();
            Ok(rows.next().map(journaled))
        };
        Ok(Some(self.rows(|| "what is remembered of commits".to_owned(), |_| Ok(Some(())), next)))
    }
}

/// Converts what the file remembers of a commit to the journal's type.
fn journaled(row: crate::codec::FeedRow) -> Remembered {
    let crate::codec::FeedRow { change, committed, .. } = row;
    let appended = committed.appended.len();
    // First the logs that were appended to, in the order of the batch.
    let ranges = committed.appended.into_iter().chain(std::iter::repeat(0..0));
    let logs = change.logs.into_iter().zip(ranges).collect();
    Remembered { batch: change.batch, seq: change.seq, records: change.records, logs, appended }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::atomic::AtomicU64;

    use nofx_core::{Batch, Body, Error, Expect, Kind, NewEntry, Sources, Timestamp};

    use super::*;
    use crate::{Access, Probe};

    #[derive(Debug, Default)]
    struct Flushes(AtomicU64);

    impl Probe for Flushes {
        fn access(&self, access: &Access<'_>) -> io::Result<()> {
            self.0.fetch_add(u64::from(*access == Access::Flush), Ordering::SeqCst);
            Ok(())
        }
    }

    #[test]
    fn a_run_of_nothing_makes_durable_what_the_file_only_shows() {
        let folder = tempfile::tempdir().unwrap();
        let flushes = Arc::new(Flushes::default());
        let options = Options { journal: true, probe: Some(flushes.clone()), ..Options::default() };
        let shared = OpenStore::open(&folder.path().join("a.redb"), options).unwrap();
        let file = FileBase::new(&shared);
        for _ in 0..3 {
            let before = flushes.0.load(Ordering::SeqCst);
            file.apply(&Run { after: Mark::default(), groups: Vec::new(), completes: false }).unwrap();
            // The first one opens the file for writing, which flushes once.
            assert!(flushes.0.load(Ordering::SeqCst) >= before + 2);
            assert_eq!(file.snapshot().unwrap().mark(), Mark::default());
        }
        let ahead = Mark { frame: 7, ..Mark::default() };
        let refused = file.apply(&Run { after: ahead, groups: Vec::new(), completes: false }).unwrap_err();
        assert!(refused.to_string().contains("the base lacks frames 1 to 7 of the journal"), "{refused}");
    }

    fn batch() -> Batch {
        Batch::new(Sources::default().batch_id())
    }

    fn log(id: &str) -> LogKey {
        LogKey::new(Kind::of("talk"), id).unwrap()
    }

    fn record(id: &str) -> RecordKey {
        RecordKey::new(Kind::of("note"), id).unwrap()
    }

    /// Entries that do not compress.
    fn entries(count: usize) -> Vec<NewEntry> {
        let body = || format!("\"{}\"", (0..4).map(|_| Sources::default().batch_id().to_string()).collect::<String>());
        (0..count).map(|_| NewEntry { at: Timestamp::from_millis(1), body: Body::trusted(body()) }).collect()
    }

    fn open(path: &Path) -> (Arc<OpenStore>, Arc<Engine>) {
        let shared = OpenStore::open(path, Options { journal: true, ..Options::default() }).unwrap();
        let engine = engine(&shared);
        (shared, engine)
    }

    fn id(n: u8) -> BatchId {
        BatchId::from_bytes([n; 16])
    }

    #[test]
    fn a_new_process_knows_each_batch_in_whatever_order_their_ids_came() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let put = |n: u8| Batch::new(id(n)).put(record("a"), Expect::Any, Body::trusted(n.to_string()));
        let mut first = Vec::new();
        for run in [[250, 3], [7, 240], [251, 9]] {
            let (shared, engine) = open(&path);
            for n in run {
                first.push((n, engine.commit(vec![put(n)]).unwrap()));
            }
            engine.apply().unwrap();
            drop(engine);
            shared.let_go();
        }
        for (n, outcome) in first {
            let (shared, engine) = open(&path);
            assert_eq!(engine.commit(vec![put(n)]).unwrap(), outcome, "{n}");
            drop(engine);
            shared.let_go();
        }
    }

    #[test]
    fn an_id_that_is_higher_than_all_before_it_is_new_without_loading_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let (shared, engine) = open(&path);
        engine.commit((10..20).map(|n| Batch::new(id(n))).collect()).unwrap();
        engine.apply().unwrap();
        let file = FileBase::new(&shared);
        let asked = |n: u8| {
            let found = file.snapshot().unwrap().remembered(&id(n)).unwrap();
            (found.map(|row| row.batch), lock(&file.ids).reach(10))
        };
        assert_eq!(asked(20), (None, false));
        assert_eq!(asked(19), (Some(id(19)), true));
        assert_eq!(asked(5), (None, true));
    }

    #[test]
    fn what_was_acknowledged_beside_a_damaged_page_can_be_applied() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        {
            let (shared, engine) = open(&path);
            for round in 0..20 {
                let put = |batch: Batch, n: usize| {
                    batch.put(record(&format!("{round:02}{n:02}")), Expect::Any, Body::trusted("1"))
                };
                let batch = (0..30).fold(batch(), put);
                let append = |batch: Batch, n: usize| batch.append(log(&format!("l{n:02}")), entries(4));
                engine.commit(vec![(0..15).fold(batch, append)]).unwrap();
                engine.commit((0..40).map(|_| self::batch()).collect()).unwrap();
            }
            engine.apply().unwrap();
            drop(engine);
            shared.let_go();
        }
        let (whole, beside) = (fs::read(&path).unwrap(), path.with_file_name("a.redb-journal"));
        let journal: Vec<_> = fs::read_dir(&beside).unwrap().map(|entry| entry.unwrap().path()).collect();
        let journal: Vec<_> = journal.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
        let (mut refused, mut taken, mut stuck) = (0, 0, 0);
        for page in (1..whole.len() / 4096).filter(|page| [1, 2].contains(&whole[page * 4096])) {
            let mut bytes = whole.clone();
            bytes[page * 4096 + 8] ^= 1;
            fs::write(&path, bytes).unwrap();
            journal.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
            let Ok(shared) = OpenStore::open(&path, Options { journal: true, ..Options::default() }) else { continue };
            let (engine, mut taken_new) = (engine(&shared), false);
            let batches = [
                batch().put(record("0310"), Expect::Any, Body::trusted("2")),
                batch().put(record("new"), Expect::Any, Body::trusted("2")),
                batch().delete(record("1203"), Expect::Any),
                batch().append(log("l03"), entries(3)),
                batch().append(log("l07"), entries(300)),
                batch().append(log("new"), entries(1)),
                batch().seal(log("l05")),
                batch().remove(log("l09")),
            ];
            for batch in batches {
                let is_new = batch.writes.iter().any(|write| write.key == record("new"));
                match engine.commit(vec![batch]) {
                    Ok(_) => (taken, taken_new) = (taken + 1, taken_new || is_new),
                    Err(Error::Corrupt(_)) => refused += 1,
                    Err(error) => panic!("page {page}: {error}"),
                }
            }
            if let Err(error) = engine.apply() {
                // A damaged page of redb's own blocks everything: that is reported at once, and what was acknowledged
                // stays in the journal.
                let again = engine.commit(vec![batch()]).unwrap_err();
                assert_eq!((again.to_string(), again.code()), (error.to_string(), "corrupt"), "page {page}");
                let page = &whole[page * 4096..][..4096];
                assert!(!page.windows(5).any(|text| text == b"note\0" || text == b"talk\0"), "{error}");
                stuck += 1;
            }
            let (_, follower) = (drop(engine), super::engine(&shared));
            let new = follower.follower().get(&[record("new")]);
            assert!(!taken_new || new.is_ok_and(|new| new[0].is_some()), "page {page}");
            shared.let_go();
        }
        println!("{taken} commits were taken, {refused} refused, {stuck} pages are in the way of everything");
        assert!(taken > 5 * refused && refused > 0, "{taken} taken, {refused} refused");
    }
}
