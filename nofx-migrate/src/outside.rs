//! Sources outside the legacy folder: the state that VS Code keeps for the extension, and an orchestration log elsewhere.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::json::{Text, compact};
use nofx_platform::real;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, MAIN_DB};

use crate::error::MigrateError;
use crate::legacy::{decode, members};
use crate::report::Skipped;
use crate::tree::{SourceTree, name_text};

/// The beginning of every SQLite database.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Keys under which the extension stored data, in the state of a workspace or the global state of VS Code.
const KEYS: &[&str] = &[
    "nofx.agents",
    "nofx.sessions",
    "nofx.sessions.active",
    "nofx.templates.cache",
    "nofx.storage.version",
    "nofx.migration.status",
    "performanceHistory",
    "performanceDashboard",
    "lastPersistenceTime",
    "conductorChatHistory",
    "conversationalConductorHistory",
    "nofxTheme",
];

/// The kinds of paths outside the legacy folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutsideSource {
    /// `state.vscdb`, the database in which VS Code keeps the state of its extensions.
    StateDatabase,
    /// The extension's state as JSON: an object with its keys, even if it is truncated or damaged after the first of them.
    StateJson,
    /// A folder with `messages*.jsonl`, if the old setting `orchestration.persistencePath` named it.
    Orchestration,
}

impl OutsideSource {
    /// Classifies a path; `None` if it is none of these.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let found = fs::metadata(path)?;
        if found.is_dir() {
            let has_log = fs::read_dir(path)?.flatten().any(|entry| is_log(&entry.file_name().to_string_lossy()));
            return Ok(has_log.then_some(Self::Orchestration));
        }
        // Opening a pipe would block forever.
        if !found.is_file() {
            return Ok(None);
        }
        let bytes = fs::read(path)?;
        if bytes.starts_with(SQLITE) {
            return Ok(Some(Self::StateDatabase));
        }
        Ok(state(&bytes).map(|_| Self::StateJson))
    }
}

fn is_log(name: &str) -> bool {
    name.starts_with("messages") && name.ends_with(".jsonl")
}

/// The extension's state, as far as it can be read.
struct State {
    /// Keys and values; if the state is damaged, the last value is the rest of one.
    members: Vec<(Text, Vec<u8>)>,
    is_damaged: bool,
}

/// Reads the extension's state; `None` if it is something else.
fn state(bytes: &[u8]) -> Option<State> {
    let decoded = decode(bytes);
    let text = decoded.text.trim_ascii();
    let found = members(text);
    let is_damaged = found.error.is_some() || !decoded.bad.is_empty() || found.end != text.len();
    let name = |literal: &str| Text::from_json(literal).unwrap_or_default();
    let whole =
        found.whole.iter().map(|(literal, value)| (name(literal), compact(value).unwrap_or_default().into_bytes()));
    let rest = found.damaged.map(|(literal, rest)| (name(literal), rest.as_bytes().to_vec()));
    let members: Vec<_> = whole.chain(rest).collect();
    let is_state = members.iter().any(|(name, _)| KEYS.iter().any(|key| name == key));
    is_state.then_some(State { members, is_damaged })
}

/// Classifies a path that must be one of these.
pub(crate) fn classify(path: &Path) -> Result<OutsideSource, MigrateError> {
    let found = OutsideSource::of(path).map_err(|cause| unreadable(path, cause))?;
    found.ok_or_else(|| MigrateError::SourceNotState(path.to_owned()))
}

fn unreadable(path: &Path, cause: io::Error) -> MigrateError {
    match nofx_platform::is_missing(&cause) {
        true => MigrateError::SourceMissing(path.to_owned()),
        false => MigrateError::SourceUnreadable { path: path.to_owned(), cause: Arc::new(cause) },
    }
}

/// Adds the files at a path to a source. Their paths begin with `@` and the names of the folder and the file.
pub(crate) fn add(tree: &mut SourceTree<'_>, path: &Path) -> Result<(), MigrateError> {
    let unreadable = |cause| unreadable(path, cause);
    let path = &real(path).map_err(unreadable)?;
    match classify(path)? {
        OutsideSource::Orchestration => add_logs(tree, path).map_err(unreadable),
        OutsideSource::StateJson => {
            let bytes = fs::read(path).map_err(unreadable)?;
            add_state(tree, &root(path), &root(path), bytes);
            Ok(())
        }
        OutsideSource::StateDatabase => {
            let bytes = fs::read(path).map_err(unreadable)?;
            let rows = extension_rows(bytes).map_err(|error| unreadable(io::Error::other(error)))?;
            note_changes_beside(tree, path);
            let what = format!("the state of VS Code, of which {} rows are the extension's", rows.len());
            for (key, value) in rows {
                add_state(tree, &root(path), &format!("{}/{key}", root(path)), value);
            }
            tree.skipped.push(Skipped { path: root(path), what });
            Ok(())
        }
    }
}

/// Returns the prefix of paths that are not below the legacy folder.
fn root(path: &Path) -> String {
    let name = |path: Option<&Path>| {
        path.and_then(Path::file_name).map(|name| name_text(name).to_string()).unwrap_or_default()
    };
    format!("@{}/{}", name(path.parent()), name(Some(path)))
}

fn add_logs(tree: &mut SourceTree<'_>, folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let found = fs::symlink_metadata(entry.path())?;
        if is_log(&name) && found.is_file() {
            tree.add_file(&format!("{}/{name}", root(folder)), found.len(), entry.path());
        }
    }
    Ok(())
}

/// Adds the values of the extension's state below `root`; what cannot be read completely also unchanged, under `path`.
fn add_state(tree: &mut SourceTree<'_>, root: &str, path: &str, bytes: Vec<u8>) {
    let state = state(&bytes);
    if state.as_ref().is_none_or(|state| state.is_damaged) {
        tree.add_value(path, bytes);
    }
    for (key, value) in state.into_iter().flat_map(|state| state.members) {
        tree.add_value(&format!("{root}/{key}.json"), value);
    }
}

/// Returns the extension's rows in a database, which is read from memory, so that the file cannot be modified.
fn extension_rows(mut database: Vec<u8>) -> rusqlite::Result<Vec<(String, Vec<u8>)>> {
    // A database in write-ahead mode can only be read from memory if it is marked as not being in that mode.
    for at in [18, 19] {
        if let Some(mode) = database.get_mut(at) {
            *mode = 1;
        }
    }
    let mut connection = Connection::open_in_memory()?;
    let size = database.len();
    connection.deserialize_read_exact(MAIN_DB, database.as_slice(), size, true)?;
    let mut select = connection.prepare("SELECT key, value FROM ItemTable ORDER BY key")?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let key = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
        let value = match row.get_ref(1)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => continue,
        };
        // VS Code names a row `publisher.extension`.
        if key.ends_with(".nofx") {
            found.push((key, value));
        }
    }
    Ok(found)
}

/// Notes changes to a database that are not yet in its file.
fn note_changes_beside(tree: &mut SourceTree<'_>, path: &Path) {
    for suffix in ["-wal", "-journal"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let beside = PathBuf::from(beside);
        if fs::metadata(&beside).is_ok_and(|found| found.len() > 0) {
            let why = "it has changes that are not in the database yet; close VS Code and migrate again";
            tree.unreadable.push((root(&beside), why.to_owned()));
        }
    }
}
