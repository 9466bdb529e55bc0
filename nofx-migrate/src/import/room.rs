//! Limits how much of the source is in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in units of this size.
const UNIT: u64 = 1024;

/// Room for this many bytes of the source.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    left: Arc<Semaphore>,
    all: u32,
}

impl Room {
    pub(crate) fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { left: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Returns about how many bytes there are in all.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.all) * UNIT
    }

    /// Waits until there is room for this many bytes; for more than the whole room, until nothing else is in it. The room is taken until
    /// the result is dropped.
    ///
    /// Take room for things that end in an order in that order, or two of them wait for each other forever.
    pub(crate) async fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.all);
        // The semaphore is never closed.
        self.left.clone().acquire_many_owned(units).await.ok()
    }

    /// Takes room for this many bytes if it is available now.
    pub(crate) fn take_now(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        self.left.clone().try_acquire_many_owned(units).ok()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_caller_that_cannot_wait_gets_room_only_if_there_is_some() {
        let room = Room::new(10 << 10);
        assert!(room.take_now(1 << 40).is_none());
        let some = room.take_now(6 << 10).unwrap();
        assert!(room.take_now(6 << 10).is_none());
        drop(some);
        assert!(room.take_now(6 << 10).is_some());
    }

    #[test]
    fn what_is_larger_than_all_room_is_alone() {
        let room = Room::new(10 << 10);
        let first = room.take(1 << 40).now_or_never().unwrap();
        assert!(room.take(1).now_or_never().is_none());
        drop(first);
        let _half = room.take(5 << 10).now_or_never().unwrap();
        let _other = room.take(5 << 10).now_or_never().unwrap();
        assert!(room.take(1).now_or_never().is_none());
        assert!(room.take(0).now_or_never().is_some());
    }
}
