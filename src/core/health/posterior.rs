//! Owns the decayed belief that an endpoint's next attempt succeeds. Must never know what an outcome was.

use std::time::Duration;

use crate::core::time::Time;

/// Time constant of forgetting. `routing-algorithm` 3.2, decided by simulation on 2026-11-22.
const TAU_SECONDS: f32 = 30.0;
/// At most this many recent observations carry weight, however fast they come (3.2).
const WINDOW: f32 = 32.0;
/// The prior: mean 0.98 with the strength of four observations (3.2).
const PRIOR_SUCCESS: f32 = 3.92;
const PRIOR_STRENGTH: f32 = 4.0;

/// Decayed masses of success and failure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Posterior {
    pub(crate) success: f32,
    pub(crate) failure: f32,
    pub(crate) updated: Time,
}

impl Posterior {
    /// Adds weighted evidence: `d = min(e^(-dt/tau), 1 - 1/N); S = S*d + s; F = F*d + f` (3.2).
    pub(crate) fn observe(&mut self, success: f32, failure: f32, now: Time) {
        let decay = decay(now.since(self.updated)).min(1.0 - 1.0 / WINDOW);
        self.success = self.success * decay + success;
        self.failure = self.failure * decay + failure;
        self.updated = now;
    }

    /// Starts over with the masses of a recovered endpoint (3.2: `S, F = 8, 0.3`).
    pub(crate) fn recovered(now: Time) -> Self {
        Self {
            success: 8.0,
            failure: 0.3,
            updated: now,
        }
    }

    /// Starts over with the masses of an endpoint that another's fault kept away: nothing says that it fails more
    /// often than before. With those of a recovered one it had half its share back 13.5 s after a flapping host's last
    /// outage, with these 6.8 s (`flapping_10s`, 5 requests a second, 2026-11-22); no other bar was missed by it.
    pub(crate) fn blameless(now: Time) -> Self {
        Self {
            success: 30.0,
            failure: 0.3,
            updated: now,
        }
    }

    /// The expected success of the next attempt, 0 to 1: `(S*d + 3.92) / ((S + F)*d + 4)` (3.2).
    pub(crate) fn expect(&self, now: Time) -> f32 {
        let decay = decay(now.since(self.updated));
        let mass = (self.success + self.failure) * decay;
        (self.success * decay + PRIOR_SUCCESS) / (mass + PRIOR_STRENGTH)
    }

    /// The share of successes where there is evidence enough to trip on: at least 5 observations (3.2).
    pub(crate) fn share(&self) -> Option<f32> {
        let mass = self.success + self.failure;
        (mass >= 5.0).then(|| self.success / mass)
    }
}

fn decay(passed: Duration) -> f32 {
    (-passed.as_secs_f32() / TAU_SECONDS).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn an_unknown_endpoint_is_trusted_as_the_prior_says() {
        assert!((Posterior::default().expect(at(100)) - 0.98).abs() < 1e-6);
    }

    #[test]
    fn failures_are_forgotten_with_time() {
        let mut posterior = Posterior::default();
        for _ in 0..10 {
            posterior.observe(0.0, 1.0, at(0));
        }
        let right_after = posterior.expect(at(0));
        assert!(right_after < 0.4, "{right_after}");
        assert!(posterior.expect(at(120)) > 0.9);
    }

    #[test]
    fn a_burst_weighs_no_more_than_the_window() {
        let mut posterior = Posterior::default();
        for _ in 0..10_000 {
            posterior.observe(1.0, 0.0, at(0));
        }
        assert!(posterior.success <= WINDOW + 0.1);
    }

    #[test]
    fn a_share_needs_five_observations() {
        let mut posterior = Posterior::default();
        for _ in 0..4 {
            posterior.observe(0.0, 1.0, at(0));
        }
        assert_eq!(posterior.share(), None);
        posterior.observe(0.0, 2.0, at(0));
        assert_eq!(posterior.share(), Some(0.0));
    }
}
