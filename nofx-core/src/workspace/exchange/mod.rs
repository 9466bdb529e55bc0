//! Sessions and agents as JSON and Markdown.

pub(super) mod import;
