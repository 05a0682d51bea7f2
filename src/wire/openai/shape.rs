//! Owns the parts that a stream's chunks and a complete answer share: messages, usage, and the model's
//! place. Must never allocate for a part that is not looked at.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::core::exchange::Usage;
use crate::wire::json::quoted;
use crate::wire::splice::{Edit, span_of};

/// A message or a delta: the fields that are content. A model's content may also be a list of parts,
/// so only the question whether there is any is asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Message<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_content: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_details: Option<&'a RawValue>,
    #[serde(borrow)]
    refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    tool_calls: Option<&'a RawValue>,
    #[serde(borrow)]
    function_call: Option<&'a RawValue>,
    #[serde(borrow)]
    audio: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
}

// === impl Message ===

impl Message<'_> {
    /// Whether it brings anything that a client waits for.
    pub(super) fn has_content(&self) -> bool {
        let text = [
            self.content,
            self.reasoning,
            self.reasoning_content,
            self.reasoning_details,
            self.refusal,
            self.audio,
            self.images,
        ];
        text.into_iter().any(is_filled) || self.has_tool_call()
    }

    /// Whether it brings a tool call or a piece of one.
    pub(super) fn has_tool_call(&self) -> bool {
        is_filled(self.tool_calls) || is_filled(self.function_call)
    }
}

/// Whether a value is there and holds something: not null, `""`, `[]` or `{}`.
pub(super) fn is_filled(value: Option<&RawValue>) -> bool {
    let Some(value) = value else { return false };
    let bytes = value.get().as_bytes();
    match bytes {
        b"null" | b"\"\"" => false,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => {
            inner.iter().any(|byte| !byte.is_ascii_whitespace())
        }
        _ => true,
    }
}

/// Reads a field that is there as `Some`, also where it is null.
pub(super) fn present<'de, D: serde::Deserializer<'de>>(
    json: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(json).map(Some)
}

/// A finish reason as it stands in the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// Null, absent or empty: the choice goes on.
    Open,
    Stop,
    Error,
    /// `length`, `tool_calls`, `content_filter`, or one that is not known here.
    Other,
}

// === impl Finish ===

impl Finish {
    pub(super) fn of(reason: Option<&RawValue>) -> Self {
        match reason.map(RawValue::get) {
            None | Some("null" | "\"\"") => Finish::Open,
            Some("\"stop\"") => Finish::Stop,
            Some("\"error\"") => Finish::Error,
            Some(_) => Finish::Other,
        }
    }
}

/// Whether the fields `error` and `object` say that there is an error.
pub(super) fn is_error(error: Option<&RawValue>, object: Option<&RawValue>) -> bool {
    let named = error.is_some_and(|error| error.get() != "false") && is_filled(error);
    named || object.is_some_and(|object| object.get() == "\"error\"")
}

/// Reads a `usage` object. One of another shape is no usage, which is no reason to refuse an answer.
pub(super) fn usage(usage: Option<&RawValue>) -> Option<Usage> {
    let usage: Counts = serde_json::from_str(usage?.get()).ok()?;
    let prompt_tokens = usage.prompt_tokens?;
    let details = usage.prompt_tokens_details.unwrap_or_default();
    let reasoning = usage
        .completion_tokens_details
        .and_then(|details| details.reasoning_tokens)
        .unwrap_or(0);
    let mut completion = usage.completion_tokens.unwrap_or(0);
    // Recorded: grok-3-mini counts its reasoning beside the completion (12 + 1 + 290 = 303).
    if usage.total_tokens == Some(prompt_tokens + completion + reasoning) {
        completion += reasoning;
    }
    Some(Usage {
        prompt_tokens,
        completion_tokens: completion,
        cached_tokens: details.cached_tokens.or(usage.prompt_cache_hit_tokens),
        cache_write_tokens: details.cache_write_tokens,
        reasoning_tokens: reasoning,
    })
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// DeepSeek's own name for what the details call `cached_tokens`.
    prompt_cache_hit_tokens: Option<u64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Default, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    /// OpenRouter's.
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

/// The catalogue's name of the model as a JSON string, put where an upstream wrote its own.
#[derive(Clone, Debug)]
pub(super) struct ModelValue(Bytes);

// === impl ModelValue ===

impl ModelValue {
    pub(super) fn new(name: &str) -> Self {
        Self(quoted(name).into())
    }

    /// The change to `json`, none where no model is named or it is the same.
    pub(super) fn edit(&self, json: &str, model: Option<&RawValue>) -> Option<Edit> {
        let model = model.filter(|model| model.get().starts_with('"'))?;
        (model.get().as_bytes() != self.0).then(|| Edit {
            at: span_of(json, model.get()),
            with: self.0.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_with_something_in_them_are_filled() {
        let filled = |json: &str| is_filled(serde_json::from_str::<&RawValue>(json).ok());
        for empty in ["null", "\"\"", "[]", "{}", "[ \n]"] {
            assert!(!filled(empty), "{empty}");
        }
        for full in ["\" \"", "[{}]", "{\"a\":1}", "7"] {
            assert!(filled(full), "{full}");
        }
        assert!(!is_filled(None));
    }

    #[test]
    fn usage_is_read_in_each_recorded_form() {
        let read = |json: &str| usage(serde_json::from_str::<&RawValue>(json).ok());
        let found = read(
            r#"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":303,
                "prompt_tokens_details":{"cached_tokens":11},"completion_tokens_details":{"reasoning_tokens":290}}"#,
        );
        let expected = Usage {
            prompt_tokens: 12,
            completion_tokens: 291,
            cached_tokens: Some(11),
            cache_write_tokens: None,
            reasoning_tokens: 290,
        };
        assert_eq!(found, Some(expected));
        let found = read(
            r#"{"prompt_tokens":6,"completion_tokens":212,"total_tokens":218,"prompt_cache_hit_tokens":4,
                "completion_tokens_details":{"reasoning_tokens":198}}"#,
        );
        let expected = Usage {
            prompt_tokens: 6,
            completion_tokens: 212,
            cached_tokens: Some(4),
            cache_write_tokens: None,
            reasoning_tokens: 198,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(read("null"), None);
        assert_eq!(read("\"many\""), None);
        assert_eq!(read("{}"), None);
    }
}
