//! Whether the store is still where it was opened, and still the same store.
//!
//! A handle knows the newest commit that it has *proven* and the commits that it has seen after that one. Proven means:
//! it was seen to exist, and after that everything before it still did. Before one of the handle's own commits is
//! acknowledged, all of these are checked, and so proven. If one is missing or different, the store was moved, removed,
//! or replaced by an older copy or by another store. An object that was nevertheless created there has a number whose
//! predecessor is missing or different, by which every opening recognises it.
//!
//! A replacement between the check and the create is found by the next check, which includes the commit before: that it
//! is still there proves that the newest one was created after it, and not in another place.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::try_join_all;
use nofx_core::{Error, Result, StoreId};

use super::Root;
use crate::commit::{Commit, RunCommit};
use crate::fault::is_missing;
use crate::moment::Moment;
use crate::objects::Look;

/// The maximum number of commits after the newest proven one; an opening checks them all.
const UNPROVEN: u64 = 8;

/// What a handle knows about the place.
#[derive(Debug, Default)]
pub(super) struct Here {
    seen: Mutex<Seen>,
    /// Why this handle does nothing any more.
    ended: OnceLock<Error>,
}

/// The commits seen there, oldest first: the newest proven one, and later ones including skipped strays.
type Seen = Vec<Known>;

/// A commit that was seen there.
#[derive(Clone, Debug)]
pub(super) struct Known {
    store: StoreId,
    pub(super) number: u64,
    nonce: String,
    /// Whether it has no batches.
    is_nothing: bool,
    /// Whether it is a stray, not part of the store.
    is_passed: bool,
    tag: Option<String>,
    seen: Moment,
}

impl Root {
    /// Returns `Gone` or `Replaced` once that was found; a handle never continues with another store by itself.
    pub(crate) fn while_here(&self) -> Result<()> {
        self.here.ended.get().map_or(Ok(()), |ended| Err(ended.clone()))
    }

    /// Records the newest commit seen. What its writer had proven is proven.
    pub(super) fn saw(&self, commit: &Commit) {
        let mut seen = self.seen();
        seen.extend(Known::of(commit, Moment::now(&self.sources)));
        let proven = seen.iter().rposition(|known| !known.is_passed && known.number <= commit.proven());
        seen.drain(..proven.unwrap_or(0));
    }

    /// Records the newest commit seen to exist, and after it everything before it.
    pub(super) fn has_proven(&self, commit: &Commit) {
        *self.seen() = Vec::from_iter(Known::of(commit, Moment::now(&self.sources)));
    }

    /// Records that the object under a number is not part of the store. The next commit relies on its existence.
    pub(super) fn passes(&self, store: StoreId, passed: &RunCommit) {
        let known = Known::new(store, passed, Moment::now(&self.sources));
        self.seen().push(Known { is_passed: true, ..known });
    }

    /// Returns the newest commit seen.
    pub(super) fn known(&self) -> Option<Known> {
        self.seen().iter().rfind(|known| !known.is_passed).cloned()
    }

    /// Returns the number of the newest commit that is proven to be part of the store.
    pub(super) fn proven(&self) -> u64 {
        self.seen().first().map_or(0, |proven| proven.number)
    }

    /// Proves the newest commit if others will rely on it: if a collection may soon remove what precedes it, or if many
    /// are unproven.
    pub(super) async fn prove(&self) -> Result<()> {
        let unproven = {
            let seen = self.seen();
            seen.first().zip(seen.last()).map_or(0, |(proven, newest)| newest.number - proven.number)
        };
        match unproven > UNPROVEN || self.is_settled() {
            true => self.look_back().await,
            false => Ok(()),
        }
    }

    /// Returns whether the newest commit has been unproven for so long that a collection may soon remove what precedes
    /// it.
    pub(super) fn is_settled(&self) -> bool {
        let seen = self.seen();
        let newest = seen.iter().rfind(|known| !known.is_passed);
        seen.len() > 1 && newest.is_some_and(|newest| self.is_stale(newest.seen))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.here.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks that the commits seen are still there. `Gone` or `Replaced` end this handle.
    pub(crate) async fn look_back(&self) -> Result<()> {
        self.while_here()?;
        let looked = self.seen().clone();
        let mut found = try_join_all(looked.into_iter().map(|known| self.look_at(known))).await?;
        // The newest of them was there, and after that everything before it. Its tag is the current one.
        let newest = found.iter().rposition(|known| !known.is_passed);
        let mut seen = self.seen();
        if let Some(proven) = newest.map(|newest| found.swap_remove(newest))
            && let Some(at) = seen.iter().position(|known| known.is_same(&proven))
        {
            seen.drain(..at);
            seen[0] = proven;
        }
        Ok(())
    }

    /// Checks that the newest commit seen is still there, which is enough for a reader.
    pub(super) async fn look_at_newest(&self) -> Result<()> {
        self.while_here()?;
        match self.known() {
            Some(newest) => self.look_at(newest).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Checks that a commit is still there, and returns it as found.
    async fn look_at(&self, known: Known) -> Result<Known> {
        let path = self.objects.names.commit(known.number);
        let found = match self.objects.look(&path, known.tag.clone()).await? {
            Look::Same => return Ok(known),
            Look::Missing => return Err(self.explain(&known).await),
            Look::Found(found) => found,
        };
        match Commit::decode(&found.bytes, known.number, path.as_ref()) {
            Ok(commit) if commit.is_named(&known.nonce) => Ok(Known { tag: found.tag, ..known }),
            Ok(_) => Err(self.explain(&known).await),
            // It exists. The next commit carries its text along, so it becomes readable again.
            Err(Error::Corrupt(_)) => Ok(known),
            Err(error) => Err(error),
        }
    }

    /// Checks that a state found by opening again includes everything seen before.
    pub(super) async fn goes_on(&self, commit: &Commit) -> Result<()> {
        let seen = self.seen().clone();
        try_join_all(seen.into_iter().map(|known| self.has(commit, known))).await.map(|_| ())
    }

    /// Checks that a commit seen before is one of those that this one follows.
    async fn has(&self, commit: &Commit, known: Known) -> Result<()> {
        let calls_it_nothing = commit.calls_nothing(known.number) && !known.is_nothing;
        let is_the_same = match commit.nonce_of(known.number) {
            Some(_) => known.is(commit) && !calls_it_nothing,
            None => match self.fetch(known.number).await {
                Ok(Some(found)) => found.is_named(&known.nonce) && known.number < commit.number(),
                // Collected, which is possible after this long.
                Ok(None) => {
                    let is_below = commit.store == known.store && known.number < commit.number();
                    is_below && known.seen.age(&self.sources) >= self.rules.grace / 2
                }
                Err(Error::Corrupt(_)) => false,
                Err(error) => return Err(error),
            },
        };
        match is_the_same {
            true => Ok(()),
            false => Err(self.explain(&known).await),
        }
    }

    /// Says what became of the store when a known commit is missing, and ends this handle.
    pub(super) async fn explain(&self, known: &Known) -> Error {
        let shown = &self.objects.shown;
        // Commit 1 is never deleted.
        let error = match self.fetch(1).await {
            Ok(None) => Error::gone(format!("`{shown}` no longer holds a store")),
            Ok(Some(first)) if first.store != known.store => {
                Error::replaced(format!("another store is at `{shown}` now"))
            }
            Ok(Some(_)) | Err(Error::Corrupt(_)) => Error::replaced(format!(
                "another copy of the store is at `{shown}` now, without commit {} as it was seen there",
                known.number
            )),
            Err(error) => return error,
        };
        self.here.ended.get_or_init(|| error).clone()
    }

    /// Checks, for an object that is missing or does not match what was seen before, whether the whole store has been
    /// replaced.
    pub(crate) async fn explained<T>(&self, read: Result<T>) -> Result<T> {
        match read {
            Err(error) if is_missing(&error) || matches!(error, Error::Corrupt(_)) => {
                self.look_back().await.and(Err(error))
            }
            read => read,
        }
    }
}

impl Known {
    fn of(commit: &Commit, seen: Moment) -> Option<Self> {
        Some(Self { tag: commit.tag.clone(), ..Self::new(commit.store, commit.last()?, seen) })
    }

    fn new(store: StoreId, one: &RunCommit, seen: Moment) -> Self {
        Self {
            store,
            number: one.number,
            nonce: one.nonce.clone(),
            is_nothing: one.is_nothing(),
            is_passed: false,
            tag: None,
            seen,
        }
    }

    fn is(&self, commit: &Commit) -> bool {
        commit.store == self.store && commit.nonce_of(self.number) == Some(&*self.nonce)
    }

    fn is_same(&self, other: &Self) -> bool {
        (self.number, &self.nonce) == (other.number, &other.nonce)
    }
}

/// Returns whether an error says that the store is no longer where it was.
pub(super) fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Gone(_) | Error::Replaced(_))
}
