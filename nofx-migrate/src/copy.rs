//! Copies any store to any store.

use futures_util::TryStreamExt;
use nofx_core::{Error, LogHead, LogScan, LogState, NewEntry, Record, Result, ScanQuery, Store};

use crate::dump::{Counts, FullDump, full_digest};
use crate::filling::Filling;

/// Items per page.
const PAGE: usize = 256;

/// Why a store could not be copied.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// One of the stores could not be read or written.
    #[error(transparent)]
    Store(#[from] Error),
    /// The target holds something that the source does not hold, or holds with other content. Nothing was written.
    #[error("the target holds {0}, which the source does not have or has with other content")]
    Differs(String),
    /// The two differ after the copy: another program was writing.
    #[error("the copy is not the same as its source: {} there, {} here", .source_digest.sha256, .target_digest.sha256)]
    NotTheSame {
        /// What the source holds.
        source_digest: Box<FullDump>,
        /// What the target holds.
        target_digest: Box<FullDump>,
    },
}

/// The progress of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyProgress {
    /// What was read so far.
    pub seen: Counts,
    /// What of that was added to the target.
    pub added: Counts,
}

/// Makes `to` hold what `from` holds, using only the waist, and returns what both hold and what was added.
///
/// A target may already hold a part, such as an earlier copy that was interrupted or is out of date: what is equal stays, what
/// is missing is added, and repeating it changes nothing. Nothing is ever overwritten: a target that differs is refused
/// before anything is written. Holds one page of each side in memory. At the end, the digests of both are compared.
pub async fn copy(
    from: &Store,
    to: &Store,
    progress: &mut (dyn FnMut(CopyProgress) + Send),
) -> Result<(FullDump, Counts), CopyError> {
    if crate::dump::anything_in(to).await?.is_some() {
        // Compares everything before anything is written.
        let mut comparing = Copying { from, to, filling: None, done: CopyProgress::default(), progress: &mut |_| {} };
        comparing.run().await?;
    }
    let mut copying = Copying { from, to, filling: Some(Filling::new(to)), done: CopyProgress::default(), progress };
    copying.run().await?;
    let Copying { filling, done, .. } = copying;
    if let Some(filling) = filling {
        filling.finish().await?;
    }
    let (source_digest, target_digest) = (full_digest(from).await?, full_digest(to).await?);
    if source_digest != target_digest {
        let (source_digest, target_digest) = (Box::new(source_digest), Box::new(target_digest));
        return Err(CopyError::NotTheSame { source_digest, target_digest });
    }
    Ok((target_digest, done.added))
}

struct Copying<'a> {
    from: &'a Store,
    to: &'a Store,
    /// Without it, everything is compared and nothing is written.
    filling: Option<Filling<'a>>,
    done: CopyProgress,
    progress: &'a mut (dyn FnMut(CopyProgress) + Send),
}

impl Copying<'_> {
    /// Walks both sides in key order.
    async fn run(&mut self) -> Result<(), CopyError> {
        let mut theirs = self.from.scan(ScanQuery::all(PAGE));
        let mut ours = self.to.scan(ScanQuery::all(PAGE));
        let mut mine = ours.try_next().await?;
        while let Some(record) = theirs.try_next().await? {
            match mine.take_if(|mine| mine.key <= record.key) {
                Some(mine) if mine.key < record.key || mine.body != record.body => return Err(differs(&mine.key)),
                Some(_) => mine = ours.try_next().await?,
                None => self.add_record(record).await?,
            }
            self.done.seen.records += 1;
            (self.progress)(self.done);
        }
        if let Some(mine) = mine {
            return Err(differs(&mine.key));
        }
        self.run_logs().await
    }

    async fn add_record(&mut self, record: Record) -> Result<()> {
        if let Some(filling) = &mut self.filling {
            filling.put(record.key, record.body).await?;
            self.done.added.records += 1;
        }
        Ok(())
    }

    async fn run_logs(&mut self) -> Result<(), CopyError> {
        let mut theirs = self.from.logs(LogScan::all(PAGE));
        let mut ours = self.to.logs(LogScan::all(PAGE));
        let mut mine = ours.try_next().await?;
        while let Some(head) = theirs.try_next().await? {
            let there = match mine.take_if(|mine| mine.log <= head.log) {
                Some(mine) if mine.log < head.log => return Err(differs(&mine.log)),
                Some(found) => {
                    mine = ours.try_next().await?;
                    found
                }
                None => {
                    self.done.added.logs += u64::from(self.filling.is_some());
                    LogHead::missing(head.log.clone())
                }
            };
            self.extend(&head, &there).await?;
            self.done.seen.logs += 1;
            (self.progress)(self.done);
        }
        match mine {
            Some(mine) => Err(differs(&mine.log)),
            None => Ok(()),
        }
    }

    /// Compares the existing entries with the first of the source's, and adds the others.
    async fn extend(&mut self, head: &LogHead, there: &LogHead) -> Result<(), CopyError> {
        let is_complete = there.state == head.state && there.length == head.length;
        if there.length > head.length || (there.state == LogState::Sealed && !is_complete) {
            return Err(differs(&head.log));
        }
        let mut theirs = self.from.read_whole(head, PAGE);
        let mut ours = self.to.read_whole(there, PAGE);
        while let Some(entry) = theirs.try_next().await? {
            if entry.position < there.length {
                if ours.try_next().await?.as_ref() != Some(&entry) {
                    return Err(differs(&head.log));
                }
            } else if let Some(filling) = &mut self.filling {
                let new = NewEntry { at: entry.at, body: entry.body };
                filling.append(&head.log, entry.position, new).await?;
                self.done.added.entries += 1;
            }
            self.done.seen.entries += 1;
            (self.progress)(self.done);
        }
        if let Some(filling) = &mut self.filling
            && head.state == LogState::Sealed
            && there.state == LogState::Open
        {
            filling.seal(head.log.clone()).await?;
        }
        Ok(())
    }
}

fn differs(what: &impl ToString) -> CopyError {
    CopyError::Differs(what.to_string())
}
