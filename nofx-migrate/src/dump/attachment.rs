//! Attachments in the canonical dump: bytes of any length on one line, never held as a whole.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use nofx_core::entity::{Attachment, Entity};
use nofx_core::json::{Object, Text, quote};
use nofx_core::{Error, Record, ScanQuery, Store, kind};
use sha2::{Digest, Sha256};

use super::in_order::object;
use super::line::Line;
use super::{DumpError, Result};

/// How many pieces of a payload are asked for at once.
const PAGE: usize = 16;

/// Writes the line of one attachment. `Corrupt` if its bytes are not those that its digest names.
pub(super) async fn write(store: &Store, out: &mut impl Write, path: &Text, record: &Record) -> Result<()> {
    let attachment = Attachment::from_object(object(record)?);
    let is_text = check(store, record, &attachment).await?;
    let mut line = Line::of("attachment");
    line.text("path", path);
    line.text("sha256", &attachment.sha256);
    if let Some(reason) = &attachment.reason {
        line.text("reason", reason);
    }
    let mut put = |text: &str| out.write_all(text.as_bytes()).map_err(DumpError::Write);
    put(&line.unfinished())?;
    put(if is_text { ",\"bytes_utf8\":\"" } else { ",\"bytes_base64\":\"" })?;
    let mut waiting = Vec::new();
    let mut pieces = Pieces::of(store, &attachment);
    while let Some(piece) = pieces.next().await? {
        waiting.extend_from_slice(&piece);
        let whole = if is_text { whole_characters(&waiting) } else { waiting.len() / 3 * 3 };
        let rest = waiting.split_off(whole);
        put(&encoded(&waiting, is_text))?;
        waiting = rest;
    }
    put(&encoded(&waiting, is_text))?;
    put("\"}\n")
}

/// Reads all bytes, compares them with their digest and tells whether they are text.
async fn check(store: &Store, record: &Record, attachment: &Attachment) -> Result<bool> {
    let mut digest = Sha256::new();
    let mut is_text = true;
    let mut waiting = Vec::new();
    let mut pieces = Pieces::of(store, attachment);
    while let Some(piece) = pieces.next().await? {
        digest.update(&piece);
        if is_text {
            waiting.extend_from_slice(&piece);
            // What is no whole character yet must be the beginning of one: at most three bytes.
            waiting = waiting.split_off(whole_characters(&waiting));
            is_text = waiting.len() < 4;
        }
    }
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if attachment.sha256 != found.as_str() {
        return Err(Error::corrupt(format!("{}: its bytes have the digest {found}", record.key)).into());
    }
    Ok(is_text && waiting.is_empty())
}

/// Returns how many bytes at the beginning are whole characters.
fn whole_characters(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) => error.valid_up_to(),
    }
}

/// Returns what stands between the quotes.
fn encoded(bytes: &[u8], is_text: bool) -> String {
    if !is_text {
        return STANDARD.encode(bytes);
    }
    let mut literal = quote(&String::from_utf8_lossy(bytes));
    literal.pop();
    literal.split_off(1)
}

/// The bytes of a payload, a piece after the other.
struct Pieces {
    records: futures_util::stream::BoxStream<'static, nofx_core::Result<Record>>,
}

impl Pieces {
    fn of(store: &Store, attachment: &Attachment) -> Self {
        let prefix = format!("{}/", attachment.sha256);
        Self { records: Box::pin(store.scan(ScanQuery::of(kind::PAYLOAD, PAGE).prefixed(prefix))) }
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(record) = self.records.try_next().await? else { return Ok(None) };
        let object = object(&record)?;
        let bytes = piece(&object).ok_or_else(|| Error::corrupt(record.key.to_string()))?;
        Ok(Some(bytes))
    }
}

fn piece(object: &Object) -> Option<Vec<u8>> {
    if let Some(text) = object.read::<Text>("utf8") {
        return text.as_str().map(|text| text.as_bytes().to_vec());
    }
    STANDARD.decode(object.read::<Text>("base64")?.as_str()?).ok()
}
