//! Where a command writes: the standard output, or a file that appears when it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::fault::{Fault, Result};
use super::paths::real;
use super::text::shown;

/// So many bytes are written at once.
const BUFFER: usize = 64 << 10;

/// Where a command writes. Nothing that exists is lost unless all is written.
pub(crate) struct Output {
    name: String,
    place: Place,
}

enum Place {
    Stdout(BufWriter<io::Stdout>),
    /// A pipe or a device.
    Stream(BufWriter<File>),
    /// A file under a passing name, and the name that it gets.
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self {
            name: "to the standard output".to_owned(),
            place: Place::Stdout(BufWriter::with_capacity(BUFFER, io::stdout())),
        }
    }

    /// Prepares to write a file.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let name = format!("`{}`", shown(path));
        let path = real(path);
        let place = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .map(|file| Place::Stream(BufWriter::with_capacity(BUFFER, file))),
            _ => make_beside(&path).map(|file| Place::File(BufWriter::with_capacity(BUFFER, file), path)),
        };
        match place {
            Ok(place) => Ok(Self { name, place }),
            Err(error) => Err(Fault::of_output(&name, &error)),
        }
    }

    /// Returns what errors call it.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Writes a text.
    pub(crate) fn put(&mut self, text: &str) -> Result<()> {
        self.write_all(text.as_bytes()).map_err(|error| Fault::of_output(&self.name, &error))
    }

    /// Brings everything to its place.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { name, place } = self;
        let finished = match place {
            Place::Stdout(mut out) => out.flush(),
            Place::Stream(mut out) => out.flush(),
            Place::File(out, path) => finish_file(out, &path),
        };
        finished.map_err(|error| Fault::of_output(&name, &error))
    }
}

fn make_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Without this an error would name a file that nobody has asked for.
    fs::metadata(folder)?;
    NamedTempFile::new_in(folder)
}

fn finish_file(out: BufWriter<NamedTempFile>, path: &Path) -> io::Result<()> {
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Stdout(out) => out.write(bytes),
            Place::Stream(out) => out.write(bytes),
            Place::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Stdout(out) => out.flush(),
            Place::Stream(out) => out.flush(),
            Place::File(out, _) => out.flush(),
        }
    }
}
