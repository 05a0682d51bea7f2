//! Owns the decayed belief that an endpoint's next attempt succeeds, and the slow memory that its prior comes from.
//! Must never know what an outcome was.

use std::time::Duration;

use crate::core::health::memory::{EndpointMemory, amount};
use crate::core::time::Time;

/// Time constant of forgetting. `routing-algorithm` 3.2, decided by simulation on 2026-11-22.
const TAU_SECONDS: f32 = 30.0;
/// At most this many recent observations carry weight, however fast they come (3.2).
const WINDOW: f32 = 32.0;
/// The prior: mean 0.98 with the strength of four observations (3.2).
const PRIOR_SUCCESS: f32 = 3.92;
const PRIOR_STRENGTH: f32 = 4.0;

/// How long the slow memory reaches back (amendment 9: about an hour).
const SLOW_SECONDS: f32 = 3600.0;
/// The prior's mean where nothing is held against an endpoint, and at least. The odds of failure, `(1 - p) / p`,
/// are what losses are made of: at the least mean they are twice those of the usual one, so that no loss more than
/// doubles (amendment 9).
const USUAL: f32 = PRIOR_SUCCESS / PRIOR_STRENGTH;
const LEAST: f32 = 1.0 / (1.0 + 2.0 * (1.0 - USUAL) / USUAL);
/// Steps from the usual prior to the least one, as they are published.
const STEPS: f32 = 255.0;

/// Decayed masses of success and failure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Posterior {
    pub(crate) success: f32,
    pub(crate) failure: f32,
    pub(crate) updated: Time,
    /// The mean over about an hour, by time and not by attempts, of what was expected: an endpoint that fails loses
    /// its traffic, and by attempts would hardly be remembered for it.
    pub(crate) slow: f32,
}

impl Default for Posterior {
    fn default() -> Self {
        Self {
            success: 0.0,
            failure: 0.0,
            updated: Time::ZERO,
            slow: USUAL,
        }
    }
}

impl Posterior {
    /// Adds weighted evidence: `d = min(e^(-dt/tau), 1 - 1/N); S = S*d + s; F = F*d + f` (3.2).
    pub(crate) fn observe(&mut self, success: f32, failure: f32, now: Time) {
        self.slow = self.slow_at(now);
        let decay = decay(now.since(self.updated)).min(1.0 - 1.0 / WINDOW);
        self.success = self.success * decay + success;
        self.failure = self.failure * decay + failure;
        self.updated = now;
    }

    /// Starts over with the masses of a recovered endpoint (3.2: `S, F = 8, 0.3`). What was remembered stays.
    pub(crate) fn recovered(&self, now: Time) -> Self {
        Self {
            success: 8.0,
            failure: 0.3,
            updated: now,
            slow: self.slow_at(now),
        }
    }

    /// Starts over with the masses of an endpoint that another's fault kept away: nothing says that it fails more
    /// often than before. With those of a recovered one it had half its share back 13.5 s after a flapping host's last
    /// outage, with these 6.8 s (`flapping_10s`, 5 requests a second, 2026-11-22); no other bar was missed by it.
    pub(crate) fn blameless(&self, now: Time) -> Self {
        Self {
            success: 30.0,
            failure: 0.3,
            updated: now,
            slow: self.slow_at(now),
        }
    }

    /// The expected success of the next attempt, 0 to 1: `(S*d + 3.92) / ((S + F)*d + 4)` (3.2), with a prior that
    /// the last hour may have lowered.
    pub(crate) fn expect(&self, now: Time) -> f32 {
        self.expect_with(self.slow.clamp(LEAST, USUAL), now)
    }

    fn expect_with(&self, prior: f32, now: Time) -> f32 {
        let decay = decay(now.since(self.updated));
        let mass = (self.success + self.failure) * decay;
        (self.success * decay + PRIOR_STRENGTH * prior) / (mass + PRIOR_STRENGTH)
    }

    /// The slow memory with the time since the last observation in it, through which the belief went back from
    /// where it was to the usual prior.
    fn slow_at(&self, now: Time) -> f32 {
        let passed = now.seconds_since(self.updated);
        if passed <= 0.0 {
            return self.slow;
        }
        let left = TAU_SECONDS / passed * (1.0 - (-passed / TAU_SECONDS).exp());
        // Good times do not make up for bad ones.
        let believed = self.expect_with(USUAL, self.updated).min(USUAL);
        let mean = USUAL + (believed - USUAL) * left;
        self.slow + (mean - self.slow) * (1.0 - (-passed / SLOW_SECONDS).exp())
    }

    /// The same belief with the masses that are left at `now`.
    pub(crate) fn at(&self, now: Time) -> Self {
        let left = decay(now.since(self.updated));
        Self {
            success: self.success * left,
            failure: self.failure * left,
            updated: now,
            slow: self.slow_at(now),
        }
    }

    /// Goes on from what was remembered `away` ago.
    pub(crate) fn recalled(memory: &EndpointMemory, away: Duration, now: Time) -> Self {
        let left = decay(away);
        Self {
            success: amount(memory.success, 2.0 * WINDOW) * left,
            failure: amount(memory.failure, 2.0 * WINDOW) * left,
            updated: now,
            slow: amount(memory.slow, 1.0),
        }
    }

    /// How far the prior is lowered, in steps for a byte.
    pub(crate) fn caution(&self) -> u8 {
        let lowered = (USUAL - self.slow.clamp(LEAST, USUAL)) / (USUAL - LEAST);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 255"
        )]
        let steps = (lowered * STEPS).round() as u8;
        steps
    }

    /// A slow memory that lowers the prior so far.
    pub(crate) fn slow_of(caution: u8) -> f32 {
        USUAL - f32::from(caution) / STEPS * (USUAL - LEAST)
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

    /// A minute of failures every ten minutes for an hour and a half, a success every second otherwise.
    fn relapsing() -> Posterior {
        let mut posterior = Posterior::default();
        for second in 0..5400 {
            match second % 600 < 60 {
                true if second % 10 == 0 => posterior.observe(0.0, 1.0, at(second)),
                true => {}
                false => posterior.observe(1.0, 0.0, at(second)),
            }
        }
        posterior
    }

    #[test]
    fn what_fails_every_ten_minutes_is_trusted_less_and_its_loss_at_most_doubles() {
        let mut steady = Posterior::default();
        for second in 0..5400 {
            steady.observe(1.0, 0.0, at(second));
        }
        let relapsing = relapsing();
        let odds = |posterior: &Posterior, seconds| {
            let expected = posterior.expect(at(seconds));
            (1.0 - expected) / expected
        };
        for seconds in [5400, 5430, 5600] {
            let ratio = odds(&relapsing, seconds) / odds(&steady, seconds);
            assert!((1.2..=2.0).contains(&ratio), "{ratio} after {seconds} s");
        }
        let mut forgiven = relapsing;
        for second in 5400..20_000 {
            forgiven.observe(1.0, 0.0, at(second));
        }
        // Four hours leave `e^-4` of it.
        assert!(forgiven.caution() <= 5, "{}", forgiven.caution());
        assert_eq!(steady.caution(), 0);
    }

    #[test]
    fn a_recovery_does_not_wipe_the_slow_memory() {
        let relapsing = relapsing();
        assert!(relapsing.recovered(at(5401)).caution() > 50);
        assert!((relapsing.recovered(at(5401)).slow - relapsing.slow).abs() < 0.01);
    }

    #[test]
    fn what_is_published_is_the_prior_that_is_meant() {
        for caution in 0..=u8::MAX {
            let posterior = Posterior {
                slow: Posterior::slow_of(caution),
                ..Posterior::default()
            };
            assert_eq!(posterior.caution(), caution);
        }
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
