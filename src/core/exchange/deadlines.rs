//! Owns how long an attempt may take in each phase. Must never start or stop anything.

use std::time::Duration;

use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::health::{Bucket, Health, Kind, Latency};
use crate::core::plan::Plan;
use crate::core::policy::Policy;
use crate::core::timeouts;

/// Under 20 samples of its kind, where another candidate exists (amendment 8).
const COLD: Duration = Duration::from_secs(10);
/// A model that reasons without showing it is given so many times as long (amendment 8).
const REASONING: u32 = 6;
/// The longest a first token may take where nobody else could answer, or on the last attempt (3.4).
const PATIENT: Duration = Duration::from_secs(30);
/// The shortest learnt deadline: a 2 s floor cost 1 point of first attempts (section 6).
const SHORTEST: Duration = Duration::from_secs(6);
/// A probe is given less: `max(1 s, T_long + 3 * dev)` (3.2).
const PROBE_SHORTEST: Duration = Duration::from_secs(1);
/// A whole JSON answer is never given less than this unless configured (design section 4).
const ANSWER_SHORTEST: Duration = Duration::from_secs(30);
/// How many deviations beyond the usual a whole answer is given: how long it takes is how long it is, and lengths spread
/// more than first tokens do. With ten, every second failure in calm was a long answer that two endpoints in turn were
/// not given the time for (`mixed_steady`, 20 seeds: 99.95 % answered, with fifteen 99.99).
const ANSWER_DEVIATIONS: f32 = 15.0;
/// After all choices finished, the longest wait for usage and the end marker (design section 4).
pub(crate) const TAIL: Duration = Duration::from_secs(5);

/// The deadlines of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadlines {
    pub(crate) connect: Duration,
    /// Send done to the first content (stream) or the last byte (JSON).
    pub(crate) answer: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
}

/// What a deadline depends on beyond configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) bucket: Bucket,
    pub(crate) probe: bool,
    /// Another candidate could still answer, and the policy still lets it.
    pub(crate) alternative: bool,
    /// Until the policy's `deadline`, after which no attempt begins.
    pub(crate) left: Duration,
}

/// Resolves the deadlines of an attempt: policy over provider over learnt or built in, field by field.
pub(crate) fn resolve(
    policy: &Policy,
    catalog: &Catalog,
    health: &Health,
    endpoint: EndpointIx,
    circumstances: Circumstances,
) -> Deadlines {
    let written = policy.timeouts.or(catalog.endpoint(endpoint).timeouts);
    let learnt = Learnt {
        latency: health.latency(endpoint, circumstances.bucket),
        circumstances,
    };
    let answer = match circumstances.bucket.kind {
        Kind::Stream => written.first_token.unwrap_or_else(|| learnt.first_token()),
        Kind::Json => written.answer.unwrap_or_else(|| learnt.answer()),
    };
    Deadlines {
        connect: written.connect.unwrap_or(timeouts::CONNECT),
        answer,
        idle: written.idle.unwrap_or(timeouts::IDLE),
        total: written.total.unwrap_or(timeouts::TOTAL),
    }
}

/// The longest that the silence of an endpoint is borne when a plan's request begins with it.
pub fn longest_wait(
    plan: &Plan,
    catalog: &Catalog,
    health: &Health,
    endpoint: EndpointIx,
    alternative: bool,
) -> Duration {
    let circumstances = Circumstances {
        bucket: plan.facts.bucket(),
        probe: false,
        alternative: alternative && plan.policy.attempts > 1,
        left: plan.policy.deadline,
    };
    resolve(&plan.policy, catalog, health, endpoint, circumstances).answer
}

/// What the endpoint's own speed says.
struct Learnt {
    latency: Latency,
    circumstances: Circumstances,
}

impl Learnt {
    /// `clamp(T_long + 10 * dev, 6 s, 30 s)` where another candidate exists, else 30 s (3.4); cold 10 s.
    fn first_token(&self) -> Duration {
        let thinks = match self.circumstances.bucket.reasons {
            true => REASONING,
            false => 1,
        };
        match (self.circumstances.alternative, self.latency.is_cold()) {
            (false, _) => PATIENT * thinks,
            (true, true) => COLD * thinks,
            (true, false) if self.circumstances.probe => {
                self.spread(3.0).clamp(PROBE_SHORTEST, PATIENT * thinks)
            }
            (true, false) => self.spread(10.0).clamp(SHORTEST, PATIENT * thinks),
        }
    }

    /// Where another candidate exists: `T_long + 15 * dev` once the endpoint's whole answers are known, before
    /// that two thirds of what the policy's `deadline` leaves, so that silence is found out while the other may
    /// still begin (120 s where the model reasons first); from 30 s to 120 s (design section 4: "learnt, never under 30 s"). Else 120 s.
    fn answer(&self) -> Duration {
        let reasons = self.circumstances.bucket.reasons;
        let learnt = match (self.circumstances.alternative, self.latency.is_cold()) {
            (false, _) => timeouts::ANSWER,
            (true, false) => self.spread(ANSWER_DEVIATIONS),
            (true, true) if reasons => timeouts::ANSWER,
            (true, true) => self.circumstances.left * 2 / 3,
        };
        learnt.clamp(ANSWER_SHORTEST, timeouts::ANSWER)
    }

    fn spread(&self, deviations: f32) -> Duration {
        let seconds = self.latency.long + deviations * self.latency.deviation;
        Duration::try_from_secs_f32(seconds).unwrap_or(timeouts::ANSWER)
    }
}
