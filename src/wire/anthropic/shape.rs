//! Owns the blocks that requests and answers are written in. Must never hold a block of the provider's own tools: the
//! hub has none.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::wire::hub::{Cache, ToolCall};

/// The tool that stands for a schema where a model takes none: its input is the answer's text. The readers know it by its
/// name alone.
pub(super) const ANSWER_TOOL: &str = "mainstay_answer";
/// The one field of a tool's input whose own text is not a JSON object: a model's call may be broken, and the dialect
/// takes objects only.
pub(super) const BROKEN_INPUT: &str = "unreadable_arguments";

/// A block of content.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        citations: Vec<Citation<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    Thinking {
        thinking: &'a str,
        signature: Cow<'a, str>,
    },
    RedactedThinking {
        data: Cow<'a, str>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Block<'a>>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl<'a>>,
    },
}

/// Where an image or a document is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
    File { file_id: &'a str },
    Text { media_type: &'a str, data: &'a str },
}

/// Where a text has it from.
#[derive(Debug, Serialize)]
pub(super) struct Citation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
    title: Option<&'a str>,
    cited_text: &'static str,
    encrypted_index: &'static str,
}

/// A mark of what to cache.
#[derive(Debug, Serialize)]
pub(super) struct CacheControl<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

// === impl Block ===

impl<'a> Block<'a> {
    pub(super) fn tool_use(call: &'a ToolCall) -> Self {
        Block::ToolUse {
            id: tool_id(&call.id),
            name: &call.name,
            input: input(&call.arguments),
            cache_control: CacheControl::of(call.cache.as_ref()),
        }
    }
}

// === impl Citation ===

impl<'a> Citation<'a> {
    /// A page of the web; its index is marked as ours, for Anthropic refuses one that it did not write.
    pub(super) fn of(citation: &'a crate::wire::hub::Citation) -> Self {
        Self {
            kind: "web_search_result_location",
            url: &citation.url,
            title: citation.title.as_deref(),
            cited_text: "",
            encrypted_index: super::origin::MARK,
        }
    }
}

// === impl CacheControl ===

impl<'a> CacheControl<'a> {
    pub(super) fn of(cache: Option<&'a Cache>) -> Option<Self> {
        Some(Self {
            kind: "ephemeral",
            ttl: cache?.ttl.as_deref(),
        })
    }
}

/// A tool call's id as the dialect takes it (`^[a-zA-Z0-9_-]+$`); others write dots and colons.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !id.is_empty() && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    let mut out = "call_".to_owned();
    for byte in id.bytes() {
        match fits(byte) {
            true => out.push(char::from(byte)),
            false => write!(out, "_{byte:02x}").expect("a string takes text"),
        }
    }
    Cow::Owned(out)
}

/// Arguments as a tool's input.
fn input(arguments: &str) -> Cow<'_, RawValue> {
    let arguments = arguments.trim();
    if arguments.starts_with('{')
        && let Ok(object) = serde_json::from_str::<&RawValue>(arguments)
    {
        return Cow::Borrowed(object);
    }
    let object = match arguments {
        "" | "null" => "{}".to_owned(),
        broken => serde_json::json!({ (BROKEN_INPUT): broken }).to_string(),
    };
    Cow::Owned(RawValue::from_string(object).expect("an object that was just written is JSON"))
}

/// A tool's input before any of it came.
pub(super) fn no_input() -> Cow<'static, RawValue> {
    Cow::Borrowed(serde_json::from_str("{}").expect("a constant that is JSON"))
}
