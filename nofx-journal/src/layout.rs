//! Which file holds what. All paths are relative to the folder of a store.

/// The folder of the journal.
pub const JOURNAL: &str = "journal";
/// The file whose lock a process has while it commits.
pub const LOCK: &str = "journal/lock";
/// The file whose lock a process has while it brings the base up to date.
pub const APPLY_LOCK: &str = "journal/apply-lock";
/// The file that says how far the journal is durable.
pub const TIP: &str = "journal/tip";
/// A tip that is put in the place of one that could not be written.
pub const TIP_BESIDE: &str = "journal/tip~new";
/// The folder of what is remembered of old commits.
pub const FEED: &str = "feed";
/// The folder where unreadable things are put when something new needs their place.
pub const DAMAGED: &str = "damaged";
