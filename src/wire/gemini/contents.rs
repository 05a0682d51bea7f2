//! Owns a conversation as `contents`: turns of `user` and `model`. Must never send a turn without a part, which is refused.

use std::borrow::Cow;

use serde::Serialize;

use super::FORMAT;
use crate::wire::call_input::CallInput;
use crate::wire::hub::{Part, Request, Role, Source, Thought, ThoughtKind, ToolCall, ToolResult};

/// Stands for a signature that there is not, because another model made the call: newer generations refuse a step whose
/// first call has none (<https://ai.google.dev/gemini-api/docs/thought-signatures>, its questions, 2026-11-22).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// One turn.
#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<Piece<'a>>,
}

/// One of the fields beside the thought's two.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: Cow<'a, str>,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    id: &'a str,
    name: &'a str,
    args: CallInput<'a>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    id: &'a str,
    name: &'a str,
    response: Said<'a>,
    /// Images and documents, which newer generations take here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Piece<'a>>,
}

/// The two keys that Gemini knows in a response.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Said<'a> {
    Output(Cow<'a, str>),
    Error(Cow<'a, str>),
}

/// The system's instruction and the turns. `levels`: the model is of a generation with levels of thinking.
pub(super) fn of(request: &Request, levels: bool) -> (Option<Content<'_>>, Vec<Content<'_>>) {
    let system = request.system().filter_map(Piece::of_said).collect();
    let turns = request.turns();
    let turns = turns.into_iter().map(|(role, parts)| match role {
        Role::Assistant => Content::of_model(&parts, levels),
        Role::User | Role::System => Content::of_user(request, &parts, levels),
    });
    let mut contents: Vec<_> = turns.filter(|turn| !turn.parts.is_empty()).collect();
    let system = Content {
        role: None,
        parts: system,
    };
    if system.parts.is_empty() {
        return (None, contents);
    }
    if contents.is_empty() {
        // A request without a turn is refused.
        contents.push(Content {
            role: Some("user"),
            ..system
        });
        return (None, contents);
    }
    (Some(system), contents)
}

/// The type that a URL's path ends in, of those that Gemini reads
/// (<https://ai.google.dev/gemini-api/docs/file-input-methods>, 2026-11-22).
fn media_type_of(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "heif" => "image/heif",
        "bmp" => "image/bmp",
        "pdf" => "application/pdf",
        "json" => "application/json",
        "txt" | "md" => "text/plain",
        "html" | "htm" => "text/html",
        "csv" => "text/csv",
        "xml" => "text/xml",
        _ => return None,
    })
}

// === impl Content ===

impl<'a> Content<'a> {
    /// Results of tools stand first: they are counted against the calls before them.
    fn of_user(request: &'a Request, parts: &[&'a Part], levels: bool) -> Self {
        let mut results = Vec::new();
        let mut others = Vec::new();
        for part in parts {
            match part {
                Part::ToolResult(result) => {
                    let media = result.parts.iter().filter_map(Piece::of_media);
                    let (within, beside) = media.partition(|piece| levels && piece.text.is_none());
                    results.push(Piece::of_result(request, result, within));
                    others.extend(beside);
                }
                Part::Text { .. }
                | Part::Image(_)
                | Part::Document(_)
                | Part::Audio { .. }
                | Part::Thought(_)
                | Part::Refusal(_)
                | Part::ToolCall(_) => others.extend(Piece::of_said(part)),
            }
        }
        results.append(&mut others);
        Self {
            role: Some("user"),
            parts: results,
        }
    }

    fn of_model(parts: &[&'a Part], levels: bool) -> Self {
        let mut first_call = true;
        let mut written = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Part::ToolCall(call) => {
                    let signature = call.signature.as_deref().or_else(|| kept_for(call, parts));
                    let missing = (levels && first_call).then_some(NO_SIGNATURE);
                    written.push(Piece::of_call(call, signature.or(missing)));
                    first_call = false;
                }
                Part::Thought(thought) if belongs_to_call(thought, parts) => {}
                Part::Thought(thought) => written.extend(Piece::of_thought(thought)),
                Part::Text { .. }
                | Part::Image(_)
                | Part::Document(_)
                | Part::Audio { .. }
                | Part::Refusal(_)
                | Part::ToolResult(_) => written.extend(Piece::of_said(part)),
            }
        }
        Self {
            role: Some("model"),
            parts: written,
        }
    }
}

/// A call's signature that a client gave back as an encrypted thought of the call's id.
fn kept_for<'a>(call: &ToolCall, parts: &[&'a Part]) -> Option<&'a str> {
    parts.iter().find_map(|part| match part {
        Part::Thought(thought) if is_sealed(thought) && thought.id.as_ref() == Some(&call.id) => {
            Some(thought.text.as_str())
        }
        _ => None,
    })
}

fn belongs_to_call(thought: &Thought, parts: &[&Part]) -> bool {
    let named = |part: &&Part| matches!(part, Part::ToolCall(call) if thought.id.as_ref() == Some(&call.id));
    is_sealed(thought) && parts.iter().any(named)
}

fn is_sealed(thought: &Thought) -> bool {
    thought.kind == ThoughtKind::Encrypted && thought.format.as_deref() == Some(FORMAT)
}

// === impl Piece ===

impl<'a> Piece<'a> {
    fn text(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then(|| Self {
            text: Some(text),
            ..Self::default()
        })
    }

    /// Words and media.
    fn of_said(part: &'a Part) -> Option<Self> {
        match part {
            Part::Text { text, .. } | Part::Refusal(text) => Self::text(text),
            Part::Image(_) | Part::Document(_) | Part::Audio { .. } => Self::of_media(part),
            Part::Thought(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
        }
    }

    fn of_media(part: &'a Part) -> Option<Self> {
        match part {
            Part::Image(image) => Self::of_source(&image.source),
            Part::Document(document) => Self::of_source(&document.source),
            Part::Audio { data, format } => Some(Self {
                inline_data: Some(Blob {
                    mime_type: format!("audio/{format}").into(),
                    data,
                }),
                ..Self::default()
            }),
            Part::Text { .. }
            | Part::Thought(_)
            | Part::Refusal(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_) => None,
        }
    }

    fn of_source(source: &'a Source) -> Option<Self> {
        match source {
            Source::Base64 { media_type, data } => Some(Self {
                inline_data: Some(Blob {
                    mime_type: media_type.into(),
                    data,
                }),
                ..Self::default()
            }),
            Source::Url(uri) | Source::File(uri) => Some(Self {
                file_data: Some(FileData {
                    mime_type: media_type_of(uri),
                    file_uri: uri,
                }),
                ..Self::default()
            }),
            Source::Text(text) => Self::text(text),
        }
    }

    /// Google's own go back as they came; others' stay out.
    fn of_thought(thought: &'a Thought) -> Option<Self> {
        if thought.format.as_deref() != Some(FORMAT) {
            return None;
        }
        Some(match thought.kind {
            ThoughtKind::Encrypted => Self {
                text: Some(""),
                thought_signature: Some(&thought.text),
                ..Self::default()
            },
            ThoughtKind::Text | ThoughtKind::Summary => Self {
                text: Some(&thought.text),
                thought: Some(true),
                thought_signature: thought.signature.as_deref(),
                ..Self::default()
            },
        })
    }

    fn of_call(call: &'a ToolCall, signature: Option<&'a str>) -> Self {
        Self {
            function_call: Some(FunctionCall {
                id: &call.id,
                name: &call.name,
                args: CallInput::of(&call.arguments),
            }),
            thought_signature: signature,
            ..Self::default()
        }
    }

    fn of_result(request: &'a Request, result: &'a ToolResult, parts: Vec<Self>) -> Self {
        let mut texts = result.parts.iter().filter_map(Part::as_text);
        let first = texts.next().unwrap_or_default();
        let text = texts.fold(Cow::Borrowed(first), |all, next| all + "\n" + next);
        Self {
            function_response: Some(FunctionResponse {
                id: &result.id,
                name: request.tool_named(result).unwrap_or(&result.id),
                response: match result.failed {
                    true => Said::Error(text),
                    false => Said::Output(text),
                },
                parts,
            }),
            ..Self::default()
        }
    }
}
