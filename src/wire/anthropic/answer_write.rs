//! Owns the writing of a complete answer, and of what streams share with it: the message's head, its usage and its end.
//! Must never write a block that the API would refuse when it comes back: none without words.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;

use super::origin::{Made, call_mark};
use super::shape::{Block, Citation, tool_id};
use crate::core::exchange::Usage;
use crate::wire::dialect::Reply;
use crate::wire::hub::{Answer, Choice, Finish, Part, Thought, ThoughtKind};

/// What the dialect's ids begin with.
const PREFIX: &str = "msg_";

/// A message, whole or as a stream begins.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    pub(super) content: Vec<Block<'a>>,
    #[serde(flatten)]
    pub(super) end: End<'a>,
    pub(super) usage: UsageOut,
}

/// Why a message ended; null where it has not.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct End<'a> {
    stop_reason: Option<&'static str>,
    stop_sequence: Option<&'a str>,
}

/// Counts in the dialect's terms, which tell cached tokens from the rest of the prompt.
#[derive(Default, Serialize)]
pub(super) struct UsageOut {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service_tier: Option<&'static str>,
}

#[derive(Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

/// A complete answer.
pub(super) fn write(answer: &Answer, reply: &Reply<'_>) -> Bytes {
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let mut content = Vec::with_capacity(choice.parts.len());
    for part in &choice.parts {
        add(part, &mut content);
    }
    drop_last_words(&choice.parts, &mut content);
    let refused = choice
        .parts
        .iter()
        .any(|part| matches!(part, Part::Refusal(_)));
    let usage = UsageOut {
        service_tier: answer.service_tier.as_deref().and_then(service_tier),
        ..UsageOut::of(answer.usage.as_ref())
    };
    let message = Message {
        content,
        end: End::of(choice.finish.as_ref(), refused),
        usage,
        ..Message::new(&answer.id, reply)
    };
    json(&message).into()
}

pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of strings and numbers always serialise")
}

// === impl Message ===

impl<'a> Message<'a> {
    /// One without content. `id` is the upstream's, which may be empty.
    pub(super) fn new(id: &'a str, reply: &Reply<'a>) -> Self {
        Self {
            id: message_id(id, reply.id),
            kind: "message",
            role: "assistant",
            model: reply.model,
            content: Vec::new(),
            end: End::default(),
            usage: UsageOut::default(),
        }
    }
}

fn message_id<'a>(upstream: &'a str, ours: &'a str) -> Cow<'a, str> {
    match upstream {
        "" => Cow::Owned([PREFIX, ours].concat()),
        own if own.starts_with(PREFIX) => Cow::Borrowed(own),
        other => Cow::Owned([PREFIX, other].concat()),
    }
}

/// Adds a part as blocks: a call's signature has one of its own.
fn add<'a>(part: &'a Part, content: &mut Vec<Block<'a>>) {
    match part {
        Part::Text {
            text, citations, ..
        } if !text.is_empty() => content.push(Block::Text {
            text,
            citations: citations.iter().map(Citation::of).collect(),
            cache_control: None,
        }),
        Part::Refusal(text) if !text.is_empty() => content.push(Block::Text {
            text,
            citations: Vec::new(),
            cache_control: None,
        }),
        Part::Thought(thought) => content.push(thinking(thought)),
        Part::ToolCall(call) => {
            if let Some(signature) = &call.signature {
                content.push(Block::RedactedThinking {
                    data: call_mark(&tool_id(&call.id), signature).into(),
                });
            }
            content.push(Block::tool_use(call));
        }
        // The dialect's models answer in words alone.
        Part::Text { .. }
        | Part::Refusal(_)
        | Part::Image(_)
        | Part::Document(_)
        | Part::Audio { .. }
        | Part::ToolResult(_) => {}
    }
}

/// Takes away what another provider encrypted behind its last text, as Gemini signs one. Nobody needs it to go on, and clients of
/// this dialect take the last block for the answer: Claude Code prints nothing where that is no text.
fn drop_last_words(parts: &[Part], content: &mut Vec<Block<'_>>) {
    let is_behind =
        |part: &&Part| matches!(part, Part::Thought(thought) if is_behind_text(thought));
    let behind = parts.iter().rev().take_while(is_behind).count();
    let last = parts.iter().rev().nth(behind);
    if matches!(last, Some(Part::Text { text, .. } | Part::Refusal(text)) if !text.is_empty()) {
        content.truncate(content.len().saturating_sub(behind));
    }
}

/// Whether a thought says nothing to a client of this dialect once a text stands before it.
fn is_behind_text(thought: &Thought) -> bool {
    thought.kind == ThoughtKind::Encrypted && !Made::of(thought).is_own()
}

fn thinking(thought: &Thought) -> Block<'_> {
    let made = Made::of(thought);
    match thought.kind {
        ThoughtKind::Text | ThoughtKind::Summary => Block::Thinking {
            thinking: &thought.text,
            signature: made.signature(),
        },
        ThoughtKind::Encrypted => Block::RedactedThinking {
            data: made.data(&thought.text),
        },
    }
}

// === impl End ===

impl<'a> End<'a> {
    /// `refused`: the model's words were a refusal, whatever it ended for.
    pub(super) fn of(finish: Option<&'a Finish>, refused: bool) -> Self {
        let Some(finish) = finish else {
            return Self::default();
        };
        let reason = match finish {
            Finish::Stop { .. } if refused => "refusal",
            Finish::Stop { sequence: Some(_) } => "stop_sequence",
            Finish::Stop { sequence: None } | Finish::Other(_) => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCalls => "tool_use",
            Finish::Filtered | Finish::Refused => "refusal",
            Finish::Paused => "pause_turn",
        };
        Self {
            stop_reason: Some(reason),
            stop_sequence: match finish {
                Finish::Stop { sequence } => sequence.as_deref().filter(|_| !refused),
                _ => None,
            },
        }
    }
}

// === impl UsageOut ===

impl UsageOut {
    pub(super) fn of(usage: Option<&Usage>) -> Self {
        let Some(usage) = usage else {
            return Self::default();
        };
        let read = usage.cached_tokens.unwrap_or(0);
        let written = usage.cache_write_tokens.unwrap_or(0);
        Self {
            input_tokens: usage
                .prompt_tokens
                .saturating_sub(read)
                .saturating_sub(written),
            cache_creation_input_tokens: written,
            cache_read_input_tokens: read,
            output_tokens: usage.completion_tokens,
            output_tokens_details: (usage.reasoning_tokens > 0).then_some(OutputDetails {
                thinking_tokens: usage.reasoning_tokens,
            }),
            service_tier: None,
        }
    }
}

/// The dialect's words for tiers; another provider's standard one is the standard here.
fn service_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "standard" | "default" => Some("standard"),
        "priority" => Some("priority"),
        "batch" => Some("batch"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
