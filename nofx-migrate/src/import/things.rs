//! The things in the files, in the order in which they are written.

use std::sync::Arc;

use nofx_core::entity::EntityId;
use rusqlite::{Connection, Row, params};

use super::expected::Expected;
use super::index::{Index, text};
use super::plan::Thing;
use super::temp_database::{PAGE_ROWS, paged};
use crate::error::MigrateError;
use crate::legacy::LegacyPath;

/// A thing whose files have more bytes is planned separately from all others.
const LARGE_THING: u64 = 4 << 20;

/// A thing and the files that have it, by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct ListedThing {
    pub(crate) id: i64,
    pub(crate) thing: Thing,
    pub(crate) files: Vec<usize>,
    /// Of all these files.
    pub(crate) bytes: u64,
    /// What the target must have of it, once it was planned, as it was recorded.
    pub(crate) expected: Option<Vec<u8>>,
}

/// Groups of things that are planned concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Messages between agents, which are one log, in the order of its files.
    Orchestration,
    /// Large things, so that they delay nothing else.
    Large,
    /// All others.
    Others,
}

impl Lane {
    fn condition(self) -> String {
        let log = Thing::ORCHESTRATION;
        match self {
            Self::Orchestration => format!("rank = {log}"),
            Self::Large => format!("rank <> {log} AND size > {LARGE_THING}"),
            Self::Others => format!("rank <> {log} AND size <= {LARGE_THING}"),
        }
    }
}

impl Thing {
    const ORCHESTRATION: u8 = 2;
    pub(crate) const CHECKPOINTS: u8 = 4;

    /// Returns the rank and name under which a file has a part of this thing.
    pub(crate) fn part(&self, at: usize, place: &LegacyPath) -> (u8, Option<Vec<u8>>) {
        let (rank, name) = match self {
            Self::Template => (0, (at as u64).to_be_bytes().to_vec()),
            Self::Agents => (1, Vec::new()),
            Self::Orchestration => {
                // The current file comes after the rolled ones, which their names put in order.
                let is_current = u8::from(place.name() == "messages.jsonl");
                (Self::ORCHESTRATION, [&[is_current], place.path.as_bytes()].concat())
            }
            Self::Session(id) => (3, id.as_text().as_bytes().to_vec()),
            Self::Checkpoints(agent) => (Self::CHECKPOINTS, agent.as_text().as_bytes().to_vec()),
            Self::Transcript(agent) => (5, agent.as_text().as_bytes().to_vec()),
        };
        (rank, Some(name))
    }

    fn named(rank: u8, name: Vec<u8>) -> Self {
        match rank {
            0 => Self::Template,
            1 => Self::Agents,
            Self::ORCHESTRATION => Self::Orchestration,
            3 => Self::Session(text(name).into()),
            Self::CHECKPOINTS => Self::Checkpoints(text(name).into()),
            _ => Self::Transcript(text(name).into()),
        }
    }
}

impl Index {
    /// Combines the parts that files have of one thing.
    pub(crate) fn gather(&self) -> Result<(), MigrateError> {
        self.database.with(|database| {
            let mut parts =
                database.prepare("SELECT rank, name, at, size, is_new FROM part ORDER BY rank, name, at")?;
            let mut parts = parts.query([])?;
            let mut gathered: Option<Gathered> = None;
            while let Some(row) = parts.next()? {
                let (rank, name): (u8, Vec<u8>) = (row.get(0)?, row.get(1)?);
                if gathered.as_ref().is_none_or(|thing| (thing.rank, &thing.name) != (rank, &name)) {
                    gathered.take().map_or(Ok(()), |thing| thing.insert(database))?;
                    gathered = Some(Gathered { rank, name, files: Vec::new(), bytes: 0, is_new: false });
                }
                if let Some(thing) = &mut gathered {
                    thing.files.extend(row.get::<_, u32>(2)?.to_le_bytes());
                    thing.bytes += row.get::<_, u64>(3)?;
                    thing.is_new |= row.get::<_, bool>(4)?;
                }
            }
            gathered.map_or(Ok(()), |thing| thing.insert(database))
        })
    }

    /// Returns for each file, by its number, how many things have it; either only things to be imported, or all.
    pub(crate) fn left(&self, only_new: bool) -> Result<Vec<u32>, MigrateError> {
        self.database.with(|database| {
            let count: usize = database.query_row("SELECT ifnull(max(at), 0) FROM file", [], |row| row.get(0))?;
            let mut left = vec![0; count + 1];
            let mut select = database.prepare("SELECT files FROM thing WHERE is_new >= ?")?;
            let mut rows = select.query([only_new])?;
            while let Some(row) = rows.next()? {
                for at in numbers(&row.get::<_, Vec<u8>>(0)?) {
                    if let Some(left) = left.get_mut(at) {
                        *left += 1;
                    }
                }
            }
            Ok(left)
        })
    }

    /// Returns the things of a lane that are to be imported.
    pub(crate) fn new_things(
        self: &Arc<Self>,
        lane: Lane,
    ) -> impl Iterator<Item = Result<ListedThing, MigrateError>> + Send + use<> {
        self.things(&format!("is_new AND {}", lane.condition()))
    }

    /// Returns all things.
    pub(crate) fn all_things(
        self: &Arc<Self>,
    ) -> impl Iterator<Item = Result<ListedThing, MigrateError>> + Send + use<> {
        self.things("1")
    }

    fn things(
        self: &Arc<Self>,
        condition: &str,
    ) -> impl Iterator<Item = Result<ListedThing, MigrateError>> + Send + use<> {
        let index = self.clone();
        let sql = format!(
            "SELECT id, rank, name, files, size, body FROM thing LEFT JOIN expected ON thing = id \
             WHERE id > ? AND {condition} ORDER BY id LIMIT ?"
        );
        paged(move |last| {
            index.database.with(|database| {
                let mut select = database.prepare_cached(&sql)?;
                select.query_map(params![last, PAGE_ROWS], |row| listed(row).map(|thing| (thing.id, thing)))?.collect()
            })
        })
    }

    /// Returns whether there are messages between agents.
    pub(crate) fn has_orchestration(&self) -> Result<bool, MigrateError> {
        self.database.with(|database| {
            let sql = "SELECT EXISTS (SELECT 1 FROM thing WHERE rank = ?)";
            database.query_row(sql, [Thing::ORCHESTRATION], |row| row.get(0))
        })
    }

    /// Records what the target must have of some things, for the verification.
    pub(crate) fn expect(&self, all: &[(i64, Expected)]) -> Result<(), MigrateError> {
        self.database.with(|database| {
            let mut insert = database.prepare_cached("INSERT OR REPLACE INTO expected VALUES (?, ?)")?;
            all.iter().try_for_each(|(id, expected)| insert.execute(params![id, expected.write(&self.names)]).map(drop))
        })
    }
}

/// A thing whose parts arrive one by one.
struct Gathered {
    rank: u8,
    name: Vec<u8>,
    files: Vec<u8>,
    bytes: u64,
    is_new: bool,
}

impl Gathered {
    fn insert(self, database: &Connection) -> rusqlite::Result<()> {
        let Self { rank, name, files, bytes, is_new } = self;
        let sql = "INSERT INTO thing (rank, name, files, size, is_new) VALUES (?, ?, ?, ?, ?)";
        database.prepare_cached(sql)?.execute(params![rank, name, files, bytes, is_new]).map(drop)
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedThing> {
    Ok(ListedThing {
        id: row.get(0)?,
        thing: Thing::named(row.get(1)?, row.get(2)?),
        files: numbers(&row.get::<_, Vec<u8>>(3)?).collect(),
        bytes: row.get(4)?,
        expected: row.get(5)?,
    })
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.chunks_exact(4).map(|number| u32::from_le_bytes(number.try_into().unwrap_or_default()) as usize)
}
