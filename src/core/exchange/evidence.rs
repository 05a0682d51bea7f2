//! Owns the way from what a driver saw to evidence, and from evidence to what a client is told. Must never decide
//! what follows.

use std::time::Duration;

use crate::core::exchange::Failed;
use crate::core::exchange::input::{Failure, Verdict};
use crate::core::health::BLOCK_IF_ABSENT;
use crate::core::outcome::{Class, ErrorFacts, Evidence, classify};

/// The wait that an upstream asked for.
pub(super) fn asked_to_wait(evidence: &Evidence) -> Option<Duration> {
    facts(evidence).and_then(|facts| facts.retry_after)
}

/// What a failure shows.
pub(super) fn evidence(failure: Failure) -> Evidence {
    match failure {
        Failure::NoToken => Evidence::NoToken,
        Failure::Connect(fault) => Evidence::Connect(fault),
        Failure::Lost => Evidence::Lost,
        Failure::Status(facts) => Evidence::Status(*facts),
        Failure::InAnswer(facts) => Evidence::InAnswer(*facts),
        Failure::Malformed => Evidence::Malformed,
    }
}

/// What the upstream said of it.
pub(super) fn facts(evidence: &Evidence) -> Option<&ErrorFacts> {
    match evidence {
        Evidence::Status(facts) | Evidence::InAnswer(facts) => Some(facts),
        Evidence::NoToken
        | Evidence::Connect(_)
        | Evidence::Lost
        | Evidence::Late(_)
        | Evidence::Malformed
        | Evidence::Empty
        | Evidence::Evacuated
        | Evidence::ClientGone
        | Evidence::Superseded => None,
    }
}

/// What the client could be told. After commit the class behind the break says more than "broken".
pub(super) fn verdict(failed: &Failed, evidence: Evidence, committed: bool) -> Verdict {
    let class = match committed {
        true => classify(&evidence, false),
        false => failed.class,
    };
    let facts = match evidence {
        Evidence::Status(facts) | Evidence::InAnswer(facts) => Some(Box::new(facts)),
        _ => None,
    };
    let asked = facts.as_ref().and_then(|facts| facts.retry_after);
    Verdict {
        class,
        attempt: Some(failed.attempt.id),
        retry_after: match class {
            Class::RateLimited => asked.or(Some(BLOCK_IF_ABSENT)),
            _ => asked,
        },
        facts,
    }
}
