//! Finds the store of the workspace that contains the current folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::Location;
use crate::git::shared_folder;
use crate::neighbours::Neighbour;
use crate::schemes::{Form, Scheme};

/// Where a workspace keeps its store: as a file in this folder, or as the folder itself.
pub(crate) const USUAL: &str = ".nofx/store";

/// Returns the store of the nearest workspace at or above a folder; in a git worktree, else the store of the checkout it belongs to.
pub(crate) fn nearest(here: &Path) -> Option<Location> {
    let above = || here.ancestors();
    let own = above().find_map(|folder| kept_in(&folder.join(USUAL)));
    own.or_else(|| above().find_map(main_checkout).and_then(|checkout| kept_in(&checkout.join(USUAL))))
}

fn kept_in(folder: &Path) -> Option<Location> {
    Scheme::all().find_map(|scheme| match scheme.form {
        Form::File { usual, .. } => {
            let file = folder.join(usual);
            let may_be_one = match fs::metadata(&file) {
                Ok(found) => found.is_file(),
                // There may be a store that cannot be seen. Opening it says what is wrong; searching further up could pick another store
                // silently.
                Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
            };
            may_be_one.then(|| Location::at(scheme.name, file.into()))
        }
        Form::Folder { is_store, .. } => is_store(folder).then(|| Location::at(scheme.name, folder.into())),
        _ => None,
    })
}

/// Returns the store, of any kind, that a file is, belongs to or lies in.
pub(crate) fn store_at(file: &Path) -> Option<PathBuf> {
    let in_a_file = Scheme::all().find_map(|scheme| match scheme.form {
        Form::File { neighbours, is_store, .. } => with_neighbours(file, neighbours).find(|path| is_store(path)),
        _ => None,
    });
    in_a_file.or_else(|| file.ancestors().skip(1).find(|folder| is_folder_of_store(folder)).map(Path::to_owned))
}

/// Returns the files that a path is, or that it would belong to as one of their neighbours.
fn with_neighbours(path: &Path, neighbours: &'static [Neighbour]) -> impl Iterator<Item = PathBuf> {
    let without = |path: &Path, suffix: &str| path.to_str()?.strip_suffix(suffix).map(PathBuf::from);
    let of_neighbours = neighbours.iter().flat_map(move |neighbour| {
        let around = path.ancestors().take(if neighbour.is_folder { usize::MAX } else { 1 });
        around.filter_map(move |around| without(around, neighbour.suffix))
    });
    std::iter::once(path.to_owned()).chain(of_neighbours)
}

fn is_folder_of_store(folder: &Path) -> bool {
    Scheme::all().any(|scheme| match scheme.form {
        Form::Folder { is_store, .. } | Form::FolderAddress { is_store } => is_store(folder),
        _ => false,
    })
}

/// Returns the scheme whose store a file is.
pub(crate) fn in_file(file: &Path) -> Option<&'static Scheme> {
    Scheme::all().find(|scheme| matches!(scheme.form, Form::File { is_store, .. } if is_store(file)))
}

/// Returns the scheme whose store a folder is, if a path follows that scheme.
pub(crate) fn in_folder(folder: &Path) -> Option<&'static Scheme> {
    Scheme::all().find(|scheme| matches!(scheme.form, Form::Folder { is_store, .. } if is_store(folder)))
}

/// Returns the checkout that a git worktree belongs to.
fn main_checkout(worktree: &Path) -> Option<PathBuf> {
    let shared = shared_folder(worktree).filter(|shared| shared.ends_with(".git"))?;
    shared.parent().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_file_is_found_before_a_folder_and_the_nearest_first() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("a/b")).unwrap();
        assert_eq!(nearest(&root.join("a/b")), None);
        put(root, ".nofx/store/config.json", "{\n  \"format\": \"nofx-fs\"}");
        assert_eq!(nearest(&root.join("a/b")), Some(Location::fs(root.join(USUAL))));
        put(root, ".nofx/store/nofx.redb", "");
        assert_eq!(nearest(&root.join("a/b")), Some(Location::redb(root.join(USUAL).join("nofx.redb"))));
        put(root, "a/.nofx/store/nofx.redb", "");
        assert_eq!(nearest(&root.join("a/b")), Some(Location::redb(root.join("a").join(USUAL).join("nofx.redb"))));
    }

    #[test]
    fn a_worktree_has_the_store_of_its_checkout() {
        let folder = tempfile::tempdir().unwrap();
        let root = nofx_platform::real(folder.path()).unwrap();
        put(&root, "main/.nofx/store/nofx.redb", "");
        put(&root, "main/.git/worktrees/tree/commondir", "../..\n");
        put(&root, "tree/src/lib.rs", "");
        // As an absolute path, and as newer versions of git may write it.
        for link in [
            format!("gitdir: {}\n", root.join("main/.git/worktrees/tree").display()),
            "gitdir: ../main/.git/worktrees/tree\n".to_owned(),
        ] {
            put(&root, "tree/.git", &link);
            let expected = Some(Location::redb(root.join("main").join(USUAL).join("nofx.redb")));
            assert_eq!(nearest(&root.join("tree/src")), expected);
        }
        // A submodule has such a file too, but shares nothing.
        put(&root, "module/.git", "gitdir: ../main/.git/modules/module\n");
        fs::create_dir_all(root.join("main/.git/modules/module")).unwrap();
        assert_eq!(nearest(&root.join("module")), None);
    }
}
