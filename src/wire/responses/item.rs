//! Owns items as they are read: a request's input, an answer's output.
//! Must never drop an item that holds content of the conversation; what a provider's own tools left behind is named.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::custom;
use super::sealed::{Sealed, What};
use crate::wire::hub::{
    Citation, Document, Image, Part, Source, Thought, ThoughtKind, ToolCall, ToolResult,
};
use crate::wire::json::Word;
use crate::wire::openai::hub::fields::Content;

/// Who made the thoughts of this dialect, where an item does not say.
pub(super) const OWN_FORMAT: &str = "openai-responses-v1";

/// What a provider's own tools leave in a conversation: without the tool nobody can go on with it.
const HOSTED: [&str; 10] = [
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
    "mcp_approval_response",
    "tool_search_call",
    "tool_search_output",
];

/// An item, of whatever type.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    #[serde(borrow)]
    pub(super) role: Option<Word<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Content<ItemPart<'a>>,
    pub(super) id: Option<String>,
    call_id: Option<String>,
    name: Option<String>,
    /// A text, but where a tool of the provider's own is called.
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    /// Of a custom tool's call.
    input: Option<String>,
    #[serde(borrow, default)]
    output: Content<ItemPart<'a>>,
    #[serde(borrow)]
    summary: Option<Vec<ItemPart<'a>>>,
    pub(super) encrypted_content: Option<String>,
    /// OpenRouter's word for who made it.
    pub(super) format: Option<String>,
}

/// A part of an item, of whatever type.
#[derive(Debug, Deserialize)]
pub(super) struct ItemPart<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    text: Option<String>,
    refusal: Option<String>,
    #[serde(borrow)]
    annotations: Option<Vec<Annotation<'a>>>,
    image_url: Option<String>,
    detail: Option<String>,
    file_id: Option<String>,
    file_data: Option<String>,
    file_url: Option<String>,
    filename: Option<String>,
    input_audio: Option<Sound>,
}

#[derive(Debug, Deserialize)]
struct Sound {
    data: String,
    format: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Annotation<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Word<'a>>,
    url: Option<String>,
    title: Option<String>,
    start_index: Option<u64>,
    end_index: Option<u64>,
}

/// What an item of the model's, or a tool's result, says.
#[derive(Debug)]
pub(super) enum Said {
    Parts(Vec<Part>),
    /// The signature of a call that comes later.
    Signature(Signature),
    /// A provider's own tool did it.
    Hosted(String),
}

#[derive(Debug)]
pub(super) struct Signature {
    call: String,
    payload: String,
}

/// What of an item cannot be read, in words that stand behind its place.
pub(super) type Trouble = String;

// === impl Item ===

impl Item<'_> {
    /// Its type; messages may leave it out.
    pub(super) fn kind(&self) -> &str {
        match (&self.kind, &self.role) {
            (Some(kind), _) => kind,
            (None, Some(_)) => "message",
            (None, None) => "",
        }
    }

    /// A call's arguments.
    pub(super) fn arguments(self) -> Option<String> {
        self.arguments.map(arguments)
    }

    /// A summary that only its provider can read, which an answer may hold beside what was said.
    pub(super) fn is_compaction(&self) -> bool {
        self.kind() == "compaction"
    }

    /// Reads an item of the model's, or a tool's result.
    pub(super) fn say(self, signatures: &mut Vec<Signature>) -> Result<Said, Trouble> {
        let lacks = |field: &str| format!("it lacks '{field}'");
        let part = |part| Ok(Said::Parts(vec![part]));
        match self.kind() {
            "message" => Ok(Said::Parts(content_parts(self.content, "content")?)),
            "function_call" => {
                let id = self.call_id.ok_or_else(|| lacks("call_id"))?;
                let signature = signatures.iter().position(|found| found.call == id);
                part(Part::ToolCall(ToolCall {
                    name: self.name.ok_or_else(|| lacks("name"))?,
                    arguments: self.arguments.map(arguments).unwrap_or_default(),
                    cache: None,
                    signature: signature.map(|at| signatures.swap_remove(at).payload),
                    id,
                }))
            }
            "custom_tool_call" => part(Part::ToolCall(ToolCall {
                id: self.call_id.ok_or_else(|| lacks("call_id"))?,
                name: self.name.ok_or_else(|| lacks("name"))?,
                arguments: custom::arguments(&self.input.unwrap_or_default()),
                ..ToolCall::default()
            })),
            "function_call_output" | "custom_tool_call_output" => {
                part(Part::ToolResult(ToolResult {
                    id: self.call_id.ok_or_else(|| lacks("call_id"))?,
                    name: None,
                    parts: content_parts(self.output, "output")?,
                    failed: false,
                    cache: None,
                }))
            }
            "reasoning" => Ok(self.think()),
            kind if HOSTED.contains(&kind) => Ok(Said::Hosted(kind.to_owned())),
            "" => Err(lacks("type")),
            other => Err(format!(
                "it is of the type '{other}', which cannot be translated"
            )),
        }
    }

    fn think(self) -> Said {
        let list = |parts: Option<Vec<ItemPart<'_>>>| -> Vec<String> {
            let parts = parts.into_iter().flatten();
            parts.filter_map(|part| part.text).collect()
        };
        let content = match self.content {
            Content::List(parts) => list(Some(parts)),
            Content::Text(text) => vec![text],
            Content::None => Vec::new(),
        };
        let thoughts = Reasoning {
            id: self.id,
            format: self.format,
            summary: list(self.summary),
            content,
        };
        thoughts.sealed(self.encrypted_content.as_deref())
    }
}

/// A reasoning item without what seals it.
struct Reasoning {
    id: Option<String>,
    format: Option<String>,
    summary: Vec<String>,
    content: Vec<String>,
}

// === impl Reasoning ===

impl Reasoning {
    fn sealed(self, encrypted: Option<&str>) -> Said {
        let encrypted = encrypted.filter(|content| !content.is_empty());
        let Some(content) = encrypted else {
            return Said::Parts(self.in_words().collect());
        };
        let Some(sealed) = Sealed::open(content) else {
            let format = self.format.clone().or_else(|| Some(OWN_FORMAT.to_owned()));
            return self.with_data(content, format);
        };
        let own = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        match sealed.what {
            What::Signature => Said::Parts(vec![Part::Thought(Thought {
                kind: ThoughtKind::Text,
                text: self.summary.concat(),
                signature: own(sealed.payload),
                id: own(sealed.id),
                format: sealed.format.map(str::to_owned),
            })]),
            What::Data => Self {
                id: own(sealed.id),
                ..self
            }
            .with_data(sealed.payload, sealed.format.map(str::to_owned)),
            What::Words => Said::Parts(self.in_words().collect()),
            What::Call => Said::Signature(Signature {
                call: sealed.id.to_owned(),
                payload: sealed.payload.to_owned(),
            }),
        }
    }

    fn with_data(self, data: &str, format: Option<String>) -> Said {
        let encrypted = Thought {
            kind: ThoughtKind::Encrypted,
            text: data.to_owned(),
            signature: None,
            id: self.id.clone(),
            format: format.clone(),
        };
        let words = Self { format, ..self }.in_words();
        Said::Parts(words.chain([Part::Thought(encrypted)]).collect())
    }

    fn in_words(self) -> impl Iterator<Item = Part> {
        let Self { id, format, .. } = self;
        let summary = self.summary.into_iter();
        let summary = summary.map(|text| (ThoughtKind::Summary, text));
        let content = self.content.into_iter();
        let content = content.map(|text| (ThoughtKind::Text, text));
        let filled = summary.chain(content).filter(|(_, text)| !text.is_empty());
        filled.map(move |(kind, text)| {
            Part::Thought(Thought {
                kind,
                text,
                signature: None,
                id: id.clone(),
                format: format.clone(),
            })
        })
    }
}

/// Arguments as the text of their JSON; they are one, or hold one.
fn arguments(said: &RawValue) -> String {
    serde_json::from_str(said.get()).unwrap_or_else(|_| said.get().to_owned())
}

pub(super) fn content_parts(
    content: Content<ItemPart<'_>>,
    place: &str,
) -> Result<Vec<Part>, Trouble> {
    match content {
        Content::None => Ok(Vec::new()),
        Content::Text(text) => Ok(vec![Part::text(text)]),
        Content::List(parts) => parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| part.into_part(&format!("{place}[{at}]")))
            .collect(),
    }
}

// === impl ItemPart ===

impl ItemPart<'_> {
    fn into_part(self, place: &str) -> Result<Part, Trouble> {
        let lacks = |field: &str| format!("{place} lacks '{field}'");
        let kind = self.kind.as_deref().ok_or_else(|| lacks("type"))?;
        match kind {
            "input_text" | "output_text" | "text" => Ok(Part::Text {
                text: self.text.ok_or_else(|| lacks("text"))?,
                cache: None,
                citations: citations(self.annotations),
            }),
            "refusal" => Ok(Part::Refusal(self.refusal.ok_or_else(|| lacks("refusal"))?)),
            "input_image" => {
                let url = self.image_url.as_deref().map(Source::of_url);
                let source = url.or(self.file_id.map(Source::File));
                Ok(Part::Image(Image {
                    source: source.ok_or_else(|| lacks("image_url"))?,
                    detail: self.detail,
                    cache: None,
                }))
            }
            "input_file" => {
                let data = self.file_data.or(self.file_url);
                let url = data.as_deref().map(Source::of_url);
                let source = url.or(self.file_id.map(Source::File));
                Ok(Part::Document(Document {
                    source: source.ok_or_else(|| lacks("file_data"))?,
                    name: self.filename,
                    cache: None,
                }))
            }
            "input_audio" => {
                let sound = self.input_audio.ok_or_else(|| lacks("input_audio"))?;
                Ok(Part::Audio {
                    data: sound.data,
                    format: sound.format,
                })
            }
            other => Err(format!(
                "{place} is of the type '{other}', which cannot be translated"
            )),
        }
    }
}

fn citations(annotations: Option<Vec<Annotation<'_>>>) -> Vec<Citation> {
    let annotations = annotations.into_iter().flatten();
    annotations.filter_map(Annotation::into_citation).collect()
}

// === impl Annotation ===

impl Annotation<'_> {
    /// `None`: it is of another type, such as a file of the provider's.
    pub(super) fn into_citation(self) -> Option<Citation> {
        if self.kind.as_deref() != Some("url_citation") {
            return None;
        }
        let span = self.start_index.zip(self.end_index);
        Some(Citation {
            url: self.url?,
            title: self.title,
            span: span.filter(|(from, to)| from < to),
        })
    }
}
