//! Owns the items of an answer as they are written, and where one ends and the next begins.
//! Must never hold a text twice: an item is what the last events repeat.

use std::borrow::Cow;

use serde::Serialize;

use super::custom;
use super::item::OWN_FORMAT;
use super::sealed::{Sealed, UNPROVEN, What};
use crate::wire::hub::{Citation, Part, Source, Thought, ThoughtKind, ToolCall};

/// An item of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OutputItem {
    pub(super) id: String,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Message(Vec<Spoken>),
    Call {
        call_id: String,
        name: String,
        arguments: String,
        /// Its tool is a custom one.
        custom: bool,
    },
    Reasoning {
        summary: Vec<String>,
        encrypted: Option<String>,
        /// OpenAI's, under the id that it gave.
        own: bool,
    },
    /// Base64.
    Image(String),
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Spoken {
    Text {
        text: String,
        citations: Vec<Citation>,
    },
    Refusal(String),
}

/// What became of an item, or of the whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WrittenItem<'a> {
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: Vec<WrittenPart<'a>>,
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    CustomToolCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        input: Cow<'a, str>,
    },
    Reasoning {
        id: &'a str,
        summary: Vec<WrittenPart<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    ImageGenerationCall {
        id: &'a str,
        status: &'static str,
        result: &'a str,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WrittenPart<'a> {
    OutputText {
        text: &'a str,
        annotations: Vec<WrittenAnnotation<'a>>,
        logprobs: [(); 0],
    },
    Refusal {
        refusal: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
}

#[derive(Serialize)]
pub(super) struct WrittenAnnotation<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
    title: &'a str,
    start_index: u64,
    end_index: u64,
}

/// The items of a whole answer. `customs`: the names of the request's custom tools.
pub(super) fn items<'a>(
    parts: impl Iterator<Item = &'a Part>,
    answer: &str,
    customs: &[String],
) -> Vec<OutputItem> {
    let mut items: Vec<OutputItem> = Vec::new();
    for part in parts {
        let at = items.len();
        let last = items.last_mut().map(|item| &mut item.body);
        match (part, last) {
            (Part::Text { .. } | Part::Refusal(_), Some(Body::Message(said))) => {
                said.extend(Spoken::of(part));
            }
            (Part::Text { .. } | Part::Refusal(_), _) => {
                let said = Spoken::of(part).into_iter().collect();
                items.push(OutputItem::own("msg", answer, at, Body::Message(said)));
            }
            (Part::Thought(thought), _) => think(thought, answer, &mut items),
            (Part::ToolCall(call), _) => items.extend(calls(call, answer, at, customs)),
            (Part::Image(image), _) => {
                if let Source::Base64 { data, .. } = &image.source {
                    let body = Body::Image(data.clone());
                    items.push(OutputItem::own("ig", answer, at, body));
                }
            }
            // No dialect's answer has them.
            (Part::Document(_) | Part::Audio { .. } | Part::ToolResult(_), _) => {}
        }
    }
    items
}

/// Words go on in an open item; what proves the origin closes it.
fn think(thought: &Thought, answer: &str, items: &mut Vec<OutputItem>) {
    let at = items.len();
    let open = match items.last() {
        Some(OutputItem {
            body: Body::Reasoning {
                summary, encrypted, ..
            },
            ..
        }) => {
            // A signature is over its own words alone.
            encrypted.is_none() && (thought.signature.is_none() || summary.is_empty())
        }
        _ => false,
    };
    if !open {
        items.push(OutputItem::thinking(thought, answer, at));
    }
    let Some(OutputItem { id, body }) = items.last_mut() else {
        return;
    };
    let Body::Reasoning {
        summary, encrypted, ..
    } = body
    else {
        return;
    };
    if thought.kind != ThoughtKind::Encrypted {
        summary.push(thought.text.clone());
    }
    *encrypted = seal(thought, id);
}

/// The id that OpenAI gave a thought of its own: it must come back with what it encrypted.
fn own_id<'a>(format: Option<&str>, id: Option<&'a str>) -> Option<&'a str> {
    id.filter(|_| format == Some(OWN_FORMAT))
}

/// What proves where a thought is from, as the content of an item of that id.
pub(super) fn seal(thought: &Thought, item: &str) -> Option<String> {
    let id = thought.id.as_deref();
    let format = thought.format.as_deref();
    let (what, payload) = match (thought.kind, &thought.signature) {
        (ThoughtKind::Encrypted, _) => (What::Data, &thought.text),
        (_, Some(signature)) => (What::Signature, signature),
        (_, None) => return None,
    };
    // OpenAI's own needs no seal, where it can stand under its own id.
    if what == What::Data && format == Some(OWN_FORMAT) && id.is_none_or(|id| id == item) {
        return Some(payload.clone());
    }
    let sealed = Sealed {
        what,
        format,
        id: id.unwrap_or_default(),
        payload,
    };
    Some(sealed.seal())
}

/// The items of a call: before it what carries its signature, where it has one.
fn calls(call: &ToolCall, answer: &str, at: usize, customs: &[String]) -> Vec<OutputItem> {
    let signature = call.signature.as_deref();
    let signed = signature.map(|signature| signature_item(&call.id, signature, answer, at));
    let at = at + usize::from(signed.is_some());
    let mut item = OutputItem::calling((&call.id, &call.name), answer, at, customs);
    if let Body::Call { arguments, .. } = &mut item.body {
        arguments.clone_from(&call.arguments);
    }
    signed.into_iter().chain([item]).collect()
}

/// The item that carries a call's signature.
pub(super) fn signature_item(call: &str, signature: &str, answer: &str, at: usize) -> OutputItem {
    let sealed = Sealed {
        what: What::Call,
        format: None,
        id: call,
        payload: signature,
    };
    let body = Body::Reasoning {
        summary: Vec::new(),
        encrypted: Some(sealed.seal()),
        own: false,
    };
    OutputItem::own("rs", answer, at, body)
}

// === impl OutputItem ===

impl OutputItem {
    /// An item with an id of ours: of the answer's, and its place.
    pub(super) fn own(prefix: &str, answer: &str, at: usize, body: Body) -> Self {
        let answer = answer.strip_prefix("resp_").unwrap_or(answer);
        Self {
            id: format!("{prefix}_{answer}_{at}"),
            body,
        }
    }

    /// A call without its arguments yet.
    pub(super) fn calling(
        (call_id, name): (&str, &str),
        answer: &str,
        at: usize,
        customs: &[String],
    ) -> Self {
        let custom = customs.iter().any(|custom| custom == name);
        let body = Body::Call {
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
            custom,
        };
        Self::own(if custom { "ctc" } else { "fc" }, answer, at, body)
    }

    /// The item that a thought opens.
    pub(super) fn thinking(thought: &Thought, answer: &str, at: usize) -> Self {
        let id = own_id(thought.format.as_deref(), thought.id.as_deref());
        let body = Body::Reasoning {
            summary: Vec::new(),
            encrypted: None,
            own: id.is_some(),
        };
        let item = Self::own("rs", answer, at, body);
        match id {
            Some(id) => Self {
                id: id.to_owned(),
                ..item
            },
            None => item,
        }
    }

    pub(super) fn written(&self, status: Status) -> WrittenItem<'_> {
        let (id, status) = (self.id.as_str(), status.as_str());
        match &self.body {
            Body::Message(said) => WrittenItem::Message {
                id,
                status,
                role: "assistant",
                content: said.iter().map(Spoken::written).collect(),
            },
            Body::Call {
                call_id,
                name,
                arguments,
                custom: true,
            } => WrittenItem::CustomToolCall {
                id,
                status,
                call_id,
                name,
                input: custom::input(arguments),
            },
            Body::Call {
                call_id,
                name,
                arguments,
                custom: false,
            } => WrittenItem::FunctionCall {
                id,
                status,
                call_id,
                name,
                arguments,
            },
            Body::Reasoning {
                summary,
                encrypted,
                own,
            } => {
                let said = status != Status::InProgress.as_str() && !summary.is_empty();
                WrittenItem::Reasoning {
                    id,
                    summary: summary
                        .iter()
                        .map(|text| WrittenPart::SummaryText { text })
                        .collect(),
                    // OpenAI looks an item without encrypted content up by its id, and knows none of ours.
                    encrypted_content: encrypted.as_deref().or((said && !own).then_some(UNPROVEN)),
                }
            }
            Body::Image(result) => WrittenItem::ImageGenerationCall { id, status, result },
        }
    }
}

// === impl Spoken ===

impl Spoken {
    fn of(part: &Part) -> Option<Self> {
        match part {
            Part::Text {
                text, citations, ..
            } => Some(Spoken::Text {
                text: text.clone(),
                citations: citations.clone(),
            }),
            Part::Refusal(text) => Some(Spoken::Refusal(text.clone())),
            Part::Image(_)
            | Part::Document(_)
            | Part::Audio { .. }
            | Part::Thought(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_) => None,
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Spoken::Text { text, .. } | Spoken::Refusal(text) => text,
        }
    }

    pub(super) fn written(&self) -> WrittenPart<'_> {
        match self {
            Spoken::Text { text, citations } => WrittenPart::OutputText {
                text,
                annotations: citations.iter().map(WrittenAnnotation::of).collect(),
                logprobs: [],
            },
            Spoken::Refusal(refusal) => WrittenPart::Refusal { refusal },
        }
    }
}

// === impl WrittenAnnotation ===

impl<'a> WrittenAnnotation<'a> {
    pub(super) fn of(citation: &'a Citation) -> Self {
        let (start_index, end_index) = citation.span.unwrap_or_default();
        Self {
            kind: "url_citation",
            url: &citation.url,
            title: citation.title.as_deref().unwrap_or_default(),
            start_index,
            end_index,
        }
    }
}

// === impl Status ===

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Status::InProgress => "in_progress",
            Status::Completed => "completed",
            Status::Incomplete => "incomplete",
            Status::Failed => "failed",
        }
    }
}
