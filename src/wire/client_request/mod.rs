//! Owns what is read of every client's request, whatever its dialect, and its rewriting for an upstream of the same one.
//! In reading order: `operation` (what is asked for), this file, `messages` and `top_level` (one pass over a body's fields,
//! which each dialect says what it takes of), `conversation` (which one it goes on with).
//! Must never hold the body itself, or a rule of one dialect alone. Only `conversation` looks inside messages, where it is asked to.

pub mod operation;
pub(in crate::wire) mod messages;
pub(in crate::wire) mod top_level;
mod conversation;

use std::ops::Range;

use bytes::Bytes;

use crate::core::plan::RequestFacts;
use crate::wire::json::quoted;
use crate::wire::rope::Rope;
use crate::wire::splice::{Edit, member_of, splice};
use messages::Beginning;
use operation::Operation;

/// A request that was read: what routing and the stream's reader need, and where the bytes stand that
/// change for an upstream. It goes with the body that it was read from.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    pub facts: RequestFacts,
    /// What the reader of the answer expects.
    pub expects: Expects,
    /// Where the model's name stands, with its quotes.
    pub(in crate::wire) model: Range<usize>,
    /// Fields that an upstream needs beside it and the client did not give, each behind a comma.
    pub(in crate::wire) behind_model: &'static str,
    /// All that changes but the model, in order.
    pub(in crate::wire) edits: Vec<Edit>,
    pub(in crate::wire) spoken: Spoken,
}

/// Where the body says which conversation it goes on with; a field may be of any type.
#[derive(Clone, Debug, Default)]
pub(in crate::wire) struct Spoken {
    pub(in crate::wire) session_id: Option<Range<usize>>,
    pub(in crate::wire) prompt_cache_key: Option<Range<usize>>,
    pub(in crate::wire) user: Option<Range<usize>>,
    /// The answer that the request goes on with, where its provider keeps answers.
    pub(in crate::wire) earlier_answer: Option<Range<usize>>,
    /// What the model is told before all messages, where that has a place of its own.
    pub(in crate::wire) instructions: Option<Range<usize>>,
    /// The one message, where it is a text and no list.
    pub(in crate::wire) message: Option<Range<usize>>,
    /// Of a list of messages.
    pub(in crate::wire) beginning: Beginning,
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
    /// The body for an upstream that calls the model `upstream_model`: the model replaced, router-only
    /// fields left out, and usage asked for in streams. `body` is the one that was scanned.
    pub fn rewrite(&self, body: &Bytes, upstream_model: &str) -> Rope {
        let model = Edit {
            at: self.model.clone(),
            with: self.model_value(upstream_model),
        };
        self.spliced(body, &model)
    }

    /// The body for an upstream that wants other members of the body in the place of the model's.
    pub fn rewrite_with(&self, body: &Bytes, members: String) -> Rope {
        let model = Edit {
            at: member_of(body, self.model.clone()),
            with: members.into(),
        };
        self.spliced(body, &model)
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
        value.push_str(self.behind_model);
        value.into()
    }
}

// === impl Expects ===

impl Expects {
    /// Of a dialect that answers once, and tells its usage unasked.
    pub(in crate::wire) fn one_answer(structured: bool) -> Self {
        Self {
            operation: Operation::Chat,
            choices: 1,
            usage: true,
            structured,
        }
    }
}
