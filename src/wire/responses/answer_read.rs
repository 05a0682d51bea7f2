//! Owns the reading of a response object into the hub: of a complete answer, or at the end of a stream.
//! Must never take a response that failed, or is not done, for an answer.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::{Item, Said};
use crate::core::exchange::Usage;
use crate::wire::dialect::Whole;
use crate::wire::error_facts;
use crate::wire::hub::{Answer, Choice, Finish, Part};
use crate::wire::json::Word;

/// A response object without its output.
#[derive(Debug, Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Word<'a>>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<Word<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<Incomplete<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    service_tier: Option<Word<'a>>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    output: Option<Vec<Item<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<Word<'a>>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: u64,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Deserialize)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

/// Reads a complete answer of status 200.
pub(super) fn read(body: &[u8]) -> Whole {
    let Ok(text) = std::str::from_utf8(body) else {
        return Whole::Malformed;
    };
    let Ok(head) = serde_json::from_str::<Head<'_>>(text) else {
        return Whole::Malformed;
    };
    if head.is_error() {
        return Whole::Error(Box::new(error_facts::error_in_answer(body)));
    }
    answer(&head, text).map_or(Whole::Malformed, Whole::Good)
}

fn answer(head: &Head<'_>, text: &str) -> Option<Answer> {
    let body: Body<'_> = serde_json::from_str(text).ok()?;
    let parts = parts(body.output?)?;
    let has = |is: fn(&Part) -> bool| parts.iter().any(is);
    let called = has(|part| matches!(part, Part::ToolCall(_)));
    let refused = has(|part| matches!(part, Part::Refusal(_)));
    let finish = Some(head.finish(called, refused)?);
    Some(Answer {
        id: head.id.as_deref().unwrap_or_default().to_owned(),
        created: head.created(),
        choices: vec![Choice { parts, finish }],
        usage: head.usage(),
        service_tier: head.service_tier.as_deref().map(str::to_owned),
    })
}

/// What the items say. Those of a provider's own tools say nothing that a client of another dialect could use.
fn parts(items: Vec<Item<'_>>) -> Option<Vec<Part>> {
    let mut signatures = Vec::new();
    let mut parts = Vec::new();
    for item in items {
        if item.is_compaction() {
            continue;
        }
        match item.say(&mut signatures).ok()? {
            Said::Parts(more) => parts.extend(more),
            Said::Signature(signature) => signatures.push(signature),
            Said::Hosted(_) => {}
        }
    }
    Some(parts)
}

// === impl Head ===

impl Head<'_> {
    /// Whether it says that it failed, or is an error and no response at all.
    pub(super) fn is_error(&self) -> bool {
        let named = self.error.is_some_and(|error| error.get() != "null");
        let bare = self.status.is_none() && self.message.or(self.detail).is_some();
        named || bare || self.status.as_deref() == Some("failed") || self.is_error_object()
    }

    fn is_error_object(&self) -> bool {
        self.object
            .is_some_and(|object| object.get() == r#""error""#)
    }

    pub(super) fn created(&self) -> u64 {
        let created = self.created_at.map(RawValue::get);
        // Azure writes it with a fraction.
        let whole = created.and_then(|created| created.split('.').next());
        whole.and_then(|whole| whole.parse().ok()).unwrap_or(0)
    }

    /// Why it ended; `None` while it has not.
    pub(super) fn finish(&self, called: bool, refused: bool) -> Option<Finish> {
        let reason = self.incomplete_details.as_ref();
        let reason = reason.and_then(|details| details.reason.as_deref());
        match (self.status.as_deref()?, reason) {
            ("completed", _) if called => Some(Finish::ToolCalls),
            ("completed", _) if refused => Some(Finish::Refused),
            ("completed", _) => Some(Finish::STOP),
            ("incomplete", Some("max_output_tokens") | None) => Some(Finish::Length),
            ("incomplete", Some("content_filter")) => Some(Finish::Filtered),
            ("incomplete", Some(other)) => Some(Finish::Other(other.to_owned())),
            _ => None,
        }
    }

    /// Usage of another shape is none, which is no reason to refuse an answer.
    pub(super) fn usage(&self) -> Option<Usage> {
        let counts: Counts = serde_json::from_str(self.usage?.get()).ok()?;
        let input = counts.input_tokens_details;
        let reasoning = counts.output_tokens_details;
        Some(Usage {
            prompt_tokens: counts.input_tokens,
            completion_tokens: counts.output_tokens.unwrap_or(0),
            cached_tokens: input.as_ref().and_then(|input| input.cached_tokens),
            cache_write_tokens: input.and_then(|input| input.cache_write_tokens),
            reasoning_tokens: reasoning
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
        })
    }
}
