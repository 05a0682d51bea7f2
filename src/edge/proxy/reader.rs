//! Owns the bytes of one attempt's answer until they are read: cuts events, gathers JSON, and says what each
//! piece was. In reading order: this file, `events` (streams), `whole` (one JSON answer). Must never keep more than the
//! hold allows.

mod events;
mod whole;

use bytes::Bytes;

use crate::core::exchange::{AttemptId, Input};
use crate::edge::proxy::request::Incoming;
use crate::wire::client_error::ClientError;
use crate::wire::dialects::Dialect;
use crate::wire::rope::Rope;

use events::EventReader;
use whole::WholeReader;

/// Reads one attempt's answer.
#[derive(Debug)]
pub(crate) enum Reader {
    Events(EventReader),
    Whole(WholeReader),
}

/// What was read: what the exchange is told, and the bytes it is about.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) input: Input,
    pub(crate) bytes: Rope,
}

/// Whose answer is read, and for whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) incoming: &'a Incoming,
    /// The catalogue's name of the model that answers.
    pub(crate) model: &'a str,
    /// The dialect of the upstream, where it is not the client's.
    pub(crate) dialect: Option<Dialect>,
}

impl Piece {
    fn of(input: Input) -> Self {
        Self {
            input,
            bytes: Rope::default(),
        }
    }
}

impl Reader {
    /// A reader of events.
    pub(crate) fn events(answered: Answered<'_>) -> Self {
        Self::Events(EventReader::new(answered))
    }

    /// A reader of a JSON answer of which `cap` bytes may be held.
    pub(crate) fn whole(answered: Answered<'_>, cap: usize) -> Self {
        Self::Whole(WholeReader::new(answered, cap))
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        match self {
            Reader::Events(reader) => reader.push(chunk),
            Reader::Whole(reader) => reader.push(chunk),
        }
    }

    pub(crate) fn end(&mut self) {
        match self {
            Reader::Events(reader) => reader.end(),
            Reader::Whole(reader) => reader.end(),
        }
    }

    /// The next piece, `None` until more is pushed.
    pub(crate) fn next(&mut self, id: AttemptId) -> Option<Piece> {
        match self {
            Reader::Events(reader) => reader.next(id),
            Reader::Whole(reader) => reader.next(id),
        }
    }

    /// What to add to an answer that ended without its own end.
    pub(crate) fn close(&mut self) -> Option<Bytes> {
        match self {
            Reader::Events(reader) => reader.close(),
            Reader::Whole(_) => None,
        }
    }

    /// The upstream's id of its answer, where that goes to the client as it is in another dialect than chat's.
    pub(crate) fn answer_id(&self) -> Option<&str> {
        match self {
            Reader::Events(reader) => reader.answer_id(),
            Reader::Whole(reader) => reader.answer_id(),
        }
    }

    /// The end of a stream that broke, in the client's dialect; `None` where it is no stream.
    pub(crate) fn broken(&mut self, error: &ClientError, incoming: &Incoming) -> Option<Bytes> {
        match self {
            Reader::Events(reader) => Some(reader.broken(error, incoming)),
            Reader::Whole(_) => None,
        }
    }
}
