//! Sessions and agents as JSON and Markdown.

pub(super) mod export;
pub(super) mod import;
pub(super) mod markdown;
