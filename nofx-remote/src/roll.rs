//! Making a checkpoint: the contents of the run move into packs, and packs that are mostly dead are emptied.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use nofx_core::{KeyQuery, LogKey, REMEMBERED_COMMITS, RecordKey, Result, Timestamp};

use crate::checkpoint::{Base, Chunk, Log, LogLine, Parts, push_log, push_record};
use crate::commit::CheckpointId;
use crate::feed::push_item;
use crate::line::{Far, Held, PackedFrame, push_held};
use crate::names;
use crate::objects::{Objects, missing};
use crate::packs::{Packer, Packs};
use crate::state::{Found, Merged, State};

/// The size at which a chunk is left alone.
#[derive(Clone, Copy, Debug)]
struct Full {
    lines: u64,
    bytes: u64,
}

/// With this, the last 1,000 entries of a log are in at most two full chunks and a few small ones.
const FULL_LOG: Full = Full { lines: 1000, bytes: 1 << 20 };

/// Large, because there is only one feed; not larger, because a chunk is forgotten as a whole.
const FULL_FEED: Full = Full { lines: 25_000, bytes: 8 << 20 };

/// A pack is emptied when less than this fraction of it is live.
const ALIVE: (u64, u64) = (8, 10);

/// Packs smaller than this are merged when there are too many of them.
const SMALL_PACK: u64 = 4 << 20;
const SMALL_PACKS: usize = 12;

/// The maximum number of live bytes that one checkpoint moves.
const MOVED_BYTES: u64 = 32 << 20;

/// A checkpoint that exists and that no commit names yet.
#[derive(Clone, Debug)]
pub(crate) struct Rolled {
    pub(crate) base: Arc<Base>,
    /// The checkpoint that it was built on.
    pub(crate) parent: Option<CheckpointId>,
}

/// Writes the checkpoint of a state whose base is the checkpoint that its last commit names.
pub(crate) async fn roll(objects: &Objects, packs: &Packs, mut state: State) -> Result<Rolled> {
    let mut packer = Packer::new(objects);
    for (key, log) in &mut state.logs {
        if !log.tail.is_empty() {
            let tail = std::mem::take(&mut log.tail);
            fold_tail(packs, &mut packer, key, log, tail).await?;
        }
    }
    let feed = fold_feed(packs, &mut packer, &state).await?;
    let alive = places(&state, &feed)?;
    let mut sizes: BTreeMap<Arc<str>, u64> = state.base.packs.iter().cloned().collect();
    let moved = empty_packs(objects, &mut packer, &alive, &sizes).await?;
    for (pack, places) in alive {
        // Bodies of the run are in packs that no checkpoint knows yet.
        let seen = places.iter().map(PackedFrame::end).max().unwrap_or(0);
        sizes.entry(pack).or_insert(seen);
    }
    sizes.extend(packer.finish().await?);
    let id = CheckpointId { number: state.last, nonce: names::nonce(&*objects.sources.ids) };
    let parent = state.cited.clone();
    let (base, object) = write(&state, feed, &moved, sizes, id.clone())?;
    objects.create_own(&objects.names.checkpoint(id.number, &id.nonce), Bytes::from(object)).await?;
    Ok(Rolled { base: Arc::new(base), parent })
}

/// Moves the tail of a log into chunks, together with preceding chunks that are not much longer. So an entry is
/// rewritten about as often as the number of entries in a full chunk can be halved.
async fn fold_tail(
    packs: &Packs,
    packer: &mut Packer<'_>,
    key: &LogKey,
    log: &mut Log,
    tail: Vec<(Timestamp, Held)>,
) -> Result<()> {
    debug_assert!(log.chunks.last().map_or(0, Chunk::end) + tail.len() as u64 == log.length, "{key} is dense");
    let start = log.length - tail.len() as u64;
    let mut chunks = log.chunks.to_vec();
    let mut folding = unfold(packs, &mut chunks, tail.len() as u64, FULL_LOG).await?;
    for (position, (at, held)) in (start..).zip(tail) {
        let mut line = String::new();
        push_entry(&mut line, position, at, &held);
        folding.push(position, &line, held.far().cloned());
    }
    folding.fold_into(&mut chunks, packer, FULL_LOG)?;
    log.chunks = chunks.into();
    Ok(())
}

/// Writes an entry's line in a chunk.
fn push_entry(out: &mut String, position: u64, at: Timestamp, held: &Held) {
    _ = write!(out, "[{position},{},", at.as_millis());
    match held {
        Held::Here(_) => push_held(out, Some(held)),
        // The body's place is stored next to the chunk's place, so that moving the body does not rewrite the chunk.
        Held::There(_) => _ = write!(out, "{},0", crate::line::THERE),
    }
    out.push_str("]\n");
}

async fn fold_feed(packs: &Packs, packer: &mut Packer<'_>, state: &State) -> Result<Vec<Chunk>> {
    let mut chunks = state.base.feed.clone();
    if !state.recent.is_empty() {
        let mut folding = unfold(packs, &mut chunks, state.recent.len() as u64, FULL_FEED).await?;
        for (number, item) in (state.base.feed_end..).zip(&state.recent) {
            let mut line = String::new();
            push_item(&mut line, item);
            folding.push(number, &line, None);
        }
        folding.fold_into(&mut chunks, packer, FULL_FEED)?;
    }
    let end = state.feed_end();
    chunks.retain(|chunk| chunk.end() + REMEMBERED_COMMITS as u64 > end);
    Ok(chunks)
}

/// Lines to be put into chunks.
#[derive(Debug, Default)]
struct Folding {
    first: Option<u64>,
    text: Vec<u8>,
    far: Vec<(u64, Far)>,
}

/// Removes the last chunks from the list, as long as each is not much longer than what follows it.
async fn unfold(packs: &Packs, chunks: &mut Vec<Chunk>, new: u64, full: Full) -> Result<Folding> {
    let (mut taken, mut lines) = (Vec::new(), new);
    while let Some(last) =
        chunks.pop_if(|last| last.count < full.lines && last.raw < full.bytes && last.count < 2 * lines)
    {
        lines += last.count;
        taken.push(last);
    }
    let texts = packs.texts(&taken).await?;
    let mut folding = Folding::default();
    for (chunk, text) in taken.into_iter().zip(texts).rev() {
        folding.first.get_or_insert(chunk.first);
        folding.text.extend_from_slice(&text);
        folding.far.extend(chunk.far);
    }
    Ok(folding)
}

impl Folding {
    fn push(&mut self, number: u64, line: &str, far: Option<Far>) {
        self.first.get_or_insert(number);
        self.text.extend_from_slice(line.as_bytes());
        self.far.extend(far.map(|far| (number, far)));
    }

    fn fold_into(self, chunks: &mut Vec<Chunk>, packer: &mut Packer<'_>, full: Full) -> Result<()> {
        let mut first = self.first.unwrap_or(0);
        let mut far = self.far.into_iter().peekable();
        let mut rest = self.text.as_slice();
        while !rest.is_empty() {
            let (mut count, mut length) = (0, 0);
            while count < full.lines && length < full.bytes as usize && length < rest.len() {
                let line =
                    rest[length..].iter().position(|byte| *byte == b'\n').map_or(rest.len() - length, |at| at + 1);
                length += line;
                count += 1;
            }
            let (text, others) = rest.split_at(length);
            let place = packer.add(text)?;
            let own = std::iter::from_fn(|| far.next_if(|(number, _)| *number < first + count)).collect();
            chunks.push(Chunk { first, count, place, raw: length as u64, far: own });
            first += count;
            rest = others;
        }
        Ok(())
    }
}

pub(crate) type Alive = HashMap<Arc<str>, HashSet<PackedFrame>>;

/// Returns every place that a state needs, by pack.
pub(crate) fn places(state: &State, feed: &[Chunk]) -> Result<Alive> {
    let mut alive = Alive::new();
    let mut add = |place: &PackedFrame| _ = alive.entry(place.pack.clone()).or_default().insert(place.clone());
    let add_chunk = |chunk: &Chunk, add: &mut dyn FnMut(&PackedFrame)| {
        add(&chunk.place);
        chunk.far.iter().for_each(|(_, far)| add(&far.place));
    };
    feed.iter().for_each(|chunk| add_chunk(chunk, &mut add));
    each_record(state, |_, (_, held)| {
        if let Some(far) = held.far() {
            add(&far.place);
        }
    })?;
    each_log(state, |_, log| log.chunks.iter().for_each(|chunk| add_chunk(chunk, &mut add)))?;
    Ok(alive)
}

/// Moves live frames out of packs that are mostly dead, and out of small ones if there are many.
async fn empty_packs(
    objects: &Objects,
    packer: &mut Packer<'_>,
    alive: &Alive,
    sizes: &BTreeMap<Arc<str>, u64>,
) -> Result<HashMap<PackedFrame, PackedFrame>> {
    let live = |pack: &Arc<str>| alive[pack].iter().map(|place| place.length).sum::<u64>();
    let mut known: Vec<_> = sizes
        .iter()
        .filter(|(pack, _)| alive.contains_key(*pack))
        .map(|(pack, size)| (live(pack), *size, pack))
        .collect();
    known.sort_unstable();
    let too_many = known.iter().filter(|(_, size, _)| *size < SMALL_PACK).count() > SMALL_PACKS;
    let mut moved = HashMap::new();
    let mut bytes = 0;
    for (live, size, pack) in known {
        let mostly_dead = live * ALIVE.1 < size * ALIVE.0;
        let one_of_many = too_many && size < SMALL_PACK;
        if !(mostly_dead || one_of_many) || bytes + live > MOVED_BYTES {
            continue;
        }
        bytes += live;
        let path = objects.names.pack(pack);
        let object = objects.get(&path).await?.ok_or_else(|| missing(&path))?;
        let mut places: Vec<_> = alive[pack].iter().collect();
        places.sort_unstable_by_key(|place| place.offset);
        for place in places {
            let range = place.offset as usize..place.end() as usize;
            let frame = object.get(range).ok_or_else(|| missing(&path))?;
            moved.insert(place.clone(), packer.add_frame(frame));
        }
    }
    Ok(moved)
}

fn write(
    state: &State,
    mut feed: Vec<Chunk>,
    moved: &HashMap<PackedFrame, PackedFrame>,
    sizes: BTreeMap<Arc<str>, u64>,
    id: CheckpointId,
) -> Result<(Base, Vec<u8>)> {
    let mut used: HashSet<Arc<str>> = HashSet::new();
    let mut settle = |place: &mut PackedFrame| {
        if let Some(new) = moved.get(place) {
            *place = new.clone();
        }
        if !used.contains(&place.pack) {
            used.insert(place.pack.clone());
        }
    };
    let settle_chunk = |chunk: &mut Chunk, settle: &mut dyn FnMut(&mut PackedFrame)| {
        settle(&mut chunk.place);
        chunk.far.iter_mut().for_each(|(_, far)| settle(&mut far.place));
    };
    feed.iter_mut().for_each(|chunk| settle_chunk(chunk, &mut settle));
    let mut records = String::new();
    each_record(state, |key, (seq, mut held)| {
        if let Held::There(far) = &mut held {
            settle(&mut far.place);
        }
        push_record(&mut records, &key, seq, &held);
    })?;
    let mut logs = String::new();
    each_log(state, |key, mut log| {
        let mut chunks = log.chunks.to_vec();
        chunks.iter_mut().for_each(|chunk| settle_chunk(chunk, &mut settle));
        log.chunks = chunks.into();
        push_log(&mut logs, &key, &log);
    })?;
    let packs = sizes.into_iter().filter(|(pack, _)| used.contains(pack)).collect();
    let (store, last_seq, feed_end) = (state.store, state.last_seq, state.feed_end());
    Base::encode(Parts { store, id, last_seq, feed, feed_end, packs, records, logs })
}

fn each_record(state: &State, mut each: impl FnMut(RecordKey, (nofx_core::Seq, Held))) -> Result<()> {
    let (query, what) = (KeyQuery::all(1), state.base.what());
    for record in state.scan(&query, &what)? {
        let (key, seq, held) = record?;
        each(key, (seq, held));
    }
    Ok(())
}

fn each_log(state: &State, mut each: impl FnMut(LogKey, Log)) -> Result<()> {
    let (query, what) = (KeyQuery::all(1), state.base.what());
    for found in Merged::<LogKey, _, LogLine<'_>>::new(state.base.logs(), &state.logs, &query, &what)? {
        match found? {
            Found::Above(key, log) => each(key.clone(), log.clone()),
            Found::Below(key, line) => each(key, line.read(&what)?),
        }
    }
    Ok(())
}

/// Returns every pack that a state may need, including those of its run.
pub(crate) fn needed_packs(state: &State) -> HashSet<Arc<str>> {
    let base = state.base.packs.iter().map(|(pack, _)| pack.clone());
    let records = state.records.values().flatten().filter_map(|(_, held)| held.far());
    let entries = state.logs.values().flat_map(|log| &log.tail).filter_map(|(_, held)| held.far());
    base.chain(records.chain(entries).map(|far| far.place.pack.clone())).collect()
}
