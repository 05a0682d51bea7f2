//! The table of dialects and the faces that each has: one to upstreams (`Upstream`), and for those that clients
//! use, one to them (`Downstream`). A further dialect is a folder of its own and a line here.
//! Must never hold a rule of one dialect: what differs between them is behind the faces.

use std::fmt::Debug;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::core::exchange::StreamEvent;
use crate::core::outcome::ErrorFacts;
use crate::wire::client_error::{ClientError, RequestError, Skin};
use crate::wire::hub::{Answer, Event, Request};

/// How requests of a dialect are sent, and what comes back is read.
pub trait Upstream: Debug + Sync {
    /// What stands after the root of a provider's API, a query included.
    fn path(&self, target: &Target<'_>) -> String;

    /// Headers that every request has, unless the client's own is passed on.
    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How events are told apart in a stream.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// What of a request the dialect cannot say: fields that are left out and change little, by their names
    /// in chat requests, or the one without which the answer would not be what was asked for.
    ///
    /// # Errors
    /// The request cannot be sent in this dialect.
    fn losses(&self, request: &Request) -> Result<Vec<&'static str>, Unsupported>;

    /// [`Upstream::losses`] where they depend on the model too, by the provider's name for it.
    ///
    /// # Errors
    /// The request cannot be sent in this dialect.
    fn losses_for(&self, request: &Request, model: &str) -> Result<Vec<&'static str>, Unsupported> {
        let _ = model;
        self.losses(request)
    }

    /// The body for an upstream that calls the model `model`. What [`Upstream::losses_for`] names is not in it.
    fn write_request(&self, request: &Request, model: &str) -> Bytes;

    /// Reads a complete answer of status 200.
    fn read_answer(&self, body: &[u8]) -> Whole;

    /// A reader for one stream.
    fn reader(&self) -> Box<dyn ReadEvents>;
}

/// Reads the events of one upstream attempt.
pub trait ReadEvents: Debug + Send {
    /// Reads the next event: what it was for the exchange, and its pieces, put behind what is in `pieces`. Pieces
    /// count only where the event was progress.
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent;
}

/// How requests of a dialect are read, and answers in it are written.
pub trait Downstream: Debug + Sync {
    /// The whole request.
    ///
    /// # Errors
    /// It is not the dialect's format; the message names the place.
    fn read_request(&self, body: &Bytes) -> Result<Request, RequestError>;

    /// A complete answer. The body is that of the request.
    fn write_answer(&self, answer: &Answer, reply: &Reply<'_>) -> Bytes;

    /// A writer for one stream.
    fn writer(&self, reply: &Reply<'_>) -> Box<dyn WriteEvents>;

    /// An error as the body of an answer; the status is the caller's to set.
    fn write_error(&self, error: &ClientError) -> Bytes;

    /// The end of a stream that was passed on untouched, and broke. `sequence` is the number of events before it.
    fn stream_error(&self, error: &ClientError, sequence: u64) -> Bytes;

    /// Where an answer, or an event of one, names its model.
    fn model_in<'a>(&self, json: &'a str) -> Option<&'a RawValue>;
}

/// Writes one stream.
pub trait WriteEvents: Debug + Send {
    /// Adds a piece.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Ends the stream, whole: what is open is closed. Comes once, after the last piece.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Ends the stream, broken. Comes in the place of `end`.
    fn fail(&mut self, error: &ClientError, out: &mut Vec<u8>);
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// What the provider calls the model.
    pub model: &'a str,
    pub stream: bool,
}

/// What an answer of ours says beside what the upstream said.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The body of the request, for what the dialect repeats of it.
    pub request: &'a Bytes,
    /// The catalogue's name of the model that answers.
    pub model: &'a str,
    /// The answer's id where the upstream gives none, without the dialect's prefix.
    pub id: &'a str,
    /// Seconds since 1970.
    pub now: u64,
    /// The client asked for the usage of a stream; only chat leaves the choice.
    pub usage: bool,
    /// Whose clients are spoken to.
    pub skin: Skin,
}

/// How events are told apart in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    Sse,
    /// AWS's binary event stream.
    EventStream,
}

/// One event of a stream, whatever frames it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The event's name where the framing has one; empty else.
    pub name: &'a str,
    pub data: &'a [u8],
    /// The framing itself says that it is an error.
    pub is_error: bool,
}

/// What a complete body of status 200 was.
#[derive(Clone, Debug)]
pub enum Whole {
    Good(Answer),
    /// An error inside a 200.
    Error(Box<ErrorFacts>),
    /// Not the dialect's format.
    Malformed,
}

/// A request cannot be said in a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot carry '{0}'")]
pub struct Unsupported(
    /// The field of the request, as a chat request names it.
    pub &'static str,
);

#[cfg(test)]
pub(in crate::wire) mod sample;
