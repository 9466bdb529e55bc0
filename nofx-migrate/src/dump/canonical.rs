//! The canonical dump: the entities of a store, one line each, in one order.

use std::io::Write;

use futures_util::TryStreamExt;
use nofx_core::entity::{Agent, Entity, EntityId, Message, Session, SessionId, Slot, Task, foreign};
use nofx_core::json::{self, Object, SyntaxError, Text};
use nofx_core::workspace::{first_id, whole_message};
use nofx_core::{Error, LogEntry, LogHead, LogKey, LogScan, Record, ScanQuery, Store, kind};

use super::attachment;
use super::columns::{self, Column};
use super::history;
use super::in_order::{InOrder, TrueId, object};
use super::line::Line;
use super::templates::Templates;
use super::{DumpError, Result};

/// Entries per page.
const PAGE: usize = 256;

const OF_AGENT: TrueId = TrueId { kind: &kind::AGENT, member: "id" };
const OF_SESSION: TrueId = TrueId { kind: &kind::SESSION, member: "id" };
const OF_ATTACHMENT: TrueId = TrueId { kind: &kind::ATTACHMENT, member: "path" };
const OF_TEMPLATE: TrueId = TrueId { kind: &kind::TEMPLATE, member: "" };
const OF_SEGMENT: TrueId = TrueId { kind: &kind::ORCHESTRATION, member: "" };

/// Writes the canonical dump of a store: its entities, one JSON object a line.
///
/// The same content always gives the same bytes, whatever the backend and however the content got there. Only one page at a time is
/// held in memory. Each page is the state at one point in time; for the whole dump to be one state, stop all writers.
/// `docs/format/dump.md` describes the lines.
pub async fn dump(store: &Store, out: &mut impl Write) -> Result<()> {
    let mut dumper = Dumper { store, out, templates: Templates::new(store) };
    dumper.put("{\"kind\":\"store\",\"format\":\"nofx-dump\",\"version\":1}\n")?;
    dumper.templates().await?;
    dumper.agents().await?;
    dumper.sessions().await?;
    dumper.messages().await?;
    dumper.tasks().await?;
    dumper.orchestration().await?;
    dumper.checkpoints().await?;
    dumper.attachments().await?;
    dumper.out.flush().map_err(DumpError::Write)
}

struct Dumper<'a, W> {
    store: &'a Store,
    out: &'a mut W,
    templates: Templates<'a>,
}

impl<W: Write> Dumper<'_, W> {
    fn put(&mut self, line: &str) -> Result<()> {
        self.out.write_all(line.as_bytes()).map_err(DumpError::Write)
    }

    async fn templates(&mut self) -> Result<()> {
        let mut templates = InOrder::<Record>::of(self.store, &kind::TEMPLATE, OF_TEMPLATE).await?;
        while let Some((digest, record)) = templates.next().await? {
            let body = foreign(&object(&record)?);
            let mut line = Line::of("template");
            line.text("digest", &digest);
            if let Some(id) = body.read::<Text>("id") {
                line.text("id", &id);
            }
            line.member("body", &minimal(&body).map_err(|error| damaged(&record.key.to_string(), error))?);
            self.put(&line.end())?;
        }
        Ok(())
    }

    async fn agents(&mut self) -> Result<()> {
        let mut agents = InOrder::<Record>::of(self.store, &kind::AGENT, OF_AGENT).await?;
        while let Some((id, record)) = agents.next().await? {
            self.agent(&id, None, &record).await?;
        }
        let mut agents = self.store.scan(ScanQuery::of(kind::AGENT_IN, PAGE));
        while let Some(record) = agents.try_next().await? {
            let (namespace, id) = in_namespace(record.key.id());
            let id = object(&record)?.read("id").unwrap_or_else(|| id.into());
            self.agent(&id, Some(namespace), &record).await?;
        }
        Ok(())
    }

    async fn agent(&mut self, id: &Text, namespace: Option<&str>, record: &Record) -> Result<()> {
        let object = object(record)?;
        let agent = Agent::from_object(object.clone());
        let mut line = Line::of("agent");
        line.text("id", id);
        line.namespace(namespace);
        let mut written = written_id(&object);
        let template = agent.template.as_ref().map(EntityId::as_text);
        written.extend(self.templates.write(&mut line, &object, template).await?);
        finish(&mut line, &object, columns::AGENT, &written)
            .map_err(|error| damaged(&record.key.to_string(), error))?;
        self.put(&line.end())
    }

    async fn sessions(&mut self) -> Result<()> {
        let mut sessions = InOrder::<Record>::of(self.store, &kind::SESSION, OF_SESSION).await?;
        while let Some((id, record)) = sessions.next().await? {
            let mut object = object(&record)?;
            let session = Session::from_object(object.clone());
            let template = session.template.as_ref().map(EntityId::as_text);
            if session.prompt_is_templates {
                let prompt = match template {
                    Some(digest) => self.templates.prompt(digest).await?,
                    None => None,
                };
                let missing =
                    || Error::corrupt(format!("{}: its prompt is its template's, which has none", record.key));
                object.set("systemPrompt", prompt.ok_or_else(missing)?.to_json());
            }
            let mut line = Line::of("session");
            line.text("id", &id);
            line.namespace(session.namespace.as_ref().map(Text::to_str_lossy).as_deref());
            let mut written = written_id(&object);
            written.extend(self.templates.write(&mut line, &object, template).await?);
            let (before, own) = history::parts(&object);
            let before = before.into_iter().map(|(_, length)| length);
            let own = self.store.head(&own).await?.length;
            line.number("message_count", before.chain([own]).fold(0, u64::saturating_add));
            finish(&mut line, &object, columns::SESSION, &written)
                .map_err(|error| damaged(&record.key.to_string(), error))?;
            self.put(&line.end())?;
        }
        Ok(())
    }

    /// Writes the messages of each session, first those that it was restored with.
    async fn messages(&mut self) -> Result<()> {
        let mut sessions = InOrder::<Record>::of(self.store, &kind::SESSION, OF_SESSION).await?;
        let mut histories = InOrder::<LogHead>::of(self.store, &kind::HISTORY, OF_SESSION).await?;
        let mut record = sessions.next().await?;
        let mut own = histories.next().await?;
        loop {
            // A session may have no messages of its own, and messages may have no session.
            let id = match (&record, &own) {
                (None, None) => return Ok(()),
                (Some((id, _)), None) | (None, Some((id, _))) => id.clone(),
                (Some((session, _)), Some((history, _))) => session.min(history).clone(),
            };
            let has_record = record.take_if(|(session, _)| *session == id);
            let has_own = own.take_if(|(history, _)| *history == id);
            let parts = match (&has_record, &has_own) {
                (Some((_, record)), _) => self.parts(record, &id, has_own.as_ref().map(|(_, head)| head)).await?,
                (None, Some((_, head))) if !history::is_shown_elsewhere(self.store, &head.log).await? => {
                    vec![(head.log.clone(), head.length)]
                }
                _ => Vec::new(),
            };
            self.history(&id, parts).await?;
            if has_record.is_some() {
                record = sessions.next().await?;
            }
            if has_own.is_some() {
                own = histories.next().await?;
            }
        }
    }

    /// Returns the logs with the messages of a session, each with its length; `first` is the head of its first log.
    async fn parts(&self, record: &Record, id: &Text, first: Option<&LogHead>) -> Result<Vec<(LogKey, u64)>> {
        let (mut parts, own) = history::parts(&object(record)?);
        let first = first.filter(|head| head.log == own).cloned();
        let head = match first {
            Some(head) => head,
            None if own == Session::history(&SessionId::from(id.clone())) => return Ok(parts),
            None => self.store.head(&own).await?,
        };
        if head.length > 0 {
            parts.push((head.log, head.length));
        }
        Ok(parts)
    }

    async fn history(&mut self, session: &Text, parts: Vec<(LogKey, u64)>) -> Result<()> {
        let mut seq = 0;
        for (log, length) in parts {
            let head = LogHead { length, ..LogHead::missing(log.clone()) };
            let mut entries = self.entries(&head);
            let mut found = 0;
            while let Some(entry) = entries.try_next().await? {
                let mut line = Line::of("message");
                line.text("session", session);
                line.number("seq", seq);
                // A long content is stored separately from its message.
                let message = Message::from_object(entry_object(&log, &entry)?);
                let message = whole_message(self.store, message).await?;
                self.put_object(line, message.object(), &name_of(&log, &entry), columns::MESSAGE)?;
                (seq, found) = (seq + 1, found + 1);
            }
            if found < length {
                return Err(Error::corrupt(format!("log {log}: it has {found} entries of {length}")).into());
            }
        }
        Ok(())
    }

    /// Writes tasks in their current state: an entry that another one replaces is history.
    async fn tasks(&mut self) -> Result<()> {
        let mut logs = InOrder::<LogHead>::of(self.store, &kind::TASKS, OF_SESSION).await?;
        while let Some((session, head)) = logs.next().await? {
            let log = &head.log;
            let mut replaced = std::collections::HashSet::new();
            let mut entries = self.entries(&head);
            while let Some(entry) = entries.try_next().await? {
                replaced.extend(Task::from_object(entry_object(log, &entry)?).replaces);
            }
            let mut seq = 0;
            for (slot, is_current) in [("completed", false), ("current", true)] {
                let mut entries = self.entries(&head);
                while let Some(entry) = entries.try_next().await? {
                    let task = Task::from_object(entry_object(log, &entry)?);
                    if replaced.contains(&entry.position) || (task.slot == Some(Slot::Current)) != is_current {
                        continue;
                    }
                    let mut line = Line::of("task");
                    line.text("session", &session);
                    line.number("seq", seq);
                    line.text("slot", &slot.into());
                    self.put_entry(line, log, &entry, columns::TASK)?;
                    seq += 1;
                }
            }
        }
        Ok(())
    }

    async fn orchestration(&mut self) -> Result<()> {
        let mut seq = 0;
        let mut segments = InOrder::<LogHead>::of(self.store, &kind::ORCHESTRATION, OF_SEGMENT).await?;
        while let Some((_, head)) = segments.next().await? {
            self.segment(&head, None, &mut seq).await?;
        }
        let mut segments = self.store.logs(LogScan::of(kind::ORCHESTRATION_IN, PAGE));
        let mut last = None;
        while let Some(head) = segments.try_next().await? {
            let namespace = in_namespace(head.log.id()).0.to_owned();
            if last.replace(namespace.clone()).is_none_or(|last| last != namespace) {
                seq = 0;
            }
            self.segment(&head, Some(&namespace), &mut seq).await?;
        }
        Ok(())
    }

    async fn segment(&mut self, head: &LogHead, namespace: Option<&str>, seq: &mut u64) -> Result<()> {
        let mut entries = self.entries(head);
        while let Some(entry) = entries.try_next().await? {
            let mut line = Line::of("orchestration");
            line.namespace(namespace);
            line.number("seq", *seq);
            self.put_entry(line, &head.log, &entry, columns::ORCHESTRATION)?;
            *seq += 1;
        }
        Ok(())
    }

    async fn checkpoints(&mut self) -> Result<()> {
        let mut logs = InOrder::<LogHead>::of(self.store, &kind::CHECKPOINTS, OF_AGENT).await?;
        while let Some((id, head)) = logs.next().await? {
            let agent = id.as_str().map_or_else(|| id.clone(), |id| first_id(id).into());
            self.checkpoints_of(&agent, None, &head).await?;
        }
        let mut logs = self.store.logs(LogScan::of(kind::CHECKPOINTS_IN, PAGE));
        while let Some(head) = logs.try_next().await? {
            let (namespace, agent) = in_namespace(first_id(head.log.id()));
            self.checkpoints_of(&agent.into(), Some(namespace), &head).await?;
        }
        Ok(())
    }

    async fn checkpoints_of(&mut self, agent: &Text, namespace: Option<&str>, head: &LogHead) -> Result<()> {
        let mut entries = self.entries(head);
        while let Some(entry) = entries.try_next().await? {
            let mut line = Line::of("checkpoint");
            line.text("agent", agent);
            line.namespace(namespace);
            line.number("seq", entry.position);
            self.put_entry(line, &head.log, &entry, columns::CHECKPOINT)?;
        }
        Ok(())
    }

    async fn attachments(&mut self) -> Result<()> {
        let mut attachments = InOrder::<Record>::of(self.store, &kind::ATTACHMENT, OF_ATTACHMENT).await?;
        while let Some((path, record)) = attachments.next().await? {
            attachment::write(self.store, self.out, &path, &record).await?;
        }
        Ok(())
    }

    fn entries(
        &self,
        head: &LogHead,
    ) -> impl futures_util::Stream<Item = nofx_core::Result<LogEntry>> + Unpin + use<W> {
        self.store.read_whole(head, PAGE)
    }

    fn put_entry(&mut self, line: Line, log: &LogKey, entry: &LogEntry, columns: &[Column]) -> Result<()> {
        self.put_object(line, &entry_object(log, entry)?, &name_of(log, entry), columns)
    }

    fn put_object(&mut self, mut line: Line, object: &Object, name: &str, columns: &[Column]) -> Result<()> {
        finish(&mut line, object, columns, &[]).map_err(|error| damaged(name, error))?;
        self.put(&line.end())
    }
}

/// Splits a stored id into its namespace and its id there.
fn in_namespace(id: &str) -> (&str, &str) {
    id.split_once('/').unwrap_or((id, ""))
}

/// Adds all members that the old format knew, then `extra`.
fn finish(line: &mut Line, own: &Object, columns: &[Column], written: &[&str]) -> std::result::Result<(), SyntaxError> {
    let extra = columns::write(line, &foreign(own), columns, written)?;
    line.extra(&extra);
    Ok(())
}

/// The caller writes the id, except for one that is not text, which is still to be written.
fn written_id(object: &Object) -> Vec<&'static str> {
    object.read::<Text>("id").map(|_| "id").into_iter().collect()
}

fn minimal(object: &Object) -> std::result::Result<String, SyntaxError> {
    json::minimal_escapes(&object.to_json())
}

fn entry_object(log: &LogKey, entry: &LogEntry) -> Result<Object> {
    Object::parse(entry.body.as_str()).map_err(|error| damaged(&name_of(log, entry), error))
}

fn name_of(log: &LogKey, entry: &LogEntry) -> String {
    format!("log {log}, entry {}", entry.position)
}

fn damaged(what: &str, error: SyntaxError) -> DumpError {
    Error::corrupt_because(what, error).into()
}
