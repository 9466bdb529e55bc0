//! The content of a store after an import.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use nofx_core::entity::{
    Agent, Attachment, Checkpoint, Entity, OrchestrationMessage, Session, Template, TranscriptPart, foreign,
};
use nofx_core::json::{Object, canonical};
use nofx_core::{LogKey, LogQuery, LogScan, Store, kind};
use nofx_migrate::{dump, read_attachment};

/// JSON that compares equal whatever its spacing and escapes.
pub(crate) type Json = Vec<u8>;

/// The content of a store after an import.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) sessions: BTreeMap<String, FoundSession>,
    pub(crate) agents: BTreeMap<String, Object>,
    pub(crate) templates: Vec<Json>,
    pub(crate) checkpoints: BTreeMap<String, Vec<Json>>,
    pub(crate) transcripts: BTreeMap<String, Vec<String>>,
    pub(crate) orchestration: Vec<Json>,
    pub(crate) attachments: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct FoundSession {
    /// As JSON.
    pub(crate) messages: Vec<String>,
    /// The ids.
    pub(crate) tasks: Vec<String>,
    pub(crate) header: Object,
}

pub(crate) fn json(text: &str) -> Json {
    canonical(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

impl Found {
    pub(crate) async fn read(store: &Store) -> Self {
        let mut found = Self::default();
        for session in store.list::<Session>().try_collect::<Vec<_>>().await.unwrap() {
            let id = &session.value.id;
            let messages = entries(store, Session::history(id)).await;
            let tasks = entries(store, Session::tasks(id)).await;
            let one = FoundSession {
                messages: messages.iter().map(Object::to_json).collect(),
                tasks: tasks
                    .iter()
                    .map(|task| task.get("id").unwrap_or_default().trim_matches('"').to_owned())
                    .collect(),
                header: foreign(&session.value.to_object()),
            };
            found.sessions.insert(id.to_string(), one);
        }
        for agent in store.list::<Agent>().try_collect::<Vec<_>>().await.unwrap() {
            found.agents.insert(agent.value.id.to_string(), foreign(&agent.value.to_object()));
        }
        for template in store.list::<Template>().try_collect::<Vec<_>>().await.unwrap() {
            found.templates.push(json(&foreign(&template.value.to_object()).to_json()));
        }
        for head in store.logs(LogScan::of(kind::CHECKPOINTS, 100)).try_collect::<Vec<_>>().await.unwrap() {
            let agent = head.log.id().to_string();
            let list = entries(store, Checkpoint::log(&agent.as_str().into())).await;
            found.checkpoints.insert(agent, list.iter().map(|object| json(&object.to_json())).collect());
        }
        for head in store.logs(LogScan::of(kind::TRANSCRIPT, 100)).try_collect::<Vec<_>>().await.unwrap() {
            let agent = head.log.id().to_string();
            let parts = entries(store, TranscriptPart::log(&agent.as_str().into())).await;
            let text = |part: &Object| part.read::<nofx_core::json::Text>("content").unwrap_or_default().to_string();
            found.transcripts.insert(agent, parts.iter().map(text).collect());
        }
        for number in 0..10 {
            let segment = entries(store, OrchestrationMessage::segment(number)).await;
            found.orchestration.extend(segment.iter().map(|object| json(&object.to_json())));
        }
        for kept in store.list::<Attachment>().try_collect::<Vec<_>>().await.unwrap() {
            let bytes = read_attachment(store, &kept.value).await.unwrap();
            found.attachments.insert(kept.value.path.to_string(), bytes);
        }
        // Whatever was found, it can be printed.
        dump(store, &mut std::io::sink()).await.unwrap();
        found
    }
}

/// Returns the objects of a log as they were in the source.
async fn entries(store: &Store, log: LogKey) -> Vec<Object> {
    let entries = store.read(LogQuery::oldest_first(log, 100)).try_collect::<Vec<_>>().await.unwrap();
    entries.iter().map(|entry| foreign(&Object::parse(entry.body.as_str()).unwrap())).collect()
}
