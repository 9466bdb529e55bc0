//! The second pass: what the target must have of one thing, merged from all files that have it.

use std::collections::BTreeMap;
use std::sync::Arc;

use nofx_core::entity::{
    Agent, AgentId, Checkpoint, Entity, EntityId, Message, RecordEntity, Role, Session, SessionId, TemplateDigest,
    TemplateId, TemplateName, TranscriptPart, key_of,
};
use nofx_core::json::{Object, Text};
use nofx_core::workspace::preview;
use nofx_core::{Body, LogKey, RecordKey, Timestamp};

use super::index::{Index, Indexed, body};
use super::merge::merge;
use crate::legacy::{AgentEntry, Item, LegacyContent, Reading, Same, SessionCopy, TemplateContent, complete_by_name};

/// A thing that is merged from one or several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// The template of one file.
    Template,
    /// All agents.
    Agents,
    /// The messages between agents in one file; files in the order in which they were written.
    Orchestration,
    /// A session.
    Session(SessionId),
    /// The checkpoints of an agent.
    Checkpoints(AgentId),
    /// The transcript of an agent.
    Transcript(AgentId),
}

/// What the target must have of one thing.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) records: Vec<PlannedRecord>,
    pub(crate) logs: Vec<PlannedLog>,
    /// What a list of sessions shows of a session's history.
    pub(crate) preview: Option<Text>,
    /// Messages between agents, which are spread over several logs.
    pub(crate) orchestration: Option<Vec<Item>>,
    /// Files that could not be read again, and why.
    pub(crate) unreadable: Vec<(usize, String)>,
    /// Files that have changed since the first pass.
    pub(crate) changed: Vec<usize>,
    /// Files with a copy that differs from the one that is used, and in how many items.
    pub(crate) variants: Vec<(usize, usize)>,
}

/// A record that the target must have.
#[derive(Debug)]
pub(crate) struct PlannedRecord {
    pub(crate) kind: &'static str,
    pub(crate) key: RecordKey,
    pub(crate) object: Object,
    /// The id, for things that people delete.
    pub(crate) id: Option<Text>,
    /// The time of this state, for things that the old extension changes and dates.
    pub(crate) at: Option<Timestamp>,
    /// Whether no file has all of it.
    pub(crate) is_damaged: bool,
}

/// Entries that a log must have.
#[derive(Debug)]
pub(crate) struct PlannedLog {
    pub(crate) kind: &'static str,
    pub(crate) log: LogKey,
    pub(crate) same: Same,
    pub(crate) items: Vec<Item>,
}

/// Reads all files that have a thing and merges what they say.
pub(crate) fn plan(index: &Index, thing: &Thing, files: &[Indexed]) -> Plan {
    let mut plan = Plan::default();
    let mut readings = Vec::new();
    for file in files {
        match index.read(file) {
            Ok((reading, is_same)) => {
                if !is_same {
                    plan.changed.push(file.at);
                }
                readings.push((file, reading));
            }
            Err(error) => plan.unreadable.push((file.at, error.to_string())),
        }
    }
    match thing {
        Thing::Template => {
            for (_, reading) in &readings {
                if let LegacyContent::Template(content) = &reading.content {
                    plan.add_template(content);
                }
            }
        }
        Thing::Agents => plan_agents(&mut plan, &readings),
        Thing::Session(id) => plan_session(&mut plan, id, readings),
        Thing::Checkpoints(agent) => {
            let lists = lists(&readings, |content| match content {
                LegacyContent::Checkpoints(_, items) => Some(items.clone()),
                _ => None,
            });
            plan.add_lists("checkpoints", Checkpoint::log(agent), lists);
        }
        Thing::Transcript(agent) => {
            let lists = lists(&readings, |content| match content {
                LegacyContent::Transcript(_, items) => Some(items.clone()),
                _ => None,
            });
            plan.add_lists("transcript parts", TranscriptPart::log(agent), lists);
        }
        Thing::Orchestration => {
            let mut messages = Vec::new();
            for (_, reading) in readings {
                match Arc::try_unwrap(reading).map(|reading| reading.content) {
                    Ok(LegacyContent::Orchestration(items)) => messages.extend(items),
                    Err(shared) => {
                        if let LegacyContent::Orchestration(items) = &shared.content {
                            messages.extend(items.iter().cloned());
                        }
                    }
                    _ => {}
                }
            }
            plan.orchestration = Some(messages);
        }
    }
    plan
}

/// Returns the lists of several files, in order of precedence.
fn lists(
    readings: &[(&Indexed, Arc<Reading>)],
    take: impl Fn(&LegacyContent) -> Option<Vec<Item>>,
) -> Vec<(usize, Vec<Item>)> {
    let mut lists: Vec<_> =
        readings.iter().filter_map(|(file, reading)| Some((*file, take(&reading.content)?))).collect();
    // Snapshots are named with the time of their creation: the later one comes first.
    lists.sort_by_key(|(file, _)| (file.place.rank(), std::cmp::Reverse(file.place.path.clone())));
    lists.into_iter().map(|(file, items)| (file.at, items)).collect()
}

impl Plan {
    /// Returns whether every file was read and is unchanged since the first pass.
    pub(crate) fn is_of_what_was_examined(&self) -> bool {
        self.unreadable.is_empty() && self.changed.is_empty()
    }

    fn add_template(&mut self, content: &TemplateContent) {
        let key = content.digest.record_key(nofx_core::kind::TEMPLATE);
        if self.records.iter().any(|record| record.key == key) {
            return;
        }
        let object = Object::parse(content.body.as_str()).unwrap_or_default();
        self.records.push(PlannedRecord { kind: "templates", key, object, id: None, at: None, is_damaged: false });
    }

    fn add_lists(&mut self, kind: &'static str, log: LogKey, lists: Vec<(usize, Vec<Item>)>) {
        let mut lists = lists.into_iter();
        let Some((_, mut items)) = lists.next() else { return };
        for (at, other) in lists {
            match merge(&mut items, other) {
                0 => {}
                variants => self.variants.push((at, variants)),
            }
        }
        self.logs.push(PlannedLog { kind, log, same: Same::Whole, items });
    }
}

fn plan_agents(plan: &mut Plan, readings: &[(&Indexed, Arc<Reading>)]) {
    let mut lists: Vec<_> = readings
        .iter()
        .filter_map(|(file, reading)| match &reading.content {
            LegacyContent::Agents(agents) => Some((file.at, file.place.clone(), agents)),
            _ => None,
        })
        .collect();
    lists.sort_by_key(|(_, place, agents)| {
        (
            place.rank() > 0 && !place.is_outside(),
            std::cmp::Reverse(agents.saved),
            std::cmp::Reverse(place.path.clone()),
        )
    });
    let entries = || lists.iter().flat_map(|(_, _, agents)| agents.entries.iter().map(|entry| (entry, agents.saved)));
    let mut chosen: BTreeMap<AgentId, (&AgentEntry, Option<Timestamp>)> = BTreeMap::new();
    for is_whole in [true, false] {
        for (entry, saved) in entries().filter(|(entry, _)| entry.whole == is_whole) {
            chosen.entry(entry.id.clone()).or_insert((entry, saved));
        }
    }
    for content in entries().filter_map(|(entry, _)| entry.template.as_ref()) {
        plan.add_template(content);
    }
    // Snapshots are older copies by nature; lists from elsewhere are not.
    for (at, _, agents) in lists.iter().filter(|(_, place, _)| place.rank() == 0 || place.is_outside()) {
        let differs = |entry: &&AgentEntry| chosen.get(&entry.id).is_some_and(|(one, _)| one.record != entry.record);
        match agents.entries.iter().filter(differs).count() {
            0 => {}
            variants => plan.variants.push((*at, variants)),
        }
    }
    for (id, (entry, at)) in chosen {
        plan.records.push(PlannedRecord {
            kind: "agents",
            key: key_of::<Agent>(&id),
            object: entry.record.clone(),
            id: Some(id.as_text().clone()),
            at,
            is_damaged: !entry.whole,
        });
    }
}

fn plan_session(plan: &mut Plan, id: &SessionId, readings: Vec<(&Indexed, Arc<Reading>)>) {
    let mut copies: Vec<(&Indexed, SessionCopy)> = Vec::new();
    for (file, reading) in readings {
        let of_id = |copy: &&SessionCopy| copy.id == *id;
        // Only for a file of many sessions may the rest be needed again.
        match Arc::try_unwrap(reading).map(|reading| reading.content) {
            Ok(LegacyContent::Sessions(sessions, _)) => {
                copies.extend(sessions.into_iter().filter(|copy| of_id(&copy)).map(|copy| (file, copy)));
            }
            Err(shared) => {
                if let LegacyContent::Sessions(sessions, _) = &shared.content {
                    copies.extend(sessions.iter().filter(of_id).map(|copy| (file, copy.clone())));
                }
            }
            Ok(_) => {}
        }
    }
    // The copy that was active last takes precedence; of several, the archived one, which the old extension wrote last.
    copies.sort_by_key(|(file, copy)| {
        let place = (file.place.rank(), file.place.path.clone());
        (std::cmp::Reverse((copy.last_active, copy.archived, copy.whole)), place)
    });
    for (_, copy) in &copies {
        copy.template.iter().for_each(|content| plan.add_template(content));
    }
    let mut copies = copies.into_iter();
    let Some((_, mut first)) = copies.next() else { return };
    for (file, copy) in copies {
        if !first.whole {
            complete(&mut first.header, &copy.header);
        }
        match merge(&mut first.messages, copy.messages) {
            0 => {}
            variants => plan.variants.push((file.at, variants)),
        }
        // A task changes while it is worked on; the newest state of each takes precedence.
        merge(&mut first.tasks, copy.tasks.into_iter().map(ended).collect());
        first.named = first.named.or(copy.named);
    }
    if let Some(named) = first.named.filter(|_| !first.whole) {
        complete_by_name(&mut first.header, &named);
    }
    first.tasks.sort_by_key(is_current);
    let said = first.messages.iter().find(|item| item.is_said_by(Role::User));
    plan.preview = preview(&said.and_then(|item| Message::from_body(&item.body).ok()));
    plan.records.push(PlannedRecord {
        kind: "sessions",
        key: key_of::<Session>(id),
        object: first.header,
        id: Some(id.as_text().clone()),
        at: first.last_active,
        is_damaged: !first.whole,
    });
    plan.logs.push(PlannedLog {
        kind: "messages",
        log: Session::history(id),
        same: Same::Message,
        items: first.messages,
    });
    plan.logs.push(PlannedLog { kind: "tasks", log: Session::tasks(id), same: Same::Task, items: first.tasks });
}

/// Adds members that a damaged header lost.
pub(crate) fn complete(header: &mut Object, other: &Object) {
    let has_prompt = header.get("systemPrompt").is_some() || header.get("$promptIsTemplates").is_some();
    let has_template = header.get("template").is_some() || header.get("$template").is_some();
    for (name, value) in other.iter() {
        let Some(name) = name.as_str() else { continue };
        let is_settled = match name {
            "systemPrompt" | "$promptIsTemplates" => has_prompt,
            "template" | "$template" => has_template,
            _ => header.get(name).is_some(),
        };
        if !is_settled {
            header.set(name, value);
        }
    }
}

/// The slot is the last member that was set.
fn is_current(task: &Item) -> bool {
    task.body.as_str().ends_with(r#""$slot":"current"}"#)
}

/// Marks a task of an older copy as ended: the session continued without it.
pub(crate) fn ended(task: Item) -> Item {
    if is_current(&task)
        && let Ok(mut object) = Object::parse(task.body.as_str())
    {
        object.set("$slot", r#""completed""#);
        return task.with_body(body(&object));
    }
    task
}

/// Plans the record that points a template's name to its newest content.
pub(crate) fn plan_name(id: TemplateId, digest: TemplateDigest) -> PlannedRecord {
    let text = id.as_text().clone();
    let name = TemplateName::new(id, digest);
    let (key, object) = (name.key(), name.to_object());
    PlannedRecord { kind: "template names", key, object, id: Some(text), at: None, is_damaged: false }
}

impl PlannedRecord {
    pub(crate) fn body(&self) -> Body {
        body(&self.object)
    }
}
