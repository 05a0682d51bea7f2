//! Owns what answers and streams of upstreams share: blocks as they come, usage, and why a model stopped.
//! Must never refuse an answer for a field that it does not need.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::origin;
use crate::core::exchange::Usage;
use crate::wire::hub::{Citation, Finish, Thought, ThoughtKind};

/// What a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Text,
    Thinking,
    RedactedThinking,
    ToolUse,
    /// The provider's own tools and whatever is new: the hub has no part for it, and clients of other dialects no use.
    #[default]
    #[serde(other)]
    Other,
}

/// A block of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockIn<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) text: Option<String>,
    #[serde(borrow)]
    pub(super) citations: Option<Vec<&'a RawValue>>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
}

/// A citation, as far as it names a page. Those of documents name a place in what the client sent itself.
#[derive(Deserialize)]
struct CitationIn {
    url: Option<String>,
    /// Of a search result that the client gave.
    source: Option<String>,
    title: Option<String>,
}

/// Why a model refused.
#[derive(Debug, Deserialize)]
pub(super) struct StopDetails {
    pub(super) explanation: Option<String>,
}

/// Counts as they come; those of a stream replace each other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Counts {
    pub(super) input_tokens: Option<u64>,
    pub(super) cache_creation_input_tokens: Option<u64>,
    pub(super) cache_read_input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) output_tokens_details: Option<OutputDetails>,
    pub(super) service_tier: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OutputDetails {
    thinking_tokens: Option<u64>,
}

// === impl BlockIn ===

impl BlockIn<'_> {
    /// The thought of a thinking block. Whoever speaks the dialect takes it back as it is, a router like this one too.
    pub(super) fn into_thought(self) -> Thought {
        Thought {
            text: self.thinking.unwrap_or_default(),
            signature: self.signature.filter(|signature| !signature.is_empty()),
            format: Some(origin::FORMAT.to_owned()),
            ..Thought::default()
        }
    }
}

/// A redacted block's thought.
pub(super) fn encrypted(data: String) -> Thought {
    Thought {
        kind: ThoughtKind::Encrypted,
        text: data,
        format: Some(origin::FORMAT.to_owned()),
        ..Thought::default()
    }
}

/// The page that a citation names.
pub(super) fn citation(json: &RawValue) -> Option<Citation> {
    let read: CitationIn = serde_json::from_str(json.get()).ok()?;
    Some(Citation {
        url: read.url.or(read.source).filter(|url| !url.is_empty())?,
        title: read.title,
        span: None,
    })
}

/// A tool's input where there is any.
pub(super) fn filled_input(input: Option<&RawValue>) -> Option<&str> {
    let input = input?.get();
    let inner = input
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match inner {
        Some(inner) if inner.trim().is_empty() => None,
        Some(_) => Some(input),
        None => (input != "null").then_some(input),
    }
}

// === impl Counts ===

impl Counts {
    /// Of a field that is usage, or something else, which is no reason to refuse an answer.
    pub(super) fn of(usage: Option<&RawValue>) -> Option<Self> {
        serde_json::from_str(usage?.get()).ok()
    }

    /// Takes what a later event says.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_creation_input_tokens = later
            .cache_creation_input_tokens
            .or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens = later
            .cache_read_input_tokens
            .or(self.cache_read_input_tokens);
        self.output_tokens_details = later
            .output_tokens_details
            .or(self.output_tokens_details.take());
        self.service_tier = later.service_tier.or(self.service_tier.take());
    }

    /// In the hub's terms, where the whole prompt is counted as one.
    pub(super) fn usage(&self) -> Option<Usage> {
        if self.input_tokens.is_none() && self.output_tokens.is_none() {
            return None;
        }
        let parts = [
            self.input_tokens,
            self.cache_read_input_tokens,
            self.cache_creation_input_tokens,
        ];
        let details = self.output_tokens_details.as_ref();
        Some(Usage {
            prompt_tokens: parts.into_iter().flatten().fold(0, u64::saturating_add),
            completion_tokens: self.output_tokens.unwrap_or(0),
            cached_tokens: self.cache_read_input_tokens,
            cache_write_tokens: self.cache_creation_input_tokens,
            reasoning_tokens: details.and_then(|it| it.thinking_tokens).unwrap_or(0),
        })
    }
}

/// Why the model stopped. `answered`: the tools it called were none of the client's, but the one that stands for a schema.
pub(super) fn finish(reason: String, sequence: Option<String>, answered: bool) -> Finish {
    match reason.as_str() {
        "end_turn" => Finish::STOP,
        "stop_sequence" => Finish::Stop { sequence },
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" if answered => Finish::STOP,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refused,
        "pause_turn" => Finish::Paused,
        _ => Finish::Other(reason),
    }
}
