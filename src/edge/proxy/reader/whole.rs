//! Owns the gathering and reading of an answer that is one JSON body. Must never let a part of one pass for an answer
//! that somebody has read.

use bytes::Bytes;

use crate::core::exchange::{AnswerFacts, AttemptId, Failure, Input, StreamEvent};
use crate::core::outcome::ErrorFacts;
use crate::edge::proxy::reader::events::reply;
use crate::edge::proxy::reader::{Answered, Piece};
use crate::edge::proxy::request::Incoming;
use crate::wire::anthropic::count;
use crate::wire::client_error::Skin;
use crate::wire::client_request::operation::Operation;
use crate::wire::dialect::{Downstream, Reply, Whole};
use crate::wire::dialects::{Ask, Dialect};
use crate::wire::openai::answer::{self, Answer};
use crate::wire::rope::Rope;
use crate::wire::splice::renamed;

/// The longest answer that is gathered to be translated: as the longest event of a stream.
const LONGEST_TRANSLATED: usize = 16 * 1024 * 1024;

/// Gathers a JSON answer.
#[derive(Debug)]
pub(crate) struct WholeReader {
    form: Form,
    body: Rope,
    model: String,
    /// The upstream's, where its answer passes through.
    answer_id: Option<String>,
    /// Held back no longer: chunks pass as they come.
    released: bool,
    /// What was held until then, in the catalogue's name.
    beginning: Rope,
    ended: bool,
    /// The client asked for a stream.
    expected_events: bool,
    cap: usize,
}

/// What becomes of the answer.
#[derive(Debug)]
enum Form {
    OpenAi(Operation),
    /// A number of tokens.
    Count,
    Passing(Dialect, &'static dyn Downstream),
    /// Boxed: few answers are.
    Translating(Box<Translating>),
}

#[derive(Debug)]
struct Translating {
    dialect: Dialect,
    face: &'static dyn Downstream,
    /// What the client's dialect repeats of the request.
    request: Bytes,
    id: String,
    now: u64,
    skin: Skin,
}

/// An answer that was read.
enum Read {
    /// With its upstream's id, where it passes through.
    Good(AnswerFacts, Rope, Option<String>),
    Error(Box<ErrorFacts>),
    Malformed,
}

impl WholeReader {
    pub(super) fn new(answered: Answered<'_>, cap: usize) -> Self {
        Self {
            form: Form::new(answered),
            body: Rope::default(),
            model: answered.model.to_owned(),
            answer_id: None,
            released: false,
            beginning: Rope::default(),
            ended: false,
            expected_events: answered.incoming.request.facts.stream,
            cap,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.body.push(chunk);
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn answer_id(&self) -> Option<&str> {
        self.answer_id.as_deref()
    }

    pub(super) fn next(&mut self, id: AttemptId) -> Option<Piece> {
        if self.released {
            return self.next_released(id);
        }
        if self.ended {
            return Some(self.whole(id));
        }
        if self.body.len() <= self.cap {
            return None;
        }
        match self.form {
            // Released, it would reach a client that waits for events.
            _ if self.expected_events => Some(Piece::of(Input::Failed(id, Failure::Malformed))),
            Form::OpenAi(_) | Form::Passing(..) | Form::Count => {
                self.released = true;
                self.beginning = answer::read_beginning(&self.take(), &self.model);
                Some(Piece::of(Input::HoldFull(id)))
            }
            // There is nothing to release before it is whole.
            Form::Translating(_) if self.body.len() <= LONGEST_TRANSLATED => None,
            Form::Translating(_) => Some(Piece::of(Input::Failed(id, Failure::Malformed))),
        }
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
        match self.form.read(&body, &self.model) {
            Read::Error(facts) => Piece::of(Input::Failed(id, Failure::InAnswer(facts))),
            Read::Malformed => Piece::of(Input::Failed(id, Failure::Malformed)),
            // A whole answer where events were asked for: this client could not read it.
            Read::Good(..) if self.expected_events => {
                Piece::of(Input::Failed(id, Failure::Malformed))
            }
            Read::Good(facts, body, answer_id) => {
                self.answer_id = answer_id;
                Piece {
                    input: Input::Answer(id, facts),
                    bytes: body,
                }
            }
        }
    }
}

impl Form {
    fn new(answered: Answered<'_>) -> Self {
        let Answered {
            incoming, dialect, ..
        } = answered;
        match (incoming.asked.ask, dialect, incoming.asked.ask.downstream()) {
            (Ask::OpenAi(operation), None, _) | (Ask::OpenAi(operation), _, None) => {
                Form::OpenAi(operation)
            }
            (Ask::CountTokens, _, _) => Form::Count,
            (ask, None, Some(face)) => Form::Passing(ask.dialect(), face),
            (_, Some(dialect), Some(face)) => {
                Form::Translating(Box::new(Translating::new(incoming, dialect, face)))
            }
            (Ask::Responses | Ask::Messages, _, None) => Form::OpenAi(Operation::Chat),
        }
    }

    fn read(&self, body: &Bytes, model: &str) -> Read {
        match self {
            Form::OpenAi(operation) => match answer::read(*operation, body, model) {
                Answer::Good { facts, body } => Read::Good(facts, body, None),
                Answer::Error(facts) => Read::Error(facts),
                Answer::Malformed => Read::Malformed,
            },
            Form::Count => match count::read(body) {
                Some(_) => Read::Good(AnswerFacts::default(), body.clone().into(), None),
                None => Read::Malformed,
            },
            Form::Passing(dialect, face) => match dialect.upstream().read_answer(body) {
                Whole::Good(answer) => {
                    let named = renamed(body, body, model, |json| face.model_in(json));
                    let body = named.unwrap_or_else(|| body.clone());
                    Read::Good(answer.facts(), body.into(), Some(answer.id))
                }
                Whole::Error(facts) => Read::Error(facts),
                Whole::Malformed => Read::Malformed,
            },
            Form::Translating(form) => form.read(body, model),
        }
    }
}

impl Translating {
    fn new(incoming: &Incoming, dialect: Dialect, face: &'static dyn Downstream) -> Self {
        let said = reply(incoming, "");
        Self {
            dialect,
            face,
            request: incoming.body.clone(),
            id: said.id.to_owned(),
            now: said.now,
            skin: said.skin,
        }
    }

    fn read(&self, body: &Bytes, model: &str) -> Read {
        let answer = match self.dialect.upstream().read_answer(body) {
            Whole::Good(answer) => answer,
            Whole::Error(facts) => return Read::Error(facts),
            Whole::Malformed => return Read::Malformed,
        };
        let reply = Reply {
            request: &self.request,
            model,
            id: &self.id,
            now: self.now,
            usage: true,
            skin: self.skin,
        };
        let written = self.face.write_answer(&answer, &reply);
        Read::Good(answer.facts(), written.into(), None)
    }
}
