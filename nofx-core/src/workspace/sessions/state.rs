//! A session's state at a given time.

use std::time::Duration;

use crate::entity::{Session, SessionStatus};
use crate::time::Timestamp;
use crate::workspace::EXPIRY_WARNING;

/// A session's state at a given time: the last decision about it, and what the clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It is active.
    Active,
    /// It is active and expires soon: within [`EXPIRY_WARNING`].
    ExpiresSoon,
    /// It is paused.
    Paused,
    /// It has expired.
    Expired,
    /// It is archived.
    Archived,
    /// It is in the trash.
    Deleted,
}

impl Session {
    /// Returns the session's state at a given time.
    pub fn state(&self, now: Timestamp) -> SessionState {
        let left = self.expires_at.map(|end| end.as_millis().saturating_sub(now.as_millis()));
        match (&self.status, left) {
            _ if self.deleted_at.is_some() => SessionState::Deleted,
            (Some(SessionStatus::Archived), _) => SessionState::Archived,
            (Some(SessionStatus::Expired), _) => SessionState::Expired,
            (_, Some(left)) if left <= 0 => SessionState::Expired,
            (Some(SessionStatus::Paused), _) => SessionState::Paused,
            (_, Some(left)) if left <= EXPIRY_WARNING.as_millis() as i64 => SessionState::ExpiresSoon,
            _ => SessionState::Active,
        }
    }

    /// Returns how long the session has until it expires; `None` if it never expires by itself, zero if it has
    /// expired.
    pub fn expires_in(&self, now: Timestamp) -> Option<Duration> {
        let left = self.expires_at?.as_millis().saturating_sub(now.as_millis());
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }
}

impl SessionState {
    /// Returns the stable name of this state, as programs show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::ExpiresSoon => "expires-soon",
            Self::Paused => "paused",
            Self::Expired => "expired",
            Self::Archived => "archived",
            Self::Deleted => "deleted",
        }
    }

    /// Returns whether restoring is the way to continue: the session has expired or is archived.
    pub fn is_restorable(self) -> bool {
        matches!(self, Self::Expired | Self::Archived)
    }
}
