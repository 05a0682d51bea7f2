//! Owns a conversation as messages. Must never send an empty one, which is refused.

use std::borrow::Cow;

use serde::Serialize;

use crate::wire::hub::{Image, Part, Request, Role, Source, ToolCall, ToolResult};

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub(super) enum Message<'a> {
    System {
        content: Vec<Block<'a>>,
    },
    User {
        content: Vec<Block<'a>>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        /// The words before calls.
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_plan: Option<String>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: [Output<'a>; 1],
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
pub(super) struct ImageUrl<'a> {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
pub(super) struct Call<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a str,
}

/// What a tool said, as a document, so that the model can cite it.
#[derive(Serialize)]
pub(super) struct Output<'a> {
    r#type: &'static str,
    document: Document<'a>,
}

#[derive(Serialize)]
struct Document<'a> {
    data: Said<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Said<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
}

/// The messages, the system's where they stand.
pub(super) fn of(request: &Request) -> Vec<Message<'_>> {
    let mut messages = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let parts = &message.parts;
        match message.role {
            Role::System => {
                let content = blocks(parts);
                if !content.is_empty() {
                    messages.push(Message::System { content });
                }
            }
            Role::User => of_user(parts, &mut messages),
            Role::Assistant => messages.extend(of_assistant(parts)),
        }
    }
    messages
}

/// Results of tools are messages of their own, and stand first: they answer the calls before them.
fn of_user<'a>(parts: &'a [Part], messages: &mut Vec<Message<'a>>) {
    for part in parts {
        if let Part::ToolResult(result) = part {
            messages.push(Message::Tool {
                tool_call_id: &result.id,
                content: [Output::of(result)],
            });
        }
    }
    let content = blocks(parts);
    if !content.is_empty() {
        messages.push(Message::User { content });
    }
}

fn of_assistant(parts: &[Part]) -> Option<Message<'_>> {
    let calls = parts.iter().filter_map(|part| match part {
        Part::ToolCall(call) => Some(Call::of(call)),
        _ => None,
    });
    let tool_calls: Vec<_> = calls.collect();
    let content = blocks(parts);
    if tool_calls.is_empty() {
        return (!content.is_empty()).then_some(Message::Assistant {
            content,
            tool_plan: None,
            tool_calls,
        });
    }
    let plan: String = content.iter().filter_map(Block::as_text).collect();
    Some(Message::Assistant {
        content: Vec::new(),
        tool_plan: (!plan.is_empty()).then_some(plan),
        tool_calls,
    })
}

fn blocks(parts: &[Part]) -> Vec<Block<'_>> {
    parts.iter().filter_map(Block::of).collect()
}

// === impl Block ===

impl<'a> Block<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => Self::text(text),
            Part::Image(image) => Self::image(image),
            Part::Document(document) => match &document.source {
                Source::Text(text) => Self::text(text),
                Source::Base64 { .. } | Source::Url(_) | Source::File(_) => None,
            },
            Part::Audio { .. } | Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
        }
    }

    fn text(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Block::Text { text })
    }

    fn image(image: &'a Image) -> Option<Self> {
        Some(Block::ImageUrl {
            image_url: ImageUrl {
                url: image.source.to_url()?,
                detail: image.detail.as_deref(),
            },
        })
    }

    fn as_text(&self) -> Option<&'a str> {
        match self {
            Block::Text { text } => Some(text),
            Block::ImageUrl { .. } => None,
        }
    }
}

// === impl Call ===

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall) -> Self {
        Self {
            id: &call.id,
            r#type: "function",
            function: Function {
                name: &call.name,
                arguments: match call.arguments.trim_ascii() {
                    "" => "{}",
                    _ => &call.arguments,
                },
            },
        }
    }
}

// === impl Output ===

impl<'a> Output<'a> {
    fn of(result: &'a ToolResult) -> Self {
        let mut texts = blocks(&result.parts)
            .into_iter()
            .filter_map(|block| block.as_text());
        let first = texts.next().unwrap_or_default();
        let text = texts.fold(Cow::Borrowed(first), |all, next| all + "\n" + next);
        Self {
            r#type: "document",
            document: Document {
                data: match result.failed {
                    true => Said::Error(text),
                    false => Said::Output(text),
                },
            },
        }
    }
}
