//! The life of a session: created, paused, resumed, archived, put into the trash and taken out, purged.

use std::time::Duration;

use super::activity::{Place, moved, place_key};
use super::{SESSION_LIFETIME, TRIES, Workspace, missing};
use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{Agent, Entity, EntityId, RecordEntity, Session, SessionId, SessionStatus};
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value};
use crate::key::RecordKey;
use crate::kind::{HISTORY_SHARED, TOMBSTONE};
use crate::record::{Record, Seq};
use crate::time::Timestamp;

/// What may be said of a session when it is created.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// What people call it; otherwise the agent's name and the time.
    pub name: Option<Text>,
    /// Where the agent works.
    pub working_directory: Option<Text>,
    /// On which branch.
    pub git_branch: Option<Text>,
    /// How long it lasts; otherwise [`SESSION_LIFETIME`].
    pub lifetime: Option<Duration>,
}

/// A session as the verbs need it: its record and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) session: Session,
    pub(super) version: Seq,
    pub(super) place: Option<(Place, Seq)>,
}

impl Found {
    /// Adds to a batch the session as it is now, moved to where it belongs if it was last active at `at`.
    pub(super) fn save(&self, batch: Batch, session: &Session, at: Timestamp) -> Result<Batch> {
        let batch = batch.put(session.key(), Expect::At(self.version), session.to_body()?);
        self.moved(batch, Some(&Place::of(session, at)))
    }

    pub(super) fn moved(&self, batch: Batch, to: Option<&Place>) -> Result<Batch> {
        moved(batch, &self.session.id, self.place.as_ref().map(|(place, version)| (place, *version)), to)
    }
}

impl Workspace {
    /// Creates a session of an agent. It begins active and expires after five hours unless it is told otherwise.
    pub async fn create_session(&self, agent: &Agent, new: NewSession) -> Result<Session> {
        let now = self.now();
        let id = format!("session-{}-{}-{}", agent.id, now.as_millis(), self.sources().token());
        let name = new.name.unwrap_or_else(|| format!("{} - {now}", agent.name).into());
        let mut session = Session::new(id, name, agent.id.clone());
        session.agent_name = agent.name.clone();
        session.agent_type = agent.kind.clone();
        session.created_at = Some(now);
        session.last_active_at = Some(now);
        session.expires_at = Some(now.saturating_add(new.lifetime.unwrap_or(SESSION_LIFETIME)));
        session.working_directory = new.working_directory;
        session.git_branch = new.git_branch;
        session.tasks_completed = agent.tasks_completed;
        session.template = agent.template.clone();
        session.prompt_is_templates = agent.template.is_some();
        let batch = self.store.batch().put(session.key(), Expect::Absent, session.to_body()?);
        let batch = moved(batch, &session.id, None, Some(&Place::of(&session, now)))?;
        self.store.commit(batch).await?.committed()?;
        Ok(session)
    }

    /// Reads a session, also one in the trash; `None` if there is none.
    pub async fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        Ok(self.store.load::<Session>(id).await?.map(|found| found.value))
    }

    /// Lets a session rest.
    pub async fn pause_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session(id, |session, _| {
            require(session, &[SessionStatus::Active], "paused")?;
            session.status = Some(SessionStatus::Paused);
            Ok(())
        })
        .await
    }

    /// Lets a session go on that rests or has expired; it then lasts as long as a new one.
    pub async fn resume_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session(id, |session, now| {
            require(session, &[SessionStatus::Active, SessionStatus::Paused, SessionStatus::Expired], "resumed")?;
            session.status = Some(SessionStatus::Active);
            session.expires_at = Some(now.saturating_add(SESSION_LIFETIME));
            Ok(())
        })
        .await
    }

    /// Changes the name of a session.
    pub async fn rename_session(&self, id: &SessionId, name: impl Into<Text>) -> Result<Session> {
        let name = name.into();
        self.change_session(id, |session, _| {
            session.name = name.clone();
            Ok(())
        })
        .await
    }

    /// Puts a session away for good: it takes no messages or tasks any more, and the backend may compress it.
    ///
    /// Archiving an archived session is no change. Messages are added to a fork of it:
    /// [`restore_session`](Self::restore_session).
    pub async fn archive_session(&self, id: &SessionId) -> Result<Session> {
        self.retry(id, |found, now| {
            let mut session = found.session.clone();
            let batch = self.store.batch().seal(Session::history(id)).seal(Session::tasks(id));
            session.status = Some(SessionStatus::Archived);
            if session == found.session {
                return Ok((session, None));
            }
            let batch = found.save(batch, &session, now)?;
            Ok((session, Some(batch)))
        })
        .await
    }

    /// Puts a session into the trash, from which [`undelete_session`](Self::undelete_session) takes it out again.
    pub async fn delete_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session(id, |session, now| {
            session.deleted_at = session.deleted_at.or(Some(now));
            Ok(())
        })
        .await
    }

    /// Takes a session out of the trash as it was.
    pub async fn undelete_session(&self, id: &SessionId) -> Result<Session> {
        self.change_session(id, |session, _| {
            session.deleted_at = None;
            Ok(())
        })
        .await
    }

    /// Removes a session in the trash for good. A tombstone stays, so that no import brings it back.
    ///
    /// Messages that other sessions were restored with stay for them. `Invalid` if the session is not in the trash.
    pub async fn purge_session(&self, id: &SessionId) -> Result<()> {
        let mut tries = 0;
        loop {
            tries += 1;
            let batch = self.purge_batch(id).await?;
            match self.store.commit(batch).await?.committed() {
                Ok(_) => return Ok(()),
                Err(Error::Conflict(_)) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn purge_batch(&self, id: &SessionId) -> Result<Batch> {
        let found = self.find(id).await?;
        if found.session.deleted_at.is_none() {
            return Err(Error::invalid(format!("session `{id}` is not in the trash; delete it first")));
        }
        let tombstone = Body::trusted(format!(r#"{{"session":{},"at":{}}}"#, id.write(), self.now().write()));
        let batch = self
            .store
            .batch()
            .delete(found.session.key(), Expect::At(found.version))
            .put(id.record_key(TOMBSTONE), Expect::Any, tombstone)
            .remove(Session::tasks(id));
        let batch = found.moved(batch, None)?;

        // Its own messages go when nobody reads them any more; those it reads may go with it.
        let mut owners: Vec<SessionId> = found.session.pieces.iter().map(|piece| piece.session.clone()).collect();
        owners.push(id.clone());
        let keys: Vec<_> = owners.iter().map(shared_key).collect();
        let records = self.store.get(&keys).await?;
        owners.iter().zip(&records).try_fold(batch, |batch, (owner, record)| {
            let mut shared = Shared::read(record.as_ref())?;
            if owner == id {
                shared.owned = false;
            } else {
                shared.readers = shared.readers.saturating_sub(1);
            }
            Ok(shared.save(batch, owner))
        })
    }

    /// Returns whether a session was purged.
    pub async fn is_purged(&self, id: &SessionId) -> Result<bool> {
        Ok(self.store.get(&[id.record_key(TOMBSTONE)]).await?.iter().any(Option::is_some))
    }

    /// Reads a session and where it stands. `Invalid` if there is none.
    pub(super) async fn find(&self, id: &SessionId) -> Result<Found> {
        let key = id.record_key(Session::KIND);
        let mut records = self.store.get(&[key, place_key(id)]).await?.into_iter();
        let (record, place) = (records.next().flatten(), records.next().flatten());
        let record = record.ok_or_else(|| missing(id))?;
        let place = place.map(|record| Ok::<_, Error>((Place::read(&record)?, record.version))).transpose()?;
        Ok(Found { session: Session::from_body(&record.body)?, version: record.version, place })
    }

    /// Changes the record of a session and moves it to where it then belongs.
    async fn change_session(
        &self,
        id: &SessionId,
        change: impl Fn(&mut Session, Timestamp) -> Result<()>,
    ) -> Result<Session> {
        self.retry(id, |found, now| {
            let mut session = found.session.clone();
            change(&mut session, now)?;
            if session == found.session {
                return Ok((session, None));
            }
            session.last_active_at = session.last_active_at.max(Some(now));
            let batch = found.save(self.store.batch(), &session, session.last_active_at.unwrap_or(now))?;
            Ok((session, Some(batch)))
        })
        .await
    }

    /// Reads a session, decides and commits, again when others were faster. No batch is no change.
    pub(super) async fn retry<T>(
        &self,
        id: &SessionId,
        decide: impl Fn(&Found, Timestamp) -> Result<(T, Option<Batch>)>,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (decided, batch) = decide(&self.find(id).await?, self.now())?;
            let Some(batch) = batch else { return Ok(decided) };
            match self.store.commit(batch).await?.committed() {
                Ok(_) => return Ok(decided),
                Err(Error::Conflict(_)) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether a session takes messages; `Invalid` says why not.
    pub(super) fn require_open(session: &Session) -> Result<()> {
        if session.deleted_at.is_some() {
            return Err(Error::invalid(format!("session `{}` is in the trash; undelete it first", session.id)));
        }
        if session.status == Some(SessionStatus::Archived) {
            return Err(Error::invalid(format!("session `{}` is archived; restore it first", session.id)));
        }
        Ok(())
    }
}

fn require(session: &Session, statuses: &[SessionStatus], verb: &str) -> Result<()> {
    match &session.status {
        Some(status) if !statuses.contains(status) => {
            Err(Error::invalid(format!("session `{}` is {status} and cannot be {verb}", session.id)))
        }
        _ => Ok(()),
    }
}

/// Who still needs the messages of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shared {
    /// The session itself.
    pub(super) owned: bool,
    /// How many others read them.
    pub(super) readers: u64,
    version: Option<Seq>,
}

/// Returns the record that says who needs a session's messages; there is none while only the session itself does.
pub(super) fn shared_key(session: &SessionId) -> RecordKey {
    session.record_key(HISTORY_SHARED)
}

impl Shared {
    pub(super) fn read(record: Option<&Record>) -> Result<Self> {
        let Some(record) = record else { return Ok(Self { owned: true, readers: 0, version: None }) };
        let object = Object::parse(record.body.as_str());
        let object = object.map_err(|error| Error::corrupt_because(record.key.to_string(), error))?;
        let (owned, readers) = (object.read("owned"), object.read("readers"));
        match (owned, readers) {
            (Some(owned), Some(readers)) => Ok(Self { owned, readers, version: Some(record.version) }),
            _ => Err(Error::corrupt(record.key.to_string())),
        }
    }

    /// Adds to a batch the new state, expecting the old one; the messages go with their last reader.
    pub(super) fn save(&self, batch: Batch, session: &SessionId) -> Batch {
        let key = shared_key(session);
        let expect = self.version.map_or(Expect::Absent, Expect::At);
        if self.readers == 0 && !self.owned {
            return batch.delete(key, expect).remove(Session::history(session));
        }
        if self.readers == 0 {
            return batch.delete(key, expect);
        }
        let body = format!(r#"{{"owned":{},"readers":{}}}"#, self.owned, self.readers);
        batch.put(key, expect, Body::trusted(body))
    }
}
