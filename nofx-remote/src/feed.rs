//! The stored change feed, and which batches are remembered.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use nofx_core::{BatchId, Change, Committed, Error, Key, Result, Seq};
use serde::Deserialize;

use crate::checkpoint::{Base, Chunk};
use crate::commit::batch_id;
use crate::line::{parse, push_key, push_list, read_key};
use crate::packs::Packs;
use crate::state::{FeedItem, State};

#[derive(Deserialize)]
struct FeedLine<'a> {
    #[serde(borrow)]
    batch: Cow<'a, str>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(borrow)]
    records: Vec<KeyLine<'a>>,
    #[serde(borrow)]
    logs: Vec<KeyLine<'a>>,
    appended: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct KeyLine<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct IdLine<'a> {
    #[serde(borrow)]
    batch: Cow<'a, str>,
}

pub(crate) fn push_item(out: &mut String, item: &FeedItem) {
    let Change { batch, seq, records, logs } = &item.change;
    _ = write!(out, "{{\"batch\":\"{batch}\"");
    if let Some(seq) = seq {
        _ = write!(out, ",\"seq\":{seq}");
    }
    out.push_str(",\"records\":");
    push_list(out, records, push_bracketed);
    out.push_str(",\"logs\":");
    push_list(out, logs, push_bracketed);
    out.push_str(",\"appended\":");
    push_list(out, &item.committed.appended, |out, range| _ = write!(out, "[{},{}]", range.start, range.end));
    out.push_str("}\n");
}

fn push_bracketed<K: Key>(out: &mut String, key: &K) {
    out.push('[');
    push_key(out, key);
    out.push(']');
}

fn read_item(line: &[u8], what: &str) -> Result<FeedItem> {
    let line: FeedLine<'_> = parse(line, what)?;
    let seq = line.seq.and_then(Seq::new);
    let change = Change {
        batch: batch_id(&line.batch, what)?,
        seq,
        records: keys(&line.records, what)?,
        logs: keys(&line.logs, what)?,
    };
    let appended = line.appended.into_iter().map(|(start, end)| start..end).collect();
    Ok(FeedItem { change, committed: Committed { seq, appended } })
}

fn keys<K: Key>(lines: &[KeyLine<'_>], what: &str) -> Result<Vec<K>> {
    lines.iter().map(|KeyLine(kind, id)| read_key(kind, id, what)).collect()
}

/// Returns the commits of a chunk, starting at a number.
pub(crate) async fn read_chunk(packs: &Packs, chunk: &Chunk, from: u64, limit: usize) -> Result<Vec<FeedItem>> {
    let text = packs.text(&chunk.place, chunk.raw).await?;
    let what = format!("the feed from {} in pack {}", chunk.first, chunk.place.pack);
    let skipped = usize::try_from(from.saturating_sub(chunk.first)).unwrap_or(usize::MAX);
    let lines = lines(&text).skip(skipped).take(limit);
    lines.map(|line| read_item(line, &what)).collect()
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// The remembered batches, as far as this handle has read.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    numbers: HashMap<BatchId, u64>,
    /// Every commit of the feed below this number is in `numbers`, unless it was forgotten.
    up_to: u64,
}

impl Remembered {
    /// Reads what is not yet known from the chunks of a checkpoint's feed.
    pub(crate) async fn learn_chunks(&mut self, packs: &Packs, base: &Base) -> Result<()> {
        let unknown: Vec<_> = base.feed.iter().filter(|chunk| chunk.end() > self.up_to).collect();
        let texts = packs.texts(unknown.iter().copied()).await?;
        for (chunk, text) in unknown.into_iter().zip(texts) {
            let what = format!("the feed from {} in pack {}", chunk.first, chunk.place.pack);
            for (number, line) in (chunk.first..).zip(lines(&text)) {
                let line: IdLine<'_> = parse(line, &what)?;
                self.numbers.insert(batch_id(&line.batch, &what)?, number);
            }
        }
        self.up_to = self.up_to.max(base.feed_end);
        self.numbers.retain(|_, number| *number >= base.feed_start());
        Ok(())
    }

    /// Returns whether nothing is missing below the commits that a state has in memory.
    pub(crate) fn reaches(&self, state: &State) -> bool {
        self.up_to >= state.base.feed_end
    }

    /// Adds the commits that a state has in memory.
    pub(crate) fn learn(&mut self, state: &State) {
        let known = usize::try_from(self.up_to.saturating_sub(state.base.feed_end)).unwrap_or(usize::MAX);
        for (number, item) in (state.base.feed_end..).zip(&state.recent).skip(known) {
            self.numbers.insert(item.change.batch, number);
            self.up_to = number + 1;
        }
    }

    /// Returns the number of a batch in the feed, if it was committed.
    pub(crate) fn number(&self, batch: &BatchId) -> Option<u64> {
        self.numbers.get(batch).copied()
    }
}

/// Returns what a remembered batch was given.
pub(crate) async fn first_outcome(packs: &Packs, base: &Base, number: u64) -> Result<Committed> {
    let chunk = base.feed.iter().find(|chunk| (chunk.first..chunk.end()).contains(&number));
    let found = match chunk {
        Some(chunk) => read_chunk(packs, chunk, number, 1).await?.pop(),
        None => None,
    };
    found.map(|item| item.committed).ok_or_else(|| Error::corrupt(format!("the feed: number {number} is missing")))
}
