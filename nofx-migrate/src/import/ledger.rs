//! What earlier migrations into this store did.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::TryStreamExt;
use nofx_core::entity::{Entity, EntityId, ImportedFile, RecordEntity, SourcePath, own};
use nofx_core::json::{Object, Text, Value};
use nofx_core::{Expect, Result, Store, Timestamp, Versioned};

use super::index::Indexed;
use super::writer::Changes;
use crate::digest::hex;
use crate::legacy::time;
use crate::report::FileState;

/// The ids of agents and sessions in a file.
const IDS: &str = "ids";

/// What is beside the agents or sessions in a file.
const AROUND: &str = "around";

/// The longest list that is kept with a file.
const LONGEST: usize = 4 << 20;

/// What earlier migrations into this store did, by file.
#[derive(Debug, Default)]
pub(crate) struct Ledger(HashMap<Text, Versioned<ImportedFile>>);

impl Ledger {
    /// Reads the ledger of a store.
    pub(crate) async fn read(store: &Store) -> Result<Self> {
        let mut files = HashMap::new();
        let mut records = store.list::<ImportedFile>();
        while let Some(record) = records.try_next().await? {
            files.insert(record.value.path.as_text().clone(), record);
        }
        Ok(Self(files))
    }

    /// Returns whether a file was imported, and whether as it is now.
    pub(crate) fn state(&self, file: &Indexed) -> FileState {
        match self.0.get(&file.source.path) {
            None => FileState::New,
            Some(known) if known.value.size == file.size && known.value.sha256 == hex(&file.sha256).as_str() => {
                FileState::Unchanged
            }
            Some(_) => FileState::Changed,
        }
    }

    /// Returns the ids of the agents or sessions that a file had when it was imported.
    pub(crate) fn ids(&self, path: &Text) -> HashSet<Text> {
        let ids = self.0.get(path).and_then(|known| known.value.object().read::<Vec<Text>>(IDS));
        ids.unwrap_or_default().into_iter().collect()
    }

    /// Returns when the newest list of agents was written that was imported, as the lists say.
    pub(crate) fn agents_saved(&self) -> Option<Timestamp> {
        let lists = self.0.values().filter(|known| known.value.became == "agents");
        let around = lists.filter_map(|known| Object::parse(known.value.object().get(AROUND)?).ok());
        around.filter_map(|around| time(around.get("timestamp")?)).max()
    }

    /// Describes a file that was imported.
    pub(crate) fn entry(&self, file: &Indexed, attachment: Option<&str>) -> Result<Changes> {
        let path = SourcePath::from(file.source.path.clone());
        let mut object = ImportedFile::new(path, file.size, hex(&file.sha256), file.judgement.became).to_object();
        let counts: BTreeMap<_, _> = file.judgement.counts.iter().copied().collect();
        let mut counted = Object::default();
        counts.iter().for_each(|(kind, count)| counted.set(kind, count.to_string()));
        object.set("counts", counted.to_json());
        for (name, json) in [(IDS, file.ids.write()), (AROUND, own(&file.around).to_json())] {
            // Neither is more than a convenience, so one that is absurdly long is left out.
            if json.len() > 2 && json.len() < LONGEST {
                object.set(name, json);
            }
        }
        if let Some(reason) = attachment {
            object.set("attachment", nofx_core::json::quote(reason));
        }
        let entry = ImportedFile::from_object(object);
        let expect = self.0.get(&file.source.path).map_or(Expect::Absent, |known| Expect::At(known.version));
        Ok(Changes { puts: vec![(entry.key(), expect, entry.to_body()?)], ..Changes::default() })
    }
}
