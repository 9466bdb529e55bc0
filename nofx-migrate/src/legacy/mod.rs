//! Readers for everything that the old extension wrote.
//!
//! Nothing here touches a file or a store: bytes go in, entities in their stored form come out, together with whatever could
//! not be understood.

mod agents;
mod decode;
mod item;
mod observations;
mod orchestration;
mod outline;
mod path;
mod salvage;
mod session;
mod template;
mod transcript;

use nofx_core::Timestamp;
use nofx_core::json::{Object, Text, compact};

pub(crate) use agents::{AgentEntry, Agents};
pub(crate) use decode::decode;
pub(crate) use item::{Item, Same, time};
pub(crate) use observations::{Observations, Pass};
pub(crate) use outline::Outline;
pub(crate) use path::{LegacyPath, PathHint};
pub(crate) use salvage::members;
pub(crate) use session::{SessionCopy, complete_by_name};
pub(crate) use template::TemplateContent;

use decode::Decoded;
use item::{ItemBuffer, fits, object};
use observations::Recorder;
use salvage::offset;

/// What reading a file found.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) observed: Observations,
    pub(crate) content: LegacyContent,
    /// Parts of the file that are kept unchanged: the name of each, and its bytes.
    pub(crate) parts: Vec<(String, Vec<u8>)>,
    /// Lets the second pass find what the first has found.
    pub(crate) outline: Option<Outline>,
}

/// What a file became.
#[derive(Debug)]
pub(crate) enum LegacyContent {
    /// No entity.
    Nothing,
    /// Agents.
    Agents(Agents),
    /// Sessions: one, or those of an archive and the members beside their list.
    Sessions(Vec<SessionCopy>, Object),
    /// Checkpoints of an agent; `None` if the file name does not say of which.
    Checkpoints(Option<String>, Vec<Item>),
    /// The transcript of an agent.
    Transcript(String, Vec<Item>),
    /// Messages between agents.
    Orchestration(Vec<Item>),
    /// A template.
    Template(TemplateContent),
}

/// Reads a file.
pub(crate) fn read(place: &LegacyPath, bytes: &[u8], pass: Pass<'_>) -> Reading {
    let size = bytes.len() as u64;
    if let PathHint::Kept(became, reason) = place.hint {
        // `examine` passes a single byte for a file of any size, so only emptiness may be tested here.
        return whole(if bytes.is_empty() { empty() } else { Observations::kept(became, reason) }, size);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return blank(place, bytes);
    }
    if place.hint == PathHint::Orchestration {
        return read_orchestration(bytes, pass);
    }
    let decoded = decode(bytes);
    let mut recorder = Recorder::new(&decoded, pass);
    let content = match place.hint {
        PathHint::Transcript => {
            recorder.observed.became = "transcript";
            recorder.observed.keep = Some("a transcript, which cannot be split with certainty".to_owned());
            let parts = transcript::read(&decoded.text);
            recorder.observed.count("transcript parts", parts.len());
            LegacyContent::Transcript(place.agent().unwrap_or_default().to_owned(), parts)
        }
        _ => read_json(place, &decoded, &mut recorder),
    };
    let outline = recorder.outline.take();
    let observed = recorder.finish(size);
    match content {
        LegacyContent::Nothing => whole(observed, size),
        content => Reading { observed, content, parts: Vec::new(), outline },
    }
}

/// Completes the reading of a file that became no entity, not even in part.
fn whole(mut observed: Observations, size: u64) -> Reading {
    let reason = observed.keep.clone().unwrap_or_else(|| observed.became.to_owned());
    if size > 0 && observed.keep.is_some() {
        observed.unused = vec![crate::report::Unused { from: 0, to: size, reason }];
    }
    Reading { observed, content: LegacyContent::Nothing, parts: Vec::new(), outline: None }
}

fn empty() -> Observations {
    Observations { became: "empty", ..Observations::default() }
}

/// Reads a file that should hold something, but is empty or only zeros. The file name of a session is used all the same.
fn blank(place: &LegacyPath, bytes: &[u8]) -> Reading {
    let what = if bytes.is_empty() { "empty" } else { "filled with zeroes" };
    let mut reading = whole(
        match bytes.is_empty() {
            true => empty(),
            false => Observations::kept("zeroes", "filled with zeroes"),
        },
        bytes.len() as u64,
    );
    let observed = &mut reading.observed;
    let named = session::from_name(place.stem()).filter(|_| place.hint == PathHint::Sessions);
    match named {
        Some(copy) => {
            observed.became = "session";
            observed.count("sessions", 1);
            observed.findings.push((
                "blank-session",
                crate::report::Level::Warning,
                format!(
                    "the file is {what}; only the session's name, agent and beginning are left, from the file's name"
                ),
            ));
            reading.content = LegacyContent::Sessions(vec![copy], Object::default());
        }
        None => observed.findings.push(("blank", crate::report::Level::Warning, format!("the file is {what}"))),
    }
    reading
}

fn read_orchestration(bytes: &[u8], pass: Pass<'_>) -> Reading {
    let size = bytes.len() as u64;
    let decoded = decode(bytes);
    let mut recorder = Recorder::new(&decoded, pass);
    recorder.observed.became = "orchestration log";
    let lines = orchestration::read(&decoded, &mut recorder);
    let mut observed = recorder.finish(size);
    if !lines.bad.is_empty() {
        // They are kept instead.
        observed.keep = None;
    }
    let part = |(number, from, to): &(usize, usize, usize)| {
        (format!("line-{number}"), bytes.get(*from..*to).unwrap_or_default().to_vec())
    };
    Reading {
        observed,
        content: LegacyContent::Orchestration(lines.messages),
        parts: lines.bad.iter().map(part).collect(),
        outline: None,
    }
}

fn read_json(place: &LegacyPath, decoded: &Decoded<'_>, recorder: &mut Recorder<'_>) -> LegacyContent {
    let text = decoded.text.trim_ascii_start();
    let base = offset(&decoded.text, text);
    let mut has_repeated_names = false;
    let (content, end) = match text.as_bytes().first() {
        Some(b'{') => {
            let outlined = match recorder.pass {
                Pass::Second(outline) => outline.and_then(|outline| outline.members(text)),
                Pass::First => None,
            };
            let found = outlined.unwrap_or_else(|| salvage::members(text));
            if recorder.pass.is_first() {
                recorder.outline = Outline::of(text, &found);
            }
            has_repeated_names = found.has_repeated_names;
            read_object(place, text, base, &found, recorder)
        }
        Some(b'[') => {
            has_repeated_names = recorder.pass.is_first() && salvage::has_repeated_names(text);
            read_array(place, text, base, recorder)
        }
        _ => {
            recorder.observed = Observations::kept("stray", "not JSON, whatever its name says");
            recorder.observed.findings.push((
                "not-json",
                crate::report::Level::Warning,
                "not JSON, whatever its name says".to_owned(),
            ));
            (LegacyContent::Nothing, text.len())
        }
    };
    if matches!(content, LegacyContent::Nothing) {
        return content;
    }
    let rest = text.get(end..).unwrap_or_default();
    if !recorder.observed.is_cut() && !rest.trim_ascii().is_empty() {
        recorder.damaged("trailing", (base + end, base + text.len()), "something follows the end of the data");
    }
    if has_repeated_names {
        recorder.observed.damaged("repeated-name", "a member occurs twice in one object; the last one counts");
    }
    content
}

fn read_object(
    place: &LegacyPath,
    text: &str,
    base: usize,
    found: &salvage::SalvagedMembers<'_>,
    recorder: &mut Recorder<'_>,
) -> (LegacyContent, usize) {
    let is_known = |name: &str| {
        let literal = |literal: &&str| Text::from_json(literal).is_some_and(|text| text == name);
        found.whole.iter().map(|(name, _)| name).chain(found.damaged.as_ref().map(|(name, _)| name)).any(literal)
    };
    let is_list = |name: &str| {
        let literal = |literal: &str| Text::from_json(literal).is_some_and(|text| text == name);
        let whole = found.whole.iter().rev().find(|(found, _)| literal(found)).map(|(_, value)| *value);
        let damaged = found.damaged.filter(|(found, _)| literal(found)).map(|(_, value)| value);
        damaged.or(whole).is_some_and(|value| value.starts_with('['))
    };
    match place.hint {
        PathHint::Agents if is_list("agents") || found.error.is_some() => {
            recorder.observed.became = "agents";
            return (LegacyContent::Agents(agents::read(text, base, recorder)), found.end);
        }
        PathHint::Template => return read_template(place, text, found, recorder),
        _ => {}
    }
    let promises_sessions = place.hint == PathHint::Sessions;
    let has_history = is_list("conversationHistory") || (promises_sessions && is_known("conversationHistory"));
    let looks_like_one = promises_sessions && is_known("id") && is_known("agentId");
    let is_named_so = promises_sessions && session::is_named_so(place.stem());
    if is_list("sessions") && !has_history && !looks_like_one {
        return (read_archive(place, text, base, found, recorder), found.end);
    }
    if has_history || looks_like_one || is_named_so {
        recorder.observed.became = "session";
        let copy = session::read(text, found, base, place.stem(), recorder);
        return (LegacyContent::Sessions(vec![copy], Object::default()), found.end);
    }
    let (became, reason) = match place.name().ends_with("_checkpoint.json") {
        true => ("checkpoints", "checkpoints that are no list"),
        false => ("stray", "of no shape that the old extension wrote"),
    };
    let keep = recorder.observed.keep.take();
    recorder.observed = Observations::kept(became, keep.as_deref().unwrap_or(reason));
    recorder.observed.note("unknown-shape", reason);
    (LegacyContent::Nothing, found.end)
}

fn read_template(
    place: &LegacyPath,
    text: &str,
    found: &salvage::SalvagedMembers<'_>,
    recorder: &mut Recorder<'_>,
) -> (LegacyContent, usize) {
    let whole = text.get(..found.end).and_then(object);
    match whole.filter(|_| found.error.is_none() && fits(found.end)) {
        Some(foreign) => {
            recorder.observed.became = "template";
            recorder.observed.count("templates", 1);
            let mut content = TemplateContent::new(&foreign);
            if content.id.is_none() {
                content.id = Some(place.stem().into());
            }
            (LegacyContent::Template(content), found.end)
        }
        None => {
            recorder.observed = Observations::kept("template", "a template that is damaged");
            recorder.observed.findings.push((
                "cut",
                crate::report::Level::Warning,
                "a template that is damaged; the file is kept".to_owned(),
            ));
            (LegacyContent::Nothing, found.end)
        }
    }
}

/// Reads `{sessions: […], exportedAt, …}`.
fn read_archive(
    place: &LegacyPath,
    text: &str,
    base: usize,
    found: &salvage::SalvagedMembers<'_>,
    recorder: &mut Recorder<'_>,
) -> LegacyContent {
    recorder.observed.became = "archive";
    let (mut around, mut list) = (Object::default(), None);
    for (name, value) in &found.whole {
        let name = Text::from_json(name).unwrap_or_default();
        match name == "sessions" && value.starts_with('[') {
            true => list = Some(*value),
            false => around.push(&name, compact(value).unwrap_or_default()),
        }
    }
    let mut copies = Vec::new();
    if let Some(list) = list {
        copies = read_sessions(place, list, base + offset(text, list), recorder);
    }
    if let Some(error) = &found.error {
        let mut tail = found.end;
        if let Some((r#""sessions""#, rest)) = found.damaged {
            copies = read_sessions(place, rest, base + offset(text, rest), recorder);
            tail = offset(text, rest) + salvage::items(rest).end;
        }
        // If a session is truncated, the session's reader reports what became nothing.
        if !recorder.observed.is_cut() {
            recorder.damaged(
                "cut",
                (base + tail, base + text.len()),
                &format!("the archive is damaged: {}", error.reason),
            );
        }
    }
    LegacyContent::Sessions(copies, around)
}

/// Reads the sessions of a list, even if it is truncated.
fn read_sessions(place: &LegacyPath, list: &str, base: usize, recorder: &mut Recorder<'_>) -> Vec<SessionCopy> {
    let items = salvage::items(list);
    let mut copies = Vec::new();
    for raw in items.whole.iter().copied().chain(items.damaged) {
        let at = base + offset(list, raw);
        if raw.starts_with('{') {
            let stem = match copies.len() {
                0 => place.stem().to_owned(),
                before => format!("{}#{}", place.stem(), before + 1),
            };
            if place.is_outside() && session::is_invented(raw) {
                let why = "a session without an id, which the extension made of a list of checkpoints";
                recorder.unused(at, at + raw.len(), why);
                recorder.observed.keep.get_or_insert_with(|| why.to_owned());
                continue;
            }
            copies.push(session::read(raw, &salvage::members(raw), at, &stem, recorder));
        } else {
            recorder.damaged("not-an-object", (at, at + raw.len()), "a session is no object");
        }
    }
    copies
}

/// Reads a list: checkpoints, or sessions without their wrapper.
fn read_array(place: &LegacyPath, text: &str, base: usize, recorder: &mut Recorder<'_>) -> (LegacyContent, usize) {
    if place.hint == PathHint::Agents {
        recorder.observed.became = "agents";
        let agents = agents::read_list(text, base, recorder);
        return (LegacyContent::Agents(agents), salvage::items(text).end);
    }
    let found = salvage::items(text);
    let has = |names: &[&str]| {
        let is_one = |raw: &&str| object(raw).is_some_and(|item| names.iter().any(|name| item.get(name).is_some()));
        found.whole.iter().any(is_one)
    };
    let is_place = place.hint == PathHint::Sessions;
    let is_empty_state = place.is_outside() && found.error.is_none() && found.whole.is_empty();
    if is_place && (is_empty_state || has(&["conversationHistory", "agentId"])) {
        recorder.observed.became = "sessions";
        let copies = read_sessions(place, text, base, recorder);
        if let Some(error) = found.error.as_ref().filter(|_| !recorder.observed.is_cut()) {
            recorder.damaged(
                "cut",
                (base + found.end, base + text.len()),
                &format!("the list is damaged: {}", error.reason),
            );
        }
        return (LegacyContent::Sessions(copies, Object::default()), found.end);
    }
    if is_place && (place.agent().is_some() || has(&["user", "agent"])) {
        return (read_checkpoints(place, text, base, &found, recorder), found.end);
    }
    recorder.observed = Observations::kept("stray", "a list of nothing that the old extension wrote");
    recorder.observed.note("unknown-shape", "a list of nothing that the old extension wrote");
    (LegacyContent::Nothing, found.end)
}

fn read_checkpoints(
    place: &LegacyPath,
    text: &str,
    base: usize,
    found: &salvage::SalvagedItems<'_>,
    recorder: &mut Recorder<'_>,
) -> LegacyContent {
    recorder.observed.became = "checkpoints";
    let mut items = ItemBuffer::new(Same::Whole, Timestamp::default(), text.len());
    for raw in &found.whole {
        if items.read(raw).is_err() {
            let from = base + offset(text, raw);
            recorder.damaged("not-an-object", (from, from + raw.len()), "a checkpoint is no object, or too large");
        }
    }
    if let Some(error) = &found.error {
        recorder.damaged(
            "cut",
            (base + found.end, base + text.len()),
            &format!("the list is damaged: {}", error.reason),
        );
    }
    let items = items.finish();
    recorder.observed.count("checkpoints", items.len());
    LegacyContent::Checkpoints(place.agent().map(str::to_owned), items)
}
