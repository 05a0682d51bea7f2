//! Owns the reading of a stream: chat that passes untouched, other dialects that pass untouched, and what is
//! translated. Must never let a broken stream look whole.

use bytes::Bytes;

use crate::core::exchange::{AttemptId, Failure, Input, StreamEvent};
use crate::edge::clock::unix_time;
use crate::edge::proxy::reader::{Answered, Piece};
use crate::edge::proxy::request::Incoming;
use crate::wire::client_error::{ClientError, Skin};
use crate::wire::dialect::{Downstream, Frame, Framing, ReadEvents, Reply, WriteEvents};
use crate::wire::dialects::Ask;
use crate::wire::event_stream;
use crate::wire::hub;
use crate::wire::openai::stream::{AnswerStream, Reading, Relay};
use crate::wire::openai::write::stream_error;
use crate::wire::rope::Rope;
use crate::wire::splice::renamed;
use crate::wire::sse::{Data, Event, Splitter};

/// The longest event that is read. Images come inside events.
const LONGEST_EVENT: usize = 16 * 1024 * 1024;
/// Where an upstream shows that it lives and has nothing to say, in every dialect that is framed as SSE.
const STILL_THERE: &[u8] = b": ping\n\n";

/// Reads a stream.
#[derive(Debug)]
pub(crate) struct EventReader {
    frames: Frames,
    stream: Stream,
    ended: bool,
}

/// What cuts a stream into events.
#[derive(Debug)]
enum Frames {
    Sse(Splitter),
    EventStream(event_stream::Splitter),
}

/// What becomes of the events.
#[derive(Debug)]
enum Stream {
    Chat(AnswerStream),
    Passing(Box<Passing>),
    Translating(Box<Translating>),
}

/// A stream whose two sides speak one dialect, other than chat.
#[derive(Debug)]
struct Passing {
    reader: Box<dyn ReadEvents>,
    face: &'static dyn Downstream,
    /// The catalogue's name of the model.
    model: String,
    /// What was read of an event and is not needed.
    unused: Vec<hub::Event>,
    answer_id: Option<String>,
    events: u64,
}

/// A stream that comes in one dialect and goes on in another.
#[derive(Debug)]
struct Translating {
    reader: Box<dyn ReadEvents>,
    writer: Box<dyn WriteEvents>,
    /// Of the event at hand.
    pieces: Vec<hub::Event>,
    ended: bool,
}

/// A stream's events in the dialects' common form, with the bytes that are passed on where nothing is changed.
enum Cut {
    Sse(Event),
    EventStream(event_stream::Message),
}

impl EventReader {
    pub(super) fn new(answered: Answered<'_>) -> Self {
        let framing = answered.dialect.map(|dialect| dialect.upstream().framing());
        Self {
            frames: match framing {
                None | Some(Framing::Sse) => Frames::Sse(Splitter::new(LONGEST_EVENT)),
                Some(Framing::EventStream) => {
                    Frames::EventStream(event_stream::Splitter::new(LONGEST_EVENT))
                }
            },
            stream: Stream::new(answered),
            ended: false,
        }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        match &mut self.frames {
            Frames::Sse(splitter) => splitter.push(chunk),
            Frames::EventStream(splitter) => splitter.push(&chunk),
        }
    }

    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    pub(super) fn next(&mut self, id: AttemptId) -> Option<Piece> {
        let (event, bytes) = match self.frames.next(self.ended) {
            Some(Ok(cut)) => self.stream.read(&cut),
            Some(Err(())) => return Some(Piece::of(Input::Failed(id, Failure::Malformed))),
            None => return self.ended.then(|| Piece::of(Input::Eof(id))),
        };
        let mut rope = Rope::default();
        if let Some(bytes) = bytes {
            rope.push(bytes);
        }
        Some(Piece {
            input: Input::Event(id, event),
            bytes: rope,
        })
    }

    pub(super) fn close(&mut self) -> Option<Bytes> {
        match &mut self.stream {
            Stream::Chat(stream) => stream.close(),
            Stream::Passing(_) => None,
            Stream::Translating(stream) => stream.close(),
        }
    }

    pub(super) fn answer_id(&self) -> Option<&str> {
        match &self.stream {
            Stream::Passing(stream) => stream.answer_id.as_deref(),
            Stream::Chat(_) | Stream::Translating(_) => None,
        }
    }

    pub(super) fn broken(&mut self, error: &ClientError, incoming: &Incoming) -> Bytes {
        match (&mut self.stream, incoming.asked.ask) {
            (Stream::Chat(stream), Ask::OpenAi(operation)) => {
                stream_error(error, incoming.asked.skin, operation, stream.head())
            }
            // No other dialect's streams are read so.
            (Stream::Chat(_), Ask::Responses | Ask::Messages | Ask::CountTokens) => Bytes::new(),
            (Stream::Passing(stream), _) => stream.face.stream_error(error, stream.events),
            (Stream::Translating(stream), _) => {
                let mut out = Vec::new();
                stream.writer.fail(error, &mut out);
                out.into()
            }
        }
    }
}

impl Frames {
    /// The next event; the last one may lack its end where the stream has ended.
    fn next(&mut self, ended: bool) -> Option<Result<Cut, ()>> {
        match self {
            Frames::Sse(splitter) => match splitter.next() {
                Some(event) => Some(event.map(Cut::Sse).map_err(|_| ())),
                None if ended => splitter.finish().map(|event| Ok(Cut::Sse(event))),
                None => None,
            },
            Frames::EventStream(splitter) => match splitter.next() {
                Some(message) => Some(message.map(Cut::EventStream).map_err(|_| ())),
                // A message that is cut short is none.
                None if ended && !splitter.is_empty() => Some(Err(())),
                None => None,
            },
        }
    }
}

impl Stream {
    fn new(answered: Answered<'_>) -> Self {
        let Answered {
            incoming,
            model,
            dialect,
        } = answered;
        match (incoming.asked.ask, dialect, incoming.asked.ask.downstream()) {
            (Ask::OpenAi(_), None, _) | (_, _, None) => {
                let stream = AnswerStream::new(incoming.request.expects, model);
                Self::Chat(match incoming.asked.skin {
                    Skin::OpenAi | Skin::Anthropic => stream,
                    Skin::OpenRouter => stream.without_null_usage(),
                })
            }
            (ask, None, Some(face)) => Self::Passing(Box::new(Passing {
                reader: ask.dialect().upstream().reader(),
                face,
                model: model.to_owned(),
                unused: Vec::new(),
                answer_id: None,
                events: 0,
            })),
            (_, Some(dialect), Some(face)) => Self::Translating(Box::new(Translating {
                reader: dialect.upstream().reader(),
                writer: face.writer(&reply(incoming, model)),
                pieces: Vec::new(),
                ended: false,
            })),
        }
    }

    /// What an event was, and the bytes that the client gets of it.
    fn read(&mut self, cut: &Cut) -> (StreamEvent, Option<Bytes>) {
        match (self, cut) {
            (Stream::Chat(stream), Cut::Sse(event)) => {
                let Reading { event: what, relay } = stream.read(event);
                let bytes = match relay {
                    Relay::AsIs => Some(event.raw().clone()),
                    Relay::Rewritten(rewritten) => Some(rewritten),
                    Relay::Nothing => None,
                };
                (what, bytes)
            }
            (Stream::Passing(stream), Cut::Sse(event)) => stream.read(event),
            (Stream::Translating(stream), cut) => stream.read(cut),
            (Stream::Chat(_) | Stream::Passing(_), Cut::EventStream(_)) => {
                (StreamEvent::Malformed { fatal: true }, None)
            }
        }
    }
}

impl Passing {
    fn read(&mut self, event: &Event) -> (StreamEvent, Option<Bytes>) {
        let what = with_frame(event, |frame| match frame {
            Some(frame) => self.reader.read(frame, &mut self.unused),
            None => StreamEvent::Idle,
        });
        for piece in self.unused.drain(..) {
            if let hub::Event::Start { id, .. } = piece {
                self.answer_id = Some(id);
            }
        }
        match what {
            StreamEvent::Malformed { .. } | StreamEvent::Error(_) => (what, None),
            StreamEvent::Idle | StreamEvent::Progress(_) | StreamEvent::Done => {
                self.events += u64::from(!event.is_comment());
                let bytes = self.named(event);
                (what, Some(bytes))
            }
        }
    }

    /// The event with the catalogue's name of the model, closed.
    fn named(&self, event: &Event) -> Bytes {
        let changed = match event.data() {
            Data::Line(data) => renamed(event.raw(), data, &self.model, |json| {
                self.face.model_in(json)
            }),
            Data::None | Data::Joined(_) => None,
        };
        let bytes = changed.unwrap_or_else(|| event.raw().clone());
        match event.is_closed() {
            true => bytes,
            false => [&bytes[..], b"\n\n"].concat().into(),
        }
    }
}

impl Translating {
    fn read(&mut self, cut: &Cut) -> (StreamEvent, Option<Bytes>) {
        self.pieces.clear();
        let what = match cut {
            Cut::Sse(event) => with_frame(event, |frame| match frame {
                Some(frame) => self.reader.read(frame, &mut self.pieces),
                None => StreamEvent::Idle,
            }),
            Cut::EventStream(message) => self.reader.read(message.frame(), &mut self.pieces),
        };
        let bytes = match &what {
            StreamEvent::Idle => Some(Bytes::from_static(STILL_THERE)),
            StreamEvent::Malformed { .. } | StreamEvent::Error(_) => None,
            StreamEvent::Done => self.write(true),
            StreamEvent::Progress(progress) => self.write(progress.last),
        };
        (what, bytes)
    }

    fn write(&mut self, last: bool) -> Option<Bytes> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            self.writer.write(piece, &mut out);
        }
        if last && !std::mem::replace(&mut self.ended, true) {
            self.writer.end(&mut out);
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn close(&mut self) -> Option<Bytes> {
        self.pieces.clear();
        self.write(true)
    }
}

/// Hands an event on as a frame; `None` where it holds no data.
fn with_frame<T>(event: &Event, act: impl FnOnce(Option<Frame<'_>>) -> T) -> T {
    match event.data() {
        Data::None => act(None),
        Data::Line(data) => act(framed(event, data)),
        Data::Joined(data) => act(framed(event, &data)),
    }
}

fn framed<'a>(event: &'a Event, data: &'a [u8]) -> Option<Frame<'a>> {
    let data = data.trim_ascii();
    (!data.is_empty()).then(|| Frame {
        name: event.name(),
        data,
        is_error: false,
    })
}

/// What a translated answer says beside what its upstream said.
pub(super) fn reply<'a>(incoming: &'a Incoming, model: &'a str) -> Reply<'a> {
    Reply {
        request: &incoming.body,
        model,
        id: incoming
            .ids
            .generation
            .strip_prefix("gen-")
            .unwrap_or_default(),
        now: unix_time().as_secs(),
        usage: incoming.request.expects.usage,
        skin: incoming.asked.skin,
    }
}
