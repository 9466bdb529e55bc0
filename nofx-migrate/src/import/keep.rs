//! Keeps bytes unchanged.

use std::collections::HashSet;
use std::io::Read;

use futures_util::TryStreamExt;
use nofx_core::entity::{Attachment, AttachmentPath, EntityId, ImportedFile, RecordEntity, SourcePath};
use nofx_core::json::Text;
use nofx_core::{Expect, RecordKey, Result, ScanQuery, Store, kind};

use super::blocking;
use super::writer::{BatchWriter, ThingChanges};
use crate::attachment::{CHUNK_BYTES, chunk_key, chunk_len, encode_chunk};
use crate::digest::{Hash, Running, hex};
use crate::tree::SourceFile;

/// Bytes to be kept.
#[derive(Debug)]
pub(crate) struct KeptBytes {
    pub(crate) path: Text,
    pub(crate) size: u64,
    pub(crate) sha256: Hash,
    pub(crate) reason: String,
    pub(crate) from: From,
}

/// Where bytes are.
#[derive(Clone, Debug)]
pub(crate) enum From {
    /// They are all of a file.
    File(SourceFile),
    /// They are here.
    Here(Vec<u8>),
}

/// The result of keeping bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeepOutcome {
    /// They are kept now.
    Added,
    /// They were kept before.
    AlreadyKept,
    /// They have changed since their digest was computed; nothing is kept.
    Changed,
    /// They cannot be read; nothing is kept.
    Unreadable(String),
}

/// Keeps some bytes.
///
/// Other bytes that were kept under the same path stay, under that path with the beginning of their digest; if they
/// are the beginning of the new bytes, they are removed. When bytes that are kept that way come back, their path is the plain one
/// again.
///
/// `chunks` has the chunks that this run has written so far.
pub(crate) async fn keep(
    store: &Store,
    writer: &mut BatchWriter<'_>,
    bytes: KeptBytes,
    chunks: &mut HashSet<RecordKey>,
) -> Result<KeepOutcome> {
    let sha256 = hex(&bytes.sha256);
    let path = AttachmentPath::from(bytes.path.clone());
    let there = store.load::<Attachment>(&path).await?;
    if there.as_ref().is_some_and(|there| there.value.sha256 == sha256.as_str() && there.value.size == bytes.size) {
        return Ok(KeepOutcome::AlreadyKept);
    }
    if writer.is_dry_run() {
        return Ok(KeepOutcome::Added);
    }
    let mut prefix = there.as_ref().map(|there| Prefix::new(&there.value));
    let mut source = match Chunks::open(&bytes.from) {
        Ok(source) => source,
        Err(error) => return Ok(KeepOutcome::Unreadable(error.to_string())),
    };
    let (mut digest, mut written) = (Running::default(), Vec::new());
    for number in 0.. {
        let read = blocking(move || source.next().map(|chunk| (chunk, source))).await;
        let (chunk, rest) = match read {
            Ok(read) => read,
            Err(error) => return Ok(KeepOutcome::Unreadable(error.to_string())),
        };
        if chunk.is_empty() {
            break;
        }
        source = rest;
        digest.add(&chunk);
        prefix.iter_mut().for_each(|prefix| prefix.add(&chunk));
        let key = chunk_key(&sha256, number)?;
        if chunks.insert(key.clone()) && store.get(std::slice::from_ref(&key)).await?.iter().all(Option::is_none) {
            written.push(key.clone());
            let puts = vec![(key, Expect::Any, encode_chunk(&chunk))];
            writer.write(ThingChanges { puts, ..ThingChanges::default() }).await?;
        }
    }
    if digest.finish() != bytes.sha256 {
        // Written under the path of other bytes.
        writer.flush().await?;
        written.iter().for_each(|key| _ = chunks.remove(key));
        writer.write(ThingChanges { deletes: written, ..ThingChanges::default() }).await?;
        return Ok(KeepOutcome::Changed);
    }
    let mut changes = ThingChanges::default();
    if let Some(there) = &there {
        match prefix.is_some_and(Prefix::matches) {
            true => {
                // So that other attachments of these bytes are taken into account.
                writer.flush().await?;
                changes.deletes = payload_of_one(store, &there.value).await?;
            }
            false => {
                let mut older = there.value.clone();
                older.path = aside(&bytes.path, &older.sha256.to_string()).into();
                changes.puts.push((older.key(), Expect::Any, nofx_core::entity::Entity::to_body(&older)?));
            }
        }
    }
    changes.deletes.extend(set_aside(store, &bytes.path, &sha256).await?);
    let mut attachment = Attachment::new(path, bytes.size, sha256);
    attachment.reason = Some(bytes.reason.into());
    let expect = there.map_or(Expect::Absent, |there| Expect::At(there.version));
    changes.puts.push((attachment.key(), expect, nofx_core::entity::Entity::to_body(&attachment)?));
    writer.write(changes).await?;
    Ok(KeepOutcome::Added)
}

/// Returns the name of a part of a file.
pub(crate) fn suffixed(path: &Text, part: &str) -> Text {
    let literal = path.to_json();
    let part = nofx_core::json::quote(part);
    let joined =
        format!("{}#{}", literal.strip_suffix('"').unwrap_or_default(), part.strip_prefix('"').unwrap_or_default());
    Text::from_json(&joined).unwrap_or_default()
}

/// Returns the path under which bytes are kept if others have their path.
fn aside(path: &Text, sha256: &str) -> Text {
    suffixed(path, sha256.get(..12).unwrap_or_default())
}

/// Returns the record of bytes that were kept under their second path when others had their first one.
async fn set_aside(store: &Store, path: &Text, sha256: &str) -> Result<Option<RecordKey>> {
    let aside = aside(path, sha256);
    // A file may have that path itself.
    if store.load::<ImportedFile>(&SourcePath::from(aside.clone())).await?.is_some() {
        return Ok(None);
    }
    let kept = store.load::<Attachment>(&aside.into()).await?;
    Ok(kept.filter(|kept| kept.value.sha256 == sha256).map(|kept| kept.value.key()))
}

/// Returns the chunks of an attachment if no other attachment has the same bytes.
async fn payload_of_one(store: &Store, attachment: &Attachment) -> Result<Vec<RecordKey>> {
    let mut all = store.list::<Attachment>();
    while let Some(other) = all.try_next().await? {
        if other.value.sha256 == attachment.sha256 && other.value.path.as_text() != attachment.path.as_text() {
            return Ok(Vec::new());
        }
    }
    let query = ScanQuery::of(kind::PAYLOAD, 1).prefixed(format!("{}/", attachment.sha256));
    store.scan(query).map_ok(|record| record.key).try_collect().await
}

/// Checks whether some bytes begin with those of an attachment.
#[derive(Debug)]
struct Prefix {
    left: u64,
    digest: Running,
    wanted: Text,
}

impl Prefix {
    fn new(attachment: &Attachment) -> Self {
        Self { left: attachment.size, digest: Running::default(), wanted: attachment.sha256.clone() }
    }

    fn add(&mut self, bytes: &[u8]) {
        let taken = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        self.digest.add(bytes.get(..taken).unwrap_or_default());
        self.left -= taken as u64;
    }

    fn matches(self) -> bool {
        self.left == 0 && self.wanted == hex(&self.digest.finish()).as_str()
    }
}

/// Bytes, a chunk at a time.
struct Chunks {
    file: Option<Box<dyn Read + Send>>,
    buffer: Vec<u8>,
}

impl Chunks {
    fn open(from: &From) -> std::io::Result<Self> {
        Ok(match from {
            From::File(file) => Self { file: Some(file.open()?), buffer: Vec::new() },
            From::Here(bytes) => Self { file: None, buffer: bytes.clone() },
        })
    }

    /// Returns the next chunk; an empty one at the end.
    fn next(&mut self) -> std::io::Result<Vec<u8>> {
        if let Some(file) = &mut self.file {
            let wanted = CHUNK_BYTES.saturating_sub(self.buffer.len()) as u64;
            file.take(wanted).read_to_end(&mut self.buffer)?;
        }
        let rest = self.buffer.split_off(chunk_len(&self.buffer));
        Ok(std::mem::replace(&mut self.buffer, rest))
    }
}
