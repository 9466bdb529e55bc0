//! The first pass: what each file is and which ids are in it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use nofx_core::entity::{EntityId, SessionId, TemplateDigest, TemplateId};
use nofx_core::json::{Object, Text};
use nofx_core::{Body, Timestamp};
use tokio::sync::OwnedSemaphorePermit;

use super::room::Room;
use crate::digest::{Hash, Print, Printing, Running, print, sha256};
use crate::legacy::{self, Content, Item, Judgement, Outline, Pass, Place, Promise, Reading, TemplateContent};
use crate::report::{Level, Unused};
use crate::tree::SourceFile;

/// A file and what the first pass found in it.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) source: SourceFile,
    pub(crate) place: Place,
    pub(crate) size: u64,
    pub(crate) sha256: Hash,
    print: Print,
    pub(crate) judgement: Judgement,
    pub(crate) holds: Holds,
    /// The ids of its agents or sessions.
    pub(crate) ids: Vec<Text>,
    /// Members beside a list of agents or sessions.
    pub(crate) around: Object,
    /// Parts that are kept as they are.
    pub(crate) has_parts: bool,
    names: Vec<NamedTemplate>,
    checkpoints: HashSet<Hash>,
    /// With the room that it takes.
    outline: Option<(Outline, OwnedSemaphorePermit)>,
}

/// What kind of entities a file has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Holds {
    Nothing,
    Agents(Option<Timestamp>),
    Sessions(Vec<SessionId>),
    Checkpoints(Option<String>),
    Transcript(String),
    Orchestration,
    Template,
}

/// A content that a template's name could point to, and what speaks for it.
#[derive(Clone, Debug)]
struct NamedTemplate {
    id: TemplateId,
    digest: TemplateDigest,
    rank: u8,
    at: Option<Timestamp>,
}

/// All files that could be read.
#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) files: Vec<Indexed>,
    // Files of many sessions, which are asked for once for each of them.
    kept: Mutex<Vec<(usize, Arc<Reading>)>>,
}

/// Files of many sessions that are kept in memory.
const KEPT_FILES: usize = 2;

/// Reads a file for the first time. One that cannot be read comes back.
pub(crate) fn examine(source: SourceFile, outlines: &Room) -> Result<Indexed, (SourceFile, io::Error)> {
    let place = Place::of(&source.path);
    let read = match place.promise {
        Promise::Kept(..) => digested(&source, &place),
        _ => source.read(|bytes| {
            let reading = legacy::read(&place, bytes, Pass::First);
            (bytes.len() as u64, (sha256(bytes), print(bytes)), reading)
        }),
    };
    match read {
        Ok((size, digests, reading)) => Ok(indexed(source, place, size, digests, reading, outlines)),
        Err(error) => Err((source, error)),
    }
}

/// Reads a file that becomes no entity, a piece at a time.
fn digested(source: &SourceFile, place: &Place) -> io::Result<(u64, (Hash, Print), Reading)> {
    let mut digests = (Running::default(), Printing::default());
    let size = pieces(source, |piece| {
        digests.0.add(piece);
        digests.1.add(piece);
    })?;
    // The reader of such files looks at nothing but whether there are bytes.
    let mut reading = legacy::read(place, if size > 0 { b"x" } else { b"" }, Pass::First);
    reading.judgement.unused.iter_mut().for_each(|unused: &mut Unused| unused.to = size);
    Ok((size, (digests.0.finish(), digests.1.finish()), reading))
}

/// Shows a file piece by piece, and returns how many bytes it has.
fn pieces(source: &SourceFile, mut see: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut file, mut size) = (source.open()?, 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            read => {
                see(buffer.get(..read).unwrap_or_default());
                size += read as u64;
            }
        }
    }
}

fn indexed(
    source: SourceFile,
    place: Place,
    size: u64,
    (sha256, print): (Hash, Print),
    reading: Reading,
    outlines: &Room,
) -> Indexed {
    let rank = place.rank();
    let mut names = Vec::new();
    let mut name = |content: Option<&TemplateContent>, rank: u8, at: Option<Timestamp>| {
        if let Some((content, id)) = content.and_then(|content| Some((content, content.id.clone()?))) {
            names.push(NamedTemplate { id, digest: content.digest.clone(), rank, at });
        }
    };
    let (mut ids, mut around, mut checkpoints) = (Vec::new(), Object::default(), HashSet::new());
    let holds = match reading.content {
        Content::Nothing => Holds::Nothing,
        Content::Agents(agents) => {
            for entry in &agents.entries {
                ids.push(entry.id.as_text().clone());
                name(entry.template.as_ref(), if rank == 0 { 2 } else { 4 }, agents.saved);
            }
            around = agents.around;
            Holds::Agents(agents.saved)
        }
        Content::Sessions(copies, beside) => {
            around = beside;
            copies.iter().for_each(|copy| name(copy.template.as_ref(), 3, copy.last_active));
            let sessions: BTreeSet<SessionId> = copies.into_iter().map(|copy| copy.id).collect();
            ids = sessions.iter().map(|id| id.as_text().clone()).collect();
            Holds::Sessions(sessions.into_iter().collect())
        }
        Content::Checkpoints(agent, items) => {
            checkpoints = items.iter().map(Item::whole).collect();
            Holds::Checkpoints(agent)
        }
        Content::Transcript(agent, _) => Holds::Transcript(agent),
        Content::Orchestration(_) => Holds::Orchestration,
        Content::Template(content) => {
            name(Some(&content), u8::from(!place.path.starts_with("templates/custom/")), None);
            Holds::Template
        }
    };
    let has_parts = !reading.parts.is_empty();
    let judgement = reading.judgement;
    let outline = reading.outline.and_then(|outline| outlines.take_now(outline.memory()).map(|taken| (outline, taken)));
    Indexed {
        source,
        place,
        size,
        sha256,
        print,
        judgement,
        holds,
        ids,
        around,
        has_parts,
        names,
        checkpoints,
        outline,
    }
}

impl Index {
    pub(crate) fn new(mut files: Vec<Indexed>) -> Self {
        name_lists(&mut files);
        Self { files, kept: Mutex::default() }
    }

    /// Reads a file again, and tells whether it is as it was.
    pub(crate) fn read(&self, at: usize) -> io::Result<(Arc<Reading>, bool)> {
        let Some(file) = self.files.get(at) else { return Err(io::Error::other("no such file")) };
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, reading)) = kept().iter().find(|(kept, _)| *kept == at) {
            return Ok((reading.clone(), true));
        }
        let (reading, is_same) = file.source.read(|bytes| {
            let is_same = print(bytes) == file.print;
            let outline = file.outline.as_ref().map(|(outline, _)| outline).filter(|_| is_same);
            (Arc::new(legacy::read(&file.place, bytes, Pass::Second(outline))), is_same)
        })?;
        if is_same && file.ids.len() > 1 && matches!(file.holds, Holds::Sessions(_)) {
            let mut kept = kept();
            kept.truncate(KEPT_FILES - 1);
            kept.insert(0, (at, reading.clone()));
        }
        Ok((reading, is_same))
    }

    /// Returns how many bytes some files have.
    pub(crate) fn size(&self, files: &[usize]) -> u64 {
        files.iter().filter_map(|at| self.files.get(*at)).map(|file| file.size).sum()
    }

    /// Reads a file again and returns whether it has the bytes that it had in the first pass.
    pub(crate) fn is_same(&self, at: usize) -> bool {
        let Some(file) = self.files.get(at) else { return false };
        let mut printing = Printing::default();
        pieces(&file.source, |piece| printing.add(piece)).is_ok() && printing.finish() == file.print
    }

    /// Lets go of everything that is kept in memory, so that files are read again.
    pub(crate) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns the newest content of each template that has a name, and the file it is from.
    ///
    /// A file among the custom templates counts as newer than one among the templates, that as newer than a copy in
    /// `agents.json`, that as newer than the copy in the session that was last active, that as newer than a snapshot's.
    /// What is left is settled by path, so that times of files do not matter.
    pub(crate) fn newest_templates(&self) -> BTreeMap<TemplateId, (TemplateDigest, usize)> {
        let mut newest: BTreeMap<TemplateId, (&NamedTemplate, usize)> = BTreeMap::new();
        for (at, file) in self.files.iter().enumerate() {
            for name in &file.names {
                let best = newest.entry(name.id.clone()).or_insert((name, at));
                let is_newer = name.rank < best.0.rank || (name.rank == best.0.rank && name.at > best.0.at);
                if is_newer {
                    *best = (name, at);
                }
            }
        }
        newest.into_iter().map(|(id, (name, at))| (id, (name.digest.clone(), at))).collect()
    }
}

/// Gives each list of checkpoints without an agent to the agent with whose checkpoints it has most in common, or else to one
/// of its own name.
fn name_lists(files: &mut [Indexed]) {
    let mut known: HashMap<String, HashSet<Hash>> = HashMap::new();
    for file in files.iter() {
        if let Holds::Checkpoints(Some(agent)) = &file.holds {
            known.entry(agent.clone()).or_default().extend(&file.checkpoints);
        }
    }
    for file in files.iter_mut().filter(|file| file.holds == Holds::Checkpoints(None)) {
        let common = |agent: &String| known.get(agent).map_or(0, |known| known.intersection(&file.checkpoints).count());
        let mut agents: Vec<&String> = known.keys().collect();
        agents.sort();
        let best = agents.into_iter().rev().max_by_key(|agent| common(agent)).filter(|agent| common(agent) > 0);
        let (agent, message) = match best {
            Some(agent) => (agent.clone(), format!("checkpoints without an agent; agent `{agent}` has the same")),
            None => (file.place.stem().to_owned(), "checkpoints without an agent".to_owned()),
        };
        file.judgement.findings.push(("nameless-checkpoints", Level::Note, message));
        file.holds = Holds::Checkpoints(Some(agent));
    }
}

/// The record that points a template's name to a content.
pub(crate) fn name_record(id: TemplateId, digest: TemplateDigest) -> (nofx_core::RecordKey, Object) {
    use nofx_core::entity::{Entity, RecordEntity, TemplateName};
    let name = TemplateName::new(id, digest);
    (name.key(), name.to_object())
}

/// A body of an object.
pub(crate) fn body(object: &Object) -> Body {
    Body::trusted(object.to_json())
}
