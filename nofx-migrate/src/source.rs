//! The source of a migration: a legacy folder, and related data elsewhere.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::MigrateError;
use crate::options::Options;
use crate::outside::{self, OutsideSource};
use crate::tree::{self, SourceFile, SourceTree};

/// Checks whether there is something to import, as [`migrate`](crate::migrate) does before it reads everything.
pub fn check_source(from: &Path, options: &Options) -> Result<(), MigrateError> {
    LegacySource::find(from, options).map(drop)
}

/// The source of a migration.
#[derive(Clone, Debug)]
pub(crate) struct LegacySource {
    /// The legacy folder.
    folder: Option<PathBuf>,
    also: Vec<PathBuf>,
}

impl LegacySource {
    /// Checks what is to be imported without reading all of it.
    pub(crate) fn find(from: &Path, options: &Options) -> Result<Self, MigrateError> {
        let also = options.also.clone();
        also.iter().try_for_each(|path| outside::classify(path).map(drop))?;
        match tree::legacy_folder(from, options.target_path.as_deref()) {
            Ok(folder) => Ok(Self { folder: Some(folder), also }),
            Err(MigrateError::SourceNotAFolder(_) | MigrateError::SourceNotLegacy(_))
                if matches!(OutsideSource::of(from), Ok(Some(_))) =>
            {
                Ok(Self { folder: None, also: [vec![from.to_owned()], also].concat() })
            }
            Err(error) => Err(error),
        }
    }

    /// Lists everything, and passes on each file as it is found.
    pub(crate) fn list<'a>(&self, show: &'a mut dyn FnMut(SourceFile)) -> Result<SourceTree<'a>, MigrateError> {
        let mut tree = SourceTree::new(show);
        self.folder.iter().for_each(|folder| tree.add_folder(folder));
        let mut seen = Vec::new();
        for path in &self.also {
            // A source that is named twice is imported once.
            let real = nofx_platform::real(path).unwrap_or_else(|_| path.clone());
            if !seen.contains(&real) {
                outside::add(&mut tree, path)?;
                seen.push(real);
            }
        }
        Ok(tree)
    }
}

impl fmt::Display for LegacySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.folder.iter().chain(&self.also).map(|path| path.display().to_string()).collect();
        f.write_str(&all.join(", "))
    }
}
