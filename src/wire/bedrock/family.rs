//! Owns what Converse leaves to the model: the words for thinking and for top-k, by the family that the model's id names.
//! Must never send one family's words to another: an unknown field is refused.
//!
//! Claude: <https://docs.claude.com/en/docs/build-with-claude/adaptive-thinking>; Nova:
//! <https://docs.aws.amazon.com/nova/latest/nova2-userguide/using-converse-api.html>; gpt-oss: `reasoning_effort`,
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-openai.html> (2026-11-22).

use serde::Serialize;

use crate::wire::hub::{Effort, Format, Request, ToolChoice};

/// The least that Claude may be given to think with.
const LEAST: u64 = 1024;
/// The room that a share is taken of, where the client names none: what the smaller models that think can write.
const ROOM: u64 = 32_000;
/// From this version on Claude decides itself how long it thinks, and is told how hard to try.
const ADAPTIVE: (u32, u32) = (4, 6);
/// From this version on Claude refuses sampling.
const UNSAMPLED: (u32, u32) = (4, 7);

/// What a model behind a nameless ARN is taken for.
const HIDDEN: (u32, u32) = (4, 5);

/// Who made a model, as far as its words differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Its version; the newest where the id says none.
    Claude((u32, u32)),
    Nova,
    /// The second generation, which thinks.
    Nova2,
    GptOss,
    Other,
}

/// What is asked for, whatever the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    Off,
    On {
        /// Tokens for it, within the answer's.
        budget: u64,
        effort: Effort,
    },
    /// It is asked for, and something else forbids it: a tool that must be called, or too little room.
    Impossible,
}

/// `additionalModelRequestFields`.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Additional {
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<ClaudeThinking>,
    #[serde(rename = "inferenceConfig", skip_serializing_if = "Option::is_none")]
    inference_config: Option<NovaSampling>,
    #[serde(rename = "reasoningConfig", skip_serializing_if = "Option::is_none")]
    reasoning_config: Option<NovaThinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ClaudeThinking {
    Enabled {
        budget_tokens: u64,
    },
    /// Newer ones show nothing of it unless asked.
    Adaptive {
        display: &'static str,
    },
}

#[derive(Debug, PartialEq, Serialize)]
struct NovaSampling {
    #[serde(rename = "topK")]
    top_k: u64,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct NovaThinking {
    r#type: &'static str,
    max_reasoning_effort: &'static str,
}

// === impl Family ===

impl Family {
    /// Of a model's id, an inference profile's, or an ARN that ends in one. An ARN that hides the name is taken for a
    /// Claude whose words most versions take: what is not asked for is not said, and what is asked for is not lost
    /// in silence.
    pub(super) fn of(model: &str) -> Self {
        match model {
            _ if model.contains("claude") => Family::Claude(claude_version(model)),
            _ if model.contains("amazon.nova-2") => Family::Nova2,
            _ if model.contains("amazon.nova") => Family::Nova,
            _ if model.contains("openai.gpt-oss") => Family::GptOss,
            _ if model.starts_with("arn:") && !model.contains(":foundation-model/") => {
                Family::Claude(HIDDEN)
            }
            _ => Family::Other,
        }
    }

    /// Whether points of caching are taken (<https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html>).
    pub(super) fn caches(self) -> bool {
        match self {
            Family::Claude(_) | Family::Nova | Family::Nova2 => true,
            Family::GptOss | Family::Other => false,
        }
    }

    /// Whether Claude's signed thoughts may go back to it.
    pub(super) fn takes_thoughts(self) -> bool {
        match self {
            Family::Claude(_) => true,
            Family::Nova | Family::Nova2 | Family::GptOss | Family::Other => false,
        }
    }

    /// Whether it has words for thinking.
    pub(super) fn thinks(self) -> bool {
        match self {
            Family::Claude(_) | Family::Nova2 | Family::GptOss => true,
            Family::Nova | Family::Other => false,
        }
    }

    /// Whether temperature and the like are taken.
    pub(super) fn is_sampled(self) -> bool {
        !matches!(self, Family::Claude(version) if version >= UNSAMPLED)
    }

    /// The `effort` of `outputConfig`.
    pub(super) fn effort(self, request: &Request) -> Option<&'static str> {
        let asked = request
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.effort);
        match (self, Thinking::of(request), asked) {
            (Family::Claude(version), Thinking::On { effort, .. }, Some(_)) => {
                (version >= ADAPTIVE).then(|| step(effort))
            }
            _ => None,
        }
    }

    /// The family's own fields; `None` where there are none.
    pub(super) fn additional(self, request: &Request) -> Option<Additional> {
        let mut fields = Additional::default();
        let thinking = Thinking::of(request);
        if let Thinking::On { budget, effort } = thinking {
            match self {
                Family::Claude(version) if version >= ADAPTIVE => {
                    fields.thinking = Some(ClaudeThinking::Adaptive {
                        display: match request.reasoning.as_ref() {
                            Some(reasoning) if reasoning.hidden => "omitted",
                            _ => "summarized",
                        },
                    });
                }
                Family::Claude(_) => {
                    fields.thinking = Some(ClaudeThinking::Enabled {
                        budget_tokens: budget,
                    });
                }
                Family::Nova2 => fields.reasoning_config = Some(nova(effort, request)),
                Family::GptOss => fields.reasoning_effort = Some(at_most_high(effort)),
                Family::Nova | Family::Other => {}
            }
        } else if self.is_sampled() {
            let top_k = request.sampling.top_k;
            match self {
                Family::Nova | Family::Nova2 => {
                    fields.inference_config = top_k.map(|top_k| NovaSampling { top_k });
                }
                Family::Claude(_) | Family::GptOss | Family::Other => fields.top_k = top_k,
            }
        }
        (fields != Additional::default()).then_some(fields)
    }
}

/// `claude-3-7-sonnet`, `claude-opus-4-1-20250805`: the numbers behind the name, dates left out.
fn claude_version(model: &str) -> (u32, u32) {
    let name = model.split_once("claude-").map_or("", |(_, name)| name);
    let name = name.split(':').next().unwrap_or_default();
    let words = name.split('-');
    let mut numbers = words
        .skip_while(|word| word.parse::<u32>().is_err())
        .map_while(|word| word.parse::<u32>().ok().filter(|number| *number < 100));
    match numbers.next() {
        Some(major) => (major, numbers.next().unwrap_or(0)),
        None => (u32::MAX, 0),
    }
}

/// It takes the highest step only where no limit of tokens is set.
fn nova(effort: Effort, request: &Request) -> NovaThinking {
    let word = at_most_high(effort);
    NovaThinking {
        r#type: "enabled",
        max_reasoning_effort: match word {
            "high" if request.max_tokens.is_some() => "medium",
            word => word,
        },
    }
}

fn step(effort: Effort) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh => "xhigh",
    }
}

fn at_most_high(effort: Effort) -> &'static str {
    step(effort.min(Effort::High))
}

// === impl Thinking ===

impl Thinking {
    /// Of a request.
    pub(super) fn of(request: &Request) -> Self {
        let Some(reasoning) = &request.reasoning else {
            return Thinking::Off;
        };
        if reasoning.effort == Some(Effort::None) {
            return Thinking::Off;
        }
        let forced = match &request.tool_choice {
            Some(ToolChoice::Required | ToolChoice::Named(_)) => !request.tools.is_empty(),
            Some(ToolChoice::Auto | ToolChoice::None) | None => false,
        };
        let room = request.max_tokens.unwrap_or(ROOM);
        if forced || matches!(request.format, Format::Json) || room <= LEAST {
            return Thinking::Impossible;
        }
        let effort = reasoning.effort.unwrap_or(Effort::Medium);
        let share = room.saturating_mul(effort.percent()) / 100;
        let budget = reasoning.max_tokens.unwrap_or(share);
        Thinking::On {
            // Some of the room must be left for the answer.
            budget: budget.max(LEAST).min(room - 1),
            effort,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::hub::Reasoning;
    use crate::wire::hub::sample::asks;

    #[test]
    fn a_family_is_told_by_the_models_id() {
        let table = [
            (
                "anthropic.claude-3-7-sonnet-20250219-v1:0",
                Family::Claude((3, 7)),
            ),
            (
                "us.anthropic.claude-opus-4-1-20250805-v1:0",
                Family::Claude((4, 1)),
            ),
            (
                "anthropic.claude-sonnet-4-20250514-v1:0",
                Family::Claude((4, 0)),
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-4-7-v1:0",
                Family::Claude((4, 7)),
            ),
            (
                "anthropic.claude-mythos-preview",
                Family::Claude((u32::MAX, 0)),
            ),
            ("us.amazon.nova-2-lite-v1:0", Family::Nova2),
            ("amazon.nova-pro-v1:0", Family::Nova),
            ("openai.gpt-oss-120b-1:0", Family::GptOss),
            (
                "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
                Family::Claude((4, 5)),
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/meta.llama3-1",
                Family::Other,
            ),
            ("meta.llama3-3-70b-instruct-v1:0", Family::Other),
        ];
        for (model, family) in table {
            assert_eq!(Family::of(model), family, "{model}");
        }
    }

    fn thinks(effort: Option<Effort>, max_tokens: Option<u64>, room: Option<u64>) -> Request {
        let mut request = asks("x");
        request.max_tokens = room;
        request.reasoning = Some(Reasoning {
            effort,
            max_tokens,
            ..Reasoning::default()
        });
        request
    }

    fn additional(model: &str, request: &Request) -> serde_json::Value {
        serde_json::to_value(Family::of(model).additional(request)).expect("JSON")
    }

    #[test]
    fn each_family_thinks_in_its_own_words() {
        let high = thinks(Some(Effort::High), None, Some(10_000));
        let old = "anthropic.claude-sonnet-4-5-20250929-v1:0";
        assert_eq!(
            additional(old, &high),
            json!({"thinking": {"type": "enabled", "budget_tokens": 8000}})
        );
        assert_eq!(Family::of(old).effort(&high), None);
        let new = "anthropic.claude-opus-4-7-v1:0";
        assert_eq!(
            additional(new, &high),
            json!({"thinking": {"type": "adaptive", "display": "summarized"}})
        );
        assert_eq!(Family::of(new).effort(&high), Some("high"));
        let budget = thinks(None, Some(5000), None);
        assert_eq!(Family::of(new).effort(&budget), None);
        assert_eq!(
            additional("amazon.nova-2-lite-v1:0", &high),
            json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}})
        );
        assert_eq!(
            additional(
                "openai.gpt-oss-20b-1:0",
                &thinks(Some(Effort::XHigh), None, None)
            ),
            json!({"reasoning_effort": "high"})
        );
        assert_eq!(additional("meta.llama3", &high), json!(null));
    }

    #[test]
    fn a_budget_leaves_room_or_is_impossible() {
        let budget = |request: &Request| match Thinking::of(request) {
            Thinking::On { budget, .. } => Some(budget),
            Thinking::Off | Thinking::Impossible => None,
        };
        assert_eq!(budget(&thinks(None, Some(10), None)), Some(1024));
        assert_eq!(budget(&thinks(None, Some(9000), Some(2000))), Some(1999));
        assert_eq!(
            budget(&thinks(Some(Effort::XHigh), None, None)),
            Some(30_400)
        );
        assert_eq!(
            Thinking::of(&thinks(None, Some(9), Some(1024))),
            Thinking::Impossible
        );
        assert_eq!(
            Thinking::of(&thinks(Some(Effort::None), None, None)),
            Thinking::Off
        );
        let mut json = thinks(Some(Effort::Low), None, None);
        json.format = Format::Json;
        assert_eq!(Thinking::of(&json), Thinking::Impossible);
    }

    #[test]
    fn top_k_stands_where_the_family_has_it() {
        let mut request = asks("x");
        request.sampling.top_k = Some(7);
        assert_eq!(additional("mistral.large", &request), json!({"top_k": 7}));
        assert_eq!(
            additional("amazon.nova-pro-v1:0", &request),
            json!({"inferenceConfig": {"topK": 7}})
        );
        assert_eq!(
            additional("anthropic.claude-opus-4-7-v1:0", &request),
            json!(null)
        );
    }
}
