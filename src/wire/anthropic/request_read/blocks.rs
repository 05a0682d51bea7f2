//! Owns the reading of what was said: content as text or as blocks. Must never take a block that it does not know for a
//! mistake: the API gets new ones, and clients replay what they were given.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::wire::anthropic::origin::{self, Redacted};
use crate::wire::client_error::RequestError;
use crate::wire::hub::{Cache, Document, Image, Part, Source, ToolCall, ToolResult};

/// Text, or a list of blocks.
#[derive(Default)]
pub(super) struct Content(Vec<Block>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    source: Option<SourceIn>,
    title: Option<String>,
    context: Option<String>,
    citations: Option<Box<RawValue>>,
    cache_control: Option<CacheIn>,
    thinking: Option<String>,
    signature: Option<String>,
    data: Option<String>,
    id: Option<String>,
    name: Option<String>,
    input: Option<Box<RawValue>>,
    tool_use_id: Option<String>,
    content: Option<Content>,
    is_error: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct CacheIn {
    ttl: Option<String>,
}

/// Where an image or a document is; of a search result, its address.
enum SourceIn {
    Address(String),
    Place(Place),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Place {
    #[serde(rename = "type")]
    kind: String,
    media_type: Option<String>,
    data: Option<String>,
    url: Option<String>,
    file_id: Option<String>,
    content: Option<Content>,
}

// === impl CacheIn ===

impl CacheIn {
    pub(super) fn into_hub(self) -> Cache {
        Cache { ttl: self.ttl }
    }
}

// === impl Content ===

impl Content {
    /// The parts. Signatures of calls stand in blocks of their own before the calls, and go back to them.
    pub(super) fn into_parts(self, unknown: &mut Vec<String>) -> Result<Vec<Part>, RequestError> {
        let mut parts = Vec::with_capacity(self.0.len());
        let mut signatures = Vec::new();
        for block in self.0 {
            match block.kind.as_str() {
                "redacted_thinking" => match origin::redacted(block.data.unwrap_or_default()) {
                    Redacted::Thought(thought) => parts.push(Part::Thought(thought)),
                    Redacted::Call { id, signature } => signatures.push((id, signature)),
                },
                _ => block.into_parts(&mut parts, unknown)?,
            }
        }
        for part in &mut parts {
            if let Part::ToolCall(call) = part {
                let own = signatures.iter().find(|(id, _)| *id == call.id);
                call.signature = own.map(|(_, signature)| signature.clone());
            }
        }
        Ok(parts)
    }

    /// The texts alone, one after the other.
    fn into_text(self) -> String {
        self.0.into_iter().filter_map(|block| block.text).collect()
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
        f.write_str("text or a list of content blocks")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Content, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Content, E> {
        Ok(Content(vec![Block {
            kind: "text".to_owned(),
            text: Some(text),
            ..Block::default()
        }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut blocks = Vec::new();
        while let Some(block) = list.next_element()? {
            blocks.push(block);
        }
        Ok(Content(blocks))
    }

    /// What a tool of the provider's brought: one object, which its block's kind tells apart.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::default())
    }
}

/// Read without a detour through raw JSON: documents may hold documents, and only a reader that goes on counts how deep.
impl<'de> Deserialize<'de> for SourceIn {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(SourceVisitor)
    }
}

struct SourceVisitor;

impl<'de> Visitor<'de> for SourceVisitor {
    type Value = SourceIn;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address or a source")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<SourceIn, E> {
        Ok(SourceIn::Address(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SourceIn, A::Error> {
        Place::deserialize(MapAccessDeserializer::new(map)).map(SourceIn::Place)
    }
}

// === impl Block ===

impl Block {
    fn into_parts(
        mut self,
        parts: &mut Vec<Part>,
        unknown: &mut Vec<String>,
    ) -> Result<(), RequestError> {
        let cache = self.cache_control.take().map(CacheIn::into_hub);
        match self.kind.as_str() {
            "text" => parts.push(Part::Text {
                text: self.text.unwrap_or_default(),
                cache,
                citations: Vec::new(),
            }),
            "image" => {
                let source = self.source.and_then(SourceIn::into_image);
                let source = source.ok_or_else(|| of_no_source("image"))?;
                parts.push(Part::Image(Image {
                    source,
                    detail: None,
                    cache,
                }));
            }
            "document" => self.into_document(cache, parts, unknown)?,
            "search_result" => parts.push(self.into_search_result(cache)),
            "thinking" => {
                let text = self.thinking.unwrap_or_default();
                parts.push(Part::Thought(origin::thought(text, self.signature)));
            }
            "tool_use" => parts.push(Part::ToolCall(ToolCall {
                id: self.id.unwrap_or_default(),
                name: self.name.unwrap_or_default(),
                arguments: self
                    .input
                    .map_or_else(|| "{}".to_owned(), |it| it.get().to_owned()),
                cache,
                signature: None,
            })),
            "tool_result" => parts.push(self.into_result(cache, unknown)?),
            "" => {
                return Err(RequestError::about(
                    "messages",
                    "a content block has no 'type'",
                ));
            }
            _ => unknown.push(format!("messages.{}", self.kind)),
        }
        Ok(())
    }

    fn into_result(
        self,
        cache: Option<Cache>,
        unknown: &mut Vec<String>,
    ) -> Result<Part, RequestError> {
        let Some(id) = self.tool_use_id else {
            let message = "a 'tool_result' has no 'tool_use_id'".to_owned();
            return Err(RequestError::about("messages", message));
        };
        Ok(Part::ToolResult(ToolResult {
            id,
            name: None,
            parts: self.content.unwrap_or_default().into_parts(unknown)?,
            failed: self.is_error.unwrap_or(false),
            cache,
        }))
    }

    fn into_document(
        self,
        cache: Option<Cache>,
        parts: &mut Vec<Part>,
        unknown: &mut Vec<String>,
    ) -> Result<(), RequestError> {
        let is_wanted = |json: &RawValue| json.get().contains("true");
        if self.citations.as_deref().is_some_and(is_wanted) {
            unknown.push("messages.document.citations".to_owned());
        }
        if let Some(context) = self.context.filter(|context| !context.is_empty()) {
            parts.push(Part::text(context));
        }
        let place = match self.source {
            Some(SourceIn::Place(place)) => place,
            Some(SourceIn::Address(_)) | None => return Err(of_no_source("document")),
        };
        if place.kind == "content" {
            // Blocks of the client's own making: what they hold is the document.
            let held = place.content.unwrap_or_default().into_parts(unknown)?;
            parts.extend(held);
            return Ok(());
        }
        let source = place
            .into_source()
            .ok_or_else(|| of_no_source("document"))?;
        parts.push(Part::Document(Document {
            source,
            name: self.title,
            cache,
        }));
        Ok(())
    }

    /// As text: no other dialect has such a block.
    fn into_search_result(self, cache: Option<Cache>) -> Part {
        let address = match self.source {
            Some(SourceIn::Address(address)) => address,
            Some(SourceIn::Place(_)) | None => String::new(),
        };
        let words = self.content.unwrap_or_default().into_text();
        let lines = [self.title.unwrap_or_default(), address, words];
        let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        Part::Text {
            text: lines.join("\n"),
            cache,
            citations: Vec::new(),
        }
    }
}

fn of_no_source(kind: &str) -> RequestError {
    RequestError::about(
        "messages",
        format!("a block of type '{kind}' has no 'source' that can be read"),
    )
}

// === impl SourceIn ===

impl SourceIn {
    fn into_image(self) -> Option<Source> {
        match self {
            SourceIn::Place(place) => place.into_source(),
            SourceIn::Address(_) => None,
        }
    }
}

// === impl Place ===

impl Place {
    fn into_source(self) -> Option<Source> {
        match self.kind.as_str() {
            "base64" => Some(Source::Base64 {
                media_type: self.media_type?,
                data: self.data?,
            }),
            "url" => self.url.map(Source::Url),
            "file" => self.file_id.map(Source::File),
            "text" => self.data.map(Source::Text),
            _ => None,
        }
    }
}
