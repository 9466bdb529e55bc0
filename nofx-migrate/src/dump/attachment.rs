//! Attachments in the canonical dump: bytes of any length on one line, never held in memory as a whole.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt;
use nofx_core::entity::{Attachment, Entity};
use nofx_core::json::{Text, quote};
use nofx_core::{Record, Store};

use super::in_order::object;
use super::line::Line;
use super::{DumpError, Result};
use crate::attachment::attachment_chunks;

/// Writes the line of one attachment. `Corrupt` if its bytes do not match its description.
pub(super) async fn write(store: &Store, out: &mut impl Write, path: &Text, record: &Record) -> Result<()> {
    let attachment = Attachment::from_object(object(record)?);
    // All of it is read before the line begins: only then is it known to be correct, and to be text or not.
    let is_text = is_text(store, &attachment).await?;
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
    let mut chunks = attachment_chunks(store, &attachment);
    while let Some(chunk) = chunks.try_next().await? {
        waiting.extend_from_slice(&chunk);
        let whole = if is_text { whole_characters(&waiting) } else { waiting.len() / 3 * 3 };
        let rest = waiting.split_off(whole);
        put(&encoded(&waiting, is_text))?;
        waiting = rest;
    }
    put(&encoded(&waiting, is_text))?;
    put("\"}\n")
}

async fn is_text(store: &Store, attachment: &Attachment) -> Result<bool> {
    let mut is_text = true;
    let mut waiting = Vec::new();
    let mut chunks = attachment_chunks(store, attachment);
    while let Some(chunk) = chunks.try_next().await? {
        if is_text {
            waiting.extend_from_slice(&chunk);
            waiting = waiting.split_off(whole_characters(&waiting));
            // What is left can only be the beginning of a character.
            is_text = waiting.len() < 4;
        }
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

/// Returns what is between the quotes.
fn encoded(bytes: &[u8], is_text: bool) -> String {
    if !is_text {
        return STANDARD.encode(bytes);
    }
    let mut literal = quote(&String::from_utf8_lossy(bytes));
    literal.pop();
    literal.split_off(1)
}
