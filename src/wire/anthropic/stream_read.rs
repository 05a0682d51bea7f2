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

/// What some imitators of the dialect end with, as OpenAI does.
const DONE: &str = "[DONE]";

/// Reads the events of one upstream attempt.
#[derive(Debug, Default)]
pub(super) struct Reader {
    started: bool,
    /// A block has begun.
    spoke: bool,
    open: Open,
    /// Tools of the client's that were called.
    calls: u32,
    /// The tool that stands for a schema was called.
    answered: bool,
    finished: bool,
    counts: Counts,
}

/// The block that is open.
#[derive(Debug, Default)]
enum Open {
    #[default]
    None,
    Text,
    Thinking,
    /// `index` among the calls; `whole`: the input that came with its beginning; `any`: something of it was passed on.
    Tool {
        index: u32,
        whole: Option<String>,
        any: bool,
    },
    /// The tool that stands for a schema.
    Answer {
        whole: Option<String>,
        any: bool,
    },
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
            Kind::ContentBlockStart => self.open(event.content_block, pieces),
            Kind::ContentBlockDelta => self.delta(event.delta, pieces),
            Kind::ContentBlockStop => {
                self.close(pieces);
                Ok(self.progress())
            }
            Kind::MessageDelta => {
                self.close(pieces);
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
        block: Option<BlockIn<'_>>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        let Some(block) = block else {
            return Err(self.malformed());
        };
        self.close(pieces);
        self.spoke = true;
        self.open = match block.kind {
            BlockKind::Text => {
                Self::text(block.text, pieces);
                let citations = block.citations.into_iter().flatten();
                citations.for_each(|json| Self::cite(json, pieces));
                Open::Text
            }
            BlockKind::Thinking => {
                Self::think(block.thinking, pieces);
                Self::sign(block.signature, pieces);
                Open::Thinking
            }
            BlockKind::RedactedThinking => {
                Self::redact(block.data.unwrap_or_default(), pieces);
                Open::Other
            }
            BlockKind::ToolUse if block.name.as_deref() == Some(ANSWER_TOOL) => {
                self.answered = true;
                Open::Answer {
                    whole: filled_input(block.input).map(str::to_owned),
                    any: false,
                }
            }
            BlockKind::ToolUse => self.call(block, pieces),
            BlockKind::Other => Open::Other,
        };
        Ok(self.progress())
    }

    fn call(&mut self, block: BlockIn<'_>, pieces: &mut Vec<Event>) -> Open {
        let index = self.calls;
        self.calls += 1;
        pieces.push(Event::ToolCall {
            choice: 0,
            index,
            id: block.id.unwrap_or_default(),
            name: block.name.unwrap_or_default(),
            signature: None,
        });
        Open::Tool {
            index,
            whole: filled_input(block.input).map(str::to_owned),
            any: false,
        }
    }

    fn delta(
        &mut self,
        delta: Option<Delta<'_>>,
        pieces: &mut Vec<Event>,
    ) -> Result<Progress, StreamEvent> {
        let Some(delta) = delta else {
            return Err(self.malformed());
        };
        self.spoke = true;
        if matches!(self.open, Open::Other) {
            return Ok(self.progress());
        }
        Self::text(delta.text, pieces);
        Self::think(delta.thinking, pieces);
        Self::sign(delta.signature, pieces);
        delta
            .citation
            .into_iter()
            .for_each(|json| Self::cite(json, pieces));
        if let Some(json) = delta.partial_json.filter(|json| !json.is_empty()) {
            self.input(json, pieces)?;
        }
        Ok(self.progress())
    }

    fn input(&mut self, json: String, pieces: &mut Vec<Event>) -> Result<(), StreamEvent> {
        let choice = 0;
        match &mut self.open {
            Open::Tool { index, any, .. } => {
                *any = true;
                let index = *index;
                pieces.push(Event::Arguments {
                    choice,
                    index,
                    json,
                });
            }
            Open::Answer { any, .. } => {
                *any = true;
                pieces.push(Event::Text { choice, text: json });
            }
            // Whose arguments these are cannot be known.
            Open::None | Open::Text | Open::Thinking | Open::Other => {
                return Err(StreamEvent::Malformed { fatal: true });
            }
        }
        Ok(())
    }

    /// Closes what is open. A tool without arguments gets its empty object, which the dialect does not write.
    fn close(&mut self, pieces: &mut Vec<Event>) {
        let empty = || "{}".to_owned();
        match std::mem::take(&mut self.open) {
            Open::Tool {
                index,
                whole,
                any: false,
            } => pieces.push(Event::Arguments {
                choice: 0,
                index,
                json: whole.unwrap_or_else(empty),
            }),
            Open::Answer { whole, any: false } => pieces.push(Event::Text {
                choice: 0,
                text: whole.unwrap_or_else(empty),
            }),
            Open::None
            | Open::Text
            | Open::Thinking
            | Open::Other
            | Open::Tool { .. }
            | Open::Answer { .. } => {}
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
            fatal: matches!(self.open, Open::Tool { .. } | Open::Answer { .. }),
        }
    }
}

#[cfg(test)]
mod tests;
