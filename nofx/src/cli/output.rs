//! Where a command writes: standard output, or a file that appears once it is complete.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use nofx_platform::{private, replace, resolved};

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::nearest::store_at;
use super::temporary::Temporary;
use super::text::shown;
use super::visible::Visible;

/// The size of the output buffer, in bytes.
const BUFFER: usize = 64 << 10;

/// Where a command writes. An existing file is replaced only once everything is written.
pub(crate) struct Output {
    name: String,
    place: Place,
}

enum Place {
    /// Standard output, a pipe or a device.
    Stream(BufWriter<Box<dyn Write + Send>>),
    /// A file in a temporary folder, and its final path.
    File(BufWriter<File>, Temporary, PathBuf),
}

impl Output {
    /// Returns standard output. On a terminal, control characters are escaped: stored text must not control the terminal.
    pub(crate) fn stdout() -> Self {
        Self::to_stdout(stream(io::stdout()))
    }

    /// Returns standard output for text whose stored parts are already escaped. Nothing more is escaped, so colours are kept.
    pub(crate) fn painted() -> Self {
        Self::to_stdout(Box::new(io::stdout()))
    }

    fn to_stdout(out: Box<dyn Write + Send>) -> Self {
        let place = Place::Stream(BufWriter::with_capacity(BUFFER, out));
        Self { name: "to standard output".to_owned(), place }
    }

    /// Prepares to write a file.
    pub(crate) fn file(path: &Path) -> Result<Self> {
        let name = format!("`{}`", shown(path));
        let path = resolved(path);
        if let Some(store) = store_at(&path) {
            let message = format!("{name} belongs to the store `{}`, which is never overwritten", shown(store));
            return Err(Fault::new(Exit::Usage, message, "name another file"));
        }
        let place = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(found) if !found.is_file() => fs::OpenOptions::new()
                .write(true)
                .open(&path)
                .map(|file| Place::Stream(BufWriter::with_capacity(BUFFER, stream(file)))),
            _ => make_beside(&path)
                .map(|(file, temporary)| Place::File(BufWriter::with_capacity(BUFFER, file), temporary, path)),
        };
        match place {
            Ok(place) => Ok(Self { name, place }),
            Err(error) => Err(Fault::of_output(&name, &error)),
        }
    }

    /// Returns its name in errors.
    pub(crate) fn name(&self) -> String {
        self.name.clone()
    }

    /// Writes a text.
    pub(crate) fn put(&mut self, text: &str) -> Result<()> {
        self.write_all(text.as_bytes()).map_err(|error| Fault::of_output(&self.name, &error))
    }

    /// Flushes the output and gives a file its final path.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { name, place } = self;
        let finished = match place {
            Place::Stream(mut out) => out.flush(),
            Place::File(out, temporary, path) => finish_file(out, &temporary, &path),
        };
        finished.map_err(|error| Fault::of_output(&name, &error))
    }
}

/// Escapes control characters if the output is a terminal.
fn stream(out: impl Write + IsTerminal + Send + 'static) -> Box<dyn Write + Send> {
    match out.is_terminal() {
        true => Box::new(Visible::new(out)),
        false => Box::new(out),
    }
}

fn make_beside(path: &Path) -> io::Result<(File, Temporary)> {
    let folder = path.parent().unwrap_or(Path::new("."));
    // Missing folders are not created for an output file.
    fs::metadata(folder)?;
    let temporary = Temporary::within(folder)?;
    let file = private(File::options().write(true).create_new(true)).open(temporary.path(name_of(path)))?;
    Ok((file, temporary))
}

fn finish_file(out: BufWriter<File>, temporary: &Temporary, path: &Path) -> io::Result<()> {
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    replace(&temporary.path(name_of(path)), path)
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Stream(out) => out.write(bytes),
            Place::File(out, ..) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Stream(out) => out.flush(),
            Place::File(out, ..) => out.flush(),
        }
    }
}
