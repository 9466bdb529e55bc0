//! What is known about each file of the source and each thing in them, in a database of this run.
//!
//! Files are numbered from one, in the order of their paths. The data of each is in tables by that number, so that memory does
//! not grow with the number of files.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nofx_core::entity::{TemplateDigest, TemplateId};
use nofx_core::json::{Object, Text};
use nofx_core::{Body, Seq, Timestamp};
use rusqlite::{OptionalExtension, Row, params};
use tokio::sync::OwnedSemaphorePermit;

use super::examine::Examined;
use super::names::NameNumbers;
use super::temp_database::{PAGE_ROWS, TempDatabase, paged};
use crate::digest::{Hash, Print, Printing, hex, print};
use crate::error::MigrateError;
use crate::legacy::{self, LegacyPath, Outline, Pass, Reading};
use crate::report::{FileReport, FileState, Unused};
use crate::tree::{Origin, SourceFile};

const TABLES: &str = "
    CREATE TABLE listed (path BLOB, size INTEGER, place BLOB, value BLOB);
    CREATE TABLE file (at INTEGER PRIMARY KEY, path BLOB, size INTEGER, place BLOB, value BLOB);
    CREATE TABLE known (at INTEGER PRIMARY KEY, version INTEGER, size INTEGER, sha256 BLOB, ids TEXT);
    CREATE TABLE found (
        at INTEGER PRIMARY KEY, state INTEGER, marks INTEGER, size INTEGER, sha256 BLOB, print BLOB,
        became INTEGER, counts TEXT, keep TEXT, late TEXT, unused TEXT, ids TEXT, around TEXT
    );
    CREATE TABLE part (rank INTEGER, name BLOB, at INTEGER, size INTEGER, is_new INTEGER);
    CREATE TABLE thing (id INTEGER PRIMARY KEY, rank INTEGER, name BLOB, files BLOB, size INTEGER, is_new INTEGER);
    CREATE TABLE expected (thing INTEGER PRIMARY KEY, body BLOB);
";

/// All files, and what is known about them.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) database: TempDatabase,
    pub(super) names: NameNumbers,
    templates: Mutex<BTreeMap<TemplateId, NamedTemplate>>,
    /// Each with the room that it takes.
    outlines: Mutex<HashMap<usize, (Outline, OwnedSemaphorePermit)>>,
    // Files of many sessions, which are needed once for each of them.
    kept: Mutex<Vec<(usize, Arc<Reading>)>>,
}

/// A file that was read once.
#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    pub(crate) at: usize,
    pub(crate) source: SourceFile,
    pub(crate) place: LegacyPath,
    pub(crate) size: u64,
    pub(crate) sha256: Hash,
    print: Print,
    pub(crate) state: FileState,
    marks: u8,
}

/// What else is known about a file.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) became: &'static str,
    /// How many entities of each kind are in it.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Why it is to be kept whole, if it is.
    pub(crate) keep: Option<String>,
    /// The same, if that was discovered only when it was compared with the target.
    pub(crate) late: Option<String>,
    pub(crate) unused: Vec<Unused>,
    /// The ids of its agents or sessions, and the members beside the list of them, as JSON.
    pub(crate) ids: Option<String>,
    pub(crate) around: Option<String>,
    /// The version of the target's record of an earlier import of it.
    pub(crate) known: Option<Seq>,
}

/// Facts about a file.
pub(super) mod mark {
    /// Some parts are kept unchanged.
    pub(crate) const PARTS: u8 = 1;
    /// Nothing in it became an entity.
    pub(crate) const NOTHING: u8 = 2;
    /// It has many sessions.
    pub(crate) const MANY_SESSIONS: u8 = 4;
    /// It is to be kept whole.
    pub(crate) const KEPT: u8 = 8;
    /// It has a part of some thing.
    pub(crate) const THINGS: u8 = 16;
}

/// A content that a template's name could point to, and what decides between several.
#[derive(Clone, Debug)]
pub(crate) struct NamedTemplate {
    pub(crate) id: TemplateId,
    pub(crate) digest: TemplateDigest,
    pub(crate) rank: u8,
    pub(crate) at: Option<Timestamp>,
    pub(crate) file: usize,
}

/// What an earlier import recorded about a file.
#[derive(Debug)]
pub(crate) struct EarlierImport {
    pub(crate) path: Text,
    pub(crate) version: Seq,
    pub(crate) size: u64,
    pub(crate) sha256: Text,
    pub(crate) ids: Option<String>,
}

/// Files of many sessions that are kept in memory.
const KEPT_FILES: usize = 2;

/// Files with more bytes are read before all others, largest first.
const LARGE_FILE: u64 = 1 << 20;

impl Index {
    pub(crate) fn new() -> Result<Self, MigrateError> {
        Ok(Self {
            database: TempDatabase::new(TABLES)?,
            names: NameNumbers::default(),
            templates: Mutex::default(),
            outlines: Mutex::default(),
            kept: Mutex::default(),
        })
    }

    /// Adds a file that was found.
    pub(crate) fn list(&self, file: &SourceFile) -> Result<(), MigrateError> {
        let (place, value) = match &file.origin {
            Origin::File(path) => (Some(nofx_platform::path_bytes(path)), None),
            Origin::Value(bytes) => (None, Some(&**bytes)),
        };
        self.database.with(|database| {
            let mut insert = database.prepare_cached("INSERT INTO listed VALUES (?, ?, ?, ?)")?;
            insert.execute(params![file.path.as_bytes(), file.size, place, value]).map(drop)
        })
    }

    /// Numbers all files that were found; returns their number and their total size in bytes.
    pub(crate) fn number(&self) -> Result<(u64, u64), MigrateError> {
        self.database.with(|database| {
            database.execute_batch(
                "INSERT INTO file (path, size, place, value) SELECT * FROM listed ORDER BY path; DROP TABLE listed",
            )?;
            database
                .query_row("SELECT count(*), ifnull(sum(size), 0) FROM file", [], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }

    /// Records what an earlier import recorded about some files; nothing for files that are gone.
    pub(crate) fn know(&self, all: &[EarlierImport]) -> Result<(), MigrateError> {
        self.database.with(|database| {
            database.execute_batch("CREATE UNIQUE INDEX IF NOT EXISTS by_path ON file (path)")?;
            let mut insert = database
                .prepare_cached("INSERT OR REPLACE INTO known SELECT at, ?2, ?3, ?4, ?5 FROM file WHERE path = ?1")?;
            for known in all {
                let sha256 = known.sha256.as_bytes();
                let EarlierImport { path, version, size, ids, .. } = known;
                insert.execute(params![path.as_bytes(), version.get(), size, sha256, ids])?;
            }
            Ok(())
        })
    }

    /// Returns all files, the large ones first, so that the threads that read them finish at about the same time.
    pub(crate) fn unread(
        self: &Arc<Self>,
    ) -> Result<impl Iterator<Item = Result<(usize, SourceFile), MigrateError>> + Send + use<>, MigrateError> {
        let large: Vec<usize> = self.database.with(|database| {
            let mut select = database.prepare_cached("SELECT at FROM file WHERE size > ? ORDER BY size DESC, at")?;
            select.query_map([LARGE_FILE], |row| row.get(0))?.collect()
        })?;
        const COLUMNS: &str = "SELECT path, size, place, value, at FROM file";
        let (index, others) = (self.clone(), self.clone());
        let large = large.into_iter().map(move |at| {
            let sql = format!("{COLUMNS} WHERE at = ?");
            index.database.with(|database| database.prepare_cached(&sql)?.query_row([at], |row| Ok((at, source(row)?))))
        });
        let others = paged(move |last| {
            let sql = format!("{COLUMNS} WHERE at > ? AND size <= ? ORDER BY at LIMIT ?");
            others.database.with(|database| {
                let mut select = database.prepare_cached(&sql)?;
                let row = |row: &Row<'_>| Ok((row.get(4)?, (row.get(4)?, source(row)?)));
                select.query_map(params![last, LARGE_FILE, PAGE_ROWS], row)?.collect()
            })
        });
        Ok(large.chain(others))
    }

    /// Records what was found in a file, and returns whether it was imported before.
    pub(crate) fn note(&self, at: usize, mut found: Examined) -> Result<FileState, MigrateError> {
        self.note_templates(std::mem::take(&mut found.templates));
        if let Some(outline) = found.outline.take() {
            lock(&self.outlines).insert(at, outline);
        }
        let sha256 = hex(&found.sha256);
        let observed = &found.observed;
        let counts: Vec<(usize, u64)> =
            observed.counts.iter().map(|(kind, count)| (self.names.number(kind), *count)).collect();
        let unused: Vec<_> =
            observed.unused.iter().map(|unused| (unused.from, unused.to, unused.reason.as_str())).collect();
        self.database.with(|database| {
            let known: Option<bool> = database
                .prepare_cached("SELECT size = ?2 AND sha256 = ?3 FROM known WHERE at = ?1")?
                .query_row(params![at, found.size, sha256.as_bytes()], |row| row.get(0))
                .optional()?;
            let state = match known {
                None => FileState::New,
                Some(true) => FileState::Unchanged,
                Some(false) => FileState::Changed,
            };
            let mut insert =
                database.prepare_cached("INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)")?;
            insert.execute(params![
                at,
                number(state),
                found.marks,
                found.size,
                found.sha256,
                found.print.to_le_bytes(),
                self.names.number(observed.became),
                json(&counts),
                observed.keep,
                json(&unused),
                found.ids,
                found.around,
            ])?;
            let mut insert = database.prepare_cached("INSERT INTO part VALUES (?, ?, ?, ?, ?)")?;
            for (rank, name) in &found.parts {
                insert.execute(params![rank, name, at, found.size, state != FileState::Unchanged])?;
            }
            Ok(state)
        })
    }

    /// Records that a file cannot be read.
    pub(crate) fn note_unreadable(&self, at: usize, source: &SourceFile) -> Result<(), MigrateError> {
        let became = self.names.number("unreadable");
        self.database.with(|database| {
            let mut insert = database.prepare_cached(
                "INSERT INTO found (at, state, marks, size, sha256, print, became) VALUES (?, ?, 0, ?, '', '', ?)",
            )?;
            insert.execute(params![at, number(FileState::Unreadable), source.size, became]).map(drop)
        })
    }

    fn note_templates(&self, templates: Vec<NamedTemplate>) {
        let mut newest = lock(&self.templates);
        for template in templates {
            match newest.get_mut(&template.id) {
                Some(best) if template.is_newer_than(best) => *best = template,
                Some(_) => {}
                None => _ = newest.insert(template.id.clone(), template),
            }
        }
    }

    /// Returns the newest content of each named template, and the file it is from.
    pub(crate) fn newest_templates(&self) -> BTreeMap<TemplateId, (TemplateDigest, usize)> {
        let newest = lock(&self.templates);
        newest.iter().map(|(id, template)| (id.clone(), (template.digest.clone(), template.file))).collect()
    }

    /// Returns the number and the total size of the files that could be read; either only of those that are to be imported, or of all.
    pub(crate) fn size(&self, is_new: bool) -> Result<(u64, u64), MigrateError> {
        let but = if is_new { FileState::Unchanged } else { FileState::Unreadable };
        self.database.with(|database| {
            let sum = "SELECT count(*), ifnull(sum(size), 0) FROM found WHERE state NOT IN (?, ?)";
            database.query_row(sum, [number(but), number(FileState::Unreadable)], |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }

    /// Returns some files, all of which could be read.
    pub(crate) fn files(&self, all: &[usize]) -> Result<Vec<Indexed>, MigrateError> {
        self.database.with(|database| {
            let sql = format!("{INDEXED} WHERE f.at = ?");
            let mut select = database.prepare_cached(&sql)?;
            all.iter().map(|at| select.query_row([at], indexed)).collect()
        })
    }

    /// Returns all files that could be read.
    pub(crate) fn all_files(self: &Arc<Self>) -> impl Iterator<Item = Result<Indexed, MigrateError>> + Send + use<> {
        let index = self.clone();
        paged(move |last| {
            let sql = format!("{INDEXED} WHERE f.at > ? AND d.state <> ? ORDER BY f.at LIMIT ?");
            index.database.with(|database| {
                let mut select = database.prepare_cached(&sql)?;
                let row = |row: &Row<'_>| indexed(row).map(|file| (file.at as i64, file));
                select.query_map(params![last, number(FileState::Unreadable), PAGE_ROWS], row)?.collect()
            })
        })
    }

    /// Returns the path of a file.
    pub(crate) fn path(&self, at: usize) -> Result<String, MigrateError> {
        let path: Vec<u8> = self.database.with(|database| {
            database.prepare_cached("SELECT path FROM file WHERE at = ?")?.query_row([at], |row| row.get(0))
        })?;
        Ok(text(path).to_string())
    }

    /// Returns what else is known about a file.
    pub(crate) fn facts(&self, at: usize) -> Result<Facts, MigrateError> {
        self.database.with(|database| {
            let mut select = database.prepare_cached(
                "SELECT became, counts, keep, late, unused, ids, around, version FROM found LEFT JOIN \
                 (SELECT at AS known_at, version FROM known) ON known_at = at WHERE at = ?",
            )?;
            select.query_row([at], |row| self.facts_of(row))
        })
    }

    fn facts_of(&self, row: &Row<'_>) -> rusqlite::Result<Facts> {
        let parsed = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(column)?.unwrap_or_default());
        let counts: Vec<(usize, u64)> = serde_json::from_str(&parsed(1)?).unwrap_or_default();
        let unused: Vec<(u64, u64, String)> = serde_json::from_str(&parsed(4)?).unwrap_or_default();
        Ok(Facts {
            became: self.names.name(row.get(0)?),
            counts: counts.into_iter().map(|(kind, count)| (self.names.name(kind), count)).collect(),
            keep: row.get(2)?,
            late: row.get(3)?,
            unused: unused.into_iter().map(|(from, to, reason)| Unused { from, to, reason }).collect(),
            ids: row.get(5)?,
            around: row.get(6)?,
            known: row.get::<_, Option<u64>>(7)?.and_then(Seq::new),
        })
    }

    /// Returns the ids that a file had when it was last imported.
    pub(crate) fn known_ids(&self, at: usize) -> Result<Vec<Text>, MigrateError> {
        let ids: Option<Option<String>> = self.database.with(|database| {
            let mut select = database.prepare_cached("SELECT ids FROM known WHERE at = ?")?;
            select.query_row([at], |row| row.get(0)).optional()
        })?;
        Ok(ids.flatten().and_then(|ids| nofx_core::json::Value::read(&ids)).unwrap_or_default())
    }

    /// Records why a file is to be kept that seemed to need no keeping, unless a reason is recorded already.
    pub(crate) fn keep_late(&self, at: usize, why: &str) -> Result<(), MigrateError> {
        self.database.with(|database| {
            let mut update = database.prepare_cached("UPDATE found SET late = ifnull(late, ?) WHERE at = ?")?;
            update.execute(params![why, at]).map(drop)
        })
    }

    /// Returns the reports on all files, including those that could not be read.
    pub(crate) fn reports(self: &Arc<Self>) -> impl Iterator<Item = Result<FileReport, MigrateError>> + Send + use<> {
        let index = self.clone();
        paged(move |last| {
            index.database.with(|database| {
                let mut select = database.prepare_cached(
                    "SELECT became, counts, keep, late, unused, NULL, NULL, NULL, at, path, d.size, sha256, state, marks \
                     FROM file JOIN found d USING (at) WHERE at > ? ORDER BY at LIMIT ?",
                )?;
                select.query_map(params![last, PAGE_ROWS], |row| Ok((row.get(8)?, index.report(row)?)))?.collect()
            })
        })
    }

    fn report(&self, row: &Row<'_>) -> rusqlite::Result<FileReport> {
        let facts = self.facts_of(row)?;
        let has_parts = row.get::<_, u8>(13)? & mark::PARTS != 0;
        let parts = has_parts.then(|| "the lines that are not exactly one message".to_owned());
        let sha256: Option<Hash> = row.get(11).ok();
        Ok(FileReport {
            path: text(row.get(9)?).to_string(),
            size: row.get(10)?,
            sha256: sha256.as_ref().map(hex).unwrap_or_default(),
            became: facts.became,
            state: state(row.get(12)?),
            counts: facts.counts,
            attachment: facts.keep.or(parts).or(facts.late),
            unused: facts.unused,
        })
    }

    /// Reads a file again, and returns whether it is unchanged.
    pub(crate) fn read(&self, file: &Indexed) -> io::Result<(Arc<Reading>, bool)> {
        if let Some((_, reading)) = lock(&self.kept).iter().find(|(kept, _)| *kept == file.at) {
            return Ok((reading.clone(), true));
        }
        let outline = lock(&self.outlines).remove(&file.at);
        let (reading, is_same) = file.source.read(|bytes| {
            let is_same = print(bytes) == file.print;
            let outline = outline.as_ref().map(|(outline, _)| outline).filter(|_| is_same);
            (Arc::new(legacy::read(&file.place, bytes, Pass::Second(outline))), is_same)
        })?;
        if is_same && file.has_many() {
            // It may be needed again after it is dropped from the cache.
            outline.map(|outline| lock(&self.outlines).insert(file.at, outline));
            let mut kept = lock(&self.kept);
            kept.truncate(KEPT_FILES - 1);
            kept.insert(0, (file.at, reading.clone()));
        }
        Ok((reading, is_same))
    }

    /// Drops everything that is kept in memory, so that files are read again.
    pub(crate) fn forget(&self) {
        lock(&self.kept).clear();
        lock(&self.outlines).clear();
    }
}

impl Indexed {
    /// Returns whether parts of it are kept unchanged.
    pub(crate) fn has_parts(&self) -> bool {
        self.marks & mark::PARTS != 0
    }

    /// Returns whether nothing in it became an entity.
    pub(crate) fn has_nothing(&self) -> bool {
        self.marks & mark::NOTHING != 0
    }

    /// Returns whether it was known from the start that it is to be kept whole.
    pub(crate) fn is_kept(&self) -> bool {
        self.marks & mark::KEPT != 0
    }

    /// Returns whether it has a part of some thing.
    pub(crate) fn has_things(&self) -> bool {
        self.marks & mark::THINGS != 0
    }

    fn has_many(&self) -> bool {
        self.marks & mark::MANY_SESSIONS != 0
    }

    /// Returns whether it is to be imported.
    pub(crate) fn is_new(&self) -> bool {
        self.state != FileState::Unchanged
    }

    /// Reads the file again and returns whether it has the bytes that it had in the first pass.
    pub(crate) fn is_same(&self) -> bool {
        let mut printing = Printing::default();
        pieces(&self.source, |piece| printing.add(piece)).is_ok() && printing.finish() == self.print
    }
}

impl NamedTemplate {
    /// A file among the custom templates counts as newer than one among the templates, that as newer than a copy in
    /// `agents.json`, that as newer than the copy in the session that was last active, that as newer than a snapshot's.
    /// The path decides between the rest, so that times of files do not matter.
    fn is_newer_than(&self, other: &Self) -> bool {
        let order = |template: &Self| (template.rank, std::cmp::Reverse(template.at), template.file);
        order(self) < order(other)
    }
}

/// Passes on a file piece by piece, and returns its size in bytes.
pub(super) fn pieces(source: &SourceFile, mut see: impl FnMut(&[u8])) -> io::Result<u64> {
    let (mut file, mut size) = (source.open()?, 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            read => {
                see(buffer.get(..read).unwrap_or_default());
                size += read as u64;
            }
        }
    }
}

/// A body of an object.
pub(crate) fn body(object: &Object) -> Body {
    Body::trusted(object.to_json())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const INDEXED: &str = "SELECT f.path, f.size, f.place, f.value, f.at, d.state, d.marks, d.size, d.sha256, d.print FROM file f \
                       JOIN found d ON d.at = f.at";

fn indexed(row: &Row<'_>) -> rusqlite::Result<Indexed> {
    let source = source(row)?;
    Ok(Indexed {
        at: row.get(4)?,
        place: LegacyPath::of(&source.path),
        size: row.get(7)?,
        sha256: row.get(8)?,
        print: Print::from_le_bytes(row.get(9)?),
        state: state(row.get(5)?),
        marks: row.get(6)?,
        source,
    })
}

fn source(row: &Row<'_>) -> rusqlite::Result<SourceFile> {
    let origin = match row.get::<_, Option<Vec<u8>>>(3)? {
        Some(value) => Origin::Value(value.into()),
        None => Origin::File(nofx_platform::path_of(row.get(2)?)),
    };
    Ok(SourceFile { path: text(row.get(0)?), size: row.get(1)?, origin })
}

/// Returns the text that has these bytes.
pub(super) fn text(bytes: Vec<u8>) -> Text {
    match String::from_utf8(bytes) {
        Ok(plain) => plain.into(),
        Err(error) => Text::from_bytes(error.into_bytes()).unwrap_or_default(),
    }
}

fn json<T: serde::Serialize>(list: &[T]) -> Option<String> {
    if list.is_empty() {
        return None;
    }
    serde_json::to_string(list).ok()
}

fn number(state: FileState) -> u8 {
    match state {
        FileState::New => 0,
        FileState::Changed => 1,
        FileState::Unchanged => 2,
        FileState::Unreadable => 3,
    }
}

fn state(number: u8) -> FileState {
    match number {
        0 => FileState::New,
        1 => FileState::Changed,
        2 => FileState::Unchanged,
        _ => FileState::Unreadable,
    }
}
