//! `agents.json`.

use nofx_core::Timestamp;
use nofx_core::entity::{AgentId, own};
use nofx_core::json::{Object, Text, Value, compact};

use super::item::{fits, object, time};
use super::observations::Recorder;
use super::salvage::{self, offset};
use super::template::{self, TemplateContent};

/// The agents of one file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    pub(crate) entries: Vec<AgentEntry>,
    /// When the file was written, as it says.
    pub(crate) saved: Option<Timestamp>,
    /// The members beside the list.
    pub(crate) around: Object,
}

/// An agent as one file has it.
#[derive(Clone, Debug)]
pub(crate) struct AgentEntry {
    pub(crate) id: AgentId,
    pub(crate) record: Object,
    pub(crate) template: Option<TemplateContent>,
    /// Whether the object was read to its end.
    pub(crate) whole: bool,
}

/// Reads the file whose content is `text`.
pub(crate) fn read(text: &str, base: usize, recorder: &mut Recorder<'_>) -> Agents {
    let found = salvage::members(text);
    let (mut agents, mut list) = (Agents::default(), None);
    for (name, value) in &found.whole {
        let name = Text::from_json(name).unwrap_or_default();
        match name.as_str() == Some("agents") && value.starts_with('[') {
            true => list = Some(*value),
            false => agents.around.push(&name, compact(value).unwrap_or_default()),
        }
    }
    if let Some(error) = &found.error {
        let mut tail = found.end;
        if let Some((r#""agents""#, rest)) = found.damaged {
            let partial = salvage::items(rest);
            list = Some(rest);
            tail = offset(text, rest) + partial.end;
        }
        recorder.damaged("cut", (base + tail, base + text.len()), &format!("the list is damaged: {}", error.reason));
    }
    agents.saved = agents.around.get("timestamp").and_then(time);
    if let Some(list) = list {
        agents.entries = entries(list, base + offset(text, list), recorder);
    }
    agents
}

/// Reads a bare list, which was written when the last of its agents was active.
pub(crate) fn read_list(list: &str, base: usize, recorder: &mut Recorder<'_>) -> Agents {
    let entries = entries(list, base, recorder);
    let items = salvage::items(list);
    if let Some(error) = &items.error {
        recorder.damaged(
            "cut",
            (base + items.end, base + list.len()),
            &format!("the list is damaged: {}", error.reason),
        );
    }
    let saved = entries.iter().filter_map(|entry| time(entry.record.get("lastActiveAt")?)).max();
    let mut around = Object::default();
    // So that an older list does not take precedence later.
    saved.iter().for_each(|saved| around.set("timestamp", saved.write()));
    Agents { entries, saved, around }
}

fn entries(list: &str, base: usize, recorder: &mut Recorder<'_>) -> Vec<AgentEntry> {
    let mut entries: Vec<AgentEntry> = Vec::new();
    let items = salvage::items(list);
    for raw in &items.whole {
        let from = base + offset(list, raw);
        let to = from + raw.len();
        let Some(entry) = object(raw) else {
            recorder.damaged("not-an-object", (from, to), "an agent is no object");
            continue;
        };
        let Some(entry) = entry_of(&entry, true) else {
            recorder.damaged("no-id", (from, to), "an agent has no id");
            continue;
        };
        if !fits(raw.len()) {
            recorder.damaged("too-large", (from, to), "an agent is larger than a store takes");
            continue;
        }
        if entries.iter().any(|other| other.id == entry.id) {
            recorder.damaged("repeated-agent", (from, to), &format!("agent `{}` is there before", entry.id));
            continue;
        }
        entries.push(entry);
    }
    if let Some(half) = items.damaged {
        let mut partial = Object::default();
        for (name, value) in salvage::members(half).whole {
            partial.push(&Text::from_json(name).unwrap_or_default(), compact(value).unwrap_or_default());
        }
        entries.extend(entry_of(&partial, false));
    }
    recorder.observed.count("agents", entries.len());
    entries
}

fn entry_of(foreign: &Object, whole: bool) -> Option<AgentEntry> {
    let id = foreign.read::<AgentId>("id")?;
    let mut record = own(foreign);
    let template = template::take(&mut record);
    Some(AgentEntry { id, record, template, whole })
}
