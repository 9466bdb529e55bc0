//! Sessions: their life, their order, their lists.

pub(super) mod activity;
pub(super) mod bulk;
pub(super) mod expiry;
pub(super) mod keyed;
pub(super) mod session;
pub(super) mod state;
pub(super) mod summary;
pub(super) mod trash;
