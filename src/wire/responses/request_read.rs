//! Owns the reading of a request into the hub. Must never act as if the conversation were kept here: what leans on an
//! earlier answer is refused.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::custom::{self, Form};
use super::item::{Item, Said, content_parts};
use crate::wire::client_error::RequestError;
use crate::wire::hub::{
    Format, Message, Part, Reasoning, Request, Role, Sampling, Schema, Tool, ToolChoice,
};
use crate::wire::json::Word;
use crate::wire::openai::hub::fields::{Content, as_text, effort, from_str, note, unknown_fields};

/// Fields that are read here.
#[rustfmt::skip] // a list of words
const KNOWN: &[&str] = &[
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "text", "reasoning", "max_output_tokens",
    "temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "top_logprobs", "include", "stream", "user",
    "safety_identifier", "metadata", "service_tier", "prompt_cache_key", "truncation", "store", "stream_options",
];

/// Fields that lean on what OpenAI keeps.
const STATEFUL: [&str; 4] = [
    "previous_response_id",
    "conversation",
    "background",
    "prompt",
];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    input: Content<Item<'a>>,
    #[serde(default)]
    instructions: Content<Value>,
    #[serde(borrow)]
    tools: Option<Vec<SaidTool<'a>>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    parallel_tool_calls: Option<bool>,
    #[serde(borrow)]
    text: Option<SaidText<'a>>,
    reasoning: Option<SaidReasoning>,
    max_output_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    frequency_penalty: Option<f64>,
    presence_penalty: Option<f64>,
    top_logprobs: Option<u32>,
    include: Option<Vec<String>>,
    stream: Option<bool>,
    user: Option<String>,
    safety_identifier: Option<String>,
    metadata: Option<Map<String, Value>>,
    service_tier: Option<String>,
    prompt_cache_key: Option<String>,
    truncation: Option<String>,
    store: Option<bool>,
}

#[derive(Deserialize)]
struct SaidTool<'a> {
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    name: Option<String>,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
    /// Of a custom tool.
    #[serde(borrow)]
    format: Option<Form<'a>>,
}

#[derive(Deserialize)]
struct SaidText<'a> {
    #[serde(borrow)]
    format: Option<SaidFormat<'a>>,
    verbosity: Option<String>,
}

#[derive(Deserialize)]
struct SaidFormat<'a> {
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    name: Option<String>,
    description: Option<String>,
    schema: Option<Box<RawValue>>,
    strict: Option<bool>,
}

#[derive(Deserialize)]
struct SaidReasoning {
    effort: Option<String>,
    summary: Option<String>,
    /// The older name of `summary`.
    generate_summary: Option<String>,
    /// OpenRouter's.
    max_tokens: Option<u64>,
    exclude: Option<bool>,
}

#[derive(Deserialize)]
struct SaidChoice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Word<'a>,
    name: Option<String>,
    #[serde(borrow)]
    mode: Option<Word<'a>>,
}

/// Reads the whole request.
pub(super) fn read(body: &Bytes) -> Result<Request, RequestError> {
    let text = as_text(body)?;
    let unknown = unknown_fields(text, KNOWN)?;
    let is_there = |field: &&str| unknown.iter().any(|name| name == field);
    if let Some(field) = STATEFUL.into_iter().find(is_there) {
        return Err(stateless(field));
    }
    from_str::<Body<'_>>(text)?.into_request(unknown)
}

/// The error for what needs an earlier answer.
fn stateless(field: &'static str) -> RequestError {
    let message = format!(
        "'{field}' is not supported: Mainstay keeps no responses, so send the whole conversation in 'input'"
    );
    RequestError::about(field, message)
}

// === impl Body ===

impl Body<'_> {
    fn into_request(mut self, mut unknown: Vec<String>) -> Result<Request, RequestError> {
        let mut messages = instructions(std::mem::take(&mut self.instructions))?;
        read_input(std::mem::take(&mut self.input), &mut messages, &mut unknown)?;
        let tools = tools(self.tools.take(), &mut unknown)?;
        let tool_choice = match self.tool_choice {
            Some(json) => tool_choice(json, &mut unknown)?,
            None => None,
        };
        let logprobs = self.include(&mut unknown);
        let (format, verbosity) = match self.text.take() {
            Some(text) => (
                text.format.map_or(Ok(Format::Text), format)?,
                text.verbosity,
            ),
            None => (Format::Text, None),
        };
        Ok(Request {
            messages,
            tools,
            tool_choice,
            parallel_tools: self.parallel_tool_calls,
            format,
            sampling: Sampling {
                temperature: self.temperature,
                top_p: self.top_p,
                top_k: self.top_k,
                frequency_penalty: self.frequency_penalty,
                presence_penalty: self.presence_penalty,
                ..Sampling::default()
            },
            max_tokens: self.max_output_tokens,
            reasoning: self.reasoning.take().map(reasoning).transpose()?,
            stream: self.stream.unwrap_or(false),
            choices: 1,
            user: self.user.or(self.safety_identifier),
            metadata: self.metadata,
            service_tier: self.service_tier,
            prompt_cache_key: self.prompt_cache_key,
            verbosity,
            logprobs,
            stop: Vec::new(),
            unknown,
        })
    }

    /// Names what nobody does here, and says how many log-probabilities are wanted.
    fn include(&mut self, unknown: &mut Vec<String>) -> Option<u32> {
        if self.store == Some(true) {
            note(unknown, "store");
        }
        if self.truncation.as_deref() == Some("auto") {
            note(unknown, "truncation");
        }
        let mut logprobs = self.top_logprobs.filter(|most| *most > 0);
        for wanted in self.include.take().unwrap_or_default() {
            match wanted.as_str() {
                // Thoughts always come with what proves their origin.
                "reasoning.encrypted_content" => {}
                "message.output_text.logprobs" => logprobs = logprobs.or(Some(0)),
                _ => note(unknown, "include"),
            }
        }
        logprobs
    }
}

fn instructions(said: Content<Value>) -> Result<Vec<Message>, RequestError> {
    let text = match said {
        Content::None => return Ok(Vec::new()),
        Content::Text(text) => text,
        Content::List(_) => {
            return Err(RequestError::about(
                "instructions",
                "'instructions' must be a text",
            ));
        }
    };
    Ok(vec![Message {
        role: Role::System,
        parts: vec![Part::text(text)],
    }])
}

fn read_input(
    input: Content<Item<'_>>,
    messages: &mut Vec<Message>,
    unknown: &mut Vec<String>,
) -> Result<(), RequestError> {
    let items = match input {
        Content::None => return Err(RequestError::about("input", "you must provide 'input'")),
        Content::Text(text) => {
            let parts = vec![Part::text(text)];
            messages.push(Message {
                role: Role::User,
                parts,
            });
            return Ok(());
        }
        Content::List(items) => items,
    };
    let mut signatures = Vec::new();
    for (at, item) in items.into_iter().enumerate() {
        let wrong = |why: String| RequestError::about("input", format!("input[{at}]: {why}"));
        if item.kind() == "item_reference" {
            return Err(wrong(
                "'item_reference' is not supported: Mainstay keeps no responses".to_owned(),
            ));
        }
        let role = role(&item).map_err(wrong)?;
        if role != Role::Assistant && item.kind() == "message" {
            let parts = content_parts(item.content, "content").map_err(wrong)?;
            messages.push(Message { role, parts });
            continue;
        }
        match item.say(&mut signatures).map_err(wrong)? {
            Said::Parts(parts) => messages.push(Message { role, parts }),
            Said::Signature(signature) => signatures.push(signature),
            Said::Hosted(kind) => note(unknown, &format!("input.{kind}")),
        }
    }
    Ok(())
}

/// Who says an item.
fn role(item: &Item<'_>) -> Result<Role, String> {
    match (item.kind(), item.role.as_deref()) {
        ("message", Some("user")) => Ok(Role::User),
        ("message", Some("system" | "developer")) => Ok(Role::System),
        ("message", Some("assistant")) => Ok(Role::Assistant),
        ("message", Some(other)) => Err(format!("'{other}' is no role that is supported")),
        ("message", None) => Err("it lacks a 'role'".to_owned()),
        ("function_call_output" | "custom_tool_call_output", _) => Ok(Role::User),
        _ => Ok(Role::Assistant),
    }
}

/// Tools that are neither functions nor custom run at the provider: no other has them.
fn tools(
    said: Option<Vec<SaidTool<'_>>>,
    unknown: &mut Vec<String>,
) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    for (at, tool) in said.into_iter().flatten().enumerate() {
        let is_custom = &*tool.kind == "custom";
        if &*tool.kind != "function" && !is_custom {
            note(unknown, &format!("tools.{}", &*tool.kind));
            continue;
        }
        let name = tool
            .name
            .ok_or_else(|| RequestError::about("tools", format!("tools[{at}] lacks a 'name'")))?;
        if is_custom {
            let form = tool.format.as_ref();
            tools.push(custom::function(name, tool.description, form));
            continue;
        }
        tools.push(Tool {
            name,
            description: tool.description,
            parameters: tool.parameters,
            strict: tool.strict,
            cache: None,
        });
    }
    Ok(tools)
}

fn tool_choice(
    json: &RawValue,
    unknown: &mut Vec<String>,
) -> Result<Option<ToolChoice>, RequestError> {
    let wrong = || {
        let message = "'tool_choice' must be auto, none, required or a function with a name";
        RequestError::about("tool_choice", message)
    };
    let of_word = |word: &str| match word {
        "auto" => Some(ToolChoice::Auto),
        "none" => Some(ToolChoice::None),
        "required" => Some(ToolChoice::Required),
        _ => None,
    };
    if json.get().starts_with('"') {
        let word: Word<'_> = serde_json::from_str(json.get()).map_err(|_| wrong())?;
        return of_word(&word).map(Some).ok_or_else(wrong);
    }
    let choice: SaidChoice<'_> = serde_json::from_str(json.get()).map_err(|_| wrong())?;
    match (&*choice.kind, choice.name) {
        ("function" | "custom", Some(name)) => Ok(Some(ToolChoice::Named(name))),
        ("function" | "custom", None) => Err(wrong()),
        // A list of allowed tools, or a tool of the provider's.
        (kind, _) => {
            note(unknown, &format!("tool_choice.{kind}"));
            Ok(choice.mode.and_then(|mode| of_word(&mode)))
        }
    }
}

fn reasoning(said: SaidReasoning) -> Result<Reasoning, RequestError> {
    Ok(Reasoning {
        effort: effort(said.effort.as_deref(), "reasoning")?,
        max_tokens: said.max_tokens,
        hidden: said.exclude.unwrap_or(false),
        summary: said.summary.or(said.generate_summary),
    })
}

fn format(said: SaidFormat<'_>) -> Result<Format, RequestError> {
    match &*said.kind {
        "text" => Ok(Format::Text),
        "json_object" => Ok(Format::Json),
        "json_schema" => match said.schema {
            Some(schema) => Ok(Format::Schema(Schema {
                name: said.name.unwrap_or_else(|| "answer".to_owned()),
                description: said.description,
                schema,
                strict: said.strict,
            })),
            None => Err(RequestError::about(
                "text",
                "'text.format' lacks a 'schema'",
            )),
        },
        other => {
            let message = format!("'text.format' of the type '{other}' cannot be translated");
            Err(RequestError::about("text", message))
        }
    }
}
