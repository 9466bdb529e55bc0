//! A file whose changes stay in memory, so that a file which may be another program's can be repaired just to look at it.

use std::fs::File;
use std::io;
use std::sync::{Mutex, PoisonError};

use redb::StorageBackend;
use redb::backends::FileBackend;

use crate::fault::Attempt;

/// A file that is read, and whose changes stay in memory. It is not locked.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: FileBackend,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    length: u64,
    /// What was written where, in that order. A repair writes the header a few times and little else.
    writes: Vec<(u64, Vec<u8>)>,
}

impl Overlay {
    pub(crate) fn new(file: File) -> Attempt<Self> {
        let file = FileBackend::new(file)?;
        let changes = Mutex::new(Changes { length: file.len()?, writes: Vec::new() });
        Ok(Self { file, changes })
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let in_file = self.file.len()?.clamp(offset, end) - offset;
        let (old, new) = out.split_at_mut(in_file as usize);
        self.file.read(offset, old)?;
        new.fill(0);
        for (start, bytes) in &self.changes().writes {
            let from = offset.max(*start);
            let until = end.min(*start + bytes.len() as u64);
            if from < until {
                let bytes = &bytes[(from - start) as usize..(until - start) as usize];
                out[(from - offset) as usize..(until - offset) as usize].copy_from_slice(bytes);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.changes().length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.changes().writes.push((offset, data.to_vec()));
        Ok(())
    }
}
