//! Owns what routing needs to know of a body's messages: what they hold. One pass, nothing kept.
//! Must never look into messages that hold nothing of it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::anthropic::origin;
use crate::wire::client_request::messages::Messages;
use crate::wire::json;

/// Blocks that matter; a text that quotes one has a backslash before its last quote.
const THINKING: &[u8] = br#"thinking""#;
const IMAGE: &[u8] = br#""image""#;
const DOCUMENT: &[u8] = br#""document""#;

/// What the messages hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) images: bool,
    /// Documents whose bytes are not their words.
    pub(super) files: bool,
    /// The turn that the request goes on with holds thoughts that are bound to who made them.
    pub(super) signed: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Cow<'a, str>,
    #[serde(default)]
    content: Content,
}

/// What a message's content, or a tool's result, holds.
#[derive(Clone, Copy, Default)]
struct Content {
    holds: Said,
    results: bool,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type", borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    signature: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    content: Content,
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
    /// Of the value of `messages`.
    pub(super) fn of(messages: &Messages<'_>) -> Self {
        let (images, files) = (messages.hold(IMAGE), messages.hold(DOCUMENT));
        if !images && !files && !messages.hold(THINKING) {
            return Self::default();
        }
        let mut said = Self::default();
        let mut json = serde_json::Deserializer::from_str(messages.json);
        match json.deserialize_seq(Turns(&mut said)) {
            Ok(()) => said,
            // Of another shape, which is the upstream's to judge: the words alone must do.
            Err(_) => Self {
                images,
                files,
                signed: false,
            },
        }
    }

    fn add(&mut self, message: &Message<'_>) {
        let content = message.content;
        // A turn of the user's that answers no tools begins something new: what was thought before it binds nobody.
        if message.role == "user" && !content.results {
            self.signed = false;
        }
        self.merge(content.holds);
    }

    fn merge(&mut self, other: Self) {
        self.images |= other.images;
        self.files |= other.files;
        self.signed |= other.signed;
    }
}

/// Reads messages one at a time.
struct Turns<'s>(&'s mut Said);

impl<'de> Visitor<'de> for Turns<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut messages: A) -> Result<(), A::Error> {
        while let Some(message) = messages.next_element::<Message<'de>>()? {
            self.0.add(&message);
        }
        Ok(())
    }
}

// === impl Content ===

impl Content {
    fn add(&mut self, block: &Block<'_>) {
        self.holds.merge(block.content.holds);
        match &*block.kind {
            "image" => self.holds.images = true,
            "document" => self.holds.files |= block.source.is_none_or(|source| !is_text(source)),
            "thinking" => self.holds.signed |= block.signature.is_some_and(is_bound),
            "redacted_thinking" => self.holds.signed |= block.data.is_some_and(is_bound),
            "tool_result" => self.results = true,
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("content")
    }

    fn visit_str<E>(self, _text: &str) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Content, A::Error> {
        let mut content = Content::default();
        while let Some(block) = blocks.next_element::<Block<'de>>()? {
            content.add(&block);
        }
        Ok(content)
    }
}

fn is_bound(field: &RawValue) -> bool {
    json::text(field.get()).is_some_and(|words| origin::is_bound(&words))
}

/// Whether a document's bytes are its words.
fn is_text(source: &RawValue) -> bool {
    let source = serde_json::from_str::<Source<'_>>(source.get());
    source.is_ok_and(|source| matches!(&*source.kind, "text" | "content"))
}
