//! Whether the store is still where it was opened, and still the one that was opened.
//!
//! A handle knows the newest commit that it saw. Before one of its own is acknowledged, that one is looked at: it is there, and it
//! is the same. Where it is not, the store was moved, removed, or replaced by an older copy or by another store. What
//! was created in that place all the same has a number whose predecessor is missing or another, by which every opening knows it.
//!
//! A replacement between the look and the create is found by the next look, which is at the one before, too: that
//! it is still there proves that the newest was created behind it, and not in another place.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::join;
use nofx_core::{Error, Result, StoreId};

use super::Root;
use crate::commit::Commit;
use crate::fault::is_missing;
use crate::moment::Moment;
use crate::objects::Look;
use crate::options::Planted;
use crate::state::State;

/// What a handle knows of the place.
#[derive(Debug, Default)]
pub(super) struct Here {
    known: Mutex<Seen>,
    /// Why nothing more is done through this handle.
    ended: OnceLock<Error>,
}

/// What was seen there.
#[derive(Debug, Default)]
struct Seen {
    newest: Option<Known>,
    /// The one before it, until it was seen again after it.
    before: Option<Known>,
}

/// A commit that was seen there.
#[derive(Clone, Debug)]
pub(super) struct Known {
    store: StoreId,
    pub(super) number: u64,
    nonce: String,
    tag: Option<String>,
    seen: Moment,
}

impl Root {
    /// Answers `Gone` or `Replaced` once that was found; a handle never goes on with something else by itself.
    pub(crate) fn while_here(&self) -> Result<()> {
        self.here.ended.get().map_or(Ok(()), |ended| Err(ended.clone()))
    }

    /// Notes the newest commit that was seen.
    pub(super) fn saw(&self, commit: &Commit) {
        let newest = Known::of(commit, Moment::now(&self.sources));
        let mut seen = self.seen();
        let before = std::mem::replace(&mut seen.newest, newest);
        seen.before = seen.before.take().or(before);
    }

    /// Notes the newest commit that was seen, with the one before it.
    pub(super) fn saw_both(&self, commit: &Commit) {
        *self.seen() = Seen { newest: Known::of(commit, Moment::now(&self.sources)), before: None };
    }

    pub(super) fn known(&self) -> Option<Known> {
        self.seen().newest.clone()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.here.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes sure that the newest commit that was seen is still there. `Gone` or `Replaced` end this handle.
    pub(crate) async fn look_back(&self) -> Result<()> {
        self.while_here()?;
        if self.rules.plants(Planted::NeverLooksBack) {
            return Ok(());
        }
        let (newest, before) = {
            let seen = self.seen();
            (seen.newest.clone(), seen.before.clone())
        };
        let (newest, before) = join(self.look_at(newest), self.look_at(before)).await;
        let (newest, before) = (newest?, before?);
        let mut seen = self.seen();
        // As it is again, with the tag that it has now.
        if let (Some(known), Some(newest)) = (&mut seen.newest, newest)
            && (known.number, &known.nonce) == (newest.number, &newest.nonce)
        {
            *known = newest;
        }
        if before.is_some_and(|looked| seen.before.as_ref().is_some_and(|before| before.number == looked.number)) {
            seen.before = None;
        }
        Ok(())
    }

    /// Makes sure that a commit is still there, and returns it as it was found.
    async fn look_at(&self, known: Option<Known>) -> Result<Option<Known>> {
        let Some(known) = known else { return Ok(None) };
        let path = self.objects.names.commit(known.number);
        let found = match self.objects.look(&path, known.tag.clone()).await? {
            Look::Same => return Ok(Some(known)),
            Look::Missing => return Err(self.explain(&known).await),
            Look::Found(found) => found,
        };
        match Commit::decode(&found.bytes, known.number, path.as_ref()) {
            Ok(commit) if known.is(&commit) => Ok(Some(Known { tag: found.tag, ..known })),
            Ok(_) => Err(self.explain(&known).await),
            // It is there. The next commit carries it along, and so it can be read again.
            Err(Error::Corrupt(_)) => Ok(Some(known)),
            Err(error) => Err(error),
        }
    }

    /// Makes sure that a state which was found by opening again has what was seen before.
    pub(super) async fn goes_on(&self, state: &State) -> Result<()> {
        let Some(known) = self.known() else { return Ok(()) };
        let commit = Commit { store: state.store, checkpoint: None, run: state.run.clone(), tag: None, made: 0 };
        if let Some(nonce) = commit.nonce_of(known.number) {
            return match known.is_named(&commit, nonce) {
                true => Ok(()),
                false => Err(self.explain(&known).await),
            };
        }
        match self.fetch(known.number).await {
            Ok(Some(commit)) if known.is(&commit) => Ok(()),
            // Collected, as it may be after so long.
            Ok(None) if state.store == known.store && known.seen.age(&self.sources) >= self.rules.grace / 2 => Ok(()),
            Err(error) if !matches!(error, Error::Corrupt(_)) => Err(error),
            Ok(_) | Err(_) => Err(self.explain(&known).await),
        }
    }

    /// Says what became of the store, now that a commit is not there which was, and ends this handle.
    pub(super) async fn explain(&self, known: &Known) -> Error {
        let shown = &self.objects.shown;
        // It is never deleted.
        let error = match self.fetch(1).await {
            Ok(None) => Error::gone(format!("there is no store at `{shown}` any more")),
            Ok(Some(first)) if first.store != known.store => {
                Error::replaced(format!("another store is at `{shown}` now"))
            }
            Ok(Some(_)) | Err(Error::Corrupt(_)) => Error::replaced(format!(
                "another copy of it is at `{shown}` now, without commit {} as it was seen there",
                known.number
            )),
            Err(error) => return error,
        };
        self.here.ended.get_or_init(|| error).clone()
    }

    /// Says of an object that is missing, or that does not fit what was seen before, whether the whole store is another.
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
        let (store, last) = (commit.store, commit.last()?);
        Some(Self { store, number: last.number, nonce: last.nonce.clone(), tag: commit.tag.clone(), seen })
    }

    fn is(&self, commit: &Commit) -> bool {
        commit.nonce_of(self.number).is_some_and(|nonce| self.is_named(commit, nonce))
    }

    fn is_named(&self, commit: &Commit, nonce: &str) -> bool {
        commit.store == self.store && nonce == self.nonce
    }
}

/// Returns whether an error says that the store is no longer where it was.
pub(super) fn is_elsewhere(error: &Error) -> bool {
    matches!(error, Error::Gone(_) | Error::Replaced(_))
}
