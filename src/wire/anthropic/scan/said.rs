//! Owns what of a body's messages matters where they pass as they are: what they hold, and blocks that this router wrote in
//! another provider's name. Anthropic refuses those («Invalid `signature` in `thinking` block»), so that they are left out.
//! Must never look into a body that holds none of it.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Removal, removed};
use crate::wire::anthropic::origin::{self, MARK};
use crate::wire::splice::{Edit, span_of};

/// Kinds of blocks that matter; a text that quotes one has a backslash before its last quote.
const KINDS: [&[u8]; 4] = [
    br#"thinking""#,
    br#""image""#,
    br#""document""#,
    MARK.as_bytes(),
];
/// What a turn says that held nothing but a foreign thought: the API takes no turn without content.
const NOTHING: &[u8] = br#"{"type":"text","text":"(no words)"}"#;

/// What the messages hold.
#[derive(Default)]
pub(super) struct Said {
    pub(super) images: bool,
    pub(super) files: bool,
    /// The turn that the request goes on with holds thoughts that are bound to who made them.
    pub(super) signed: bool,
    /// That turn uses tools, and the thought that it began with is left out.
    pub(super) lost_its_thought: bool,
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
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    source: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

// === impl Said ===

impl Said {
    /// Of the value of `messages`. What has another shape is not ours to judge: the upstream will.
    pub(super) fn of(text: &str, messages: &RawValue) -> Self {
        let mut said = Self::default();
        let bytes = messages.get().as_bytes();
        if !KINDS.iter().any(|kind| memmem::find(bytes, kind).is_some()) {
            return said;
        }
        let messages = serde_json::from_str::<Vec<&RawValue>>(messages.get());
        for message in messages.unwrap_or_default() {
            if let Ok(message) = serde_json::from_str::<Message<'_>>(message.get()) {
                said.message(text, &message);
            }
        }
        said
    }

    fn message(&mut self, text: &str, message: &Message<'_>) {
        let Some(content) = message.content else {
            return;
        };
        let Ok(blocks) = serde_json::from_str::<Vec<&RawValue>>(content.get()) else {
            // Text: a turn of its own, no results of tools.
            self.next_turn(message, false);
            return;
        };
        let read: Vec<Option<Block<'_>>> = blocks
            .iter()
            .map(|json| serde_json::from_str(json.get()).ok())
            .collect();
        let results = read
            .iter()
            .flatten()
            .any(|block| block.kind == "tool_result");
        self.next_turn(message, results);
        for block in read.iter().flatten() {
            self.block(text, block);
        }
        if message.role == "assistant" {
            self.cut(text, content, &blocks, &read);
        }
    }

    /// A turn of the user's that answers no tools begins something new: what was thought before it binds nobody.
    fn next_turn(&mut self, message: &Message<'_>, results: bool) {
        if message.role == "user" && !results {
            self.signed = false;
            self.lost_its_thought = false;
        }
    }

    fn block(&mut self, text: &str, block: &Block<'_>) {
        match &*block.kind {
            "image" => self.images = true,
            "document" => self.files |= block.source.is_none_or(|source| !is_text(source)),
            "thinking" => self.signed |= block.signature.is_some_and(is_bound),
            "redacted_thinking" => self.signed |= block.data.is_some_and(is_bound),
            "text" => {
                let citations = block.citations.map(RawValue::get);
                let marked = |list: &&str| memmem::find(list.as_bytes(), MARK.as_bytes()).is_some();
                self.edits.extend(citations.filter(marked).map(|list| Edit {
                    at: span_of(text, list),
                    with: Bytes::from_static(b"null"),
                }));
            }
            _ => {}
        }
        let inner = block.content.map(RawValue::get);
        let inner = inner.and_then(|json| serde_json::from_str::<Vec<Block<'_>>>(json).ok());
        for block in inner.iter().flatten() {
            match &*block.kind {
                "image" => self.images = true,
                "document" => self.files |= block.source.is_none_or(|source| !is_text(source)),
                _ => {}
            }
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
        let open = span_of(text, content.get()).start + 1;
        let mut removal = Removal::new(text, open);
        for (place, (json, block)) in blocks.iter().zip(read).enumerate() {
            let at = span_of(text, json.get());
            if all && place == 0 {
                removal.keep(at.end);
                self.edits.push(Edit {
                    at,
                    with: Bytes::from_static(NOTHING),
                });
            } else if foreign(block) {
                self.edits.push(removed(removal.remove(at.end)));
            } else {
                removal.keep(at.end);
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
        field.is_some_and(|field| words(field).is_some_and(|words| origin::is_marked(&words)))
    }
}

fn is_bound(field: &RawValue) -> bool {
    words(field).is_some_and(|words| origin::is_bound(&words))
}

/// A string without its escapes.
fn words(field: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Words<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Words<'_>>(field.get())
        .ok()
        .map(|Words(words)| words)
}

/// Whether a document's bytes are its words.
fn is_text(source: &RawValue) -> bool {
    let source = serde_json::from_str::<Source<'_>>(source.get());
    source.is_ok_and(|source| matches!(&*source.kind, "text" | "content"))
}
