//! Owns the reading of an upstream's chunks as the hub's events. Must never keep a piece: of a choice it
//! remembers which calls have begun, whether it is finished, and what its text began with.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::detail::{Detail, known_format};
use super::fields::Content;
use super::said::{
    Annotation, Said, SaidCall, SaidFunction, SaidPart, content_parts, finish_of, own_call_id,
    thoughts,
};
use crate::core::exchange::{Progress, StreamEvent, Usage};
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::error_facts;
use crate::wire::hub::{Event, Part, ThoughtKind};
use crate::wire::json::Word;
use crate::wire::openai::shape::{is_error, usage};

const DONE: &str = "[DONE]";
/// Choices and calls of one that are kept apart: OpenAI allows 128 choices and 128 tools. Beyond it is nonsense.
const MOST: usize = 128;

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The upstream's id, once the stream began.
    started: Option<String>,
    counted: bool,
    choices: Vec<Choice>,
}

/// What is remembered of a choice.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    calls: Vec<Call>,
    finished: bool,
    refused: bool,
    /// Its text's first letter, blanks left out.
    begins_with: Option<u8>,
}

/// A call that has begun; its place in the list is the hub's index.
#[derive(Debug)]
struct Call {
    /// The upstream's index.
    index: u32,
    /// The upstream's id; empty where it gave none.
    id: String,
}

/// More was said than a stream can hold, or something that cannot be in one.
#[derive(Debug)]
struct Nonsense;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    choices: Option<Vec<Delta<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    index: Option<u32>,
    #[serde(borrow, rename = "delta")]
    said: Option<Said<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Word<'a>>,
}

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        let Ok(json) = std::str::from_utf8(frame.data).map(str::trim_ascii) else {
            return self.malformed();
        };
        match json {
            _ if frame.is_error => error(json),
            "" => StreamEvent::Idle,
            DONE => StreamEvent::Done,
            json => self.read_chunk(json, pieces),
        }
    }
}

impl Reader {
    fn read_chunk(&mut self, json: &str, pieces: &mut Vec<Event>) -> StreamEvent {
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(json) else {
            return self.malformed();
        };
        if chunk.is_error() {
            return error(json);
        }
        if chunk.is_shapeless() {
            return self.malformed();
        }
        if chunk.has_failed_choice() {
            return StreamEvent::Error(Box::new(error_facts::error_in_choice(json.as_bytes())));
        }
        let from = pieces.len();
        self.start(&chunk, pieces);
        let counted = usage(chunk.usage);
        for delta in chunk.choices.into_iter().flatten() {
            if self.read_delta(delta, pieces).is_err() {
                pieces.truncate(from);
                return StreamEvent::Malformed { fatal: true };
            }
        }
        self.count(counted, pieces);
        let new = pieces.get(from..).unwrap_or_default();
        StreamEvent::Progress(Progress {
            content: new.iter().any(Event::is_content),
            finished: self.is_finished(),
            last: false,
            usage: counted,
        })
    }

    fn start(&mut self, chunk: &Chunk<'_>, pieces: &mut Vec<Event>) {
        // Azure begins with a chunk about the prompt, which has neither choices nor an id.
        let nothing = chunk.choices.as_ref().is_none_or(Vec::is_empty);
        let id = chunk.id.and_then(|id| serde_json::from_str(id.get()).ok());
        let id: String = id.unwrap_or_default();
        if self.started.is_some() || (nothing && id.is_empty()) {
            return;
        }
        pieces.push(Event::Start {
            id: id.clone(),
            created: chunk
                .created
                .and_then(|created| created.get().parse().ok())
                .unwrap_or(0),
        });
        self.started = Some(id);
    }

    fn read_delta(&mut self, delta: Delta<'_>, pieces: &mut Vec<Event>) -> Result<(), Nonsense> {
        let answer = self.started.as_deref().unwrap_or_default();
        let choice = Choice::at(&mut self.choices, delta.index.unwrap_or(0))?;
        choice.say(answer, delta.said.unwrap_or_default(), pieces)?;
        let finish = finish_of(delta.finish_reason.as_deref(), choice.refused);
        // OpenRouter says it twice.
        if let Some(finish) = finish.filter(|_| !choice.finished) {
            choice.finished = true;
            pieces.push(Event::Finish {
                choice: choice.index,
                finish,
            });
        }
        Ok(())
    }

    /// Some count in every chunk: what stands at the end counts.
    fn count(&mut self, usage: Option<Usage>, pieces: &mut Vec<Event>) {
        let Some(usage) = usage.filter(|_| self.is_finished() && !self.counted) else {
            return;
        };
        self.counted = true;
        pieces.push(Event::Usage(usage));
    }

    fn is_finished(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(|choice| choice.finished)
    }

    fn malformed(&self) -> StreamEvent {
        StreamEvent::Malformed {
            fatal: self.choices.iter().any(Choice::must_be_whole),
        }
    }
}

fn error(json: &str) -> StreamEvent {
    StreamEvent::Error(Box::new(error_facts::error_in_answer(json.as_bytes())))
}

// === impl Chunk ===

impl Chunk<'_> {
    fn is_error(&self) -> bool {
        let bare = self.choices.is_none() && (self.message.is_some() || self.detail.is_some());
        bare || is_error(self.error, self.object)
    }

    /// An object that has nothing of a chunk in it.
    fn is_shapeless(&self) -> bool {
        self.choices.is_none() && self.object.is_none() && self.id.is_none() && self.usage.is_none()
    }

    fn has_failed_choice(&self) -> bool {
        let mut choices = self.choices.iter().flatten();
        choices.any(|choice| choice.finish_reason.as_deref() == Some("error"))
    }
}

// === impl Choice ===

impl Choice {
    fn at(choices: &mut Vec<Self>, index: u32) -> Result<&mut Self, Nonsense> {
        let found = choices.iter().position(|choice| choice.index == index);
        let place = match found {
            Some(place) => place,
            None if choices.len() == MOST => return Err(Nonsense),
            None => {
                choices.push(Self {
                    index,
                    ..Self::default()
                });
                choices.len() - 1
            }
        };
        choices.get_mut(place).ok_or(Nonsense)
    }

    /// A missing piece would be taken for the whole: a call is open, or the text looks like JSON. Whether JSON
    /// was asked for is not known here.
    fn must_be_whole(&self) -> bool {
        !self.finished && (!self.calls.is_empty() || matches!(self.begins_with, Some(b'{' | b'[')))
    }

    fn say(
        &mut self,
        answer: &str,
        said: Said<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Nonsense> {
        let mut calls = said.tool_calls.unwrap_or_default();
        let plain = said.reasoning.or(said.reasoning_content);
        self.think(said.reasoning_details, plain, &mut calls, pieces);
        self.speak(said.content, pieces).map_err(|_| Nonsense)?;
        if let Some(text) = said.refusal.filter(|text| !text.is_empty()) {
            self.refused = true;
            let choice = self.index;
            pieces.push(Event::Refusal { choice, text });
        }
        self.cite(said.annotations, pieces);
        calls
            .into_iter()
            .try_for_each(|call| self.call(answer, call, pieces))
    }

    fn think(
        &self,
        details: Option<Vec<Detail<'_>>>,
        plain: Option<String>,
        calls: &mut [SaidCall<'_>],
        pieces: &mut Vec<Event>,
    ) {
        for thought in thoughts(details, plain) {
            let encrypted = thought.kind == ThoughtKind::Encrypted;
            let of_call = calls
                .iter_mut()
                .find(|call| encrypted && thought.id.is_some() && call.id == thought.id);
            if let Some(call) = of_call {
                call.detail = Some(thought.text);
                continue;
            }
            if thought.text.is_empty() && thought.signature.is_none() {
                continue;
            }
            pieces.push(Event::Thought {
                choice: self.index,
                kind: thought.kind,
                text: thought.text,
                signature: thought.signature,
                id: thought.id,
                format: thought.format.as_deref().and_then(known_format),
            });
        }
    }

    /// `Err`: content of a type that cannot be translated.
    fn speak(
        &mut self,
        content: Content<SaidPart<'_>>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), String> {
        for part in content_parts(content, "content")? {
            match part {
                Part::Text { text, .. } if text.is_empty() => {}
                Part::Text { text, .. } => {
                    let first = text.trim_ascii_start().bytes().next();
                    self.begins_with = self.begins_with.or(first);
                    pieces.push(Event::Text {
                        choice: self.index,
                        text,
                    });
                }
                Part::Thought(thought) => pieces.push(Event::Thought {
                    choice: self.index,
                    kind: thought.kind,
                    text: thought.text,
                    signature: None,
                    id: None,
                    format: None,
                }),
                Part::Refusal(text) => {
                    self.refused = true;
                    pieces.push(Event::Refusal {
                        choice: self.index,
                        text,
                    });
                }
                Part::Image(_)
                | Part::Document(_)
                | Part::Audio { .. }
                | Part::ToolCall(_)
                | Part::ToolResult(_) => return Err("not in a stream".to_owned()),
            }
        }
        Ok(())
    }

    fn cite(&self, annotations: Option<Vec<Annotation<'_>>>, pieces: &mut Vec<Event>) {
        let citations = annotations
            .into_iter()
            .flatten()
            .filter_map(Annotation::into_citation);
        pieces.extend(citations.map(|citation| Event::Citation {
            choice: self.index,
            citation,
        }));
    }

    fn call(
        &mut self,
        answer: &str,
        mut said: SaidCall<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<(), Nonsense> {
        let signature = said.detail.take().or_else(|| said.signature());
        let id = said.id.unwrap_or_default();
        let function = said.function;
        let json = function.as_ref().map(SaidFunction::arguments);
        let name = function.and_then(|function| function.name);
        // Where no index is given, each call comes whole, or goes on with the last one.
        let last = self.calls.last().map_or(0, |call| call.index);
        let upstream = said.index.unwrap_or(last);
        let choice = self.index;
        let open = self.open_call(upstream, &id);
        let index = open.map_or_else(|| self.begin_call(upstream, &id), Ok)?;
        if open.is_none() {
            pieces.push(Event::ToolCall {
                choice,
                index,
                id: match id.is_empty() {
                    true => own_call_id(answer, choice, index),
                    false => id,
                },
                name: name.unwrap_or_default(),
                signature,
            });
        }
        if let Some(json) = json.filter(|json| !json.is_empty()) {
            pieces.push(Event::Arguments {
                choice,
                index,
                json,
            });
        }
        Ok(())
    }

    /// The call that a piece goes on with: of its index, and of its id where it has one. Gemini's layer gives
    /// several calls the index 0, each with an id of its own.
    fn open_call(&self, upstream: u32, id: &str) -> Option<u32> {
        let place = self.calls.iter().rposition(|call| {
            call.index == upstream && (id.is_empty() || call.id.is_empty() || call.id == id)
        })?;
        u32::try_from(place).ok()
    }

    fn begin_call(&mut self, upstream: u32, id: &str) -> Result<u32, Nonsense> {
        if self.calls.len() == MOST {
            return Err(Nonsense);
        }
        self.calls.push(Call {
            index: upstream,
            id: id.to_owned(),
        });
        u32::try_from(self.calls.len() - 1).map_err(|_| Nonsense)
    }
}
