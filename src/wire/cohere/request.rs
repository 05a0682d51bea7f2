//! Owns a request's body. Must never parse a schema or an argument: they are carried as the text that they are.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::messages::{self, Message};
use crate::wire::hub::{Effort, Format, Reasoning, Request, Tool, ToolChoice};

/// The range of `p` (the reference): a client's 1, which is no limit, becomes the end of it and not the default, 0.75.
const P_LEAST: f64 = 0.01;
const P_MOST: f64 = 0.99;
/// The most that `k` may be (the reference).
const K_MOST: u64 = 500;
/// The room that a share of thinking is taken of, where the client names none: what Command A Reasoning can write
/// (<https://docs.cohere.com/docs/command-a-reasoning>, 2026-11-22).
const ROOM: u64 = 32_000;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    stream: bool,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Declaration<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
}

#[derive(Serialize)]
struct Declaration<'a> {
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Parameters<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Parameters<'a> {
    Schema(&'a RawValue),
    /// They must be there.
    None {
        r#type: &'static str,
        properties: Empty,
    },
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Thinking {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<u64>,
}

/// The body for `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let sampling = &request.sampling;
    let reasoning = request.reasoning.as_ref();
    let body = Body {
        model,
        stream: request.stream,
        messages: messages::of(request),
        tools: tools(request).map(Declaration::of).collect(),
        tool_choice: tool_choice(request),
        response_format: ResponseFormat::of(&request.format),
        thinking: reasoning.map(|reasoning| Thinking::of(reasoning, request.max_tokens)),
        max_tokens: request.max_tokens,
        stop_sequences: &request.stop,
        temperature: sampling.temperature,
        p: sampling.top_p.map(|p| p.clamp(P_LEAST, P_MOST)),
        k: top_k(request),
        seed: sampling.seed.and_then(|seed| seed.try_into().ok()),
        frequency_penalty: penalty(sampling.frequency_penalty),
        presence_penalty: penalty(sampling.presence_penalty),
    };
    let json = serde_json::to_vec(&body);
    json.expect("strings, numbers and checked JSON are written")
        .into()
}

/// A penalty within Cohere's range; others know one from -2 to 2.
pub(super) fn penalty(asked: Option<f64>) -> Option<f64> {
    asked.filter(|penalty| (0.0..=1.0).contains(penalty))
}

/// `k` within its range.
pub(super) fn top_k(request: &Request) -> Option<u64> {
    request.sampling.top_k.filter(|k| *k <= K_MOST)
}

/// The tools to declare. One that must be called is declared alone: no choice names one.
fn tools(request: &Request) -> impl Iterator<Item = &Tool> {
    let only = match &request.tool_choice {
        Some(ToolChoice::Named(name)) => Some(name),
        Some(ToolChoice::Auto | ToolChoice::None | ToolChoice::Required) | None => None,
    };
    let is_wanted = move |tool: &&Tool| only.is_none_or(|name| tool.name == *name);
    request.tools.iter().filter(is_wanted)
}

fn tool_choice(request: &Request) -> Option<&'static str> {
    let choice = request.tool_choice.as_ref()?;
    match choice {
        _ if request.tools.is_empty() => None,
        ToolChoice::Auto => None,
        ToolChoice::None => Some("NONE"),
        ToolChoice::Required | ToolChoice::Named(_) => Some("REQUIRED"),
    }
}

// === impl Declaration ===

impl<'a> Declaration<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            r#type: "function",
            function: Function {
                name: &tool.name,
                description: tool.description.as_deref(),
                parameters: match tool.parameters.as_deref() {
                    Some(schema) => Parameters::Schema(schema),
                    None => Parameters::None {
                        r#type: "object",
                        properties: Empty {},
                    },
                },
            },
        }
    }
}

// === impl ResponseFormat ===

impl<'a> ResponseFormat<'a> {
    fn of(format: &'a Format) -> Option<Self> {
        let json_schema = match format {
            Format::Text => return None,
            Format::Json => None,
            Format::Schema(form) => Some(&*form.schema),
        };
        Some(Self {
            r#type: "json_object",
            json_schema,
        })
    }
}

// === impl Thinking ===

impl Thinking {
    fn of(reasoning: &Reasoning, max_tokens: Option<u64>) -> Self {
        if reasoning.effort == Some(Effort::None) {
            return Self {
                r#type: "disabled",
                token_budget: None,
            };
        }
        let room = max_tokens.unwrap_or(ROOM);
        let share = |effort: Effort| room.saturating_mul(effort.percent()) / 100;
        let budget = reasoning.max_tokens.or(reasoning.effort.map(share));
        Self {
            r#type: "enabled",
            token_budget: budget.map(|budget| budget.max(1)),
        }
    }
}
