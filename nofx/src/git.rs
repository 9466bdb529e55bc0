//! Keeps a store out of the commits of a git checkout, and safe from `git clean`.
//!
//! A store in a folder of files has a `.gitignore` of its own. Other stores get one only if their folder was created for them. In a folder
//! that existed before, no file of the user is edited; the checkout's `info/exclude` names the store instead.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nofx_platform::real;

use crate::Location;
use crate::neighbours::Neighbour;
use crate::schemes::Form;

/// The comment above the lines that are written.
const REASON: &str = "# A NofX store: what agents said is not for commits, and `git clean` must not delete it.\n";

/// A store that is about to be created.
#[derive(Debug)]
pub(crate) struct New {
    path: PathBuf,
    is_file: bool,
    neighbours: &'static [Neighbour],
    is_folder_made: bool,
}

impl New {
    /// Examines a store's location before it is created. `None` if something is there already, or if the store needs no help (it ignores
    /// itself, or is not on this machine and so not in a checkout).
    pub(crate) fn at(location: &Location) -> Option<Self> {
        let path = location.path()?;
        if matches!(location.form(), Some(Form::Folder { ignores_itself: true, .. })) {
            return None;
        }
        if fs::symlink_metadata(path).is_ok() {
            return None;
        }
        let path = std::path::absolute(path).ok()?;
        let is_folder_made = path.parent().is_some_and(|parent| fs::symlink_metadata(parent).is_err());
        let is_file = location.folder().is_none();
        Some(Self { path, is_file, neighbours: location.neighbours(), is_folder_made })
    }

    /// Keeps the store out of commits.
    pub(crate) fn keep_out(&self) -> io::Result<()> {
        let (Some(folder), Some(name)) = (self.path.parent(), self.path.file_name()) else { return Ok(()) };
        if self.is_file && self.is_folder_made {
            let mut file = File::options().write(true).create_new(true).open(folder.join(".gitignore"))?;
            let lines = self.lines(Path::new(name)).unwrap_or_default();
            return file.write_all(format!("{REASON}/.gitignore\n{lines}").as_bytes());
        }
        let folder = real(folder)?;
        let found = folder.ancestors().find_map(|root| Some((root, shared_folder(root)?)));
        let Some((root, shared)) = found else { return Ok(()) };
        let below = folder.strip_prefix(root).unwrap_or(Path::new("")).join(name);
        let Some(lines) = self.lines(&below) else { return Ok(()) };
        exclude(&shared, &lines)
    }

    /// Returns the lines that name the store; `None` if git cannot express its path.
    fn lines(&self, below: &Path) -> Option<String> {
        let mut line = String::new();
        for part in below.components() {
            line.push('/');
            let part = part.as_os_str().to_str().filter(|part| !part.contains(['\n', '\r']))?;
            for symbol in part.chars() {
                if matches!(symbol, '\\' | '*' | '?' | '[' | ' ') {
                    line.push('\\');
                }
                line.push(symbol);
            }
        }
        if !self.is_file {
            return Some(format!("{line}/\n"));
        }
        let mut lines = format!("{line}\n");
        for Neighbour { suffix, is_folder, .. } in self.neighbours {
            let end = if *is_folder { "/" } else { "" };
            lines.push_str(&format!("{line}{suffix}{end}\n"));
        }
        Some(lines)
    }
}

/// Removes the `.gitignore` written beside a store whose creation then failed, so that its folder can be removed too.
#[cfg(feature = "cli")]
pub(crate) fn take_back(store: &Path) {
    let ignore = store.with_file_name(".gitignore");
    if fs::read_to_string(&ignore).is_ok_and(|lines| lines.starts_with(REASON)) {
        _ = nofx_platform::remove_file(&ignore);
    }
}

/// Adds lines to the file of what git ignores in all worktrees of a checkout, unless it has them.
fn exclude(shared: &Path, lines: &str) -> io::Result<()> {
    let path = shared.join("info/exclude");
    // The target of a link may belong to another program.
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Ok(());
    }
    fs::create_dir_all(shared.join("info"))?;
    let had = fs::read(&path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(Vec::new()),
        _ => Err(error),
    })?;
    let had = String::from_utf8_lossy(&had);
    if lines.lines().all(|line| had.lines().any(|had| had == line)) {
        return Ok(());
    }
    let end = if had.is_empty() || had.ends_with('\n') { "" } else { "\n" };
    // Appended in one write, as another process may be writing too.
    let mut file = File::options().append(true).create(true).open(&path)?;
    file.write_all(format!("{end}{REASON}{lines}").as_bytes())
}

/// Returns the `.git` folder that all worktrees of a checkout share; `None` if the given folder is not the root of one.
///
/// A worktree has a file `.git` that names its folder in the repository. That folder has a file `commondir` that leads to the shared one. A
/// submodule has a file `.git` too, but shares nothing.
pub(crate) fn shared_folder(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return git.join("HEAD").exists().then_some(git);
    }
    let link = fs::read_to_string(&git).ok()?;
    let own = root.join(link.lines().next()?.strip_prefix("gitdir:")?.trim());
    let shared = match fs::read_to_string(own.join("commondir")) {
        Ok(common) => own.join(common.trim()),
        Err(_) => own,
    };
    real(&shared).ok()
}
