//! The life of a session: created, changed, paused, resumed, archived.

use std::time::Duration;

use super::activity::{ActivityPlace, moved, new_session, place_key};
use crate::batch::{Batch, Expect};
use crate::entity::{
    Agent, Entity, EntityId, RecordEntity, Session, SessionId, SessionStatus, Template, check_metadata,
};
use crate::error::{Error, Result};
use crate::json::{Object, Text};
use crate::record::Seq;
use crate::time::Timestamp;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::{SESSION_LIFETIME, Workspace};

/// The details of a session to create.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its display name; by default the agent's name and the time.
    pub name: Option<Text>,
    /// The agent's working directory.
    pub working_directory: Option<Text>,
    /// The git branch.
    pub git_branch: Option<Text>,
    /// What the agent may do.
    pub capabilities: Vec<Text>,
    /// The agent's system prompt, if it differs from its template's.
    pub system_prompt: Option<Text>,
    /// How long it lasts, by default [`SESSION_LIFETIME`]. `None`: it never expires, even after it is resumed or
    /// restored.
    pub lifetime: Option<Duration>,
    /// The host's own data, at most [`METADATA_BYTES`](crate::entity::METADATA_BYTES); members that are `null` are left
    /// out.
    pub metadata: Object,
}

/// No details, and the session lasts for [`SESSION_LIFETIME`].
impl Default for NewSession {
    fn default() -> Self {
        Self {
            name: None,
            working_directory: None,
            git_branch: None,
            capabilities: Vec::new(),
            system_prompt: None,
            lifetime: Some(SESSION_LIFETIME),
            metadata: Object::default(),
        }
    }
}

/// A session as the verbs need it: its record and where it is listed.
#[derive(Clone, Debug)]
pub(crate) struct FoundSession {
    pub(crate) session: Session,
    pub(crate) version: Seq,
    place: Option<(ActivityPlace, Seq)>,
}

impl FoundSession {
    /// Adds to a batch the session's new record and its new place.
    pub(crate) fn save(&self, batch: Batch, session: &Session, to: &ActivityPlace) -> Result<Batch> {
        let batch = batch.put(session.key(), Expect::At(self.version), session.to_body()?);
        self.moved(batch, Some(to))
    }

    /// Adds to a batch the session's new record, without new messages.
    pub(crate) fn save_changed(&self, batch: Batch, session: &Session) -> Result<Batch> {
        let to = match &self.place {
            Some((place, _)) => place.changed(session),
            None => ActivityPlace::of(session, None),
        };
        self.save(batch, session, &to)
    }

    /// Adds to a batch the move of the session to another place, or out of the lists.
    pub(crate) fn moved(&self, batch: Batch, to: Option<&ActivityPlace>) -> Result<Batch> {
        moved(batch, &self.session.id, self.place.as_ref().map(|(place, version)| (place, *version)), to)
    }
}

/// Sessions: created, listed, paused and resumed, archived, moved to the trash and purged.
///
/// ```
/// # use nofx_core::workspace::{NewSession, SessionFilter, SessionState, Workspace};
/// # use nofx_core::{MemoryBackend, Store, entity::Agent};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> nofx_core::Result<()> {
/// # let workspace = Workspace::new(Store::new(std::sync::Arc::new(MemoryBackend::new())));
/// let ada = Agent::new("ada", "Ada", "backend-specialist");
/// let new = NewSession { name: Some("sorting".into()), ..NewSession::default() };
/// let session = workspace.create_session(&ada, new).await?;
///
/// workspace.pause_session(&session.id).await?;
/// let page = workspace.summaries(&SessionFilter::default(), None, 50).await?;
/// assert_eq!((page.items[0].state, page.next), (SessionState::Paused, None));
/// workspace.resume_session(&session.id).await?;
///
/// // A host that knows its sessions by a key of its own: created once, found from then on.
/// let opened = workspace.open_session("thread-7", &ada, NewSession::default()).await?;
/// assert!(opened.created);
/// assert_eq!(workspace.session_by_key("thread-7").await?, Some(opened.session));
///
/// // Only what is in the trash can be purged, and until then it can be taken out again.
/// workspace.delete_session(&session.id).await?;
/// workspace.undelete_session(&session.id).await?;
/// workspace.delete_session(&session.id).await?;
/// workspace.purge_session(&session.id).await?;
/// assert!(workspace.session(&session.id).await?.is_none());
/// # Ok(()) }
/// ```
impl Workspace {
    /// Creates a session of an agent. It is active and expires after five hours unless `new` says otherwise.
    ///
    /// The agent need not be saved. `Invalid` for metadata that [`update_metadata`](Self::update_metadata) rejects.
    pub async fn create_session(&self, agent: &Agent, new: NewSession) -> Result<Session> {
        let new = &new;
        let decided = self.decide("create_session", move |attempt| async move {
            let session = self.begun("create_session", agent, new)?;
            if attempt.has_happened() {
                return Ok((self.find(&session.id).await?.session, None));
            }
            let batch = with_event(self.store.batch(), EventKind::SessionCreated);
            // Two sessions of one agent in the same millisecond could get the same id; the second then conflicts and
            // gets another.
            let batch = new_session(batch, &session, None)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Returns the session that is to be created for an agent.
    pub(crate) fn begun(&self, verb: &str, agent: &Agent, new: &NewSession) -> Result<Session> {
        let now = self.now();
        let id = self.made(verb, "session", &format!("{}-", agent.id));
        let name = new.name.clone().unwrap_or_else(|| format!("{} - {now}", agent.name).into());
        let mut session = Session::new(id, name, agent.id.clone());
        session.agent_name = agent.name.clone();
        session.agent_type = agent.kind.clone();
        session.created_at = Some(now);
        session.last_active_at = Some(now);
        session.expires_at = new.lifetime.map(|lifetime| now.saturating_add(lifetime));
        session.working_directory = new.working_directory.clone();
        session.git_branch = new.git_branch.clone();
        session.capabilities = new.capabilities.clone();
        session.system_prompt = new.system_prompt.clone();
        session.template = agent.template.clone();
        session.prompt_is_templates = agent.template.is_some() && new.system_prompt.is_none();
        session.namespace = self.namespace.to_text();
        session.settle_schema();
        session.merge_metadata(&new.metadata)?;
        Ok(session)
    }

    /// Reads a session, even one in the trash; `None` if there is none in this namespace.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        let found = self.store.load::<Session>(id).await?.map(|found| found.value);
        Ok(found.filter(|session| self.holds(session)))
    }

    /// Returns the system prompt of a session's agent: the session's own, or its template's.
    pub async fn system_prompt(&self, session: &Session) -> Result<Option<Text>> {
        match &session.template {
            Some(digest) if session.prompt_is_templates => {
                Ok(self.store.load::<Template>(digest).await?.and_then(|template| template.value.system_prompt))
            }
            _ => Ok(session.system_prompt.clone()),
        }
    }

    /// Changes a session's record, such as its name or its branch; returns its new state.
    ///
    /// `Invalid` if the change has a verb of its own (status, trash, id and history), or if the metadata would be too
    /// long. `Conflict` if concurrent changes persist.
    pub async fn update_session(&self, id: &SessionId, change: impl Fn(&mut Session)) -> Result<Session> {
        let change = |session: &mut Session, _| {
            let before = session.clone();
            change(session);
            if session.metadata != before.metadata {
                check_metadata(id, session.metadata.as_ref())?;
            }
            let kept = (&session.id, &session.status, &session.deleted_at, &session.key, &session.namespace)
                == (&before.id, &before.status, &before.deleted_at, &before.key, &before.namespace)
                && (&session.pieces, session.copied, session.rewinds)
                    == (&before.pieces, before.copied, before.rewinds);
            match kept && session.task_at_hand == before.task_at_hand {
                true => Ok(None),
                false => Err(Error::invalid(format!(
                    "session `{id}`: `update_session` changes no id, key, namespace, status, task, history or trash; call the verb for that"
                ))),
            }
        };
        self.change_session("update_session", id, change).await
    }

    /// Merges members into the metadata of a session, and changes nothing else: each member replaces the one of the same
    /// name, and `null` removes it. Nested members are not merged.
    ///
    /// `Invalid`, and no change, if the result would be longer than [`METADATA_BYTES`](crate::entity::METADATA_BYTES), if
    /// a name is cut in the middle of a character, or if another program has stored something other than an object.
    pub async fn update_metadata(&self, id: &SessionId, changes: &Object) -> Result<Session> {
        self.change_session("update_metadata", id, |session, _| session.merge_metadata(changes).map(|()| None)).await
    }

    /// Renames a session.
    pub async fn rename_session(&self, id: &SessionId, name: impl Into<Text>) -> Result<Session> {
        let name = name.into();
        self.update_session(id, |session| session.name = name.clone()).await
    }

    /// Pauses a session. `Invalid` if it is not active.
    pub async fn pause_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("pause_session", id, |session, now| {
            require(session, &[SessionStatus::Active], "paused")?;
            session.status = Some(SessionStatus::Paused);
            session.last_active_at = session.last_active_at.max(Some(now));
            Ok(Some(EventKind::SessionPaused))
        })
        .await
    }

    /// Resumes a session that is paused or has expired; it then lasts as long as a new one, or never expires if it
    /// never did. `Invalid` if it is archived.
    pub async fn resume_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("resume_session", id, |session, now| {
            require(session, &[SessionStatus::Active, SessionStatus::Paused, SessionStatus::Expired], "resumed")?;
            session.status = Some(SessionStatus::Active);
            session.expires_at = renewed_expiry(session, now);
            session.last_active_at = session.last_active_at.max(Some(now));
            Ok(Some(EventKind::SessionResumed))
        })
        .await
    }

    /// Archives a session for good: it takes no more messages or tasks, and the backend may compress it.
    ///
    /// Archiving an archived session is no change, and archiving does not count as activity. To continue, fork it:
    /// [`restore_session`](Self::restore_session).
    pub async fn archive_session(&self, id: &SessionId) -> Result<Session> {
        let decided = self.decide("archive_session", move |attempt| async move {
            let found = self.find(id).await?;
            let mut session = found.session.clone();
            session.status = Some(SessionStatus::Archived);
            if attempt.has_happened() {
                return Ok((found.session, None));
            }
            if session == found.session {
                return Ok((session, None));
            }
            let batch = self.store.batch().seal(session.log()).seal(Session::tasks(id));
            let batch = found.save_changed(with_event(batch, EventKind::SessionArchived), &session)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Reads a session and its place. `NotFound` if there is none.
    pub(crate) async fn find(&self, id: &SessionId) -> Result<FoundSession> {
        let key = id.record_key(Session::KIND);
        let mut records = self.store.get(&[key, place_key(id)]).await?.into_iter();
        let (record, place) = (records.next().flatten(), records.next().flatten());
        let record = record.ok_or_else(|| missing(id))?;
        let place = place.map(|record| Ok::<_, Error>((ActivityPlace::read(&record)?, record.version))).transpose()?;
        let session = Session::from_body(&record.body)?;
        match self.holds(&session) {
            true => Ok(FoundSession { session, version: record.version, place }),
            false => Err(missing(id)),
        }
    }

    /// Changes a session's record, and emits the event that `change` returns; if nothing changes, nothing is committed.
    pub(crate) async fn change_session(
        &self,
        verb: &str,
        id: &SessionId,
        change: impl Fn(&mut Session, Timestamp) -> Result<Option<EventKind>>,
    ) -> Result<Session> {
        let change = &change;
        let decided = self.decide(verb, move |attempt| async move {
            let found = self.find(id).await?;
            let mut session = found.session.clone();
            if attempt.has_happened() {
                return Ok((session, None));
            }
            let event = change(&mut session, self.now())?;
            if session == found.session {
                return Ok((session, None));
            }
            let batch = event.into_iter().fold(self.store.batch(), with_event);
            let batch = found.save_changed(batch, &session)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }
}

/// Returns when a session expires that continues now: never, if it never did.
pub(crate) fn renewed_expiry(session: &Session, now: Timestamp) -> Option<Timestamp> {
    session.expires_at.map(|_| now.saturating_add(SESSION_LIFETIME))
}

/// Checks that a session takes messages and tasks; `Invalid` says why not, `TooNew` that a later version wrote it.
pub(crate) fn require_open(session: &Session) -> Result<()> {
    session.require_known_schema()?;
    if session.deleted_at.is_some() {
        return Err(Error::invalid(format!("session `{}` is in the trash; undelete it first", session.id)));
    }
    if session.status == Some(SessionStatus::Archived) {
        return Err(Error::invalid(format!("session `{}` is archived; restore it first", session.id)));
    }
    Ok(())
}

fn require(session: &Session, statuses: &[SessionStatus], verb: &str) -> Result<()> {
    match &session.status {
        Some(status) if !statuses.contains(status) => {
            Err(Error::invalid(format!("session `{}` is {status} and cannot be {verb}", session.id)))
        }
        _ => Ok(()),
    }
}

fn missing(session: &SessionId) -> Error {
    Error::not_found(format!("session `{}`", session.to_string().escape_debug()))
}
