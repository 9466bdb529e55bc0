//! The legacy folder: lists its files, and reads them without modifying anything.

use std::cell::Cell;
use std::collections::HashSet;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nofx_core::json::Text;
use nofx_platform::{real, resolved};

use crate::error::MigrateError;
use crate::report::Skipped;

/// What the old extension created directly in its folder.
const FAMILIAR: &[&str] =
    &["agents.json", "sessions", "archives", "archive", "orchestration", "templates", "dlq", "conductor-sessions"];

/// The folder in which a store may be beside the legacy files.
const OWN: &str = "store";

/// The most memory to reserve because a file claims this size: it may be sparse.
const MAX_AT_ONCE_BYTES: usize = 64 << 20;

/// Files of at least this size are read into memory that goes back to the system at once.
const LARGE: usize = 1 << 20;

/// glibc never keeps larger allocations in a heap of each thread; their unused pages take no memory.
const GIVEN_BACK: usize = 33 << 20;

thread_local! {
    /// Kept for the next file that is read on this thread, since new pages from the system are slow.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A file of the source.
#[derive(Clone, Debug)]
pub(crate) struct SourceFile {
    /// Its path below the source, with `/` between its parts; a byte that is not UTF-8 is the surrogate U+DC00 + byte.
    pub(crate) path: Text,
    /// Its size when it was listed.
    pub(crate) size: u64,
    pub(crate) origin: Origin,
}

/// Where the bytes of a source file are.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File(PathBuf),
    /// A value that is part of something else.
    Value(Arc<[u8]>),
}

/// Everything in the source except its files, which are passed on as they are found.
pub(crate) struct SourceTree<'a> {
    show: &'a mut dyn FnMut(SourceFile),
    /// The paths that files elsewhere have, or could have.
    outside: HashSet<Text>,
    /// What is not a file.
    pub(crate) skipped: Vec<Skipped>,
    /// Folders that cannot be listed, and why.
    pub(crate) unreadable: Vec<(String, String)>,
}

/// Finds the legacy folder that `from` names, itself or `.nofx` in it, and checks it without reading its content.
///
/// A `target` in that folder, anywhere except in its folder `store`, is an error.
pub fn legacy_folder(from: &Path, target: Option<&Path>) -> Result<PathBuf, MigrateError> {
    let unreadable = |path: &Path, cause: io::Error| MigrateError::SourceUnreadable {
        path: path.to_owned(),
        cause: Arc::new(cause),
    };
    match fs::metadata(from) {
        Err(cause) if nofx_platform::is_missing(&cause) => {
            return Err(MigrateError::SourceMissing(from.to_owned()));
        }
        Err(cause) => return Err(unreadable(from, cause)),
        Ok(found) if !found.is_dir() => return Err(MigrateError::SourceNotAFolder(from.to_owned())),
        Ok(_) => {}
    }
    let inner = from.join(".nofx");
    let root = if inner.is_dir() { inner } else { from.to_owned() };
    let root = real(&root).map_err(|cause| unreadable(&root, cause))?;
    fs::read_dir(&root).map_err(|cause| unreadable(&root, cause))?;
    // A folder that was moved aside is called `.nofx.retired`.
    let is_named_so = root.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".nofx"));
    if !is_named_so && !FAMILIAR.iter().any(|name| root.join(name).exists()) {
        return Err(MigrateError::SourceNotLegacy(from.to_owned()));
    }
    if let Some(target) = target {
        let target_path = resolved(target);
        let own = root.join(OWN);
        if target_path.starts_with(&root) && !target_path.starts_with(&own) {
            return Err(MigrateError::SourceHoldsTarget { target_path, source_path: root });
        }
    }
    Ok(root)
}

/// Whether a folder is the place of a store: beside the legacy files, or in a named copy below `archives`.
fn is_own(path: &Text) -> bool {
    let parts: Vec<_> = path.as_str().unwrap_or_default().split('/').collect();
    matches!(parts[..], [OWN] | ["archives", _, OWN])
}

impl<'a> SourceTree<'a> {
    /// Starts empty; each file will be passed to `show`.
    pub(crate) fn new(show: &'a mut dyn FnMut(SourceFile)) -> Self {
        Self { show, outside: HashSet::new(), skipped: Vec::new(), unreadable: Vec::new() }
    }

    /// Adds everything below a folder, in no particular order. Links are not followed.
    pub(crate) fn add_folder(&mut self, root: &Path) {
        let mut folders = vec![(root.to_owned(), Text::default())];
        while let Some((folder, path)) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) => {
                    self.unreadable.push((path.to_string(), error.to_string()));
                    continue;
                }
            };
            for entry in entries {
                let looked = entry.and_then(|entry| Ok((entry.file_name(), fs::symlink_metadata(entry.path())?)));
                let (name, found) = match looked {
                    Ok(looked) => looked,
                    Err(error) => {
                        self.unreadable.push((path.to_string(), error.to_string()));
                        continue;
                    }
                };
                let place = folder.join(&name);
                let path = below(&path, &name);
                let skipped = |what: String| Skipped { path: path.to_string(), what };
                if found.is_dir() && is_own(&path) {
                    let what = "the place of a store, not written by the old extension";
                    self.skipped.push(skipped(what.to_owned()));
                } else if found.is_dir() {
                    folders.push((place, path));
                } else if found.is_file() {
                    if path.as_bytes().starts_with(b"@") {
                        self.outside.insert(path.clone());
                    }
                    (self.show)(SourceFile { path, size: found.len(), origin: Origin::File(place) });
                } else if found.is_symlink() {
                    let target = fs::read_link(&place).map(|target| target.display().to_string()).unwrap_or_default();
                    self.skipped.push(skipped(format!("a link to `{}`, not followed", target.escape_debug())));
                } else {
                    self.skipped.push(skipped("a pipe, a socket or a device, not opened".to_owned()));
                }
            }
        }
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        self.unreadable.sort();
    }

    /// Adds a file that is not below the source.
    pub(crate) fn add_file(&mut self, path: &str, size: u64, place: PathBuf) {
        self.add(path, size, Origin::File(place));
    }

    /// Adds a value that is part of something else, as a file.
    pub(crate) fn add_value(&mut self, path: &str, bytes: Vec<u8>) {
        self.add(path, bytes.len() as u64, Origin::Value(bytes.into()));
    }

    /// Adds a file under its path or, if another file has that path, with a number after its first part.
    fn add(&mut self, path: &str, size: u64, origin: Origin) {
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        let paths = std::iter::once(Text::from(path))
            .chain((2_u64..).map(|number| Text::from(format!("{first}#{number}/{rest}").as_str())));
        if let Some(path) = paths.into_iter().find(|path| !self.outside.contains(path)) {
            self.outside.insert(path.clone());
            (self.show)(SourceFile { path, size, origin });
        }
    }
}

fn below(folder: &Text, name: &std::ffi::OsStr) -> Text {
    let name = name_text(name);
    if folder.is_empty() {
        return name;
    }
    let (folder, name) = (folder.to_json(), name.to_json());
    let folder = folder.strip_suffix('"').unwrap_or_default();
    let name = name.strip_prefix('"').unwrap_or_default();
    Text::from_json(&format!("{folder}/{name}")).unwrap_or_default()
}

/// Returns a name as text: each byte that is not UTF-8 is the surrogate U+DC00 + byte.
pub(crate) fn name_text(name: &std::ffi::OsStr) -> Text {
    let mut literal = String::from("\"");
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        let plain = nofx_core::json::quote(chunk.valid());
        literal.push_str(plain.get(1..plain.len() - 1).unwrap_or_default());
        chunk.invalid().iter().for_each(|byte| literal.push_str(&format!("\\udc{byte:02x}")));
    }
    literal.push('"');
    Text::from_json(&literal).unwrap_or_default()
}

impl SourceFile {
    /// Opens the file. It is an error if something else has taken its place since.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let place = match &self.origin {
            Origin::File(place) => place,
            Origin::Value(bytes) => return Ok(Box::new(Cursor::new(bytes.clone()))),
        };
        let is_file = |found: &fs::Metadata| match found.is_file() {
            true => Ok(()),
            false => Err(io::Error::other("it is no longer a file")),
        };
        // Checked before it is opened: opening a pipe would wait for its other end.
        is_file(&fs::symlink_metadata(place)?)?;
        let file = fs::File::open(place)?;
        is_file(&file.metadata()?)?;
        Ok(Box::new(file))
    }

    /// Reads the whole file and passes its bytes to `see`.
    pub(crate) fn read<T>(&self, see: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let mut bytes = BUFFER.take();
        bytes.clear();
        // It may have grown or shrunk since it was listed; this only avoids moving what was read.
        let expected = usize::try_from(self.size).unwrap_or_default().min(MAX_AT_ONCE_BYTES);
        bytes.reserve(if expected < LARGE { expected } else { expected.max(GIVEN_BACK) });
        self.open()?.read_to_end(&mut bytes)?;
        let seen = see(&bytes);
        if bytes.capacity() <= LARGE {
            BUFFER.set(bytes);
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn names_that_are_no_utf8_keep_their_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xffb\"");
        assert_eq!(below(&"x".into(), name).to_json(), r#""x/a\udcffb\"""#);
    }

    #[test]
    fn stores_beside_the_legacy_files_and_copies_of_them_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for (place, name) in
            [("store", "a"), ("archives/x/store", "b"), ("archives/x/y/store", "c"), ("sessions/store", "d")]
        {
            fs::create_dir_all(folder.path().join(place)).unwrap();
            fs::write(folder.path().join(place).join(name), "bytes").unwrap();
        }
        let mut found = Vec::new();
        let mut show = |file: SourceFile| found.push(file.path.to_string());
        let mut tree = SourceTree::new(&mut show);
        tree.add_folder(folder.path());
        assert_eq!(tree.skipped.len(), 2);
        found.sort();
        assert_eq!(found, ["archives/x/y/store/c", "sessions/store/d"]);
    }

    #[test]
    fn a_target_that_does_not_exist_yet_is_still_found_inside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".nofx");
        fs::create_dir_all(root.join("sessions")).unwrap();
        let inside = root.join("sessions/../new/store.redb");
        assert_eq!(legacy_folder(folder.path(), Some(&inside)).unwrap_err().code(), "source-holds-target");
        let own = root.join("store/nofx.redb");
        assert!(legacy_folder(folder.path(), Some(&own)).is_ok());
        assert!(legacy_folder(&root, Some(&folder.path().join(".nofx-store"))).is_ok());
    }
}
