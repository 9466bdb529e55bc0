//! The source of a migration.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use nofx_migrate::OutsideSource;

use super::exit::Exit;
use super::fault::{Fault, Result};
use super::nearest::{in_file, in_folder};
use super::store_arg;
use super::text::shown;
use crate::Location;
use crate::schemes::Scheme;

/// The source of a migration.
#[derive(Debug)]
pub(crate) enum MigrationSource {
    /// A folder that the old extension wrote, or a folder that contains one.
    Legacy(PathBuf),
    /// A store.
    Store(Location),
    /// A full dump in a file.
    Dump(PathBuf),
    /// Data that the old extension kept outside its folder.
    Outside(PathBuf),
}

impl MigrationSource {
    /// Classifies the argument of `--from`: the file or folder of that name if it exists, else a location.
    pub(crate) fn named(text: &OsStr) -> Result<Self> {
        let path = Path::new(text);
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => match in_folder(path) {
                Some(store) => {
                    let message = format!("`{}` is the folder of a store, not a legacy one", shown(path));
                    Err(Fault::new(Exit::SourceNotLegacy, message, format!("name it `{}:{}`", store.name, shown(path))))
                }
                None => Ok(Self::Legacy(path.to_owned())),
            },
            // Opening a pipe would block forever, and a pipe cannot be read twice.
            Ok(found) if !found.is_file() => Err(Fault::not_a_folder(path)),
            Ok(_) => Self::file(path),
            Err(error) if is_location(text) => {
                drop(error);
                store_arg::parse(text).map(Self::Store)
            }
            Err(error) if nofx_platform::is_missing(&error) => Err(Fault::absent(path)),
            Err(error) => Err(unreadable(path, &error)),
        }
    }

    fn file(path: &Path) -> Result<Self> {
        let mut start = Vec::new();
        let file = File::open(path).map_err(|error| unreadable(path, &error))?;
        file.take(64).read_to_end(&mut start).map_err(|error| unreadable(path, &error))?;
        let name = shown(path);
        if start.starts_with(b"{\"format\":\"nofx-full-dump\"") {
            return Ok(Self::Dump(path.to_owned()));
        }
        if let Some(Scheme { name: scheme, .. }) = in_file(path) {
            let message = format!("`{name}` is a {scheme} file, not a folder");
            return Err(Fault::new(
                Exit::SourceIsFile,
                message,
                format!("if it is a store, name it `{scheme}:{name}`"),
            ));
        }
        if start.starts_with(b"{\"kind\":\"store\"") {
            let message = format!("`{name}` is a canonical dump, which cannot be loaded");
            return Err(Fault::new(
                Exit::SourceIsFile,
                message,
                "run `nofx dump --full` to make one that can be loaded",
            ));
        }
        match OutsideSource::of(path) {
            Ok(Some(_)) => Ok(Self::Outside(path.to_owned())),
            _ => Err(Fault::not_a_folder(path)),
        }
    }
}

/// Opens a dump for reading.
pub(crate) fn read(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(|error| match nofx_platform::is_missing(&error) {
        true => Fault::new(Exit::SourceAbsent, format!("`{}` does not exist", shown(path)), "name a file that exists"),
        false => unreadable(path, &error),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    let message = format!("cannot read `{}`: {error}", shown(path));
    Fault::new(Exit::SourceUnreadable, message, "change its permissions so that you can read it")
}

/// Returns whether a text that names nothing on the disk is meant as a location.
fn is_location(text: &OsStr) -> bool {
    Location::from_os(text).is_ok()
        || Scheme::all().any(|scheme| text.to_string_lossy().starts_with(&format!("{}:", scheme.name)))
}
