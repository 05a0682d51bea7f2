//! Owns the writing of a stream's chunks. Must never keep a piece: of a choice it remembers whether its role is
//! written, and the kind of its last thought.

use serde::Serialize;

use super::detail::{Piece, WrittenDetail};
use super::request_read::hides_thoughts;
use super::written::{Reason, WrittenAnnotation, WrittenCall, WrittenFunction, WrittenUsage};
use crate::core::exchange::Usage;
use crate::wire::client_error::{ClientError, Skin};
use crate::wire::client_request::operation::Operation;
use crate::wire::dialect::{Reply, WriteEvents};
use crate::wire::hub::{Event, Finish, ThoughtKind};
use crate::wire::openai::stream::StreamHead;
use crate::wire::openai::write;

/// Writes one stream.
#[derive(Debug)]
pub(super) struct Writer {
    skin: Skin,
    head: StreamHead,
    wants_usage: bool,
    usage: Option<Usage>,
    choices: Vec<Choice>,
    /// The client does not want to see thoughts.
    hides: bool,
}

/// What is remembered of a choice.
#[derive(Debug, Default)]
struct Choice {
    index: u32,
    has_role: bool,
    called: bool,
    refused: bool,
    /// Pieces of reasoning that have begun.
    details: u32,
    /// The last one, while it goes on.
    thought: Option<ThoughtKind>,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [WrittenChoice<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WrittenUsage>,
}

#[derive(Serialize)]
struct WrittenChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    /// Null while it goes on; the key is required.
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'a str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<[WrittenDetail<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[WrittenAnnotation<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[WrittenCall<'a>; 1]>,
}

// === impl Writer ===

impl WriteEvents for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, created } => self.start(id, *created, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { choice, finish } => self.finish(*choice, finish, out),
            Event::Thought { .. } if self.hides => {}
            // The mere end of a thought: clients would keep an empty piece of it.
            Event::Thought {
                choice,
                kind: ThoughtKind::Text | ThoughtKind::Summary,
                text,
                signature: None,
                ..
            } if text.is_empty() => self.choice(*choice).thought = None,
            Event::Text { choice, .. }
            | Event::Refusal { choice, .. }
            | Event::Citation { choice, .. }
            | Event::Thought { choice, .. }
            | Event::ToolCall { choice, .. }
            | Event::Arguments { choice, .. } => {
                let delta = self.choice(*choice).delta(event);
                self.chunk(*choice, delta, out);
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if let Some(usage) = self.usage.take().filter(|_| self.wants_usage) {
            let empty = Delta {
                role: Some("assistant"),
                content: Some(""),
                ..Delta::default()
            };
            // OpenAI has no choice here; LangChain's client of OpenRouter would lose the usage.
            let choices = match self.skin {
                Skin::OpenAi | Skin::Anthropic => &[][..],
                Skin::OpenRouter => &[WrittenChoice::open(0, empty)][..],
            };
            self.head
                .write(choices, Some(WrittenUsage::of(&usage)), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, error: &ClientError, out: &mut Vec<u8>) {
        out.extend_from_slice(&write::stream_error(
            error,
            self.skin,
            Operation::Chat,
            &self.head,
        ));
    }
}

impl Writer {
    pub(super) fn new(reply: &Reply<'_>) -> Self {
        Self {
            skin: reply.skin,
            head: StreamHead {
                id: format!("chatcmpl-{}", reply.id),
                model: reply.model.to_owned(),
                created: reply.now,
            },
            wants_usage: reply.usage,
            usage: None,
            choices: Vec::new(),
            hides: hides_thoughts(reply.request),
        }
    }

    fn start(&mut self, id: &str, created: u64, out: &mut Vec<u8>) {
        if !id.is_empty() {
            id.clone_into(&mut self.head.id);
        }
        if created != 0 {
            self.head.created = created;
        }
        let delta = Delta {
            content: Some(""),
            ..Delta::default()
        };
        self.chunk(0, delta, out);
    }

    fn finish(&mut self, index: u32, finish: &Finish, out: &mut Vec<u8>) {
        let choice = self.choice(index);
        let reason = Reason::of(finish, choice.called, choice.refused);
        let choices = [WrittenChoice {
            index,
            delta: Delta {
                role: choice.role(),
                ..Delta::default()
            },
            finish_reason: Some(reason.word),
            native_finish_reason: reason.native,
        }];
        self.head.write(&choices, None, out);
    }

    fn chunk(&mut self, index: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let role = self.choice(index).role();
        let choices = [WrittenChoice::open(index, Delta { role, ..delta })];
        self.head.write(&choices, None, out);
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let found = self.choices.iter().position(|choice| choice.index == index);
        let place = found.unwrap_or(self.choices.len());
        if found.is_none() {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
        }
        self.choices
            .get_mut(place)
            .expect("it was found or has just been put there")
    }
}

impl StreamHead {
    fn write(&self, choices: &[WrittenChoice<'_>], usage: Option<WrittenUsage>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.id,
            object: Operation::Chat.chunk_object(),
            created: self.created,
            model: &self.model,
            choices,
            usage,
        };
        out.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut *out, &chunk)
            .expect("structs of strings and numbers always serialise");
        out.extend_from_slice(b"\n\n");
    }
}

// === impl Choice ===

impl Choice {
    /// The role, where it is not written yet.
    fn role(&mut self) -> Option<&'static str> {
        let first = !std::mem::replace(&mut self.has_role, true);
        first.then_some("assistant")
    }

    fn delta<'a>(&mut self, event: &'a Event) -> Delta<'a> {
        let mut delta = Delta::default();
        if !matches!(event, Event::Thought { .. }) {
            self.thought = None;
        }
        match event {
            Event::Text { text, .. } => delta.content = Some(text),
            Event::Refusal { text, .. } => {
                self.refused = true;
                delta.refusal = Some(text);
            }
            Event::Citation { citation, .. } => {
                delta.annotations = Some([WrittenAnnotation::of(citation, 0)]);
            }
            Event::Thought {
                kind,
                text,
                signature,
                id,
                format,
                ..
            } => {
                let piece = Piece {
                    kind: *kind,
                    text,
                    signature: signature.as_deref(),
                    id: id.as_deref(),
                    format: *format,
                };
                self.think(piece, &mut delta);
            }
            Event::ToolCall { .. } | Event::Arguments { .. } => self.call(event, &mut delta),
            Event::Start { .. } | Event::Finish { .. } | Event::Usage(_) => {}
        }
        delta
    }

    fn think<'a>(&mut self, piece: Piece<'a>, delta: &mut Delta<'a>) {
        let goes_on = self.thought == Some(piece.kind) && piece.kind != ThoughtKind::Encrypted;
        self.details += u32::from(!goes_on);
        let ends = piece.signature.is_some() || piece.id.is_some();
        self.thought = (!ends).then_some(piece.kind);
        if piece.kind != ThoughtKind::Encrypted && !piece.text.is_empty() {
            delta.reasoning = Some(piece.text);
        }
        delta.reasoning_details = Some([WrittenDetail::of(piece, self.details - 1)]);
    }

    fn call<'a>(&mut self, event: &'a Event, delta: &mut Delta<'a>) {
        self.called = true;
        if let Event::ToolCall {
            index,
            id,
            name,
            signature,
            ..
        } = event
        {
            if let Some(signature) = signature {
                self.details += 1;
                let detail = WrittenDetail::of_call(id, signature, self.details - 1);
                delta.reasoning_details = Some([detail]);
            }
            delta.tool_calls = Some([WrittenCall {
                index: Some(*index),
                id: Some(id),
                kind: Some("function"),
                function: WrittenFunction {
                    name: Some(name),
                    arguments: "",
                },
            }]);
        }
        if let Event::Arguments { index, json, .. } = event {
            delta.tool_calls = Some([WrittenCall {
                index: Some(*index),
                id: None,
                kind: None,
                function: WrittenFunction {
                    name: None,
                    arguments: json,
                },
            }]);
        }
    }
}

// === impl WrittenChoice ===

impl<'a> WrittenChoice<'a> {
    fn open(index: u32, delta: Delta<'a>) -> Self {
        Self {
            index,
            delta,
            finish_reason: None,
            native_finish_reason: None,
        }
    }
}
