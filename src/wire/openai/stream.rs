//! Owns the reading of one attempt's stream: what each event was, and which bytes of it go on.
//! In reading order: this file, `choices` (what is finished and what is open).
//! Must never keep an event, or parse more of it than the verdict needs.

mod choices;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::shape::{ModelValue, is_error, present, usage};
use crate::core::exchange::{Progress, StreamEvent};
use crate::core::outcome::ErrorFacts;
use crate::wire::client_request::Expects;
use crate::wire::client_request::operation::Operation;
use crate::wire::error_facts;
use crate::wire::splice::{Edit, span_of};
use crate::wire::sse::{Data, Event};

use choices::{Choices, Seen};

const DONE: &str = "[DONE]";
const DONE_EVENT: &[u8] = b"data: [DONE]\n\n";

/// Reads the events of one upstream attempt.
#[derive(Debug)]
pub struct AnswerStream {
    expects: Expects,
    model: ModelValue,
    head: StreamHead,
    choices: Choices,
    drop_null_usage: bool,
    done: bool,
}

/// What every chunk of a stream repeats, for a chunk of our own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHead {
    /// The upstream's id; empty before one came.
    pub id: String,
    /// The catalogue's name of the model.
    pub model: String,
    /// Seconds since 1970 as the upstream gave them, 0 before that.
    pub created: u64,
}

/// What an event was, and what of it the client gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    pub event: StreamEvent,
    pub relay: Relay,
}

/// Which bytes of an event go to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relay {
    AsIs,
    /// The event with the catalogue's model name.
    Rewritten(Bytes),
    Nothing,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    choices: Option<Seen>,
    #[serde(borrow, default, deserialize_with = "present")]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

// === impl AnswerStream ===

impl AnswerStream {
    /// A reader for an answer to a request that expects so much, in the name of the catalogue's `model`.
    pub fn new(expects: Expects, model: &str) -> Self {
        Self {
            expects,
            model: ModelValue::new(model),
            head: StreamHead {
                model: model.to_owned(),
                ..StreamHead::default()
            },
            choices: Choices::default(),
            drop_null_usage: false,
            done: false,
        }
    }

    /// Leaves `"usage":null` out of chunks. Providers that are asked for usage send it in every chunk but the
    /// last, and OpenRouter's own SDK takes usage only as an object.
    #[must_use]
    pub fn without_null_usage(self) -> Self {
        Self {
            drop_null_usage: true,
            ..self
        }
    }

    /// Reads the next event. One that lost its blank line gets it back: an error event after it would
    /// else become part of it.
    pub fn read(&mut self, event: &Event) -> Reading {
        let reading = self.read_event(event);
        if event.is_closed() {
            return reading;
        }
        Reading {
            relay: reading.relay.closed(event),
            ..reading
        }
    }

    fn read_event(&mut self, event: &Event) -> Reading {
        let data = match event.data() {
            Data::None => return Reading::new(StreamEvent::Idle, Relay::AsIs),
            Data::Line(line) => Cow::Borrowed(line),
            Data::Joined(joined) => Cow::Owned(joined),
        };
        match std::str::from_utf8(&data).map(str::trim_ascii) {
            // No client's JSON parser takes it, and it says nothing.
            Ok("") => Reading::new(StreamEvent::Idle, Relay::Nothing),
            Ok(DONE) => {
                self.done = true;
                Reading::new(StreamEvent::Done, Relay::AsIs)
            }
            Ok(json) => self.read_json(event, json),
            Err(_) => self.malformed(),
        }
    }

    /// What its chunks repeat, as far as it is known.
    pub fn head(&self) -> &StreamHead {
        &self.head
    }

    /// The end marker to add, where the upstream ended after every choice was finished but without one.
    pub fn close(&self) -> Option<Bytes> {
        (self.is_finished() && !self.done).then(|| Bytes::from_static(DONE_EVENT))
    }

    fn is_finished(&self) -> bool {
        self.choices.are_finished(self.expects.choices)
    }

    fn read_json(&mut self, event: &Event, json: &str) -> Reading {
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(json) else {
            return self.malformed();
        };
        if chunk.is_error() {
            return Reading::error(error_facts::error_in_answer(json.as_bytes()));
        }
        if chunk.is_shapeless() {
            return self.malformed();
        }
        let seen = chunk.choices.unwrap_or_default();
        if seen.failed {
            return Reading::error(error_facts::error_in_choice(json.as_bytes()));
        }
        self.remember(&chunk);
        self.choices.merge(seen.choices);
        let progress = Progress {
            content: match self.expects.operation {
                Operation::Chat | Operation::Embeddings => seen.content,
                Operation::Completions => seen.text,
            },
            finished: self.is_finished(),
            last: false,
            usage: usage(chunk.usage),
        };
        let only_usage = seen.is_empty() && progress.usage.is_some();
        let relay = if only_usage && !self.expects.usage {
            Relay::Nothing
        } else {
            self.relay(event, json, &chunk)
        };
        Reading::new(StreamEvent::Progress(progress), relay)
    }

    fn remember(&mut self, chunk: &Chunk<'_>) {
        if !self.head.id.is_empty() {
            return;
        }
        let id = chunk.id.and_then(|id| serde_json::from_str(id.get()).ok());
        self.head.id = id.unwrap_or_default();
        let created = chunk.created.and_then(|at| at.get().parse().ok());
        self.head.created = created.unwrap_or(self.head.created);
    }

    fn relay(&self, event: &Event, json: &str, chunk: &Chunk<'_>) -> Relay {
        let model = self.model.edit(json, chunk.model);
        let null = chunk.usage.filter(|usage| usage.get() == "null");
        let usage = null
            .filter(|_| self.drop_null_usage)
            .and_then(|usage| without_field(json, "\"usage\"", usage));
        let mut edits = [model, usage];
        edits.sort_by_key(|edit| edit.as_ref().map_or(0, |edit| edit.at.start));
        match edits.iter().any(Option::is_some) {
            true => Relay::Rewritten(rewrite(event, json, edits.iter().flatten())),
            false => Relay::AsIs,
        }
    }

    /// A broken event may hide the end of an argument or a brace, where text only loses a word.
    fn malformed(&self) -> Reading {
        let structured = self.expects.structured && !self.is_finished();
        let fatal = structured || self.choices.has_open_tool_call();
        Reading::new(StreamEvent::Malformed { fatal }, Relay::Nothing)
    }
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
}

// === impl Reading ===

impl Reading {
    fn new(event: StreamEvent, relay: Relay) -> Self {
        Self { event, relay }
    }

    fn error(facts: ErrorFacts) -> Self {
        Self::new(StreamEvent::Error(Box::new(facts)), Relay::Nothing)
    }
}

// === impl Relay ===

impl Relay {
    /// The bytes that go on, if any.
    pub fn bytes(self, event: &Event) -> Option<Bytes> {
        match self {
            Relay::AsIs => Some(event.raw().clone()),
            Relay::Rewritten(bytes) => Some(bytes),
            Relay::Nothing => None,
        }
    }

    fn closed(self, event: &Event) -> Self {
        match self.bytes(event) {
            Some(bytes) => Relay::Rewritten([&bytes[..], b"\n\n"].concat().into()),
            None => Relay::Nothing,
        }
    }
}

/// Removes a field of the top level, given its quoted key and its value, with the comma that goes with it.
fn without_field(json: &str, key: &str, value: &RawValue) -> Option<Edit> {
    let at = span_of(json, value.get());
    let (before, rest) = json.split_at(at.start);
    let (_, behind) = rest.split_at(at.len());
    let ahead = before.trim_ascii_end().strip_suffix(':')?.trim_ascii_end();
    let ahead = ahead.strip_suffix(key)?.trim_ascii_end();
    let (start, end) = if let Some(kept) = ahead.strip_suffix(',') {
        (kept.len(), at.end)
    } else {
        let comma = behind.trim_ascii_start().strip_prefix(',');
        (ahead.len(), json.len() - comma.unwrap_or(behind).len())
    };
    Some(Edit {
        at: start..end,
        with: Bytes::new(),
    })
}

/// The event with its JSON changed: where it stands, if its data is on one line. The edits stand in order.
fn rewrite<'e>(event: &Event, json: &str, edits: impl Iterator<Item = &'e Edit> + Clone) -> Bytes {
    let raw = event.raw();
    if raw.as_ptr_range().contains(&json.as_ptr()) {
        let offset = json.as_ptr() as usize - raw.as_ptr() as usize;
        return spliced(raw, offset, edits);
    }
    event.with_data(&spliced(json.as_bytes(), 0, edits))
}

/// Applies edits of what begins at `offset`.
fn spliced<'e>(
    bytes: &[u8],
    offset: usize,
    edits: impl Iterator<Item = &'e Edit> + Clone,
) -> Bytes {
    let change =
        |edits: (usize, usize), edit: &Edit| (edits.0 + edit.with.len(), edits.1 + edit.at.len());
    let (added, removed) = edits.clone().fold((0, 0), change);
    // Room to spare would cost a second allocation.
    let mut changed = Vec::with_capacity(bytes.len() + added - removed);
    let mut rest = bytes;
    let mut done = 0;
    for edit in edits {
        let (kept, from) = rest.split_at(edit.at.start + offset - done);
        let (_, after) = from.split_at(edit.at.len());
        changed.extend_from_slice(kept);
        changed.extend_from_slice(&edit.with);
        done = edit.at.end + offset;
        rest = after;
    }
    changed.extend_from_slice(rest);
    changed.into()
}

#[cfg(test)]
mod tests;
