//! What has to be written so that the target has what is planned.

use std::collections::{HashMap, HashSet, VecDeque};

use futures_util::TryStreamExt;
use nofx_core::entity::{Entity, EntityId, Session, SessionId};
use nofx_core::json::{Object, Text};
use nofx_core::workspace::index_session;
use nofx_core::{
    Expect, LogEntry, LogHead, LogKey, LogQuery, LogState, NewEntry, Record, RecordKey, Result, Store, Timestamp, kind,
};

use super::imported::{content, content_digest, marked, was_imported_as};
use super::index::body;
use super::merge::Multiset;
use super::plan::{Plan, PlannedLog, PlannedRecord, complete, ended};
use super::writer::ThingChanges;
use crate::digest::Hash;
use crate::legacy::{Item, Same, time};

/// Entries per page when a whole log is read.
pub(crate) const PAGE: usize = 1000;

/// The member of a task that says which entry it replaces.
const REPLACES: &str = "$replaces";

/// What has to be written of one thing.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub(crate) changes: ThingChanges,
    /// How many of each kind that adds.
    pub(crate) added: HashMap<&'static str, u64>,
    /// Changes made in the target that stay.
    pub(crate) kept: Vec<Kept>,
}

/// A change made in the target that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It was deleted.
    Deleted(String),
    /// The record was changed, and so was the source.
    Changed(String),
    /// A later state of the record was imported than the source has.
    Later(String),
    /// The log is sealed, so that what is new in the source cannot be added.
    Sealed(String),
    /// An entry exists already but differs.
    Variant(String),
}

impl Kept {
    /// Returns the key of the record or log.
    pub(crate) fn what(&self) -> &str {
        match self {
            Self::Deleted(what)
            | Self::Changed(what)
            | Self::Later(what)
            | Self::Sealed(what)
            | Self::Variant(what) => what,
        }
    }
}

/// What earlier imports say about the records of a plan.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    /// The ids that the files of the plan had when they were last imported.
    pub(crate) ids: HashSet<Text>,
    /// The time at which the newest imported list of agents was written.
    pub(crate) agents_saved: Option<Timestamp>,
}

impl Earlier {
    /// Returns whether a later or less damaged state of a record was imported than the planned one.
    fn had_later(&self, planned: &PlannedRecord, there: &Object) -> bool {
        let is_there = |name: &Text| name.as_str().is_some_and(|name| there.get(name).is_some());
        match planned.kind {
            // Nothing is left that the target does not have.
            "sessions" if planned.is_damaged && planned.at.is_none() => {
                planned.object.iter().all(|(name, _)| is_there(&name))
            }
            // A session that does not say when it was active is damaged.
            "sessions" => planned.at < there.get("lastActiveAt").and_then(time),
            "agents" => planned.at.is_some_and(|at| Some(at) < self.agents_saved),
            _ => false,
        }
    }
}

/// What the target has of a plan.
#[derive(Debug)]
pub(crate) struct TargetState {
    records: Vec<Option<Record>>,
    heads: Vec<LogHead>,
    /// What the lists of sessions have of it.
    place: Option<Record>,
}

impl TargetState {
    /// Reads what the target has of some plans, in one read.
    pub(crate) async fn of(store: &Store, plans: impl IntoIterator<Item = &Plan>) -> Result<Vec<Self>> {
        let plans: Vec<_> = plans.into_iter().collect();
        let logs: Vec<_> = plans.iter().flat_map(|plan| &plan.logs).map(|planned| planned.log.clone()).collect();
        let place = |plan: &Plan| Listing::of(plan).map(|listing| listing.id.record_key(kind::ACTIVITY_PLACE));
        let mut keys = Vec::new();
        for plan in &plans {
            keys.extend(plan.records.iter().map(|record| record.key.clone()));
            keys.extend(place(plan));
        }
        let mut heads = if logs.is_empty() { Vec::new() } else { store.backend().heads(&logs).await? }.into_iter();
        let mut records = if keys.is_empty() { Vec::new() } else { store.get(&keys).await? }.into_iter();
        let states = plans.into_iter().map(|plan| Self {
            records: records.by_ref().take(plan.records.len()).collect(),
            heads: heads.by_ref().take(plan.logs.len()).collect(),
            place: place(plan).and_then(|_| records.next()).flatten(),
        });
        Ok(states.collect())
    }
}

/// Compares a plan with the target.
pub(crate) async fn compare(
    store: &Store,
    plan: Plan,
    state: TargetState,
    earlier: &Earlier,
    written: &mut HashSet<RecordKey>,
) -> Result<Difference> {
    let mut difference = Difference::default();
    let listing = Listing::of(&plan);
    let TargetState { records, heads, place } = state;
    if let Some(gone) = heads.iter().find(|head| head.state == LogState::Removed) {
        difference.kept.push(Kept::Deleted(gone.log.to_string()));
        return Ok(difference);
    }
    for (planned, there) in plan.records.into_iter().zip(records) {
        let was_imported = planned.id.as_ref().is_some_and(|id| earlier.ids.contains(id));
        match there {
            None if !written.contains(&planned.key) => {
                if was_imported {
                    difference.kept.push(Kept::Deleted(planned.key.to_string()));
                    if planned.kind == "sessions" {
                        return Ok(Difference { kept: difference.kept, ..Difference::default() });
                    }
                    continue;
                }
                difference.put(&planned, None, Expect::Absent);
                // Everything else is planned once.
                if planned.kind == "templates" {
                    written.insert(planned.key);
                }
            }
            None => {}
            Some(there) => {
                // A template is named by its content, so it cannot differ.
                let object = Object::parse(there.body.as_str()).unwrap_or_default();
                if planned.kind == "sessions" && object.get("$rewinds").is_some() {
                    // What was rewound is not imported again.
                    difference.kept.push(Kept::Changed(planned.key.to_string()));
                    return Ok(Difference { kept: difference.kept, ..Difference::default() });
                }
                let digest = content_digest(&object);
                if planned.kind == "templates" || digest == content_digest(&planned.object) {
                    continue;
                }
                if !was_imported_as(&object, &digest) {
                    difference.kept.push(Kept::Changed(planned.key.to_string()));
                } else if earlier.had_later(&planned, &object) {
                    difference.kept.push(Kept::Later(planned.key.to_string()));
                } else {
                    let mut planned = planned;
                    if planned.is_damaged {
                        complete(&mut planned.object, &content(&object));
                    }
                    if digest != content_digest(&planned.object) {
                        difference.put(&planned, Some(&object), Expect::At(there.version));
                    }
                }
            }
        }
    }
    let is_older = difference.kept.iter().any(|kept| matches!(kept, Kept::Later(_)));
    for (planned, head) in plan.logs.into_iter().zip(heads.clone()) {
        compare_log(store, planned, head, is_older, &mut difference).await?;
    }
    if let Some(listing) = listing {
        listing.bring_up_to_date(store, &heads, place, &mut difference.changes).await?;
    }
    Ok(difference)
}

/// What the lists of sessions need to know about a planned session.
struct Listing {
    id: SessionId,
    record: RecordKey,
    history: LogKey,
    preview: Option<Text>,
}

impl Listing {
    fn of(plan: &Plan) -> Option<Self> {
        let planned = plan.records.iter().find(|record| record.kind == "sessions")?;
        let id = SessionId::from(planned.id.clone()?);
        Some(Self { history: Session::history(&id), id, record: planned.key.clone(), preview: plan.preview.clone() })
    }

    /// Adds what the lists need, if the session is written or gets messages.
    async fn bring_up_to_date(
        &self,
        store: &Store,
        heads: &[LogHead],
        place: Option<Record>,
        changes: &mut ThingChanges,
    ) -> Result<()> {
        let put = changes.puts.iter_mut().find(|(key, ..)| *key == self.record);
        let added = changes.appends.iter().filter(|(log, ..)| *log == self.history);
        let last_added = added.flat_map(|(_, _, entries)| entries.last()).map(|entry| entry.at).next();
        let mut session = match put {
            Some((_, _, written)) => {
                let mut session = Session::from_body(written)?;
                session.preview = session.preview.or_else(|| self.preview.clone());
                *written = session.to_body()?;
                session
            }
            None if last_added.is_none() => return Ok(()),
            None => match store.get(std::slice::from_ref(&self.record)).await?.into_iter().flatten().next() {
                Some(record) => Session::from_body(&record.body)?,
                None => return Ok(()),
            },
        };
        session.id = self.id.clone();
        let last = heads.iter().find(|head| head.log == self.history).and_then(|head| head.last_at);
        let indexed = index_session(store.batch(), &session, place.as_ref(), last_added.max(last))?;
        for write in indexed.writes {
            match write.body {
                Some(body) => changes.puts.push((write.key, write.expect, body)),
                None => changes.deletes.push(write.key),
            }
        }
        Ok(())
    }
}

impl Difference {
    fn put(&mut self, planned: &PlannedRecord, there: Option<&Object>, expect: Expect) {
        let body = match planned.kind {
            "templates" => planned.body(),
            _ => body(&marked(&planned.object, there)),
        };
        self.changes.puts.push((planned.key.clone(), expect, body));
        *self.added.entry(planned.kind).or_default() += 1;
    }
}

/// Compares a log with the target; `is_older` if the target has a later state of what the log belongs to.
async fn compare_log(
    store: &Store,
    mut planned: PlannedLog,
    head: LogHead,
    is_older: bool,
    difference: &mut Difference,
) -> Result<()> {
    if is_older && planned.same == Same::Task {
        planned.items = planned.items.into_iter().map(ended).collect();
    }
    let (kind, log, length) = (planned.kind, planned.log.clone(), head.length);
    let entries = match (length, planned.same) {
        (0, _) => planned.items.into_iter().map(Item::into_entry).collect(),
        (_, Same::Task) => new_tasks(store, planned, is_older).await?,
        _ => new_entries(store, planned, difference).await?,
    };
    if entries.is_empty() {
        return Ok(());
    }
    if head.state == LogState::Sealed {
        difference.kept.push(Kept::Sealed(log.to_string()));
        return Ok(());
    }
    *difference.added.entry(kind).or_default() += entries.len() as u64;
    difference.changes.appends.push((log, length, entries));
    Ok(())
}

/// Reads an entry of a log as an item, as if it replaced none.
pub(crate) fn stored_item(entry: &LogEntry, same: Same) -> Item {
    let mut body = entry.body.clone();
    if same == Same::Task {
        let mut object = Object::parse(body.as_str()).unwrap_or_default();
        if object.remove(REPLACES).is_some() {
            body = super::index::body(&object);
        }
    }
    Item::stored(body, same, entry.at)
}

/// Returns the entries that the log does not have, each as often as it is missing.
async fn new_entries(store: &Store, planned: PlannedLog, difference: &mut Difference) -> Result<Vec<NewEntry>> {
    let (mut there, mut exactly) = (Multiset::default(), HashSet::<Hash>::new());
    let mut entries = store.read(LogQuery::oldest_first(planned.log.clone(), PAGE));
    while let Some(entry) = entries.try_next().await? {
        let item = stored_item(&entry, planned.same);
        there.add(item.identity());
        exactly.insert(item.whole());
    }
    let mut new = Vec::new();
    let mut variants = false;
    for item in planned.items {
        if there.take(&item.identity()) {
            variants |= !exactly.contains(&item.whole());
        } else {
            new.push(item.into_entry());
        }
    }
    if variants {
        difference.kept.push(Kept::Variant(planned.log.to_string()));
    }
    Ok(new)
}

/// Returns the entries that bring the tasks of a log to their planned state; if that is an older one, only those that
/// do not exist in any state.
async fn new_tasks(store: &Store, planned: PlannedLog, is_older: bool) -> Result<Vec<NewEntry>> {
    // The position and content of each task's newest entry.
    let mut states: HashMap<Hash, VecDeque<(u64, Hash)>> = HashMap::new();
    let mut replaced = HashSet::new();
    let mut items = Vec::new();
    let mut entries = store.read(LogQuery::oldest_first(planned.log.clone(), PAGE));
    while let Some(entry) = entries.try_next().await? {
        let object = Object::parse(entry.body.as_str()).unwrap_or_default();
        replaced.extend(object.read::<u64>(REPLACES));
        items.push((entry.position, stored_item(&entry, Same::Task)));
    }
    for (position, item) in items {
        if !replaced.contains(&position) {
            states.entry(item.identity()).or_default().push_back((position, item.whole()));
        }
    }
    let mut new = Vec::new();
    for item in planned.items {
        match states.get_mut(&item.identity()).and_then(VecDeque::pop_front) {
            None => new.push(item.into_entry()),
            Some((_, whole)) if is_older || whole == item.whole() => {}
            Some((position, _)) => {
                let mut object = Object::parse(item.body.as_str()).unwrap_or_default();
                object.set(REPLACES, position.to_string());
                new.push(NewEntry { at: item.at, body: body(&object) });
            }
        }
    }
    Ok(new)
}
