//! Owns the response object: what surrounds the items, with the fields of the request that it repeats.
//! Must never leave out a field that OpenAI's or OpenRouter's client requires.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::output::{OutputItem, Status, WrittenItem};
use crate::core::exchange::Usage;
use crate::wire::client_error::ClientError;
use crate::wire::hub::Finish;

/// What a response says beside its items.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: u64,
    /// The body of the request.
    pub(super) request: &'a [u8],
    pub(super) service_tier: Option<&'a str>,
    pub(super) end: End<'a>,
    pub(super) usage: Option<Usage>,
}

/// How far a response is.
#[derive(Clone, Copy, Debug)]
pub(super) enum End<'a> {
    Open,
    Whole {
        /// Seconds since 1970.
        at: u64,
    },
    /// For this reason it ends before its end.
    Short(&'static str),
    Broken(&'a ClientError),
}

/// What is repeated of the request; a field may be of any type.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Echo<'a> {
    #[serde(borrow)]
    frequency_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    instructions: Option<&'a RawValue>,
    #[serde(borrow)]
    max_output_tokens: Option<&'a RawValue>,
    #[serde(borrow)]
    max_tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    parallel_tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    presence_penalty: Option<&'a RawValue>,
    #[serde(borrow)]
    prompt_cache_key: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<EchoedReasoning<'a>>,
    #[serde(borrow)]
    safety_identifier: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    temperature: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<EchoedText<'a>>,
    #[serde(borrow)]
    tool_choice: Option<&'a RawValue>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    top_logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    top_p: Option<&'a RawValue>,
    #[serde(borrow)]
    truncation: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct EchoedReasoning<'a> {
    #[serde(borrow)]
    effort: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
struct EchoedText<'a> {
    #[serde(borrow)]
    format: Option<&'a RawValue>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a RawValue>,
}

/// A value of the request, or what stands for it.
#[derive(Serialize)]
#[serde(untagged)]
enum Or<'a, T> {
    Said(&'a RawValue),
    Else(T),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Said(EchoedText<'a>),
    Plain {
        format: Plain,
        #[serde(skip_serializing_if = "Option::is_none")]
        verbosity: Option<&'a RawValue>,
    },
}

#[derive(Serialize)]
struct Plain {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
pub(super) struct Written<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    completed_at: Option<u64>,
    error: Option<WrittenError<'a>>,
    frequency_penalty: Or<'a, f64>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<&'a RawValue>,
    max_output_tokens: Option<&'a RawValue>,
    max_tool_calls: Option<&'a RawValue>,
    metadata: Or<'a, Empty>,
    model: &'a str,
    output: Vec<WrittenItem<'a>>,
    parallel_tool_calls: Or<'a, bool>,
    presence_penalty: Or<'a, f64>,
    previous_response_id: Option<()>,
    prompt_cache_key: Option<&'a RawValue>,
    reasoning: EchoedReasoning<'a>,
    safety_identifier: Option<&'a RawValue>,
    service_tier: Option<Or<'a, &'a str>>,
    store: bool,
    temperature: Or<'a, f64>,
    text: Text<'a>,
    tool_choice: Or<'a, &'static str>,
    tools: Or<'a, [(); 0]>,
    top_logprobs: Or<'a, u32>,
    top_p: Or<'a, f64>,
    truncation: Or<'a, &'static str>,
    usage: Option<WrittenUsage>,
    user: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct WrittenError<'a> {
    /// Of the documentation's closed list, which clients are generated from; the event before says it exactly.
    code: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Serialize)]
struct WrittenUsage {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

/// How an answer that ended so is called. `refused`: it has the words of a refusal, which say enough.
pub(super) fn end_of(finish: Option<&Finish>, refused: bool, now: u64) -> End<'static> {
    match finish {
        Some(Finish::Length) => End::Short("max_output_tokens"),
        Some(Finish::Filtered) => End::Short("content_filter"),
        Some(Finish::Refused) if !refused => End::Short("content_filter"),
        Some(
            Finish::Stop { .. }
            | Finish::ToolCalls
            | Finish::Refused
            | Finish::Paused
            | Finish::Other(_),
        )
        | None => End::Whole { at: now },
    }
}

// === impl End ===

impl End<'_> {
    pub(super) const fn status(&self) -> Status {
        match self {
            End::Open => Status::InProgress,
            End::Whole { .. } => Status::Completed,
            End::Short(_) => Status::Incomplete,
            End::Broken(_) => Status::Failed,
        }
    }
}

// === impl Response ===

impl<'a> Response<'a> {
    /// With its items, which are done; those of an answer that was cut are not.
    pub(super) fn written(&self, items: &'a [OutputItem]) -> Written<'a> {
        let echo: Echo<'a> = serde_json::from_slice(self.request).unwrap_or_default();
        let status = self.end.status();
        let tier = self.service_tier.map(Or::Else);
        Written {
            id: self.id,
            object: "response",
            created_at: self.created,
            status: status.as_str(),
            background: false,
            completed_at: match self.end {
                End::Whole { at } => Some(at),
                End::Open | End::Short(_) | End::Broken(_) => None,
            },
            error: match self.end {
                End::Broken(error) => Some(WrittenError::of(error)),
                End::Open | End::Whole { .. } | End::Short(_) => None,
            },
            frequency_penalty: or(echo.frequency_penalty, 0.0),
            incomplete_details: match self.end {
                End::Short(reason) => Some(Incomplete { reason }),
                End::Open | End::Whole { .. } | End::Broken(_) => None,
            },
            instructions: echo.instructions,
            max_output_tokens: echo.max_output_tokens,
            max_tool_calls: echo.max_tool_calls,
            metadata: or(echo.metadata, Empty {}),
            model: self.model,
            output: written_items(items, status),
            parallel_tool_calls: or(echo.parallel_tool_calls, true),
            presence_penalty: or(echo.presence_penalty, 0.0),
            previous_response_id: None,
            prompt_cache_key: echo.prompt_cache_key,
            reasoning: echo.reasoning.unwrap_or_default(),
            safety_identifier: echo.safety_identifier,
            service_tier: tier.or(echo.service_tier.map(Or::Said)),
            store: false,
            // The defaults of OpenAI, which it names where the request does not.
            temperature: or(echo.temperature, 1.0),
            text: match echo.text {
                Some(text) if text.format.is_some() => Text::Said(text),
                text => Text::Plain {
                    format: Plain { kind: "text" },
                    verbosity: text.and_then(|text| text.verbosity),
                },
            },
            tool_choice: or(echo.tool_choice, "auto"),
            tools: or(echo.tools, []),
            top_logprobs: or(echo.top_logprobs, 0),
            top_p: or(echo.top_p, 1.0),
            truncation: or(echo.truncation, "disabled"),
            usage: self.usage.as_ref().map(WrittenUsage::of),
            user: echo.user,
        }
    }
}

fn or<T>(said: Option<&RawValue>, other: T) -> Or<'_, T> {
    match said {
        Some(value) if value.get() != "null" => Or::Said(value),
        Some(_) | None => Or::Else(other),
    }
}

/// Only the last item is cut where the answer is.
fn written_items(items: &[OutputItem], status: Status) -> Vec<WrittenItem<'_>> {
    let last = items.len().saturating_sub(1);
    let status = |at| match status {
        Status::Incomplete | Status::Failed if at == last => Status::Incomplete,
        _ => Status::Completed,
    };
    let items = items.iter().enumerate();
    items.map(|(at, item)| item.written(status(at))).collect()
}

// === impl WrittenError ===

impl<'a> WrittenError<'a> {
    fn of(error: &'a ClientError) -> Self {
        Self {
            code: match error.status {
                429 => "rate_limit_exceeded",
                400..=499 => "invalid_prompt",
                _ => "server_error",
            },
            message: &error.message,
        }
    }
}

// === impl WrittenUsage ===

impl WrittenUsage {
    fn of(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: usage.cache_write_tokens.unwrap_or(0),
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputDetails {
                reasoning_tokens: usage.reasoning_tokens,
            },
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
        }
    }
}
