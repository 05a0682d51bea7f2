//! Owns how much a model is to think, in the words that its generation takes. Must never send both.
//! Generations before 3 take a number of tokens; from 3 on a level is meant, and tokens are taken for old clients' sake
//! (<https://ai.google.dev/gemini-api/docs/thinking>, 2026-11-22). The steps are those of Google's own OpenAI layer
//! (<https://ai.google.dev/gemini-api/docs/openai>).

use serde::Serialize;

use crate::wire::hub::{Effort, Reasoning};

/// The first generation that takes levels, and wants signatures back with calls.
const LEVELS_FROM: u32 = 3;
/// The least that a model takes which cannot go without thinking: 2.5 Pro.
const LEAST: u64 = 128;

/// `thinkingConfig`.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThinkingConfig {
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

/// Whether the model is of a generation with levels. A name without a number (`gemini-flash-latest`) is taken for
/// an older one, whose words both take.
pub(super) fn has_levels(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let number = name.strip_prefix("gemini-").unwrap_or_default();
    let end = number
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(number.len());
    let generation = number.get(..end).and_then(|digits| digits.parse().ok());
    generation.is_some_and(|generation: u32| generation >= LEVELS_FROM)
}

/// The setting for a request to `model`.
pub(super) fn config(reasoning: &Reasoning, model: &str) -> ThinkingConfig {
    let pro = model.contains("-pro");
    let mut config = ThinkingConfig {
        include_thoughts: !reasoning.hidden && reasoning.effort != Some(Effort::None),
        thinking_budget: reasoning.max_tokens,
        thinking_level: None,
    };
    match (reasoning.max_tokens, reasoning.effort) {
        (Some(_), _) | (None, None) => {}
        (None, Some(effort)) if has_levels(model) => {
            config.thinking_level = Some(level(effort, pro));
        }
        (None, Some(effort)) => config.thinking_budget = Some(budget(effort, pro)),
    }
    config
}

/// Pro models have no level below low.
fn level(effort: Effort, pro: bool) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal if !pro => "MINIMAL",
        Effort::None | Effort::Minimal | Effort::Low => "LOW",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::XHigh => "HIGH",
    }
}

fn budget(effort: Effort, pro: bool) -> u64 {
    match effort {
        Effort::None if pro => LEAST,
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::XHigh => 24_576,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generation_is_told_by_its_number() {
        for model in [
            "gemini-3-pro-preview",
            "gemini-3.5-flash",
            "models/gemini-10",
        ] {
            assert!(has_levels(model), "{model}");
        }
        for model in ["gemini-2.5-pro", "gemini-flash-latest", "gemma-3-27b", ""] {
            assert!(!has_levels(model), "{model}");
        }
    }

    #[test]
    fn effort_is_a_level_or_a_budget_and_never_both() {
        let asked = |effort, max_tokens| Reasoning {
            effort,
            max_tokens,
            ..Reasoning::default()
        };
        let found = |reasoning: &Reasoning, model: &str| {
            let config = config(reasoning, model);
            (config.thinking_budget, config.thinking_level)
        };
        let high = asked(Some(Effort::High), None);
        assert_eq!(found(&high, "gemini-2.5-flash"), (Some(24_576), None));
        assert_eq!(found(&high, "gemini-3-flash"), (None, Some("HIGH")));
        let none = asked(Some(Effort::None), None);
        assert_eq!(found(&none, "gemini-2.5-flash"), (Some(0), None));
        assert_eq!(found(&none, "gemini-2.5-pro"), (Some(128), None));
        assert_eq!(found(&none, "gemini-3-flash"), (None, Some("MINIMAL")));
        assert_eq!(found(&none, "gemini-3.1-pro-preview"), (None, Some("LOW")));
        assert!(!config(&none, "gemini-3-flash").include_thoughts);
        let both = asked(Some(Effort::Low), Some(77));
        assert_eq!(found(&both, "gemini-3-flash"), (Some(77), None));
        assert_eq!(found(&asked(None, None), "gemini-3-flash"), (None, None));
        let hidden = Reasoning {
            hidden: true,
            ..high
        };
        assert!(!config(&hidden, "gemini-3-flash").include_thoughts);
    }
}
