//! Which file holds what.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nofx_core::kind::{KINDS, KindInfo, Purpose, Shape};
use nofx_core::{Kind, LogKey, RecordKey};
pub(crate) use nofx_journal::codec::kind;
use nofx_journal::escape::{escape, is_long_name, unescape};
use nofx_journal::layout::Layout;
pub(crate) use nofx_journal::layout::{DAMAGED, FEED};

pub(crate) const JOURNAL: &str = "journal";
pub(crate) const LOCK: &str = "journal/lock";
pub(crate) const APPLY_LOCK: &str = "journal/apply-lock";
pub(crate) const TIP: &str = "journal/tip";
/// How the names of segments begin that a repair has put aside.
pub(crate) const DAMAGED_SEGMENT: &str = "damaged-";
pub(crate) const CONFIG: &str = "config.json";
pub(crate) const IGNORE: &str = ".gitignore";
pub(crate) const NOTE: &str = "README.txt";
pub(crate) const INDEX: &str = "index.jsonl";
pub(crate) const CATALOG: &str = "catalog";

/// The folder that separates open logs from sealed ones.
const SESSIONS: &str = "sessions";
const ACTIVE: &str = "active";
const ARCHIVED: &str = "archived";
/// The folder of kinds that this version does not know, each in its own folder.
const OTHER: &str = "other";

/// The text of `README.txt`, which says what the folder is.
pub(crate) const NOTE_TEXT: &str = "\
This folder is a NofX store: agents, their sessions and what was said in them.

Everything here is meant to be read: documents are JSON, histories are JSON lines in the order of their
positions, and archived histories are JSON lines under zstd (`zstd -dc history.jsonl.zst`). For example:

    jq .body agents/*.json
    grep -rl 'some words' sessions/active
    jq -r '.body' sessions/active/SESSION/history.jsonl

What was written in the last seconds may still be in `journal/` only. Files are checked when they are read, so
an edited one is reported as damaged: change things through a NofX program.

The file `.gitignore` keeps this folder out of commits. `git clean -x` removes ignored files, this folder among
them; a store outside of the checkout is safe from that.
";

/// Where the journal is.
pub(crate) static AT: LazyLock<Layout> = LazyLock::new(|| Layout::new(JOURNAL, *b"nofx-fs\x01"));

/// The meaning of a file in a kind's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileMeaning {
    /// A record; the id is `None` if the name is too short for it.
    Record(Kind, Option<String>),
    /// An open log, likewise.
    Open(Kind, Option<String>),
    /// A sealed log, likewise.
    Sealed(Kind, Option<String>),
}

/// Returns whether records of a kind share one file.
pub(crate) fn is_index(kind: &Kind) -> bool {
    info(kind, Shape::Record).is_some_and(|info| info.purpose == Purpose::Index)
}

/// Returns the file of a record whose kind has a file for each.
pub(crate) fn record(key: &RecordKey) -> PathBuf {
    let (folder, suffix) = place(key.kind(), Shape::Record);
    folder.join(format!("{}{suffix}.json", escape(key.id())))
}

/// Returns the file that contains a record.
pub(crate) fn record_or_index(key: &RecordKey) -> PathBuf {
    if is_index(key.kind()) { INDEX.into() } else { record(key) }
}

/// Returns the file of a log while it is open.
pub(crate) fn open_log(key: &LogKey) -> PathBuf {
    log(key, ACTIVE, "jsonl")
}

/// Returns the file of a log once it is sealed.
pub(crate) fn sealed_log(key: &LogKey) -> PathBuf {
    log(key, ARCHIVED, "jsonl.zst")
}

fn log(key: &LogKey, half: &str, extension: &str) -> PathBuf {
    let (folder, suffix) = place(key.kind(), Shape::Log);
    let name = escape(key.id());
    match folder == Path::new(SESSIONS) {
        true => folder.join(half).join(name).join(format!("{}.{extension}", key.kind())),
        false => folder.join(format!("{name}{suffix}.{extension}")),
    }
}

/// Returns the folder of a kind, and what is between an id and the extension: the kind, unless the folder's name says
/// it.
fn place(kind: &Kind, shape: Shape) -> (PathBuf, String) {
    match info(kind, shape) {
        None => (Path::new(OTHER).join(kind.as_str()), String::new()),
        Some(info) if info.folder.strip_suffix('s').unwrap_or(info.folder) == kind.as_str() => {
            (info.folder.into(), String::new())
        }
        Some(info) => (info.folder.into(), format!(".{kind}")),
    }
}

fn info(kind: &Kind, shape: Shape) -> Option<&'static KindInfo> {
    KINDS.iter().find(|info| info.kind == *kind && info.shape == shape)
}

/// Returns every top-level folder that holds records or logs.
pub(crate) fn folders() -> impl Iterator<Item = &'static str> {
    let mut folders: Vec<_> = KINDS.iter().map(|info| info.folder).chain([OTHER]).collect();
    folders.sort_unstable();
    folders.dedup();
    folders.into_iter()
}

/// Returns the meaning of a path below one of [`folders`]; `None` if no file of a store has such a name.
pub(crate) fn named(path: &Path) -> Option<FileMeaning> {
    let parts: Vec<_> = path.iter().map(|part| part.to_str()).collect::<Option<_>>()?;
    let id_in = |name: &str| match is_long_name(name) {
        true => Some(None),
        false => unescape(name).map(Some),
    };
    let found = match *parts.as_slice() {
        [SESSIONS, half @ (ACTIVE | ARCHIVED), id, file] => {
            let (kind_name, extension) = file.split_once('.')?;
            let (kind, id) = (kind(kind_name)?, id_in(id)?);
            match (half, extension) {
                (ACTIVE, "jsonl") => FileMeaning::Open(kind, id),
                (ARCHIVED, "jsonl.zst") => FileMeaning::Sealed(kind, id),
                _ => return None,
            }
        }
        [OTHER, kind_name, file] => {
            let (id, extension) = file.split_once('.')?;
            shaped(extension, kind(kind_name)?, id_in(id)?)?
        }
        [folder, file] => {
            let (id, rest) = file.split_once('.')?;
            let known = KINDS.iter().filter(|info| info.folder == folder).find_map(|info| {
                let (_, suffix) = place(&info.kind, info.shape);
                let extension = rest.strip_prefix(suffix.strip_prefix('.').unwrap_or_default())?;
                let extension = if suffix.is_empty() { extension } else { extension.strip_prefix('.')? };
                let is_shape = (extension == "json") == (info.shape == Shape::Record);
                is_shape.then(|| (extension, info.kind.clone()))
            });
            let (extension, kind) = known?;
            shaped(extension, kind, id_in(id)?)?
        }
        _ => return None,
    };
    Some(found)
}

fn shaped(extension: &str, kind: Kind, id: Option<String>) -> Option<FileMeaning> {
    Some(match extension {
        "json" => FileMeaning::Record(kind, id),
        "jsonl" => FileMeaning::Open(kind, id),
        "jsonl.zst" => FileMeaning::Sealed(kind, id),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use nofx_core::kind;

    use super::*;

    #[test]
    fn every_kind_has_its_file_and_the_file_shows_the_kind() {
        let unknown = Kind::of("later");
        for kind in KINDS.iter().map(|info| &info.kind).chain([&unknown]) {
            for id in ["7f3a", "a.b", "A/../b"] {
                let (record_key, log_key) =
                    (RecordKey::new(kind.clone(), id).unwrap(), LogKey::new(kind.clone(), id).unwrap());
                let is = |shape| info(kind, shape).is_some() || *kind == unknown;
                let id = || Some(id.to_owned());
                if is(Shape::Record) {
                    assert_eq!(named(&record(&record_key)), Some(FileMeaning::Record(kind.clone(), id())));
                }
                if is(Shape::Log) {
                    assert_eq!(named(&open_log(&log_key)), Some(FileMeaning::Open(kind.clone(), id())));
                    assert_eq!(named(&sealed_log(&log_key)), Some(FileMeaning::Sealed(kind.clone(), id())));
                }
            }
        }
    }

    #[test]
    fn paths_are_what_people_expect() {
        let path = |path: PathBuf| nofx_platform::slashed(&path);
        assert_eq!(path(record(&RecordKey::new(kind::AGENT, "ada").unwrap())), "agents/ada.json");
        assert_eq!(path(record(&RecordKey::new(kind::PAYLOAD, "0f").unwrap())), "attachments/0f.payload.json");
        let history = LogKey::new(kind::HISTORY, "s1").unwrap();
        assert_eq!(path(open_log(&history)), "sessions/active/s1/history.jsonl");
        assert_eq!(path(sealed_log(&history)), "sessions/archived/s1/history.jsonl.zst");
        let transcript = LogKey::new(kind::TRANSCRIPT, "ada").unwrap();
        assert_eq!(path(open_log(&transcript)), "agents/ada.transcript.jsonl");
        let messages = LogKey::new(kind::ORCHESTRATION, "3").unwrap();
        assert_eq!(path(sealed_log(&messages)), "orchestration/3.jsonl.zst");
        assert_eq!(path(record(&RecordKey::new(Kind::of("later"), "x").unwrap())), "other/later/x.json");
    }

    #[test]
    fn strays_belong_to_no_key() {
        for path in ["agents/notes.txt", "agents/A.json", "sessions/x/y.jsonl", "agents/a.json~new", "agents"] {
            assert_eq!(named(Path::new(path)), None, "{path}");
        }
    }
}
