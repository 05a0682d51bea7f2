//! Owns what answers and events are made of, and what their counts and reasons mean. Must never count a cached token twice.

use aws_smithy_types::base64;
use serde::Deserialize;

use super::FORMAT;
use crate::core::exchange::Usage;
use crate::core::outcome::ErrorFacts;
use crate::wire::hub::{Citation as Source, Finish, Thought, ThoughtKind};

/// `TokenUsage`. What was read from a cache, or written to one, is not among the input tokens.
#[derive(Debug, Deserialize)]
pub(super) struct TokenUsage {
    #[serde(rename = "inputTokens")]
    input: u64,
    #[serde(rename = "outputTokens")]
    output: u64,
    #[serde(rename = "cacheReadInputTokens")]
    cache_read: Option<u64>,
    #[serde(rename = "cacheWriteInputTokens")]
    cache_write: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ServiceTier {
    pub(super) r#type: Option<String>,
}

/// `reasoningContent` of an answer.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reasoning {
    reasoning_text: Option<ReasoningText>,
    redacted_content: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReasoningText {
    text: String,
    signature: Option<String>,
}

/// A citation, of an answer or a delta.
#[derive(Debug, Deserialize)]
pub(super) struct Citation {
    title: Option<String>,
    source: Option<String>,
    location: Option<Location>,
}

#[derive(Debug, Deserialize)]
struct Location {
    web: Option<Web>,
}

#[derive(Debug, Deserialize)]
struct Web {
    url: Option<String>,
}

/// How an answer ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Finish(Finish),
    /// The model made nothing that can be used.
    Failed(Box<ErrorFacts>),
}

// === impl TokenUsage ===

impl TokenUsage {
    pub(super) fn usage(&self) -> Usage {
        let [read, write] = [self.cache_read, self.cache_write].map(|count| count.unwrap_or(0));
        Usage {
            prompt_tokens: self.input.saturating_add(read).saturating_add(write),
            completion_tokens: self.output,
            cached_tokens: self.cache_read,
            cache_write_tokens: self.cache_write,
            reasoning_tokens: 0,
        }
    }
}

// === impl Reasoning ===

impl Reasoning {
    pub(super) fn thought(self) -> Option<Thought> {
        if let Some(content) = self.redacted_content {
            return Some(Thought {
                kind: ThoughtKind::Encrypted,
                text: redacted(content),
                format: Some(FORMAT.to_owned()),
                ..Thought::default()
            });
        }
        let said = self.reasoning_text?;
        Some(Thought {
            kind: ThoughtKind::Text,
            text: said.text,
            // Claude alone signs; who else thought is not said.
            format: said.signature.is_some().then(|| FORMAT.to_owned()),
            signature: said.signature,
            id: None,
        })
    }
}

/// Sealed thoughts are a text already, which Converse puts into base64 as it does all bytes.
pub(super) fn redacted(content: String) -> String {
    let decoded = base64::decode(&content).ok();
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    text.unwrap_or(content)
}

// === impl Citation ===

impl Citation {
    pub(super) fn source(self) -> Option<Source> {
        let web = self.location.and_then(|location| location.web);
        let url = web.and_then(|web| web.url).or(self.source);
        Some(Source {
            url: url.or_else(|| self.title.clone())?,
            title: self.title,
            span: None,
        })
    }
}

// === impl End ===

impl End {
    /// Of a `stopReason`. `called`: it called a tool of the client's.
    pub(super) fn of(reason: &str, called: bool) -> Self {
        End::Finish(match reason {
            "end_turn" => Finish::STOP,
            "tool_use" if called => Finish::ToolCalls,
            "tool_use" => Finish::STOP,
            // Which one is not said.
            "stop_sequence" => Finish::STOP,
            "max_tokens" | "model_context_window_exceeded" => Finish::Length,
            "guardrail_intervened" | "content_filtered" => Finish::Filtered,
            "refusal" => Finish::Refused,
            "pause_turn" => Finish::Paused,
            "malformed_model_output" | "malformed_tool_use" => {
                return End::Failed(Box::new(ErrorFacts {
                    status: 200,
                    message: "the model ended with an error".to_owned(),
                    code: Some(reason.to_owned()),
                    ..ErrorFacts::default()
                }));
            }
            other => Finish::Other(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_meaning() {
        let table = [
            ("end_turn", false, Finish::STOP),
            ("tool_use", true, Finish::ToolCalls),
            ("tool_use", false, Finish::STOP),
            ("max_tokens", true, Finish::Length),
            ("model_context_window_exceeded", false, Finish::Length),
            ("guardrail_intervened", false, Finish::Filtered),
            ("content_filtered", false, Finish::Filtered),
            ("stop_sequence", false, Finish::STOP),
            ("a_new_one", false, Finish::Other("a_new_one".to_owned())),
        ];
        for (reason, called, expected) in table {
            assert_eq!(End::of(reason, called), End::Finish(expected), "{reason}");
        }
        assert!(matches!(
            End::of("malformed_tool_use", true),
            End::Failed(_)
        ));
    }

    #[test]
    fn cached_tokens_are_part_of_the_prompt() {
        let json = r#"{"inputTokens":5,"outputTokens":7,"totalTokens":42,"cacheReadInputTokens":10,"cacheWriteInputTokens":20}"#;
        let usage: TokenUsage = serde_json::from_str(json).expect("usage");
        let expected = Usage {
            prompt_tokens: 35,
            completion_tokens: 7,
            cached_tokens: Some(10),
            cache_write_tokens: Some(20),
            reasoning_tokens: 0,
        };
        assert_eq!(usage.usage(), expected);
    }
}
