//! Owns the writing of a complete answer. Must never leave out a field that OpenRouter's clients require.

use bytes::Bytes;
use serde::Serialize;

use super::detail::{Piece, WrittenDetail};
use super::fields::tier;
use super::request_read::hides_thoughts;
use super::written::{
    Reason, WrittenAnnotation, WrittenCall, WrittenFunction, WrittenUrl, WrittenUsage,
};
use crate::wire::dialect::Reply;
use crate::wire::hub::{Answer, Choice, Part, Thought, ThoughtKind, ToolCall};

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<WrittenChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WrittenUsage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    /// Required, and null is taken.
    system_fingerprint: Option<()>,
}

#[derive(Serialize)]
struct WrittenChoice<'a> {
    index: usize,
    message: Message<'a>,
    logprobs: Option<()>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<WrittenDetail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<WrittenAnnotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<WrittenUrl>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WrittenCall<'a>>,
}

/// Writes a complete answer.
pub(super) fn write(answer: &Answer, reply: &Reply<'_>) -> Bytes {
    let hides = hides_thoughts(reply.request);
    let own_id = format!("chatcmpl-{}", reply.id);
    let body = Body {
        id: match answer.id.is_empty() {
            true => &own_id,
            false => &answer.id,
        },
        object: "chat.completion",
        created: match answer.created {
            0 => reply.now,
            created => created,
        },
        model: reply.model,
        choices: answer
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| WrittenChoice::of(choice, index, hides))
            .collect(),
        usage: answer.usage.as_ref().map(WrittenUsage::of),
        service_tier: answer.service_tier.as_deref().and_then(tier),
        system_fingerprint: None,
    };
    serde_json::to_vec(&body)
        .expect("structs of strings and numbers always serialise")
        .into()
}

// === impl WrittenChoice ===

impl<'a> WrittenChoice<'a> {
    fn of(choice: &'a Choice, index: usize, hides: bool) -> Self {
        let mut message = Message::new();
        let shown = |part: &&Part| !(hides && matches!(part, Part::Thought(_)));
        let parts = choice.parts.iter().filter(shown);
        parts.for_each(|part| message.take(part));
        let called = !message.tool_calls.is_empty();
        let refused = message.refusal.is_some();
        let finish = choice.finish.as_ref();
        let reason = finish.map(|finish| Reason::of(finish, called, refused));
        Self {
            index,
            message,
            logprobs: None,
            finish_reason: reason.map(|reason| reason.word),
            native_finish_reason: reason.and_then(|reason| reason.native),
        }
    }
}

// === impl Message ===

impl<'a> Message<'a> {
    fn new() -> Self {
        Self {
            role: "assistant",
            content: None,
            refusal: None,
            reasoning: None,
            reasoning_details: Vec::new(),
            annotations: Vec::new(),
            images: Vec::new(),
            tool_calls: Vec::new(),
        }
    }

    fn take(&mut self, part: &'a Part) {
        match part {
            Part::Text {
                text, citations, ..
            } => {
                let content = self.content.get_or_insert_default();
                let before = content.chars().count() as u64;
                content.push_str(text);
                let cited = citations
                    .iter()
                    .map(|citation| WrittenAnnotation::of(citation, before));
                self.annotations.extend(cited);
            }
            Part::Refusal(text) => self.refusal.get_or_insert_default().push_str(text),
            Part::Thought(thought) => self.think(thought),
            Part::ToolCall(call) => self.call(call),
            Part::Image(image) => {
                let url = image.source.to_url();
                self.images.extend(url.map(WrittenUrl::image));
            }
            // No dialect's answer has them.
            Part::Document(_) | Part::Audio { .. } | Part::ToolResult(_) => {}
        }
    }

    fn think(&mut self, thought: &'a Thought) {
        if thought.kind != ThoughtKind::Encrypted {
            let words = self.reasoning.get_or_insert_default();
            words.push_str(&thought.text);
        }
        let detail = WrittenDetail::of(Piece::of(thought), self.next_detail());
        self.reasoning_details.push(detail);
    }

    fn call(&mut self, call: &'a ToolCall) {
        if let Some(signature) = &call.signature {
            let detail = WrittenDetail::of_call(&call.id, signature, self.next_detail());
            self.reasoning_details.push(detail);
        }
        self.tool_calls.push(WrittenCall {
            index: None,
            id: Some(&call.id),
            kind: Some("function"),
            function: WrittenFunction {
                name: Some(&call.name),
                arguments: &call.arguments,
            },
        });
    }

    fn next_detail(&self) -> u32 {
        u32::try_from(self.reasoning_details.len()).unwrap_or(u32::MAX)
    }
}
