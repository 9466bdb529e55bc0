//! Compares the target with the source after both were read again.
//!
//! What this run planned of a thing is known by its digests. So as long as the thing's files have the bytes that it was planned from,
//! and the target returns data with those digests, nothing is parsed again. Everything else is planned again and compared
//! item by item, which also shows what differs.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::pin::pin;
use std::sync::{Arc, OnceLock};

use futures_util::{Stream, StreamExt, TryStreamExt};
use nofx_core::entity::{Attachment, AttachmentPath};
use nofx_core::json::{Object, Text};
use nofx_core::{Error, LogEntry, LogKey, LogQuery, LogState, Record, Result, Seq, Store};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::expected::{Bodies, BodyCounts, Expected, ExpectedLog, ExpectedRecord};
use super::imported::{content_digest, was_imported_as};
use super::index::{Index, Indexed};
use super::orchestration::Segments;
use super::plan::{Plan, PlannedLog, Thing, plan, plan_name};
use super::reconcile::{PAGE, stored_item};
use super::room::Room;
use super::temp_database::PAGE_ROWS;
use super::things::ListedThing;
use super::workers::{Work, together, work_in_order};
use super::{AHEAD, GROUP_PART, blocking, cores, joined};
use crate::attachment::attachment_chunks;
use crate::digest::{Hash, Print, Running, hex, print};
use crate::error::MigrateError;
use crate::legacy::{Item, Same};
use crate::options::MigrationProgress;
use crate::report::{Compared, Verification};

/// How many differences are listed.
const LISTED: usize = 1000;

/// What was done before: what must exist, and what distinguishes a deliberate change from a loss.
#[derive(Debug, Default)]
pub(crate) struct PriorWork {
    /// The commits that wrote records.
    pub(crate) seqs: HashSet<Seq>,
    /// The records and logs in which the target's version stays.
    pub(crate) respected: HashSet<String>,
    /// Imported files whose template names were pointed somewhere.
    pub(crate) named: HashSet<usize>,
}

impl PriorWork {
    /// Returns whether a thing of these files may differ if the files are kept.
    fn may_differ(&self, files: &[Indexed], expected: &Expected) -> bool {
        let is_respected = |key: String| self.respected.contains(&key);
        files.iter().all(|file| !file.is_new())
            || expected.records.iter().any(|record| is_respected(record.key.to_string()))
            || expected.logs.iter().any(|expected| is_respected(expected.log.to_string()))
    }
}

/// Reads source and target again and compares them; `done` is what was done before.
pub(crate) async fn verify(
    store: &Store,
    index: &Arc<Index>,
    done: PriorWork,
    room: &Room,
    progress: &dyn MigrationProgress,
) -> Result<Verification, MigrateError> {
    progress.phase("verifying");
    let (files, bytes) = index.size(false)?;
    progress.total(files, bytes);
    let done = Arc::new(done);
    let mut check = Check::new(store, index, done.clone());
    let counted = index.clone();
    let mut left = blocking(move || counted.left(false)).await?;
    let again = Arc::new(Again { index: index.clone(), same: vec![OnceLock::new(); left.len()] });
    if index.has_orchestration()? {
        let store = store.clone();
        check.reading = Some(tokio::spawn(async move { Segments::read(&store).await }));
    }
    // Files that are only digested are not in memory; if one has changed since, it may be more than there is room for.
    let unplanned = |listed: &Result<ListedThing, MigrateError>| match listed {
        Ok(listed) if listed.expected.is_none() => listed.bytes,
        _ => 0,
    };
    let groups = together(index.all_things(), room.bytes() / GROUP_PART, |listed| {
        listed.as_ref().map_or(0, |listed| listed.bytes)
    });
    let queue = groups.map(move |things| Work { bytes: things.iter().map(unplanned).sum(), thing: things });
    let look_at = {
        let (store, again) = (store.clone(), again.clone());
        move |things: Vec<Result<ListedThing, MigrateError>>| {
            let wanted = things.into_iter().map(|listed| again.wanted(listed?)).collect::<Result<Vec<_>, _>>()?;
            let found = Handle::current().block_on(look(&store, &wanted))?;
            Ok::<_, MigrateError>(wanted.into_iter().zip(found))
        }
    };
    // One more than there are cores, as each sometimes waits for another that reads the target.
    let looked = work_in_order(queue, cores() + 1, AHEAD, room, look_at);
    // Each group holds its room until all of it is compared.
    let mut looked = pin!(looked.map(|(taken, looked)| looked.map(|looked| (taken, looked))));
    while let Some((_taken, looked)) = looked.try_next().await? {
        for (wanted, found) in looked {
            for (at, why) in wanted.plan.iter().flat_map(|plan| &plan.unreadable) {
                check.differs(format!("`{}` cannot be read again: {why}", index.path(*at)?));
            }
            let files = wanted.files.clone();
            let mut imported = HashSet::new();
            for file in &files {
                imported.extend(index.known_ids(file.at)?);
            }
            let may_differ = done.may_differ(&files, &wanted.expected);
            let changed = wanted.plan.as_ref().map(|plan| plan.changed.clone()).unwrap_or_default();
            let mut differences = check.thing(wanted, found, &imported).await?;
            if !differences.is_empty() {
                differences.extend(files.iter().filter(|file| changed.contains(&file.at)).map(changed_during_import));
            }
            // Where changes in the target take precedence, the files are kept unchanged.
            let is_excused = may_differ && !differences.is_empty() && are_kept(store, &files).await?;
            if !is_excused {
                differences.into_iter().for_each(|difference| check.differs(difference));
            }
            for file in files {
                left[file.at] -= 1;
                if left[file.at] == 0 {
                    progress.advance(&file.place.path, file.size);
                }
            }
        }
    }
    check.template_names().await?;
    let mut pages = index.all_files();
    loop {
        let again = again.clone();
        let (page, rest) = blocking(move || {
            let page = pages.by_ref().take(PAGE_ROWS).map(|file| {
                let file = file?;
                // It may have been empty because another program was about to rewrite it.
                let is_same = !file.has_nothing() || again.is_same(&file);
                Ok::<_, MigrateError>((file, is_same))
            });
            (page.collect::<Result<Vec<_>, _>>(), pages)
        })
        .await;
        pages = rest;
        let page = page?;
        if page.is_empty() {
            return Ok(check.finish());
        }
        for (file, is_same) in page {
            if file.is_kept() {
                check.attachment(&file.source.path.clone().into(), &file.sha256).await?;
            }
            if file.has_parts() {
                for bytes in super::bytes_of(index, &file, None).await.into_iter().flatten() {
                    check.attachment(&bytes.path.into(), &bytes.sha256).await?;
                }
            }
            if !is_same {
                check.differs(changed_during_import(&file));
            }
            if file.has_nothing() {
                progress.advance(&file.place.path, file.size);
            }
        }
    }
}

fn changed_during_import(file: &Indexed) -> String {
    format!("`{}` changed while it was imported; import again while no program writes to it", file.place.path)
}

/// Returns whether all these files are kept unchanged.
async fn are_kept(store: &Store, files: &[Indexed]) -> Result<bool> {
    for file in files.iter().filter(|file| file.size > 0) {
        let kept = store.load::<Attachment>(&file.source.path.clone().into()).await?;
        if kept.is_none_or(|kept| kept.value.sha256 != hex(&file.sha256).as_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a thing must be in the target.
struct Wanted {
    thing: Thing,
    files: Vec<Indexed>,
    expected: Expected,
    /// In full, if it had to be planned again.
    plan: Option<Plan>,
}

/// The source as it is now.
struct Again {
    index: Arc<Index>,
    /// Whether a file has the bytes that it had in the first pass.
    same: Vec<OnceLock<bool>>,
}

impl Again {
    fn is_same(&self, file: &Indexed) -> bool {
        self.same.get(file.at).is_some_and(|same| *same.get_or_init(|| file.is_same()))
    }

    fn wanted(&self, ListedThing { thing, files, expected, .. }: ListedThing) -> Result<Wanted, MigrateError> {
        let files = self.index.files(&files)?;
        let expected = expected.and_then(|written| Expected::read(&written, &self.index.names));
        if let Some(expected) = expected.filter(|_| files.iter().all(|file| self.is_same(file))) {
            return Ok(Wanted { expected, thing, files, plan: None });
        }
        let plan = plan(&self.index, &thing, &files);
        // Here, where other threads can continue.
        plan.orchestration.iter().flatten().for_each(|message| _ = message.whole());
        Ok(Wanted { expected: Expected::of(&plan), thing, files, plan: Some(plan) })
    }
}

/// What the target has of a thing.
enum Found {
    /// A log of it was removed.
    Removed(LogKey),
    /// Its records and logs, in the order of what is expected.
    InTarget(Vec<Option<Record>>, Vec<Bodies>),
}

/// Reads what the target has of some things.
async fn look(store: &Store, wanted: &[Wanted]) -> Result<Vec<Found>> {
    let logs = wanted.iter().flat_map(|wanted| &wanted.expected.logs);
    let heads = store.backend().heads(&logs.map(|expected| expected.log.clone()).collect::<Vec<_>>()).await?;
    let records = wanted.iter().flat_map(|wanted| &wanted.expected.records);
    let records = store.get(&records.map(|expected| expected.key.clone()).collect::<Vec<_>>()).await?;
    let (mut heads, mut records) = (heads.into_iter(), records.into_iter());
    let mut found = Vec::with_capacity(wanted.len());
    for Wanted { expected, .. } in wanted {
        let heads: Vec<_> = heads.by_ref().take(expected.logs.len()).collect();
        let records = records.by_ref().take(expected.records.len()).collect();
        if let Some(gone) = heads.iter().find(|head| head.state == LogState::Removed) {
            found.push(Found::Removed(gone.log.clone()));
            continue;
        }
        let mut logs = Vec::new();
        for head in heads {
            let mut bodies = BodyCounts::default();
            if head.length > 0 {
                let mut entries = store.read(LogQuery::oldest_first(head.log, PAGE));
                while let Some(entry) = next_readable(&mut entries).await? {
                    bodies.add(&entry.body);
                }
            }
            logs.push(bodies.finish());
        }
        found.push(Found::InTarget(records, logs));
    }
    Ok(found)
}

/// Returns the next entry; one that cannot be read is missing, and so a difference.
async fn next_readable(entries: &mut (impl Stream<Item = Result<LogEntry>> + Unpin)) -> Result<Option<LogEntry>> {
    while let Some(entry) = entries.next().await {
        match entry {
            Err(error) if error.is_of_one_thing() => {}
            entry => return entry.map(Some),
        }
    }
    Ok(None)
}

struct Check<'a> {
    store: &'a Store,
    index: &'a Arc<Index>,
    done: Arc<PriorWork>,
    kinds: BTreeMap<&'static str, Digests>,
    /// The messages between agents that the target has, once they are read.
    segments: Segments,
    reading: Option<JoinHandle<Result<Segments>>>,
    verification: Verification,
}

#[derive(Debug, Default)]
struct Digests {
    source: (u64, Running),
    target: (u64, Running),
}

impl<'a> Check<'a> {
    fn new(store: &'a Store, index: &'a Arc<Index>, done: Arc<PriorWork>) -> Self {
        let (kinds, segments, verification) = (BTreeMap::new(), Segments::default(), Verification::default());
        Self { store, index, done, kinds, segments, reading: None, verification }
    }

    fn differs(&mut self, difference: String) {
        self.verification.difference_count += 1;
        if self.verification.differences.len() < LISTED {
            self.verification.differences.push(difference);
        }
    }

    /// Counts what the source has of a thing, and what the target has of that.
    fn count(&mut self, kind: &'static str, source: Bodies, target: Bodies) {
        let digests = self.kinds.entry(kind).or_default();
        for (bodies, side) in [(source, &mut digests.source), (target, &mut digests.target)] {
            side.0 += bodies.count;
            side.1.add(&bodies.print.to_le_bytes());
        }
    }

    /// Compares one thing, and returns what is wrong.
    async fn thing(&mut self, wanted: Wanted, found: Found, imported: &HashSet<Text>) -> Result<Vec<String>> {
        let Wanted { thing, files, expected, mut plan } = wanted;
        if let Some(messages) = plan.as_mut().and_then(|plan| plan.orchestration.take()) {
            return Ok(self.orchestration(&messages).await?.into_iter().collect());
        }
        let (records, logs) = match found {
            Found::InTarget(records, logs) => (records, logs),
            Found::Removed(log) => {
                self.verification.deleted.push(log.to_string());
                return Ok(Vec::new());
            }
        };
        let mut differences = Vec::new();
        for (expected, there) in expected.records.iter().zip(records) {
            if there.is_none() && expected.id.as_ref().is_some_and(|id| imported.contains(id)) {
                self.verification.deleted.push(expected.key.to_string());
                if expected.kind == "sessions" {
                    return Ok(differences);
                }
                continue;
            }
            differences.extend(self.record(expected, there.as_ref()));
        }
        for (at, (expected, there)) in expected.logs.iter().zip(logs).enumerate() {
            if expected.bodies == there {
                self.count(expected.kind, there, there);
                continue;
            }
            if plan.is_none() {
                let (index, thing, files) = (self.index.clone(), thing.clone(), files.clone());
                plan = Some(blocking(move || super::plan::plan(&index, &thing, &files)).await);
            }
            if let Some(planned) = plan.as_ref().and_then(|plan| plan.logs.get(at)) {
                differences.extend(self.log(expected, planned).await?);
            }
        }
        Ok(differences)
    }

    /// Compares messages between agents, which may be in any segment.
    async fn orchestration(&mut self, messages: &[Item]) -> Result<Option<String>> {
        if let Some(reading) = self.reading.take() {
            self.segments = joined(reading).await?;
        }
        let (mut source, mut target) = (BodyCounts::default(), BodyCounts::default());
        for message in messages {
            source.add(&message.body);
            if self.segments.had(message) {
                target.add(&message.body);
            }
        }
        let (source, target) = (source.finish(), target.finish());
        self.count("orchestration messages", source, target);
        let missing = source.count - target.count;
        Ok((missing > 0).then(|| format!("{missing} messages between agents are missing")))
    }

    /// Compares the names of the templates in files that are imported.
    async fn template_names(&mut self) -> Result<(), MigrateError> {
        let done = self.done.clone();
        let (mut unchanged, mut names) = (Vec::new(), Vec::new());
        for (id, (digest, at)) in self.index.newest_templates() {
            let is_unchanged = self.index.files(&[at])?.iter().any(|file| !file.is_new());
            if is_unchanged || done.named.contains(&at) {
                unchanged.push(is_unchanged);
                names.push(ExpectedRecord::of(&plan_name(id, digest)));
            }
        }
        let keys: Vec<_> = names.iter().map(|expected| expected.key.clone()).collect();
        for ((mut expected, is_unchanged), there) in names.into_iter().zip(unchanged).zip(self.store.get(&keys).await?)
        {
            match &there {
                None if is_unchanged => {
                    self.verification.deleted.push(expected.key.to_string());
                    continue;
                }
                // It existed before, and may point elsewhere.
                Some(there) if !done.seqs.contains(&there.version) => {
                    expected.digest = content_digest(&Object::parse(there.body.as_str()).unwrap_or_default());
                }
                _ => {}
            }
            if let Some(difference) = self.record(&expected, there.as_ref()) {
                self.differs(difference);
            }
        }
        Ok(())
    }

    fn record(&mut self, expected: &ExpectedRecord, there: Option<&Record>) -> Option<String> {
        let wanted = &expected.digest;
        let found = there.map(|record| {
            let object = Object::parse(record.body.as_str()).unwrap_or_default();
            let was_changed = !self.done.seqs.contains(&record.version);
            // A record that was imported and then changed counts as imported.
            let is_there = was_changed && was_imported_as(&object, wanted);
            if is_there || expected.is_part_of(&object) { wanted.clone() } else { content_digest(&object) }
        });
        let one = |digest: &String| Bodies { count: 1, print: print(digest.as_bytes()) };
        let none = Bodies { count: 0, print: Print::default() };
        self.count(expected.kind, one(wanted), found.as_ref().map_or(none, one));
        match found {
            None => Some(format!("`{}` is missing", expected.key)),
            Some(found) => (found != *wanted).then(|| format!("`{}` is different", expected.key)),
        }
    }

    /// Compares a log entry by entry: it may have other entries too.
    async fn log(&mut self, expected: &ExpectedLog, planned: &PlannedLog) -> Result<Option<String>> {
        let (mut length, mut there) = (0, HashMap::<Hash, VecDeque<(u64, Item)>>::new());
        let mut entries = self.store.read(LogQuery::oldest_first(planned.log.clone(), PAGE));
        while let Some(entry) = next_readable(&mut entries).await? {
            length = entry.position + 1;
            let item = stored_item(&entry, planned.same);
            there.entry(item.identity()).or_default().push_back((entry.position, item));
        }
        let (mut target, mut differing) = (BodyCounts::default(), 0_u64);
        let (mut last, mut is_in_order) = (None, true);
        for item in &planned.items {
            let Some(states) = there.get_mut(&item.identity()) else { continue };
            // A task has an entry for each change of it.
            let exact = states.iter().position(|(_, state)| state.whole() == item.whole());
            differing += u64::from(exact.is_none() && !states.is_empty());
            if let Some((position, state)) = states.remove(exact.unwrap_or_default()) {
                is_in_order &= last < Some(position);
                last = Some(position);
                // The same value in another spelling is equal.
                target.add(if exact.is_some() { &item.body } else { &state.body });
            }
        }
        let (source, target) = (expected.bodies, target.finish());
        self.count(planned.kind, source, target);
        let (log, missing) = (&expected.log, source.count - target.count);
        let is_alone = length == source.count && planned.same != Same::Task;
        Ok(if missing > 0 {
            Some(format!("log `{log}` lacks {missing} of {} entries", source.count))
        } else if differing > 0 {
            Some(format!("log `{log}` has {differing} entries that differ"))
        } else {
            (is_alone && !is_in_order).then(|| format!("log `{log}` is in another order"))
        })
    }

    async fn attachment(&mut self, path: &AttachmentPath, wanted: &Hash) -> Result<()> {
        let one = |digest: Hash| Bodies { count: 1, print: print(&digest) };
        let mut target = None;
        match self.store.load::<Attachment>(path).await? {
            None => self.differs(format!("attachment `{path}` is missing")),
            Some(there) => {
                let mut digest = Running::default();
                let mut chunks = attachment_chunks(self.store, &there.value);
                let read = async {
                    while let Some(chunk) = chunks.try_next().await? {
                        digest.add(&chunk);
                    }
                    Ok::<_, Error>(())
                };
                match read.await {
                    Ok(()) => target = Some(digest.finish()),
                    Err(error) => self.differs(format!("attachment `{path}` cannot be read back: {error}")),
                }
                if target.is_some_and(|found| found != *wanted) {
                    self.differs(format!("attachment `{path}` is different"));
                }
            }
        }
        let none = Bodies { count: 0, print: Print::default() };
        self.count("attachments", one(*wanted), target.map_or(none, one));
        Ok(())
    }

    fn finish(mut self) -> Verification {
        for (kind, digests) in self.kinds {
            let (source, target) = (digests.source, digests.target);
            let compared = Compared {
                source: source.0,
                target: target.0,
                source_digest: hex(&source.1.finish()),
                target_digest: hex(&target.1.finish()),
            };
            self.verification.kinds.insert(kind, compared);
        }
        self.verification
    }
}
