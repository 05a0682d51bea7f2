//! Owns the pieces of a stream. Must never keep one.

use super::answer::Finish;
use super::content::{Citation, ThoughtKind};
use crate::core::exchange::Usage;

/// A piece of an answer. `choice` is the place among the answers asked for; most dialects know one, at 0.
///
/// A stream is: `Start`, then pieces, a `Finish` for each choice, and `Usage` at most once, before or after those.
/// A piece belongs to the part before it where it is of the same kind; a new part begins where the kind changes, with
/// [`Event::Thought`] where `id` or `signature` ended the one before, and with each [`Event::ToolCall`].
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The upstream began. Comes once, first.
    Start {
        id: String,
        /// Seconds since 1970, 0 where the upstream does not say.
        created: u64,
    },
    Text {
        choice: u32,
        text: String,
    },
    Refusal {
        choice: u32,
        text: String,
    },
    Citation {
        choice: u32,
        citation: Citation,
    },
    /// More of a thought: text, or its end (`signature`), or one that is encrypted (whole).
    Thought {
        choice: u32,
        kind: ThoughtKind,
        text: String,
        signature: Option<String>,
        id: Option<String>,
        format: Option<&'static str>,
    },
    /// A tool call begins. `index` counts the calls of the choice from 0.
    ToolCall {
        choice: u32,
        index: u32,
        id: String,
        name: String,
        signature: Option<String>,
    },
    /// More of a call's arguments. Calls may take turns.
    Arguments {
        choice: u32,
        index: u32,
        json: String,
    },
    Finish {
        choice: u32,
        finish: Finish,
    },
    Usage(Usage),
}

// === impl Event ===

impl Event {
    /// Whether a client waits for it: what makes a first token.
    pub fn is_content(&self) -> bool {
        match self {
            Event::Text { text, .. } | Event::Refusal { text, .. } => !text.is_empty(),
            Event::Thought { text, .. } => !text.is_empty(),
            Event::ToolCall { .. } => true,
            Event::Arguments { json, .. } => !json.is_empty(),
            // An answer that ends for want of room, or by a filter, is one even without a word.
            Event::Finish { finish, .. } => !matches!(finish, Finish::Stop { .. }),
            Event::Start { .. } | Event::Citation { .. } | Event::Usage(_) => false,
        }
    }
}
