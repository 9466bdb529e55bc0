//! Comparing the target with the source after both were read again.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use nofx_core::entity::{Attachment, AttachmentPath};
use nofx_core::json::{Object, Text};
use nofx_core::{LogKey, LogQuery, Record, Result, Seq, Store};

use super::imported::{content_digest, was_imported_as};
use super::index::Index;
use super::ledger::Ledger;
use super::orchestration::Segments;
use super::plan::{Plan, PlannedLog, PlannedRecord, plan, plan_name, things};
use super::reconcile::{PAGE, heads, stored_item};
use super::{READERS, blocking};
use crate::attachment::attachment_chunks;
use crate::digest::{Hash, Running, hex, sha256};
use crate::legacy::Same;
use crate::options::Progress;
use crate::report::{Compared, Verification};

/// Differences that are listed.
const LISTED: usize = 1000;

/// What was done before, as far as it tells a difference that is somebody's wish from one that is a loss.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// For each file, whether it was new or changed.
    pub(crate) is_new: Vec<bool>,
    /// The commits that wrote records.
    pub(crate) seqs: HashSet<Seq>,
    /// The records and logs in which what is in the target counts.
    pub(crate) respected: HashSet<String>,
    /// Files that were imported.
    pub(crate) entered: HashSet<usize>,
}

impl Done {
    fn is_unchanged(&self, at: usize) -> bool {
        self.is_new.get(at).is_some_and(|is_new| !is_new)
    }

    /// Returns whether a thing of these files may differ where the files are kept.
    fn may_differ(&self, files: &[usize], plan: &Plan) -> bool {
        let is_respected = |key: String| self.respected.contains(&key);
        files.iter().all(|at| self.is_unchanged(*at))
            || plan.records.iter().any(|record| is_respected(record.key.to_string()))
            || plan.logs.iter().any(|planned| is_respected(planned.log.to_string()))
    }
}

/// Reads source and target again and compares them. `ledger` is what earlier imports did, and `done` this one.
pub(crate) async fn verify(
    store: &Store,
    index: &Arc<Index>,
    ledger: &Ledger,
    done: &Done,
    progress: &dyn Progress,
) -> Result<Verification> {
    progress.phase("verifying");
    progress.total(index.files.len() as u64, index.files.iter().map(|file| file.size).sum());
    let mut check = Check::default();
    let mut left: Vec<usize> = vec![0; index.files.len()];
    let todo: Vec<_> = things(index).into_iter().collect();
    todo.iter().flat_map(|(_, files)| files).for_each(|at| left[*at] += 1);
    let mut plans = stream::iter(todo)
        .map(|(thing, files)| async move {
            let (index, of) = (index.clone(), files.clone());
            (files, blocking(move || plan(&index, &thing, &of)).await)
        })
        .buffered(READERS);
    let mut segments = None;
    while let Some((files, plan)) = plans.next().await {
        for (at, why) in &plan.unreadable {
            let path = index.files.get(*at).map(|file| file.place.path.as_str()).unwrap_or_default();
            check.differs(format!("`{path}` cannot be read again: {why}"));
        }
        let imported: HashSet<Text> =
            files.iter().filter_map(|at| index.files.get(*at)).flat_map(|file| ledger.ids(&file.source.path)).collect();
        let (may_differ, changed) = (done.may_differ(&files, &plan), plan.changed.clone());
        let mut differences = check.plan(store, plan, &imported, done, &mut segments).await?;
        if !differences.is_empty() {
            let changed = changed.iter().filter_map(|at| index.files.get(*at));
            let what = "changed while it was imported; import again when nobody writes it";
            differences.extend(changed.map(|file| format!("`{}` {what}", file.place.path)));
        }
        // Where somebody's changes in the target count, the files are kept as they are.
        let is_excused = may_differ && !differences.is_empty() && are_kept(store, index, &files).await?;
        if !is_excused {
            differences.into_iter().for_each(|difference| check.differs(difference));
        }
        for at in files {
            left[at] -= 1;
            if let (0, Some(file)) = (left[at], index.files.get(at)) {
                progress.advance(&file.place.path, file.size);
            }
        }
    }
    check.template_names(store, index, done).await?;
    for file in index.files.iter().filter(|file| file.judgement.keep.is_some()) {
        check.attachment(store, &file.source.path.clone().into(), &file.sha256).await?;
    }
    for at in (0..index.files.len()).filter(|at| index.files.get(*at).is_some_and(|file| file.has_parts)) {
        for bytes in super::bytes_of(index, at, None).await.into_iter().flatten() {
            check.attachment(store, &bytes.path.into(), &bytes.sha256).await?;
        }
    }
    for file in index.files.iter().zip(&left).filter(|(_, left)| **left == 0).map(|(file, _)| file) {
        if matches!(file.holds, super::index::Holds::Nothing) {
            progress.advance(&file.place.path, file.size);
        }
    }
    Ok(check.finish())
}

/// Returns whether all these files are kept as they are.
async fn are_kept(store: &Store, index: &Index, files: &[usize]) -> Result<bool> {
    for file in files.iter().filter_map(|at| index.files.get(*at)) {
        let kept = store.load::<Attachment>(&file.source.path.clone().into()).await?;
        if kept.is_none_or(|kept| kept.value.sha256 != hex(&file.sha256).as_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[derive(Debug, Default)]
struct Check {
    kinds: BTreeMap<&'static str, Digests>,
    verification: Verification,
}

#[derive(Debug, Default)]
struct Digests {
    source: (u64, Running),
    target: (u64, Running),
}

impl Check {
    fn differs(&mut self, difference: String) {
        self.verification.difference_count += 1;
        if self.verification.differences.len() < LISTED {
            self.verification.differences.push(difference);
        }
    }

    /// Counts what the source has, and what the target has of it.
    fn count(&mut self, kind: &'static str, source: &[Hash], target: &[Hash]) {
        let digests = self.kinds.entry(kind).or_default();
        for (hashes, side) in [(source, &mut digests.source), (target, &mut digests.target)] {
            // A log may have grown between two imports, so order is not part of the digest.
            let mut sorted = hashes.to_vec();
            sorted.sort();
            side.0 += hashes.len() as u64;
            side.1.add(&sha256(&sorted.concat()));
        }
    }

    /// Compares one thing, and returns what is not as it should be.
    async fn plan(
        &mut self,
        store: &Store,
        plan: Plan,
        imported: &HashSet<Text>,
        done: &Done,
        segments: &mut Option<Segments>,
    ) -> Result<Vec<String>> {
        let mut differences = Vec::new();
        if let Some(messages) = plan.orchestration {
            if segments.is_none() {
                *segments = Some(Segments::read(store).await?);
            }
            if let Some(segments) = segments {
                let source: Vec<_> = messages.iter().map(|message| message.whole).collect();
                let target: Vec<_> =
                    messages.iter().filter(|message| segments.had(message)).map(|message| message.whole).collect();
                let missing = source.len() - target.len();
                if missing > 0 {
                    differences.push(format!("{missing} messages between agents are missing"));
                }
                self.count("orchestration messages", &source, &target);
            }
            return Ok(differences);
        }
        let heads = heads(store, &plan.logs).await?;
        if let Some(gone) = heads.iter().find(|head| head.state == nofx_core::LogState::Removed) {
            self.verification.deleted.push(gone.log.to_string());
            return Ok(differences);
        }
        let keys: Vec<_> = plan.records.iter().map(|record| record.key.clone()).collect();
        let there = store.get(&keys).await?;
        for (planned, there) in plan.records.iter().zip(there) {
            if there.is_none() && planned.id.as_ref().is_some_and(|id| imported.contains(id)) {
                self.verification.deleted.push(planned.key.to_string());
                if planned.kind == "sessions" {
                    return Ok(differences);
                }
                continue;
            }
            differences.extend(self.record(planned, there.as_ref(), done));
        }
        for planned in plan.logs {
            differences.extend(self.log(store, planned).await?);
        }
        Ok(differences)
    }

    /// Compares the names of the templates in files that are imported.
    async fn template_names(&mut self, store: &Store, index: &Index, done: &Done) -> Result<()> {
        let (files, names): (Vec<_>, Vec<_>) = index
            .newest_templates()
            .into_iter()
            .filter(|(_, (_, at))| done.entered.contains(at) || done.is_unchanged(*at))
            .map(|(id, (digest, at))| (at, plan_name(id, digest)))
            .unzip();
        let keys: Vec<_> = names.iter().map(|planned| planned.key.clone()).collect();
        for ((mut planned, at), there) in names.into_iter().zip(files).zip(store.get(&keys).await?) {
            match &there {
                None if done.is_unchanged(at) => {
                    self.verification.deleted.push(planned.key.to_string());
                    continue;
                }
                // It was there before, and may point elsewhere.
                Some(there) if !done.seqs.contains(&there.version) => {
                    planned.object = Object::parse(there.body.as_str()).unwrap_or_default();
                }
                _ => {}
            }
            if let Some(difference) = self.record(&planned, there.as_ref(), done) {
                self.differs(difference);
            }
        }
        Ok(())
    }

    fn record(&mut self, planned: &PlannedRecord, there: Option<&Record>, done: &Done) -> Option<String> {
        let wanted = content_digest(&planned.object);
        let found = there.map(|record| {
            let object = Object::parse(record.body.as_str()).unwrap_or_default();
            let was_changed = !done.seqs.contains(&record.version);
            // What was imported and then changed by somebody was imported.
            if was_changed && was_imported_as(&object, &wanted) { wanted.clone() } else { content_digest(&object) }
        });
        let hash = |digest: &String| sha256(digest.as_bytes());
        let target: Vec<_> = found.iter().map(hash).collect();
        self.count(planned.kind, &[hash(&wanted)], &target);
        match found {
            None => Some(format!("`{}` is missing", planned.key)),
            Some(found) => (found != wanted).then(|| format!("`{}` is another", planned.key)),
        }
    }

    async fn log(&mut self, store: &Store, planned: PlannedLog) -> Result<Option<String>> {
        let (mut length, mut there) = (0, HashMap::<Hash, VecDeque<(u64, Hash)>>::new());
        let mut entries = store.read(LogQuery::oldest_first(planned.log.clone(), PAGE));
        while let Some(entry) = entries.try_next().await? {
            length = entry.position + 1;
            let item = stored_item(&entry, planned.same);
            there.entry(item.identity).or_default().push_back((entry.position, item.whole));
        }
        let source: Vec<_> = planned.items.iter().map(|item| item.whole).collect();
        let (mut target, mut last, mut is_in_order) = (Vec::new(), None, true);
        for item in &planned.items {
            let Some(states) = there.get_mut(&item.identity) else { continue };
            // A task has an entry for each change of it.
            let exact = states.iter().position(|(_, whole)| *whole == item.whole).unwrap_or_default();
            if let Some((position, whole)) = states.remove(exact) {
                is_in_order &= last < Some(position);
                last = Some(position);
                target.push(whole);
            }
        }
        self.count(planned.kind, &source, &target);
        let is_alone = length == source.len() as u64 && planned.same != Same::Task;
        Ok(log_difference(&planned.log, &source, &target, !is_alone || is_in_order))
    }

    async fn attachment(&mut self, store: &Store, path: &AttachmentPath, wanted: &Hash) -> Result<()> {
        let mut target = Vec::new();
        match store.load::<Attachment>(path).await? {
            None => self.differs(format!("attachment `{path}` is missing")),
            Some(there) => {
                let mut digest = Running::default();
                let mut chunks = attachment_chunks(store, &there.value);
                let read = async {
                    while let Some(chunk) = chunks.try_next().await? {
                        digest.add(&chunk);
                    }
                    Ok::<_, nofx_core::Error>(())
                };
                match read.await {
                    Ok(()) => target.push(digest.finish()),
                    Err(error) => self.differs(format!("attachment `{path}` cannot be read back: {error}")),
                }
                if target.first().is_some_and(|found| found != wanted) {
                    self.differs(format!("attachment `{path}` is another"));
                }
            }
        }
        self.count("attachments", &[*wanted], &target);
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

fn log_difference(log: &LogKey, source: &[Hash], target: &[Hash], is_in_order: bool) -> Option<String> {
    let missing = source.len() - target.len();
    if missing > 0 {
        return Some(format!("log `{log}` lacks {missing} of {} entries", source.len()));
    }
    let (mut wanted, mut found) = (source.to_vec(), target.to_vec());
    wanted.sort();
    found.sort();
    if wanted != found {
        return Some(format!("log `{log}` has entries that differ"));
    }
    (!is_in_order).then(|| format!("log `{log}` is in another order"))
}
