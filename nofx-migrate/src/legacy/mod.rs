//! Readers for everything that the old extension wrote.
//!
//! Nothing here touches a file or a store: bytes go in, entities in their stored form come out, together with whatever could
//! not be understood.

mod agents;
mod decode;
mod item;
mod judge;
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
pub(crate) use judge::{Judgement, Pass};
pub(crate) use outline::Outline;
pub(crate) use path::{LegacyPath, PathHint};
pub(crate) use salvage::members;
pub(crate) use session::{SessionCopy, complete_by_name};
pub(crate) use template::TemplateContent;

use decode::Decoded;
use item::{ItemBuffer, fits, object};
use judge::Judge;
use salvage::offset;

/// A file that was read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    pub(crate) judgement: Judgement,
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
pub(crate) fn read(place: &LegacyPath, bytes: &[u8], pass: Pass<'_>) -> ReadFile {
    let size = bytes.len() as u64;
    if let PathHint::Kept(became, reason) = place.hint {
        // `examine` passes a single byte for a file of any size, so only emptiness may be tested here.
        return whole(if bytes.is_empty() { empty() } else { Judgement::kept(became, reason) }, size);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return blank(place, bytes);
    }
    if place.hint == PathHint::Orchestration {
        return read_orchestration(bytes, pass);
    }
    let decoded = decode(bytes);
    let mut judge = Judge::new(&decoded, pass);
    let content = match place.hint {
        PathHint::Transcript => {
            judge.judgement.became = "transcript";
            judge.judgement.keep = Some("a transcript, which cannot be split with certainty".to_owned());
            let parts = transcript::read(&decoded.text);
            judge.judgement.count("transcript parts", parts.len());
            LegacyContent::Transcript(place.agent().unwrap_or_default().to_owned(), parts)
        }
        _ => read_json(place, &decoded, &mut judge),
    };
    let outline = judge.outline.take();
    let judgement = judge.finish(size);
    match content {
        LegacyContent::Nothing => whole(judgement, size),
        content => ReadFile { judgement, content, parts: Vec::new(), outline },
    }
}

/// Completes the reading of a file that became no entity, not even in part.
fn whole(mut judgement: Judgement, size: u64) -> ReadFile {
    let reason = judgement.keep.clone().unwrap_or_else(|| judgement.became.to_owned());
    if size > 0 && judgement.keep.is_some() {
        judgement.unused = vec![crate::report::Unused { from: 0, to: size, reason }];
    }
    ReadFile { judgement, content: LegacyContent::Nothing, parts: Vec::new(), outline: None }
}

fn empty() -> Judgement {
    Judgement { became: "empty", ..Judgement::default() }
}

/// Reads a file that should hold something, but is empty or only zeros. The file name of a session is used all the same.
fn blank(place: &LegacyPath, bytes: &[u8]) -> ReadFile {
    let what = if bytes.is_empty() { "empty" } else { "filled with zeroes" };
    let mut reading = whole(
        match bytes.is_empty() {
            true => empty(),
            false => Judgement::kept("zeroes", "filled with zeroes"),
        },
        bytes.len() as u64,
    );
    let judgement = &mut reading.judgement;
    let named = session::from_name(place.stem()).filter(|_| place.hint == PathHint::Sessions);
    match named {
        Some(copy) => {
            judgement.became = "session";
            judgement.count("sessions", 1);
            judgement.findings.push((
                "blank-session",
                crate::report::Level::Warning,
                format!(
                    "the file is {what}; only the session's name, agent and beginning are left, from the file's name"
                ),
            ));
            reading.content = LegacyContent::Sessions(vec![copy], Object::default());
        }
        None => judgement.findings.push(("blank", crate::report::Level::Warning, format!("the file is {what}"))),
    }
    reading
}

fn read_orchestration(bytes: &[u8], pass: Pass<'_>) -> ReadFile {
    let size = bytes.len() as u64;
    let decoded = decode(bytes);
    let mut judge = Judge::new(&decoded, pass);
    judge.judgement.became = "orchestration log";
    let lines = orchestration::read(&decoded, &mut judge);
    let mut judgement = judge.finish(size);
    if !lines.bad.is_empty() {
        // They are kept instead.
        judgement.keep = None;
    }
    let part = |(number, from, to): &(usize, usize, usize)| {
        (format!("line-{number}"), bytes.get(*from..*to).unwrap_or_default().to_vec())
    };
    ReadFile {
        judgement,
        content: LegacyContent::Orchestration(lines.messages),
        parts: lines.bad.iter().map(part).collect(),
        outline: None,
    }
}

fn read_json(place: &LegacyPath, decoded: &Decoded<'_>, judge: &mut Judge<'_>) -> LegacyContent {
    let text = decoded.text.trim_ascii_start();
    let base = offset(&decoded.text, text);
    let mut has_repeated_names = false;
    let (content, end) = match text.as_bytes().first() {
        Some(b'{') => {
            let outlined = match judge.pass {
                Pass::Second(outline) => outline.and_then(|outline| outline.members(text)),
                Pass::First => None,
            };
            let found = outlined.unwrap_or_else(|| salvage::members(text));
            if judge.pass.is_first() {
                judge.outline = Outline::of(text, &found);
            }
            has_repeated_names = found.has_repeated_names;
            read_object(place, text, base, &found, judge)
        }
        Some(b'[') => {
            has_repeated_names = judge.pass.is_first() && salvage::has_repeated_names(text);
            read_array(place, text, base, judge)
        }
        _ => {
            judge.judgement = Judgement::kept("stray", "not JSON, whatever its name says");
            judge.judgement.findings.push((
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
    if !judge.judgement.is_cut() && !rest.trim_ascii().is_empty() {
        judge.damaged("trailing", (base + end, base + text.len()), "something follows the end of the data");
    }
    if has_repeated_names {
        judge.judgement.damaged("repeated-name", "a member occurs twice in one object; the last one counts");
    }
    content
}

fn read_object(
    place: &LegacyPath,
    text: &str,
    base: usize,
    found: &salvage::SalvagedMembers<'_>,
    judge: &mut Judge<'_>,
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
            judge.judgement.became = "agents";
            return (LegacyContent::Agents(agents::read(text, base, judge)), found.end);
        }
        PathHint::Template => return read_template(place, text, found, judge),
        _ => {}
    }
    let promises_sessions = place.hint == PathHint::Sessions;
    let has_history = is_list("conversationHistory") || (promises_sessions && is_known("conversationHistory"));
    let looks_like_one = promises_sessions && is_known("id") && is_known("agentId");
    let is_named_so = promises_sessions && session::is_named_so(place.stem());
    if is_list("sessions") && !has_history && !looks_like_one {
        return (read_archive(place, text, base, found, judge), found.end);
    }
    if has_history || looks_like_one || is_named_so {
        judge.judgement.became = "session";
        let copy = session::read(text, found, base, place.stem(), judge);
        return (LegacyContent::Sessions(vec![copy], Object::default()), found.end);
    }
    let (became, reason) = match place.name().ends_with("_checkpoint.json") {
        true => ("checkpoints", "checkpoints that are no list"),
        false => ("stray", "of no shape that the old extension wrote"),
    };
    let keep = judge.judgement.keep.take();
    judge.judgement = Judgement::kept(became, keep.as_deref().unwrap_or(reason));
    judge.judgement.note("unknown-shape", reason);
    (LegacyContent::Nothing, found.end)
}

fn read_template(
    place: &LegacyPath,
    text: &str,
    found: &salvage::SalvagedMembers<'_>,
    judge: &mut Judge<'_>,
) -> (LegacyContent, usize) {
    let whole = text.get(..found.end).and_then(object);
    match whole.filter(|_| found.error.is_none() && fits(found.end)) {
        Some(foreign) => {
            judge.judgement.became = "template";
            judge.judgement.count("templates", 1);
            let mut content = TemplateContent::new(&foreign);
            if content.id.is_none() {
                content.id = Some(place.stem().into());
            }
            (LegacyContent::Template(content), found.end)
        }
        None => {
            judge.judgement = Judgement::kept("template", "a template that is damaged");
            judge.judgement.findings.push((
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
    judge: &mut Judge<'_>,
) -> LegacyContent {
    judge.judgement.became = "archive";
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
        copies = read_sessions(place, list, base + offset(text, list), judge);
    }
    if let Some(error) = &found.error {
        let mut tail = found.end;
        if let Some((r#""sessions""#, rest)) = found.damaged {
            copies = read_sessions(place, rest, base + offset(text, rest), judge);
            tail = offset(text, rest) + salvage::items(rest).end;
        }
        // If a session is truncated, the session's reader reports what became nothing.
        if !judge.judgement.is_cut() {
            judge.damaged(
                "cut",
                (base + tail, base + text.len()),
                &format!("the archive is damaged: {}", error.reason),
            );
        }
    }
    LegacyContent::Sessions(copies, around)
}

/// Reads the sessions of a list, even if it is truncated.
fn read_sessions(place: &LegacyPath, list: &str, base: usize, judge: &mut Judge<'_>) -> Vec<SessionCopy> {
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
                judge.unused(at, at + raw.len(), why);
                judge.judgement.keep.get_or_insert_with(|| why.to_owned());
                continue;
            }
            copies.push(session::read(raw, &salvage::members(raw), at, &stem, judge));
        } else {
            judge.damaged("not-an-object", (at, at + raw.len()), "a session is no object");
        }
    }
    copies
}

/// Reads a list: checkpoints, or sessions without their wrapper.
fn read_array(place: &LegacyPath, text: &str, base: usize, judge: &mut Judge<'_>) -> (LegacyContent, usize) {
    if place.hint == PathHint::Agents {
        judge.judgement.became = "agents";
        let agents = agents::read_list(text, base, judge);
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
        judge.judgement.became = "sessions";
        let copies = read_sessions(place, text, base, judge);
        if let Some(error) = found.error.as_ref().filter(|_| !judge.judgement.is_cut()) {
            judge.damaged(
                "cut",
                (base + found.end, base + text.len()),
                &format!("the list is damaged: {}", error.reason),
            );
        }
        return (LegacyContent::Sessions(copies, Object::default()), found.end);
    }
    if is_place && (place.agent().is_some() || has(&["user", "agent"])) {
        return (read_checkpoints(place, text, base, &found, judge), found.end);
    }
    judge.judgement = Judgement::kept("stray", "a list of nothing that the old extension wrote");
    judge.judgement.note("unknown-shape", "a list of nothing that the old extension wrote");
    (LegacyContent::Nothing, found.end)
}

fn read_checkpoints(
    place: &LegacyPath,
    text: &str,
    base: usize,
    found: &salvage::SalvagedItems<'_>,
    judge: &mut Judge<'_>,
) -> LegacyContent {
    judge.judgement.became = "checkpoints";
    let mut items = ItemBuffer::new(Same::Whole, Timestamp::default(), text.len());
    for raw in &found.whole {
        if items.read(raw).is_err() {
            let from = base + offset(text, raw);
            judge.damaged("not-an-object", (from, from + raw.len()), "a checkpoint is no object, or too large");
        }
    }
    if let Some(error) = &found.error {
        judge.damaged("cut", (base + found.end, base + text.len()), &format!("the list is damaged: {}", error.reason));
    }
    let items = items.finish();
    judge.judgement.count("checkpoints", items.len());
    LegacyContent::Checkpoints(place.agent().map(str::to_owned), items)
}
