//! The tasks of a session.

pub(super) mod page;
pub(super) mod task;
