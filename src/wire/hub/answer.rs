//! Owns an answer whole. Must never hold an error: those are facts of their own.

use super::content::Part;
use crate::core::exchange::{AnswerFacts, Usage};

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The upstream's id; empty where it gave none.
    pub id: String,
    /// Seconds since 1970, 0 where the upstream does not say.
    pub created: u64,
    pub choices: Vec<Choice>,
    pub usage: Option<Usage>,
    pub service_tier: Option<String>,
}

/// One of the answers asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub parts: Vec<Part>,
    pub finish: Option<Finish>,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model was done, or came to one of the stop sequences: which, where the upstream says so.
    Stop {
        sequence: Option<String>,
    },
    /// At the limit of tokens, or of the window.
    Length,
    ToolCalls,
    /// A filter of the provider's.
    Filtered,
    /// The model's own decision.
    Refused,
    /// The turn is not over: the provider's own tools want another request.
    Paused,
    /// In the upstream's word, which is none of these.
    Other(String),
}

// === impl Answer ===

impl Answer {
    /// What an exchange is told of it.
    pub fn facts(&self) -> AnswerFacts {
        AnswerFacts {
            empty: self.is_empty(),
            usage: self.usage,
        }
    }

    /// No choice has any content, and none says why: what `AnswerFacts` calls empty.
    pub fn is_empty(&self) -> bool {
        let counted = self.usage.is_some_and(|usage| usage.completion_tokens > 0);
        !counted && self.choices.iter().all(Choice::is_empty)
    }
}

// === impl Choice ===

impl Choice {
    fn is_empty(&self) -> bool {
        let silent = matches!(self.finish, None | Some(Finish::Stop { .. }));
        let says = |part: &Part| match part {
            Part::Text { text, .. } | Part::Refusal(text) => !text.is_empty(),
            Part::Thought(thought) => !thought.text.is_empty() || thought.signature.is_some(),
            Part::Image(_)
            | Part::Document(_)
            | Part::Audio { .. }
            | Part::ToolCall(_)
            | Part::ToolResult(_) => true,
        };
        silent && !self.parts.iter().any(says)
    }
}

// === impl Finish ===

impl Finish {
    /// The common end.
    pub const STOP: Self = Finish::Stop { sequence: None };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_empty_that_neither_says_nor_counts_anything() {
        let answer = |parts: Vec<Part>, finish| Answer {
            choices: vec![Choice { parts, finish }],
            ..Answer::default()
        };
        assert!(Answer::default().is_empty());
        assert!(answer(vec![Part::text("")], Some(Finish::STOP)).is_empty());
        assert!(!answer(vec![Part::text("a")], Some(Finish::STOP)).is_empty());
        assert!(!answer(Vec::new(), Some(Finish::Length)).is_empty());
        let counted = Answer {
            usage: Some(Usage {
                completion_tokens: 3,
                ..Usage::default()
            }),
            ..answer(Vec::new(), None)
        };
        assert!(!counted.is_empty());
    }
}
