//! Sessions in all the places where they are found.

use std::collections::BTreeSet;

use super::LegacyWorkspace;
use super::damage::{Found, cut, damage};
use super::draft::{Draft, Thing};
use super::files::{as_reported, raw_byte};
use super::session::{Part, Session, Shape, message};
use super::truth::IntactSession;
use super::values;
use crate::chance::Chance;

/// Agents, as they appear in file names.
const AGENTS: &[&str] = &["agent-1757341200000-x1", "ada", "agent-1757341200000", UP, "ünï x", "a-b-c"];

/// A name that is one file on Unix. On Windows no file can have it.
pub(super) const UP: &str = if cfg!(windows) { "up" } else { "..\\up" };

pub(super) fn add(workspace: &mut LegacyWorkspace, chance: &Chance) {
    for number in 0..1 + chance.below(6) {
        let agent = chance.pick(AGENTS);
        match chance.below(3) {
            0 => add_copies(workspace, number, agent, chance),
            _ => add_one(workspace, number, agent, chance),
        }
    }
}

/// A session in one file.
fn add_one(workspace: &mut LegacyWorkspace, number: usize, agent: &str, chance: &Chance) {
    let session = Session::new(number, agent, true, chance);
    let part = session.all(1000, chance.pick(&["active", "paused", "expired", "gone"]));
    if let Some(state) = workspace.state.as_mut().filter(|_| chance.once_in(3)) {
        state.sessions.push(session.draft(&part, chance.pick(&[Shape::File, Shape::State]), chance));
        return;
    }
    let draft = session.draft(&part, Shape::File, chance);
    let folder = chance.pick(&["sessions", "sessions", "archive", "archives/before_2025-09-08T10-00-00-000Z"]);
    // Linux allows any bytes in a name.
    let odd = if cfg!(target_os = "linux") && chance.once_in(12) { raw_byte(0xff) } else { String::new() };
    let path = format!("{folder}/{}{odd}.json", session.stem);
    let found = damage(&draft, chance);
    workspace.found(&path, &found, "");
    take(workspace, &found, &[&format!("{}{}", session.stem, as_reported(&odd))]);
}

/// A session in several places, which continued separately in each.
fn add_copies(workspace: &mut LegacyWorkspace, number: usize, agent: &str, chance: &Chance) {
    let session = Session::new(number, agent, false, chance);
    let mut files = Vec::new();
    let mut is_damaged = false;
    for (at, folder) in
        ["archives/old_2025-09-01T10-00-00-000Z", "archive", "archives", "sessions", "@"].into_iter().enumerate()
    {
        if chance.once_in(3) {
            continue;
        }
        let part = part(&session, number, at, chance);
        if folder == "@" {
            if let Some(state) = &mut workspace.state {
                let draft = session.draft(&part, chance.pick(&[Shape::File, Shape::State]), chance);
                is_damaged |= draft.repeats_names;
                state.sessions.push(draft);
                files.push(state.path("nofx.sessions"));
            }
            continue;
        }
        let (path, draft, stems) = match folder {
            "archives" => {
                let other = chance.once_in(3).then(|| Session::new(100 + number, agent, true, chance));
                let draft = archive(&session, &part, other.as_ref(), chance);
                let path = format!("archives/{}.json", session.stem);
                (path, draft, [session.stem.clone(), format!("{}#2", session.stem)])
            }
            _ => {
                let path = format!("{folder}/{}.json", session.stem);
                (path, session.draft(&part, Shape::File, chance), [session.stem.clone(), String::new()])
            }
        };
        let found = damage(&draft, chance);
        is_damaged |= found.is_damaged;
        workspace.found(&path, &found, "");
        take(workspace, &found, &[&stems[0], &stems[1]]);
        files.push(path);
    }
    // A byte lost outside id and content makes a variant of a message; one of its files must be kept.
    if is_damaged {
        workspace.truth.may_be_kept.extend(files);
    }
}

/// A session of about this many bytes, which was being written when the process was killed.
pub(super) fn add_large(workspace: &mut LegacyWorkspace, bytes: usize) {
    let chance = Chance::new(0);
    let mut session = Session::new(0, "ada", false, &chance);
    session.id.clone_from(&session.stem);
    session.messages.clear();
    let text: String = (0..1000).map(|_| values::text(&chance).trim_matches('"').to_owned()).collect();
    let mut size = 0;
    while size < bytes {
        let number = session.messages.len();
        let content = format!("\"number {number}: {text}\"");
        let json = format!(
            "{{\"id\": \"msg-{number}\", \"timestamp\": {}, \"type\": \"user\", \"content\": {content}}}",
            values::time(number)
        );
        size += json.len();
        session.messages.push(json);
    }
    let draft = session.draft(&session.all(1000, "active"), Shape::File, &chance);
    let last = draft.things.iter().rfind(|placed| matches!(placed.thing, Thing::Message(_)));
    let found = cut(&draft, draft.text.clone().into_bytes(), last.map_or(0, |last| last.to - 1));
    workspace.found(&format!("sessions/{}.json", session.stem), &found, "");
    take(workspace, &found, &[]);
}

/// Part of what was said, plus what was said only there.
fn part(session: &Session, number: usize, at: usize, chance: &Chance) -> Part {
    let all = session.messages.len();
    let from = if chance.once_in(3) { chance.below(all) } else { 0 };
    let to = from + chance.below(all - from + 1);
    let mut messages = session.messages.get(from..to).unwrap_or_default().to_vec();
    for more in 0..chance.below(3) {
        messages.push(message(&format!("{number}-{at}-{more}"), to * 60 + at + more * 45, false, chance).0);
    }
    let status = if at == 2 { "archived" } else { "active" };
    Part { messages, tasks: chance.below(5), second: 1000 + at * 10 + chance.below(50), status }
}

/// The wrapper of an archived session, rarely of two.
fn archive(session: &Session, part: &Part, other: Option<&Session>, chance: &Chance) -> Draft {
    let mut draft = Draft::default();
    draft.put("{");
    draft.member("sessions", "[\n");
    draft.insert(session.draft(part, Shape::File, chance));
    if let Some(other) = other {
        draft.put(",\n");
        draft.insert(other.draft(&other.all(2000, "archived"), Shape::File, chance));
    }
    draft.put("\n]");
    draft.member("exportedAt", &values::time(3000));
    draft.member("totalSessions", "1");
    draft.member("formatVersion", "\"1.0\"");
    draft.put("\n}");
    draft
}

/// Records which sessions a file contains; `stems` are the ids that a reader gives to sessions that have lost
/// theirs.
pub(super) fn take(workspace: &mut LegacyWorkspace, found: &Found, stems: &[&str]) {
    let mut copies: Vec<(String, IntactSession)> = Vec::new();
    for thing in &found.things {
        match (thing, copies.last_mut()) {
            (Thing::SessionId(id), _) => copies.push((id.clone(), IntactSession::default())),
            (Thing::Message(json), Some((_, copy))) => copy.messages.push(json.clone()),
            (Thing::Task(id), Some((_, copy))) => copy.tasks.push(id.clone()),
            (Thing::Member(name, json), Some((_, copy))) => copy.members.push((name.clone(), json.clone())),
            (Thing::Template(json), _) => workspace.truth.templates.push(json.clone()),
            _ => {}
        }
    }
    for (id, copy) in copies {
        workspace.truth.sessions.entry(id).or_default().push(copy);
    }
    if found.is_damaged || found.bytes.is_empty() {
        workspace.truth.perhaps.extend(stems.iter().map(|stem| (*stem).to_owned()).collect::<BTreeSet<_>>());
    }
}
