//! Owns how often one place in the code says what requests can cause again and again: once a second, with the number of times
//! it was not said. Must never say anything itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::edge::clock::unix_time;

/// From one line to the next.
const SAY_AGAIN: Duration = Duration::from_secs(1);

/// A place that has something to say.
#[derive(Debug)]
pub(crate) struct Sparing {
    /// Milliseconds since 1970.
    said_at: AtomicU64,
    unsaid: AtomicU64,
}

// === impl Sparing ===

impl Sparing {
    /// A place that has said nothing yet.
    pub(crate) const fn new() -> Self {
        Self {
            said_at: AtomicU64::new(0),
            unsaid: AtomicU64::new(0),
        }
    }

    /// Whether it may be said now: how often it was not since it was said last.
    pub(crate) fn turn(&self) -> Option<u64> {
        self.turn_at(unix_time())
    }

    fn turn_at(&self, now: Duration) -> Option<u64> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (now, said_at) = (millis(now), self.said_at.load(Relaxed));
        // A clock that was set back does not silence it.
        let is_time = now < said_at || now - said_at >= millis(SAY_AGAIN);
        let turn = || {
            self.said_at
                .compare_exchange(said_at, now, Relaxed, Relaxed)
        };
        if is_time && turn().is_ok() {
            return Some(self.unsaid.swap(0, Relaxed));
        }
        self.unsaid.fetch_add(1, Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_a_second_with_a_count_of_the_rest() {
        let place = Sparing::new();
        let at = |millis: u64| place.turn_at(Duration::from_millis(1_000_000 + millis));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(1), at(999)), (None, None));
        assert_eq!(at(1_000), Some(2));
        assert_eq!(at(2_500), Some(0));
        assert_eq!(at(0), Some(0), "the clock was set back");
    }
}
