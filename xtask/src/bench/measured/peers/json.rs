//! Sessions as the old extension stored them: a JSON file each, rewritten whenever a message is added.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::MESSAGE;
use crate::Result;

#[derive(Debug)]
pub(in crate::bench::measured) struct JsonFiles(PathBuf);

impl JsonFiles {
    /// Fills a folder with sessions of as many messages.
    pub(in crate::bench::measured) fn create(folder: &Path, sessions: u64, messages: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let files = Self(folder.to_owned());
        let said: Vec<Value> = (0..messages).map(message).collect();
        for number in 0..sessions {
            let session = json!({ "id": format!("session-{number}"), "name": "one of many", "lastActiveAt": "2025-09-08T10:00:00.000Z",
                "conversationHistory": &said });
            fs::write(files.path(number), serde_json::to_vec_pretty(&session)?)?;
        }
        Ok(files)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.0.join(format!("session-{number}.json"))
    }

    /// Reads the first session, adds a message and writes it again, with a flush, which the old extension did not do.
    pub(in crate::bench::measured) fn append(&self) -> Result<u64> {
        let path = self.path(0);
        let mut session: Value = serde_json::from_slice(&fs::read(&path)?)?;
        if let Some(said) = session.get_mut("conversationHistory").and_then(Value::as_array_mut) {
            said.push(message(said.len() as u64));
        }
        let mut file = File::create(&path)?;
        file.write_all(&serde_json::to_vec_pretty(&session)?)?;
        file.sync_data()?;
        Ok(1)
    }

    /// Reads all sessions and returns how many were listed: the newest 50.
    pub(in crate::bench::measured) fn list(&self) -> Result<usize> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let session: Value = serde_json::from_slice(&fs::read(entry?.path())?)?;
            let at = session.get("lastActiveAt").and_then(Value::as_str).unwrap_or_default().to_owned();
            all.push((at, session));
        }
        all.sort_by(|one, other| other.0.cmp(&one.0));
        Ok(all.iter().take(50).count())
    }
}

fn message(number: u64) -> Value {
    json!({ "id": format!("m{number}"), "timestamp": "2025-09-08T10:00:00.000Z", "type": "user", "content": "x".repeat(MESSAGE - 70) })
}
