//! Owns what answers and events share: counts, citations, and how an answer ended.
//! Must never let an answer that broke pass for one that ended.

use serde::Deserialize;

use crate::core::exchange::Usage as Counted;
use crate::core::outcome::{ErrorFacts, Hint};
use crate::wire::hub::{Citation as Source, Finish};

/// `usage`. What is billed leaves Cohere's own instructions out, and says nothing of the cache: the tokens count.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    billed_units: Option<Tokens>,
    tokens: Option<Tokens>,
    cached_tokens: Option<f64>,
}

/// Counts, which are floating-point numbers in Cohere's types.
#[derive(Debug, Deserialize)]
struct Tokens {
    #[serde(rename = "input_tokens")]
    input: Option<f64>,
    #[serde(rename = "output_tokens")]
    output: Option<f64>,
    #[serde(rename = "reasoning_tokens")]
    reasoning: Option<f64>,
}

/// A citation, of an answer or an event.
#[derive(Debug, Deserialize)]
pub(super) struct Citation {
    start: Option<u64>,
    end: Option<u64>,
    #[serde(default)]
    sources: Vec<Cited>,
    /// What it stands in: the text, the plan, or a thought.
    r#type: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Cited {
    id: Option<String>,
    document: Option<Document>,
}

/// Whatever the client put into the document; these two are looked for.
#[derive(Debug, Deserialize)]
struct Document {
    url: Option<String>,
    title: Option<String>,
}

/// How an answer ended.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    Finish(Finish),
    Failed(Box<ErrorFacts>),
}

// === impl Usage ===

impl Usage {
    /// The counts; `None` where there are none.
    pub(super) fn counted(&self) -> Option<Counted> {
        let tokens = self.tokens.as_ref().or(self.billed_units.as_ref())?;
        Some(Counted {
            prompt_tokens: whole(tokens.input),
            completion_tokens: whole(tokens.output),
            cached_tokens: self.cached_tokens.map(|count| whole(Some(count))),
            cache_write_tokens: None,
            reasoning_tokens: whole(tokens.reasoning),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count; one that is none becomes the nearest number that is"
)]
fn whole(count: Option<f64>) -> u64 {
    count.unwrap_or(0.0) as u64
}

// === impl Citation ===

impl Citation {
    /// What it refers to, one for each source. Those of plans and thoughts are left out: their places mean nothing
    /// in the text.
    pub(super) fn sources(self) -> impl Iterator<Item = Source> {
        let text = matches!(self.r#type.as_deref(), None | Some("TEXT_CONTENT"));
        let span = self.start.zip(self.end);
        let sources = self.sources.into_iter().filter(move |_| text);
        sources.filter_map(move |source| {
            let (url, title) = match source.document {
                Some(document) => (document.url, document.title),
                None => (None, None),
            };
            Some(Source {
                url: url.or(source.id)?,
                title,
                span,
            })
        })
    }
}

// === impl End ===

impl End {
    /// Of a `finish_reason`; `error` says why where it is one.
    pub(super) fn of(reason: &str, error: Option<&str>) -> Self {
        End::Finish(match reason {
            "COMPLETE" => Finish::STOP,
            // Which one is not said.
            "STOP_SEQUENCE" => Finish::STOP,
            "MAX_TOKENS" => Finish::Length,
            "TOOL_CALL" => Finish::ToolCalls,
            "ERROR_TOXIC" => Finish::Filtered,
            "ERROR" | "TIMEOUT" => {
                let message = error.unwrap_or("the model ended with an error");
                return End::Failed(Box::new(ErrorFacts {
                    status: 200,
                    hint: Some(Hint::ServerError),
                    message: message.chars().take(300).collect(),
                    code: Some(reason.to_owned()),
                    ..ErrorFacts::default()
                }));
            }
            other => Finish::Other(other.to_ascii_lowercase()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_meaning() {
        let table = [
            ("COMPLETE", Finish::STOP),
            ("STOP_SEQUENCE", Finish::STOP),
            ("MAX_TOKENS", Finish::Length),
            ("TOOL_CALL", Finish::ToolCalls),
            ("ERROR_TOXIC", Finish::Filtered),
            ("NEW", Finish::Other("new".to_owned())),
        ];
        for (reason, expected) in table {
            assert_eq!(End::of(reason, None), End::Finish(expected), "{reason}");
        }
        for reason in ["ERROR", "TIMEOUT"] {
            let End::Failed(facts) = End::of(reason, Some("cut")) else {
                panic!("{reason} is no end");
            };
            assert_eq!(
                (facts.message.as_str(), facts.code.as_deref()),
                ("cut", Some(reason))
            );
        }
    }

    #[test]
    fn tokens_count_before_what_is_billed() {
        let read = |json: &str| {
            let usage: Usage = serde_json::from_str(json).expect("usage");
            usage.counted()
        };
        let both = r#"{"billed_units":{"input_tokens":8,"output_tokens":5},"tokens":{"input_tokens":20.0,"output_tokens":9,
            "reasoning_tokens":4},"cached_tokens":16}"#;
        let expected = Counted {
            prompt_tokens: 20,
            completion_tokens: 9,
            cached_tokens: Some(16),
            cache_write_tokens: None,
            reasoning_tokens: 4,
        };
        assert_eq!(read(both), Some(expected));
        let billed = read(r#"{"billed_units":{"input_tokens":8,"output_tokens":-5}}"#);
        assert_eq!(
            billed.map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
            Some((8, 0))
        );
        assert_eq!(read("{}"), None);
    }
}
