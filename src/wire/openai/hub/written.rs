//! Owns what whole answers and chunks share as they are written: usage, calls, citations, reasons to end.
//! Must never write a null where OpenRouter's clients take none (`contracts/openrouter.md`, section 9.3).

use serde::Serialize;
use serde_json::{Map, Value};

use crate::core::exchange::Usage;
use crate::wire::hub::{Citation, Finish, Request};

/// What a request of either of OpenAI's dialects says beside the conversation, in the same words.
#[derive(Serialize)]
pub(in crate::wire) struct Settings<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: CompletionDetails,
}

#[derive(Debug, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenCall<'a> {
    /// Its place among the calls; only chunks have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
    pub(super) function: WrittenFunction<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) arguments: &'a str,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenAnnotation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: WrittenCitation<'a>,
}

#[derive(Debug, Serialize)]
struct WrittenCitation<'a> {
    url: &'a str,
    title: &'a str,
    start_index: u64,
    end_index: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct WrittenUrl {
    #[serde(rename = "type")]
    kind: &'static str,
    image_url: Url,
}

#[derive(Debug, Serialize)]
struct Url {
    url: String,
}

/// The word of a chat answer for its end, and the upstream's own where chat has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reason<'a> {
    pub(super) word: &'static str,
    pub(super) native: Option<&'a str>,
}

// === impl Settings ===

impl<'a> Settings<'a> {
    /// Of a request to an upstream that calls the model `model`.
    pub(in crate::wire) fn of(request: &'a Request, model: &'a str) -> Self {
        Self {
            model,
            parallel_tool_calls: request.parallel_tools,
            temperature: request.sampling.temperature,
            top_p: request.sampling.top_p,
            user: request.user.as_deref(),
            metadata: request.metadata.as_ref(),
            service_tier: request.service_tier.as_deref(),
            prompt_cache_key: request.prompt_cache_key.as_deref(),
            stream: request.stream,
        }
    }
}

// === impl WrittenUsage ===

impl WrittenUsage {
    pub(super) fn of(usage: &Usage) -> Self {
        let known = usage.cached_tokens.or(usage.cache_write_tokens);
        Self {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            total_tokens: usage.prompt_tokens.saturating_add(usage.completion_tokens),
            prompt_tokens_details: known.map(|_| PromptDetails {
                cached_tokens: usage.cached_tokens.unwrap_or(0),
                cache_write_tokens: usage.cache_write_tokens,
            }),
            completion_tokens_details: CompletionDetails {
                reasoning_tokens: usage.reasoning_tokens,
            },
        }
    }
}

// === impl WrittenAnnotation ===

impl<'a> WrittenAnnotation<'a> {
    /// A citation of a text that begins so many characters into the message.
    pub(super) fn of(citation: &'a Citation, before: u64) -> Self {
        let (from, to) = citation.span.unwrap_or_default();
        let shift = if citation.span.is_some() { before } else { 0 };
        Self {
            kind: "url_citation",
            url_citation: WrittenCitation {
                url: &citation.url,
                title: citation.title.as_deref().unwrap_or_default(),
                start_index: from.saturating_add(shift),
                end_index: to.saturating_add(shift),
            },
        }
    }
}

// === impl WrittenUrl ===

impl WrittenUrl {
    pub(super) fn image(url: String) -> Self {
        Self {
            kind: "image_url",
            image_url: Url { url },
        }
    }
}

// === impl Reason ===

impl<'a> Reason<'a> {
    /// `called`: the choice has a tool call. `refused`: it has the words of a refusal, which say enough.
    pub(super) fn of(finish: &'a Finish, called: bool, refused: bool) -> Self {
        let (word, native) = match finish {
            Finish::Stop { .. } if called => ("tool_calls", None),
            Finish::Stop { .. } => ("stop", None),
            Finish::Length => ("length", None),
            Finish::ToolCalls => ("tool_calls", None),
            Finish::Filtered => ("content_filter", None),
            Finish::Refused if refused => ("stop", None),
            Finish::Refused => ("content_filter", Some("refusal")),
            Finish::Paused => ("stop", Some("pause_turn")),
            Finish::Other(word) => ("stop", Some(word.as_str())),
        };
        Self { word, native }
    }
}
