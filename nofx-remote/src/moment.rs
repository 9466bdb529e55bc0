//! Points in time on this machine, and how long ago they were.

use std::time::Duration;

use nofx_core::{Sources, Timestamp};
use tokio::time::Instant;

/// A point in time on two clocks: one that can be set, and one that stops while the machine sleeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    wall: Timestamp,
    // tokio's clock, because the waits of this crate are tokio's: a test that pauses them pauses this one
    // too.
    steady: Instant,
}

impl Moment {
    pub(crate) fn now(sources: &Sources) -> Self {
        Self { wall: sources.now(), steady: Instant::now() }
    }

    /// Returns the longer of the two distances, because callers need to know whether too much time may have
    /// passed.
    pub(crate) fn age(&self, sources: &Sources) -> Duration {
        let wall = sources.now().as_millis().saturating_sub(self.wall.as_millis());
        self.steady.elapsed().max(Duration::from_millis(u64::try_from(wall).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nofx_core::{ManualClock, RandomIds};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longer_distance_counts() {
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000)));
        let sources = Sources { clock: clock.clone(), ids: Arc::new(RandomIds) };
        let moment = Moment::now(&sources);
        // The machine slept: only the wall clock advanced.
        clock.advance(Duration::from_secs(7200));
        assert_eq!(moment.age(&sources), Duration::from_secs(7200));
        // The clock was set back: only the steady clock shows it.
        clock.set(Timestamp::from_millis(0));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(moment.age(&sources), Duration::from_secs(60));
    }
}
