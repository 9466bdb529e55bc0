//! Finds the store of the workspace that contains the current folder.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::Location;
use crate::git::shared_folder;
use crate::neighbours;

/// Where a workspace keeps its store: as a file in this folder, or as the folder itself.
pub(crate) const USUAL: &str = ".nofx/store";

/// The file of an embedded store in that folder.
const FILE: &str = "nofx.redb";

/// Returns the store of the nearest workspace at or above a folder; in a git worktree, else the store of the checkout it belongs to.
pub(crate) fn nearest(here: &Path) -> Option<Location> {
    let above = || here.ancestors();
    let own = above().find_map(|folder| kept_in(&folder.join(USUAL)));
    own.or_else(|| above().find_map(main_checkout).and_then(|checkout| kept_in(&checkout.join(USUAL))))
}

fn kept_in(folder: &Path) -> Option<Location> {
    let file = folder.join(FILE);
    match fs::metadata(&file) {
        Ok(found) if found.is_file() => Some(Location::redb(file)),
        // There may be a store that cannot be seen. Opening it says what is wrong; searching further up could pick another store silently.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(Location::redb(file)),
        _ => is_store(folder).then(|| Location::fs(folder)),
    }
}

/// Returns the store, of any kind, that a file is, belongs to or lies in.
pub(crate) fn store_at(file: &Path) -> Option<PathBuf> {
    let is_redb = |path: &Path| {
        let mut begin = [0; 4];
        fs::metadata(path).is_ok_and(|found| found.is_file())
            && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
            && begin == *b"redb"
    };
    let without = |path: &Path, suffix: &str| path.to_str()?.strip_suffix(suffix).map(PathBuf::from);
    let beside = neighbours::FILES.iter().filter_map(|suffix| without(file, suffix));
    let around = file.ancestors().filter_map(|folder| without(folder, neighbours::JOURNAL));
    let kept_in_a_file = [file.to_owned()].into_iter().chain(beside).chain(around).find(|path| is_redb(path));
    kept_in_a_file.or_else(|| {
        let mut folders = file.ancestors().skip(1);
        folders.find(|folder| is_store(folder) || is_remote(folder)).map(Path::to_owned)
    })
}

/// Returns whether a folder is a store in the layout of object storage, which its commits show.
fn is_remote(folder: &Path) -> bool {
    let is_commit = |name: &[u8]| name.len() == 20 && name.iter().all(u8::is_ascii_digit);
    let mut commits = fs::read_dir(folder.join("root")).into_iter().flatten().flatten();
    commits.any(|entry| is_commit(entry.file_name().as_encoded_bytes()))
}

/// Returns whether a folder is a store of files.
pub(crate) fn is_store(folder: &Path) -> bool {
    fs::read_to_string(folder.join("config.json")).is_ok_and(|config| config.contains("\"nofx-fs\""))
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
        assert_eq!(nearest(&root.join("a/b")), Some(Location::redb(root.join(".nofx/store/nofx.redb"))));
        put(root, "a/.nofx/store/nofx.redb", "");
        assert_eq!(nearest(&root.join("a/b")), Some(Location::redb(root.join("a/.nofx/store/nofx.redb"))));
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
            let expected = Some(Location::redb(root.join("main/.nofx/store/nofx.redb")));
            assert_eq!(nearest(&root.join("tree/src")), expected);
        }
        // A submodule has such a file too, but shares nothing.
        put(&root, "module/.git", "gitdir: ../main/.git/modules/module\n");
        fs::create_dir_all(root.join("main/.git/modules/module")).unwrap();
        assert_eq!(nearest(&root.join("module")), None);
    }
}
