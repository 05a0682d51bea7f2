//! Owns how fast an endpoint has answered, of late and in the long run, for one kind of request.
//! Must never compare kinds: a JSON answer's time to the last byte is not a stream's first token.

use std::time::Duration;

use crate::core::health::memory::{SpeedMemory, amount};
use crate::core::time::Time;

/// How quickly a deviation of the short average is believed to be over while nobody asks (3.3).
const HALF_LIFE_SECONDS: f32 = 30.0;
/// A spell that is found to last after one and a half half-lives is believed to fade half as quickly, at most so often, while answers are so many times
/// slower than usual: at one request every ten seconds a tenfold slowness was tried again every minute otherwise.
const MOST_RELAPSES: u8 = 2;
const SLOW: f32 = 2.0;
/// What one sample moves the long run by (3.2), and the shortest time that "long" may mean: at 40 requests a
/// second the gain alone took a tenfold slowness for the new rule within 20 s, and ranking policies went back to it
/// (simulated).
pub(crate) const LONG_GAIN: f32 = 1.0 / 256.0;
pub(crate) const LONG_SECONDS: f32 = 300.0;
/// Samples below which an endpoint's kind is cold (amendment 8).
pub(crate) const COLD_SAMPLES: u32 = 20;

/// Averages of one kind, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Latency {
    pub(crate) short: f32,
    pub(crate) long: f32,
    /// Mean absolute deviation from `long`.
    pub(crate) deviation: f32,
    pub(crate) samples: u32,
    pub(crate) updated: Time,
    /// How often in a row a slow spell was found not to be over when it was thought to fade.
    pub(crate) relapses: u8,
}

impl Latency {
    /// Adds a sample: short, faded to now, `T += a*(min(x, 4T) - T)` with `a = clamp(1 - e^(-dt/10 s), 1/16, 0.3)`; long and
    /// deviation over 256 samples, the first 64 as a plain mean (3.2).
    pub(crate) fn observe(&mut self, took: Duration, now: Time) {
        let sample = took.as_secs_f32();
        self.samples = self.samples.saturating_add(1);
        if self.samples == 1 {
            self.short = sample;
            self.long = sample;
            self.deviation = sample / 2.0;
        } else {
            let passed = now.seconds_since(self.updated);
            self.relapses = match sample > SLOW * self.long {
                true if self.short > SLOW * self.long && passed >= 1.5 * HALF_LIFE_SECONDS => {
                    (self.relapses + 1).min(MOST_RELAPSES)
                }
                true => self.relapses,
                false => 0,
            };
            // What has faded meanwhile does not come back with the sample.
            self.short = self.expect(now).unwrap_or(sample);
            let gain = (1.0 - (-passed / 10.0).exp()).clamp(1.0 / 16.0, 0.3);
            self.short += gain * (sample.min(4.0 * self.short) - self.short);
            let slow = match self.samples {
                few @ 0..64 => 1.0 / few as f32,
                _ => (passed / LONG_SECONDS).min(LONG_GAIN),
            };
            self.deviation += slow * ((sample - self.long).abs() - self.deviation);
            self.long += slow * (sample.min(2.0 * self.long) - self.long);
        }
        self.updated = now;
    }

    /// What the next answer is expected to take: a slow spell fades while nobody asks (3.3).
    /// `None` before the first sample.
    pub(crate) fn expect(&self, now: Time) -> Option<f32> {
        if self.samples == 0 {
            return None;
        }
        if self.short <= self.long {
            return Some(self.short);
        }
        let idle = now.seconds_since(self.updated);
        let half_life = HALF_LIFE_SECONDS * f32::from(1_u8 << self.relapses.min(MOST_RELAPSES));
        let left = (-idle / half_life).exp2();
        Some(self.long + (self.short - self.long) * left)
    }

    /// What outlives the process; nothing where nothing is known.
    pub(crate) fn remember(&self, bucket: usize, now: Time) -> Option<SpeedMemory> {
        let expected = self.expect(now)?;
        Some(SpeedMemory {
            bucket,
            short: expected,
            long: self.long,
            deviation: self.deviation,
            samples: self.samples,
        })
    }

    /// Goes on from what was remembered.
    pub(crate) fn recalled(memory: &SpeedMemory, now: Time) -> Self {
        /// No answer takes longer, in seconds.
        const LONGEST: f32 = 3600.0;
        Self {
            short: amount(memory.short, LONGEST),
            long: amount(memory.long, LONGEST),
            deviation: amount(memory.deviation, LONGEST),
            samples: memory.samples,
            updated: now,
            relapses: 0,
        }
    }

    pub(crate) fn is_cold(&self) -> bool {
        self.samples < COLD_SAMPLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn steady_samples_are_learnt_exactly() {
        let mut latency = Latency::default();
        for second in 0..100 {
            latency.observe(Duration::from_millis(400), at(second));
        }
        assert!((latency.expect(at(100)).unwrap() - 0.4).abs() < 1e-3);
        assert!(!latency.is_cold());
    }

    #[test]
    fn a_slow_spell_shows_at_once_and_fades_when_nobody_asks() {
        let mut latency = Latency::default();
        for second in 0..100 {
            latency.observe(Duration::from_millis(400), at(second));
        }
        for second in 100..110 {
            latency.observe(Duration::from_secs(4), at(second));
        }
        let slow = latency.expect(at(110)).unwrap();
        assert!(slow > 1.0, "{slow}");
        let later = latency.expect(at(300)).unwrap();
        assert!(later < 0.6, "{later}");
    }

    #[test]
    fn a_quick_answer_does_not_bring_back_what_has_faded() {
        let mut latency = Latency::default();
        for second in 0..100 {
            latency.observe(Duration::from_millis(400), at(second));
        }
        for second in 100..110 {
            latency.observe(Duration::from_secs(4), at(second));
        }
        let faded = latency.expect(at(170)).unwrap();
        latency.observe(Duration::from_millis(400), at(170));
        let after = latency.expect(at(170)).unwrap();
        assert!(after < faded, "{after} {faded}");
    }

    #[test]
    fn a_spell_that_lasts_fades_more_slowly_until_an_answer_is_quick() {
        let mut latency = Latency::default();
        for second in 0..100 {
            latency.observe(Duration::from_millis(400), at(second));
        }
        for nth in 0..4 {
            latency.observe(Duration::from_secs(4), at(100 + nth));
        }
        let left = |latency: &Latency, from: u64| {
            let excess = |second| latency.expect(at(second)).unwrap() - latency.long;
            excess(from + 30) / excess(from)
        };
        assert!((left(&latency, 103) - 0.5).abs() < 1e-3);
        latency.observe(Duration::from_secs(4), at(163));
        assert!((left(&latency, 163) - 0.5_f32.sqrt()).abs() < 1e-3);
        latency.observe(Duration::from_millis(400), at(223));
        assert_eq!(latency.relapses, 0);
    }

    #[test]
    fn one_outlier_moves_the_short_average_at_most_fourfold() {
        let mut latency = Latency::default();
        latency.observe(Duration::from_millis(100), at(0));
        latency.observe(Duration::from_secs(60), at(100));
        assert!(latency.short <= 0.1 + 0.3 * 0.3 + 1e-6);
    }
}
