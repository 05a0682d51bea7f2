//! Owns the reading of a client's request, whole. In reading order: this file (the settings), `blocks` (what was said).
//! Must never leave out a field without its name in `unknown`, but for those that speak to a router.

mod blocks;

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::client_error::RequestError;
use crate::wire::client_request::top_level::ROUTER_ONLY;
use crate::wire::hub::{
    Cache, Effort, Format, Message, Part, Reasoning, Request, Role, Sampling, Schema, Tool,
    ToolChoice,
};
use blocks::{CacheIn, Content};

/// The name of a schema, which the dialect does not give.
const SCHEMA_NAME: &str = "answer";

#[derive(Deserialize)]
struct Body {
    messages: Option<Vec<MessageIn>>,
    system: Option<Content>,
    max_tokens: Option<u64>,
    metadata: Option<Metadata>,
    stop_sequences: Option<Vec<String>>,
    stream: Option<bool>,
    temperature: Option<f64>,
    top_k: Option<u64>,
    top_p: Option<f64>,
    tools: Option<Vec<ToolIn>>,
    tool_choice: Option<Choice>,
    thinking: Option<Thinking>,
    output_config: Option<OutputConfig>,
    /// The older place of `output_config.format`.
    output_format: Option<FormatIn>,
    service_tier: Option<String>,
    cache_control: Option<CacheIn>,
    #[serde(flatten)]
    rest: Names,
}

#[derive(Deserialize)]
struct MessageIn {
    role: RoleIn,
    content: Content,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RoleIn {
    User,
    Assistant,
    System,
}

#[derive(Default, Deserialize)]
struct Metadata {
    user_id: Option<String>,
    #[serde(flatten)]
    rest: Names,
}

#[derive(Deserialize)]
struct ToolIn {
    #[serde(rename = "type")]
    kind: Option<String>,
    name: Option<String>,
    description: Option<String>,
    input_schema: Option<Box<RawValue>>,
    strict: Option<bool>,
    cache_control: Option<CacheIn>,
    #[serde(flatten)]
    rest: Names,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(rename = "type")]
    kind: ChoiceKind,
    name: Option<String>,
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChoiceKind {
    Auto,
    Any,
    Tool,
    None,
}

#[derive(Deserialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: ThinkingKind,
    budget_tokens: Option<u64>,
    display: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ThinkingKind {
    Enabled,
    Adaptive,
    Disabled,
}

#[derive(Default, Deserialize)]
struct OutputConfig {
    effort: Option<String>,
    format: Option<FormatIn>,
    #[serde(flatten)]
    rest: Names,
}

#[derive(Deserialize)]
struct FormatIn {
    #[serde(rename = "type")]
    kind: String,
    schema: Option<Box<RawValue>>,
}

/// The fields of an object that nobody else took.
#[derive(Default)]
struct Names(Vec<String>);

/// Reads a body.
///
/// # Errors
/// It is not the dialect's format.
pub(super) fn read(body: &Bytes) -> Result<Request, RequestError> {
    let body: Body = serde_json::from_slice(body).map_err(|error| RequestError {
        message: format!("could not read the request: {error}"),
        param: None,
        code: None,
    })?;
    body.into_request()
}

// === impl Names ===

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Self::default())
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            self.0.push(name);
        }
        Ok(self)
    }
}

// === impl Body ===

impl Body {
    fn into_request(self) -> Result<Request, RequestError> {
        let mut unknown = Vec::new();
        let Some(said) = self.messages else {
            return Err(RequestError::about(
                "messages",
                "you must provide 'messages'",
            ));
        };
        let messages = messages(self.system, said, self.cache_control, &mut unknown)?;
        let config = self.output_config.unwrap_or_default();
        let tools = tools(self.tools.unwrap_or_default(), &mut unknown)?;
        let format = format(config.format.or(self.output_format), &mut unknown)?;
        let parallel = self
            .tool_choice
            .as_ref()
            .and_then(|it| it.disable_parallel_tool_use);
        let thinks = self.thinking.as_ref();
        let thinks = thinks.is_some_and(|it| it.kind != ThinkingKind::Disabled);
        let verbosity = config.effort.as_deref().filter(|_| !thinks).map(verbosity);
        // The model is routing's too.
        let routed = |name: &String| name == "model" || ROUTER_ONLY.contains(&name.as_str());
        unknown.extend(self.rest.0.into_iter().filter(|name| !routed(name)));
        let inner = config.rest.0.into_iter();
        unknown.extend(inner.map(|name| format!("output_config.{name}")));
        let metadata = self.metadata.unwrap_or_default();
        let inner = metadata.rest.0.into_iter();
        unknown.extend(inner.map(|name| format!("metadata.{name}")));
        let mut named = HashSet::new();
        unknown.retain(|name| named.insert(name.clone()));
        Ok(Request {
            messages,
            tools,
            tool_choice: self.tool_choice.map(Choice::into_hub).transpose()?,
            parallel_tools: parallel.map(|disabled| !disabled),
            format,
            sampling: Sampling {
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k,
                ..Sampling::default()
            },
            stop: self.stop_sequences.unwrap_or_default(),
            max_tokens: self.max_tokens,
            reasoning: self
                .thinking
                .map(|it| it.into_hub(config.effort.as_deref())),
            stream: self.stream.unwrap_or(false),
            user: metadata.user_id,
            service_tier: self.service_tier.map(service_tier),
            verbosity: verbosity.map(str::to_owned),
            unknown,
            ..Request::default()
        })
    }
}

fn messages(
    system: Option<Content>,
    said: Vec<MessageIn>,
    cache: Option<CacheIn>,
    unknown: &mut Vec<String>,
) -> Result<Vec<Message>, RequestError> {
    let mut messages = Vec::with_capacity(said.len() + 1);
    if let Some(system) = system {
        messages.push(Message {
            role: Role::System,
            parts: system.into_parts(unknown)?,
        });
    }
    for message in said {
        messages.push(Message {
            role: match message.role {
                RoleIn::User => Role::User,
                RoleIn::Assistant => Role::Assistant,
                RoleIn::System => Role::System,
            },
            parts: message.content.into_parts(unknown)?,
        });
    }
    if let Some(cache) = cache {
        cache_all(&mut messages, cache.into_hub());
    }
    Ok(messages)
}

/// A mark on the request as a whole is one on the last part that can have it.
fn cache_all(messages: &mut [Message], cache: Cache) {
    let parts = messages
        .iter_mut()
        .rev()
        .flat_map(|message| message.parts.iter_mut().rev());
    let mark = parts.into_iter().find_map(Part::mark_mut);
    if let Some(mark) = mark {
        mark.get_or_insert(cache);
    }
}

/// The client's own tools. The provider's are named, for no other dialect has them.
fn tools(tools: Vec<ToolIn>, unknown: &mut Vec<String>) -> Result<Vec<Tool>, RequestError> {
    let mut read = Vec::with_capacity(tools.len());
    for tool in tools {
        if let Some(kind) = tool.kind.filter(|kind| kind != "custom") {
            unknown.push(format!("tools.{kind}"));
            continue;
        }
        let extras = tool.rest.0.iter();
        unknown.extend(extras.map(|name| format!("tools.{name}")));
        let Some(name) = tool.name else {
            return Err(RequestError::about("tools", "a tool has no 'name'"));
        };
        read.push(Tool {
            name,
            description: tool.description,
            parameters: tool.input_schema,
            strict: tool.strict,
            cache: tool.cache_control.map(CacheIn::into_hub),
        });
    }
    Ok(read)
}

fn format(format: Option<FormatIn>, unknown: &mut Vec<String>) -> Result<Format, RequestError> {
    let Some(format) = format else {
        return Ok(Format::Text);
    };
    if format.kind != "json_schema" {
        unknown.push(format!("output_config.format.{}", format.kind));
        return Ok(Format::Text);
    }
    let Some(schema) = format.schema else {
        let message = "'output_config.format' has no 'schema'".to_owned();
        return Err(RequestError::about("output_config", message));
    };
    Ok(Format::Schema(Schema {
        name: SCHEMA_NAME.to_owned(),
        description: None,
        schema,
        strict: Some(true),
    }))
}

// === impl Choice ===

impl Choice {
    fn into_hub(self) -> Result<ToolChoice, RequestError> {
        Ok(match self.kind {
            ChoiceKind::Auto => ToolChoice::Auto,
            ChoiceKind::Any => ToolChoice::Required,
            ChoiceKind::None => ToolChoice::None,
            ChoiceKind::Tool => ToolChoice::Named(self.name.ok_or_else(|| {
                let message = "a 'tool_choice' of type 'tool' has no 'name'".to_owned();
                RequestError::about("tool_choice", message)
            })?),
        })
    }
}

// === impl Thinking ===

impl Thinking {
    fn into_hub(self, effort: Option<&str>) -> Reasoning {
        let effort = match self.kind {
            ThinkingKind::Disabled => Some(Effort::None),
            ThinkingKind::Enabled => effort.and_then(of_word),
            // The documented default.
            ThinkingKind::Adaptive => effort.and_then(of_word).or(Some(Effort::High)),
        };
        Reasoning {
            effort,
            max_tokens: self
                .budget_tokens
                .filter(|_| self.kind == ThinkingKind::Enabled),
            hidden: self.display.as_deref() == Some("omitted"),
            summary: None,
        }
    }
}

fn of_word(effort: &str) -> Option<Effort> {
    match effort {
        "max" => Some(Effort::XHigh),
        effort => Effort::of(effort),
    }
}

/// Without thinking, effort is how long an answer is wanted.
fn verbosity(effort: &str) -> &'static str {
    match effort {
        "low" => "low",
        "medium" => "medium",
        _ => "high",
    }
}

/// In the words of chat requests.
fn service_tier(tier: String) -> String {
    match tier.as_str() {
        "standard_only" => "default".to_owned(),
        _ => tier,
    }
}

#[cfg(test)]
mod tests;
