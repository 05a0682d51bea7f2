//! Owns the breaker that all endpoints of one host, or of one key, share: fifty models at one vendor need
//! not discover one dead key fifty times. Must never count an endpoint's own failures.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::health::breaker::{Breaker, RestKind, State};
use crate::core::health::effect::Testimony;
use crate::core::health::endpoint::Verdict;
use crate::core::health::memory::BreakerMemory;
use crate::core::health::settings::HealthSettings;
use crate::core::health::words::GateWord;
use crate::core::time::Time;

/// What a gate made of an attempt's testimony.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    Tripped,
    /// It rested, and begins to let traffic through again.
    Recovered,
}

/// A breaker shared by endpoints.
#[derive(Debug, Default)]
pub struct Gate {
    pub(crate) word: GateWord,
    breaker: Mutex<Breaker>,
}

impl Gate {
    /// Where the gate stands at `now`.
    pub fn state(&self, settings: &HealthSettings, now: Time) -> State {
        let mut breaker = *self.lock();
        breaker.settle(settings, now);
        breaker.state
    }

    pub(crate) fn breaker(&self) -> Breaker {
        *self.lock()
    }

    /// What outlives the process.
    pub(crate) fn remember(&self, now: Time) -> BreakerMemory {
        self.lock().remember(now)
    }

    /// Goes on from what was remembered `away` ago.
    pub(crate) fn recall(&self, memory: &BreakerMemory, away: Duration, now: Time) {
        let mut breaker = self.lock();
        breaker.recall(memory, away, now);
        self.word.store(&breaker);
    }

    /// Begins a probe if the gate awaits one.
    pub(crate) fn begin_probe(&self, now: Time, actively: bool) -> bool {
        let mut breaker = self.lock();
        let begins = breaker.awaits_probe(now);
        if begins {
            breaker.begin_probe(now, actively);
            self.word.store(&breaker);
        }
        begins
    }

    /// Takes what an attempt says about the gate.
    pub(crate) fn hear(
        &self,
        testimony: Testimony,
        kind: RestKind,
        settings: &HealthSettings,
        verdict: &Verdict,
    ) -> Heard {
        if testimony != Testimony::Failed && self.word.is_closed() {
            return Heard::Nothing;
        }
        let mut breaker = self.lock();
        breaker.settle(settings, verdict.now);
        let heard = match testimony {
            Testimony::Works => {
                let counts = verdict.started >= breaker.tripped;
                match counts && breaker.succeed(settings, verdict.now) {
                    true => Heard::Recovered,
                    false => Heard::Nothing,
                }
            }
            Testimony::Silent => {
                if verdict.probe {
                    breaker.release_probe();
                }
                Heard::Nothing
            }
            Testimony::Failed if breaker.trips_on(kind, true, verdict.started) => {
                breaker.trip(kind, settings, &verdict.cause());
                Heard::Tripped
            }
            Testimony::Failed => Heard::Nothing,
        };
        self.word.store(&breaker);
        heard
    }

    #[cfg(test)]
    pub(crate) fn guards(&self) -> impl Sized {
        self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
