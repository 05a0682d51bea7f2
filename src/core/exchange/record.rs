//! Owns what became of an exchange, for health, metrics, the log and the answer's headers.
//! Must never hold content or secrets of the client's. What an upstream said of a failure is kept in its own words, and is
//! nobody's to show as it is: they may repeat either.

use std::sync::Arc;
use std::time::Duration;

use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::exchange::Exchange;
use crate::core::exchange::attempt::Attempt;
use crate::core::exchange::input::Usage;
use crate::core::health::Kind;
use crate::core::outcome::{Class, ErrorFacts};
use crate::core::policy::Policy;
use crate::core::time::Time;

/// Upper bounds of what the silences between contents are counted by; what is longer has a place of its own. Usual
/// models send 20 to 200 tokens a second; a second is a stall to whoever reads along.
pub const GAP_BOUNDS: [Duration; 7] = [
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

/// The silences between an attempt's contents, counted by their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// Each up to its bound and beyond the one before; the last ones have none.
    pub counts: [u32; GAP_BOUNDS.len() + 1],
    pub sum: Duration,
}

impl Gaps {
    pub(crate) fn note(&mut self, gap: Duration) {
        let place = GAP_BOUNDS.iter().position(|bound| gap <= *bound);
        self.counts[place.unwrap_or(GAP_BOUNDS.len())] += 1;
        self.sum += gap;
    }
}

/// One attempt that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    pub endpoint: EndpointIx,
    pub class: Class,
    pub started: Time,
    pub took: Duration,
    pub kind: Kind,
    /// When the connection stood, the last one where it was made anew.
    pub connected_at: Option<Time>,
    /// When the whole request was written.
    pub sent_at: Option<Time>,
    /// When the answer's head came; an error answer's with its end.
    pub head_at: Option<Time>,
    /// Send done to the first content (a stream's) or the whole answer (JSON).
    pub first_content: Option<Duration>,
    /// When that was.
    pub first_content_at: Option<Time>,
    pub probe: bool,
    /// Whether the endpoint, its host or its key tripped by it.
    pub tripped: bool,
    /// Events with content that came.
    pub contents: u32,
    pub gaps: Gaps,
    pub usage: Option<Usage>,
    /// What the upstream said of its failure, unmasked.
    pub told: Option<Box<ErrorFacts>>,
}

/// An attempt that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnderWay {
    pub endpoint: EndpointIx,
    pub started: Time,
    pub first_content_at: Option<Time>,
}

/// How an exchange ended for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Result {
    Answered,
    /// An error answer instead.
    Failed(Class),
    /// Begun, then ended in the dialect's error.
    Broken,
    ClientGone,
}

impl Result {
    /// The name used in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Result::Answered => "answered",
            Result::Failed(_) => "failed",
            Result::Broken => "broken",
            Result::ClientGone => "client_gone",
        }
    }
}

/// What became of an exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub asked: ModelIx,
    pub policy: Arc<Policy>,
    /// Tokens of the prompt, estimated from its size.
    pub prompt_estimate: u64,
    pub started: Time,
    pub result: Result,
    /// The endpoint that answered, whole or in part.
    pub served: Option<EndpointIx>,
    /// In the order they began.
    pub attempts: Vec<AttemptRecord>,
    /// From the exchange's begin to that of the attempt that answered; zero if it was the first.
    pub recovery: Duration,
    /// The class that moved the request to another model.
    pub fallback: Option<Class>,
    pub usage: Option<Usage>,
    /// Malformed events that were dropped.
    pub malformed: u32,
    pub took: Duration,
}

impl Exchange {
    /// What became of it. Meaningful once `Action::Finish` was given.
    pub fn record(&self) -> Record {
        Record {
            asked: self.asked(),
            policy: self.plan.policy.clone(),
            prompt_estimate: self.plan.facts.prompt_tokens(),
            started: self.started,
            result: self.result.unwrap_or(Result::ClientGone),
            served: self.served,
            attempts: self.ended.clone(),
            recovery: self.served.map_or(Duration::ZERO, |_| self.recovery()),
            fallback: self.fallback(),
            usage: self.usage,
            malformed: self.malformed,
            took: self.finished_at.since(self.started),
        }
    }

    /// The attempts that are not over.
    pub fn under_way(&self) -> impl Iterator<Item = UnderWay> {
        self.live.iter().flatten().map(|attempt| UnderWay {
            endpoint: attempt.endpoint,
            started: attempt.started,
            first_content_at: attempt.first_content,
        })
    }

    /// Notes an attempt that is over, and what the upstream said of it.
    pub(super) fn log(
        &mut self,
        attempt: &Attempt,
        (class, told): (Class, Option<Box<ErrorFacts>>),
        tripped: bool,
        now: Time,
    ) {
        let sent = attempt.sent.unwrap_or(attempt.started);
        self.ended.push(AttemptRecord {
            endpoint: attempt.endpoint,
            class,
            started: attempt.started,
            took: now.since(attempt.started),
            kind: self.bucket.kind,
            connected_at: attempt.connected,
            sent_at: attempt.sent,
            head_at: attempt.head.or(told.as_ref().map(|_| now)),
            first_content: attempt.first_content.map(|first| first.since(sent)),
            first_content_at: attempt.first_content,
            probe: attempt.probe,
            tripped,
            contents: attempt.contents,
            gaps: attempt.gaps,
            usage: attempt.usage,
            told,
        });
    }
}
