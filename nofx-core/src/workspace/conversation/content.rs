//! Long contents of messages, stored once however many messages have them.
//!
//! A message whose content is longer than [`LARGE_CONTENT`] is stored with the beginning of it, and the member
//! `$content` names the whole by its digest. The whole is stored in records of kind [`PAYLOAD`]: `content/<digest>`
//! says how long it is, and `content/<digest>/<number>` are its pieces in order. There is no reference count. Storing
//! such a message also writes the first of these records again, so that its version says when it was last needed;
//! [`Workspace::sweep_contents`] removes contents that no message names and that were not needed since the sweep began.

use std::collections::{BTreeMap, HashSet};

use futures_util::TryStreamExt;

use super::preview::beginning;
use crate::batch::{Batch, Expect, Guard, NewEntry};
use crate::body::Body;
use crate::entity::{Entity, Message, SCHEMA, sha256_hex};
use crate::error::{Error, Result};
use crate::json::{Object, Text, Value, quote};
use crate::key::RecordKey;
use crate::kind::{HISTORY, PAYLOAD};
use crate::query::{LogScan, ScanQuery};
use crate::record::{LogHead, Seq};
use crate::store::Store;
use crate::workspace::Workspace;

/// The longest content that is stored in its message, in bytes of JSON.
pub const LARGE_CONTENT: usize = 64 << 10;

/// The member of a message that names its content.
const REFERENCE: &str = "$content";

/// The longest piece of a content, in bytes; its JSON is at most twice as long.
const PIECE: usize = 4 << 20;

/// How much content goes into the message's own batch; larger content is committed first.
const TOGETHER: usize = 8 << 20;

/// Logs per page when all are scanned.
const PAGE: usize = 256;

/// What a message stores in place of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Reference {
    sha256: String,
    bytes: u64,
    pieces: u64,
}

impl Value for Reference {
    fn read(raw: &str) -> Option<Self> {
        let object = Object::parse(raw).ok()?;
        let sha256: Text = object.read("sha256")?;
        Some(Self { sha256: sha256.as_str()?.into(), bytes: object.read("bytes")?, pieces: object.read("pieces")? })
    }

    fn write(&self) -> String {
        format!(r#"{{"sha256":"{}","bytes":{},"pieces":{}}}"#, self.sha256, self.bytes, self.pieces)
    }
}

impl Reference {
    fn of(content: &str) -> Self {
        let pieces = pieces(content).count() as u64;
        Self { sha256: sha256_hex(content.as_bytes()), bytes: content.len() as u64, pieces }
    }

    fn key(&self) -> Result<RecordKey> {
        RecordKey::new(PAYLOAD, format!("content/{}", self.sha256))
    }

    fn piece_key(&self, number: u64) -> Result<RecordKey> {
        RecordKey::new(PAYLOAD, format!("content/{}/{number:08}", self.sha256))
    }
}

/// Splits a content at character boundaries.
fn pieces(content: &str) -> impl Iterator<Item = &str> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        rest = after;
        Some(piece)
    })
}

/// Messages as they are stored, and the contents to store separately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) entries: Vec<NewEntry>,
    contents: Vec<(Reference, Box<str>)>,
}

impl Prepared {
    /// Prepares messages.
    pub(crate) fn of(store: &Store, messages: impl IntoIterator<Item = Message>) -> Result<Self> {
        let mut prepared = Self::default();
        for message in messages {
            if message.object().get(REFERENCE).is_some() {
                return Err(Error::invalid(
                    "a message whose content is stored separately; read it with `whole_message` first",
                ));
            }
            let mut entry = store.entry(&message)?;
            if entry.body.len() > LARGE_CONTENT
                && let Some((abridged, reference, content)) = abridge(message.to_object())
            {
                entry.body = Body::trusted(abridged.to_json());
                prepared.contents.push((reference, content));
            }
            prepared.entries.push(entry);
        }
        Ok(prepared)
    }

    /// Returns the time of the last message.
    pub(crate) fn last_at(&self) -> Option<crate::Timestamp> {
        self.entries.last().map(|entry| entry.at)
    }
}

/// Replaces a long content with its beginning and a reference.
fn abridge(mut object: Object) -> Option<(Object, Reference, Box<str>)> {
    let content: Box<str> = object.get("content").filter(|content| content.len() > LARGE_CONTENT)?.into();
    let shown = Text::from_json(&content).and_then(|text| beginning(&text)).unwrap_or_default();
    let reference = Reference::of(&content);
    object.set("content", shown.to_json());
    object.set(REFERENCE, reference.write());
    Some((object, reference, content))
}

/// Returns the message's reference, if its content is stored separately. `TooNew` if the reference has an unknown form.
fn reference(message: &Message) -> Result<Option<Reference>> {
    let Some(said) = message.object().get(REFERENCE) else { return Ok(None) };
    let read = Reference::read(said)
        .ok_or_else(|| Error::too_new("a message that refers to its content in an unknown way"))?;
    Ok(Some(read))
}

/// Returns a message with its whole content, reading it if it is stored separately.
///
/// Messages returned by the verbs of a [`Workspace`] are already whole; this is for callers that read histories as
/// logs.
pub async fn whole_message(store: &Store, message: Message) -> Result<Message> {
    let Some(reference) = reference(&message)? else { return Ok(message) };
    let content = read_content(store, &reference).await?;
    let mut object = message.to_object();
    object.set("content", content);
    object.remove(REFERENCE);
    Ok(Message::from_object(object))
}

async fn read_content(store: &Store, reference: &Reference) -> Result<String> {
    let mut content = String::new();
    for number in 0..reference.pieces {
        let key = reference.piece_key(number)?;
        let piece = store.get(std::slice::from_ref(&key)).await?.into_iter().next().flatten();
        let text = piece.and_then(|piece| Text::from_json(piece.body.as_str()));
        match text.as_ref().and_then(Text::as_str) {
            Some(text) => content.push_str(text),
            None => return Err(Error::corrupt(key.to_string())),
        }
    }
    match content.len() as u64 == reference.bytes && sha256_hex(content.as_bytes()) == reference.sha256 {
        true => Ok(content),
        false => Err(Error::corrupt(reference.key()?.to_string())),
    }
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Contents that messages name.
    pub kept: u64,
    /// Contents that no message names, which were removed.
    pub removed: u64,
}

/// A content that no message names, as a sweep saw it.
#[derive(Debug, Default)]
struct Unnamed {
    digest: String,
    records: Vec<(RecordKey, Seq)>,
}

impl Workspace {
    /// Adds to a batch that stores messages what their contents need. Contents that are too large for it are committed
    /// first.
    pub(crate) async fn keep_contents(&self, mut batch: Batch, prepared: &Prepared) -> Result<Batch> {
        let mut seen = HashSet::new();
        for (reference, content) in &prepared.contents {
            if seen.insert(&reference.sha256) {
                batch = self.keep_content(batch, reference, content).await?;
            }
        }
        Ok(batch)
    }

    async fn keep_content(&self, mut batch: Batch, reference: &Reference, content: &str) -> Result<Batch> {
        let (head, body) = (reference.key()?, Body::trusted(reference.write()));
        if let Some(known) = self.store.get(std::slice::from_ref(&head)).await?.into_iter().next().flatten() {
            return Ok(batch.put(head, Expect::At(known.version), body));
        }
        let together = batch.body_bytes() + content.len() <= TOGETHER;
        for (number, piece) in (0..).zip(pieces(content)) {
            let (key, piece) = (reference.piece_key(number)?, Body::trusted(quote(piece)));
            if together {
                batch = batch.put(key, Expect::Any, piece);
            } else {
                // No message names it yet, so a sweep may remove it before the message is stored; the guard then fails.
                let expect = self.keep_piece(&key, piece).await?;
                batch = batch.guard(Guard::Record { key, expect });
            }
        }
        Ok(batch.put(head, Expect::Absent, body))
    }

    /// Stores a piece, unless it is there: if each of several writers of a content wrote its pieces again, each would
    /// make the guards of the others fail. Returns what its version is expected to be.
    async fn keep_piece(&self, key: &RecordKey, piece: Body) -> Result<Expect> {
        let found = match self.store.get(std::slice::from_ref(key)).await {
            Ok(found) => found.into_iter().next().flatten(),
            // It is written again.
            Err(error) if error.is_of_one_thing() => None,
            Err(error) => return Err(error),
        };
        if let Some(known) = found.filter(|known| known.body == piece) {
            return Ok(Expect::At(known.version));
        }
        let written = self.store.batch().put(key.clone(), Expect::Any, piece);
        let version = self.store.commit(written).await?.committed()?.seq;
        Ok(version.map_or(Expect::Absent, Expect::At))
    }

    /// Adds to a batch that copies stored messages the fact that their contents are needed again.
    pub(crate) async fn keep_copied(&self, mut batch: Batch, entries: &[NewEntry]) -> Result<Batch> {
        let mut all = BTreeMap::new();
        for entry in entries {
            all.extend(named(&entry.body)?.map(|named| (named.sha256.clone(), named)));
        }
        for reference in all.values() {
            let key = reference.key()?;
            batch = match self.store.get(std::slice::from_ref(&key)).await?.into_iter().next().flatten() {
                Some(head) => batch.put(key, Expect::At(head.version), head.body),
                // The content is lost, and the copy is as unreadable as the message.
                None => batch.guard(Guard::Record { key, expect: Expect::Absent }),
            };
        }
        Ok(batch)
    }

    /// Removes long contents that no message of any session, including those in the trash, names any more.
    ///
    /// Reads every history. Safe to run at any time: a content that is needed during the sweep stays. Removes nothing
    /// if a message cannot be read (`Corrupt`) or a later version wrote one (`TooNew`): what such a message needs is
    /// unknown.
    pub async fn sweep_contents(&self) -> Result<Swept> {
        self.takes_no_operation("sweep_contents")?;
        // Everything that is needed from now on has a higher version.
        let begun = self.store.batch().delete(RecordKey::new(PAYLOAD, "content/sweep")?, Expect::Any);
        let begun = self.store.commit(begun).await?.committed()?.seq;
        let named = self.named_contents().await?;

        let mut swept = Swept { kept: named.len() as u64, removed: 0 };
        let mut records = self.store.scan(ScanQuery::of(PAYLOAD, PAGE).prefixed("content/"));
        let mut unnamed = Unnamed::default();
        while let Some(record) = records.try_next().await? {
            let digest = record.key.id().split('/').nth(1).unwrap_or_default();
            if unnamed.digest != digest {
                let last = std::mem::replace(&mut unnamed, Unnamed { digest: digest.into(), records: Vec::new() });
                swept.removed += self.remove_content(last, begun).await?;
            }
            if !named.contains(digest) {
                unnamed.records.push((record.key, record.version));
            }
        }
        swept.removed += self.remove_content(unnamed, begun).await?;
        Ok(swept)
    }

    /// Removes a content with all its pieces unless it was needed since; returns how many contents were removed.
    async fn remove_content(&self, content: Unnamed, begun: Option<Seq>) -> Result<u64> {
        if content.records.is_empty() || content.records.iter().any(|(_, version)| Some(*version) > begun) {
            return Ok(0);
        }
        let head = RecordKey::new(PAYLOAD, format!("content/{}", content.digest))?;
        let mut batch = self.store.batch();
        if !content.records.iter().any(|(key, _)| *key == head) {
            // Pieces of a content that is being stored, or never was. The scan may have come before the rest of them,
            // and storing the message does not change their versions.
            batch = batch.guard(Guard::Record { key: head, expect: Expect::Absent });
        }
        for (key, version) in content.records {
            batch = batch.delete(key, Expect::At(version));
        }
        match self.store.commit(batch).await?.committed() {
            Ok(_) => Ok(1),
            Err(Error::Conflict(_)) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Returns the digests of all contents that stored messages name.
    async fn named_contents(&self) -> Result<HashSet<String>> {
        let mut digests = HashSet::new();
        let mut logs = self.store.logs(LogScan::of(HISTORY, PAGE));
        while let Some(head) = logs.try_next().await? {
            self.add_named(&head, &mut digests).await?;
        }
        Ok(digests)
    }

    async fn add_named(&self, head: &LogHead, digests: &mut HashSet<String>) -> Result<()> {
        // Later entries protect their contents by version.
        let mut entries = self.store.read_whole(head, PAGE);
        while let Some(entry) = entries.try_next().await? {
            digests.extend(named(&entry.body)?.map(|reference| reference.sha256));
        }
        Ok(())
    }
}

/// Returns the reference in a stored message. Parses only messages that may have one.
fn named(body: &Body) -> Result<Option<Reference>> {
    let may_say = |member: &str| body.as_str().contains(member);
    if !may_say(REFERENCE) && !may_say(SCHEMA) {
        return Ok(None);
    }
    let message = Message::from_body(body)?;
    message.require_known_schema()?;
    reference(&message)
}
