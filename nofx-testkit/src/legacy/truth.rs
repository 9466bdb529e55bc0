//! What a migration must make of a workspace, according to the code that generated it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What a migration must make of a workspace. All JSON is as it was written in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// The copies of each session, by id. Nothing else may become a session except those in [`Truth::perhaps`].
    pub sessions: BTreeMap<String, Vec<IntactSession>>,
    /// Sessions that may be made from the rest of a file that shows only its name, or not even that.
    pub perhaps: BTreeSet<String>,
    /// Each agent, from the list that takes precedence. Nothing else may become an agent except those that are cut
    /// off.
    pub agents: BTreeMap<String, String>,
    /// Agents of whom a list has only the beginning, because it is cut off there.
    pub cut_agents: BTreeSet<String>,
    /// Templates that must be there; others may be.
    pub templates: Vec<String>,
    /// The lists of checkpoints of each agent.
    pub checkpoints: BTreeMap<String, Vec<Vec<String>>>,
    /// The texts of each transcript, by agent, in order; a copy of its beginning may add some that are cut off.
    pub transcripts: BTreeMap<String, Vec<String>>,
    /// The messages between agents of each folder that has some, in order.
    pub orchestration: BTreeMap<&'static str, Vec<String>>,
    /// Files whose bytes must all be kept.
    pub kept: BTreeMap<String, Vec<u8>>,
    /// Parts of files, with these bytes, that must be kept unless the whole file is.
    pub kept_lines: BTreeMap<String, Vec<Vec<u8>>>,
    /// Files that may be kept. No others may.
    pub may_be_kept: BTreeSet<String>,
    /// Damaged files, which the report must mention.
    pub damaged: BTreeSet<String>,
    /// Things that are not files, which the report must name.
    pub skipped: BTreeSet<String>,
    /// The bytes of each file that are not imported, which the report must mention.
    pub unused: BTreeMap<String, UnusedBytes>,
    /// How many of each kind are in a file, as the report must state.
    pub counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

/// Which bytes of a file are not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusedBytes {
    /// Where they begin, which cannot be determined exactly.
    pub from: RangeInclusive<usize>,
    /// Where they end.
    pub to: usize,
}

impl UnusedBytes {
    /// All bytes of a file of that size are imported.
    pub(super) fn none(size: usize) -> Self {
        Self { from: size..=size, to: size }
    }
}

/// What is intact in one copy of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntactSession {
    /// Its messages, in order.
    pub messages: Vec<String>,
    /// The ids of its tasks.
    pub tasks: Vec<String>,
    /// Its other members by name, except the id and the template; of several with one name the last counts.
    pub members: Vec<(String, String)>,
}
