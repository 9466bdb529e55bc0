//! What a store keeps for people: agents, sessions, messages and the rest.
//!
//! An entity is a JSON object and a typed view of it. Reading never fails because a member is unknown or has an
//! unexpected type: the view then shows the default and the text stays. Saving replaces only the members whose view was
//! changed, so that everything else keeps its bytes.
//!
//! Members whose name begins with `$` are the store's own. [`own`] and [`foreign`] tell them apart from such members in
//! data from outside.

#[macro_use]
mod macros;

mod agent;
mod attachment;
mod checkpoint;
mod id;
mod import;
mod message;
mod orchestration;
mod session;
mod successor;
mod task;
mod template;
mod transcript;

pub use agent::Agent;
pub use attachment::{Attachment, AttachmentPath};
pub use checkpoint::Checkpoint;
pub use id::{AgentId, EntityId, MessageId, SessionId, TaskId, TemplateDigest, TemplateId};
pub(crate) use id::{is_digested, sha256_hex};
pub use import::{ImportedFile, SourcePath};
pub use message::{Message, Role};
pub use orchestration::OrchestrationMessage;
pub(crate) use session::check_metadata;
pub use session::{METADATA_BYTES, Piece, Session, SessionStatus, TaskAtHand};
pub use successor::first_id;
pub(crate) use successor::{number_of, successor, successors};
pub use task::{Slot, Task, TaskStatus};
pub use template::{Template, TemplateName};
pub use transcript::TranscriptPart;

use crate::body::Body;
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value};
use crate::key::{Kind, RecordKey};
use crate::time::Timestamp;

/// The member that says which schema an object was written with; absent means the first.
pub(crate) const SCHEMA: &str = "$schema";

/// A JSON object with a typed view.
pub trait Entity: Clone + std::fmt::Debug + PartialEq + Send + Sync + 'static {
    /// The newest schema that this version knows.
    const SCHEMA: u32;
    /// The names of the members that the view shows.
    const MEMBERS: &'static [&'static str];

    /// Creates a view of an object.
    fn from_object(object: Object) -> Self;

    /// Returns the object as it was read, without changes made through the view.
    fn object(&self) -> &Object;

    /// Returns the object with the changed members replaced.
    fn to_object(&self) -> Object;

    /// Parses an entity. `Corrupt` if the body is not an object.
    fn from_body(body: &Body) -> Result<Self> {
        match Object::parse(body.as_str()) {
            Ok(object) => Ok(Self::from_object(object)),
            Err(error) => Err(Error::corrupt_because("a body that is not an object", error)),
        }
    }

    /// Writes the entity. `TooNew` if a later version wrote it: this version cannot know what its changes would break.
    fn to_body(&self) -> Result<Body> {
        self.require_known_schema()?;
        Ok(Body::trusted(self.to_object().to_json()))
    }

    /// Returns `TooNew` if a later version wrote the entity: this version cannot know what belongs to it.
    fn require_known_schema(&self) -> Result<()> {
        let (schema, known) = (self.schema(), Self::SCHEMA);
        match schema > known {
            true => {
                Err(Error::too_new(format!("an object of schema {schema}; this version knows schemas up to {known}")))
            }
            false => Ok(()),
        }
    }

    /// Returns the schema with which the object was written.
    fn schema(&self) -> u32 {
        self.object().read(SCHEMA).unwrap_or(1)
    }
}

/// An entity stored as a record.
pub trait RecordEntity: Entity {
    /// The kind of its records.
    const KIND: Kind;
    /// The type of its id.
    type Id: EntityId;

    /// Returns the id.
    fn id(&self) -> Self::Id;

    /// Returns the name of the record.
    fn key(&self) -> RecordKey {
        key_of::<Self>(&self.id())
    }
}

/// An entity stored as an entry of a log.
pub trait EntryEntity: Entity {
    /// Returns when it happened, if that is known.
    fn at(&self) -> Option<Timestamp>;
}

/// Returns the name of the record of the entity with this id.
pub fn key_of<E: RecordEntity>(id: &E::Id) -> RecordKey {
    id.record_key(E::KIND)
}

/// A member of an object as a field of a view.
pub trait Member: PartialEq {
    /// Reads the member; the default if it is missing or of another type.
    fn load(raw: Option<&str>) -> Self;
    /// Writes it; `None` leaves it out.
    fn save(&self) -> Option<String>;
}

impl<T: Value + Default + PartialEq> Member for T {
    fn load(raw: Option<&str>) -> Self {
        raw.and_then(T::read).unwrap_or_default()
    }

    fn save(&self) -> Option<String> {
        Some(self.write())
    }
}

impl<T: Value + PartialEq> Member for Option<T> {
    fn load(raw: Option<&str>) -> Self {
        raw.and_then(T::read)
    }

    fn save(&self) -> Option<String> {
        self.as_ref().map(Value::write)
    }
}

/// Replaces a member if its view differs from what the object says.
fn splice<M: Member>(object: &mut Object, name: &str, value: &M) {
    if *value == M::load(object.get(name)) {
        return;
    }
    match value.save() {
        Some(json) => object.set(name, json),
        None => _ = object.remove(name),
    }
}

/// Takes an object from outside into the store: a name that begins with `$` gets a second `$`.
pub fn own(foreign: &Object) -> Object {
    renamed(foreign, |name| match name.as_bytes().first() {
        Some(b'$') => Some(name.prefixed("$")),
        _ => Some(name.clone()),
    })
}

/// Returns the object as it was outside the store: the inverse of [`own`], without the store's own members.
pub fn foreign(own: &Object) -> Object {
    renamed(own, |name| match name.as_bytes() {
        [b'$', b'$', ..] => name.without_first_byte(),
        [b'$', ..] => None,
        _ => Some(name.clone()),
    })
}

fn renamed(object: &Object, rename: impl Fn(&Text) -> Option<Text>) -> Object {
    if object.iter().all(|(name, _)| name.as_bytes().first() != Some(&b'$')) {
        return object.clone();
    }
    let mut renamed = Object::default();
    for (name, value) in object.iter() {
        if let Some(name) = rename(&name) {
            renamed.push(&name, value);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_members_never_meet_the_stores_own() {
        let foreign_object = Object::parse(r#"{"$slot":1,"$$x":2,"a":3,"$slot":4}"#).unwrap();
        let mut owned = own(&foreign_object);
        assert_eq!(owned.to_json(), r#"{"$$slot":1,"$$$x":2,"a":3,"$$slot":4}"#);
        owned.set("$slot", "5");
        assert_eq!(foreign(&owned), foreign_object);
    }

    #[test]
    fn an_object_of_a_later_schema_is_read_but_not_written() {
        let body = Body::parse(r#"{"id":"a","name":"n","$schema":2,"shape":[]}"#).unwrap();
        let agent = Agent::from_body(&body).unwrap();
        assert_eq!(agent.name, "n");
        assert_eq!(agent.to_body().unwrap_err().code(), "too-new");
    }
}
