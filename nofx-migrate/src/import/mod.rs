//! The import of a legacy folder.
//!
//! A *thing* is what the import builds as a whole: one session, the list of agents, one template, the checkpoints or the
//! transcript of an agent, one file of messages between agents. A file has a *part* of each thing that it says something
//! about. The first pass records the parts, `things.rs` gathers them, and the second pass plans each thing from its files.

mod examine;
mod expected;
mod imported;
mod index;
mod keep;
mod ledger;
mod merge;
mod names;
mod orchestration;
mod plan;
mod reconcile;
mod room;
mod temp_database;
mod things;
mod verify;
mod workers;
mod writer;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use nofx_core::entity::{TemplateDigest, TemplateId};
use nofx_core::{Error, RecordKey, Store, Timestamp};
use tokio::task::JoinHandle;

use crate::digest::sha256;
use crate::error::MigrateError;
use crate::legacy::Reading;
use crate::options::{MigrationProgress, Options};
use crate::report::{FileReports, FileState, Level, Report};
use crate::source::LegacySource;
use crate::tree::SourceFile;
use examine::{SeenFile, examine, name_lists};
use expected::Expected;
pub(crate) use index::Index;
use index::Indexed;
use keep::{KeepOutcome, KeptBytes};
use orchestration::Segments;
use plan::{Plan, plan, plan_name};
use reconcile::{Difference, Earlier, Kept, TargetState, compare};
use room::Room;
use temp_database::PAGE_ROWS;
use things::{Lane, ListedThing};
use workers::{Work, together, work};
use writer::BatchWriter;

/// The part of the memory for recorded offsets in the files.
const OUTLINES_PART: u64 = 8;

/// How many planned things may wait to be written, as far as there is room for them.
const AHEAD: usize = 16;

/// The most threads that read files or compare things.
const MAX_THREADS: usize = 8;

/// The part of the memory for things that are read, compared and written together, unless one alone has more.
const GROUP_PART: u64 = 64;

/// How many records to remember as written before everything is committed, and visible in the target.
const MAX_WRITTEN: usize = 10_000;

/// How often an import is started over because another program wrote what it was about to write.
const ATTEMPTS: usize = 5;

/// Imports a legacy folder into a store.
///
/// `from` is the `.nofx` folder, a workspace folder that contains it, or anything that can be imported with it
/// ([`OutsideSource`](crate::OutsideSource)). It is only read; links are not followed, and
/// only plain files are opened. Everything in it becomes an entity or is kept as an attachment, and the report says
/// which. Importing again adds only what is new; an interrupted import continues where it stopped. So does one that is
/// overtaken by another, and it may then report its progress several times; if that happens again and again, the error is
/// [`MigrateError::TargetBusy`].
///
/// Must be called in a tokio runtime.
pub async fn migrate(
    from: &Path,
    to: &Store,
    options: &Options,
    progress: &dyn MigrationProgress,
) -> Result<Report, MigrateError> {
    let (place, given) = (from.to_owned(), options.clone());
    let source = blocking(move || LegacySource::find(&place, &given)).await?;
    let mut overtaken = Report::default();
    for _ in 0..ATTEMPTS {
        let mut report = Report { source: source.to_string(), dry_run: options.dry_run, ..Report::default() };
        match attempt(&source, to, options, progress, &mut report).await {
            Ok(()) => {
                report.add_attempt(overtaken);
                return blocking(move || report.add_up().map(|()| report)).await;
            }
            // Reading again finds the current state.
            Err(MigrateError::Store(Error::Conflict(_))) => overtaken.add_attempt(report),
            Err(error) => return Err(error),
        }
    }
    Err(MigrateError::TargetBusy)
}

/// Imports what the target does not have yet.
async fn attempt(
    source: &LegacySource,
    to: &Store,
    options: &Options,
    progress: &dyn MigrationProgress,
    report: &mut Report,
) -> Result<(), MigrateError> {
    let room = Room::new(options.memory);
    let index = Arc::new(blocking(Index::new).await?);
    let agents_saved = read_all(source, to, &index, &room, report, progress).await?;
    let mut import = Import::new(to, &index, agents_saved, options, report).await?;
    let written = import.write_all(&room, progress).await;
    let settled = import.writer.settle().await;
    let commits = import.writer.commits();
    let done = import.done();
    report.totals.commits = commits;
    written?;
    settled?;
    index.forget();
    if options.verify && !options.dry_run {
        report.verification = Some(verify::verify(to, &index, done, &room, progress).await?);
    }
    report.files = FileReports::of(index);
    Ok(())
}

/// Runs blocking work on a thread for it.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Waits for the result of a task. If it panics, so does this.
async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels it, and then no caller waits for it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Returns how many threads can work in parallel, up to a bound: each takes memory.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS)
}

/// The first pass; returns the time at which the newest imported list of agents was written.
async fn read_all(
    source: &LegacySource,
    to: &Store,
    index: &Arc<Index>,
    room: &Room,
    report: &mut Report,
    progress: &dyn MigrationProgress,
) -> Result<Option<Timestamp>, MigrateError> {
    progress.phase("reading");
    let (listed, noted) = (source.clone(), index.clone());
    let (skipped, unreadable, (files, bytes)) = blocking(move || {
        let mut failed = None;
        let mut show = |file: SourceFile| {
            if failed.is_none() {
                failed = noted.list(&file).err();
            }
        };
        let tree = listed.list(&mut show)?;
        let (skipped, unreadable) = (tree.skipped, tree.unreadable);
        failed.map_or(Ok(()), Err)?;
        Ok::<_, MigrateError>((skipped, unreadable, noted.number()?))
    })
    .await?;
    report.skipped = skipped;
    for (path, why) in unreadable {
        report.find("unreadable", Level::Missing, &path, format!("cannot be read: {why}"));
    }
    let agents_saved = ledger::read(to, index).await?;
    progress.total(files, bytes);
    let outlines = Room::new(room.bytes() / OUTLINES_PART);
    let listed = index.clone();
    let queue = blocking(move || listed.unread())
        .await?
        .map(|file| Work { bytes: file.as_ref().map_or(0, |(_, source)| source.size), thing: file });
    let noted = index.clone();
    let examine = move |file: Result<(usize, SourceFile), MigrateError>| {
        let (at, source) = file?;
        examine(&noted, at, &source, &outlines)
    };
    let mut examined = std::pin::pin!(work(queue, cores(), AHEAD, room, examine));
    while let Some((_, seen)) = examined.next().await {
        let seen = seen?;
        if seen.unreadable.is_none() {
            progress.advance(&seen.path, seen.size);
        }
        report_seen(seen, report);
    }
    let named = index.clone();
    let named = blocking(move || {
        let named_lists = name_lists(&named)?;
        named.gather()?;
        Ok::<_, MigrateError>(named_lists)
    });
    for (path, message) in named.await? {
        report.find("nameless-checkpoints", Level::Note, &path, message);
    }
    Ok(agents_saved)
}

fn report_seen(seen: SeenFile, report: &mut Report) {
    if let Some(why) = seen.unreadable {
        report.find("unreadable", Level::Missing, &seen.path, format!("the file cannot be read: {why}"));
    }
    for (code, level, message) in seen.findings {
        report.find(code, level, &seen.path, message);
    }
    if seen.state != FileState::Unchanged {
        for (kind, count) in seen.counts {
            report.kind(kind).in_files += count;
        }
    }
}

/// The second pass: things in groups as they are planned, then the bytes that are kept.
struct Import<'a> {
    store: &'a Store,
    index: &'a Arc<Index>,
    report: &'a mut Report,
    writer: BatchWriter<'a>,
    /// For each file, how many of its things are not written yet.
    left: Vec<u32>,
    /// Files that are to be kept whole, which was discovered only when they were compared with the target.
    late: BTreeSet<usize>,
    /// Files that the next import must read again.
    unsettled: BTreeSet<usize>,
    /// The names of templates whose newest content is in a file.
    names: HashMap<usize, Vec<(TemplateId, TemplateDigest)>>,
    /// The contents of templates that were written since everything was committed.
    written: HashSet<RecordKey>,
    /// The records and logs in which the target's version stays.
    respected: HashSet<String>,
    /// Imported files whose template names were pointed somewhere.
    named: HashSet<usize>,
    /// The time at which the newest imported list of agents was written.
    agents_saved: Option<Timestamp>,
}

/// A planned thing: its files, and the plan.
type Planned = (Vec<Indexed>, Plan);

impl<'a> Import<'a> {
    async fn new(
        store: &'a Store,
        index: &'a Arc<Index>,
        agents_saved: Option<Timestamp>,
        options: &Options,
        report: &'a mut Report,
    ) -> Result<Self, MigrateError> {
        let mut names: HashMap<usize, Vec<_>> = HashMap::new();
        for (id, (digest, at)) in index.newest_templates() {
            names.entry(at).or_default().push((id, digest));
        }
        let counted = index.clone();
        Ok(Self {
            store,
            index,
            report,
            writer: BatchWriter::new(store, options),
            left: blocking(move || counted.left(true)).await?,
            late: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            names,
            written: HashSet::new(),
            respected: HashSet::new(),
            named: HashSet::new(),
            agents_saved,
        })
    }

    async fn write_all(&mut self, room: &Room, progress: &dyn MigrationProgress) -> Result<(), MigrateError> {
        progress.phase("writing");
        let (files, bytes) = self.index.size(true)?;
        progress.total(files, bytes);
        let mut segments = None;
        // Everything is written as it becomes ready, so that large things delay nothing else. A planning thread is faster than a committing
        // one, which needs the other core.
        let lanes = [Lane::Orchestration, Lane::Large, Lane::Others];
        let mut plans = stream::select_all(lanes.map(|lane| planning(self.index, lane, room).boxed()));
        while let Some((taken, group)) = plans.next().await {
            let group = group?;
            if self.written.len() > MAX_WRITTEN && !self.writer.is_dry_run() {
                self.writer.flush().await?;
                self.written.clear();
            }
            let states = TargetState::of(self.store, group.iter().map(|(_, plan)| plan)).await?;
            for ((files, plan), state) in group.into_iter().zip(states) {
                self.write(&files, plan, state, &mut segments).await?;
                for file in files {
                    self.left[file.at] -= 1;
                    self.settle(&file, progress).await?;
                }
            }
            drop(taken);
        }
        drop(plans);
        self.keep_all(progress).await?;
        Ok(self.writer.flush().await?)
    }

    /// Returns what the verification needs to know.
    fn done(self) -> verify::PriorWork {
        verify::PriorWork { seqs: self.writer.seqs().clone(), respected: self.respected, named: self.named }
    }

    /// Writes what is new of one thing.
    async fn write(
        &mut self,
        files: &[Indexed],
        mut plan: Plan,
        state: TargetState,
        segments: &mut Option<Segments>,
    ) -> Result<(), MigrateError> {
        for (at, why) in std::mem::take(&mut plan.unreadable) {
            let path = self.index.path(at)?;
            self.unsettled.insert(at);
            self.report.find("unreadable", Level::Missing, &path, format!("the file cannot be read again: {why}"));
        }
        for at in std::mem::take(&mut plan.changed) {
            self.changed_during_import(at)?;
        }
        for (at, count) in std::mem::take(&mut plan.variants) {
            let what = format!("{count} items differ from the newer copies that were imported; the file is kept");
            let file = files.iter().find(|file| file.at == at);
            file.map_or(Ok(()), |file| self.keep_late(file, "variant", &what))?;
        }
        for record in &plan.records {
            self.report.kind(record.kind).merged += 1;
        }
        for log in &plan.logs {
            self.report.kind(log.kind).merged += log.items.len() as u64;
        }
        let mut difference = Difference::default();
        if let Some(messages) = plan.orchestration.take() {
            if segments.is_none() {
                *segments = Some(Segments::read(self.store).await?);
            }
            self.report.kind("orchestration messages").merged += messages.len() as u64;
            if let Some(segments) = segments {
                let added = segments.add(messages, &mut difference.changes);
                difference.added.insert("orchestration messages", added);
            }
        } else {
            let mut ids = HashSet::new();
            for file in files {
                ids.extend(self.index.known_ids(file.at)?);
            }
            let earlier = Earlier { ids, agents_saved: self.agents_saved };
            difference = compare(self.store, plan, state, &earlier, &mut self.written).await?;
        }
        for (kind, added) in difference.added {
            self.report.kind(kind).added += added;
        }
        for kept in difference.kept {
            self.respect(kept, files)?;
        }
        Ok(self.writer.write(difference.changes).await?)
    }

    /// Leaves changes that were made in the target alone.
    fn respect(&mut self, kept: Kept, files: &[Indexed]) -> Result<(), MigrateError> {
        self.respected.insert(kept.what().to_owned());
        let (code, message) = match kept {
            Kept::Deleted(what) => {
                for file in files {
                    let message = format!("`{what}` was deleted from the target and stays so");
                    self.report.find("deleted", Level::Note, &file.place.path, message);
                }
                return Ok(());
            }
            Kept::Changed(what) => (
                "changed-in-target",
                format!("`{what}` was changed in the target and stays as it is there; the file is kept as well"),
            ),
            Kept::Later(what) => {
                let kept = "which stays; the file is kept as well, unless it is empty";
                ("older", format!("the target has a later or less damaged state of `{what}`, {kept}"))
            }
            Kept::Sealed(what) => {
                ("sealed", format!("`{what}` is sealed in the target, so nothing was added to it; the file is kept"))
            }
            Kept::Variant(what) => {
                ("variant", format!("some of `{what}` are in the target already but differ; the file is kept"))
            }
        };
        files.iter().try_for_each(|file| self.keep_late(file, code, &message))
    }

    /// Asks for a file to be kept, now that it is known to have something that becomes no entity.
    fn keep_late(&mut self, file: &Indexed, code: &'static str, message: &str) -> Result<(), MigrateError> {
        self.report.find(code, Level::Warning, &file.place.path, message);
        // An empty file has nothing to keep.
        if file.size == 0 {
            return Ok(());
        }
        self.late.insert(file.at);
        self.index.keep_late(file.at, message)
    }

    /// Records in the ledger that a file is imported, once it is.
    async fn settle(&mut self, file: &Indexed, progress: &dyn MigrationProgress) -> Result<(), MigrateError> {
        let is_kept = file.is_kept() || file.has_parts() || self.late.contains(&file.at);
        let is_done = self.left[file.at] == 0 && !is_kept;
        if is_done && file.is_new() && !self.unsettled.contains(&file.at) {
            self.enter(file, None, progress).await?;
        }
        Ok(())
    }

    /// Keeps all bytes that are to be kept, and settles the files that had only those.
    async fn keep_all(&mut self, progress: &dyn MigrationProgress) -> Result<(), MigrateError> {
        let mut chunks = HashSet::new();
        let mut pages = self.index.all_files();
        loop {
            let (page, rest) =
                blocking(move || (pages.by_ref().take(PAGE_ROWS).collect::<Result<Vec<_>, _>>(), pages)).await;
            pages = rest;
            let page = page?;
            if page.is_empty() {
                return Ok(());
            }
            for file in page {
                self.keep(&file, &mut chunks, progress).await?;
            }
            if chunks.len() > MAX_WRITTEN {
                self.writer.flush().await?;
                chunks.clear();
            }
        }
    }

    /// Keeps what is to be kept of a file, or settles it if nothing of it is left.
    async fn keep(
        &mut self,
        file: &Indexed,
        chunks: &mut HashSet<RecordKey>,
        progress: &dyn MigrationProgress,
    ) -> Result<(), MigrateError> {
        let is_kept_at_once = file.is_new() && (file.is_kept() || file.has_parts());
        if !is_kept_at_once && !self.late.contains(&file.at) {
            // Files with things were settled when the last of them was written.
            return if file.has_things() { Ok(()) } else { self.settle(file, progress).await };
        }
        let facts = self.index.facts(file.at)?;
        let reason = facts.keep.filter(|_| file.is_new()).or(facts.late);
        let mut is_kept = true;
        for bytes in bytes_of(self.index, file, reason.clone()).await {
            let kind = self.report.kind("attachments");
            (kind.in_files, kind.merged) = (kind.in_files + 1, kind.merged + 1);
            match bytes {
                Ok(bytes) => match keep::keep(self.store, &mut self.writer, bytes, chunks).await? {
                    KeepOutcome::Added => self.report.kind("attachments").added += 1,
                    KeepOutcome::AlreadyKept => {}
                    KeepOutcome::Changed => {
                        is_kept = false;
                        self.changed_during_import(file.at)?;
                    }
                    KeepOutcome::Unreadable(why) => is_kept = self.lost(file, &why),
                },
                Err(error) => is_kept = self.lost(file, &error.to_string()),
            }
        }
        if is_kept && file.is_new() && !self.unsettled.contains(&file.at) {
            let reason = reason.unwrap_or_else(|| "lines that are not exactly one message".to_owned());
            self.enter(file, Some(&reason), progress).await?;
        }
        Ok(())
    }

    fn changed_during_import(&mut self, at: usize) -> Result<(), MigrateError> {
        if self.unsettled.insert(at) {
            let what = "the file changed while it was imported; import again while no program writes to it";
            self.report.find("changed-meanwhile", Level::Missing, &self.index.path(at)?, what);
        }
        Ok(())
    }

    fn lost(&mut self, file: &Indexed, why: &str) -> bool {
        self.unsettled.insert(file.at);
        let what = format!("the file cannot be kept: {why}");
        self.report.find("unreadable", Level::Missing, &file.place.path, what);
        false
    }

    /// Points the names of templates to those contents of a file that are their newest.
    async fn name_templates(&mut self, at: usize) -> Result<(), MigrateError> {
        let Some(names) = self.names.remove(&at) else { return Ok(()) };
        self.named.insert(at);
        let mut plan = Plan::default();
        plan.records.extend(names.into_iter().map(|(id, digest)| plan_name(id, digest)));
        self.report.kind("template names").merged += plan.records.len() as u64;
        let Some(state) = TargetState::of(self.store, [&plan]).await?.pop() else { return Ok(()) };
        // A name that was pointed elsewhere since stays unchanged.
        let difference = compare(self.store, plan, state, &Earlier::default(), &mut self.written).await?;
        for (kind, added) in difference.added {
            self.report.kind(kind).added += added;
        }
        Ok(self.writer.write(difference.changes).await?)
    }

    /// Records in the ledger that a file is imported.
    async fn enter(
        &mut self,
        file: &Indexed,
        attachment: Option<&str>,
        progress: &dyn MigrationProgress,
    ) -> Result<(), MigrateError> {
        self.name_templates(file.at).await?;
        self.writer.write(ledger::entry(file, self.index.facts(file.at)?, attachment)?).await?;
        progress.advance(&file.place.path, file.size);
        Ok(())
    }
}

/// Plans the things of a lane that are to be imported, a group at a time.
fn planning(
    index: &Arc<Index>,
    lane: Lane,
    room: &Room,
) -> impl futures_util::Stream<Item = (Option<tokio::sync::OwnedSemaphorePermit>, Result<Vec<Planned>, MigrateError>)>
+ Send
+ use<> {
    let bytes = |listed: &Result<ListedThing, MigrateError>| listed.as_ref().map_or(0, |listed| listed.bytes);
    let groups = together(index.new_things(lane), room.bytes() / GROUP_PART, bytes);
    let queue = groups.map(move |group| Work { bytes: group.iter().map(bytes).sum(), thing: group });
    let index = index.clone();
    let plan = move |group: Vec<Result<ListedThing, MigrateError>>| {
        let (mut planned, mut expected) = (Vec::with_capacity(group.len()), Vec::new());
        for listed in group {
            let ListedThing { id, thing, files, .. } = listed?;
            let files = index.files(&files)?;
            let plan = plan(&index, &thing, &files);
            if plan.is_of_what_was_examined() && plan.orchestration.is_none() {
                expected.push((id, Expected::of(&plan)));
            }
            planned.push((files, plan));
        }
        index.expect(&expected)?;
        Ok(planned)
    };
    work(queue, 1, AHEAD, room, plan)
}

/// Returns the bytes of a file that are kept: all of it, or the parts that became no entity.
async fn bytes_of(index: &Arc<Index>, file: &Indexed, reason: Option<String>) -> Vec<std::io::Result<KeptBytes>> {
    let mut all = Vec::new();
    if let Some(reason) = reason {
        all.push(Ok(KeptBytes {
            path: file.source.path.clone(),
            size: file.size,
            sha256: file.sha256,
            reason,
            from: keep::From::File(file.source.clone()),
        }));
    }
    if file.has_parts() {
        let (index, again) = (index.clone(), file.clone());
        match blocking(move || index.read(&again)).await {
            Ok((reading, _)) => all.extend(parts_of(&file.source, &reading).into_iter().map(Ok)),
            Err(error) => all.push(Err(error)),
        }
    }
    all
}

fn parts_of(source: &SourceFile, reading: &Reading) -> Vec<KeptBytes> {
    let part = |(name, bytes): &(String, Vec<u8>)| KeptBytes {
        path: keep::suffixed(&source.path, name),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        reason: "not exactly one message".to_owned(),
        from: keep::From::Here(bytes.clone()),
    };
    reading.parts.iter().map(part).collect()
}
