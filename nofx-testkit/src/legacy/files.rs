//! The files of a workspace, and what only looks like files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What lies in the folder, by its path there.
#[derive(Debug, Default)]
pub(super) struct Files {
    files: BTreeMap<String, Vec<u8>>,
    others: BTreeMap<String, Other>,
}

/// Something that is no file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Other {
    Link(&'static str),
    Pipe,
}

impl Files {
    pub(super) fn put(&mut self, path: &str, bytes: Vec<u8>) {
        self.files.insert(path.to_owned(), bytes);
    }

    pub(super) fn put_other(&mut self, path: &str, other: Other) {
        self.others.insert(path.to_owned(), other);
    }

    pub(super) fn size(&self) -> (usize, usize) {
        (self.files.len(), self.files.values().map(Vec::len).sum())
    }

    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let root = folder.join(".nofx");
        fs::create_dir_all(&root)?;
        fs::write(folder.join("outside.json"), r#"{"id": "outside", "agentId": "a", "conversationHistory": []}"#)?;
        for (path, bytes) in &self.files {
            fs::write(made(&root, path)?, bytes)?;
        }
        self.others.iter().try_for_each(|(path, other)| make(&made(&root, path)?, *other))
    }
}

fn made(root: &Path, path: &str) -> io::Result<std::path::PathBuf> {
    let path = root.join(path);
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    Ok(path)
}

#[cfg(unix)]
fn make(path: &Path, other: Other) -> io::Result<()> {
    match other {
        Other::Link(target) => std::os::unix::fs::symlink(target, path),
        Other::Pipe => match std::process::Command::new("mkfifo").arg(path).status()?.success() {
            true => Ok(()),
            false => Err(io::Error::other("mkfifo failed")),
        },
    }
}

#[cfg(not(unix))]
fn make(_path: &Path, _other: Other) -> io::Result<()> {
    Ok(())
}
