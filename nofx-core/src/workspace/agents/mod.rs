//! Agents, and what is kept for each: checkpoints, transcripts, templates.

pub(super) mod agent;
pub(super) mod checkpoint;
pub(super) mod successor;
pub(super) mod template;
pub(super) mod transcript;
