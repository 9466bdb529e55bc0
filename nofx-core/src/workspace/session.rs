//! The life of a session: created, changed, paused, resumed, archived.

use std::time::Duration;

use super::activity::{Place, moved, new_session, place_key};
use super::event::{EventKind, tell};
use super::{SESSION_LIFETIME, Workspace};
use crate::batch::{Batch, Expect};
use crate::entity::{
    Agent, Entity, EntityId, RecordEntity, Session, SessionId, SessionStatus, Template, check_metadata,
};
use crate::error::{Error, Result};
use crate::json::{Object, Text};
use crate::record::Seq;
use crate::time::Timestamp;

/// What may be said of a session when it is created.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What people call it; otherwise the agent's name and the time.
    pub name: Option<Text>,
    /// Where the agent works.
    pub working_directory: Option<Text>,
    /// On which branch.
    pub git_branch: Option<Text>,
    /// What the agent may do.
    pub capabilities: Vec<Text>,
    /// What the agent is told, where that is not what its template says.
    pub system_prompt: Option<Text>,
    /// How long it lasts, by default [`SESSION_LIFETIME`]. `None`: it never expires, also after it was resumed or restored.
    pub lifetime: Option<Duration>,
    /// What the host keeps with it for itself, at most [`METADATA_BYTES`](crate::entity::METADATA_BYTES); members that are `null`
    /// are left out.
    pub metadata: Object,
}

/// Nothing is said, and the session lasts for [`SESSION_LIFETIME`].
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

/// A session as the verbs need it: its record and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) session: Session,
    pub(super) version: Seq,
    place: Option<(Place, Seq)>,
}

impl Found {
    /// Adds to a batch the session as it shall be, and where it then belongs.
    pub(super) fn save(&self, batch: Batch, session: &Session, to: &Place) -> Result<Batch> {
        let batch = batch.put(session.key(), Expect::At(self.version), session.to_body()?);
        self.moved(batch, Some(to))
    }

    /// Adds to a batch the session as it shall be, without new messages.
    pub(super) fn save_changed(&self, batch: Batch, session: &Session) -> Result<Batch> {
        let to = match &self.place {
            Some((place, _)) => place.changed(session),
            None => Place::of(session, None),
        };
        self.save(batch, session, &to)
    }

    /// Adds to a batch that the session stands elsewhere, or nowhere.
    pub(super) fn moved(&self, batch: Batch, to: Option<&Place>) -> Result<Batch> {
        moved(batch, &self.session.id, self.place.as_ref().map(|(place, version)| (place, *version)), to)
    }
}

impl Workspace {
    /// Creates a session of an agent. It begins active and expires after five hours unless it is told otherwise.
    ///
    /// The agent need not be saved. `Invalid` for metadata that [`Session::merge_metadata`] refuses.
    pub async fn create_session(&self, agent: &Agent, new: NewSession) -> Result<Session> {
        let new = &new;
        let decided = self.decide("create_session", move |before| async move {
            let session = self.begun("create_session", agent, new)?;
            if before.has_happened() {
                return Ok((self.find(&session.id).await?.session, None));
            }
            let batch = tell(self.store.batch(), EventKind::SessionCreated);
            // Two of one agent in one millisecond could get one id; then the second one is given another.
            let batch = new_session(batch, &session, None)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Returns the session of an agent that is to be created.
    pub(super) fn begun(&self, verb: &str, agent: &Agent, new: &NewSession) -> Result<Session> {
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

    /// Reads a session, also one in the trash; `None` if there is none in this namespace.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        let found = self.store.load::<Session>(id).await?.map(|found| found.value);
        Ok(found.filter(|session| self.holds(session)))
    }

    /// Returns what the agent of a session is told: the session's own prompt, or its template's.
    pub async fn system_prompt(&self, session: &Session) -> Result<Option<Text>> {
        match &session.template {
            Some(digest) if session.prompt_is_templates => {
                Ok(self.store.load::<Template>(digest).await?.and_then(|template| template.value.system_prompt))
            }
            _ => Ok(session.system_prompt.clone()),
        }
    }

    /// Changes what is known of a session, such as its name or its branch; returns it as it then is.
    ///
    /// `Invalid` if the change is one that has a verb of its own: status, trash, id and history; or if the metadata would be too
    /// long. `Conflict` if others keep changing it.
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
                false => Err(Error::invalid(format!("this change of session `{id}` has a verb of its own"))),
            }
        };
        self.change_session("update_session", id, change).await
    }

    /// Changes the metadata of a session by its members, and nothing else of it: see [`Session::merge_metadata`].
    pub async fn update_metadata(&self, id: &SessionId, changes: &Object) -> Result<Session> {
        self.change_session("update_metadata", id, |session, _| session.merge_metadata(changes).map(|()| None)).await
    }

    /// Changes the name of a session.
    pub async fn rename_session(&self, id: &SessionId, name: impl Into<Text>) -> Result<Session> {
        let name = name.into();
        self.update_session(id, |session| session.name = name.clone()).await
    }

    /// Lets a session rest. `Invalid` if it is not active.
    pub async fn pause_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("pause_session", id, |session, now| {
            require(session, &[SessionStatus::Active], "paused")?;
            session.status = Some(SessionStatus::Paused);
            session.last_active_at = session.last_active_at.max(Some(now));
            Ok(Some(EventKind::SessionPaused))
        })
        .await
    }

    /// Lets a session go on that rests or has expired; it then lasts as long as a new one, or still never expires if it never
    /// did. `Invalid` if it is archived.
    pub async fn resume_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session("resume_session", id, |session, now| {
            require(session, &[SessionStatus::Active, SessionStatus::Paused, SessionStatus::Expired], "resumed")?;
            session.status = Some(SessionStatus::Active);
            session.expires_at = expiry_anew(session, now);
            session.last_active_at = session.last_active_at.max(Some(now));
            Ok(Some(EventKind::SessionResumed))
        })
        .await
    }

    /// Puts a session away for good: it takes no messages or tasks any more, and the backend may compress it.
    ///
    /// Archiving an archived session is no change, and archiving is no activity. To go on is a fork of it:
    /// [`restore_session`](Self::restore_session).
    pub async fn archive_session(&self, id: &SessionId) -> Result<Session> {
        let decided = self.decide("archive_session", move |before| async move {
            let found = self.find(id).await?;
            let mut session = found.session.clone();
            session.status = Some(SessionStatus::Archived);
            if before.has_happened() {
                return Ok((found.session, None));
            }
            if session == found.session {
                return Ok((session, None));
            }
            let batch = self.store.batch().seal(session.log()).seal(Session::tasks(id));
            let batch = found.save_changed(tell(batch, EventKind::SessionArchived), &session)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Reads a session and where it stands. `NotFound` if there is none.
    pub(super) async fn find(&self, id: &SessionId) -> Result<Found> {
        let key = id.record_key(Session::KIND);
        let mut records = self.store.get(&[key, place_key(id)]).await?.into_iter();
        let (record, place) = (records.next().flatten(), records.next().flatten());
        let record = record.ok_or_else(|| missing(id))?;
        let place = place.map(|record| Ok::<_, Error>((Place::read(&record)?, record.version))).transpose()?;
        let session = Session::from_body(&record.body)?;
        match self.holds(&session) {
            true => Ok(Found { session, version: record.version, place }),
            false => Err(missing(id)),
        }
    }

    /// Changes the record of a session, and tells what `change` says has happened; no change is no commit.
    pub(super) async fn change_session(
        &self,
        verb: &str,
        id: &SessionId,
        change: impl Fn(&mut Session, Timestamp) -> Result<Option<EventKind>>,
    ) -> Result<Session> {
        let change = &change;
        let decided = self.decide(verb, move |before| async move {
            let found = self.find(id).await?;
            let mut session = found.session.clone();
            if before.has_happened() {
                return Ok((session, None));
            }
            let event = change(&mut session, self.now())?;
            if session == found.session {
                return Ok((session, None));
            }
            let batch = event.into_iter().fold(self.store.batch(), tell);
            let batch = found.save_changed(batch, &session)?;
            Ok((session, Some(batch)))
        });
        Ok(decided.await?.0)
    }
}

/// Returns when a session ends that goes on now: never, if it never did.
pub(super) fn expiry_anew(session: &Session, now: Timestamp) -> Option<Timestamp> {
    session.expires_at.map(|_| now.saturating_add(SESSION_LIFETIME))
}

/// Returns whether a session takes messages and tasks; `Invalid` says why not, `TooNew` that a later version wrote it.
pub(super) fn require_open(session: &Session) -> Result<()> {
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
    Error::not_found(format!("there is no session `{}`", session.to_string().escape_debug()))
}
