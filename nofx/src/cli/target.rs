//! The store that a command fills, and its cleanup if the command fails.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nofx_core::{Error, Store};
use nofx_platform::{flush_folder, remove_file, remove_folder, remove_tree, replace};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::interrupt;
use super::paths::missing_folders;
use super::store_arg::{refuse_another_shape, refuse_read_only};
use super::temporary::{Temporary, remove_empty};
use super::text::one_line;
use crate::compact::bytes_at;
use crate::git;
use crate::neighbours::with_suffix;
use crate::open::open_unlisted;
use crate::schemes::Form;
use crate::{Location, Options, settle};

/// How a new store is created.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct MakeArg {
    /// Create a new `redb:` store as one file, without a journal beside it. Commits then take two flushes instead of one. An existing store
    /// stays as it was created.
    #[arg(long)]
    no_journal: bool,
}

impl MakeArg {
    /// Returns the options for a store that may be created at a location.
    pub(crate) fn options(self, location: &Location) -> Result<Options> {
        if self.no_journal && !location.backend().is_ok_and(|backend| backend.journal_is_optional) {
            let message = format!("a store at `{location}` cannot be created without a journal");
            return Err(Fault::new(Exit::Usage, message, "leave out --no-journal"));
        }
        Ok(Options { journal: !self.no_journal, ..Options::default() })
    }
}

/// A store that is being filled.
#[derive(Debug)]
pub(crate) struct Target {
    /// The store's location once it is closed.
    pub(crate) location: Location,
    pub(crate) store: Store,
    /// The folders above the store that did not exist before; `None` if the store itself existed.
    made: Option<Vec<PathBuf>>,
    /// The store's temporary location until it is complete, if it has one.
    beside: Option<Beside>,
}

/// A store in a temporary folder.
#[derive(Debug)]
struct Beside {
    location: Location,
    _temporary: Temporary,
    /// Its final path, as git sees it.
    new: Option<git::New>,
}

impl Target {
    /// Opens a store to fill it step by step, creating it if it does not exist. What has been written stays if the rest fails.
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

    /// Opens a store to fill it as a whole. A store that does not exist is created beside its location and moved there when it is closed,
    /// so that no process ever sees a part of it, and nothing that another process creates there in the meantime is overwritten.
    pub(crate) async fn open_whole(location: Location, options: Options) -> Result<Self> {
        let Some(made) = made(&location)? else { return Self::open(location, options).await };
        let Some(path) = location.path().filter(|_| can_be_moved(&location)) else {
            return Self::open(location, options).await;
        };
        interrupt::prepare();
        let beside = Beside::of(&location, path).map_err(|error| Fault::of_opening(&error, &location))?;
        match open_unlisted(&beside.location, options).await {
            Ok(store) => Ok(Self { location, store, made: Some(made), beside: Some(beside) }),
            Err(error) => Err(beside.explain(Fault::of_opening(&error, &location), path)),
        }
    }

    /// Closes the store after success, makes it smaller where that is worth it, and moves it to its location. Returns whether it was
    /// compacted, or why not; the latter is no failure, since everything is in the store.
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
            format!("another process has created `{}`, which is left unchanged", self.location),
            "name a store that does not exist yet",
        ))
    }

    /// Closes the store after a failure, and returns the fault to report. A store that was created for this is removed, with the folders
    /// created for it, unless it holds something that the next attempt can continue from.
    pub(crate) async fn abandon(self, fault: Fault) -> Fault {
        let fault = match (&self.beside, self.location.path()) {
            (Some(beside), Some(path)) => beside.explain(fault, path),
            _ => fault,
        };
        self.let_go().await;
        fault
    }

    /// Closes the store and removes it as after a failure. Returns whether a store remains.
    async fn let_go(self) -> bool {
        let holds_nothing = nofx_migrate::anything_in(&self.store).await.is_ok_and(|found| found.is_none());
        // The failure that led here is the one to report.
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

    /// Closes the store after a signal, as after a failure, and says what remains.
    pub(crate) async fn interrupted(self) -> Fault {
        let location = self.location.clone();
        match self.let_go().await {
            true => {
                let message = format!("interrupted; `{location}` may be incomplete");
                Fault::new(Exit::Interrupted, message, "run the command again: it continues from there")
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
        let location = Location::at(location.scheme(), inside.into());
        Ok(Self { location, _temporary: temporary, new })
    }

    /// Names the store's final path in a fault instead of the temporary one.
    fn explain(&self, fault: Fault, place: &Path) -> Fault {
        match self.location.path() {
            Some(temporary) => fault.renaming(temporary, place),
            None => fault,
        }
    }

    /// Moves the store to its final path, unless something exists there. Returns whether it did.
    async fn publish(self, path: &Path, location: &Location) -> Result<bool> {
        let cannot = |error: io::Error| Fault::of_output(&format!("`{location}`"), &error);
        let path = std::path::absolute(path).map_err(cannot)?;
        let made = self.location.path().unwrap_or(&path);
        let is_published = match self.location.backend().ok().and_then(|backend| backend.publish) {
            Some(publish) => {
                let published = publish(made, &path).await;
                published.map_err(|error| self.explain(Fault::of_store(&error, location), &path))?
            }
            None => publish_folder(made, &path).map_err(cannot)?,
        };
        if is_published {
            keep_out(self.new.as_ref(), location);
        }
        Ok(is_published)
    }
}

/// Moves a folder to its final path, durably, unless something exists there.
fn publish_folder(folder: &Path, path: &Path) -> io::Result<bool> {
    let is_denied = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let has_content = || path.is_file() || fs::read_dir(path).is_ok_and(|mut inside| inside.next().is_some());
    let replaced = match replace(folder, path) {
        // Windows lets a folder take the place of no other, not even of an empty one.
        Err(error) if is_denied(&error) && remove_folder(path).is_ok() => replace(folder, path),
        replaced => replaced,
    };
    match replaced {
        Err(error)
            if [io::ErrorKind::AlreadyExists, io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotADirectory]
                .contains(&error.kind())
                || is_denied(&error) && has_content() =>
        {
            Ok(false)
        }
        replaced => {
            replaced?;
            // The new name is durable once the folder that contains it is flushed.
            path.parent().map_or(Ok(()), flush_folder).map(|()| true)
        }
    }
}

/// Returns whether a store can be created at another path and then moved to its location.
fn can_be_moved(location: &Location) -> bool {
    match location.form() {
        Some(Form::File { .. }) => location.backend().is_ok_and(|backend| backend.publish.is_some()),
        form => matches!(form, Some(Form::Folder { .. })),
    }
}

/// The size limit, in bytes, of a store that is compacted in place, which takes memory for each page.
const IN_PLACE: u64 = 256 << 20;

/// Does what [`settle`] does for a new store that this process has closed, using little memory at any size.
async fn settle_new(location: &Location) -> nofx_core::Result<bool> {
    if let Some(shrink) = &location.backend()?.shrink
        && bytes_at(location).is_some_and(|bytes| bytes > IN_PLACE)
    {
        match (shrink.pack)(location).await {
            Ok(()) => return Ok(true),
            // The disk has room for one store, but not for two.
            Err(Error::Full(_)) => {}
            Err(error) => return Err(error),
        }
    }
    settle(location, true).await
}

/// Returns the folders above a store that will be created; `None` if the store exists, or is not on this machine.
fn made(location: &Location) -> Result<Option<Vec<PathBuf>>> {
    let Some(path) = location.path() else { return Ok(None) };
    refuse_another_shape(location, path)?;
    Ok(fs::symlink_metadata(path).is_err().then(|| missing_folders(path)))
}

/// Keeps a new store out of the commits of a checkout, or prints that this failed.
fn keep_out(new: Option<&git::New>, location: &Location) {
    if let Some(Err(error)) = new.map(git::New::keep_out) {
        let note = format!("cannot tell git to ignore `{location}`: {error}");
        eprintln!("note: {}", one_line(&note));
    }
}

/// Removes what a failed attempt to create a store left. What another process created there since, or left there before, is not touched.
fn remove_traces(location: &Location, made: Option<Vec<PathBuf>>) {
    let (Some(path), Some(folders)) = (location.path(), made) else { return };
    let is_store = match location.form() {
        Some(Form::Folder { last, .. }) => path.join(last).exists(),
        Some(Form::FolderAddress { is_store }) => is_store(path),
        _ => path.exists() || location.parts().any(|part| part.exists()),
    };
    match is_store {
        true => remove_empty(&folders),
        false => remove(location, Some(folders)),
    }
}

/// Removes a store that was created for a command that then failed.
fn remove(location: &Location, made: Option<Vec<PathBuf>>) {
    let (Some(path), Some(folders)) = (location.path(), made) else { return };
    if !folders.is_empty() {
        git::take_back(path);
    }
    if location.folder().is_some() {
        _ = remove_tree(path);
    } else {
        _ = remove_file(path);
        for neighbour in location.neighbours() {
            let beside = with_suffix(path, neighbour.suffix);
            _ = if neighbour.is_folder { remove_tree(&beside) } else { remove_file(&beside) };
        }
    }
    remove_empty(&folders);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_another_process_created_since_is_left_alone_and_other_traces_are_removed() {
        for (scheme, complete) in [("fs:", "config.json"), ("file://", "root/00000000000000000000")] {
            let folder = tempfile::tempdir().unwrap();
            let store = folder.path().join("store");
            let address = store.display().to_string().replace('\\', "/");
            let slash = if scheme == "file://" && !address.starts_with('/') { "/" } else { "" };
            let location: Location = format!("{scheme}{slash}{address}").parse().unwrap();
            let file = store.join(complete);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "{}").unwrap();
            remove_traces(&location, Some(Vec::new()));
            assert!(file.exists(), "{location}");

            fs::remove_file(&file).unwrap();
            remove_traces(&location, Some(Vec::new()));
            assert!(!store.exists(), "{location}");
        }
    }
}
