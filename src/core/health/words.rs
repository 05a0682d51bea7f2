//! Owns the few words of an endpoint that every pick reads: one cache line, without a lock.
//! Must never be written but under the endpoint's own lock, so that readers see only whole verdicts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::core::health::breaker::{Breaker, State};
use crate::core::health::latency::Latency;
use crate::core::health::posterior::Posterior;
use crate::core::health::settings::HealthSettings;
use crate::core::time::Time;

/// Requests whose speed must not be compared are kept apart (amendment 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Judged by its first token.
    Stream,
    /// Judged by its whole answer.
    Json,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 2] = [Kind::Stream, Kind::Json];

    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Json => "json",
        }
    }

    pub(crate) const fn position(self) -> usize {
        match self {
            Kind::Stream => 0,
            Kind::Json => 1,
        }
    }
}

/// A breaker as a pick reads it: two bits of state, the rest the time that matters in it (closed: since when
/// its endpoint is doubted, 0 = it is not).
#[derive(Debug, Default)]
pub(crate) struct GateWord(AtomicU64);

const STATE_SHIFT: u32 = 62;
const TIME_MASK: u64 = (1 << STATE_SHIFT) - 1;

impl GateWord {
    pub(crate) fn store(&self, breaker: &Breaker) {
        let (bits, time) = match breaker.state {
            State::Closed => (0, breaker.doubted.unwrap_or_default()),
            State::Open => (1, breaker.until),
            State::HalfOpen => (2, breaker.since),
            State::Ramp => (3, breaker.since),
        };
        let word = (bits << STATE_SHIFT) | (time.as_micros() & TIME_MASK);
        self.0.store(word, Relaxed);
    }

    /// Whether the breaker stood closed when last written.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Relaxed) >> STATE_SHIFT == 0
    }

    /// Since when a closed gate's endpoint is doubted.
    pub(crate) fn doubted(&self) -> Option<Time> {
        let word = self.0.load(Relaxed);
        let is_doubted = word != 0 && word >> STATE_SHIFT == 0;
        is_doubted.then_some(Time::from_micros(word))
    }

    /// What the gate lets through at `now`.
    pub(crate) fn read(&self, settings: &HealthSettings, now: Time) -> Passage {
        let word = self.0.load(Relaxed);
        let time = Time::from_micros(word & TIME_MASK);
        match word >> STATE_SHIFT {
            0 => Passage::Free,
            1 if now < time => Passage::Shut,
            1 | 2 => Passage::Probe,
            _ => ramp(settings, now.seconds_since(time)),
        }
    }
}

/// Admitted with probability `max(0.1, t / ramp)` (routing-algorithm 3.2).
fn ramp(settings: &HealthSettings, passed: f32) -> Passage {
    let whole = settings.ramp.as_secs_f32();
    if passed >= whole {
        return Passage::Free;
    }
    Passage::Share((passed / whole).max(0.1))
}

/// What a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passage {
    Free,
    /// Each request with this probability.
    Share(f32),
    /// Only a probe.
    Probe,
    Shut,
}

impl Passage {
    /// What is left when both gates stand in the way.
    #[must_use]
    pub fn and(self, other: Passage) -> Passage {
        match (self, other) {
            (Passage::Shut, _) | (_, Passage::Shut) => Passage::Shut,
            (Passage::Probe, _) | (_, Passage::Probe) => Passage::Probe,
            (Passage::Share(one), Passage::Share(two)) => Passage::Share(one.min(two)),
            (Passage::Share(share), Passage::Free) | (Passage::Free, Passage::Share(share)) => {
                Passage::Share(share)
            }
            (Passage::Free, Passage::Free) => Passage::Free,
        }
    }
}

/// The words of one endpoint.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Words {
    pub(crate) gate: GateWord,
    blocked: AtomicU64,
    masses: AtomicU64,
    masses_at: AtomicU64,
    latency: [AtomicU64; 2],
    latency_at: [AtomicU64; 2],
}

impl Words {
    pub(crate) fn store_blocked(&self, until: Time) {
        self.blocked.store(until.as_micros(), Relaxed);
    }

    pub(crate) fn blocked_until(&self) -> Time {
        Time::from_micros(self.blocked.load(Relaxed))
    }

    pub(crate) fn store_posterior(&self, posterior: &Posterior) {
        self.masses
            .store(pack(posterior.success, posterior.failure), Relaxed);
        self.masses_at.store(posterior.updated.as_micros(), Relaxed);
    }

    pub(crate) fn posterior(&self) -> Posterior {
        let (success, failure) = unpack(self.masses.load(Relaxed));
        Posterior {
            success,
            failure,
            updated: Time::from_micros(self.masses_at.load(Relaxed)),
        }
    }

    pub(crate) fn store_latency(&self, kind: Kind, latency: &Latency) {
        let at = kind.position();
        self.latency[at].store(pack(latency.short, latency.long), Relaxed);
        self.latency_at[at].store(latency.updated.as_micros(), Relaxed);
    }

    /// The averages alone; `samples` is 0 or 1, for "unknown" or "known".
    pub(crate) fn latency(&self, kind: Kind) -> Latency {
        let at = kind.position();
        let (short, long) = unpack(self.latency[at].load(Relaxed));
        Latency {
            short,
            long,
            deviation: 0.0,
            samples: u32::from(long > 0.0),
            updated: Time::from_micros(self.latency_at[at].load(Relaxed)),
        }
    }
}

fn pack(one: f32, two: f32) -> u64 {
    u64::from(one.to_bits()) << 32 | u64::from(two.to_bits())
}

fn unpack(word: u64) -> (f32, f32) {
    let high = u32::try_from(word >> 32).unwrap_or_default();
    let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    (f32::from_bits(high), f32::from_bits(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_words_of_an_endpoint_fit_in_one_cache_line() {
        assert_eq!(size_of::<Words>(), 64);
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let words = Words::default();
        let mut posterior = Posterior::default();
        posterior.observe(3.0, 1.5, Time::from_micros(7));
        words.store_posterior(&posterior);
        assert_eq!(words.posterior(), posterior);
    }

    #[test]
    fn a_ramp_lets_a_growing_share_through() {
        let settings = HealthSettings::default();
        let mut breaker = Breaker::default();
        breaker.state = State::Ramp;
        let gate = GateWord::default();
        gate.store(&breaker);
        let at = |millis| gate.read(&settings, Time::ZERO + Duration::from_millis(millis));
        assert_eq!(at(0), Passage::Share(0.1));
        assert_eq!(at(2500), Passage::Share(0.5));
        assert_eq!(at(5000), Passage::Free);
    }
}
