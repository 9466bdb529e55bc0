//! Importing an exported session.

use super::export::{FORMAT, VERSION};
use crate::batch::{Batch, NewEntry};
use crate::entity::{Entity, Message, Session, SessionId, SessionStatus, Slot, Task, TaskAtHand, Template, own};
use crate::error::{Error, Result};
use crate::json::{Object, SyntaxError, Text, items, members};
use crate::workspace::Workspace;
use crate::workspace::conversation::content::Prepared;
use crate::workspace::conversation::preview::preview;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::sessions::activity::{ActivityPlace, new_session};

/// How many messages, and how many tasks, one batch adds at most; together they stay within what every store takes.
const TOGETHER: usize = 4000;

/// The JSON bytes at which a batch of messages or tasks ends.
const BYTES: usize = 8 << 20;

/// The id under which a session is imported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImportAs {
    /// Its own; `Invalid` if a session with that id exists, or existed and was purged.
    #[default]
    Itself,
    /// A new one.
    New,
}

impl ImportAs {
    /// What the error advises if the session's own id cannot be used.
    pub const ADVICE: &str = "import it as a new one";
}

/// An export that was parsed.
#[derive(Debug)]
struct Exported<'a> {
    session: Session,
    template: Option<Template>,
    tasks: Vec<Task>,
    messages: Vec<&'a str>,
}

impl Workspace {
    /// Creates a session from a text that [`export_json`](Self::export_json) wrote, with everything in it.
    ///
    /// A large one takes several commits: until the last one the session is in the trash, where it stays if this is
    /// interrupted. `Invalid`, naming the place, if the text is not an export; `TooNew` if a later version wrote it.
    pub async fn import_session(&self, text: &str, id: ImportAs) -> Result<Session> {
        self.takes_no_operation("import_session")?;
        let exported = Exported::read(text)?;
        let mut session = exported.session;
        session.id = self.imported_id(session.id, id).await?;
        session.namespace = self.namespace.to_text();
        session.settle_schema();
        if let Some(template) = &exported.template {
            session.template = Some(self.save_template(template).await?);
            session.prompt_is_templates = session.system_prompt.is_none();
        }
        let batches = batches(&exported.messages)?;
        session.preview = batches.iter().find_map(preview);
        let archived = session.status == Some(SessionStatus::Archived);
        if archived {
            // Sealed once everything is there.
            session.status = Some(SessionStatus::Paused);
        }
        let tasks = exported.tasks.iter().map(|task| self.store.entry(task)).collect::<Result<Vec<_>>>()?;
        let current = exported.tasks.iter().position(|task| task.slot == Some(Slot::Current));
        let (length, position) = (tasks.len() as u64, current.map(|position| position as u64));
        session.task_at_hand = Some(TaskAtHand { length, position });
        let tasks = together(tasks, |entry| entry.body.len());
        let several = batches.len() > 1 || tasks.len() > 1;
        session.deleted_at = several.then(|| self.now());

        let (mut batches, mut tasks) = (batches.into_iter(), tasks.into_iter());
        let (first_tasks, first) = (tasks.next().unwrap_or_default(), batches.next().unwrap_or_default());
        self.create_imported(&session, first_tasks, first).await?;
        for messages in batches {
            self.add_imported(&session.id, messages).await?;
        }
        for entries in tasks {
            let batch = self.store.batch().append(Session::tasks(&session.id), entries);
            self.store.commit(batch).await?.committed()?;
        }
        if several {
            session = self.undelete_session(&session.id).await?;
        }
        if archived {
            session = self.archive_session(&session.id).await?;
        }
        Ok(session)
    }

    async fn imported_id(&self, own: SessionId, id: ImportAs) -> Result<SessionId> {
        if id == ImportAs::New {
            return Ok(format!("imported-{}-{}", self.now().as_millis(), self.sources().token()).into());
        }
        let advice = ImportAs::ADVICE;
        // In any namespace.
        if self.store.load::<Session>(&own).await?.is_some() {
            return Err(Error::invalid(format!("session `{own}` already exists; {advice}")));
        }
        if self.is_purged(&own).await? {
            return Err(Error::invalid(format!("session `{own}` was purged; {advice}")));
        }
        Ok(own)
    }

    async fn create_imported(&self, session: &Session, tasks: Vec<NewEntry>, messages: Vec<Message>) -> Result<()> {
        let (tasks, prepared) = (&tasks, &Prepared::of(&self.store, messages)?);
        self.decide("import_session", move |_| async move {
            let mut batch = with_event(self.store.batch(), EventKind::SessionChanged);
            if !tasks.is_empty() {
                batch = batch.append(Session::tasks(&session.id), tasks.clone());
            }
            if !prepared.entries.is_empty() {
                batch = batch.append(session.log(), prepared.entries.clone());
            }
            let batch = self.keep_contents(batch, prepared).await?;
            Ok(((), Some(new_session(batch, session, prepared.last_at())?)))
        })
        .await?;
        Ok(())
    }

    /// Adds messages to a session that is still in the trash.
    async fn add_imported(&self, id: &SessionId, messages: Vec<Message>) -> Result<()> {
        let prepared = &Prepared::of(&self.store, messages)?;
        self.decide("import_session", move |_| async move {
            let found = self.find(id).await?;
            let batch: Batch = self.store.batch().append(found.session.log(), prepared.entries.clone());
            let batch = self.keep_contents(batch, prepared).await?;
            let to = ActivityPlace::of(&found.session, prepared.last_at());
            Ok(((), Some(found.moved(batch, Some(&to))?)))
        })
        .await?;
        Ok(())
    }
}

/// Parses messages and groups them into the batches that add them.
fn batches(messages: &[&str]) -> Result<Vec<Vec<Message>>> {
    let read = |raw: &&str| Ok((raw.len(), Message::from_object(object(raw, "a message")?)));
    let batches = together(messages.iter().map(read).collect::<Result<Vec<_>>>()?, |(bytes, _)| *bytes);
    Ok(batches.into_iter().map(|batch| batch.into_iter().map(|(_, message)| message).collect()).collect())
}

/// Groups items into the batches that add them.
fn together<T>(all: Vec<T>, size: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut bytes = 0;
    for one in all {
        let added = size(&one);
        match batches.last_mut() {
            Some(batch) if batch.len() < TOGETHER && bytes < BYTES => batch.push(one),
            _ => {
                batches.push(vec![one]);
                bytes = 0;
            }
        }
        bytes += added;
    }
    batches
}

impl<'a> Exported<'a> {
    fn read(text: &'a str) -> Result<Self> {
        let (mut format, mut version, mut session, mut template) = (None, None, None, None);
        let (mut tasks, mut messages) = (Vec::new(), Vec::new());
        let mut all = members(text);
        for member in &mut all {
            let (name, value) = member.map_err(|error| no_export("the text", error))?;
            match Text::from_json(name).as_ref().and_then(Text::as_str) {
                Some("format") => format = Text::from_json(value),
                Some("version") => version = value.parse::<u32>().ok(),
                Some("session") => session = Some(Session::from_object(object(value, "the session")?)),
                Some("template") => template = Some(Template::from_object(object(value, "the template")?)),
                Some("tasks") => tasks = read_tasks(value)?,
                Some("messages") => {
                    let read = items(value).collect::<std::result::Result<_, _>>();
                    messages = read.map_err(|error| no_export("the messages", error))?;
                }
                _ => {}
            }
        }
        let rest = all.end().and_then(|end| text.get(end..)).unwrap_or_default();
        if !rest.trim_ascii().is_empty() {
            return Err(Error::invalid("unexpected text after the exported session"));
        }
        if format.is_none_or(|format| format != FORMAT) {
            return Err(Error::invalid(format!("this is not an exported session: its `format` is not `{FORMAT}`")));
        }
        if version.is_some_and(|version| version > VERSION) {
            return Err(Error::too_new(format!("an exported session; this version reads versions up to {VERSION}")));
        }
        let session = session.ok_or_else(|| Error::invalid("the exported session has no member `session`"))?;
        Ok(Self { session, template, tasks, messages })
    }
}

fn read_tasks(value: &str) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    let mut current = None;
    for member in members(value) {
        let (name, value) = member.map_err(|error| no_export("the tasks", error))?;
        match Text::from_json(name).as_ref().and_then(Text::as_str) {
            Some("current") => current = Some(task(value, Slot::Current)?),
            Some("ended") => {
                for item in items(value) {
                    tasks.push(task(item.map_err(|error| no_export("the tasks", error))?, Slot::Completed)?);
                }
            }
            _ => {}
        }
    }
    tasks.extend(current);
    Ok(tasks)
}

fn task(raw: &str, slot: Slot) -> Result<Task> {
    let mut task = Task::from_object(object(raw, "a task")?);
    task.slot = Some(slot);
    Ok(task)
}

/// Parses an object from outside the store.
fn object(raw: &str, what: &str) -> Result<Object> {
    Object::parse(raw).map(|object| own(&object)).map_err(|error| no_export(what, error))
}

fn no_export(what: &str, error: SyntaxError) -> Error {
    Error::invalid_because(format!("{what} of an exported session"), error)
}
