//! The record of earlier migrations into this store.

use std::sync::Arc;

use futures_util::TryStreamExt;
use nofx_core::entity::{Entity, EntityId, ImportedFile, RecordEntity, SourcePath};
use nofx_core::json::Object;
use nofx_core::{Expect, Result, Store, Timestamp, Versioned};

use super::blocking;
use super::index::{EarlierImport, Facts, Index, Indexed};
use super::writer::ThingChanges;
use crate::digest::hex;
use crate::error::MigrateError;
use crate::legacy::time;

/// The ids of agents and sessions in a file.
const IDS: &str = "ids";

/// What is beside the agents or sessions in a file.
const AROUND: &str = "around";

/// The longest list that is stored with a file.
const MAX_ENTRY_BYTES: usize = 4 << 20;

/// How many files are recorded at once.
const TOGETHER: usize = 500;

/// Reads what earlier migrations into this store did, by file; returns the time at which the newest imported list of agents was written,
/// according to the lists.
pub(crate) async fn read(store: &Store, index: &Arc<Index>) -> Result<Option<Timestamp>, MigrateError> {
    let (mut all, mut agents_saved) = (Vec::new(), None);
    let mut records = store.list::<ImportedFile>();
    while let Some(Versioned { value, version }) = records.try_next().await? {
        if value.became == "agents" {
            let around = value.object().get(AROUND).and_then(|around| Object::parse(around).ok());
            agents_saved = agents_saved.max(around.and_then(|around| time(around.get("timestamp")?)));
        }
        let ids = value.object().get(IDS).map(str::to_owned);
        let (path, size, sha256) = (value.path.as_text().clone(), value.size, value.sha256);
        all.push(EarlierImport { path, version, size, sha256, ids });
        if all.len() == TOGETHER {
            note(index, std::mem::take(&mut all)).await?;
        }
    }
    note(index, all).await?;
    Ok(agents_saved)
}

async fn note(index: &Arc<Index>, all: Vec<EarlierImport>) -> Result<(), MigrateError> {
    if all.is_empty() {
        return Ok(());
    }
    let index = index.clone();
    blocking(move || index.know(&all)).await
}

/// Describes a file that was imported.
pub(crate) fn entry(file: &Indexed, facts: Facts, attachment: Option<&str>) -> Result<ThingChanges> {
    let path = SourcePath::from(file.source.path.clone());
    let mut object = ImportedFile::new(path, file.size, hex(&file.sha256), facts.became).to_object();
    let mut counted = Object::default();
    facts.counts.iter().for_each(|(kind, count)| counted.set(kind, count.to_string()));
    object.set("counts", counted.to_json());
    for (name, json) in [(IDS, facts.ids), (AROUND, facts.around)] {
        // Neither is more than a convenience, so one that is absurdly long is omitted.
        if let Some(json) = json.filter(|json| json.len() < MAX_ENTRY_BYTES) {
            object.set(name, json);
        }
    }
    if let Some(reason) = attachment {
        object.set("attachment", nofx_core::json::quote(reason));
    }
    let entry = ImportedFile::from_object(object);
    let expect = facts.known.map_or(Expect::Absent, Expect::At);
    Ok(ThingChanges { puts: vec![(entry.key(), expect, entry.to_body()?)], ..ThingChanges::default() })
}
