//! Rewriting a whole store into a new file, which then replaces the old one: to make it small, or to upgrade it.

use std::fs;
use std::path::{Display, Path};

use nofx_core::{Error, Result};
use nofx_platform::{flush_folder, remove_file, replace};
use redb::ReadableDatabase;

use crate::base;
use crate::compaction;
use crate::compression::Effort;
use crate::fault::{Attempt, Fault};
use crate::file;
use crate::opener::{FileWriter, Opener};
use crate::options::Options;
use crate::tables::{FORMAT_WITH_JOURNAL, Meta, Tables};

/// The cache for each of the two files. Both are read or written in order, so a larger cache would not help.
const CACHE: usize = 4 << 20;

/// Copies the store in a file to a new one row by row, and replaces the file with that.
///
/// The journal stays as it is: the new file holds as much of it as the old one did.
pub(crate) fn pack(path: &Path) -> Result<()> {
    rewrite(path, "compacting", |meta, file| {
        if meta.format > meta.readable_from.min(FORMAT_WITH_JOURNAL) {
            let format = meta.format;
            return Err(Error::too_new(format!("`{file}` has format {format}, which this version does not rewrite")));
        }
        Ok(Some(false))
    })
    .map(drop)
}

/// Does the same to a store of format 1, but gives the new file the newest format: from then on it commits to a journal.
/// For a store that already has that format, returns `false` and changes nothing.
///
/// The new file holds everything that was ever committed, so it needs no journal before the next commit. A process that
/// has the old file open finds the new one in its place, and that it is not what it opened.
pub(crate) fn upgrade(path: &Path) -> Result<bool> {
    rewrite(path, "upgrading", |meta, file| {
        if meta.format > FORMAT_WITH_JOURNAL || meta.format > meta.readable_from {
            let format = meta.format;
            return Err(Error::too_new(format!("`{file}` has format {format}; upgrade it with a newer version")));
        }
        Ok((meta.format < FORMAT_WITH_JOURNAL).then_some(true))
    })
}

/// Copies a store to a new file, in the newest format if `decide` says so; returns `false` if it says not to copy.
fn rewrite(path: &Path, during: &str, decide: impl FnOnce(Meta, Display<'_>) -> Result<Option<bool>>) -> Result<bool> {
    let options = Options { create: false, cache_bytes: CACHE, ..Options::default() };
    let path = file::canonical(path).map_err(|error| Error::unavailable_because(path.display().to_string(), error))?;
    if fs::metadata(&path).is_err_and(|error| nofx_platform::is_missing(&error)) {
        return Err(Error::no_store(path.display()));
    }
    file::recognise(&path)?;
    let opener = Opener::new(path, options);
    let rewritten = opener.writer().and_then(|writer| {
        opener.require_own(&writer)?;
        let meta = writer.meta.ok_or_else(|| Fault::Error(opener.foreign()))?;
        let Some(upgrades) = decide(meta, opener.path.display()).map_err(Fault::Error)? else { return Ok(false) };
        if upgrades {
            base::require_name(&opener.path)?;
            base::refuse_foreign(&opener.path).map_err(Fault::Error)?;
            base::discard(&opener.path).map_err(Fault::Error)?;
        }
        let rewritten = copy_and_replace(&opener, &writer, meta, upgrades);
        if rewritten.is_err() {
            // The unfinished file has nothing that the store lacks.
            _ = remove_file(&file::beside(&opener.path, file::NEW));
        }
        rewritten.map(|()| true)
    });
    rewritten.map_err(|fault| opener.error_for(fault, during))
}

fn copy_and_replace(opener: &Opener, writer: &FileWriter, meta: Meta, upgrades: bool) -> Attempt<()> {
    let made = opener.make(|database, pages| {
        let from = writer.database.begin_read()?;
        let transaction = database.begin_write()?;
        compaction::copy_into(&from, &transaction, Effort::Quick)?;
        if upgrades {
            meta.upgraded().write(&transaction, pages)?;
            Tables::write(&transaction, pages)?.set_mark_of_all()?;
        }
        transaction.commit()?;
        // The file is longer than necessary: redb doubles a file that is full.
        database.compact()?;
        Ok(())
    });
    // A damaged page reads as if it had no rows.
    let made = writer.pages.unless_damaged(made)?;
    // This process still has the old file open for writing, so nothing was committed to it after the copy.
    opener.require_own(writer)?;
    replace(&made, &opener.path)?;
    Ok(opener.path.parent().map_or(Ok(()), flush_folder)?)
}
