//! Owns the reading of a request and its rewriting for an upstream. In reading order: this file,
//! `scan` (one pass over the top level), `conversation` (which one it goes on with).
//! Must never hold the body itself. Only `conversation` looks inside messages, where it is asked to.

mod scan;
mod conversation;

use std::ops::Range;

use bytes::Bytes;

use super::operation::Operation;
use crate::core::plan::RequestFacts;
use crate::wire::rope::Rope;
use crate::wire::splice::{Edit, member_of, splice};

pub use scan::scan;

/// Inserted right after the model where the client gave no `stream_options`.
const USAGE_OPTION: &str = r#","stream_options":{"include_usage":true}"#;

/// A request that was read: what routing and the stream's reader need, and where the bytes stand that
/// change for an upstream. It goes with the body that it was read from.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub facts: RequestFacts,
    /// What the reader of the answer expects.
    pub expects: Expects,
    model: Range<usize>,
    add_usage_option: bool,
    /// The usage option and the router-only fields, in order.
    edits: Vec<Edit>,
    spoken: Spoken,
}

/// Where the body says which conversation it goes on with; a field may be of any type.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Spoken {
    pub(in crate::wire) session_id: Option<Range<usize>>,
    pub(in crate::wire) prompt_cache_key: Option<Range<usize>>,
    pub(in crate::wire) user: Option<Range<usize>>,
    pub(in crate::wire) messages: Option<Range<usize>>,
}

/// What the client's request says about its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expects {
    pub operation: Operation,
    /// Choices asked for, at least one.
    pub choices: u32,
    /// The client asked for the usage chunk.
    pub usage: bool,
    /// The answer is to follow a schema, or to be JSON.
    pub structured: bool,
}

// === impl ClientRequest ===

impl ClientRequest {
    /// A request in another dialect, which said where its model stands, and what changes beside it, in order.
    pub(in crate::wire) fn passing(
        facts: RequestFacts,
        model: Range<usize>,
        edits: Vec<Edit>,
        spoken: Spoken,
    ) -> Self {
        Self {
            expects: Expects {
                operation: Operation::Chat,
                choices: 1,
                usage: true,
                structured: facts.json_schema,
            },
            facts,
            model,
            add_usage_option: false,
            edits,
            spoken,
        }
    }

    /// The body for an upstream that calls the model `upstream_model`: the model replaced, router-only
    /// fields left out, and usage asked for in streams. `body` is the one that was scanned.
    pub fn rewrite(&self, body: &Bytes, upstream_model: &str) -> Rope {
        self.spliced(
            body,
            &Edit {
                at: self.model.clone(),
                with: self.model_value(upstream_model),
            },
        )
    }

    /// The body for an upstream that wants other members of the body in the place of the model's.
    pub fn rewrite_with(&self, body: &Bytes, members: String) -> Rope {
        self.spliced(
            body,
            &Edit {
                at: member_of(body, self.model.clone()),
                with: members.into(),
            },
        )
    }

    fn spliced(&self, body: &Bytes, model: &Edit) -> Rope {
        let after = self
            .edits
            .partition_point(|edit| edit.at.start < model.at.start);
        let (before, behind) = self.edits.split_at(after);
        let edits = before.iter().chain([model]).chain(behind);
        splice(body, edits)
    }

    fn model_value(&self, upstream_model: &str) -> Bytes {
        let mut value = quoted(upstream_model);
        if self.add_usage_option {
            value.push_str(USAGE_OPTION);
        }
        value.into()
    }
}

/// Text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string always serialises")
}

#[cfg(test)]
mod tests;
