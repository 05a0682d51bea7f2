//! Owns when a request of our own asks how an open endpoint is, and what its end does: opt-in, where there is too little
//! traffic to find out (routing-algorithm 7). Must never touch a drained endpoint, a closed one, or what clients are told.

use std::time::Duration;

use crate::core::catalog::EndpointIx;
use crate::core::health::breaker::Breaker;
use crate::core::health::endpoint::Verdict;
use crate::core::health::{Bucket, Health, Heard, Kind, Slot};
use crate::core::outcome::{Class, Scope};
use crate::core::time::Time;

/// A pool with more requests a second finds out by its own traffic (7).
const BUSY: f32 = 5.0;
/// No two probes are closer, unless `every` says so (7).
const CLOSEST: Duration = Duration::from_secs(10);
/// An open endpoint that nobody has probed for so many times `every` is probed by real traffic after all: an embedding
/// host may not run the service, and a wildcard has no model's name to ask for.
const NOBODY_PROBES: u32 = 3;

/// What is to be done to find out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActiveErrand {
    /// Its host alone is in doubt: a connection is enough, and free.
    Connect,
    /// The smallest request.
    Ask,
}

/// What became of it.
#[derive(Clone, Copy, Debug)]
pub struct ActiveEnd {
    pub errand: ActiveErrand,
    pub class: Class,
    pub retry_after: Option<Duration>,
    pub started: Time,
    /// 0..1, for the jitter of a back-off.
    pub jitter: f32,
}

impl Health {
    /// Begins a probe of our own, if one is due: nothing but resting gates keeps traffic away, they all await a probe,
    /// and their last is long enough ago. Whoever shares a gate that is being probed waits.
    pub fn begin_active_probe(&self, endpoint: EndpointIx, now: Time) -> Option<ActiveErrand> {
        let every = self.settings.active_probe?.every;
        let slot = self.slot(endpoint);
        if slot.own.is_drained() || !self.is_quiet(slot, now) {
            return None;
        }
        let (own, host, key) = (slot.own.breaker(), slot.host.breaker(), slot.key.breaker());
        let mut barring = [&own, &host, &key].into_iter().filter(|gate| bars(gate));
        if !barring.clone().all(|gate| gate.awaits_probe(now)) {
            return None;
        }
        let rest = barring.clone().map(Breaker::rest).max()?;
        let apart = rest.max(CLOSEST).min(every);
        let due = |gate: &Breaker| gate.last_probe.is_none_or(|last| now.since(last) >= apart);
        if !barring.all(due) {
            return None;
        }
        if !bars(&own) && !bars(&key) {
            let begins = slot.host.begin_probe(now, true);
            return begins.then_some(ActiveErrand::Connect);
        }
        let requests = self.pools[slot.pool.get()].requests();
        let begun = [
            slot.key.begin_probe(now, true),
            slot.host.begin_probe(now, true),
            slot.own.begin_probe(requests, now, true),
        ];
        begun.contains(&true).then_some(ActiveErrand::Ask)
    }

    /// A probe of our own is over. An answer that only finds fault with the request comes from one that works. Nothing
    /// of it is counted for clients: not in the pool's success, not in its budget, not in an endpoint's speed.
    /// Returns whether it tripped a breaker: the endpoint's, its host's or its key's.
    pub fn end_active_probe(&self, endpoint: EndpointIx, end: &ActiveEnd, now: Time) -> bool {
        let slot = self.slot(endpoint);
        let works = end.class == Class::Success || is_of_request(end.class);
        let verdict = Verdict {
            class: if works { Class::Success } else { end.class },
            started: end.started,
            retry_after: end.retry_after,
            bucket: Bucket::from(Kind::Json),
            probe: true,
            jitter: end.jitter,
            now,
        };
        let own = match (end.errand, works) {
            (ActiveErrand::Connect, _) => false,
            (ActiveErrand::Ask, true) => {
                slot.own.answer_active_probe(&self.settings, &verdict);
                false
            }
            (ActiveErrand::Ask, false) => {
                let requests = self.pools[slot.pool.get()].requests();
                slot.own.fail(&self.settings, requests, &verdict)
            }
        };
        let gates = self.tell_gates(slot, &verdict);
        self.forgive(slot, gates, now);
        own || gates.host == Heard::Tripped || gates.key == Heard::Tripped
    }

    /// Whether real traffic leaves the probing to us.
    pub(super) fn is_probed_actively(&self, slot: &Slot, now: Time) -> bool {
        let Some(settings) = self.settings.active_probe else {
            return false;
        };
        let gates = [slot.own.breaker(), slot.host.breaker(), slot.key.breaker()];
        let barring = gates.iter().filter(|gate| bars(gate));
        let latest = barring.map(|gate| gate.until.max(gate.last_probe.unwrap_or_default()));
        let patience = settings.every.saturating_mul(NOBODY_PROBES);
        let somebody = latest
            .max()
            .is_some_and(|latest| now.since(latest) < patience);
        somebody && self.is_quiet(slot, now)
    }

    fn is_quiet(&self, slot: &Slot, now: Time) -> bool {
        self.pools[slot.pool.get()].rate(now) < BUSY
    }
}

fn bars(gate: &Breaker) -> bool {
    gate.is_barring()
}

fn is_of_request(class: Class) -> bool {
    class.scope() == Scope::Request && !matches!(class, Class::ClientGone | Class::Superseded)
}

#[cfg(test)]
mod tests;
