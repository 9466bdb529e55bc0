//! What a migration must make of a workspace, as whoever made the workspace knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What a migration must make of a workspace. Everything that is JSON is as it was written in the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truth {
    /// The copies of each session, by its id. Nothing else may be a session but those that are [`Truth::perhaps`].
    pub sessions: BTreeMap<String, Vec<SessionCopy>>,
    /// Sessions that may be made of what is left of a file that tells no more than its name, or not even that.
    pub perhaps: BTreeSet<String>,
    /// Each agent, as the list has it that counts. Nothing else may be an agent but those that are cut.
    pub agents: BTreeMap<String, String>,
    /// Agents of which a list has the beginning.
    pub cut_agents: BTreeSet<String>,
    /// Templates that must be there; others may be.
    pub templates: Vec<String>,
    /// The lists of checkpoints of each agent.
    pub checkpoints: BTreeMap<String, Vec<Vec<String>>>,
    /// The texts of each transcript, by the agent, in order; a copy of its beginning may add some that are cut.
    pub transcripts: BTreeMap<String, Vec<String>>,
    /// The messages between agents of each folder that has some, in order.
    pub orchestration: BTreeMap<&'static str, Vec<String>>,
    /// Files of which all bytes must be kept.
    pub kept: BTreeMap<String, Vec<u8>>,
    /// Stretches of files that must be kept, of these bytes, unless the whole file is.
    pub kept_lines: BTreeMap<String, Vec<Vec<u8>>>,
    /// Files that may be kept. All others may not.
    pub may_be_kept: BTreeSet<String>,
    /// Files that are damaged, which the report must say.
    pub damaged: BTreeSet<String>,
    /// What is no file, which the report must name.
    pub skipped: BTreeSet<String>,
    /// The bytes of each file that become nothing, which the report must tell.
    pub unused: BTreeMap<String, Unused>,
    /// How many of each kind are in a file, as the report must tell.
    pub counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

/// Where the bytes of a file are that become nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unused {
    /// Where they begin; nobody can tell exactly.
    pub from: RangeInclusive<usize>,
    /// Where they end.
    pub to: usize,
}

impl Unused {
    /// All bytes of a file of that size become something.
    pub(super) fn none(size: usize) -> Self {
        Self { from: size..=size, to: size }
    }
}

/// What is whole in one copy of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCopy {
    /// Its messages in their order.
    pub messages: Vec<String>,
    /// The ids of its tasks.
    pub tasks: Vec<String>,
    /// Its other members by their names, but the id and the template; of several with one name the last counts.
    pub members: Vec<(String, String)>,
}
