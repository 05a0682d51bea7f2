//! Owns the writing of a request for an upstream, and what of it cannot be written. In reading order: this file (the body and
//! its settings), `turns` (what was said).
//! Must never let a field go unsaid: it is in the body, or `losses` names it.

mod turns;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::generation::{Form, Generation, Sampling};
use super::schema;
use super::shape::{ANSWER_TOOL, Block, CacheControl};
use super::thinking::{self, Thinking};
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Format, Part, Request, Schema, Tool, ToolChoice};

/// A tool without arguments, and one whose arguments nobody knows any more.
const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{}}"#;
/// What the tool that stands for a schema says of itself.
const ANSWER_WORDS: &str =
    "Takes the final answer: its input is the whole answer, as the JSON object that was asked for.";
/// Characters of a user's name that the API takes.
const USER_MAX: usize = 256;
/// Tools of one request that may be strict (structured outputs, limits).
const STRICT_TOOLS_MAX: usize = 20;

/// What of a request is not sent to a model of a generation, by the names in chat requests.
///
/// # Errors
/// It cannot be sent at all.
pub(super) fn losses(
    request: &Request,
    generation: Generation,
) -> Result<Vec<&'static str>, Unsupported> {
    if request.choices > 1 {
        return Err(Unsupported("n"));
    }
    let several = |tool: &Tool| {
        let schema = tool.parameters.as_deref();
        schema.is_some_and(schema::is_of_several_kinds)
    };
    if generation != Generation::UNKNOWN && request.tools.iter().any(several) {
        return Err(Unsupported("tools"));
    }
    turns::check(request)?;
    Ok(Plan::of(request, generation).losses(request, generation))
}

/// The body for an upstream that calls the model `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let generation = Generation::of(model);
    let plan = Plan::of(request, generation);
    let body = plan.body(request, model, generation);
    let json = serde_json::to_vec(&body).expect("structs of strings and numbers always serialise");
    json.into()
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<turns::Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolOut<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct ToolOut<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Cow<'a, RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<CacheControl<'a>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Any {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    None,
}

#[derive(Default, Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatOut<'a>>,
}

#[derive(Serialize)]
struct FormatOut<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: Cow<'a, RawValue>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// How a request is said to a generation: what stands in the body and what is lost follow from it.
struct Plan<'a> {
    form: AnswerForm<'a>,
    choice: Option<Choice<'a>>,
    thinking: thinking::Plan,
    max_tokens: u64,
    sampling: Drawn,
}

/// How the answer gets its form.
enum AnswerForm<'a> {
    Text,
    Native(Cow<'a, RawValue>),
    /// By the tool [`ANSWER_TOOL`].
    Tool(Option<&'a Schema>),
}

/// Sampling as far as it is sent.
#[derive(Default)]
struct Drawn {
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    lost: Vec<&'static str>,
}

// === impl OutputConfig ===

impl OutputConfig<'_> {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn of(request: &'a Request, generation: Generation) -> Self {
        let form = AnswerForm::of(request, generation);
        let choice = choice(request, &form);
        let forced = matches!(choice, Some(Choice::Any { .. } | Choice::Tool { .. }));
        let max_tokens = request
            .max_tokens
            .unwrap_or_else(|| thinking::default_limit(request, generation));
        let thinking = thinking::Plan::of(request, generation, max_tokens, forced);
        let sampling = Drawn::of(request, generation, thinking.thinks());
        Self {
            form,
            choice,
            thinking,
            max_tokens,
            sampling,
        }
    }

    fn body(&self, request: &'a Request, model: &'a str, generation: Generation) -> Body<'a> {
        let (system, messages) = turns::write(request);
        Body {
            model,
            max_tokens: self.max_tokens,
            system,
            messages,
            tools: self.tools(request, generation),
            tool_choice: self.choice,
            stop_sequences: stops(request).collect(),
            temperature: self.sampling.temperature,
            top_p: self.sampling.top_p,
            top_k: self.sampling.top_k,
            thinking: self.thinking.thinking,
            output_config: OutputConfig {
                effort: self.effort(request, generation),
                format: match &self.form {
                    AnswerForm::Native(schema) => Some(FormatOut {
                        kind: "json_schema",
                        schema: schema.clone(),
                    }),
                    AnswerForm::Text | AnswerForm::Tool(_) => None,
                },
            },
            metadata: user(request).map(|user_id| Metadata { user_id }),
            service_tier: request.service_tier.as_deref().and_then(service_tier),
            stream: request.stream,
        }
    }

    fn tools(&self, request: &'a Request, generation: Generation) -> Vec<ToolOut<'a>> {
        let none = no_arguments();
        let strict = |tool| is_strict(tool, request, generation).then_some(true);
        let own = request.tools.iter().map(|tool| ToolOut {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: tool
                .parameters
                .as_deref()
                .map_or(Cow::Borrowed(none), schema::of_arguments),
            strict: strict(tool),
            cache_control: CacheControl::of(tool.cache.as_ref()),
        });
        let answer = match &self.form {
            AnswerForm::Tool(schema) => Some(answer_tool(*schema)),
            AnswerForm::Text | AnswerForm::Native(_) => None,
        };
        let bare = |name| ToolOut {
            name,
            description: None,
            input_schema: Cow::Borrowed(none),
            strict: None,
            cache_control: None,
        };
        let called = called_only(request).into_iter().map(bare);
        own.chain(called).chain(answer).collect()
    }

    fn effort(&self, request: &Request, generation: Generation) -> Option<&'static str> {
        self.thinking
            .effort
            .or_else(|| verbosity(request, generation))
    }

    fn losses(self, request: &Request, generation: Generation) -> Vec<&'static str> {
        let mut lost = self.sampling.lost;
        let mut lose = |name, is: bool| {
            if is {
                lost.push(name);
            }
        };
        let sampling = &request.sampling;
        let reasoning = request.reasoning.as_ref();
        lose("min_p", sampling.min_p.is_some());
        lose("frequency_penalty", sampling.frequency_penalty.is_some());
        lose("presence_penalty", sampling.presence_penalty.is_some());
        lose("repetition_penalty", sampling.repetition_penalty.is_some());
        lose("seed", sampling.seed.is_some());
        lose("logit_bias", sampling.logit_bias.is_some());
        lose("stop", stops(request).count() < request.stop.len());
        lose("reasoning", self.thinking.dropped);
        lose(
            "reasoning.summary",
            reasoning.is_some_and(|it| it.summary.is_some()),
        );
        lose("user", request.user.is_some() && user(request).is_none());
        lose("metadata", request.metadata.is_some());
        let tier = request.service_tier.as_deref();
        lose(
            "service_tier",
            tier.is_some_and(|tier| service_tier(tier).is_none()),
        );
        lose("prompt_cache_key", request.prompt_cache_key.is_some());
        let effort = self.thinking.effort.is_none() && verbosity(request, generation).is_some();
        lose("verbosity", request.verbosity.is_some() && !effort);
        lose("logprobs", request.logprobs.is_some());
        let single = matches!(self.form, AnswerForm::Tool(_)) && !request.tools.is_empty();
        lose(
            "parallel_tool_calls",
            single && request.parallel_tools != Some(false),
        );
        let strict =
            |tool: &Tool| tool.strict == Some(true) && !is_strict(tool, request, generation);
        lose("tools.strict", request.tools.iter().any(strict));
        turns::losses(request, &mut lost);
        lost
    }
}

// === impl AnswerForm ===

impl<'a> AnswerForm<'a> {
    fn of(request: &'a Request, generation: Generation) -> Self {
        let schema = match &request.format {
            Format::Text => return AnswerForm::Text,
            Format::Json => None,
            Format::Schema(schema) => Some(schema),
        };
        let native = schema.filter(|_| generation.schema);
        if let Some(native) = native.and_then(|it| schema::native(&it.schema)) {
            return AnswerForm::Native(native);
        }
        // Where a tool must be called the answer has no text, and a schema nothing to say.
        let calls = matches!(
            request.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named(_))
        );
        match calls && !request.tools.is_empty() {
            true => AnswerForm::Text,
            false => AnswerForm::Tool(schema),
        }
    }
}

// === impl Drawn ===

impl Drawn {
    fn of(request: &Request, generation: Generation, thinks: bool) -> Self {
        let asked = &request.sampling;
        let mut drawn = Self::default();
        let takes = generation.sampling;
        // What every model does by itself needs no word.
        let temperature = asked
            .temperature
            .filter(|it| *it < 1.0 || !thinks && *it > 1.0);
        let top_p = asked.top_p.filter(|it| *it < 1.0);
        match temperature {
            Some(_) if thinks || takes == Sampling::None => drawn.lost.push("temperature"),
            Some(hot) => {
                // Others go up to 2.
                if hot > 1.0 {
                    drawn.lost.push("temperature");
                }
                drawn.temperature = Some(hot.clamp(0.0, 1.0));
            }
            None if asked.temperature.is_some_and(|it| it > 1.0) => drawn.lost.push("temperature"),
            None => {}
        }
        // Thinking takes 0.95 to 1.
        let refused = takes == Sampling::None
            || takes == Sampling::OneOf && drawn.temperature.is_some()
            || thinks && top_p.is_some_and(|it| it < 0.95);
        match top_p {
            Some(_) if refused => drawn.lost.push("top_p"),
            top_p => drawn.top_p = top_p,
        }
        match asked.top_k {
            Some(_) if thinks || takes == Sampling::None => drawn.lost.push("top_k"),
            top_k => drawn.top_k = top_k,
        }
        drawn
    }
}

fn choice<'a>(request: &'a Request, form: &AnswerForm<'_>) -> Option<Choice<'a>> {
    let disable_parallel_tool_use = request.parallel_tools == Some(false);
    let asked = request.tool_choice.as_ref();
    if matches!(form, AnswerForm::Tool(_)) {
        // One call: a second would be a second answer.
        return Some(match asked {
            Some(ToolChoice::None) => only_answer(),
            _ if request.tools.is_empty() => only_answer(),
            _ => Choice::Any {
                disable_parallel_tool_use: true,
            },
        });
    }
    if request.tools.is_empty() {
        // Tools of the past must be declared, and stay there.
        return (!called_only(request).is_empty()).then_some(Choice::None);
    }
    match asked {
        None | Some(ToolChoice::Auto) => {
            (asked.is_some() || disable_parallel_tool_use).then_some(Choice::Auto {
                disable_parallel_tool_use,
            })
        }
        Some(ToolChoice::None) => Some(Choice::None),
        Some(ToolChoice::Required) => Some(Choice::Any {
            disable_parallel_tool_use,
        }),
        Some(ToolChoice::Named(name)) => Some(Choice::Tool {
            name,
            disable_parallel_tool_use,
        }),
    }
}

fn only_answer<'a>() -> Choice<'a> {
    Choice::Tool {
        name: ANSWER_TOOL,
        disable_parallel_tool_use: true,
    }
}

fn answer_tool(schema: Option<&Schema>) -> ToolOut<'_> {
    let described = schema.and_then(|schema| schema.description.as_deref());
    ToolOut {
        name: ANSWER_TOOL,
        description: Some(described.unwrap_or(ANSWER_WORDS)),
        input_schema: schema.map_or(Cow::Borrowed(any_object()), |schema| {
            schema::of_arguments(&schema.schema)
        }),
        strict: None,
        cache_control: None,
    }
}

fn no_arguments() -> &'static RawValue {
    serde_json::from_str(NO_ARGUMENTS).expect("a constant that is JSON")
}

fn any_object() -> &'static RawValue {
    let any = r#"{"type":"object","additionalProperties":true}"#;
    serde_json::from_str(any).expect("a constant that is JSON")
}

/// The names of tools that were called and are offered no more. The API wants every tool of a conversation declared.
fn called_only(request: &Request) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    if !request.tools.is_empty() {
        return names;
    }
    for part in request.messages.iter().flat_map(|message| &message.parts) {
        if let Part::ToolCall(call) = part
            && !names.contains(&call.name.as_str())
        {
            names.push(&call.name);
        }
    }
    names
}

fn is_strict(tool: &Tool, request: &Request, generation: Generation) -> bool {
    let asked = generation.schema && tool.strict == Some(true);
    let schema = tool.parameters.as_deref();
    asked && request.tools.len() <= STRICT_TOOLS_MAX && schema.is_some_and(schema::is_native)
}

/// How long an answer is wanted is a matter of effort here, as OpenRouter has it too.
fn verbosity(request: &Request, generation: Generation) -> Option<&'static str> {
    let adapts = matches!(generation.thinking, Form::Adaptive { .. });
    match request.verbosity.as_deref().filter(|_| adapts)? {
        "low" => Some("low"),
        "medium" => Some("medium"),
        "high" => Some("high"),
        _ => None,
    }
}

fn user(request: &Request) -> Option<&str> {
    let user = request.user.as_deref();
    user.filter(|user| user.chars().nth(USER_MAX).is_none())
}

/// The API refuses sequences of white space alone.
fn stops(request: &Request) -> impl Iterator<Item = &str> {
    let stops = request.stop.iter().map(String::as_str);
    stops.filter(|stop| !stop.trim().is_empty())
}

fn service_tier(tier: &str) -> Option<&'static str> {
    match tier {
        "auto" => Some("auto"),
        "default" | "standard" | "standard_only" => Some("standard_only"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
