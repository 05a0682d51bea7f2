//! Owns the reading of an answer whole. Must never take an error for an answer because its status was 200.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::FORM;
use super::shape::{Citation, End, Reasoning, ServiceTier, TokenUsage};
use crate::wire::dialect::Whole;
use crate::wire::error_facts::error_in_answer;
use crate::wire::hub::{Answer, Choice, Image, Part, Source, ToolCall};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(borrow)]
    output: Option<Output<'a>>,
    stop_reason: Option<String>,
    usage: Option<TokenUsage>,
    service_tier: Option<ServiceTier>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Option<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Block<'a>>,
}

/// One of the fields. Blocks of Amazon's own tools have none of them, and cannot be asked for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block<'a> {
    text: Option<String>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    reasoning_content: Option<Reasoning>,
    citations_content: Option<Cited>,
    image: Option<Picture>,
}

#[derive(Deserialize)]
struct ToolUse<'a> {
    #[serde(rename = "toolUseId")]
    id: String,
    name: String,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
struct Cited {
    #[serde(default)]
    content: Vec<Text>,
    #[serde(default)]
    citations: Vec<Citation>,
}

#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Picture {
    format: String,
    source: Bytes,
}

#[derive(Deserialize)]
struct Bytes {
    bytes: String,
}

/// Reads a body.
pub(super) fn read(json: &[u8]) -> Whole {
    let Ok(body) = serde_json::from_slice::<Body<'_>>(json) else {
        return Whole::Malformed;
    };
    let Some(output) = body.output else {
        return match body.message {
            Some(_) => Whole::Error(Box::new(error_in_answer(json))),
            None => Whole::Malformed,
        };
    };
    let content = output
        .message
        .map_or_else(Vec::new, |message| message.content);
    let parts: Vec<_> = content.into_iter().filter_map(Block::part).collect();
    let called = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
    let finish = match body.stop_reason.map(|reason| End::of(&reason, called)) {
        Some(End::Failed(facts)) => return Whole::Error(facts),
        Some(End::Finish(finish)) => Some(finish),
        None => None,
    };
    Whole::Good(Answer {
        id: String::new(),
        created: 0,
        choices: vec![Choice { parts, finish }],
        usage: body.usage.map(|usage| usage.usage()),
        service_tier: body.service_tier.and_then(|tier| tier.r#type),
    })
}

// === impl Block ===

impl Block<'_> {
    fn part(self) -> Option<Part> {
        if let Some(text) = self.text {
            return (!text.is_empty()).then(|| Part::text(text));
        }
        if let Some(call) = self.tool_use {
            return call.part();
        }
        if let Some(cited) = self.citations_content {
            return Some(Part::Text {
                text: cited.content.into_iter().map(|one| one.text).collect(),
                cache: None,
                citations: cited
                    .citations
                    .into_iter()
                    .filter_map(Citation::source)
                    .collect(),
            });
        }
        if let Some(picture) = self.image {
            return Some(Part::Image(Image {
                source: Source::Base64 {
                    media_type: format!("image/{}", picture.format),
                    data: picture.source.bytes,
                },
                detail: None,
                cache: None,
            }));
        }
        Some(Part::Thought(self.reasoning_content?.thought()?))
    }
}

// === impl ToolUse ===

impl ToolUse<'_> {
    fn part(self) -> Option<Part> {
        if self.r#type.as_deref() == Some("server_tool_use") {
            return None;
        }
        let input = self.input.map_or("{}", RawValue::get);
        if self.name == FORM {
            return Some(Part::text(input));
        }
        Some(Part::ToolCall(ToolCall {
            id: self.id,
            name: self.name,
            arguments: input.to_owned(),
            ..ToolCall::default()
        }))
    }
}
