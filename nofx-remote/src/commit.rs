//! A commit object: its batches, and those of earlier commits back to the checkpoint that it names.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use nofx_core::{Batch, BatchId, Error, LogKey, RecordKey, Result, Seq, StoreId, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::frame;
use crate::line::{
    Claim, ClaimLine, Held, parse, push_claim, push_held, push_key, push_list, push_text, read_held, read_key,
};

/// The version of every object in the format.
pub(crate) const FORMAT: u32 = 1;

/// The first line of each commit of a run begins with these bytes, and no other line does.
const BEGINS: &str = "{\"commit\":";

/// Names a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointId {
    /// The commit whose state it holds.
    pub(crate) number: u64,
    pub(crate) nonce: String,
}

/// A commit with its run.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) store: StoreId,
    pub(crate) checkpoint: Option<CheckpointId>,
    /// The commits since the checkpoint; this one is the last.
    pub(crate) run: Vec<Arc<RunCommit>>,
    /// The commit that it was made on; missing in the first commit and in those of earlier versions.
    pub(crate) follows: Option<Follows>,
    /// The tag of the object, if known.
    pub(crate) tag: Option<String>,
    /// When the object was created, in milliseconds, by the store's clock; zero if not created yet.
    pub(crate) made: i64,
}

/// What a commit was made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Follows {
    /// The commit before.
    pub(crate) number: u64,
    pub(crate) nonce: String,
    /// The newest commit that its writer had seen to exist, and after it everything before it.
    pub(crate) proven: u64,
}

/// One commit of a run.
#[derive(Debug)]
pub(crate) struct RunCommit {
    pub(crate) number: u64,
    pub(crate) nonce: String,
    /// The opening of the store that created it.
    pub(crate) writer: String,
    /// Its lines.
    pub(crate) text: String,
}

/// A committed batch.
#[derive(Debug)]
pub(crate) struct AppliedCommit {
    pub(crate) id: BatchId,
    pub(crate) seq: Option<Seq>,
    pub(crate) writes: Vec<(RecordKey, Option<Held>)>,
    pub(crate) appends: Vec<LogAppend>,
    pub(crate) seals: Vec<(LogKey, Claim)>,
    pub(crate) removals: Vec<(LogKey, Claim)>,
}

/// What a batch appended to one log.
#[derive(Debug)]
pub(crate) struct LogAppend {
    pub(crate) log: LogKey,
    pub(crate) claim: Claim,
    pub(crate) first: u64,
    pub(crate) entries: Vec<(Timestamp, Held)>,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

#[derive(Deserialize)]
struct Header {
    store: String,
    number: u64,
    checkpoint: Option<(u64, String)>,
    #[serde(default)]
    follows: Option<(u64, String, u64)>,
}

#[derive(Deserialize)]
struct RunLine<'a> {
    commit: u64,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
    #[serde(borrow)]
    writer: Cow<'a, str>,
}

#[derive(Deserialize)]
struct BatchLine<'a> {
    #[serde(borrow)]
    batch: Cow<'a, str>,
    #[serde(default)]
    seq: Option<Seq64>,
    #[serde(borrow, default)]
    writes: Vec<WriteLine<'a>>,
    #[serde(borrow, default)]
    appends: Vec<AppendLine<'a>>,
    #[serde(borrow, default)]
    seals: Vec<LogLine<'a>>,
    #[serde(borrow, default)]
    removals: Vec<LogLine<'a>>,
}

type Seq64 = u64;

#[derive(Deserialize)]
struct WriteLine<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>, u8, #[serde(borrow)] &'a RawValue);

#[derive(Deserialize)]
struct AppendLine<'a>(
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] ClaimLine<'a>,
    u64,
    #[serde(borrow)] Vec<EntryLine<'a>>,
);

#[derive(Deserialize)]
struct EntryLine<'a>(i64, u8, #[serde(borrow)] &'a RawValue);

#[derive(Deserialize)]
struct LogLine<'a>(#[serde(borrow)] Cow<'a, str>, #[serde(borrow)] Cow<'a, str>, #[serde(borrow)] ClaimLine<'a>);

impl Commit {
    pub(crate) fn last(&self) -> Option<&Arc<RunCommit>> {
        self.run.last()
    }

    pub(crate) fn number(&self) -> u64 {
        self.last().map_or(0, |last| last.number)
    }

    /// Returns a commit of the run.
    pub(crate) fn find(&self, number: u64) -> Option<&Arc<RunCommit>> {
        self.run.iter().rev().find(|one| one.number == number)
    }

    /// Returns the nonce under a number at or before its own, as far as this commit knows it.
    pub(crate) fn nonce_of(&self, number: u64) -> Option<&str> {
        let before = self.follows.as_ref().filter(|before| before.number == number);
        self.find(number).map(|one| &*one.nonce).or(before.map(|before| &*before.nonce))
    }

    /// Returns whether the run marks a number as holding no commit.
    pub(crate) fn calls_nothing(&self, number: u64) -> bool {
        number != self.number() && self.find(number).is_some_and(|one| one.is_nothing())
    }

    /// Returns the newest commit that this one's writer had seen to exist, and after it everything before it, as far as
    /// known: earlier versions checked the two before.
    pub(crate) fn proven(&self) -> u64 {
        let before = self.number().saturating_sub(1);
        self.follows.as_ref().map_or(before.saturating_sub(1), |follows| follows.proven.min(before))
    }

    /// Returns whether the nonce is this commit's own.
    pub(crate) fn is_named(&self, nonce: &str) -> bool {
        self.last().is_some_and(|last| last.nonce == nonce)
    }

    /// Returns the commit after which the run begins.
    pub(crate) fn base(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.number)
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        let mut text = format!("{{\"nofx\":\"root\",\"format\":{FORMAT},\"store\":\"{}\"", self.store);
        _ = write!(text, ",\"number\":{},\"checkpoint\":", self.number());
        match &self.checkpoint {
            None => text.push_str("null"),
            Some(CheckpointId { number, nonce }) => _ = write!(text, "[{number},\"{nonce}\"]"),
        }
        if let Some(Follows { number, nonce, proven }) = &self.follows {
            _ = write!(text, ",\"follows\":[{number},\"{nonce}\",{proven}]");
        }
        text.push_str("}\n");
        self.run.iter().for_each(|commit| text.push_str(&commit.text));
        Ok(frame::pack(text.as_bytes(), frame::MAX_FRAME_BYTES)?.into())
    }

    /// Decodes the object of commit `number`.
    pub(crate) fn decode(object: &[u8], number: u64, what: &str) -> Result<Self> {
        let text = text_of(object, what)?;
        let (first, mut rest) = text.split_once('\n').ok_or_else(|| Error::corrupt(what))?;
        let header: Header = read_header(first.as_bytes(), what)?;
        let checkpoint = header.checkpoint.map(|(number, nonce)| CheckpointId { number, nonce });
        let follows = header.follows.map(|(number, nonce, proven)| Follows { number, nonce, proven });
        let store = store_id(&header.store, what)?;
        let mut commit = Self { store, checkpoint, run: Vec::new(), follows, tag: None, made: 0 };
        while !rest.is_empty() {
            let (own, others) = split_run(rest);
            rest = others;
            let line: RunLine<'_> = parse(own.split('\n').next().unwrap_or(own).as_bytes(), what)?;
            if line.commit != commit.last().map_or(commit.base(), |last| last.number) + 1 {
                return Err(Error::corrupt(format!("{what}: commit {} is out of place", line.commit)));
            }
            let (nonce, writer) = (line.nonce.into(), line.writer.into());
            commit.run.push(Arc::new(RunCommit { number: line.commit, nonce, writer, text: own.to_owned() }));
        }
        if header.number != number || commit.number() != number {
            return Err(Error::corrupt(format!("{what}: it is the object of commit {}", header.number)));
        }
        Ok(commit)
    }
}

/// Splits the first commit from the rest of a run.
fn split_run(text: &str) -> (&str, &str) {
    let end = text.match_indices('\n').map(|(at, _)| at + 1).find(|at| {
        let rest = text.get(*at..).unwrap_or_default();
        rest.is_empty() || rest.starts_with(BEGINS)
    });
    text.split_at_checked(end.unwrap_or(text.len())).unwrap_or((text, ""))
}

/// Parses the first line of an object, once its version is known to be supported.
pub(crate) fn read_header<'a, T: Deserialize<'a>>(line: &'a [u8], what: &str) -> Result<T> {
    let Version { format } = parse(line, what)?;
    if format > FORMAT {
        return Err(Error::too_new(format!("{what} has format {format}; this version reads up to {FORMAT}")));
    }
    parse(line, what)
}

pub(crate) fn text_of(object: &[u8], what: &str) -> Result<String> {
    let text = frame::unpack(object, frame::MAX_FRAME_BYTES, &what)?;
    String::from_utf8(text).map_err(|error| Error::corrupt_because(what, error))
}

pub(crate) fn store_id(text: &str, what: &str) -> Result<StoreId> {
    Ok(StoreId::from_bytes(sixteen(text, what)?))
}

pub(crate) fn batch_id(text: &str, what: &str) -> Result<BatchId> {
    Ok(BatchId::from_bytes(sixteen(text, what)?))
}

fn sixteen(text: &str, what: &str) -> Result<[u8; 16]> {
    let number = (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten();
    number
        .map(u128::to_be_bytes)
        .ok_or_else(|| Error::corrupt(format!("{what}: `{}` is not an id", text.escape_debug())))
}

/// What the store assigned to a batch that may happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Granted {
    pub(crate) seq: Option<Seq>,
    /// For each append.
    pub(crate) appended: Vec<Range<u64>>,
    /// For each append, seal and removal, in this order.
    pub(crate) claims: Vec<Claim>,
}

impl RunCommit {
    /// Marks a number as holding nothing that is part of the store.
    pub(crate) fn nothing(number: u64, nonce: String, writer: String) -> Self {
        Self::new(number, nonce, writer, [], std::iter::empty())
    }

    /// Returns whether it has no batches, as in a mark that its number is not part of the store.
    pub(crate) fn is_nothing(&self) -> bool {
        self.text.lines().nth(1).is_none()
    }

    /// Encodes a commit. `held` yields where each body is, in the order in which the batches name them.
    pub(crate) fn new<'a>(
        number: u64,
        nonce: String,
        writer: String,
        batches: impl IntoIterator<Item = (&'a Batch, &'a Granted)>,
        mut held: impl Iterator<Item = Held>,
    ) -> Self {
        let mut text = format!("{BEGINS}{number},\"nonce\":\"{nonce}\",\"writer\":");
        push_text(&mut text, &writer);
        text.push_str("}\n");
        for (batch, granted) in batches {
            push_batch(&mut text, batch, granted, &mut held);
        }
        Self { number, nonce, writer, text }
    }

    /// Decodes the batches.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Result<AppliedCommit>> {
        let what = format!("root commit {}", self.number);
        self.text.lines().skip(1).map(move |line| read_batch(line, &what))
    }
}

fn push_batch(out: &mut String, batch: &Batch, granted: &Granted, held: &mut impl Iterator<Item = Held>) {
    _ = write!(out, "{{\"batch\":\"{}\"", batch.id);
    if let Some(seq) = granted.seq {
        _ = write!(out, ",\"seq\":{seq}");
    }
    let mut claims = granted.claims.iter().copied();
    let mut claim = || claims.next().unwrap_or(Claim { epoch: 0, base: 0 });
    if !batch.writes.is_empty() {
        let writes: Vec<_> =
            batch.writes.iter().map(|write| (&write.key, write.body.as_ref().and_then(|_| held.next()))).collect();
        out.push_str(",\"writes\":");
        push_list(out, writes, |out, (key, held)| {
            out.push('[');
            push_key(out, key);
            out.push(',');
            push_held(out, held.as_ref());
            out.push(']');
        });
    }
    if !batch.appends.is_empty() {
        let appends = batch.appends.iter().zip(&granted.appended);
        let appends: Vec<_> = appends
            .map(|(append, range)| {
                let entries: Vec<_> = append.entries.iter().map(|entry| (entry.at, held.next())).collect();
                (&append.log, claim(), range.start, entries)
            })
            .collect();
        out.push_str(",\"appends\":");
        push_list(out, appends, |out, (log, claim, first, entries)| {
            out.push('[');
            push_key(out, log);
            out.push(',');
            push_claim(out, claim);
            _ = write!(out, ",{first},");
            push_list(out, entries, |out, (at, held)| {
                _ = write!(out, "[{},", at.as_millis());
                push_held(out, held.as_ref());
                out.push(']');
            });
            out.push(']');
        });
    }
    for (name, logs) in [("seals", &batch.seals), ("removals", &batch.removals)] {
        if !logs.is_empty() {
            let logs: Vec<_> = logs.iter().map(|log| (log, claim())).collect();
            _ = write!(out, ",\"{name}\":");
            push_list(out, logs, |out, (log, claim)| {
                out.push('[');
                push_key(out, log);
                out.push(',');
                push_claim(out, claim);
                out.push(']');
            });
        }
    }
    out.push_str("}\n");
}

fn read_batch(line: &str, what: &str) -> Result<AppliedCommit> {
    let line: BatchLine<'_> = parse(line.as_bytes(), what)?;
    let writes = line
        .writes
        .into_iter()
        .map(|WriteLine(kind, id, how, raw)| Ok((read_key(&kind, &id, what)?, read_held(how, raw, what)?)));
    let appends = line.appends.into_iter().map(|AppendLine(kind, id, claim, first, entries)| {
        let entries = entries.into_iter().map(|EntryLine(at, how, raw)| {
            let held =
                read_held(how, raw, what)?.ok_or_else(|| Error::corrupt(format!("{what}: an entry without a body")))?;
            Ok((Timestamp::from_millis(at), held))
        });
        let log = read_key(&kind, &id, what)?;
        Ok(LogAppend { log, claim: claim.read()?, first, entries: entries.collect::<Result<_>>()? })
    });
    let logs = |lines: Vec<LogLine<'_>>| -> Result<Vec<_>> {
        lines.into_iter().map(|LogLine(kind, id, claim)| Ok((read_key(&kind, &id, what)?, claim.read()?))).collect()
    };
    Ok(AppliedCommit {
        id: batch_id(&line.batch, what)?,
        seq: line
            .seq
            .map(|seq| Seq::new(seq).ok_or_else(|| Error::corrupt(format!("{what}: number zero"))))
            .transpose()?,
        writes: writes.collect::<Result<_>>()?,
        appends: appends.collect::<Result<_>>()?,
        seals: logs(line.seals)?,
        removals: logs(line.removals)?,
    })
}
