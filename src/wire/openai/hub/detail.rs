//! Owns `reasoning_details`: the pieces of a model's thoughts, read and written.
//! Must never change what a piece holds: its maker takes it back unchanged or not at all.

use serde::{Deserialize, Serialize};

use crate::wire::hub::{Thought, ThoughtKind};
use crate::wire::json::Word;

/// Makers of thoughts by the names that OpenRouter gives them, read from its API description on 2026-11-22.
const FORMATS: [&str; 8] = [
    "anthropic-claude-v1",
    "openai-responses-v1",
    "azure-openai-responses-v1",
    "bedrock-openai-responses-v1",
    "bedrock-xai-responses-v1",
    "xai-responses-v1",
    "meta-responses-v1",
    "google-gemini-v1",
];

/// One piece as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct Detail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    text: Option<String>,
    summary: Option<String>,
    data: Option<String>,
    signature: Option<String>,
    pub(super) id: Option<String>,
    format: Option<String>,
}

/// One piece as it is written.
#[derive(Debug, Serialize)]
pub(super) struct WrittenDetail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// Null where nobody said who made it: as OpenRouter writes it.
    format: Option<&'a str>,
    index: u32,
}

/// What a piece says, borrowed: from a thought or from an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) kind: ThoughtKind,
    pub(super) text: &'a str,
    pub(super) signature: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) format: Option<&'a str>,
}

/// The name of a maker that is known, for as long as the program runs.
pub(in crate::wire) fn known_format(name: &str) -> Option<&'static str> {
    FORMATS.into_iter().find(|format| *format == name)
}

// === impl Detail ===

impl Detail<'_> {
    /// The thought that it is; `None` for kinds that are none, such as the provider's own tools.
    pub(super) fn into_thought(self) -> Option<Thought> {
        let (kind, text) = match self.kind.as_deref()? {
            "reasoning.text" => (ThoughtKind::Text, self.text),
            "reasoning.summary" => (ThoughtKind::Summary, self.summary),
            "reasoning.encrypted" => (ThoughtKind::Encrypted, self.data),
            _ => return None,
        };
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Some(Thought {
            kind,
            text: text.unwrap_or_default(),
            signature: filled(self.signature),
            id: filled(self.id),
            format: filled(self.format),
        })
    }
}

// === impl WrittenDetail ===

impl<'a> WrittenDetail<'a> {
    pub(super) fn of(piece: Piece<'a>, index: u32) -> Self {
        let text = |kind| (piece.kind == kind).then_some(piece.text);
        Self {
            kind: match piece.kind {
                ThoughtKind::Text => "reasoning.text",
                ThoughtKind::Summary => "reasoning.summary",
                ThoughtKind::Encrypted => "reasoning.encrypted",
            },
            text: text(ThoughtKind::Text),
            summary: text(ThoughtKind::Summary),
            data: text(ThoughtKind::Encrypted),
            signature: piece.signature,
            id: piece.id,
            format: piece.format,
            index,
        }
    }

    /// What stands for a call's signature: Gemini's, by the id of the call that it belongs to.
    pub(super) fn of_call(id: &'a str, signature: &'a str, index: u32) -> Self {
        let piece = Piece {
            kind: ThoughtKind::Encrypted,
            text: signature,
            signature: None,
            id: Some(id),
            format: Some("google-gemini-v1"),
        };
        Self::of(piece, index)
    }
}

// === impl Piece ===

impl<'a> Piece<'a> {
    pub(super) fn of(thought: &'a Thought) -> Self {
        Self {
            kind: thought.kind,
            text: &thought.text,
            signature: thought.signature.as_deref(),
            id: thought.id.as_deref(),
            format: thought.format.as_deref(),
        }
    }
}
