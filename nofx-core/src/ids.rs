//! Ids that the store generates, and the one owner of randomness.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::time::{Clock, Timestamp};

/// A source of random bytes.
pub trait IdSource: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`; ten bytes or more never repeat.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random number generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdSource for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "this is the one owner of randomness")]
    #[expect(clippy::expect_used, reason = "no store can promise anything on a machine without random numbers")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system gives random numbers");
    }
}

/// A reproducible sequence, for tests: the same seed gives the same ids.
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    /// Starts the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl IdSource for SeededIds {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            // SplitMix64 (Steele, Lea and Flood, 2014): a counter, mixed.
            let mut mixed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::SeqCst);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            chunk.copy_from_slice(&mixed.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The id that a caller gives to a batch: 16 bytes, unique forever.
///
/// While the store remembers it, committing the same id again returns the first outcome. Ids from
/// [`Sources::batch_id`] begin with the time, so that a backend can keep them in an ordered tree cheaply; any other 16
/// bytes work as well.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId([u8; 16]);

impl BatchId {
    /// Creates an id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// The id of a store, generated when it is created and never changed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId([u8; 16]);

impl StoreId {
    /// Creates an id from its bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

macro_rules! hex {
    ($name:ident) => {
        /// Writes 32 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

hex!(BatchId);
hex!(StoreId);

/// The clock and the source of ids that a store uses; tests replace both.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub ids: Arc<dyn IdSource>,
}

impl Sources {
    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Generates a batch id: 6 bytes of time, then 10 random ones.
    pub fn batch_id(&self) -> BatchId {
        BatchId(self.timed_bytes())
    }

    /// Generates 8 random hexadecimal digits, which tell apart ids that already carry the time.
    pub(crate) fn token(&self) -> String {
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Generates a store id.
    pub fn store_id(&self) -> StoreId {
        StoreId(self.timed_bytes())
    }

    fn timed_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.now().as_millis().to_be_bytes()[2..]);
        self.ids.fill(&mut bytes[6..]);
        bytes
    }
}

/// The machine's clock and random numbers.
impl Default for Sources {
    fn default() -> Self {
        Self { clock: Arc::new(crate::time::SystemClock), ids: Arc::new(RandomIds) }
    }
}
