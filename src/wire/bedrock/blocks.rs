//! Owns a conversation as messages of content blocks. Must never send a blank text, or two messages of one role in a
//! row: both are refused.

use std::borrow::Cow;

use aws_smithy_types::base64;
use serde::Serialize;

use super::FORMAT;
use super::family::Family;
use crate::wire::call_input::CallInput;
use crate::wire::hub::{
    Cache, Document, Part, Request, Role, Source, Thought, ThoughtKind, ToolCall, ToolResult,
};

/// Characters of a call's id at most.
const ID_MAX: usize = 64;
/// Characters of a document's name that are kept; 200 are allowed.
const NAME_MAX: usize = 180;

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// A piece of a message, of the system's, or of a tool's result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    Image {
        format: &'static str,
        source: Place<'a>,
    },
    Document {
        format: &'static str,
        name: String,
        source: Place<'a>,
    },
    Audio {
        format: &'a str,
        source: Place<'a>,
    },
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: &'a str,
        input: CallInput<'a>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent(Reasoning<'a>),
    CachePoint {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        ttl: Option<&'a str>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Place<'a> {
    Bytes(&'a str),
    S3Location { uri: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reasoning<'a> {
    ReasoningText {
        text: &'a str,
        signature: &'a str,
    },
    /// In base64 once more.
    RedactedContent(String),
}

/// The system's blocks and the messages.
pub(super) fn of(request: &Request, family: Family) -> (Vec<Block<'_>>, Vec<Message<'_>>) {
    let mut writer = Writer {
        family,
        names: Vec::new(),
    };
    let mut system = Vec::new();
    for part in request.system() {
        writer.part(part, &mut system);
    }
    let mut messages: Vec<Message<'_>> = Vec::new();
    for (role, parts) in request.turns() {
        let (role, mut content) = match role {
            Role::Assistant => ("assistant", writer.blocks(&parts)),
            Role::User | Role::System => ("user", writer.users_blocks(&parts)),
        };
        match messages.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.append(&mut content),
            _ => messages.push(Message { role, content }),
        }
    }
    if messages.is_empty() && !system.is_empty() {
        messages.push(Message {
            role: "user",
            content: std::mem::take(&mut system),
        });
    }
    (system, messages)
}

/// The format of a picture, of those that Converse knows.
pub(super) fn image_format(source: &Source) -> Option<&'static str> {
    let name = match source {
        Source::Base64 { media_type, .. } => media_type.strip_prefix("image/")?,
        Source::Url(uri) | Source::File(uri) => ending(uri)?,
        Source::Text(_) => return None,
    };
    Some(match name.to_ascii_lowercase().as_str() {
        "png" => "png",
        "jpeg" | "jpg" => "jpeg",
        "gif" => "gif",
        "webp" => "webp",
        _ => return None,
    })
}

/// The format of a document, of those that Converse knows: by its type, or by what its name ends in.
pub(super) fn document_format(document: &Document) -> Option<&'static str> {
    let by_name = || {
        let name = document.name.as_deref().and_then(ending);
        of_ending(name?)
    };
    match &document.source {
        Source::Base64 { media_type, .. } => of_media_type(media_type).or_else(by_name),
        Source::Url(uri) | Source::File(uri) => ending(uri).and_then(of_ending).or_else(by_name),
        Source::Text(_) => None,
    }
}

fn of_media_type(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        "application/pdf" => "pdf",
        "text/csv" => "csv",
        "application/msword" => "doc",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => "docx",
        "application/vnd.ms-excel" => "xls",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" => "xlsx",
        "text/html" => "html",
        "text/plain" => "txt",
        "text/markdown" => "md",
        _ => return None,
    })
}

fn of_ending(ending: &str) -> Option<&'static str> {
    let formats = [
        "pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md",
    ];
    let same = |format: &&str| format.eq_ignore_ascii_case(ending);
    formats.into_iter().find(same)
}

fn ending(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, ending)| ending)
}

/// An id within the letters and the length that Converse takes; a call and its result get the same.
fn tool_use_id(id: &str) -> Cow<'_, str> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "_.:-".contains(letter);
    if id.len() <= ID_MAX && id.chars().all(fits) {
        return id.into();
    }
    let letters = id.chars().take(ID_MAX);
    letters
        .map(|letter| if fits(letter) { letter } else { '_' })
        .collect()
}

/// What is kept between parts.
struct Writer {
    family: Family,
    /// Names that documents have already.
    names: Vec<String>,
}

// === impl Writer ===

impl Writer {
    fn blocks<'a>(&mut self, parts: &[&'a Part]) -> Vec<Block<'a>> {
        let mut blocks = Vec::with_capacity(parts.len());
        for part in parts {
            self.part(part, &mut blocks);
        }
        blocks
    }

    /// Results of tools stand first. A document wants a text beside it.
    fn users_blocks<'a>(&mut self, parts: &[&'a Part]) -> Vec<Block<'a>> {
        let is_result = |part: &&&Part| matches!(part, Part::ToolResult(_));
        let (results, others): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(is_result);
        let mut blocks = self.blocks(&results);
        blocks.extend(self.blocks(&others));
        let has_text = blocks.iter().any(|block| matches!(block, Block::Text(_)));
        let name = blocks.iter().find_map(|block| match block {
            Block::Document { name, .. } => Some(name.clone()),
            _ => None,
        });
        if let Some(name) = name.filter(|_| !has_text) {
            blocks.push(Block::Text(name.into()));
        }
        blocks
    }

    fn part<'a>(&mut self, part: &'a Part, blocks: &mut Vec<Block<'a>>) {
        let (block, cache) = match part {
            Part::Text { text, cache, .. } => (Block::text(text), cache.as_ref()),
            Part::Refusal(text) => (Block::text(text), None),
            Part::Image(image) => (Block::image(&image.source), image.cache.as_ref()),
            Part::Document(document) => (self.document(document), document.cache.as_ref()),
            Part::Audio { data, format } => (Some(Block::audio(data, format)), None),
            Part::Thought(thought) => (self.thought(thought), None),
            Part::ToolCall(call) => (Some(Block::call(call)), call.cache.as_ref()),
            Part::ToolResult(result) => (Some(self.result(result)), result.cache.as_ref()),
        };
        let Some(block) = block else { return };
        blocks.push(block);
        let cache = cache.filter(|_| self.family.caches());
        blocks.extend(cache.map(Block::cache_point));
    }

    fn document<'a>(&mut self, document: &'a Document) -> Option<Block<'a>> {
        if let Source::Text(text) = &document.source {
            return Block::text(text);
        }
        Some(Block::Document {
            format: document_format(document)?,
            source: Place::of(&document.source)?,
            name: self.name(document.name.as_deref().unwrap_or_default()),
        })
    }

    /// Letters, digits, single blanks, `-`, `(`, `)`, `[` and `]`, and no name twice.
    fn name(&mut self, name: &str) -> String {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-()[]".contains(letter);
        let words = name.split(|letter| !fits(letter));
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let plain: String = match words.is_empty() {
            true => "document".to_owned(),
            false => words.join(" ").chars().take(NAME_MAX).collect(),
        };
        let mut own = plain.clone();
        let mut count = 1;
        while self.names.contains(&own) {
            count += 1;
            own = format!("{plain} {count}");
        }
        self.names.push(own.clone());
        own
    }

    /// Claude's own go back as they came; others' stay out.
    fn thought<'a>(&self, thought: &'a Thought) -> Option<Block<'a>> {
        if thought.format.as_deref() != Some(FORMAT) || !self.family.takes_thoughts() {
            return None;
        }
        let reasoning = match (thought.kind, thought.signature.as_deref()) {
            (ThoughtKind::Encrypted, _) => {
                Reasoning::RedactedContent(base64::encode(&thought.text))
            }
            (ThoughtKind::Text | ThoughtKind::Summary, Some(signature)) => {
                Reasoning::ReasoningText {
                    text: &thought.text,
                    signature,
                }
            }
            (ThoughtKind::Text | ThoughtKind::Summary, None) => return None,
        };
        Some(Block::ReasoningContent(reasoning))
    }

    fn result<'a>(&mut self, result: &'a ToolResult) -> Block<'a> {
        let parts: Vec<_> = result.parts.iter().collect();
        Block::ToolResult {
            tool_use_id: tool_use_id(&result.id),
            content: self.blocks(&parts),
            // Only some families take it, so that success is not said.
            status: result.failed.then_some("error"),
        }
    }
}

// === impl Block ===

impl<'a> Block<'a> {
    pub(super) fn cache_point(cache: &'a Cache) -> Self {
        let ttl = cache.ttl.as_deref();
        Block::CachePoint {
            r#type: "default",
            ttl: ttl.filter(|ttl| matches!(*ttl, "5m" | "1h")),
        }
    }

    fn text(text: &'a str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Block::Text(text.into()))
    }

    fn image(source: &'a Source) -> Option<Self> {
        Some(Block::Image {
            format: image_format(source)?,
            source: Place::of(source)?,
        })
    }

    fn audio(data: &'a str, format: &'a str) -> Self {
        Block::Audio {
            format,
            source: Place::Bytes(data),
        }
    }

    fn call(call: &'a ToolCall) -> Self {
        Block::ToolUse {
            tool_use_id: tool_use_id(&call.id),
            name: &call.name,
            input: CallInput::of(&call.arguments),
        }
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    fn of(source: &'a Source) -> Option<Self> {
        match source {
            Source::Base64 { data, .. } => Some(Place::Bytes(data)),
            Source::Url(uri) | Source::File(uri) => Some(Place::S3Location { uri }),
            Source::Text(_) => None,
        }
    }
}
