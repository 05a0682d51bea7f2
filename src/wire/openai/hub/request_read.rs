//! Owns the reading of a request into the hub. Must never drop a field without naming it, or look inside schemas.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::fields::{Content, as_text, effort, from_str, note, unknown_fields};
use super::said::{CacheControl, Said, content_parts};
use crate::wire::client_error::RequestError;
use crate::wire::hub::{
    Cache, Effort, Format, Message, Part, Reasoning, Request, Role, Sampling, Schema, Tool,
    ToolChoice, ToolResult,
};
use crate::wire::json::Word;

/// Fields that are read here.
#[rustfmt::skip] // a list of words
const KNOWN: &[&str] = &[
    "messages", "tools", "tool_choice", "parallel_tool_calls", "response_format", "temperature", "top_p", "top_k", "min_p",
    "frequency_penalty", "presence_penalty", "repetition_penalty", "seed", "logit_bias", "stop", "max_tokens",
    "max_completion_tokens", "reasoning", "reasoning_effort", "include_reasoning", "stream", "n", "user", "safety_identifier",
    "metadata", "service_tier", "prompt_cache_key", "verbosity", "logprobs", "top_logprobs", "cache_control", "model",
    "stream_options",
];

/// What OpenAI called tools before 2023-11; answers to it have another form.
const LEGACY: [&str; 2] = ["functions", "function_call"];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    messages: Vec<Said<'a>>,
    #[serde(borrow)]
    tools: Option<Vec<SaidTool<'a>>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    parallel_tool_calls: Option<bool>,
    #[serde(borrow)]
    response_format: Option<SaidFormat<'a>>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    min_p: Option<f64>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    repetition_penalty: Option<f64>,
    seed: Option<i64>,
    logit_bias: Option<Map<String, Value>>,
    #[serde(default)]
    stop: Content<String>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    reasoning: Option<SaidReasoning>,
    reasoning_effort: Option<String>,
    include_reasoning: Option<bool>,
    stream: Option<bool>,
    n: Option<u32>,
    user: Option<String>,
    safety_identifier: Option<String>,
    metadata: Option<Map<String, Value>>,
    service_tier: Option<String>,
    prompt_cache_key: Option<String>,
    verbosity: Option<String>,
    logprobs: Option<bool>,
    top_logprobs: Option<u32>,
    cache_control: Option<CacheControl>,
}

#[derive(Deserialize)]
struct SaidTool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    function: Option<SaidFunction>,
    cache_control: Option<CacheControl>,
}

#[derive(Deserialize)]
struct SaidFunction {
    name: String,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct SaidFormat<'a> {
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    json_schema: Option<SaidSchema>,
}

#[derive(Deserialize)]
struct SaidSchema {
    name: Option<String>,
    description: Option<String>,
    schema: Option<Box<RawValue>>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct SaidReasoning {
    effort: Option<String>,
    max_tokens: Option<u64>,
    exclude: Option<bool>,
    enabled: Option<bool>,
    summary: Option<String>,
}

#[derive(Deserialize)]
struct NamedTool<'a> {
    #[serde(borrow)]
    function: Option<ToolName<'a>>,
}

#[derive(Deserialize)]
struct ToolName<'a> {
    #[serde(borrow)]
    name: Word<'a>,
}

/// Reads the whole request.
pub(super) fn read(body: &Bytes) -> Result<Request, RequestError> {
    let text = as_text(body)?;
    let unknown = unknown_fields(text, KNOWN)?;
    if let Some(legacy) = LEGACY
        .into_iter()
        .find(|field| unknown.iter().any(|name| name == field))
    {
        let message = format!("'{legacy}' is not supported by this model: use 'tools'");
        return Err(RequestError::about(legacy, message));
    }
    from_str::<Body<'_>>(text)?.into_request(unknown)
}

#[derive(Deserialize)]
struct Shown {
    reasoning: Option<Excluded>,
    include_reasoning: Option<bool>,
}

#[derive(Deserialize)]
struct Excluded {
    exclude: Option<bool>,
}

/// Whether a request, of OpenRouter's chat or Responses, does not want to see what the model thinks.
pub(in crate::wire) fn hides_thoughts(request: &[u8]) -> bool {
    let names = [&br#""exclude""#[..], br#""include_reasoning""#];
    if !names
        .into_iter()
        .any(|name| memmem::find(request, name).is_some())
    {
        return false;
    }
    let Ok(shown) = serde_json::from_slice::<Shown>(request) else {
        return false;
    };
    let excluded = shown.reasoning.and_then(|reasoning| reasoning.exclude);
    excluded.unwrap_or(shown.include_reasoning == Some(false))
}

// === impl Body ===

impl Body<'_> {
    fn into_request(mut self, mut unknown: Vec<String>) -> Result<Request, RequestError> {
        let mut messages = Vec::with_capacity(self.messages.len());
        for (at, said) in std::mem::take(&mut self.messages).into_iter().enumerate() {
            if said.name.is_some() && said.tool_call_id.is_none() {
                note(&mut unknown, "messages.name");
            }
            messages.push(message(said, at)?);
        }
        if let Some(mark) = self.cache_control.take() {
            cache_last(&mut messages, &mark.into_cache());
        }
        let reasoning = self.reasoning()?;
        let tools = tools(self.tools.take(), &mut unknown)?;
        Ok(Request {
            messages,
            tools,
            tool_choice: self.tool_choice.map(tool_choice).transpose()?,
            parallel_tools: self.parallel_tool_calls,
            format: self
                .response_format
                .take()
                .map_or(Ok(Format::Text), format)?,
            sampling: self.sampling(),
            stop: match self.stop {
                Content::None => Vec::new(),
                Content::Text(one) => vec![one],
                Content::List(all) => all,
            },
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            reasoning,
            stream: self.stream.unwrap_or(false),
            choices: self.n.unwrap_or(1),
            user: self.user.or(self.safety_identifier),
            metadata: self.metadata,
            service_tier: self.service_tier,
            prompt_cache_key: self.prompt_cache_key,
            verbosity: self.verbosity,
            logprobs: match self.logprobs {
                Some(true) => Some(self.top_logprobs.unwrap_or(0)),
                Some(false) | None => None,
            },
            unknown,
        })
    }

    fn sampling(&mut self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
            logit_bias: self.logit_bias.take(),
        }
    }

    fn reasoning(&mut self) -> Result<Option<Reasoning>, RequestError> {
        let short = effort(self.reasoning_effort.as_deref(), "reasoning_effort")?;
        let hidden = self.include_reasoning == Some(false);
        let Some(asked) = self.reasoning.take() else {
            let asked = short.is_some() || self.include_reasoning.is_some();
            return Ok(asked.then(|| Reasoning {
                effort: short,
                hidden,
                ..Reasoning::default()
            }));
        };
        let long = effort(asked.effort.as_deref(), "reasoning")?;
        if let (Some(long), Some(short)) = (long, short)
            && long != short
        {
            let message = "'reasoning.effort' and 'reasoning_effort' differ".to_owned();
            return Err(RequestError::about("reasoning", message));
        }
        let switched = match asked.enabled {
            Some(false) => Some(Effort::None),
            // OpenRouter's default.
            Some(true) if asked.max_tokens.is_none() => Some(Effort::Medium),
            Some(true) | None => None,
        };
        Ok(Some(Reasoning {
            effort: long.or(short).or(switched),
            max_tokens: asked.max_tokens,
            hidden: asked.exclude.unwrap_or(hidden),
            summary: asked.summary,
        }))
    }
}

fn message(said: Said<'_>, at: usize) -> Result<Message, RequestError> {
    let wrong = |why: String| RequestError::about("messages", format!("messages[{at}]: {why}"));
    let (role, parts) = match said.role.as_deref() {
        Some("system" | "developer") => (Role::System, content_parts(said.content, "content")),
        Some("user") => (Role::User, content_parts(said.content, "content")),
        Some("assistant") if said.function_call.is_some() => {
            return Err(wrong(
                "'function_call' is not supported: use 'tool_calls'".to_owned(),
            ));
        }
        Some("assistant") if said.audio.is_some() => {
            return Err(wrong(
                "'audio' of another answer cannot be translated".to_owned(),
            ));
        }
        Some("assistant") => (Role::Assistant, said.into_parts()),
        Some("tool") => (Role::User, tool_result(said).map(|result| vec![result])),
        Some(other) => return Err(wrong(format!("'{other}' is no role that is supported"))),
        None => return Err(wrong("it lacks a 'role'".to_owned())),
    };
    Ok(Message {
        role,
        parts: parts.map_err(wrong)?,
    })
}

fn tool_result(said: Said<'_>) -> Result<Part, String> {
    Ok(Part::ToolResult(ToolResult {
        id: said
            .tool_call_id
            .ok_or_else(|| "it lacks a 'tool_call_id'".to_owned())?,
        name: said.name,
        parts: content_parts(said.content, "content")?,
        failed: false,
        cache: None,
    }))
}

/// OpenRouter's mark for the whole prompt: up to the last part that can carry it.
fn cache_last(messages: &mut [Message], mark: &Cache) {
    let parts = messages
        .iter_mut()
        .rev()
        .flat_map(|message| message.parts.iter_mut().rev());
    let place = parts.into_iter().find_map(Part::mark_mut);
    if let Some(place) = place {
        place.get_or_insert_with(|| mark.clone());
    }
}

/// Tools that are no functions run at the provider: no other has them.
fn tools(
    said: Option<Vec<SaidTool<'_>>>,
    unknown: &mut Vec<String>,
) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    for (at, tool) in said.into_iter().flatten().enumerate() {
        let kind = tool.kind.as_deref().unwrap_or("function");
        if kind != "function" {
            note(unknown, &format!("tools.{kind}"));
            continue;
        }
        let function = tool.function;
        let function = function.ok_or_else(|| {
            RequestError::about("tools", format!("tools[{at}] lacks a 'function'"))
        })?;
        tools.push(Tool {
            name: function.name,
            description: function.description,
            parameters: function.parameters,
            strict: function.strict,
            cache: tool.cache_control.map(CacheControl::into_cache),
        });
    }
    Ok(tools)
}

fn tool_choice(json: &RawValue) -> Result<ToolChoice, RequestError> {
    let named = || {
        let choice: NamedTool<'_> = serde_json::from_str(json.get()).ok()?;
        let name: &str = &choice.function?.name;
        Some(ToolChoice::Named(name.to_owned()))
    };
    match json.get() {
        r#""auto""# => Ok(ToolChoice::Auto),
        r#""none""# => Ok(ToolChoice::None),
        r#""required""# => Ok(ToolChoice::Required),
        _ => named().ok_or_else(|| {
            let message = "'tool_choice' must be auto, none, required or a function with a name";
            RequestError::about("tool_choice", message)
        }),
    }
}

fn format(said: SaidFormat<'_>) -> Result<Format, RequestError> {
    match &*said.kind {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => {
            let schema = said.json_schema.and_then(|said| {
                Some(Schema {
                    name: said.name.unwrap_or_else(|| "answer".to_owned()),
                    description: said.description,
                    schema: said.schema?,
                    strict: said.strict,
                })
            });
            let message = "'response_format' lacks a 'json_schema' with a 'schema'";
            schema
                .map(Format::Schema)
                .ok_or_else(|| RequestError::about("response_format", message))
        }
        other => {
            let message = format!("'response_format' of the type '{other}' cannot be translated");
            Err(RequestError::about("response_format", message))
        }
    }
}
