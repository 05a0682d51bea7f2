//! Owns how many tokens a second an endpoint's streams bring, of late and in the long run. Must never wait for
//! a stream's end: slow streams would be seen only after they hurt (routing-algorithm 3.2).

use crate::core::health::latency::{LONG_GAIN, LONG_SECONDS};
use crate::core::time::Time;

/// How quickly a slow spell is believed to be over while nobody asks (3.3).
const HALF_LIFE_SECONDS: f32 = 30.0;
/// Samples that make the long run a plain mean (3.2).
const PLAIN: u32 = 64;
/// One outlier moves the short average at most so many times (3.2).
const OUTLIER: f32 = 4.0;

/// Averages in tokens a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Throughput {
    pub(crate) short: f32,
    pub(crate) long: f32,
    pub(crate) updated: Time,
    samples: u32,
}

impl Throughput {
    /// Averages as they are published.
    pub(crate) fn published(short: f32, long: f32, updated: Time) -> Self {
        Self {
            short,
            long,
            updated,
            samples: u32::from(long > 0.0),
        }
    }

    /// Adds a sample: harmonic averages, since it is the time a token takes that adds up; the short one with the
    /// gain that a first token's has.
    pub(crate) fn observe(&mut self, rate: f32, now: Time) {
        if rate <= 0.0 || !rate.is_finite() {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.short = rate;
            self.long = rate;
        } else {
            let passed = now.seconds_since(self.updated);
            let gain = (1.0 - (-passed / 10.0).exp()).clamp(1.0 / 16.0, 0.3);
            let slow = match self.samples {
                few @ 0..PLAIN => 1.0 / few as f32,
                _ => (passed / LONG_SECONDS).min(LONG_GAIN),
            };
            self.short = harmonic(self.short, rate.max(self.short / OUTLIER), gain);
            self.long = harmonic(self.long, rate.max(self.long / 2.0), slow);
        }
        self.updated = now;
    }

    /// Tokens a second expected of the next stream: a slow spell fades while nobody asks (3.3).
    pub(crate) fn expect(&self, now: Time) -> Option<f32> {
        if self.samples == 0 {
            return None;
        }
        if self.short >= self.long {
            return Some(self.short);
        }
        let left = (-now.seconds_since(self.updated) / HALF_LIFE_SECONDS).exp2();
        Some(self.long + (self.short - self.long) * left)
    }
}

/// Between two rates, `share` of the way in seconds a token.
fn harmonic(from: f32, to: f32, share: f32) -> f32 {
    1.0 / ((1.0 - share) / from + share / to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_slow_spell_shows_within_a_few_samples_and_fades_unasked() {
        let mut tokens = Throughput::default();
        assert_eq!(tokens.expect(at(0)), None);
        for second in 0..100 {
            tokens.observe(100.0, at(second));
        }
        assert!((tokens.expect(at(100)).unwrap() - 100.0).abs() < 0.1);
        for second in 100..115 {
            tokens.observe(10.0, at(second));
        }
        let slow = tokens.expect(at(115)).unwrap();
        assert!(slow < 30.0, "{slow}");
        let later = tokens.expect(at(315)).unwrap();
        assert!(later > 80.0, "{later}");
    }

    #[test]
    fn nonsense_is_not_believed() {
        let mut tokens = Throughput::default();
        tokens.observe(f32::INFINITY, at(0));
        tokens.observe(0.0, at(0));
        assert_eq!(tokens, Throughput::default());
    }
}
