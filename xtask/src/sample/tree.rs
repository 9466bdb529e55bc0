//! The files of the sample, in memory until they are written or compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Result;

/// Files by their path below the sample's folder, with `/` between the parts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SampleTree {
    files: BTreeMap<String, Vec<u8>>,
}

impl SampleTree {
    /// Adds a file. Each path may be added once: a second file there would hide the first.
    pub(super) fn put(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        let path = path.into();
        let before = self.files.insert(path.clone(), content.into());
        assert!(before.is_none(), "two files of the sample are named {path}");
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.files.values().map(Vec::len).sum()
    }

    /// Writes every file below `folder`, which may hold an earlier sample but nothing else.
    pub(super) fn write(&self, folder: &Path) -> Result {
        self.refuse_strangers(folder)?;
        for (path, content) in &self.files {
            let place = folder.join(path);
            if let Some(parent) = place.parent() {
                std::fs::create_dir_all(parent).map_err(|error| cannot("create", parent, &error))?;
            }
            std::fs::write(&place, content).map_err(|error| cannot("write", &place, &error))?;
        }
        Ok(())
    }

    fn refuse_strangers(&self, folder: &Path) -> Result {
        let there = SampleTree::read(folder)?;
        let Some(stranger) = there.files.keys().find(|path| !self.files.contains_key(*path)) else {
            return Ok(());
        };
        let stranger = folder.join(stranger);
        Err(format!("{} is not part of the sample; remove it, or name another folder with --to", stranger.display())
            .into())
    }

    /// Reads every file below `folder`; a folder that does not exist has none.
    pub(super) fn read(folder: &Path) -> Result<SampleTree> {
        let mut tree = SampleTree::default();
        if folder.exists() {
            tree.read_into(folder, "")?;
        }
        Ok(tree)
    }

    fn read_into(&mut self, folder: &Path, prefix: &str) -> Result {
        for place in children(folder)? {
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            let path = format!("{prefix}{name}");
            if place.is_dir() {
                self.read_into(&place, &format!("{path}/"))?;
                continue;
            }
            let content = std::fs::read(&place).map_err(|error| cannot("read", &place, &error))?;
            self.put(path, content);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

fn children(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| cannot("list", folder, &error))?;
    let children = entries.map(|entry| entry.map(|entry| entry.path()));
    Ok(children.collect::<std::io::Result<_>>().map_err(|error| cannot("list", folder, &error))?)
}

fn cannot(verb: &str, place: &Path, error: &std::io::Error) -> String {
    format!("cannot {verb} {}: {error}", place.display())
}
