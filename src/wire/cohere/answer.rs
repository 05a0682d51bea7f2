//! Owns the reading of an answer whole. Must never take an error for an answer because its status was 200.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::shape::{Citation, End, Usage};
use crate::wire::dialect::Whole;
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Answer, Choice, Part, Thought, ToolCall};

#[derive(Deserialize)]
struct Body<'a> {
    id: Option<String>,
    /// An object; a text is an error's.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    finish_reason: Option<String>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Message {
    tool_plan: Option<String>,
    content: Option<Vec<Block>>,
    tool_calls: Option<Vec<Call>>,
    citations: Option<Vec<Citation>>,
}

/// One of the fields.
#[derive(Deserialize)]
struct Block {
    text: Option<String>,
    thinking: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: String,
    function: Function,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    arguments: Option<String>,
}

/// Reads a body.
pub(super) fn read(json: &[u8]) -> Whole {
    let Ok(body) = serde_json::from_slice::<Body<'_>>(json) else {
        return Whole::Malformed;
    };
    let message = match body.message.map(RawValue::get) {
        Some(text) if text.starts_with('"') => {
            return Whole::Error(Box::new(error_in_answer(json)));
        }
        Some(object) => serde_json::from_str::<Message>(object).ok(),
        None => None,
    };
    let Some(message) = message else {
        return Whole::Malformed;
    };
    let finish = match body.finish_reason.map(|reason| End::of(&reason, None)) {
        Some(End::Failed(facts)) => return Whole::Error(facts),
        Some(End::Finish(finish)) => Some(finish),
        None => None,
    };
    Whole::Good(Answer {
        id: body.id.unwrap_or_default(),
        created: 0,
        choices: vec![Choice {
            parts: message.parts(),
            finish,
        }],
        usage: body.usage.and_then(|usage| usage.counted()),
        service_tier: None,
    })
}

/// A call's arguments; those of a tool without any are `null`, as recorded.
pub(super) fn arguments(text: &str) -> &str {
    match text.trim_ascii() {
        "" | "null" => "{}",
        _ => text,
    }
}

// === impl Message ===

impl Message {
    fn parts(self) -> Vec<Part> {
        let content = self.content.unwrap_or_default();
        let plan = self.tool_plan.filter(|plan| !plan.is_empty());
        let mut parts: Vec<Part> = content.into_iter().filter_map(Block::part).collect();
        parts.extend(plan.map(Part::text));
        let texts = parts.iter_mut().rev().filter_map(|part| match part {
            Part::Text { citations, .. } => Some(citations),
            _ => None,
        });
        if let Some(last) = texts.take(1).next() {
            let citations = self.citations.unwrap_or_default();
            last.extend(citations.into_iter().flat_map(Citation::sources));
        }
        let calls = self.tool_calls.unwrap_or_default().into_iter();
        parts.extend(calls.map(|call| {
            Part::ToolCall(ToolCall {
                id: call.id,
                name: call.function.name,
                arguments: arguments(&call.function.arguments.unwrap_or_default()).to_owned(),
                ..ToolCall::default()
            })
        }));
        parts
    }
}

// === impl Block ===

impl Block {
    fn part(self) -> Option<Part> {
        if let Some(text) = self.thinking.filter(|text| !text.is_empty()) {
            return Some(Part::Thought(Thought {
                text,
                ..Thought::default()
            }));
        }
        let text = self.text.filter(|text| !text.is_empty());
        text.map(Part::text)
    }
}
