//! The ledger's entries: what each file of the old folder was imported as.

use crate::entity::RecordEntity;
use crate::entity::id::ids;
use crate::json::{Object, Text};
use crate::key::Kind;
use crate::kind;

ids! {
    /// Identifies an imported file: its path below the source, with `/` between its parts.
    SourcePath;
}

entity! {
    /// What a file of the old folder was imported as, so that importing it again finds nothing to
    /// do.
    pub struct ImportedFile, schema 1 {
        /// Where it was.
        pub path: SourcePath = "path",
        /// How many bytes it had.
        pub size: u64 = "size",
        /// Their SHA-256 in hexadecimal.
        pub sha256: Text = "sha256",
        /// What it was recognised as, such as `session` or `transcript`.
        pub became: Text = "became",
    }
}

impl ImportedFile {
    /// Describes a file.
    pub fn new(path: impl Into<SourcePath>, size: u64, sha256: impl Into<Text>, became: impl Into<Text>) -> Self {
        Self { path: path.into(), size, sha256: sha256.into(), became: became.into(), object: Object::default() }
    }
}

impl RecordEntity for ImportedFile {
    const KIND: Kind = kind::IMPORT;
    type Id = SourcePath;

    fn id(&self) -> SourcePath {
        self.path.clone()
    }
}
