//! Owns how a model is told to think, and when it cannot be: the dialect refuses thinking beside a tool that is forced, in
//! too small a room, and in the middle of a tool's use that began without.
//! Must never spend more than the client's own limit.

use serde::Serialize;

use super::generation::{Form, Generation};
use super::origin::FORMAT;
use crate::wire::hub::{Effort, Part, Reasoning, Request, Role, ThoughtKind};

/// The least budget that the API takes (<https://platform.claude.com/docs/en/build-with-claude/extended-thinking>).
const LEAST_BUDGET: u64 = 1_024;

/// The `thinking` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
    Adaptive {
        display: &'static str,
    },
    Disabled,
}

/// How a request's model is told to think.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) thinking: Option<Thinking>,
    /// `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// What was asked for cannot be.
    pub(super) dropped: bool,
}

// === impl Plan ===

impl Plan {
    /// For an answer of at most `max_tokens`; `forced`: a tool must be called.
    pub(super) fn of(
        request: &Request,
        generation: Generation,
        max_tokens: u64,
        forced: bool,
    ) -> Self {
        let Some(reasoning) = &request.reasoning else {
            return Self::default();
        };
        match (reasoning.effort, reasoning.max_tokens) {
            (Some(Effort::None), _) => return Self::rest(generation),
            // Only a word on how it is to be shown.
            (None, None) => return Self::default(),
            (Some(_), _) | (None, Some(_)) => {}
        }
        let thinking = match generation.thinking {
            Form::Adaptive {
                beside_forced_tools: false,
                ..
            }
            | Form::Budget { .. }
                if forced =>
            {
                None
            }
            Form::Adaptive { .. } => Some(Thinking::Adaptive {
                display: display(reasoning.hidden),
            }),
            Form::Budget { .. } if has_begun_without(request) => None,
            Form::Budget { display: shows } => {
                budget(reasoning, max_tokens).map(|budget_tokens| Thinking::Enabled {
                    budget_tokens,
                    display: (shows && reasoning.hidden).then_some(display(true)),
                })
            }
        };
        Self {
            thinking,
            effort: thinking.and_then(|_| effort(reasoning, generation.thinking, max_tokens)),
            dropped: thinking.is_none(),
        }
    }

    /// No thinking; where a model cannot be without, as little as it can.
    fn rest(generation: Generation) -> Self {
        match generation.thinking {
            Form::Adaptive {
                can_rest: false, ..
            } => Self {
                thinking: None,
                effort: Some("low"),
                dropped: true,
            },
            Form::Adaptive { .. } | Form::Budget { .. } => Self {
                thinking: Some(Thinking::Disabled),
                ..Self::default()
            },
        }
    }

    /// Whether the model will think.
    pub(super) fn thinks(&self) -> bool {
        matches!(
            self.thinking,
            Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. })
        )
    }
}

/// The newest models leave the words out unless they are asked for.
fn display(hidden: bool) -> &'static str {
    match hidden {
        true => "omitted",
        false => "summarized",
    }
}

/// The limit of an answer for which the client set none: what it may think is added.
pub(super) fn default_limit(request: &Request, generation: Generation) -> u64 {
    let asked = request
        .reasoning
        .as_ref()
        .and_then(|asked| asked.max_tokens);
    match asked.filter(|asked| *asked >= generation.max_tokens) {
        Some(asked) => asked.saturating_add(generation.max_tokens),
        None => generation.max_tokens,
    }
}

/// The budget, below the limit; `None` where there is no room for the least.
fn budget(reasoning: &Reasoning, max_tokens: u64) -> Option<u64> {
    let most = max_tokens
        .checked_sub(1)
        .filter(|most| *most >= LEAST_BUDGET)?;
    let effort = reasoning.effort.unwrap_or(Effort::Medium);
    let share = u128::from(max_tokens) * u128::from(effort.percent()) / 100;
    let asked = reasoning.max_tokens;
    let wanted = asked.unwrap_or(u64::try_from(share).unwrap_or(u64::MAX));
    Some(wanted.clamp(LEAST_BUDGET, most))
}

/// The word for how hard the model is to try; only models that adapt take one.
fn effort(reasoning: &Reasoning, form: Form, max_tokens: u64) -> Option<&'static str> {
    let Form::Adaptive { xhigh, .. } = form else {
        return None;
    };
    let of_budget = |budget: u64| {
        let reached = |effort: &Effort| budget >= max_tokens.saturating_mul(effort.percent()) / 100;
        Effort::ALL.into_iter().rev().find(reached)
    };
    let effort = reasoning
        .effort
        .or_else(|| reasoning.max_tokens.and_then(of_budget))?;
    Some(match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::XHigh if xhigh => "xhigh",
        Effort::XHigh => "max",
    })
}

/// Whether tools are being used in a turn that does not begin with a thought of the dialect's own: with a budget set, the
/// API refuses to think on («expected `thinking` or `redacted_thinking`, but found `tool_use`»). So it is where another
/// provider began the turn.
fn has_begun_without(request: &Request) -> bool {
    let turns = request.turns();
    let answers_tools = matches!(turns.last(), Some((Role::User, parts))
        if parts.iter().any(|part| matches!(part, Part::ToolResult(_))));
    if !answers_tools {
        return false;
    }
    let model = turns
        .iter()
        .rev()
        .find(|(role, _)| *role == Role::Assistant);
    let Some((_, parts)) = model else {
        return false;
    };
    let first = parts.iter().find(|part| is_sent(part));
    !matches!(first, Some(Part::Thought(_)))
}

/// Whether a part of the model's own turn is sent at all.
pub(super) fn is_sent(part: &Part) -> bool {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => !text.trim().is_empty(),
        Part::Thought(thought) => {
            let own = thought.format.as_deref() == Some(FORMAT);
            own && match thought.kind {
                ThoughtKind::Text => thought
                    .signature
                    .as_deref()
                    .is_some_and(|it| !it.is_empty()),
                ThoughtKind::Encrypted => !thought.text.is_empty(),
                ThoughtKind::Summary => false,
            }
        }
        Part::Image(_)
        | Part::Document(_)
        | Part::Audio { .. }
        | Part::ToolCall(_)
        | Part::ToolResult(_) => true,
    }
}
