//! Owns a request with something in every field, for the tests that no dialect leaves one out in silence.

use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{
    Cache, Citation, Document, Format, Image, Message, Part, Reasoning, Request, Role, Sampling,
    Schema, Source, Thought, ThoughtKind, Tool, ToolCall, ToolChoice, ToolResult,
};

pub(in crate::wire) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).expect("JSON")
}

pub(in crate::wire) fn said(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

pub(in crate::wire) fn png() -> Source {
    Source::Base64 {
        media_type: "image/png".to_owned(),
        data: "iVBORw0K".to_owned(),
    }
}

pub(in crate::wire) fn picture(source: Source) -> Part {
    Part::Image(Image {
        source,
        detail: None,
        cache: None,
    })
}

pub(in crate::wire) fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        ..ToolCall::default()
    })
}

pub(in crate::wire) fn result(id: &str, parts: Vec<Part>) -> Part {
    Part::ToolResult(ToolResult {
        id: id.to_owned(),
        parts,
        ..ToolResult::default()
    })
}

/// A request of one user's words.
pub(in crate::wire) fn asks(text: &str) -> Request {
    Request {
        messages: vec![said(Role::User, vec![Part::text(text)])],
        ..Request::default()
    }
}

/// A request that says everything that the hub can, but several answers and a form of the answer. Texts that must
/// reach the body begin with `keep-`.
pub(in crate::wire) fn everything() -> Request {
    Request {
        messages: conversation(),
        tools: vec![Tool {
            name: "keep-look".to_owned(),
            description: Some("keep-describes".to_owned()),
            parameters: Some(raw(
                r#"{"type":"object","properties":{"keep-place":{"type":"string"}}}"#,
            )),
            strict: Some(true),
            cache: Some(Cache::default()),
        }],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tools: Some(false),
        format: Format::Text,
        sampling: Sampling {
            temperature: Some(0.125),
            top_p: Some(0.25),
            top_k: Some(41),
            min_p: Some(0.375),
            frequency_penalty: Some(0.5),
            presence_penalty: Some(0.625),
            repetition_penalty: Some(1.5),
            seed: Some(4711),
            logit_bias: Some(Map::from_iter([("50256".to_owned(), json!(-100))])),
        },
        stop: vec!["keep-stop".to_owned()],
        max_tokens: Some(8191),
        reasoning: Some(Reasoning {
            effort: None,
            max_tokens: Some(2049),
            hidden: false,
            summary: Some("detailed".to_owned()),
        }),
        stream: true,
        choices: 1,
        user: Some("someone".to_owned()),
        metadata: Some(Map::from_iter([("a".to_owned(), Value::from("b"))])),
        service_tier: Some("priority".to_owned()),
        prompt_cache_key: Some("key".to_owned()),
        verbosity: Some("low".to_owned()),
        logprobs: Some(3),
        unknown: Vec::new(),
    }
}

/// The same with an answer in a form.
pub(in crate::wire) fn schema() -> Format {
    Format::Schema(Schema {
        name: "keep_form".to_owned(),
        description: Some("its use".to_owned()),
        schema: raw(
            r#"{"type":"object","properties":{"keep-field":{"type":"string"}},"required":["keep-field"]}"#,
        ),
        strict: Some(true),
    })
}

fn conversation() -> Vec<Message> {
    let cached = Part::Text {
        text: "keep-system".to_owned(),
        cache: Some(Cache::default()),
        citations: Vec::new(),
    };
    let cited = Part::Text {
        text: "keep-cited".to_owned(),
        cache: None,
        citations: vec![Citation {
            url: "https://example.test/".to_owned(),
            ..Citation::default()
        }],
    };
    let foreign = Part::Thought(Thought {
        kind: ThoughtKind::Text,
        text: "foreign-thought".to_owned(),
        signature: Some("foreign-signature".to_owned()),
        id: None,
        format: Some("nobody-v1".to_owned()),
    });
    vec![
        said(Role::System, vec![cached]),
        said(
            Role::User,
            vec![
                Part::text("keep-question"),
                Part::Image(Image {
                    source: png(),
                    detail: Some("low".to_owned()),
                    cache: None,
                }),
                Part::Document(Document {
                    source: Source::Base64 {
                        media_type: "application/pdf".to_owned(),
                        data: "JVBERi0x".to_owned(),
                    },
                    name: Some("a report.pdf".to_owned()),
                    cache: None,
                }),
            ],
        ),
        said(
            Role::Assistant,
            vec![
                foreign,
                cited,
                call("keep-call", "keep-look", r#"{"keep-place":"keep-here"}"#),
            ],
        ),
        said(
            Role::User,
            vec![
                Part::ToolResult(ToolResult {
                    id: "keep-call".to_owned(),
                    parts: vec![Part::text("keep-result")],
                    failed: true,
                    ..ToolResult::default()
                }),
                Part::text("keep-more"),
            ],
        ),
        said(
            Role::Assistant,
            vec![Part::Refusal("keep-refusal".to_owned())],
        ),
        said(Role::User, vec![Part::text("keep-last")]),
    ]
}

/// What every dialect keeps of [`everything`].
#[rustfmt::skip] // a list of words
const KEPT: [&str; 16] = [
    "keep-system", "keep-question", "iVBORw0K", "keep-cited", "keep-call", "keep-look", "keep-here", "keep-result", "keep-more",
    "keep-refusal", "keep-last", "keep-describes", "keep-place", "keep-stop", "8191", "2049",
];

/// Of [`everything`], `text` holds what every dialect keeps and `more`, and nothing of what is `left`.
pub(in crate::wire) fn check_kept(text: &str, more: &[&str], left: &[&str]) {
    for kept in KEPT.iter().chain(more) {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
    for left in left {
        assert!(!text.contains(left), "{left} is in {text}");
    }
}
