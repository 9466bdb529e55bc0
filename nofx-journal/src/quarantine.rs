//! Keeping unreadable files when something new needs their place.

use std::path::{Path, PathBuf};

use nofx_core::Result;

use crate::escape::escape;
use crate::fault::During;
use crate::files::{ReadableFile, WritableFiles};
use crate::layout;

/// Moves a file to the folder for damaged files.
pub fn put(writable: &dyn WritableFiles, path: &Path) -> Result<PathBuf> {
    let kept = free_name(writable, path)?;
    writable.rename(path, &kept).during("moving aside", path)?;
    flush_name(writable)?;
    Ok(kept)
}

/// Moves whatever has this name to the folder for damaged files, if anything has.
pub fn put_if_there(writable: &dyn WritableFiles, path: &Path) -> Result<Option<PathBuf>> {
    let (folder, name) = (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default());
    let found = writable.list(folder).during("listing", folder)?;
    let is_there = found.iter().any(|entry| *entry.name == *name.to_string_lossy());
    is_there.then(|| put(writable, path)).transpose()
}

/// Copies the content of a file after `from`, unless each byte is the one about to be written there, or zero.
///
/// A crash leaves only such bytes: anything else was put there by a person, or is something that a person would
/// want to look at.
pub fn keep_rest(
    writable: &dyn WritableFiles,
    path: &Path,
    file: &dyn ReadableFile,
    from: u64,
    new: &[u8],
) -> Result<()> {
    if file.len().during("measuring", path)? <= from {
        return Ok(());
    }
    let rest = file.read_range(from, u64::MAX).during("reading", path)?;
    if rest.iter().enumerate().all(|(at, byte)| *byte == 0 || new.get(at) == Some(byte)) {
        return Ok(());
    }
    let kept = free_name(writable, path)?;
    writable.replace(&kept, &rest).during("writing", &kept)?;
    flush_name(writable)
}

fn free_name(writable: &dyn WritableFiles, path: &Path) -> Result<PathBuf> {
    let folder = Path::new(layout::DAMAGED);
    writable.make_dir(folder).during("making", folder)?;
    let taken: Vec<_> = writable.list(folder).during("listing", folder)?.into_iter().map(|entry| entry.name).collect();
    let base = escape(&nofx_platform::slashed(path));
    let name = (1..).map(|number| format!("{base}.{number}")).find(|name| !taken.contains(name));
    Ok(folder.join(name.unwrap_or(base)))
}

fn flush_name(writable: &dyn WritableFiles) -> Result<()> {
    let folder = Path::new(layout::DAMAGED);
    writable.sync_dir(folder).during("flushing", folder)?;
    writable.sync_dir(Path::new("")).during("flushing", Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Sim;

    fn write(sim: &Sim, path: &str, bytes: &[u8]) {
        sim.edit(Path::new(path)).unwrap().write_at(bytes, 0).unwrap();
    }

    #[test]
    fn what_is_moved_aside_keeps_its_bytes_and_takes_the_place_of_nothing() {
        let sim = Sim::default();
        for text in ["one", "two"] {
            write(&sim, "a.b", text.as_bytes());
            put(&sim, Path::new("a.b")).unwrap();
        }
        let files = sim.everything();
        let kept = |name: &str| files.get(name).map(Vec::as_slice);
        assert_eq!((kept("damaged/a%2eb.1"), kept("damaged/a%2eb.2")), (Some(&b"one"[..]), Some(&b"two"[..])));
        assert_eq!(put_if_there(&sim, Path::new("a.b")).unwrap(), None);
    }

    #[test]
    fn of_what_is_written_over_only_what_a_crash_cannot_have_left_is_kept() {
        let sim = Sim::default();
        let new = b"new line";
        for (rest, is_kept) in [(&b"new"[..], false), (b"\0\0\0\0", false), (b"ne\0 li", false), (b"old", true)] {
            write(&sim, "log", b"before ");
            let file = sim.edit(Path::new("log")).unwrap();
            file.set_len(7).unwrap();
            file.write_at(rest, 7).unwrap();
            keep_rest(&sim, Path::new("log"), &*file, 7, new).unwrap();
            let kept = sim.everything().into_iter().filter(|(path, _)| path.starts_with("damaged/"));
            assert_eq!(kept.map(|(_, bytes)| bytes).collect::<Vec<_>>(), if is_kept { vec![rest] } else { vec![] });
        }
    }
}
