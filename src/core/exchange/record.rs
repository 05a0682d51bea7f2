//! Owns what became of an exchange, for health, metrics, the log and the answer's headers.
//! Must never hold content or secrets.

use std::time::Duration;

use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::exchange::input::Usage;
use crate::core::health::Kind;
use crate::core::outcome::Class;
use crate::core::time::Time;

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
