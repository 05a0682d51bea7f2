//! Owns what operators see of an endpoint's standing, and what they decide by hand. Must never change what was
//! learnt.

use std::time::Duration;

use crate::core::catalog::EndpointIx;
use crate::core::health::{Health, State};
use crate::core::time::Time;

/// Where an endpoint stands for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    In(State),
    /// Taken out by hand.
    Drained,
}

impl Condition {
    /// Every one.
    pub const ALL: [Condition; 5] = [
        Condition::In(State::Closed),
        Condition::In(State::Open),
        Condition::In(State::HalfOpen),
        Condition::In(State::Ramp),
        Condition::Drained,
    ];

    /// The name used in metrics and the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Condition::In(state) => state.as_str(),
            Condition::Drained => "drained",
        }
    }
}

impl Health {
    /// Takes an endpoint out by hand: no attempt begins there any more, not even where everything else fails, and no
    /// probe; what is under way finishes. Returns whether it was in.
    pub fn drain(&self, endpoint: EndpointIx) -> bool {
        self.slot(endpoint).own.set_drained(true)
    }

    /// Lets a drained endpoint in again, as healthy or sick as it was. Returns whether it was drained.
    pub fn enable(&self, endpoint: EndpointIx) -> bool {
        self.slot(endpoint).own.set_drained(false)
    }

    /// Whether an operator has taken the endpoint out. Takes no lock.
    pub fn is_drained(&self, endpoint: EndpointIx) -> bool {
        self.slot(endpoint).own.is_drained()
    }

    /// How long the endpoint, its host or its key has been barred without a change; zero where none is.
    pub(crate) fn rested(&self, endpoint: EndpointIx, now: Time) -> Duration {
        let slot = self.slot(endpoint);
        let gates = [slot.own.breaker(), slot.host.breaker(), slot.key.breaker()];
        let barred = gates
            .iter()
            .filter(|gate| matches!(gate.state, State::Open | State::HalfOpen));
        let since = barred.map(|gate| now.since(gate.since));
        since.max().unwrap_or_default()
    }

    /// Where an endpoint stands with its host and key: the state that keeps most traffic away.
    pub fn state(&self, endpoint: EndpointIx, now: Time) -> State {
        let slot = self.slot(endpoint);
        let states = [
            slot.own.state(&self.settings, now),
            slot.host.state(&self.settings, now),
            slot.key.state(&self.settings, now),
        ];
        let rank = |state: &State| match state {
            State::Closed => 0,
            State::Ramp => 1,
            State::HalfOpen => 2,
            State::Open => 3,
        };
        states.into_iter().max_by_key(rank).unwrap_or_default()
    }

    /// The same for operators, who may have taken it out.
    pub fn condition(&self, endpoint: EndpointIx, now: Time) -> Condition {
        match self.is_drained(endpoint) {
            true => Condition::Drained,
            false => Condition::In(self.state(endpoint, now)),
        }
    }
}
