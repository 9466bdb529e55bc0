//! What the importer made of a corpus, according to the dump.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use nofx_core::entity::{AgentId, Entity, TranscriptPart};
use nofx_core::json::{Object, Text};
use nofx_core::{LogQuery, LogScan, Store, kind};
use nofx_migrate::{Report, dump};
use sha2::{Digest, Sha256};

use super::expected::Values;

/// What the importer made of a corpus.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) is_complete: bool,
    pub(crate) agents: BTreeMap<String, Values>,
    pub(crate) sessions: BTreeMap<String, Values>,
    pub(crate) messages: BTreeMap<String, Vec<String>>,
    pub(crate) tasks: BTreeMap<String, Vec<String>>,
    pub(crate) templates: BTreeSet<String>,
    pub(crate) orchestration: Vec<String>,
    pub(crate) checkpoints: BTreeMap<String, Vec<String>>,
    pub(crate) transcripts: BTreeMap<String, Vec<String>>,
    pub(crate) attachments: BTreeMap<String, String>,
}

impl Found {
    pub(crate) async fn read(store: &Store, report: Report) -> Result<Self, Box<dyn std::error::Error>> {
        let mut found = Self { is_complete: report.is_complete(), ..Self::default() };
        let mut lines = Vec::new();
        dump(store, &mut lines).await?;
        for line in String::from_utf8(lines)?.lines() {
            found.line(&Object::parse(line)?);
        }
        let mut logs = store.logs(LogScan::of(kind::TRANSCRIPT, 100));
        while let Some(head) = logs.try_next().await? {
            let agent = AgentId::from(head.log.id());
            let mut parts = Vec::new();
            let mut entries = store.read(LogQuery::oldest_first(TranscriptPart::log(&agent), 100));
            while let Some(entry) = entries.try_next().await? {
                let part = TranscriptPart::from_body(&entry.body)?;
                let time = part.timestamp.map(|time| time.to_string()).unwrap_or_default();
                parts.push(format!("{time} {}", digest(&part.content)));
            }
            found.transcripts.insert(agent.to_string(), parts);
        }
        Ok(found)
    }

    fn line(&mut self, line: &Object) {
        let get = |name: &str| text(line, name);
        match get("kind").as_str() {
            "template" => _ = self.templates.insert(get("digest")),
            "agent" => {
                let mut values = values(line);
                let task = line.read::<Object>("current_task").map(|task| text(&task, "id"));
                values.insert("current_task".to_owned(), task.unwrap_or_default());
                self.agents.insert(get("id"), values);
            }
            "session" => _ = self.sessions.insert(get("id"), values(line)),
            "message" => {
                let content = line.read::<Text>("content").unwrap_or_default();
                let time = match line.read::<Object>("extra").is_some_and(|extra| extra.get("timestamp").is_some()) {
                    true => String::new(),
                    false => get("at"),
                };
                let message = format!(
                    "{} {} {time} {} {}",
                    get("id"),
                    get("role"),
                    digest(&content),
                    content.to_str_lossy().len()
                );
                self.messages.entry(get("session")).or_default().push(message);
            }
            "task" => {
                let parts = ["slot", "id", "title", "status", "assigned_at", "completed_at", "duration"].map(get);
                self.tasks.entry(get("session")).or_default().push(parts.join(" "));
            }
            "orchestration" => self.orchestration.push(["id", "type", "from", "to", "at"].map(get).join(" ")),
            "checkpoint" => {
                let of = |name: &str| digest(&line.read::<Text>(name).unwrap_or_default());
                let checkpoint = format!("{} {} {}", get("at"), of("user"), of("agent_text"));
                self.checkpoints.entry(get("agent")).or_default().push(checkpoint);
            }
            "attachment" => _ = self.attachments.insert(get("path"), get("sha256")),
            _ => {}
        }
    }
}

fn values(line: &Object) -> Values {
    let mut values: Values = line.iter().map(|(name, _)| (name.to_string(), text(line, &name.to_string()))).collect();
    if let Some(template) = line.read::<Object>("template") {
        let named = match template.get("digest") {
            Some(_) => text(&template, "digest"),
            None => format!("id {}", text(&template, "id")),
        };
        values.insert("template".to_owned(), named);
    }
    values
}

fn text(object: &Object, name: &str) -> String {
    match object.read::<Text>(name) {
        Some(text) => text.to_string(),
        None => object.get(name).filter(|value| *value != "null").unwrap_or_default().to_owned(),
    }
}

/// The ground truth was made in JavaScript, which writes an unpaired surrogate as a replacement character.
fn digest(text: &Text) -> String {
    Sha256::digest(text.to_str_lossy().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}
