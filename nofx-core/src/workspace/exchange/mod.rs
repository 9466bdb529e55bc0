//! Sessions and agents as JSON, Markdown and HTML.

pub(super) mod export;
pub(super) mod html;
pub(super) mod import;
pub(super) mod markdown;
