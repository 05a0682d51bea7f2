//! Owns what of health outlives a process, told without its clock: how long something still lasts, what a mass is worth
//! at the moment of telling. Must never hold a name, a key or an address.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::catalog::{EndpointIx, HostIx, KeyIx};
use crate::core::health::Health;
use crate::core::time::Time;

/// No rest and no block is kept longer, whatever a file says.
const LONGEST: Duration = Duration::from_secs(600);

/// What is kept of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointMemory {
    /// Taken out by hand: a decision, which does not age.
    pub drained: bool,
    pub breaker: BreakerMemory,
    /// Seconds for which a Retry-After still holds.
    pub blocked_for: f32,
    /// The posterior's masses.
    pub success: f32,
    pub failure: f32,
    /// The slow memory behind its prior, 0 to 1.
    pub slow: f32,
    pub speeds: Vec<SpeedMemory>,
}

/// What is kept of a breaker, of an endpoint, a host or a key alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakerMemory {
    /// Seconds of rest left; 0: it awaits a probe; absent: it lets traffic through.
    pub rests_for: Option<f32>,
    /// How often its back-off has doubled.
    pub level: u32,
    /// Seconds that the failure took which tripped it.
    pub failed_in: f32,
}

/// What is kept of an endpoint's speed with one kind of request, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeedMemory {
    pub bucket: usize,
    pub short: f32,
    pub long: f32,
    pub deviation: f32,
    pub samples: u32,
}

/// A time from a file: nothing that is no number, less than zero, or beyond reason.
pub(crate) fn duration(seconds: f32) -> Duration {
    let read = Duration::try_from_secs_f32(seconds).unwrap_or_default();
    read.min(LONGEST)
}

/// A mass or a time in seconds from a file, 0 where it is none.
pub(crate) fn amount(read: f32, most: f32) -> f32 {
    match read.is_finite() {
        true => read.clamp(0.0, most),
        false => 0.0,
    }
}

impl Health {
    /// What of an endpoint outlives the process.
    pub fn remember(&self, endpoint: EndpointIx, now: Time) -> EndpointMemory {
        self.slot(endpoint).own.remember(now)
    }

    /// The same of a host.
    pub fn remember_host(&self, host: HostIx, now: Time) -> BreakerMemory {
        self.hosts[host.get()].remember(now)
    }

    /// The same of a key.
    pub fn remember_key(&self, key: KeyIx, now: Time) -> BreakerMemory {
        self.keys[key.get()].remember(now)
    }

    /// Goes on from what was remembered of an endpoint `away` ago, its drain not included.
    pub fn recall(&self, endpoint: EndpointIx, memory: &EndpointMemory, away: Duration, now: Time) {
        self.slot(endpoint).own.recall(memory, away, now);
    }

    /// The same of a host.
    pub fn recall_host(&self, host: HostIx, memory: &BreakerMemory, away: Duration, now: Time) {
        self.hosts[host.get()].recall(memory, away, now);
    }

    /// The same of a key.
    pub fn recall_key(&self, key: KeyIx, memory: &BreakerMemory, away: Duration, now: Time) {
        self.keys[key.get()].recall(memory, away, now);
    }

    /// Differs from an earlier one where anything may have changed that would be remembered. Takes no lock.
    pub fn mark(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for slot in &self.slots {
            slot.own.words.mark().hash(&mut hasher);
        }
        for gate in self.hosts.iter().chain(&self.keys) {
            gate.word.mark().hash(&mut hasher);
        }
        hasher.finish()
    }
}
