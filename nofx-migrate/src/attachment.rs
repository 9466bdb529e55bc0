//! Attachments: bytes that are kept unchanged.
//!
//! An attachment is a record that describes the bytes, and payload records that hold them in chunks, named by the digest of the
//! whole and the number of the chunk. Two attachments with the same bytes share their payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{Stream, StreamExt, TryStreamExt};
use nofx_core::entity::Attachment;
use nofx_core::json::{Object, Text, quote};
use nofx_core::{Body, Error, RecordKey, Result, ScanQuery, Store, kind};

use crate::digest::{Running, hex};

/// The largest number of bytes in a chunk.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// Reads the bytes of an attachment, chunk by chunk.
///
/// `Corrupt` at the end if they are not the bytes that the attachment describes.
pub(crate) fn attachment_chunks(
    store: &Store,
    attachment: &Attachment,
) -> impl Stream<Item = Result<Vec<u8>>> + Send + Unpin + use<> {
    let wanted = (attachment.size, attachment.sha256.clone());
    let name = format!("attachment/{}", attachment.path);
    // A page of one chunk, so that only one chunk is in memory.
    let query = ScanQuery::of(kind::PAYLOAD, 1).prefixed(format!("{}/", wanted.1));
    let records = store.scan(query);
    let start = Some((records, Running::default(), 0_u64));
    let chunks = futures_util::stream::try_unfold(start, move |state| {
        let (wanted, name) = (wanted.clone(), name.clone());
        async move {
            let Some((mut records, mut digest, size)) = state else { return Ok(None) };
            if let Some(record) = records.try_next().await? {
                let bytes = decode_chunk(&record.body).ok_or_else(|| Error::corrupt(record.key.to_string()))?;
                digest.add(&bytes);
                let size = size + bytes.len() as u64;
                return Ok(Some((bytes, Some((records, digest, size)))));
            }
            match size == wanted.0 && wanted.1 == hex(&digest.finish()).as_str() {
                true => Ok(None),
                false => Err(Error::corrupt(name)),
            }
        }
    });
    chunks.boxed()
}

/// Reads all bytes of an attachment. `Corrupt` if they are not the bytes that the attachment describes.
pub async fn read_attachment(store: &Store, attachment: &Attachment) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut chunks = attachment_chunks(store, attachment);
    while let Some(chunk) = chunks.try_next().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Returns the name of a chunk.
pub(crate) fn chunk_key(sha256: &str, number: u32) -> Result<RecordKey> {
    RecordKey::new(kind::PAYLOAD, format!("{sha256}/{number:08}"))
}

/// Writes a chunk: as text if it is readable and no longer that way, otherwise in base64.
pub(crate) fn encode_chunk(bytes: &[u8]) -> Body {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let literal = quote(text);
        if literal.len() <= base64_len(bytes.len()) {
            return Body::trusted(format!(r#"{{"utf8":{literal}}}"#));
        }
    }
    Body::trusted(format!(r#"{{"base64":"{}"}}"#, STANDARD.encode(bytes)))
}

/// Reads a chunk; `None` if the body is not one.
fn decode_chunk(body: &Body) -> Option<Vec<u8>> {
    let object = Object::parse(body.as_str()).ok()?;
    if let Some(text) = object.read::<Text>("utf8") {
        return Some(text.as_bytes().to_vec());
    }
    STANDARD.decode(object.read::<Text>("base64")?.as_bytes()).ok()
}

/// Returns how many of `bytes` the next chunk takes: whole characters only, if they are text.
pub(crate) fn chunk_len(bytes: &[u8]) -> usize {
    let Some(head) = bytes.get(..CHUNK_BYTES) else { return bytes.len() };
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => head.len(),
    }
}

fn base64_len(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4 + 2
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nofx_core::{Expect, MemoryBackend};

    use super::*;
    use crate::digest::sha256;

    async fn kept(bytes: &[u8]) -> (Store, Attachment) {
        let store = Store::new(Arc::new(MemoryBackend::new()));
        let digest = hex(&sha256(bytes));
        let mut batch = store.batch();
        let mut rest = bytes;
        for number in 0.. {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(chunk_len(rest));
            batch = batch.put(chunk_key(&digest, number).unwrap(), Expect::Any, encode_chunk(chunk));
            rest = after;
        }
        if !batch.is_empty() {
            store.commit(batch).await.unwrap();
        }
        (store, Attachment::new("a/b", bytes.len() as u64, digest))
    }

    #[tokio::test]
    async fn any_bytes_come_back() {
        let long = "ü".repeat(CHUNK_BYTES);
        for bytes in
            [b"".as_slice(), b"plain \"text\"\n", b"\xff\xfe\x00", &[0; 3 << 20], format!("x{long}").as_bytes()]
        {
            let (store, attachment) = kept(bytes).await;
            assert_eq!(read_attachment(&store, &attachment).await.unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn text_stays_text_and_zeroes_are_not_six_times_as_long() {
        let text = format!("x{}", "ü".repeat(CHUNK_BYTES));
        assert!(encode_chunk(&text.as_bytes()[..chunk_len(text.as_bytes())]).as_str().starts_with(r#"{"utf8""#));
        assert!(encode_chunk(&[0; 100]).as_str().starts_with(r#"{"base64""#));
    }

    #[tokio::test]
    async fn missing_and_changed_bytes_are_noticed() {
        let (store, attachment) = kept(b"some bytes").await;
        let missing = Attachment::new("a/b", 10, hex(&sha256(b"others")));
        assert_eq!(read_attachment(&store, &missing).await.unwrap_err().code(), "corrupt");
        let key = chunk_key(&hex(&sha256(b"some bytes")), 0).unwrap();
        store.commit(store.batch().put(key, Expect::Any, encode_chunk(b"other bytes"))).await.unwrap();
        assert_eq!(read_attachment(&store, &attachment).await.unwrap_err().code(), "corrupt");
    }
}
