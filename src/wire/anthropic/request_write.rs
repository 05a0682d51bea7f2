//! Owns the writing of a request for an upstream, and what of it cannot be written. In reading order: this file (the body and
//! its settings), `tools`, `sampling`, `turns` (what was said).
//! Must never let a field go unsaid: it is in the body, or `losses` names it.

mod tools;
mod sampling;
mod turns;

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::generation::{Form, Generation};
use super::schema;
use super::shape::Block;
use super::thinking::{self, Thinking};
use crate::wire::dialect::Unsupported;
use crate::wire::hub::{Format, Request, Schema, Tool, ToolChoice};
use sampling::Drawn;
use tools::{Choice, ToolOut};

/// Characters of a user's name that the API takes.
const USER_MAX: usize = 256;

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
    tools::check(request, generation)?;
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
    /// By the tool [`super::shape::ANSWER_TOOL`].
    Tool(Option<&'a Schema>),
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
        let choice = tools::choice(request, &form);
        let forced = choice.as_ref().is_some_and(Choice::forces);
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
            tools: tools::tools(request, &self.form, generation),
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
            single && request.parallel_tools == Some(true),
        );
        lose(
            "response_format.strict",
            self.form.is_looser(&request.format),
        );
        let strict =
            |tool: &Tool| tool.strict == Some(true) && !tools::is_strict(tool, request, generation);
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

    /// Whether the answer may miss a schema that it was to follow to the letter: what the API takes in words only, or
    /// from a tool, it does not enforce.
    fn is_looser(&self, format: &Format) -> bool {
        let Format::Schema(schema) = format else {
            return false;
        };
        schema.strict == Some(true)
            && match self {
                AnswerForm::Text => false,
                AnswerForm::Native(schema) => matches!(schema, Cow::Owned(_)),
                AnswerForm::Tool(_) => true,
            }
    }
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
