//! Owns what an exchange is told and what it asks for. Must never hold an answer's bytes.

use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::health::Health;
use crate::core::outcome::{Class, ConnectFault, ErrorFacts};
use crate::core::quota::Quotas;
use crate::core::time::Time;

/// Which of an exchange's attempts, in the order they were started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u8);

/// Tokens as the upstream counted them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole prompt's, cached ones included.
    pub prompt_tokens: u64,
    pub completion_tokens: u64,
    /// Read from a cache, among `prompt_tokens`. `None`: it does not say.
    pub cached_tokens: Option<u64>,
    /// Tokens of the prompt that were put into a cache, among `prompt_tokens`. `None`: it does not say.
    pub cache_write_tokens: Option<u64>,
    /// Among `completion_tokens`.
    pub reasoning_tokens: u64,
}

/// What one complete stream event was, as its dialect read it.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// A comment or a ping: no progress.
    Idle,
    /// A well-formed event.
    Progress(Progress),
    /// The dialect's end marker (`[DONE]`).
    Done,
    /// An error inside the stream.
    Error(Box<ErrorFacts>),
    /// Not the dialect's format. `fatal`: while a tool call or structured output was open, where a
    /// missing piece would be taken for the whole.
    Malformed { fatal: bool },
}

/// What a well-formed event brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Text, reasoning, refusal or tool-call content: what a first token is.
    pub content: bool,
    /// With this event every choice has its finish reason.
    pub finished: bool,
    /// It is the stream's last event: nothing is waited for.
    pub last: bool,
    pub usage: Option<Usage>,
}

/// What a complete JSON answer held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// No choice has any content, and none says why.
    pub empty: bool,
    pub usage: Option<Usage>,
}

/// What the driver saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The connection stands.
    Connected(AttemptId),
    /// The connection was dead before the request used it, and a new one is being opened.
    Reconnecting(AttemptId),
    /// The whole request is written.
    Sent(AttemptId),
    /// The answer's head came with a success status.
    Head(AttemptId),
    /// The answer's head tells of the upstream's limits.
    Limits(AttemptId, Box<Quotas>),
    /// A complete event of a stream.
    Event(AttemptId, StreamEvent),
    /// A complete JSON answer that parses.
    Answer(AttemptId, AnswerFacts),
    /// What is held back reached its cap: the head must go out.
    HoldFull(AttemptId),
    /// The answer ended.
    Eof(AttemptId),
    /// The attempt failed.
    Failed(AttemptId, Failure),
    /// Reading goes on after the client's own slowness held it up: silence until now was not the upstream's.
    Resumed(AttemptId),
    /// A deadline may have passed.
    Timer,
    /// The endpoint was judged silent while this attempt waited on it.
    Evacuate(AttemptId),
    /// The client left.
    ClientGone,
}

/// How an attempt failed, as the driver saw it.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// There is no access token to send.
    NoToken,
    Connect(ConnectFault),
    /// Reset, closed, or broken framing.
    Lost,
    /// An answer with an error status.
    Status(Box<ErrorFacts>),
    /// A JSON answer of status 200 that holds an error.
    InAnswer(Box<ErrorFacts>),
    /// An answer that is not the dialect's format.
    Malformed,
}

/// What the driver is asked to do, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Connect to the endpoint and send the request.
    Start {
        attempt: AttemptId,
        endpoint: EndpointIx,
    },
    /// Drop the attempt's connection.
    Cancel(AttemptId),
    /// Send the head and everything held; from now on events are relayed.
    Commit(AttemptId),
    /// Pass the latest event on (held back before commit, sent after it).
    Relay(AttemptId),
    /// Do not pass the latest event on.
    Drop(AttemptId),
    /// The end; nothing follows.
    Finish(End),
}

/// How an exchange ends for the client.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Answered whole.
    Complete,
    /// Nothing was sent yet: an error answer.
    Failed(Verdict),
    /// The answer broke after it had begun: the dialect's error event, then an abort.
    Broken(Verdict),
    /// Nobody listens any more.
    ClientGone,
}

/// What the client is told of a failed exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub class: Class,
    /// The attempt that the verdict is about, `None` where none could be made.
    pub attempt: Option<AttemptId>,
    /// What the upstream said, where it may be shown.
    pub facts: Option<Box<ErrorFacts>>,
    /// When trying again may help.
    pub retry_after: Option<std::time::Duration>,
}

/// What an exchange decides with: live health, the catalogue of its generation, randomness and the time.
#[derive(Debug)]
pub struct Scene<'a> {
    pub catalog: &'a Catalog,
    pub health: &'a Health,
    pub rng: &'a mut fastrand::Rng,
    pub now: Time,
}
