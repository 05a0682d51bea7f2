//! Owns the one reading of the clock that the pure floors are handed. Must never be read in `core` or `wire`.

use std::time::{Duration, Instant, SystemTime};

use crate::core::time::Time;

/// A process's clock: monotonic time since it was made, and the wall clock where the outside speaks of it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose time begins a little after zero, so that "an hour ago" can be told from "never".
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Time since the start.
    pub fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    /// How long until `time`, zero if it has passed.
    pub fn until(&self, time: Time) -> Duration {
        time.since(self.now())
    }
}

/// The wall clock: dates in headers, timestamps for operators.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Time since 1970.
pub fn unix_time() -> Duration {
    let passed = wall_clock().duration_since(SystemTime::UNIX_EPOCH);
    passed.unwrap_or_default()
}

/// Seconds since 1970.
pub fn unix_seconds() -> u64 {
    unix_time().as_secs()
}
