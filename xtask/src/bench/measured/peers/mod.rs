//! Peers with the same messages: the minimum that a disk requires, and well-known stores.

mod fjall;
mod json;
mod redb;
mod sqlite;

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

pub(super) use fjall::Fjall;
pub(super) use json::JsonFiles;
pub(super) use redb::BareRedb;
pub(super) use sqlite::Sqlite;

use crate::Result;

/// The bytes of a message's text.
pub(super) const MESSAGE: usize = 500;

/// A log to which messages are appended, each with a flush: the minimum cost of durability.
#[derive(Debug)]
pub(super) struct BareLoop(File);

impl BareLoop {
    pub(super) fn create(path: &Path) -> Result<Self> {
        Ok(Self(File::create(path)?))
    }

    pub(super) fn append(&mut self) -> Result<u64> {
        self.0.write_all(&[b'x'; MESSAGE])?;
        self.0.sync_data()?;
        Ok(1)
    }
}

/// The same over existing zeros, repeatedly, so that the file's length never changes.
#[derive(Debug)]
pub(super) struct OverZeros {
    file: File,
    at: u64,
}

impl OverZeros {
    const LENGTH: u64 = 2 << 20;

    pub(super) fn create(path: &Path) -> Result<Self> {
        let mut file = File::create(path)?;
        file.write_all(&vec![0; usize::try_from(Self::LENGTH)?])?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    pub(super) fn write(&mut self) -> Result<u64> {
        self.file.seek(SeekFrom::Start(self.at))?;
        self.file.write_all(&[b'x'; MESSAGE])?;
        self.file.sync_data()?;
        self.at = (self.at + MESSAGE as u64) % (Self::LENGTH - MESSAGE as u64);
        Ok(1)
    }
}
