//! Owns the writing of a request that any provider of OpenAI's format reads: OpenAI's own fields, no others.
//! Must never send a thought back: plain chat has no place for it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::written::{Settings, WrittenCall, WrittenFunction};
use crate::wire::hub::{
    Document, Effort, Format, Message, Part, Request, Role, Schema, Source, Tool, ToolCall,
    ToolChoice, ToolResult,
};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    settings: Settings<'a>,
    messages: Vec<WrittenMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WrittenTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WrittenChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WrittenFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logit_bias: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WrittenMessage<'a> {
    role: &'static str,
    /// Null where there are only calls: some providers want the key.
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WrittenCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WrittenPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenPart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: ImageUrl<'a> },
    InputAudio { input_audio: Sound<'a> },
    File { file: File<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Sound<'a> {
    data: &'a str,
    format: &'a str,
}

#[derive(Default, Serialize)]
struct File<'a> {
    #[serde(rename = "filename", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(rename = "file_data", skip_serializing_if = "Option::is_none")]
    data: Option<String>,
    #[serde(rename = "file_id", skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
}

#[derive(Serialize)]
struct WrittenTool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: ToolFunction<'a>,
}

#[derive(Serialize)]
struct ToolFunction<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WrittenChoice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        function: ToolName<'a>,
    },
}

#[derive(Serialize)]
struct ToolName<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WrittenFormat<'a> {
    JsonObject,
    JsonSchema { json_schema: WrittenSchema<'a> },
}

#[derive(Serialize)]
struct WrittenSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Writes the whole request for an upstream that calls the model `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let sampling = &request.sampling;
    let reasons = reasoning_effort(request);
    let plain = request.reasoning.is_none();
    let body = Body {
        settings: Settings::of(request, model),
        messages: messages(request),
        tools: request.tools.iter().map(WrittenTool::of).collect(),
        tool_choice: request.tool_choice.as_ref().map(WrittenChoice::of),
        response_format: WrittenFormat::of(&request.format),
        frequency_penalty: sampling.frequency_penalty,
        presence_penalty: sampling.presence_penalty,
        seed: sampling.seed,
        logit_bias: sampling.logit_bias.as_ref(),
        stop: &request.stop,
        // Models that reason refuse `max_tokens` at OpenAI; other providers may know no other name.
        max_tokens: request.max_tokens.filter(|_| plain),
        max_completion_tokens: request.max_tokens.filter(|_| !plain),
        reasoning_effort: reasons.map(Effort::as_str),
        verbosity: request.verbosity.as_deref(),
        stream_options: request.stream.then_some(StreamOptions {
            include_usage: true,
        }),
    };
    serde_json::to_vec(&body)
        .expect("structs of strings and numbers always serialise")
        .into()
}

/// The effort asked for, or the one whose share of the answer's room is nearest to the tokens asked for.
pub(in crate::wire) fn reasoning_effort(request: &Request) -> Option<Effort> {
    /// The room where a request sets none: what most models of today may answer.
    const ROOM: u64 = 16_384;
    let reasoning = request.reasoning.as_ref()?;
    let by_tokens = |tokens: u64| {
        let room = request.max_tokens.unwrap_or(ROOM).max(1);
        let share = tokens.saturating_mul(100) / room;
        let steps = Effort::ALL.into_iter();
        steps.min_by_key(|effort| effort.percent().abs_diff(share))
    };
    reasoning
        .effort
        .or(reasoning.max_tokens.and_then(by_tokens))
}

/// Neighbours by the assistant are one message: a call must not be parted from the others of its turn, since the
/// results of all of them have to follow. So with results: what they show comes behind the last.
fn messages(request: &Request) -> Vec<WrittenMessage<'_>> {
    let mut written = Vec::new();
    let has_result = |message: &Message| {
        let mut parts = message.parts.iter();
        parts.any(|part| matches!(part, Part::ToolResult(_)))
    };
    let together = |a: &Message, b: &Message| match (a.role, b.role) {
        (Role::Assistant, Role::Assistant) => true,
        (Role::User, Role::User) => has_result(a),
        _ => false,
    };
    for group in request.messages.chunk_by(together) {
        let parts = group.iter().flat_map(|message| &message.parts);
        match group.first().map(|message| message.role) {
            Some(Role::Assistant) => written.push(WrittenMessage::by_assistant(parts)),
            Some(Role::System) => {
                let content = content(parts.collect(), "\n\n");
                written.push(WrittenMessage::new("system", Some(content)));
            }
            Some(Role::User) => by_user(parts, &mut written),
            None => {}
        }
    }
    written
}

/// Results first, each a message of its own; then the rest. What a tool showed beside text comes with the rest,
/// because a tool's message takes text alone.
fn by_user<'a>(parts: impl Iterator<Item = &'a Part>, written: &mut Vec<WrittenMessage<'a>>) {
    let mut rest = Vec::new();
    let mut any_result = false;
    for part in parts {
        let Part::ToolResult(result) = part else {
            rest.push(part);
            continue;
        };
        any_result = true;
        written.push(WrittenMessage::result(result));
        let shown = result.parts.iter();
        rest.extend(shown.filter(|part| part.as_text().is_none()));
    }
    if !any_result || !rest.is_empty() {
        written.push(WrittenMessage::new("user", Some(content(rest, "\n\n"))));
    }
}

/// Texts alone are one text, since many providers take no list; the `between` keeps them apart.
fn content<'a>(parts: Vec<&'a Part>, between: &str) -> Content<'a> {
    let texts: Option<Vec<&str>> = parts.iter().map(|part| part.as_text()).collect();
    match texts.as_deref() {
        Some([]) => Content::Text(Cow::Borrowed("")),
        Some([one]) => Content::Text(Cow::Borrowed(one)),
        Some(texts) => Content::Text(Cow::Owned(texts.join(between))),
        None => Content::Parts(parts.into_iter().filter_map(WrittenPart::of).collect()),
    }
}

// === impl WrittenMessage ===

impl<'a> WrittenMessage<'a> {
    fn new(role: &'static str, content: Option<Content<'a>>) -> Self {
        Self {
            role,
            content,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }

    fn by_assistant(parts: impl Iterator<Item = &'a Part>) -> Self {
        let mut text = Cow::Borrowed("");
        let mut tool_calls = Vec::new();
        for part in parts {
            match part {
                Part::Text { text: more, .. } | Part::Refusal(more) => text += more.as_str(),
                Part::ToolCall(call) => tool_calls.push(written_call(call)),
                Part::Thought(_)
                | Part::Image(_)
                | Part::Document(_)
                | Part::Audio { .. }
                | Part::ToolResult(_) => {}
            }
        }
        let only_calls = text.is_empty() && !tool_calls.is_empty();
        Self {
            tool_calls,
            ..Self::new("assistant", (!only_calls).then_some(Content::Text(text)))
        }
    }

    fn result(result: &'a ToolResult) -> Self {
        let texts = result.parts.iter();
        let texts: Vec<&Part> = texts.filter(|part| part.as_text().is_some()).collect();
        Self {
            tool_call_id: Some(&result.id),
            ..Self::new("tool", Some(content(texts, "\n")))
        }
    }
}

fn written_call(call: &ToolCall) -> WrittenCall<'_> {
    WrittenCall {
        index: None,
        id: Some(&call.id),
        kind: Some("function"),
        function: WrittenFunction {
            name: Some(&call.name),
            arguments: &call.arguments,
        },
    }
}

// === impl WrittenPart ===

impl<'a> WrittenPart<'a> {
    fn of(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => Some(WrittenPart::Text {
                text: Cow::Borrowed(text),
            }),
            Part::Image(image) => Some(WrittenPart::ImageUrl {
                image_url: ImageUrl {
                    url: image.source.to_url()?,
                    detail: image.detail.as_deref(),
                },
            }),
            Part::Document(document) => Self::of_document(document),
            Part::Audio { data, format } => Some(WrittenPart::InputAudio {
                input_audio: Sound { data, format },
            }),
            Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
        }
    }

    /// A document that is text needs no file.
    fn of_document(document: &'a Document) -> Option<Self> {
        let name = document.name.as_deref();
        let file = match &document.source {
            Source::Text(text) => {
                let text = match name {
                    Some(name) => Cow::Owned(format!("{name}:\n{text}")),
                    None => Cow::Borrowed(text.as_str()),
                };
                return Some(WrittenPart::Text { text });
            }
            Source::File(id) => File {
                id: Some(id),
                ..File::default()
            },
            Source::Base64 { .. } => File {
                // OpenAI wants a name with the bytes.
                name: Some(name.unwrap_or("document")),
                data: document.source.to_url(),
                ..File::default()
            },
            Source::Url(_) => return None,
        };
        Some(WrittenPart::File { file })
    }
}

// === impl WrittenTool ===

impl<'a> WrittenTool<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            kind: "function",
            function: ToolFunction {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters: tool.parameters.as_deref(),
                strict: tool.strict,
            },
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
                function: ToolName { name },
            },
        }
    }
}

// === impl WrittenFormat ===

impl<'a> WrittenFormat<'a> {
    fn of(format: &'a Format) -> Option<Self> {
        match format {
            Format::Text => None,
            Format::Json => Some(WrittenFormat::JsonObject),
            Format::Schema(Schema {
                name,
                description,
                schema,
                strict,
            }) => Some(WrittenFormat::JsonSchema {
                json_schema: WrittenSchema {
                    name,
                    description: description.as_deref(),
                    schema,
                    strict: *strict,
                },
            }),
        }
    }
}
