//! Owns the bytes of one attempt's answer until they are read: cuts events, gathers JSON, and says what each
//! piece was. Must never keep more than the hold allows.

use bytes::Bytes;

use crate::core::exchange::{AttemptId, Failure, Input, StreamEvent};
use crate::wire::openai::answer::{self, Answer};
use crate::wire::openai::operation::Operation;
use crate::wire::openai::request::ClientRequest;
use crate::wire::openai::stream::{AnswerStream, Relay, StreamHead};
use crate::wire::openai::write::Skin;
use crate::wire::rope::Rope;
use crate::wire::sse::Splitter;

/// The longest event that is read. Images come inside events.
const LONGEST_EVENT: usize = 16 * 1024 * 1024;

/// Reads one attempt's answer.
#[derive(Debug)]
pub(crate) enum Reader {
    Events(EventReader),
    Json(JsonReader),
}

/// Reads a stream.
#[derive(Debug)]
pub(crate) struct EventReader {
    splitter: Splitter,
    stream: AnswerStream,
    ended: bool,
}

/// Gathers a JSON answer.
#[derive(Debug)]
pub(crate) struct JsonReader {
    operation: Operation,
    body: Rope,
    model: String,
    /// Held back no longer: chunks pass as they come.
    released: bool,
    /// What was held until then, in the catalogue's name.
    beginning: Rope,
    ended: bool,
    /// The client asked for a stream.
    expected_events: bool,
    cap: usize,
}

/// What was read: what the exchange is told, and the bytes it is about.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) input: Input,
    pub(crate) bytes: Rope,
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
    pub(crate) fn events(request: &ClientRequest, model: &str, skin: Skin) -> Self {
        let stream = AnswerStream::new(request.expects, model);
        Self::Events(EventReader {
            splitter: Splitter::new(LONGEST_EVENT),
            stream: match skin {
                Skin::OpenAi => stream,
                Skin::OpenRouter => stream.without_null_usage(),
            },
            ended: false,
        })
    }

    /// A reader of a JSON answer of which `cap` bytes may be held.
    pub(crate) fn json(request: &ClientRequest, model: &str, cap: usize) -> Self {
        Self::Json(JsonReader {
            operation: request.expects.operation,
            body: Rope::default(),
            model: model.to_owned(),
            released: false,
            beginning: Rope::default(),
            ended: false,
            expected_events: request.facts.stream,
            cap,
        })
    }

    pub(crate) fn push(&mut self, chunk: Bytes) {
        match self {
            Reader::Events(reader) => reader.splitter.push(chunk),
            Reader::Json(reader) => reader.body.push(chunk),
        }
    }

    pub(crate) fn end(&mut self) {
        match self {
            Reader::Events(reader) => reader.ended = true,
            Reader::Json(reader) => reader.ended = true,
        }
    }

    /// The next piece, `None` until more is pushed.
    pub(crate) fn next(&mut self, id: AttemptId) -> Option<Piece> {
        match self {
            Reader::Events(reader) => reader.next(id),
            Reader::Json(reader) => reader.next(id),
        }
    }

    /// The end marker to add to an answer that ended without one.
    pub(crate) fn close(&self) -> Option<Bytes> {
        match self {
            Reader::Events(reader) => reader.stream.close(),
            Reader::Json(_) => None,
        }
    }

    /// What an error chunk of our own repeats of the stream.
    pub(crate) fn head(&self) -> Option<&StreamHead> {
        match self {
            Reader::Events(reader) => Some(reader.stream.head()),
            Reader::Json(_) => None,
        }
    }
}

impl EventReader {
    fn next(&mut self, id: AttemptId) -> Option<Piece> {
        let event = match self.splitter.next() {
            Some(Ok(event)) => event,
            Some(Err(_)) => return Some(Piece::of(Input::Failed(id, Failure::Malformed))),
            None if !self.ended => return None,
            None => match self.splitter.finish() {
                Some(event) => event,
                None => return Some(Piece::of(Input::Eof(id))),
            },
        };
        let reading = self.stream.read(&event);
        let mut bytes = Rope::default();
        match reading.relay {
            Relay::AsIs => bytes.push(event.raw().clone()),
            Relay::Rewritten(rewritten) => bytes.push(rewritten),
            Relay::Nothing => {}
        }
        Some(Piece {
            input: Input::Event(id, reading.event),
            bytes,
        })
    }
}

impl JsonReader {
    fn next(&mut self, id: AttemptId) -> Option<Piece> {
        if self.released {
            return self.next_released(id);
        }
        if self.ended {
            return Some(self.whole(id));
        }
        if self.body.len() > self.cap && self.expected_events {
            // Released, it would reach a client that waits for events.
            return Some(Piece::of(Input::Failed(id, Failure::Malformed)));
        }
        if self.body.len() > self.cap {
            self.released = true;
            self.beginning = answer::read_beginning(&self.take(), &self.model);
            return Some(Piece::of(Input::HoldFull(id)));
        }
        None
    }

    fn next_released(&mut self, id: AttemptId) -> Option<Piece> {
        if !self.beginning.is_empty() || !self.body.is_empty() {
            let mut bytes = std::mem::take(&mut self.beginning);
            bytes.append(std::mem::take(&mut self.body));
            return Some(Piece {
                input: Input::Event(id, StreamEvent::Idle),
                bytes,
            });
        }
        self.ended.then(|| Piece::of(Input::Eof(id)))
    }

    /// What has been gathered. Most answers came in one piece, which is not copied.
    fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.body).into_bytes()
    }

    fn whole(&mut self, id: AttemptId) -> Piece {
        let body = self.take();
        match answer::read(self.operation, &body, &self.model) {
            Answer::Error(facts) => Piece::of(Input::Failed(id, Failure::InAnswer(facts))),
            Answer::Malformed => Piece::of(Input::Failed(id, Failure::Malformed)),
            // A whole answer where events were asked for: this client could not read it.
            Answer::Good { .. } if self.expected_events => {
                Piece::of(Input::Failed(id, Failure::Malformed))
            }
            Answer::Good { facts, body } => Piece {
                input: Input::Answer(id, facts),
                bytes: body,
            },
        }
    }
}
