//! Owns the writing of a request: stateless, the whole conversation as items.
//! Must never ask the provider to keep it, or send a thought that another dialect's provider made.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::item::OWN_FORMAT;
use crate::wire::hub::{
    Document, Effort, Format, Image, Message, Part, Reasoning, Request, Role, Schema, Source,
    Thought, ThoughtKind, Tool, ToolChoice, ToolResult,
};
use crate::wire::openai::hub::reasoning_effort;
use crate::wire::openai::hub::written::Settings;

/// Thoughts come with it, so that the next request can bring them back.
const ENCRYPTED: &[&str] = &["reasoning.encrypted_content"];

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    settings: Settings<'a>,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WrittenTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WrittenChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<WrittenText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<WrittenReasoning<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include: &'static [&'static str],
    store: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Message {
        role: &'static str,
        content: Content<'a>,
    },
    Typed(TypedItem<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TypedItem<'a> {
    FunctionCall {
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    FunctionCallOutput {
        call_id: &'a str,
        output: Content<'a>,
    },
    Reasoning {
        /// OpenAI checks it against the encrypted content.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        summary: Vec<WrittenPart<'a>>,
        encrypted_content: &'a str,
    },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<WrittenPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenPart<'a> {
    InputText {
        text: Cow<'a, str>,
    },
    OutputText {
        text: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
    Refusal {
        refusal: &'a str,
    },
    InputImage {
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<&'a str>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct WrittenTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Required, null included.
    parameters: Option<&'a RawValue>,
    /// Here the default is yes, which chat's schemas need not bear.
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenChoice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
}

#[derive(Serialize)]
struct WrittenText<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WrittenFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenFormat<'a> {
    JsonObject,
    JsonSchema {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        schema: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
    },
}

#[derive(Serialize)]
struct WrittenReasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
}

/// Writes the whole request for an upstream that calls the model `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let effort = reasoning_effort(request);
    // Models that do not reason refuse to be asked for it.
    let reasons = request.reasoning.is_some() && effort != Some(Effort::None);
    let input = items(&request.messages);
    let replays = |item: &Item<'_>| matches!(item, Item::Typed(TypedItem::Reasoning { .. }));
    let body = Body {
        settings: Settings::of(request, model),
        include: match reasons || input.iter().any(replays) {
            true => ENCRYPTED,
            false => &[],
        },
        input,
        tools: request.tools.iter().map(WrittenTool::of).collect(),
        tool_choice: request.tool_choice.as_ref().map(WrittenChoice::of),
        text: WrittenText::of(request),
        max_output_tokens: request.max_tokens,
        reasoning: WrittenReasoning::of(request.reasoning.as_ref(), effort),
        store: false,
    };
    serde_json::to_vec(&body)
        .expect("structs of strings and numbers always serialise")
        .into()
}

/// Whether a thought goes back: encrypted by this dialect's provider, or in words beside such.
pub(super) fn is_replayed(message: &Message, thought: &Thought) -> bool {
    let own = |thought: &Thought| thought.format.as_deref() == Some(OWN_FORMAT);
    let encrypted = |part: &Part| match part {
        Part::Thought(other) => {
            other.kind == ThoughtKind::Encrypted && own(other) && other.id == thought.id
        }
        _ => false,
    };
    match thought.kind {
        ThoughtKind::Encrypted => own(thought),
        ThoughtKind::Summary => own(thought) && message.parts.iter().any(encrypted),
        ThoughtKind::Text => false,
    }
}

fn items(messages: &[Message]) -> Vec<Item<'_>> {
    let mut items = Vec::new();
    for message in messages {
        match message.role {
            Role::Assistant => by_assistant(message, &mut items),
            Role::System => items.push(said("system", message.parts.iter())),
            Role::User => {
                let results = message.parts.iter().filter_map(|part| match part {
                    Part::ToolResult(result) => Some(result),
                    _ => None,
                });
                items.extend(results.map(result));
                let is_result = |part: &&Part| matches!(part, Part::ToolResult(_));
                let rest = message.parts.iter().filter(|part| !is_result(part));
                if rest.clone().next().is_some() {
                    items.push(said("user", rest));
                }
            }
        }
    }
    items
}

fn said<'a>(role: &'static str, parts: impl Iterator<Item = &'a Part>) -> Item<'a> {
    let content = content(&parts.collect::<Vec<_>>());
    Item::Message { role, content }
}

fn result(result: &ToolResult) -> Item<'_> {
    Item::Typed(TypedItem::FunctionCallOutput {
        call_id: &result.id,
        output: content(&result.parts.iter().collect::<Vec<_>>()),
    })
}

fn content<'a>(parts: &[&'a Part]) -> Content<'a> {
    match parts {
        [] => Content::Text(""),
        [Part::Text { text, .. }] => Content::Text(text),
        parts => Content::Parts(
            parts
                .iter()
                .filter_map(|part| WrittenPart::of(part))
                .collect(),
        ),
    }
}

/// Thoughts, texts and calls, each in its place.
fn by_assistant<'a>(message: &'a Message, items: &mut Vec<Item<'a>>) {
    let mut summary: Vec<WrittenPart<'a>> = Vec::new();
    for part in &message.parts {
        let spoken = match part {
            Part::Text { text, .. } => WrittenPart::OutputText { text },
            Part::Refusal(refusal) => WrittenPart::Refusal { refusal },
            Part::ToolCall(call) => {
                items.push(Item::Typed(TypedItem::FunctionCall {
                    call_id: &call.id,
                    name: &call.name,
                    arguments: &call.arguments,
                }));
                continue;
            }
            Part::Thought(thought) if is_replayed(message, thought) => {
                match thought.kind {
                    ThoughtKind::Encrypted => items.push(Item::Typed(TypedItem::Reasoning {
                        id: thought.id.as_deref(),
                        summary: std::mem::take(&mut summary),
                        encrypted_content: &thought.text,
                    })),
                    _ => summary.push(WrittenPart::SummaryText {
                        text: &thought.text,
                    }),
                }
                continue;
            }
            Part::Thought(_)
            | Part::Image(_)
            | Part::Document(_)
            | Part::Audio { .. }
            | Part::ToolResult(_) => continue,
        };
        match items.last_mut() {
            Some(Item::Message {
                role: "assistant",
                content: Content::Parts(parts),
            }) => parts.push(spoken),
            _ => items.push(Item::Message {
                role: "assistant",
                content: Content::Parts(vec![spoken]),
            }),
        }
    }
}

fn file_id(source: &Source) -> Option<&str> {
    match source {
        Source::File(id) => Some(id),
        Source::Base64 { .. } | Source::Url(_) | Source::Text(_) => None,
    }
}

// === impl WrittenPart ===

impl<'a> WrittenPart<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => Some(WrittenPart::InputText {
                text: Cow::Borrowed(text),
            }),
            Part::Image(image) => Some(Self::of_image(image)),
            Part::Document(document) => Some(Self::of_document(document)),
            Part::Audio { .. } | Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
        }
    }

    fn of_image(image: &'a Image) -> Self {
        WrittenPart::InputImage {
            image_url: image.source.to_url(),
            file_id: file_id(&image.source),
            detail: image.detail.as_deref(),
        }
    }

    /// A document that is text needs no file.
    fn of_document(document: &'a Document) -> Self {
        let filename = document.name.as_deref();
        if let Source::Text(text) = &document.source {
            let text = match filename {
                Some(name) => Cow::Owned(format!("{name}:\n{text}")),
                None => Cow::Borrowed(text.as_str()),
            };
            return WrittenPart::InputText { text };
        }
        let inline = matches!(document.source, Source::Base64 { .. });
        WrittenPart::InputFile {
            // OpenAI wants a name with the bytes, and none beside a URL or an id.
            filename: inline.then(|| filename.unwrap_or("document")),
            file_data: document.source.to_url().filter(|_| inline),
            file_url: match &document.source {
                Source::Url(url) => Some(url),
                Source::Base64 { .. } | Source::File(_) | Source::Text(_) => None,
            },
            file_id: file_id(&document.source),
        }
    }
}

// === impl WrittenTool ===

impl<'a> WrittenTool<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            kind: "function",
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_deref(),
            strict: tool.strict.unwrap_or(false),
        }
    }
}

// === impl WrittenChoice ===

impl<'a> WrittenChoice<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => WrittenChoice::Word("auto"),
            ToolChoice::None => WrittenChoice::Word("none"),
            ToolChoice::Required => WrittenChoice::Word("required"),
            ToolChoice::Named(name) => WrittenChoice::Named {
                kind: "function",
                name,
            },
        }
    }
}

// === impl WrittenText ===

impl<'a> WrittenText<'a> {
    fn of(request: &'a Request) -> Option<Self> {
        let format = match &request.format {
            Format::Text => None,
            Format::Json => Some(WrittenFormat::JsonObject),
            Format::Schema(Schema {
                name,
                description,
                schema,
                strict,
            }) => Some(WrittenFormat::JsonSchema {
                name,
                description: description.as_deref(),
                schema,
                strict: *strict,
            }),
        };
        let verbosity = request.verbosity.as_deref();
        let any = format.is_some() || verbosity.is_some();
        any.then_some(Self { format, verbosity })
    }
}

// === impl WrittenReasoning ===

impl<'a> WrittenReasoning<'a> {
    fn of(asked: Option<&'a Reasoning>, effort: Option<Effort>) -> Option<Self> {
        let summary = asked.and_then(|asked| asked.summary.as_deref());
        let effort = effort.map(Effort::as_str);
        let any = effort.is_some() || summary.is_some();
        any.then_some(Self { effort, summary })
    }
}
