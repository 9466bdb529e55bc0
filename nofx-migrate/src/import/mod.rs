//! The import of a legacy folder.

mod expected;
mod imported;
mod index;
mod keep;
mod ledger;
mod merge;
mod orchestration;
mod plan;
mod reconcile;
mod room;
mod verify;
mod workers;
mod writer;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use nofx_core::entity::{TemplateDigest, TemplateId};
use nofx_core::json::Text;
use nofx_core::{Error, RecordKey, Store, Timestamp};
use tokio::task::JoinHandle;

use crate::digest::sha256;
use crate::error::MigrateError;
use crate::legacy::Reading;
use crate::options::{Options, Progress};
use crate::report::{FileReport, FileState, Level, Report};
use crate::source::Source;
use crate::tree::SourceFile;
use expected::{Expected, Planned};
use index::{Index, Indexed};
use keep::{Bytes, Done};
use ledger::Ledger;
use orchestration::Segments;
use plan::{Plan, Thing, plan, plan_name, things};
use reconcile::{Difference, Earlier, Kept, There, compare};
use room::Room;
use workers::{Work, together, work};
use writer::Writer;

/// The part of the memory that may be taken by what is remembered of where things are in the files.
const OUTLINES_PART: u64 = 8;

/// How many things that are planned may wait to be written, as far as there is room for them.
const AHEAD: usize = 16;

/// The most threads that read files or compare things.
const MOST_THREADS: usize = 8;

/// A thing whose files have more bytes is planned beside all others.
const LARGE_THING: u64 = 4 << 20;

/// The part of the memory that things have which are read, compared and written together, unless one alone has more.
const GROUP_PART: u64 = 64;

/// How often an import is begun again because somebody else wrote what it was about to write.
const ATTEMPTS: usize = 5;

/// Imports a legacy folder into a store.
///
/// `from` is the `.nofx` folder or the workspace folder that has it, or anything that may be imported with it
/// ([`Elsewhere`](crate::Elsewhere)). It is only read; links are not followed, and
/// nothing but plain files is opened. Whatever is in it becomes an entity or is kept as an attachment, and the report says
/// which. Importing again adds only what is new; an import that was interrupted goes on where it was. So does one that
/// another one overtakes, which is why it may tell its progress several times; if that happens again and again, it is
/// [`MigrateError::TargetBusy`].
///
/// Must be called in a tokio runtime.
pub async fn migrate(
    from: &Path,
    to: &Store,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, MigrateError> {
    let (place, given) = (from.to_owned(), options.clone());
    let source = blocking(move || Source::find(&place, &given)).await?;
    let mut overtaken = Report::default();
    for _ in 0..ATTEMPTS {
        let mut report = Report { source: source.to_string(), dry_run: options.dry_run, ..Report::default() };
        match attempt(&source, to, options, progress, &mut report).await {
            Ok(()) => {
                report.add_attempt(overtaken);
                report.add_up();
                return Ok(report);
            }
            // Reading again finds what is there now.
            Err(MigrateError::Store(Error::Conflict(_))) => overtaken.add_attempt(report),
            Err(error) => return Err(error),
        }
    }
    Err(MigrateError::TargetBusy)
}

/// Imports what the target does not have yet.
async fn attempt(
    source: &Source,
    to: &Store,
    options: &Options,
    progress: &dyn Progress,
    report: &mut Report,
) -> Result<(), MigrateError> {
    let ledger = Ledger::read(to).await?;
    let room = Room::new(options.memory);
    let index = Arc::new(read_all(source, &ledger, &room, report, progress).await?);
    let mut import = Import::new(to, &index, &ledger, options, report);
    let written = import.write_all(&room, progress).await;
    let settled = import.writer.settle().await;
    let (commits, late) = (import.writer.commits(), std::mem::take(&mut import.kept_late));
    let done = import.done();
    report.totals.commits = commits;
    written?;
    settled?;
    if options.verify && !options.dry_run {
        index.forget();
        report.verification = Some(verify::verify(to, &index, &ledger, done, &room, progress).await?);
    } else {
        drop(done);
    }
    // Not before: of many files it takes as much memory as what was planned of them.
    report_files(&index, &ledger, late, report);
    Ok(())
}

/// Runs something that waits for a disk on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

/// Waits for what a task comes to. If it panics, so does this.
async fn joined<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that shuts down cancels it, and then nobody waits for it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Returns how many threads can work at once, up to a bound: each takes memory of its own.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST_THREADS)
}

/// The first pass.
async fn read_all(
    source: &Source,
    ledger: &Ledger,
    room: &Room,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<Index, MigrateError> {
    progress.phase("reading");
    let listed = source.clone();
    let tree = blocking(move || listed.list()).await?;
    progress.total(tree.files.len() as u64, tree.files.iter().map(|file| file.size).sum());
    report.skipped = tree.skipped;
    for (path, why) in tree.unreadable {
        report.find("unreadable", Level::Missing, &path, format!("cannot be read: {why}"));
    }
    let outlines = Room::new(room.bytes() / OUTLINES_PART);
    let mut queue: Vec<_> = tree.files.into_iter().enumerate().collect();
    // The largest first: so the threads end at about the same time.
    queue.sort_by_key(|(_, file)| std::cmp::Reverse(file.size));
    let queue: Vec<_> = queue.into_iter().map(|(at, file)| Work { bytes: file.size, thing: (at, file) }).collect();
    let mut all: Vec<_> = queue.iter().map(|_| None).collect();
    let examine = move |(at, file): (usize, SourceFile)| (at, index::examine(file, &outlines));
    let mut examined = std::pin::pin!(work(queue, cores(), AHEAD, room, examine));
    while let Some((_, (at, found))) = examined.next().await {
        match found {
            Ok(file) => {
                progress.advance(&file.place.path, file.size);
                if let Some(place) = all.get_mut(at) {
                    *place = Some(file);
                }
            }
            Err((source, error)) => report_unreadable(&source, &error.to_string(), report),
        }
    }
    let index = Index::new(all.into_iter().flatten().collect());
    for file in &index.files {
        report_findings(file, ledger.state(file), report);
    }
    Ok(index)
}

fn report_unreadable(source: &SourceFile, why: &str, report: &mut Report) {
    let path = source.path.to_string();
    report.find("unreadable", Level::Missing, &path, format!("the file cannot be read: {why}"));
    report.files.push(FileReport {
        path,
        size: source.size,
        sha256: String::new(),
        became: "unreadable",
        state: FileState::Unreadable,
        counts: BTreeMap::new(),
        attachment: None,
        unused: Vec::new(),
    });
}

fn report_findings(file: &Indexed, state: FileState, report: &mut Report) {
    for (code, level, message) in &file.judgement.findings {
        report.find(code, *level, &file.place.path, message.clone());
    }
    if state != FileState::Unchanged {
        for (kind, count) in &file.judgement.counts {
            report.kind(kind).in_files += count;
        }
    }
}

/// Tells what became of each file; `late` has why some are kept that seemed to need no keeping.
fn report_files(index: &Index, ledger: &Ledger, mut late: BTreeMap<usize, String>, report: &mut Report) {
    for (at, file) in index.files.iter().enumerate() {
        let parts = file.has_parts.then(|| "the lines that are not exactly one message".to_owned());
        let attachment = file.judgement.keep.clone().or(parts).or_else(|| late.remove(&at));
        report.files.push(FileReport {
            path: file.place.path.clone(),
            size: file.size,
            sha256: crate::digest::hex(&file.sha256),
            became: file.judgement.became,
            state: ledger.state(file),
            counts: file.judgement.counts.iter().copied().collect(),
            attachment,
            unused: file.judgement.unused.clone(),
        });
    }
}

/// The second pass: one thing at a time, then the bytes that are kept.
struct Import<'a> {
    store: &'a Store,
    index: &'a Arc<Index>,
    ledger: &'a Ledger,
    report: &'a mut Report,
    writer: Writer<'a>,
    /// For each file, how many things of it are not written yet.
    left: Vec<usize>,
    /// Files that are to be kept whole, and why.
    keep: BTreeMap<usize, String>,
    /// Those of them that were not known to be before they were compared with the target.
    kept_late: BTreeMap<usize, String>,
    /// Files that are read again by the next import.
    unsettled: BTreeSet<usize>,
    /// The names of templates whose newest content is in a file.
    names: HashMap<usize, Vec<(TemplateId, TemplateDigest)>>,
    written: HashSet<RecordKey>,
    /// The records and logs in which what is in the target counts.
    respected: HashSet<String>,
    /// Files that were imported.
    entered: HashSet<usize>,
    /// When the newest list of agents was written that was imported before.
    agents_saved: Option<Timestamp>,
    states: Vec<FileState>,
    /// What the target shall have of what was planned.
    planned: Planned,
}

impl<'a> Import<'a> {
    fn new(
        store: &'a Store,
        index: &'a Arc<Index>,
        ledger: &'a Ledger,
        options: &Options,
        report: &'a mut Report,
    ) -> Self {
        let states: Vec<_> = index.files.iter().map(|file| ledger.state(file)).collect();
        let mut names: HashMap<usize, Vec<_>> = HashMap::new();
        for (id, (digest, at)) in index.newest_templates() {
            names.entry(at).or_default().push((id, digest));
        }
        Self {
            store,
            index,
            ledger,
            report,
            writer: Writer::new(store, options),
            left: vec![0; index.files.len()],
            keep: BTreeMap::new(),
            kept_late: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            names,
            written: HashSet::new(),
            respected: HashSet::new(),
            entered: HashSet::new(),
            agents_saved: ledger.agents_saved(),
            states,
            planned: Planned::new(),
        }
    }

    async fn write_all(&mut self, room: &Room, progress: &dyn Progress) -> Result<(), MigrateError> {
        progress.phase("writing");
        let new = || self.index.files.iter().zip(&self.states).filter(|(_, state)| **state != FileState::Unchanged);
        progress.total(new().count() as u64, new().map(|(file, _)| file.size).sum());
        let todo: Vec<_> =
            things(self.index).into_iter().filter(|(_, files)| files.iter().any(|at| self.is_new(*at))).collect();
        todo.iter().flat_map(|(_, files)| files).for_each(|at| self.left[*at] += 1);
        for (at, file) in self.index.files.iter().enumerate() {
            if let (Some(reason), true) = (&file.judgement.keep, self.is_new(at)) {
                self.keep.insert(at, reason.clone());
            }
        }
        let mut segments = None;
        let index = self.index;
        let planning = |todo: Vec<(Thing, Vec<usize>)>| {
            let size = |(_, files): &(Thing, Vec<usize>)| index.size(files);
            let groups = together(todo, room.bytes() / GROUP_PART, size);
            let queue = groups.into_iter().map(|group| Work { bytes: group.iter().map(size).sum(), thing: group });
            let index = index.clone();
            let plan = move |group: Vec<(Thing, Vec<usize>)>| {
                let plan = |(thing, files): (Thing, Vec<usize>)| {
                    let plan = plan(&index, &thing, &files);
                    (thing, files, Expected::of(&plan), plan)
                };
                group.into_iter().map(plan).collect::<Vec<_>>()
            };
            work(queue.collect(), 1, AHEAD, room, plan).boxed()
        };
        // Messages between agents are one log, in the order of its files; everything else is written as it is ready, so that
        // what is large holds nobody up. A thread that plans is faster than one that commits, which needs the other core.
        let (in_order, others): (Vec<_>, Vec<_>) =
            todo.into_iter().partition(|(thing, _)| matches!(thing, Thing::Orchestration(..)));
        let (large, others) = others.into_iter().partition(|(_, files)| index.size(files) > LARGE_THING);
        let mut plans = stream::select_all([in_order, large, others].map(planning));
        while let Some((taken, group)) = plans.next().await {
            let there = There::of(self.store, group.iter().map(|(.., plan)| plan)).await?;
            for ((thing, files, expected, plan), there) in group.into_iter().zip(there) {
                if plan.is_of_what_was_examined() && plan.orchestration.is_none() {
                    self.planned.insert(thing, expected);
                }
                self.write(&files, plan, there, &mut segments).await?;
                for at in files {
                    self.left[at] -= 1;
                    self.settle(at, progress).await?;
                }
            }
            drop(taken);
        }
        drop(plans);
        self.keep_all(progress).await?;
        Ok(self.writer.flush().await?)
    }

    /// Returns what there is to know for the comparison that follows.
    fn done(self) -> verify::Done {
        verify::Done {
            is_new: (0..self.states.len()).map(|at| self.is_new(at)).collect(),
            seqs: self.writer.seqs().clone(),
            respected: self.respected,
            entered: self.entered,
            planned: self.planned,
        }
    }

    fn is_new(&self, at: usize) -> bool {
        self.states.get(at).is_some_and(|state| *state != FileState::Unchanged)
    }

    fn path(&self, at: usize) -> String {
        self.index.files.get(at).map(|file| file.place.path.clone()).unwrap_or_default()
    }

    /// Writes what is new of one thing.
    async fn write(
        &mut self,
        files: &[usize],
        mut plan: Plan,
        there: There,
        segments: &mut Option<Segments>,
    ) -> Result<(), MigrateError> {
        for (at, why) in std::mem::take(&mut plan.unreadable) {
            let path = self.path(at);
            self.unsettled.insert(at);
            self.report.find("unreadable", Level::Missing, &path, format!("the file cannot be read again: {why}"));
        }
        for at in std::mem::take(&mut plan.changed) {
            let path = self.path(at);
            if self.unsettled.insert(at) {
                let what = "the file changed while it was imported; import again when nobody writes it";
                self.report.find("changed-meanwhile", Level::Missing, &path, what);
            }
        }
        for (at, count) in std::mem::take(&mut plan.variants) {
            let what = format!("{count} items differ from the copies of them that count; the file is kept");
            self.keep_late(at, "variant", &what);
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
            let ids = files.iter().flat_map(|at| self.imported_ids(*at)).collect();
            let earlier = Earlier { ids, agents_saved: self.agents_saved };
            difference = compare(self.store, plan, there, &earlier, &mut self.written).await?;
        }
        for (kind, added) in difference.added {
            self.report.kind(kind).added += added;
        }
        for kept in difference.kept {
            self.respect(kept, files);
        }
        Ok(self.writer.write(difference.changes).await?)
    }

    fn imported_ids(&self, at: usize) -> HashSet<Text> {
        self.index.files.get(at).map(|file| self.ledger.ids(&file.source.path)).unwrap_or_default()
    }

    /// Leaves alone what somebody did in the target.
    fn respect(&mut self, kept: Kept, files: &[usize]) {
        self.respected.insert(kept.what().to_owned());
        let (code, message) = match kept {
            Kept::Deleted(what) => {
                for at in files {
                    let path = self.path(*at);
                    let message = format!("`{what}` was deleted from the target and stays so");
                    self.report.find("deleted", Level::Note, &path, message);
                }
                return;
            }
            Kept::Changed(what) => (
                "changed-in-target",
                format!("`{what}` was changed in the target, which counts; the file is kept as well"),
            ),
            Kept::Later(what) => {
                let kept = "which counts; the file is kept as well, unless it is empty";
                ("older", format!("the target has a later or less damaged state of `{what}`, {kept}"))
            }
            Kept::Sealed(what) => {
                ("sealed", format!("`{what}` is sealed in the target, so nothing was added to it; the file is kept"))
            }
            Kept::Variant(what) => {
                ("variant", format!("some of `{what}` are in the target already but differ; the file is kept"))
            }
        };
        files.iter().for_each(|at| self.keep_late(*at, code, &message));
    }

    /// Asks for a file to be kept, now that it is known to have something that becomes no entity.
    fn keep_late(&mut self, at: usize, code: &'static str, message: &str) {
        let path = self.path(at);
        self.report.find(code, Level::Warning, &path, message);
        // Of nothing there is nothing to be kept.
        if self.index.size(&[at]) == 0 {
            return;
        }
        self.kept_late.entry(at).or_insert_with(|| message.to_owned());
        self.keep.entry(at).or_insert_with(|| message.to_owned());
    }

    /// Writes into the ledger that a file is imported, once it is.
    async fn settle(&mut self, at: usize, progress: &dyn Progress) -> Result<(), MigrateError> {
        let Some(file) = self.index.files.get(at) else { return Ok(()) };
        let is_done = self.left[at] == 0 && !self.keep.contains_key(&at) && !file.has_parts;
        if is_done && self.is_new(at) && !self.unsettled.contains(&at) {
            self.enter(at, None, progress).await?;
        }
        Ok(())
    }

    /// Keeps all bytes that are to be kept, and settles the files that nothing was left of.
    async fn keep_all(&mut self, progress: &dyn Progress) -> Result<(), MigrateError> {
        let mut chunks = HashSet::new();
        let things = things(self.index);
        let has_thing: HashSet<usize> = things.values().flatten().copied().collect();
        for at in 0..self.index.files.len() {
            let index = self.index.clone();
            let Some(file) = index.files.get(at) else { continue };
            let reason = self.keep.remove(&at);
            if reason.is_none() && !file.has_parts {
                // Those with things were settled when the last of them was written.
                if !has_thing.contains(&at) {
                    self.settle(at, progress).await?;
                }
                continue;
            }
            if !self.is_new(at) && reason.is_none() {
                continue;
            }
            let mut is_kept = true;
            for bytes in bytes_of(&index, at, reason.clone()).await {
                let kind = self.report.kind("attachments");
                (kind.in_files, kind.merged) = (kind.in_files + 1, kind.merged + 1);
                match bytes {
                    Ok(bytes) => match keep::keep(self.store, &mut self.writer, bytes, &mut chunks).await {
                        Ok(Done::Added) => self.report.kind("attachments").added += 1,
                        Ok(Done::There) => {}
                        Ok(Done::Changed) => is_kept = self.changed_meanwhile(at),
                        Ok(Done::Unreadable(why)) => is_kept = self.lost(at, &why),
                        Err(error) => return Err(error.into()),
                    },
                    Err(error) => is_kept = self.lost(at, &error.to_string()),
                }
            }
            if is_kept && self.is_new(at) && !self.unsettled.contains(&at) {
                let reason = reason.unwrap_or_else(|| "lines that are not exactly one message".to_owned());
                self.enter(at, Some(&reason), progress).await?;
            }
        }
        Ok(())
    }

    fn changed_meanwhile(&mut self, at: usize) -> bool {
        let path = self.path(at);
        if self.unsettled.insert(at) {
            let what = "the file changed while it was imported; import again when nobody writes it";
            self.report.find("changed-meanwhile", Level::Missing, &path, what);
        }
        false
    }

    fn lost(&mut self, at: usize, why: &str) -> bool {
        let path = self.path(at);
        self.unsettled.insert(at);
        self.report.find("unreadable", Level::Missing, &path, format!("the file cannot be kept: {why}"));
        false
    }

    /// Points the names of templates to those contents of a file that are their newest.
    async fn name_templates(&mut self, at: usize) -> Result<(), MigrateError> {
        let Some(names) = self.names.remove(&at) else { return Ok(()) };
        let mut plan = Plan::default();
        plan.records.extend(names.into_iter().map(|(id, digest)| plan_name(id, digest)));
        self.report.kind("template names").merged += plan.records.len() as u64;
        let Some(there) = There::of(self.store, [&plan]).await?.pop() else { return Ok(()) };
        // A name that somebody pointed elsewhere stays as it is.
        let difference = compare(self.store, plan, there, &Earlier::default(), &mut self.written).await?;
        for (kind, added) in difference.added {
            self.report.kind(kind).added += added;
        }
        Ok(self.writer.write(difference.changes).await?)
    }

    /// Writes into the ledger that a file is imported.
    async fn enter(
        &mut self,
        at: usize,
        attachment: Option<&str>,
        progress: &dyn Progress,
    ) -> Result<(), MigrateError> {
        self.name_templates(at).await?;
        if let Some(file) = self.index.files.get(at) {
            self.writer.write(self.ledger.entry(file, attachment)?).await?;
            self.entered.insert(at);
            progress.advance(&file.place.path, file.size);
        }
        Ok(())
    }
}

/// Returns the bytes of a file that are kept: all of it, or the parts that became no entity.
async fn bytes_of(index: &Arc<Index>, at: usize, reason: Option<String>) -> Vec<std::io::Result<Bytes>> {
    let Some(file) = index.files.get(at) else { return Vec::new() };
    let mut all = Vec::new();
    if let Some(reason) = reason {
        all.push(Ok(Bytes {
            path: file.source.path.clone(),
            size: file.size,
            sha256: file.sha256,
            reason,
            from: keep::From::File(file.source.clone()),
        }));
    }
    if file.has_parts {
        let index = index.clone();
        match blocking(move || index.read(at)).await {
            Ok((reading, _)) => all.extend(parts_of(&file.source, &reading).into_iter().map(Ok)),
            Err(error) => all.push(Err(error)),
        }
    }
    all
}

fn parts_of(source: &SourceFile, reading: &Reading) -> Vec<Bytes> {
    let part = |(name, bytes): &(String, Vec<u8>)| Bytes {
        path: keep::suffixed(&source.path, name),
        size: bytes.len() as u64,
        sha256: sha256(bytes),
        reason: "not exactly one message".to_owned(),
        from: keep::From::Here(bytes.clone()),
    };
    reading.parts.iter().map(part).collect()
}
