//! Packs: immutable objects of independent frames, each found by its place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use nofx_core::{Body, Error, Result};

use crate::checkpoint::Chunk;
use crate::frame;
use crate::line::{Far, Held, PackedFrame};
use crate::names;
use crate::objects::{Objects, missing};

/// A pack is closed when it reaches this size.
const PACK_BYTES: usize = 8 << 20;

/// How many bytes of text are kept in memory.
const CACHE_BYTES: usize = 16 << 20;

/// How many frames are fetched concurrently.
pub(crate) const AT_ONCE: usize = 16;

/// Reads frames, and caches the most recent ones.
#[derive(Debug)]
pub(crate) struct Packs {
    objects: Arc<Objects>,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    texts: VecDeque<(PackedFrame, Arc<Vec<u8>>)>,
    bytes: usize,
}

impl Packs {
    pub(crate) fn new(objects: Arc<Objects>) -> Self {
        Self { objects, cache: Mutex::default() }
    }

    /// Returns the text of a frame, which must have this many bytes.
    pub(crate) async fn text(&self, place: &PackedFrame, length: u64) -> Result<Arc<Vec<u8>>> {
        if let Some(text) = self.cached(place) {
            return Ok(text);
        }
        let path = self.objects.names.pack(&place.pack);
        let range = place.offset..place.end();
        let bytes = self.objects.get_range(&path, range).await?.ok_or_else(|| missing(&path))?;
        let text = Arc::new(frame::unpack_exactly(&bytes, length, &path)?);
        self.keep(place, &text);
        Ok(text)
    }

    /// Returns the lines of several chunks, fetched together.
    pub(crate) async fn texts<'a>(&self, chunks: impl IntoIterator<Item = &'a Chunk>) -> Result<Vec<Arc<Vec<u8>>>> {
        self.each_text(chunks).await.into_iter().collect()
    }

    /// Returns the lines of each of several chunks, fetched together.
    pub(crate) async fn each_text<'a>(&self, chunks: impl IntoIterator<Item = &'a Chunk>) -> Vec<Result<Arc<Vec<u8>>>> {
        let texts: Vec<_> = chunks.into_iter().map(|chunk| self.text(&chunk.place, chunk.raw)).collect();
        stream::iter(texts).buffered(AT_ONCE).collect().await
    }

    /// Returns a body, wherever it is.
    pub(crate) async fn body(&self, held: Held) -> Result<Body> {
        let far = match held {
            Held::Here(body) => return Ok(body),
            Held::There(far) => far,
        };
        let what = || format!("a body in pack {}", far.place.pack);
        let text = self.text(&far.place, far.size).await?;
        let text = String::from_utf8(text.to_vec()).map_err(|error| Error::corrupt_because(what(), error))?;
        Ok(Body::trusted(text))
    }

    fn cached(&self, place: &PackedFrame) -> Option<Arc<Vec<u8>>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let at = cache.texts.iter().position(|(kept, _)| kept == place)?;
        let found = cache.texts.remove(at)?;
        let text = found.1.clone();
        cache.texts.push_back(found);
        Some(text)
    }

    fn keep(&self, place: &PackedFrame, text: &Arc<Vec<u8>>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes += text.len();
        cache.texts.push_back((place.clone(), text.clone()));
        while cache.bytes > CACHE_BYTES
            && let Some((_, oldest)) = cache.texts.pop_front()
        {
            cache.bytes -= oldest.len();
        }
    }
}

/// Packs being filled.
#[derive(Debug)]
pub(crate) struct Packer<'a> {
    objects: &'a Objects,
    name: Arc<str>,
    bytes: Vec<u8>,
    full: Vec<(Arc<str>, Vec<u8>)>,
}

impl<'a> Packer<'a> {
    pub(crate) fn new(objects: &'a Objects) -> Self {
        Self { objects, name: names::nonce(&*objects.sources.ids).into(), bytes: Vec::new(), full: Vec::new() }
    }

    /// Adds text as its own frame.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<PackedFrame> {
        Ok(self.add_frame(&frame::pack(text, frame::MAX_PACKED_BYTES)?))
    }

    /// Adds an existing frame unchanged.
    pub(crate) fn add_frame(&mut self, frame: &[u8]) -> PackedFrame {
        let place =
            PackedFrame { pack: self.name.clone(), offset: self.bytes.len() as u64, length: frame.len() as u64 };
        self.bytes.extend_from_slice(frame);
        if self.bytes.len() >= PACK_BYTES {
            let name = std::mem::replace(&mut self.name, names::nonce(&*self.objects.sources.ids).into());
            self.full.push((name, std::mem::take(&mut self.bytes)));
        }
        place
    }

    /// Adds a body as its own frame.
    pub(crate) fn add_body(&mut self, body: &Body) -> Result<Held> {
        Ok(Held::There(Far { place: self.add(body.as_str().as_bytes())?, size: body.len() as u64 }))
    }

    /// Creates the objects, and returns their names and sizes.
    pub(crate) async fn finish(mut self) -> Result<Vec<(Arc<str>, u64)>> {
        if !self.bytes.is_empty() {
            self.full.push((self.name, self.bytes));
        }
        let mut made = Vec::new();
        for (name, bytes) in self.full {
            made.push((name.clone(), bytes.len() as u64));
            self.objects.create_own(&self.objects.names.pack(&name), Bytes::from(bytes)).await?;
        }
        Ok(made)
    }
}
