//! The first pass: finds out what each file is and which ids are in it.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::sync::Arc;

use nofx_core::Timestamp;
use nofx_core::entity::{EntityId, SessionId};
use nofx_core::json::{Object, Text, Value};
use rusqlite::params;
use tokio::sync::OwnedSemaphorePermit;

use super::index::{Index, NamedTemplate, mark, pieces, text};
use super::plan::Thing;
use super::room::Room;
use crate::digest::{Hash, Print, Printing, Running, print, sha256};
use crate::error::MigrateError;
use crate::legacy::{
    self, Item, LegacyContent, LegacyPath, Observations, Outline, Pass, PathHint, Reading, TemplateContent,
};
use crate::report::{FileState, Level, Unused};
use crate::tree::SourceFile;

/// What the first pass found in a file.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) size: u64,
    pub(crate) sha256: Hash,
    pub(crate) print: Print,
    pub(crate) observed: Observations,
    pub(crate) marks: u8,
    /// What it has a part of, by rank and name; checkpoints without an agent have no name.
    pub(crate) parts: Vec<(u8, Option<Vec<u8>>)>,
    pub(crate) templates: Vec<NamedTemplate>,
    /// The ids of its agents or sessions, and the members beside the list of them, as JSON.
    pub(crate) ids: Option<String>,
    pub(crate) around: Option<String>,
    /// With the room that it takes.
    pub(crate) outline: Option<(Outline, OwnedSemaphorePermit)>,
}

/// What to report about a file that was examined.
#[derive(Debug)]
pub(crate) struct SeenFile {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) state: FileState,
    pub(crate) counts: Vec<(&'static str, u64)>,
    pub(crate) findings: Vec<(&'static str, Level, String)>,
    /// Why it cannot be read, if so.
    pub(crate) unreadable: Option<String>,
}

/// Reads a file for the first time, and records what is in it.
pub(crate) fn examine(
    index: &Index,
    at: usize,
    source: &SourceFile,
    outlines: &Room,
) -> Result<SeenFile, MigrateError> {
    let place = LegacyPath::of(&source.path);
    let read = match place.hint {
        PathHint::Kept(..) => digested(source, &place),
        _ => source.read(|bytes| {
            let reading = legacy::read(&place, bytes, Pass::First);
            (bytes.len() as u64, (sha256(bytes), print(bytes)), reading)
        }),
    };
    let (size, digests, reading) = match read {
        Ok(read) => read,
        Err(error) => {
            index.note_unreadable(at, source)?;
            let (counts, findings, unreadable) = (Vec::new(), Vec::new(), Some(error.to_string()));
            let (size, state) = (source.size, FileState::Unreadable);
            return Ok(SeenFile { path: place.path, size, state, counts, findings, unreadable });
        }
    };
    let mut found = examined(at, &place, size, digests, reading, outlines);
    let (counts, findings) = (found.observed.counts.clone(), std::mem::take(&mut found.observed.findings));
    let state = index.note(at, found)?;
    Ok(SeenFile { path: place.path, size, state, counts, findings, unreadable: None })
}

/// Reads a file that becomes no entity, a piece at a time.
fn digested(source: &SourceFile, place: &LegacyPath) -> io::Result<(u64, (Hash, Print), Reading)> {
    let mut digests = (Running::default(), Printing::default());
    let size = pieces(source, |piece| {
        digests.0.add(piece);
        digests.1.add(piece);
    })?;
    // The reader of such files only checks whether there are any bytes.
    let mut reading = legacy::read(place, if size > 0 { b"x" } else { b"" }, Pass::First);
    reading.observed.unused.iter_mut().for_each(|unused: &mut Unused| unused.to = size);
    Ok((size, (digests.0.finish(), digests.1.finish()), reading))
}

fn examined(
    at: usize,
    place: &LegacyPath,
    size: u64,
    (sha256, print): (Hash, Print),
    reading: Reading,
    outlines: &Room,
) -> Examined {
    let rank = place.rank();
    let mut templates = Vec::new();
    let mut name = |content: Option<&TemplateContent>, rank: u8, when: Option<Timestamp>| {
        if let Some((content, id)) = content.and_then(|content| Some((content, content.id.clone()?))) {
            templates.push(NamedTemplate { id, digest: content.digest.clone(), rank, at: when, file: at });
        }
    };
    let (mut ids, mut around, mut marks, mut parts) = (Vec::<Text>::new(), Object::default(), 0, Vec::new());
    match reading.content {
        LegacyContent::Nothing => marks |= mark::NOTHING,
        LegacyContent::Agents(agents) => {
            for entry in &agents.entries {
                ids.push(entry.id.as_text().clone());
                name(entry.template.as_ref(), if rank == 0 { 2 } else { 4 }, agents.saved);
            }
            around = agents.around;
            parts.push(Thing::Agents.part(at, place));
        }
        LegacyContent::Sessions(copies, beside) => {
            around = beside;
            copies.iter().for_each(|copy| name(copy.template.as_ref(), 3, copy.last_active));
            let sessions: BTreeSet<SessionId> = copies.into_iter().map(|copy| copy.id).collect();
            ids = sessions.iter().map(|id| id.as_text().clone()).collect();
            marks |= if ids.len() > 1 { mark::MANY_SESSIONS } else { 0 };
            parts.extend(sessions.into_iter().map(|id| Thing::Session(id).part(at, place)));
        }
        LegacyContent::Checkpoints(Some(agent), _) => parts.push(Thing::Checkpoints(agent.into()).part(at, place)),
        LegacyContent::Checkpoints(None, _) => parts.push((Thing::CHECKPOINTS, None)),
        LegacyContent::Transcript(agent, _) => parts.push(Thing::Transcript(agent.into()).part(at, place)),
        LegacyContent::Orchestration(_) => parts.push(Thing::Orchestration.part(at, place)),
        LegacyContent::Template(content) => {
            name(Some(&content), u8::from(!place.path.starts_with("templates/custom/")), None);
            parts.push(Thing::Template.part(at, place));
        }
    }
    marks |= if parts.is_empty() { 0 } else { mark::THINGS };
    marks |= if reading.parts.is_empty() { 0 } else { mark::PARTS };
    marks |= if reading.observed.keep.is_some() { mark::KEPT } else { 0 };
    let outline = reading.outline.and_then(|outline| outlines.take_now(outline.memory()).map(|taken| (outline, taken)));
    Examined {
        size,
        sha256,
        print,
        observed: reading.observed,
        marks,
        parts,
        templates,
        ids: (!ids.is_empty()).then(|| ids.write()),
        around: (!around.is_empty()).then(|| nofx_core::entity::own(&around).to_json()),
        outline,
    }
}

/// Assigns each list of checkpoints without an agent to the agent whose checkpoints have most in common with it, or else to an agent
/// of its own name; returns what to report about each, by path.
pub(crate) fn name_lists(index: &Arc<Index>) -> Result<Vec<(String, String)>, MigrateError> {
    let select = |sql: &str| -> Result<Vec<usize>, MigrateError> {
        index
            .database
            .with(|database| database.prepare(sql)?.query_map([Thing::CHECKPOINTS], |row| row.get(0))?.collect())
    };
    let mut nameless = Vec::new();
    for at in select("SELECT at FROM part WHERE rank = ? AND name IS NULL ORDER BY at")? {
        nameless.push(Nameless { at, checkpoints: checkpoints(index, at)?, best: None });
    }
    if nameless.is_empty() {
        return Ok(Vec::new());
    }
    let wanted: HashSet<Hash> = nameless.iter().flat_map(|list| &list.checkpoints).copied().collect();
    let mut agent = Agent::default();
    for at in select("SELECT at FROM part WHERE rank = ? AND name IS NOT NULL ORDER BY name, at")? {
        let sql = "SELECT name FROM part WHERE rank = ? AND at = ?";
        let name: Vec<u8> = index.database.with(|database| {
            database.prepare_cached(sql)?.query_row(params![Thing::CHECKPOINTS, at], |row| row.get(0))
        })?;
        if name != agent.name {
            nameless.iter_mut().for_each(|list| list.compare(&agent));
            agent = Agent { name, checkpoints: HashSet::new() };
        }
        agent.checkpoints.extend(checkpoints(index, at)?.intersection(&wanted));
    }
    nameless.iter_mut().for_each(|list| list.compare(&agent));
    let mut told = Vec::new();
    for Nameless { at, best, .. } in nameless {
        let path = index.path(at)?;
        let (name, message) = match best {
            Some((_, name)) => {
                let message = format!("checkpoints without an agent; agent `{}` has the same", text(name.clone()));
                (name, message)
            }
            None => {
                let name = LegacyPath::of(&path.as_str().into()).stem().as_bytes().to_vec();
                (name, "checkpoints without an agent".to_owned())
            }
        };
        let sql = "UPDATE part SET name = ? WHERE rank = ? AND name IS NULL AND at = ?";
        index.database.with(|database| database.execute(sql, params![name, Thing::CHECKPOINTS, at]))?;
        told.push((path, message));
    }
    Ok(told)
}

/// A list of checkpoints without an agent, and the agent that has most of them, with the number.
struct Nameless {
    at: usize,
    checkpoints: HashSet<Hash>,
    best: Option<(usize, Vec<u8>)>,
}

/// The checkpoints of an agent that are in lists without one.
#[derive(Default)]
struct Agent {
    name: Vec<u8>,
    checkpoints: HashSet<Hash>,
}

impl Nameless {
    fn compare(&mut self, agent: &Agent) {
        let common = self.checkpoints.intersection(&agent.checkpoints).count();
        if common > self.best.as_ref().map_or(0, |(best, _)| *best) {
            self.best = Some((common, agent.name.clone()));
        }
    }
}

/// Reads the checkpoints of a file again; none if that is no longer possible, which is reported when they are imported.
fn checkpoints(index: &Index, at: usize) -> Result<HashSet<Hash>, MigrateError> {
    let files = index.files(&[at])?;
    let reading = files.first().and_then(|file| index.read(file).ok());
    Ok(match reading.as_ref().map(|(reading, _)| &reading.content) {
        Some(LegacyContent::Checkpoints(_, items)) => items.iter().map(Item::whole).collect(),
        _ => HashSet::new(),
    })
}
