//! Owns what of an endpoint's health is told: to operators, and to the process that follows. Must never be asked while
//! picking: it takes the lock.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::EndpointHealth;
use crate::core::health::State;
use crate::core::health::bucket::Bucket;
use crate::core::health::latency::Latency;
use crate::core::health::memory::{EndpointMemory, SpeedMemory, duration};
use crate::core::health::pacing::Remaining;
use crate::core::health::posterior::Posterior;
use crate::core::health::windows::Past;
use crate::core::time::Time;

impl EndpointHealth {
    /// What outlives the process.
    pub(crate) fn remember(&self, now: Time) -> EndpointMemory {
        let inner = self.lock();
        let posterior = inner.posterior.at(now);
        let speeds = inner.latency.iter().enumerate();
        EndpointMemory {
            drained: inner.breaker.drained,
            breaker: inner.breaker.remember(now),
            blocked_for: self.words.blocked_until().since(now).as_secs_f32(),
            success: posterior.success,
            failure: posterior.failure,
            slow: posterior.slow,
            speeds: speeds
                .filter_map(|(bucket, latency)| latency.remember(bucket, now))
                .collect(),
        }
    }

    /// Goes on from what was remembered `away` ago.
    pub(crate) fn recall(&self, memory: &EndpointMemory, away: Duration, now: Time) {
        let mut inner = self.lock();
        inner.breaker.recall(&memory.breaker, away, now);
        inner.posterior = Posterior::recalled(memory, away, now);
        let blocked = now + duration(memory.blocked_for).saturating_sub(away);
        if blocked > now {
            self.words.store_blocked(blocked);
        }
        for bucket in Bucket::all() {
            let known = |speed: &&SpeedMemory| speed.bucket == bucket.position();
            if let Some(speed) = memory.speeds.iter().find(known) {
                inner.latency[bucket.position()] = Latency::recalled(speed, now);
                self.words
                    .store_latency(bucket, &inner.latency[bucket.position()]);
            }
        }
        self.publish(&inner);
    }

    /// What operators are shown of its past.
    pub fn show(&self, now: Time) -> Past {
        self.past().show(now)
    }

    /// The belief alone, for an operator.
    pub fn expected_success(&self, now: Time) -> f32 {
        self.words.posterior().expect(now)
    }

    /// The masses of recent success and failure that the belief is made of, for an operator.
    pub fn evidence(&self, now: Time) -> (f32, f32) {
        let posterior = self.words.posterior().at(now);
        (posterior.success, posterior.failure)
    }

    /// Tokens a second expected of the next stream, for an operator.
    pub fn throughput(&self, now: Time) -> Option<f32> {
        self.words.throughput().expect(now)
    }

    /// Until when a Retry-After keeps requests away, for an operator.
    pub fn blocked_until(&self) -> Time {
        self.words.blocked_until()
    }

    /// How often its own breaker has entered a state since the endpoint is known.
    pub fn entered(&self, state: State) -> u32 {
        self.lock().breaker.entered[state as usize]
    }

    /// The learnt limit on requests a second, for an operator; `None` where there is none that binds.
    pub fn rate_cap(&self, now: Time) -> Option<f32> {
        self.lock().cap.told(now)
    }

    /// What is left of each limit that the upstream told, for an operator.
    pub fn remaining(&self, now: Time) -> Vec<Remaining> {
        self.lock().pacing.show(now)
    }

    /// Notes what is asked of it now, as the caller counts such things.
    pub fn note_asked(&self, what: u8) {
        self.asked.store(what, Relaxed);
    }

    /// What was asked of it last; 0 where nothing was.
    pub fn asked(&self) -> u8 {
        self.asked.load(Relaxed)
    }

    /// Trips since the process began.
    pub fn trips(&self) -> u64 {
        self.lock().breaker.trips
    }
}
