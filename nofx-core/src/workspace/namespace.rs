//! Namespaces: several sets of sessions, agents and messages between agents in one store.
//!
//! What belongs to another namespace than the default one stands where versions without namespaces do not look: its rows of lists have a
//! prefix of their own, its agents and their logs kinds of their own, and its sessions are of schema 2.

use std::sync::Arc;

use super::Workspace;
use super::orchestration::Growing;
use crate::entity::{AgentId, EntityId, Session, sha256_hex};
use crate::error::{Error, Result};
use crate::json::Text;
use crate::key::{Kind, LogKey, MAX_ID_BYTES, RecordKey};
use crate::kind::{
    AGENT, AGENT_IN, CHECKPOINTS, CHECKPOINTS_IN, ORCHESTRATION, ORCHESTRATION_IN, TRANSCRIPT, TRANSCRIPT_IN,
};

/// The longest name of a namespace, in bytes.
pub const NAMESPACE_BYTES: usize = 64;

/// What is left free behind an id in a namespace, for the number of a successor.
const ROOM: usize = 16;

/// Which set of things: the default one, or one with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Namespace(Option<Arc<str>>);

impl Namespace {
    /// Returns the one of a name. `Invalid` if it cannot be a name.
    fn of(name: &str) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        match (1..=NAMESPACE_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
            true => Ok(Self(Some(name.into()))),
            false => Err(Error::invalid(format!(
                "`{}` is no name of a namespace: 1 to {NAMESPACE_BYTES} lower-case letters, digits, hyphens, dots and underscores",
                name.escape_debug()
            ))),
        }
    }

    /// Returns the one that a stored text names.
    pub(super) fn stored(name: Option<&Text>) -> Self {
        Self(name.map(|name| name.to_str_lossy().as_ref().into()))
    }

    /// Returns its name; `None` for the default one.
    pub(super) fn name(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(super) fn to_text(&self) -> Option<Text> {
        self.name().map(Text::from)
    }

    /// Returns what the ids of its things begin with, in kinds that hold those of all namespaces but the default one.
    pub(super) fn prefix(&self) -> String {
        self.name().map(|name| format!("{name}/")).unwrap_or_default()
    }

    /// Returns the id of a thing of it.
    pub(super) fn id(&self, id: &str) -> String {
        let prefix = self.prefix();
        match prefix.len() + id.len() + ROOM <= MAX_ID_BYTES || prefix.is_empty() {
            true => format!("{prefix}{id}"),
            false => format!("{prefix}sha256:{}", sha256_hex(id.as_bytes())),
        }
    }

    /// Returns which kind holds its things, of one that holds those of the default namespace.
    pub(super) fn kind(&self, kind: &Kind) -> Kind {
        let pairs = [
            (AGENT, AGENT_IN),
            (CHECKPOINTS, CHECKPOINTS_IN),
            (TRANSCRIPT, TRANSCRIPT_IN),
            (ORCHESTRATION, ORCHESTRATION_IN),
        ];
        match pairs.into_iter().find(|(default, _)| default == kind) {
            Some((_, other)) if self.0.is_some() => other,
            _ => kind.clone(),
        }
    }

    /// Returns whether a record or a log of these kinds is one of its things.
    pub(super) fn has(&self, default: &Kind, kind: &Kind, id: &str) -> bool {
        *kind == self.kind(default) && id.starts_with(&self.prefix())
    }
}

impl Workspace {
    /// Returns the workspace of a namespace in the same store: sessions, their keys, agents and the log between agents belong to one, from
    /// their creation on. Templates belong to all.
    ///
    /// Lists, search, totals, expiry, events and cleanup are about one; a session of another one is `NotFound`. Statistics, dumps, backups
    /// and migrations are about all. A workspace that was opened is about the default one, which has no name and leaves all others
    /// out. A namespace need not be made, and is gone with what it has. `Invalid` unless the name has 1 to 64 lower-case letters, digits,
    /// hyphens, dots and underscores.
    pub fn namespace(&self, name: &str) -> Result<Self> {
        Ok(self.within(Namespace::of(name)?))
    }

    /// Returns the workspace of a namespace in the same store.
    pub(super) fn within(&self, namespace: Namespace) -> Self {
        Self { namespace, growing: Growing::default(), ..self.clone() }
    }

    /// Returns the name of the namespace that this workspace is about; `None` for the default one.
    pub fn namespace_name(&self) -> Option<&str> {
        self.namespace.name()
    }

    /// Returns whether a session belongs to the namespace of this workspace.
    pub fn holds(&self, session: &Session) -> bool {
        Namespace::stored(session.namespace.as_ref()) == self.namespace
    }

    /// Returns the record of an agent.
    pub(super) fn agent_key(&self, agent: &AgentId) -> RecordKey {
        let key = agent.record_key(AGENT);
        match RecordKey::new(self.namespace.kind(&AGENT), self.namespace.id(key.id())) {
            Ok(key) => key,
            Err(_) => unreachable!("an id in a namespace is short enough"),
        }
    }

    /// Returns the log of this kind of an agent.
    pub(super) fn agent_log(&self, kind: &Kind, agent: &AgentId) -> LogKey {
        let log = agent.log_key(kind.clone());
        match LogKey::new(self.namespace.kind(kind), self.namespace.id(log.id())) {
            Ok(key) => key,
            Err(_) => unreachable!("an id in a namespace is short enough"),
        }
    }
}
