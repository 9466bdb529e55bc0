//! Namespaces: several sets of sessions, agents and messages between agents in one store.
//!
//! Everything outside the default namespace is stored where versions without namespaces do not look: its rows in lists
//! have their own prefix, its agents and their logs have their own kinds, and its sessions have schema 2.

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
const NAMESPACE_BYTES: usize = 64;

/// Bytes left free after an id in a namespace, for the number of a successor.
const ROOM: usize = 16;

/// A namespace: the default one, or one with a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Namespace(Option<Arc<str>>);

impl Namespace {
    /// Returns the namespace with a name. `Invalid` if the name is not allowed.
    fn of(name: &str) -> Result<Self> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        match (1..=NAMESPACE_BYTES).contains(&name.len()) && name.bytes().all(is_plain) {
            true => Ok(Self(Some(name.into()))),
            false => Err(Error::invalid(format!(
                "`{}` is not a valid namespace; give 1 to {NAMESPACE_BYTES} lower-case letters, digits, hyphens, dots and underscores",
                name.escape_debug()
            ))),
        }
    }

    /// Returns the namespace that a stored text names.
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

    /// Returns the prefix of its ids, in kinds that hold the items of all namespaces except the default one.
    pub(super) fn prefix(&self) -> String {
        self.name().map(|name| format!("{name}/")).unwrap_or_default()
    }

    /// Returns an item's id in this namespace.
    pub(super) fn id(&self, id: &str) -> String {
        let prefix = self.prefix();
        match prefix.len() + id.len() + ROOM <= MAX_ID_BYTES || prefix.is_empty() {
            true => format!("{prefix}{id}"),
            false => format!("{prefix}sha256:{}", sha256_hex(id.as_bytes())),
        }
    }

    /// Returns the kind for its items, given the kind of the default namespace.
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

    /// Returns whether a record or a log of kind `kind` belongs to it.
    pub(super) fn has(&self, default: &Kind, kind: &Kind, id: &str) -> bool {
        *kind == self.kind(default) && id.starts_with(&self.prefix())
    }
}

impl Workspace {
    /// Returns the workspace of a namespace in the same store. Sessions, their keys, agents and the messages between
    /// agents belong to the namespace in which they were created. Templates belong to all.
    ///
    /// Lists, search, totals, expiry, events and cleanup cover one namespace; a session of another one is `NotFound`.
    /// Statistics, dumps, backups and migrations cover all. A newly opened workspace is in the default namespace, which
    /// has no name and does not include the others. A namespace need not be created, and disappears with its contents.
    /// `Invalid` unless the name has 1 to 64 lower-case letters, digits, hyphens, dots and underscores.
    pub fn namespace(&self, name: &str) -> Result<Self> {
        Ok(self.within(Namespace::of(name)?))
    }

    /// Returns the workspace of a namespace in the same store.
    pub(super) fn within(&self, namespace: Namespace) -> Self {
        Self { namespace, growing: Growing::default(), ..self.clone() }
    }

    /// Returns the name of this workspace's namespace; `None` for the default one.
    pub fn namespace_name(&self) -> Option<&str> {
        self.namespace.name()
    }

    /// Returns whether a session belongs to the namespace of this workspace.
    pub fn holds(&self, session: &Session) -> bool {
        Namespace::stored(session.namespace.as_ref()) == self.namespace
    }

    /// Returns the key of an agent's record.
    pub(super) fn agent_key(&self, agent: &AgentId) -> RecordKey {
        let key = agent.record_key(AGENT);
        match RecordKey::new(self.namespace.kind(&AGENT), self.namespace.id(key.id())) {
            Ok(key) => key,
            Err(_) => unreachable!("an id in a namespace is short enough"),
        }
    }

    /// Returns an agent's log of this kind.
    pub(super) fn agent_log(&self, kind: &Kind, agent: &AgentId) -> LogKey {
        let log = agent.log_key(kind.clone());
        match LogKey::new(self.namespace.kind(kind), self.namespace.id(log.id())) {
            Ok(key) => key,
            Err(_) => unreachable!("an id in a namespace is short enough"),
        }
    }
}
