//! Attachments: bytes of the old folder that are kept unchanged.

use crate::entity::RecordEntity;
use crate::entity::id::ids;
use crate::json::{Object, Text};
use crate::key::Kind;
use crate::kind;

ids! {
    /// Identifies an attachment: the file's path below the old folder, with `/` between its parts, or
    /// `path#part`.
    AttachmentPath;
}

entity! {
    /// Bytes that became no entity, or only in part, and are kept unchanged.
    pub struct Attachment, schema 1 {
        /// Where they were.
        pub path: AttachmentPath = "path",
        /// How many bytes there are.
        pub size: u64 = "size",
        /// Their SHA-256 in hexadecimal, which also names the records that hold them.
        pub sha256: Text = "sha256",
        /// Why they are kept.
        pub reason: Option<Text> = "reason",
    }
}

impl Attachment {
    /// Describes the bytes.
    pub fn new(path: impl Into<AttachmentPath>, size: u64, sha256: impl Into<Text>) -> Self {
        Self { path: path.into(), size, sha256: sha256.into(), reason: None, object: Object::default() }
    }
}

impl RecordEntity for Attachment {
    const KIND: Kind = kind::ATTACHMENT;
    type Id = AttachmentPath;

    fn id(&self) -> AttachmentPath {
        self.path.clone()
    }
}
