//! Owns blocks that this router wrote in another provider's name, where a body passes as it is. Anthropic refuses those
//! («Invalid `signature` in `thinking` block»), so that they are left out.
//! Must never look into a body that holds none of them.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::wire::anthropic::origin::{self, MARK};
use crate::wire::client_request::messages::Messages;
use crate::wire::json;
use crate::wire::splice::{Cut, Edit, span_of};

/// What a turn says that held nothing but a foreign thought: the API takes no turn without content.
const NOTHING: &[u8] = br#"{"type":"text","text":"(no words)"}"#;

/// What is left out.
#[derive(Default)]
pub(super) struct Foreign {
    /// The turn that the request goes on with uses tools, and the thought that it began with is left out.
    pub(super) lost_its_thought: bool,
    /// The user's turn that is read has tool results; turns of one role in a row are one to the API.
    has_results: bool,
    /// In order.
    pub(super) edits: Vec<Edit>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    citations: Option<&'a RawValue>,
}

// === impl Foreign ===

impl Foreign {
    /// Of the value of `messages`. What has another shape is not ours to judge: the upstream will.
    pub(super) fn of(text: &str, messages: &Messages<'_>) -> Self {
        let mut foreign = Self::default();
        if !messages.hold(MARK.as_bytes()) {
            return foreign;
        }
        let messages = serde_json::from_str::<Vec<&RawValue>>(messages.json);
        for message in messages.unwrap_or_default() {
            if let Ok(message) = serde_json::from_str::<Message<'_>>(message.get()) {
                foreign.message(text, &message);
            }
        }
        foreign
    }

    fn message(&mut self, text: &str, message: &Message<'_>) {
        let Some(content) = message.content else {
            return;
        };
        let blocks = serde_json::from_str::<Vec<&RawValue>>(content.get()).unwrap_or_default();
        let read: Vec<Option<Block<'_>>> = blocks
            .iter()
            .map(|json| serde_json::from_str(json.get()).ok())
            .collect();
        let mut known = read.iter().flatten();
        self.has_results = message.role == "user"
            && (self.has_results || known.any(|block| block.kind == "tool_result"));
        if message.role == "user" && !self.has_results {
            self.lost_its_thought = false;
        }
        let citations = read.iter().flatten().filter_map(|block| block.citations);
        for list in citations.filter(|list| is_marked(list)) {
            self.edits.push(Edit {
                at: span_of(text, list.get()),
                with: Bytes::from_static(b"null"),
            });
        }
        if message.role == "assistant" {
            self.cut(text, content, &blocks, &read);
        }
    }

    /// Leaves blocks of ours out.
    fn cut(
        &mut self,
        text: &str,
        content: &RawValue,
        blocks: &[&RawValue],
        read: &[Option<Block<'_>>],
    ) {
        let foreign = |block: &Option<Block<'_>>| block.as_ref().is_some_and(Block::is_foreign);
        let count = read.iter().filter(|block| foreign(block)).count();
        if count == 0 {
            return;
        }
        let all = count == blocks.len();
        let mut cut = Cut::behind(text, span_of(text, content.get()).start);
        for (place, (json, block)) in blocks.iter().zip(read).enumerate() {
            let at = span_of(text, json.get());
            if all && place == 0 {
                cut.keep(at.end);
                self.edits.push(Edit {
                    at,
                    with: Bytes::from_static(NOTHING),
                });
            } else if foreign(block) {
                self.edits.push(Edit::removal(cut.remove(at.end)));
            } else {
                cut.keep(at.end);
            }
        }
        let mut kept = read.iter().filter(|block| !foreign(block)).flatten();
        let first = kept.next();
        let thinks = first.is_some_and(|block| block.kind.ends_with("thinking"));
        let calls = first
            .into_iter()
            .chain(kept)
            .any(|block| block.kind == "tool_use");
        self.lost_its_thought |= calls && !thinks;
    }
}

// === impl Block ===

impl Block<'_> {
    fn is_foreign(&self) -> bool {
        let field = match &*self.kind {
            "thinking" => self.signature,
            "redacted_thinking" => self.data,
            _ => None,
        };
        field.is_some_and(|field| {
            json::text(field.get()).is_some_and(|words| origin::is_marked(&words))
        })
    }
}

fn is_marked(json: &RawValue) -> bool {
    memmem::find(json.get().as_bytes(), MARK.as_bytes()).is_some()
}
