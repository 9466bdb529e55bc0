//! The files of a workspace, and what only looks like files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is in the folder and beside it, by path.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, Vec<u8>>,
    others: BTreeMap<String, Other>,
    /// What is beside the folder, by the path used in reports.
    outside: BTreeMap<String, Vec<u8>>,
}

/// Something that is not a file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Other {
    Folder,
    Link(#[cfg_attr(not(unix), expect(dead_code, reason = "links are created on Unix only"))] &'static str),
    Pipe,
    Socket,
}

/// Stands for a byte that is not valid text in a name, while the name is held as text.
const RAW: u32 = 0x10_ff00;

/// Returns the placeholder for a byte that is not valid text in a name.
pub(super) fn raw_byte(byte: u8) -> String {
    char::from_u32(RAW + u32::from(byte)).into_iter().collect()
}

/// Returns a path as reports show it.
pub(super) fn as_reported(path: &str) -> String {
    path.chars().map(|one| if u32::from(one) >= RAW { '\u{fffd}' } else { one }).collect()
}

#[cfg(unix)]
fn path_of(path: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut bytes = Vec::new();
    for one in path.chars() {
        match u32::from(one).checked_sub(RAW) {
            Some(byte) => bytes.push(byte as u8),
            None => bytes.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(path: &str) -> PathBuf {
    path.into()
}

impl Files {
    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.to_owned(), bytes);
    }

    pub(super) fn put_elsewhere(&mut self, path: &str, bytes: Vec<u8>) {
        self.outside.insert(path.to_owned(), bytes);
    }

    pub(super) fn put_other(&mut self, path: &str, other: Other) {
        self.others.insert(path.to_owned(), other);
    }

    /// Returns whether a file has this path, or would have it as a folder.
    pub(super) fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.files.keys().chain(self.others.keys()).any(|there| there == path || there.starts_with(&folder))
    }

    pub(super) fn size(&self) -> (usize, usize) {
        let all = || self.files.values().chain(self.outside.values());
        (all().count(), all().map(Vec::len).sum())
    }

    /// Returns the size of each file, by the path used in reports.
    pub(super) fn sizes(&self) -> BTreeMap<String, u64> {
        let all = self.files.iter().chain(&self.outside);
        all.map(|(path, bytes)| (as_reported(path), bytes.len() as u64)).collect()
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let root = folder.join(".nofx");
        fs::create_dir_all(&root)?;
        fs::write(folder.join("outside.json"), r#"{"id": "outside", "agentId": "a", "conversationHistory": []}"#)?;
        for (path, bytes) in &self.files {
            let path = made(&root, path)?;
            fs::write(&path, bytes).map_err(|error| at(&path, &error))?;
        }
        self.others.iter().try_for_each(|(path, other)| make(&made(&root, path)?, *other))
    }

    /// Writes the files below a folder other than the legacy one.
    pub(super) fn write_below(&self, folder: &Path, place: &str) -> io::Result<bool> {
        let start = format!("@{place}/");
        let mut is_any = false;
        for (path, bytes) in self.outside.iter().filter(|(path, _)| path.starts_with(&start)) {
            fs::write(made(folder, path.trim_start_matches('@'))?, bytes)?;
            is_any = true;
        }
        Ok(is_any)
    }
}

fn made(root: &Path, path: &str) -> io::Result<PathBuf> {
    let path = root.join(path_of(path));
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|error| at(&path, &error))?;
    Ok(path)
}

/// Names the path that an error is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(unix)]
pub(super) fn make(path: &Path, other: Other) -> io::Result<()> {
    match other {
        Other::Folder => fs::create_dir_all(path),
        Other::Link(target) => std::os::unix::fs::symlink(target, path),
        Other::Pipe => match std::process::Command::new("mkfifo").arg(path).status()?.success() {
            true => Ok(()),
            false => Err(io::Error::other("mkfifo failed")),
        },
        Other::Socket => std::os::unix::net::UnixListener::bind(path).map(drop),
    }
}

#[cfg(not(unix))]
pub(super) fn make(path: &Path, other: Other) -> io::Result<()> {
    match other {
        Other::Folder => fs::create_dir_all(path),
        _ => Ok(()),
    }
}
