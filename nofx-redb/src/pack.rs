//! Rewriting a whole store into a new file, which then replaces the old one.

use std::fs;
use std::path::Path;

use nofx_core::{Error, Result};
use nofx_platform::{flush_folder, remove_file, replace};
use redb::ReadableDatabase;

use crate::door::{Door, Writer};
use crate::fault::{Attempt, Fault};
use crate::options::Options;
use crate::packing::Effort;
use crate::place;
use crate::rebuild;
use crate::tables::FORMAT_BEHIND_JOURNAL;

/// The cache for each of the two files. Both are read or written in order, so a larger cache would not help.
const CACHE: usize = 4 << 20;

/// Copies the store in a file to a new one row by row, and replaces the file with that.
///
/// The journal stays as it is: the new file holds as much of it as the old one did.
pub(crate) fn pack(path: &Path) -> Result<()> {
    let options = Options { create: false, cache_bytes: CACHE, ..Options::default() };
    let path = place::canonical(path).map_err(|error| Error::unavailable_because(path.display().to_string(), error))?;
    if fs::metadata(&path).is_err_and(|error| nofx_platform::is_missing(&error)) {
        return Err(Error::invalid(format!("there is no store `{}`", path.display())));
    }
    place::recognise(&path)?;
    let door = Door::new(path, options);
    let packed = door.writer().and_then(|writer| {
        let packed = pack_behind(&door, &writer);
        if packed.is_err() {
            // The unfinished file has nothing that the store lacks.
            _ = remove_file(&place::beside(&door.path, place::NEW));
        }
        packed
    });
    packed.map_err(|fault| door.told(fault, "compacting"))
}

fn pack_behind(door: &Door, writer: &Writer) -> Attempt<()> {
    door.require_own(writer)?;
    match writer.meta {
        None => return Err(Fault::Told(door.foreign())),
        Some(meta) if meta.format > meta.readable_from.min(FORMAT_BEHIND_JOURNAL) => {
            let (file, format) = (door.path.display(), meta.format);
            return Err(Fault::Told(Error::too_new(format!(
                "`{file}` has format {format}, which is not laid down again"
            ))));
        }
        Some(_) => {}
    }
    let made = door.make(|database, _| {
        let from = writer.database.begin_read()?;
        let transaction = database.begin_write()?;
        rebuild::lay_down(&from, &transaction, Effort::Quick)?;
        transaction.commit()?;
        // The file is longer than necessary: redb doubles a file that is full.
        database.compact()?;
        Ok(())
    });
    // A damaged page reads as if it had no rows.
    let made = writer.pages.judge(made)?;
    // This process still has the old file open for writing, so nothing was committed to it after the copy.
    door.require_own(writer)?;
    replace(&made, &door.path)?;
    Ok(door.path.parent().map_or(Ok(()), flush_folder)?)
}
