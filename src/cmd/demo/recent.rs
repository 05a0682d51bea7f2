//! Owns the last seconds: where requests went and how many were answered. Must never hold more than those.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::cmd::demo::stage::{PROVIDERS, Sight};

/// What "recent" means: long enough for a share of a dozen requests a second, short enough to see a turn.
pub(crate) const WINDOW: Duration = Duration::from_secs(3);

/// Counters as they were at the ends of the window and between.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Reading>);

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    arrivals: [u64; PROVIDERS.len()],
    over: u64,
}

impl Recent {
    /// Notes the counters now; `over`: requests that are over for their clients.
    pub(crate) fn note(&mut self, sights: &[Sight], over: u64, now: Instant) {
        let mut arrivals = [0; PROVIDERS.len()];
        for (slot, sight) in arrivals.iter_mut().zip(sights) {
            *slot = sight.arrivals;
        }
        self.0.push_back(Reading {
            at: now,
            arrivals,
            over,
        });
        while self.0.len() > 2 && self.0.front().is_some_and(|first| now - first.at > WINDOW) {
            self.0.pop_front();
        }
    }

    /// The share of the window's attempts that each provider got, in percent.
    pub(crate) fn shares(&self) -> [u64; PROVIDERS.len()] {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return [0; PROVIDERS.len()];
        };
        let grown: [u64; PROVIDERS.len()] =
            std::array::from_fn(|at| last.arrivals[at].saturating_sub(first.arrivals[at]));
        let all: u64 = grown.iter().sum();
        grown.map(|count| (100 * count + all / 2) / all.max(1))
    }

    /// Requests a second that were over for their clients.
    pub(crate) fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return 0.0;
        };
        let passed = (last.at - first.at).as_secs_f64();
        match passed > 0.0 {
            true => last.over.saturating_sub(first.over) as f64 / passed,
            false => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sights(arrivals: [u64; 3]) -> Vec<Sight> {
        arrivals
            .map(|arrivals| Sight {
                arrivals,
                ..Sight::default()
            })
            .to_vec()
    }

    #[test]
    fn shares_and_rate_are_those_of_the_window_alone() {
        let start = Instant::now();
        let mut recent = Recent::default();
        recent.note(&sights([0, 0, 0]), 0, start);
        recent.note(&sights([100, 0, 0]), 100, start + Duration::from_secs(2));
        recent.note(&sights([110, 20, 10]), 140, start + Duration::from_secs(5));
        assert_eq!(recent.shares(), [25, 50, 25]);
        assert!((recent.rate() - 40.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn before_any_traffic_there_is_nothing() {
        let mut recent = Recent::default();
        assert_eq!(recent.shares(), [0; 3]);
        recent.note(&sights([0, 0, 0]), 0, Instant::now());
        assert_eq!(recent.shares(), [0; 3]);
        assert!(recent.rate() < 1e-9);
    }
}
