//! Owns the reading of one stream: what each event was, and its pieces. In reading order: this file, `wire` (the form of
//! events). Must never keep more than what is open: one block.

mod wire;

use serde_json::value::RawValue;

use super::answer_shape::{
    BlockIn, Counts, Kind as BlockKind, StopDetails, citation, filled_input, finish,
};
use super::origin::FORMAT;
use super::shape::ANSWER_TOOL;
use crate::core::exchange::{Progress, StreamEvent};
use crate::wire::dialect::{Frame, ReadEvents};
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Event, ThoughtKind};
use wire::{Delta, Kind, Start, Wire};

/// Blocks that may be open at once, far more than anyone opens.
const OPEN_MAX: usize = 128;
/// What some imitators of the dialect end with, as OpenAI does.
const DONE: &str = "[DONE]";

/// Reads the events of one upstream attempt.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    /// A block has begun.
    spoke: bool,
    /// One as a rule: the API closes a block before the next begins.
    open: Vec<Open>,
    /// Tools of the client's that were called.
    calls: u32,
    /// The tool that stands for a schema was called.
    answered: bool,
    finished: bool,
    counts: Counts,
}

/// A block that is open and has something to be remembered: text and thoughts tell by themselves what they are.
#[derive(Debug)]
struct Open {
    /// The upstream's number of it; not all that speak the dialect give one.
    at: Option<u64>,
    role: Role,
    /// The input that came with its beginning.
    whole: Option<String>,
    /// A piece of its input was passed on.
    any: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its place among the calls.
    Tool(u32),
    /// The tool that stands for a schema.
    Answer,
    /// Nobody's.
    Other,
}

// === impl Reader ===

impl ReadEvents for Reader {
    fn read(&mut self, frame: Frame<'_>, pieces: &mut Vec<Event>) -> StreamEvent {
        let Ok(text) = std::str::from_utf8(frame.data) else {
            return self.malformed();
        };
        match text.trim_ascii() {
            "" => return StreamEvent::Idle,
            DONE => return StreamEvent::Done,
            _ => {}
        }
        let Ok(event) = serde_json::from_str::<Wire<'_>>(text) else {
            return self.malformed();
        };
        let named_error = frame.is_error || frame.name == "error";
        if named_error || event.is_error() {
            return StreamEvent::Error(Box::new(error_in_answer(frame.data)));
        }
        let before = pieces.len();
        let read = self.read_event(event, pieces);
        match read {
            Ok(mut progress) => {
                let new = pieces.get(before..).unwrap_or_default();
                progress.content = new.iter().any(Event::is_content);
                StreamEvent::Progress(progress)
            }
            Err(event) => event,
        }
    }
}

impl Reader {
    fn read_event(
        &mut self,
        event: Wire<'_>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        let Some(kind) = event.kind else {
            return Err(self.malformed());
        };
        match kind {
            Kind::Ping => Err(StreamEvent::Idle),
            Kind::MessageStop => Err(StreamEvent::Done),
            Kind::Other => Ok(self.progress()),
            Kind::Error => Err(self.malformed()),
            Kind::MessageStart => self.start(event.message, pieces),
            Kind::ContentBlockStart => self.open(event.index, event.content_block, pieces),
            Kind::ContentBlockDelta => self.delta(event.index, event.delta, pieces),
            Kind::ContentBlockStop => {
                self.close(event.index, pieces);
                Ok(self.progress())
            }
            Kind::MessageDelta => {
                self.close_all(pieces);
                Ok(self.message_delta(event.delta.unwrap_or_default(), event.usage, pieces))
            }
        }
    }

    /// Recorded: a message that begins twice before it says anything, and one that begins anew in the middle of a
    /// call's arguments. What was said cannot be unsaid, so that the second is a broken stream.
    fn start(
        &mut self,
        message: Option<&RawValue>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        if self.spoke || self.finished {
            return Err(StreamEvent::Malformed { fatal: true });
        }
        let start = message.and_then(|json| serde_json::from_str::<Start<'_>>(json.get()).ok());
        let Some(start) = start else {
            return Err(self.malformed());
        };
        if let Some(counts) = Counts::of(start.usage) {
            self.counts.update(counts);
        }
        if !self.started {
            self.started = true;
            pieces.push(Event::Start {
                id: start.id.unwrap_or_default(),
                created: 0,
            });
        }
        let mut progress = self.progress();
        // The first token is counted before it is said.
        progress.usage = self.counts.usage().map(|mut usage| {
            usage.completion_tokens = 0;
            usage
        });
        Ok(progress)
    }

    fn open(
        &mut self,
        at: Option<u64>,
        block: Option<BlockIn<'_>>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        let Some(block) = block else {
            return Err(self.malformed());
        };
        self.close(at, pieces);
        if self.open.len() >= OPEN_MAX {
            return Err(StreamEvent::Malformed { fatal: true });
        }
        self.spoke = true;
        let whole = filled_input(block.input).map(str::to_owned);
        let role = match block.kind {
            BlockKind::Text => {
                Self::text(block.text, pieces);
                for json in block.citations.into_iter().flatten() {
                    Self::cite(json, pieces);
                }
                None
            }
            BlockKind::Thinking => {
                Self::think(block.thinking, pieces);
                Self::sign(block.signature, pieces);
                None
            }
            BlockKind::RedactedThinking => {
                Self::redact(block.data.unwrap_or_default(), pieces);
                None
            }
            BlockKind::ToolUse if block.name.as_deref() == Some(ANSWER_TOOL) => {
                self.answered = true;
                Some(Role::Answer)
            }
            BlockKind::ToolUse => Some(self.call(block, pieces)),
            BlockKind::Other => Some(Role::Other),
        };
        self.open.extend(role.map(|role| Open {
            at,
            role,
            whole,
            any: false,
        }));
        Ok(self.progress())
    }

    fn call(&mut self, block: BlockIn<'_>, pieces: &mut Vec<Event>) -> Role {
        let index = self.calls;
        self.calls += 1;
        pieces.push(Event::ToolCall {
            choice: 0,
            index,
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            signature: None,
        });
        Role::Tool(index)
    }

    fn delta(
        &mut self,
        at: Option<u64>,
        delta: Option<Delta<'_>>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        let Some(delta) = delta else {
            return Err(self.malformed());
        };
        self.spoke = true;
        let is_meant = |open: &&mut Open| at.is_none() || open.at == at;
        let open = self.open.iter_mut().rev().find(is_meant);
        if open.as_ref().is_some_and(|open| open.role == Role::Other) {
            return Ok(self.progress());
        }
        Self::text(delta.text, pieces);
        Self::think(delta.thinking, pieces);
        Self::sign(delta.signature, pieces);
        if let Some(json) = delta.citation {
            Self::cite(json, pieces);
        }
        if let Some(json) = delta.partial_json.filter(|json| !json.is_empty()) {
            // Whose arguments these are cannot be known else.
            let open = open.ok_or(StreamEvent::Malformed { fatal: true })?;
            open.any = true;
            pieces.extend(open.role.input(json));
        }
        Ok(self.progress())
    }

    /// Closes a block. A tool without arguments gets its empty object, which the dialect does not write.
    fn close(&mut self, at: Option<u64>, pieces: &mut Vec<Event>) {
        let Some(place) = self.open.iter().position(|open| open.at == at) else {
            return;
        };
        let open = self.open.remove(place);
        if !open.any {
            let input = open.whole.unwrap_or_else(|| "{}".to_owned());
            pieces.extend(open.role.input(input));
        }
    }

    fn close_all(&mut self, pieces: &mut Vec<Event>) {
        while let Some(open) = self.open.first() {
            let at = open.at;
            self.close(at, pieces);
        }
    }

    fn message_delta(
        &mut self,
        delta: Delta<'_>,
        usage: Option<&RawValue>,
        pieces: &mut Vec<Event>,
    ) -> Progress {
        let counts = Counts::of(usage);
        let counted = counts.is_some();
        self.counts.update(counts.unwrap_or_default());
        let reason = delta.stop_reason.filter(|_| !self.finished);
        if let Some(reason) = reason {
            let details = delta.stop_details.map(RawValue::get);
            let details = details.and_then(|json| serde_json::from_str::<StopDetails>(json).ok());
            let explained = details.and_then(|details| details.explanation);
            if let Some(text) = explained.filter(|text| !text.is_empty()) {
                pieces.push(Event::Refusal { choice: 0, text });
            }
            self.finished = true;
            let answered = self.answered && self.calls == 0;
            pieces.push(Event::Finish {
                choice: 0,
                finish: finish(reason, delta.stop_sequence, answered),
            });
            pieces.extend(self.counts.usage().map(Event::Usage));
        }
        let mut progress = self.progress();
        progress.usage = self.counts.usage().filter(|_| counted || self.finished);
        progress
    }

    fn text(text: Option<String>, pieces: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            pieces.push(Event::Text { choice: 0, text });
        }
    }

    fn think(text: Option<String>, pieces: &mut Vec<Event>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            pieces.push(Event::Thought {
                choice: 0,
                kind: ThoughtKind::Text,
                text,
                signature: None,
                id: None,
                format: Some(FORMAT),
            });
        }
    }

    fn sign(signature: Option<String>, pieces: &mut Vec<Event>) {
        if signature.as_deref().is_some_and(|it| !it.is_empty()) {
            pieces.push(Event::Thought {
                choice: 0,
                kind: ThoughtKind::Text,
                text: String::new(),
                signature,
                id: None,
                format: Some(FORMAT),
            });
        }
    }

    fn redact(data: String, pieces: &mut Vec<Event>) {
        pieces.push(Event::Thought {
            choice: 0,
            kind: ThoughtKind::Encrypted,
            text: data,
            signature: None,
            id: None,
            format: Some(FORMAT),
        });
    }

    fn cite(json: &RawValue, pieces: &mut Vec<Event>) {
        let citation = citation(json);
        pieces.extend(citation.map(|citation| Event::Citation {
            choice: 0,
            citation,
        }));
    }

    fn progress(&self) -> Progress {
        Progress {
            finished: self.finished,
            ..Progress::default()
        }
    }

    /// A broken event may hide the end of an argument or a brace, where text only loses a word.
    fn malformed(&self) -> StreamEvent {
        StreamEvent::Malformed {
            fatal: self.open.iter().any(|open| open.role != Role::Other),
        }
    }
}

// === impl Role ===

impl Role {
    /// The piece that a piece of its input is.
    fn input(self, json: String) -> Option<Event> {
        let choice = 0;
        match self {
            Role::Tool(index) => Some(Event::Arguments {
                choice,
                index,
                json,
            }),
            Role::Answer => Some(Event::Text { choice, text: json }),
            Role::Other => None,
        }
    }
}

#[cfg(test)]
mod tests;
