//! Owns what became of an exchange, for health, metrics, the log and the answer's headers.
//! Must never hold content or secrets.

use std::sync::Arc;
use std::time::Duration;

use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::exchange::attempt::Attempt;
use crate::core::exchange::input::Usage;
use crate::core::health::Kind;
use crate::core::outcome::Class;
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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttemptRecord {
    pub endpoint: EndpointIx,
    pub class: Class,
    pub started: Time,
    pub took: Duration,
    pub kind: Kind,
    /// Send done to the first content (a stream's) or the whole answer (JSON).
    pub first_content: Option<Duration>,
    /// When that was.
    pub first_content_at: Option<Time>,
    pub probe: bool,
    /// Whether the endpoint, its host or its key tripped by it.
    pub tripped: bool,
    /// Whether the whole request was written.
    pub sent: bool,
    /// As the upstream counted, where it did.
    pub usage: Option<Usage>,
    /// Events with content that came.
    pub contents: u32,
    pub gaps: Gaps,
}

impl AttemptRecord {
    /// Of an attempt that ends now.
    pub(super) fn of(attempt: &Attempt, kind: Kind, class: Class, now: Time) -> Self {
        let sent = attempt.sent.unwrap_or(attempt.started);
        Self {
            endpoint: attempt.endpoint,
            class,
            started: attempt.started,
            took: now.since(attempt.started),
            kind,
            first_content: attempt.first_content.map(|first| first.since(sent)),
            first_content_at: attempt.first_content,
            probe: attempt.probe,
            tripped: false,
            sent: attempt.sent.is_some(),
            usage: attempt.usage,
            contents: attempt.contents,
            gaps: attempt.gaps,
        }
    }
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
    /// Tokens of the prompt, estimated from the size of the body.
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
