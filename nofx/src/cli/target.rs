//! The store that a command fills, and leaving nothing half done where it fails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nofx_core::{Error, Store};
use nofx_platform::{flush_folder, remove_file, remove_tree, replace};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::interrupt;
use super::paths::missing_folders;
use super::place::{refuse_another_shape, refuse_read_only};
use super::temporary::{Temporary, remove_empty};
use super::text::one_line;
use crate::git;
use crate::neighbours::{self, journal_of, with_suffix};
use crate::open::open_unlisted;
#[cfg(feature = "redb")]
use crate::small::bytes_at;
use crate::{Location, Options, settle};

/// How a store is made where there is none.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct MakeArg {
    /// Makes a new store in one file with a journal beside it, to which it then commits with one flush instead of two. A store that exists goes on
    /// as it was made.
    #[cfg(feature = "redb")]
    #[arg(long)]
    journal: bool,
}

impl MakeArg {
    /// Returns how a store that may be made is opened.
    pub(crate) fn options(self) -> Options {
        #[cfg_attr(not(feature = "redb"), expect(unused_mut, reason = "nothing can be asked for"))]
        let mut options = Options::default();
        #[cfg(feature = "redb")]
        {
            options.journal |= self.journal;
        }
        options
    }
}

/// A store that is filled.
#[derive(Debug)]
pub(crate) struct Target {
    /// Where the store is once it is closed.
    pub(crate) location: Location,
    pub(crate) store: Store,
    /// What did not exist before: the folders above the store, if it did not exist itself.
    made: Option<Vec<PathBuf>>,
    /// Where the store is until it is complete, if that is elsewhere.
    beside: Option<Beside>,
}

/// A store in a temporary folder.
#[derive(Debug)]
struct Beside {
    location: Location,
    _temporary: Temporary,
    /// The place that it gets, as git sees it.
    new: Option<git::New>,
}

impl Target {
    /// Opens a store to fill it step by step, making it if there is none: what is there already stays when the rest fails.
    pub(crate) async fn open(location: Location, options: Options) -> Result<Self> {
        let made = made(&location)?;
        let new = git::New::at(&location).filter(|_| options.create);
        match open_unlisted(&location, options).await {
            Ok(store) => {
                refuse_read_only(&store, &location)?;
                keep_out(new.as_ref(), &location);
                Ok(Self { location, store, made, beside: None })
            }
            Err(error) => {
                let fault = Fault::of_opening(&error, &location);
                remove_traces(&location, made);
                Err(fault)
            }
        }
    }

    /// Opens a store to fill it as a whole. Where there is none, it is made beside that place and moved there when it is closed,
    /// so that nobody ever finds a part of it, and nothing that somebody else makes there meanwhile is touched.
    pub(crate) async fn open_whole(location: Location, options: Options) -> Result<Self> {
        let Some(made) = made(&location)? else { return Self::open(location, options).await };
        let Some(path) = location.path().filter(|_| ["redb", "fs"].contains(&location.scheme())) else {
            return Self::open(location, options).await;
        };
        interrupt::prepare();
        let beside = Beside::of(&location, path).map_err(|error| Fault::of_opening(&error, &location))?;
        match open_unlisted(&beside.location, options).await {
            Ok(store) => Ok(Self { location, store, made: Some(made), beside: Some(beside) }),
            Err(error) => Err(beside.told(Fault::of_opening(&error, &location), path)),
        }
    }

    /// Closes the store after success, makes it as small as pays, and brings it to its place. Returns whether it was compacted, or why
    /// it was not: that is no failure, since everything is in it.
    pub(crate) async fn close(self) -> Result<nofx_core::Result<bool>> {
        self.store.close().await.map_err(|error| Fault::of_store(&error, &self.location))?;
        let location = self.beside.as_ref().map_or(&self.location, |beside| &beside.location);
        let settled = match self.made {
            Some(_) => settle_new(location).await,
            None => settle(location, false).await,
        };
        let (Some(beside), Some(path)) = (self.beside, self.location.path()) else { return Ok(settled) };
        if beside.publish(path, &self.location).await? {
            return Ok(settled);
        }
        Err(Fault::new(
            Exit::Differs,
            format!("another process has made `{}`, which is left as it is", self.location),
            "name a store that does not exist yet",
        ))
    }

    /// Closes the store after a failure, and returns what is told of it. A store that was made for this is removed, with the folders made for
    /// it, unless it holds something that the next attempt can go on from.
    pub(crate) async fn abandon(self, fault: Fault) -> Fault {
        let fault = match (&self.beside, self.location.path()) {
            (Some(beside), Some(path)) => beside.told(fault, path),
            _ => fault,
        };
        self.let_go().await;
        fault
    }

    /// Closes the store and removes it as after a failure. Returns whether there is one.
    async fn let_go(self) -> bool {
        let holds_nothing = nofx_migrate::anything_in(&self.store).await.is_ok_and(|found| found.is_none());
        // The failure that led here is what is told.
        _ = self.store.close().await;
        match self.beside {
            Some(_) => false,
            None => {
                let is_removed = holds_nothing && self.made.is_some();
                if is_removed {
                    remove(&self.location, self.made);
                }
                !is_removed
            }
        }
    }

    /// Closes the store after a signal, as after a failure, and says what is left.
    pub(crate) async fn interrupted(self) -> Fault {
        let location = self.location.clone();
        match self.let_go().await {
            true => {
                let message = format!("interrupted; `{location}` has a part of it, or all");
                Fault::new(Exit::Interrupted, message, "run the command again: it goes on from there")
            }
            false => {
                let message = format!("interrupted; there is nothing at `{location}` yet");
                Fault::new(Exit::Interrupted, message, "run the command again")
            }
        }
    }
}

impl Beside {
    fn of(location: &Location, path: &Path) -> nofx_core::Result<Self> {
        let new = git::New::at(location);
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let parent = path.parent().unwrap_or(&path);
        let temporary = Temporary::within(parent);
        let temporary =
            temporary.map_err(|error| Error::unavailable_because(format!("making `{}`", path.display()), error))?;
        let inside = temporary.path(path.file_name().unwrap_or_default());
        let location = if location.folder().is_some() { Location::fs(inside) } else { Location::redb(inside) };
        Ok(Self { location, _temporary: temporary, new })
    }

    /// Says where the store would be rather than where it is.
    fn told(&self, fault: Fault, place: &Path) -> Fault {
        match self.location.path() {
            Some(temporary) => fault.renaming(temporary, place),
            None => fault,
        }
    }

    /// Gives a store its name, unless something has it already. Returns whether it did.
    async fn publish(self, path: &Path, location: &Location) -> Result<bool> {
        let cannot = |error: io::Error| Fault::of_output(&format!("`{location}`"), &error);
        let path = std::path::absolute(path).map_err(cannot)?;
        let is_published = match (self.location.folder(), self.location.path()) {
            (Some(folder), _) => publish_folder(folder, &path).map_err(cannot)?,
            (None, made) => {
                let published = publish_file(made.unwrap_or(&path), &path).await;
                published.map_err(|error| self.told(Fault::of_store(&error, location), &path))?
            }
        };
        if is_published {
            keep_out(self.new.as_ref(), location);
        }
        Ok(is_published)
    }
}

/// Gives a folder its name, durably, unless something else has it.
fn publish_folder(folder: &Path, path: &Path) -> io::Result<bool> {
    match replace(folder, path) {
        Err(error)
            if [io::ErrorKind::AlreadyExists, io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotADirectory]
                .contains(&error.kind()) =>
        {
            Ok(false)
        }
        replaced => {
            replaced?;
            // The name is durable when the folder is that it is in.
            path.parent().map_or(Ok(()), flush_folder).map(|()| true)
        }
    }
}

/// Gives the store in a file its name, with all that it has beside the file.
#[cfg(feature = "redb")]
async fn publish_file(made: &Path, path: &Path) -> nofx_core::Result<bool> {
    nofx_redb::publish(made, path).await
}

#[cfg(not(feature = "redb"))]
async fn publish_file(_: &Path, path: &Path) -> nofx_core::Result<bool> {
    Err(Error::invalid(format!("`{}` is of a kind that this build leaves out", path.display())))
}

/// The most bytes of a store of redb whose pages are moved. It takes memory for each page to move them.
#[cfg(feature = "redb")]
const MOVED: u64 = 256 << 20;

/// Does what [`settle`] does for a new store that this process has closed, with little memory at any size.
async fn settle_new(location: &Location) -> nofx_core::Result<bool> {
    #[cfg(feature = "redb")]
    if let Some(path) = location.path().filter(|_| location.scheme() == "redb")
        && bytes_at(location).is_some_and(|bytes| bytes > MOVED)
    {
        match nofx_redb::pack(path).await {
            Ok(()) => return Ok(true),
            // There is room for one store, but not for two.
            Err(Error::Full(_)) => {}
            Err(error) => return Err(error),
        }
    }
    settle(location, true).await
}

/// Returns which folders above a store will be made; `None` if the store is there already, or not in a place of this machine.
fn made(location: &Location) -> Result<Option<Vec<PathBuf>>> {
    let Some(path) = location.path() else { return Ok(None) };
    refuse_another_shape(location, path)?;
    Ok(fs::symlink_metadata(path).is_err().then(|| missing_folders(path)))
}

/// Keeps a new store out of the commits of a checkout, or says that it is not.
fn keep_out(new: Option<&git::New>, location: &Location) {
    if let Some(Err(error)) = new.map(git::New::keep_out) {
        let told = format!("git does not know that `{location}` is not for commits: {error}");
        eprintln!("note: {}", one_line(&told));
    }
}

/// Removes what an attempt to make a store left. What another process made there since, or left there before, is not touched.
fn remove_traces(location: &Location, made: Option<Vec<PathBuf>>) {
    let (Some(path), Some(folders)) = (location.path(), made) else { return };
    let is_store = match location.folder() {
        Some(folder) => folder.join("config.json").exists(),
        None => path.exists() || journal_of(path).exists(),
    };
    match is_store {
        true => remove_empty(&folders),
        false => remove(location, Some(folders)),
    }
}

/// Removes a store that was made in vain.
fn remove(location: &Location, made: Option<Vec<PathBuf>>) {
    let (Some(path), Some(folders)) = (location.path(), made) else { return };
    if !folders.is_empty() {
        git::take_back(path);
    }
    if location.folder().is_some() {
        _ = remove_tree(path);
    } else {
        _ = remove_file(path);
        for suffix in neighbours::FILES {
            _ = remove_file(&with_suffix(path, suffix));
        }
        _ = remove_tree(&journal_of(path));
    }
    remove_empty(&folders);
}
