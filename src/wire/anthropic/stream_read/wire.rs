//! Owns the form of a stream's events. Must never take a new field or event for a mistake.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::anthropic::answer_shape::BlockIn;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Ping,
    Error,
    /// The API's versioning allows new events at any time.
    #[serde(other)]
    Other,
}

/// An event, whatever it is.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Wire<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<Kind>,
    #[serde(borrow)]
    pub(super) message: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content_block: Option<BlockIn<'a>>,
    /// Which block a piece is of.
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) delta: Option<Delta<'a>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
}

/// A piece of a block, told by the one field that it has, or the end of the message.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Delta<'a> {
    pub(super) text: Option<String>,
    pub(super) partial_json: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    #[serde(borrow)]
    pub(super) citation: Option<&'a RawValue>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    #[serde(borrow)]
    pub(super) stop_details: Option<&'a RawValue>,
}

/// The message that a stream begins with.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Start<'a> {
    pub(super) id: Option<String>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

// === impl Wire ===

impl Wire<'_> {
    /// Whether it is an error, by its name or by what it holds.
    pub(super) fn is_error(&self) -> bool {
        let named = self.kind == Some(Kind::Error);
        let unnamed = self.kind.is_none() && (self.message.is_some() || self.detail.is_some());
        named || unnamed || self.error.is_some_and(|error| error.get() != "null")
    }
}
