//! Sessions: `sessions/<id>.json`, older copies of them, and the wrappers in `archives/`.

use nofx_core::Timestamp;
use nofx_core::entity::{SessionId, own};
use nofx_core::json::{Object, Text, compact, quote};

use super::item::{Item, ItemBuffer, Same, Unfit, fits, object, time};
use super::observations::Recorder;
use super::salvage::{self, SalvagedMembers, offset};
use super::template::{self, TemplateContent};

/// A session as one file has it.
#[derive(Clone, Debug)]
pub(crate) struct SessionCopy {
    pub(crate) id: SessionId,
    /// The record: everything except messages, tasks and a complete template.
    pub(crate) header: Object,
    pub(crate) template: Option<TemplateContent>,
    pub(crate) messages: Vec<Item>,
    /// The completed tasks in their order, then the current one.
    pub(crate) tasks: Vec<Item>,
    pub(crate) last_active: Option<Timestamp>,
    pub(crate) archived: bool,
    /// Whether the object was read to its end.
    pub(crate) whole: bool,
    /// What the file name says about a session that is incomplete.
    pub(crate) named: Option<NamedSession>,
}

/// Returns whether an object is a session that never existed: the extension made them from lists of checkpoints, without an id and
/// empty.
pub(super) fn is_invented(raw: &str) -> bool {
    let Some(session) = object(raw) else { return false };
    let is_empty = |name: &str| session.get(name).is_none_or(|list| list == "[]" || list == "null");
    session.get("id").is_none()
        && session.get("agentId").is_none()
        && ["conversationHistory", "completedTasks", "currentTask"].into_iter().all(is_empty)
}

/// What the file name can still say about an object that is truncated.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NamedSession {
    pub(crate) agent: String,
    pub(crate) created: Timestamp,
}

/// Parses `session-<agent>-<milliseconds>` and `restored-<id>-<milliseconds>`.
pub(crate) fn read_name(stem: &str) -> Option<NamedSession> {
    let (rest, millis) = stem.rsplit_once('-')?;
    let created = time(millis)?;
    if let Some(restored) = rest.strip_prefix("restored-") {
        return Some(NamedSession { agent: read_name(restored)?.agent, created });
    }
    Some(NamedSession { agent: rest.strip_prefix("session-")?.to_owned(), created })
}

/// Returns whether a file of this name would hold a session.
pub(crate) fn is_named_so(stem: &str) -> bool {
    stem.starts_with("session-") || stem.starts_with("restored-")
}

/// Creates a session from its file name, which is all that is left of it.
pub(crate) fn from_name(stem: &str) -> Option<SessionCopy> {
    let named = read_name(stem)?;
    let mut copy = SessionCopy {
        id: stem.into(),
        header: Object::default(),
        template: None,
        messages: Vec::new(),
        tasks: Vec::new(),
        last_active: None,
        archived: false,
        whole: false,
        named: Some(named),
    };
    copy.header.set("id", quote(stem));
    Some(copy)
}

/// Adds what no copy of a session has any more.
pub(crate) fn complete_by_name(header: &mut Object, named: &NamedSession) {
    if header.get("agentId").is_none() {
        header.set("agentId", quote(&named.agent));
    }
    if header.get("createdAt").is_none() {
        header.set("createdAt", quote(&named.created.to_string()));
    }
}

/// Reads the session that `text` begins with, `found` being its members; `base` is its offset in the file's text, `stem` its name
/// if it has no id.
pub(crate) fn read(
    text: &str,
    found: &SalvagedMembers<'_>,
    base: usize,
    stem: &str,
    recorder: &mut Recorder<'_>,
) -> SessionCopy {
    let mut header = Object::default();
    let (mut history, mut completed, mut current) = (None, None, None);
    for (member, (name, value)) in found.whole.iter().enumerate() {
        let name = Text::from_json(name).unwrap_or_default();
        // If there are several members of one name, the last one counts, as in JavaScript.
        match (name.as_str(), value.as_bytes().first()) {
            (Some("conversationHistory"), Some(b'[')) => history = Some(found.items(member)),
            (Some("completedTasks"), Some(b'[')) => completed = Some(found.items(member)),
            (Some("currentTask"), Some(b'{')) => current = Some(*value),
            _ => header.push(&name, compact(value).unwrap_or_default()),
        }
    }
    let mut tail = found.end;
    if let (Some(error), Some((name, rest))) = (&found.error, found.damaged) {
        let partial = salvage::items(rest);
        let partly = if partial.whole.is_empty() { found.end } else { offset(text, rest) + partial.end };
        match Text::from_json(name).as_ref().and_then(Text::as_str) {
            Some("conversationHistory") => (history, tail) = (Some(partial.whole), partly),
            Some("completedTasks") => (completed, tail) = (Some(partial.whole), partly),
            _ => {}
        }
        recorder.damaged("cut", (base + tail, base + text.len()), &format!("a session is damaged: {}", error.reason));
    } else if let Some(error) = &found.error {
        recorder.damaged("cut", (base + tail, base + text.len()), &format!("a session is damaged: {}", error.reason));
    }

    let mut header = own(&header);
    let whole = found.error.is_none();
    let id = header.read::<SessionId>("id").unwrap_or_else(|| {
        if header.get("id").is_some() {
            recorder.observed.damaged("odd-id", "the id of a session is no text; the name of the file is used");
        }
        header.set("id", quote(stem));
        stem.into()
    });
    let named = if whole { None } else { read_name(stem) };
    let template = template::take(&mut header);
    forget_prompt(&mut header, template.as_ref());
    shorten(&mut header, recorder);

    let created = header.get("createdAt").and_then(time).or(named.as_ref().map(|named| named.created));
    let created = created.unwrap_or_default();
    let (mut messages, mut counted) = (ItemBuffer::new(Same::Message, created, text.len()), 0);
    for raw in history.unwrap_or_default() {
        if recorder.pass.is_first() && raw.starts_with('{') && fits(raw.len()) {
            counted += 1;
            continue;
        }
        match messages.read(raw) {
            Ok(()) => {}
            Err(Unfit::TooLarge) => {
                unfit(text, base, raw, ("too-large", "a message is larger than a store takes"), recorder);
            }
            Err(Unfit::NotAnObject) => unfit(text, base, raw, ("not-an-object", "a message is no object"), recorder),
        }
    }
    let messages = messages.finish();
    let mut tasks = Vec::new();
    for (slot, raw) in completed
        .unwrap_or_default()
        .into_iter()
        .map(|raw| ("completed", raw))
        .chain(current.map(|raw| ("current", raw)))
    {
        match object(raw) {
            Some(task) => {
                let mut owned = own(&task);
                owned.set("$slot", quote(slot));
                let item = Item::owned(owned, Same::Task, &["completedAt", "assignedAt"], created);
                match item.fits() {
                    true => tasks.push(item),
                    false => unfit(text, base, raw, ("too-large", "a task is larger than a store takes"), recorder),
                }
            }
            None => unfit(text, base, raw, ("not-an-object", "a task is no object"), recorder),
        }
    }
    recorder.observed.count("sessions", 1);
    recorder.observed.count("messages", counted + messages.len());
    recorder.observed.count("tasks", tasks.len());
    SessionCopy {
        last_active: header.get("lastActiveAt").and_then(time),
        archived: header.read::<Text>("status").is_some_and(|status| status == "archived"),
        id,
        header,
        template,
        messages,
        tasks,
        whole,
        named,
    }
}

fn unfit(text: &str, base: usize, raw: &str, (code, what): (&'static str, &str), recorder: &mut Recorder<'_>) {
    let from = base + offset(text, raw);
    recorder.damaged(code, (from, from + raw.len()), what);
}

/// Removes the members that make a header larger than a store accepts.
fn shorten(header: &mut Object, recorder: &mut Recorder<'_>) {
    while !fits(header.to_json().len()) {
        let longest = header.iter().filter(|(name, _)| *name != "id").max_by_key(|(_, value)| value.len());
        let Some(name) = longest.and_then(|(name, _)| name.as_str().map(str::to_owned)) else { return };
        let what = format!("member `{}` of a session is larger than a store takes", name.escape_debug());
        recorder.observed.damaged("too-large", what);
        header.remove(&name);
    }
}

/// Removes a prompt that equals its template's.
fn forget_prompt(header: &mut Object, template: Option<&TemplateContent>) {
    let Some(prompt) = template.and_then(|template| template.prompt.as_ref()) else { return };
    let is_once = header.iter().filter(|(name, _)| *name == "systemPrompt").count() == 1;
    if is_once && header.read::<Text>("systemPrompt").as_ref() == Some(prompt) {
        header.remove("systemPrompt");
        header.set("$promptIsTemplates", "true");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::legacy::Pass;
    use crate::legacy::decode::decode;

    fn read_text(text: &str) -> (SessionCopy, crate::legacy::Observations) {
        let decoded = decode(text.as_bytes());
        let found = salvage::members(&decoded.text);
        let read = |pass| {
            let mut recorder = Recorder::new(&decoded, pass);
            let copy = read(&decoded.text, &found, 0, "session-a-1757341292345", &mut recorder);
            (copy, recorder.finish(text.len() as u64))
        };
        let (first, second) = (read(Pass::First), read(Pass::Second(None)));
        assert_eq!((&first.0.id, &first.0.header, &first.1), (&second.0.id, &second.0.header, &second.1));
        second
    }

    const WHOLE: &str = r#"{"id":"s","agentId":"a","systemPrompt":"be\u0020kind","big":1e400,"$x":1,
        "conversationHistory":[{"id":"m1","content":"one","timestamp":"2025-01-01T00:00:00.000Z"},{"id":"m2","content":"two"}],
        "completedTasks":[{"id":"t1"}],"template":{"id":"t","systemPrompt":"be kind"},"lastActiveAt":"2025-01-02T00:00:00.000Z",
        "currentTask":{"id":"t2"}}"#;

    #[test]
    fn a_session_becomes_its_parts_and_nothing_is_left_over() {
        let (copy, observed) = read_text(WHOLE);
        let template = copy.template.unwrap();
        assert_eq!(
            copy.header.to_json(),
            format!(
                r#"{{"id":"s","agentId":"a","big":1e400,"$$x":1,"lastActiveAt":"2025-01-02T00:00:00.000Z","$template":"{}","$promptIsTemplates":true}}"#,
                template.digest
            )
        );
        assert_eq!(copy.messages.len(), 2);
        assert_eq!(copy.messages[1].at, copy.messages[0].at);
        let tasks: Vec<_> = copy.tasks.iter().map(|task| task.body.as_str()).collect();
        assert_eq!(tasks, [r#"{"id":"t1","$slot":"completed"}"#, r#"{"id":"t2","$slot":"current"}"#]);
        assert!(observed.keep.is_none() && observed.unused.is_empty());
    }

    #[test]
    fn every_prefix_gives_what_is_whole_in_it() {
        for cut in 1..WHOLE.len() {
            let (copy, observed) = read_text(WHOLE.get(..cut).unwrap());
            assert!(!copy.whole);
            assert!(observed.keep.is_some(), "{cut}");
            let left = observed.unused.last().map_or(cut as u64, |unused| unused.to);
            assert_eq!(left, cut as u64, "{cut}");
            let ends = [r#"000Z"}"#, r#""two"}"#].map(|end| WHOLE.find(end).unwrap() + end.len());
            let whole_messages = ends.iter().filter(|end| cut >= **end);
            assert_eq!(copy.messages.len(), whole_messages.count(), "{cut}");
        }
    }

    #[test]
    fn names_hold_agent_and_time() {
        let named = read_name("restored-restored-session-agent-1-x-1757344201529-1757344819160-1757361017818").unwrap();
        assert_eq!(named.agent, "agent-1-x");
        assert_eq!(named.created.as_millis(), 1_757_361_017_818);
        assert_eq!(read_name("undefined"), None);
        assert_eq!(read_name("session-x-12"), None);
    }

    #[test]
    fn odd_members_stay_where_they_are() {
        let (copy, observed) =
            read_text(r#"{"id":7,"conversationHistory":null,"completedTasks":[1],"currentTask":null,"template":"t"}"#);
        assert_eq!(
            copy.header.to_json(),
            r#"{"id":"session-a-1757341292345","conversationHistory":null,"currentTask":null,"template":"t"}"#
        );
        assert_eq!(observed.findings.len(), 2);
    }
}
