//! Sessions under keys that their hosts choose.

use super::activity::new_session;
use crate::batch::{Batch, Expect};
use crate::body::Body;
use crate::entity::{Agent, Session, SessionId, sha256_hex};
use crate::error::{Error, Result};
use crate::json::{Object, Value, quote};
use crate::key::{MAX_ID_BYTES, RecordKey};
use crate::kind::SESSION_KEY;
use crate::record::Record;
use crate::workspace::event::{EventKind, with_event};
use crate::workspace::{NewSession, Workspace};

/// The prefix of the digest that replaces a key that is too long for an id.
const DIGESTED: &str = "sha256:";

/// A session that was opened by its key.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// Whether this call created it.
    pub created: bool,
}

impl Workspace {
    /// Returns the session under a key, creating it if there is none. It takes one commit, so concurrent callers all
    /// get the same session.
    ///
    /// The key is any text; the session's id is generated as usual. An existing session is returned as it is, whatever
    /// `agent` and `new` say, even if it has expired or is archived. Purging the session frees the key; sessions
    /// restored from it or imported have none. `Invalid` for an empty key, and if the session is in the trash: undelete
    /// or purge it first.
    pub async fn open_session(&self, key: &str, agent: &Agent, new: NewSession) -> Result<OpenedSession> {
        let (name, new) = (&self.key_record(key)?, &new);
        let decided = self.decide("open_session", move |attempt| async move {
            if attempt.has_happened() {
                let session = self.find(&self.begun("open_session", agent, new)?.id).await?.session;
                return Ok((OpenedSession { session, created: true }, None));
            }
            let record = self.store.get(std::slice::from_ref(name)).await?.into_iter().next().flatten();
            if let Some(session) = self.keyed(record.as_ref()).await? {
                return match session.deleted_at {
                    None => Ok((OpenedSession { session, created: false }, None)),
                    Some(_) => Err(Error::invalid(format!(
                        "session `{}` of key `{}` is in the trash; undelete or purge it first",
                        session.id,
                        key.escape_debug()
                    ))),
                };
            }
            let mut session = self.begun("open_session", agent, new)?;
            session.key = Some(key.into());
            // A record without its session: a version without keys has purged the session.
            let expect = record.map_or(Expect::Absent, |record| Expect::At(record.version));
            let body = format!(r#"{{"key":{},"session":{}}}"#, quote(key), session.id.write());
            let batch = with_event(self.store.batch(), EventKind::SessionCreated);
            let batch = new_session(batch, &session, None)?.put(name.clone(), expect, Body::trusted(body));
            Ok((OpenedSession { session, created: true }, Some(batch)))
        });
        Ok(decided.await?.0)
    }

    /// Returns the session under a key, even if it is in the trash; `None` if there is none.
    pub async fn session_by_key(&self, key: &str) -> Result<Option<Session>> {
        let record = self.store.get(&[self.key_record(key)?]).await?.into_iter().next().flatten();
        self.keyed(record.as_ref()).await
    }

    /// Returns the key of the record that says which session a key names.
    fn key_record(&self, key: &str) -> Result<RecordKey> {
        if key.is_empty() {
            return Err(Error::invalid("the `key` is empty; give one of at least one character"));
        }
        let namespace = self.namespace.name().unwrap_or_default();
        let id = format!("{namespace}/{key}");
        match id.len() > MAX_ID_BYTES || key.starts_with(DIGESTED) {
            true => RecordKey::new(SESSION_KEY, format!("{namespace}/{DIGESTED}{}", sha256_hex(key.as_bytes()))),
            false => RecordKey::new(SESSION_KEY, id),
        }
    }

    /// Returns the session that a key's record names, if both exist.
    async fn keyed(&self, record: Option<&Record>) -> Result<Option<Session>> {
        match record {
            Some(record) => self.session(&named(record)?).await,
            None => Ok(None),
        }
    }

    /// Adds to a batch the release of a session's key.
    pub(crate) async fn free_key(&self, batch: Batch, session: &Session) -> Result<Batch> {
        let Some(key) = session.key.as_ref().and_then(|key| key.as_str()) else { return Ok(batch) };
        let name = self.key_record(key)?;
        let record = self.store.get(std::slice::from_ref(&name)).await?.into_iter().next().flatten();
        Ok(match record {
            // A version without keys may have restored a session together with another session's key.
            Some(record) if named(&record)? == session.id => batch.delete(name, Expect::At(record.version)),
            _ => batch,
        })
    }
}

fn named(record: &Record) -> Result<SessionId> {
    let session = Object::parse(record.body.as_str()).ok().and_then(|object| object.read("session"));
    session.ok_or_else(|| Error::corrupt(record.key.to_string()))
}
