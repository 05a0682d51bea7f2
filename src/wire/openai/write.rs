//! Owns the writing of our own errors: as a body, and as the end of a broken stream.
//! Must never write a clean end after an error, but for the marker that one skin's clients wait for.

use bytes::Bytes;
use serde::Serialize;

use super::stream::StreamHead;
use crate::wire::client_error::{ClientError, Skin};
use crate::wire::client_request::operation::Operation;

#[derive(Serialize)]
#[serde(untagged)]
enum ErrorBody<'a> {
    OpenAi {
        message: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
        param: Option<&'a str>,
        code: Option<&'a str>,
    },
    OpenRouter {
        code: u16,
        message: &'a str,
        metadata: Metadata<'a>,
        #[serde(rename = "type")]
        kind: &'a str,
        param: Option<&'a str>,
    },
}

#[derive(Serialize)]
struct Metadata<'a> {
    error_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_code: Option<&'a str>,
}

#[derive(Serialize)]
struct ErrorAnswer<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorChunk<'a> {
    id: &'a str,
    object: &'a str,
    created: u64,
    model: &'a str,
    choices: [ErrorChoice; 1],
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ErrorChoice {
    Chat {
        index: u32,
        delta: ErrorDelta,
        finish_reason: &'static str,
    },
    Text {
        index: u32,
        text: &'static str,
        logprobs: Option<()>,
        finish_reason: &'static str,
    },
}

#[derive(Serialize)]
struct ErrorDelta {
    content: &'static str,
}

/// An error as the body of an answer; the status and `retry-after` are the caller's to set.
pub fn body(error: &ClientError, skin: Skin) -> Bytes {
    json(&ErrorAnswer {
        error: ErrorBody::of(error, skin),
    })
    .into()
}

/// The end of a stream that broke: a full chunk, so that strict clients parse it, with the error beside
/// its choice. After it comes the end marker for OpenRouter's clients; OpenAI's must not take the answer
/// for whole.
pub fn stream_error(
    error: &ClientError,
    skin: Skin,
    operation: Operation,
    head: &StreamHead,
) -> Bytes {
    let chunk = ErrorChunk {
        id: &head.id,
        object: operation.chunk_object(),
        created: head.created,
        model: &head.model,
        choices: [ErrorChoice::of(operation)],
        error: ErrorBody::of(error, skin),
    };
    let end = match skin {
        Skin::OpenAi | Skin::Anthropic => "",
        Skin::OpenRouter => "data: [DONE]\n\n",
    };
    let event = [&b"data: "[..], &json(&chunk), b"\n\n", end.as_bytes()].concat();
    event.into()
}

// === impl ErrorChoice ===

impl ErrorChoice {
    fn of(operation: Operation) -> Self {
        let (index, finish_reason) = (0, "error");
        match operation {
            Operation::Chat => ErrorChoice::Chat {
                index,
                delta: ErrorDelta { content: "" },
                finish_reason,
            },
            Operation::Completions | Operation::Embeddings => ErrorChoice::Text {
                index,
                text: "",
                logprobs: None,
                finish_reason,
            },
        }
    }
}

// === impl ErrorBody ===

impl<'a> ErrorBody<'a> {
    fn of(error: &'a ClientError, skin: Skin) -> Self {
        match skin {
            Skin::OpenAi | Skin::Anthropic => ErrorBody::OpenAi {
                message: &error.message,
                kind: &error.kind,
                param: error.param.as_deref(),
                code: error.code.as_deref(),
            },
            Skin::OpenRouter => ErrorBody::OpenRouter {
                code: error.status,
                message: &error.message,
                metadata: Metadata {
                    error_type: error.error_type,
                    provider_code: error.code.as_deref(),
                },
                kind: &error.kind,
                param: error.param.as_deref(),
            },
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("structs of strings and numbers always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> ClientError {
        ClientError::unknown_model("x\"\n", &[])
    }

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_body_has_its_skins_fields() {
        assert_eq!(
            text(&body(&error(), Skin::OpenAi)),
            r#"{"error":{"message":"the model 'x\"\n' does not exist","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        assert_eq!(
            text(&body(&error(), Skin::OpenRouter)),
            r#"{"error":{"code":404,"message":"the model 'x\"\n' does not exist","metadata":{"error_type":"not_found","provider_code":"model_not_found"},"type":"invalid_request_error","param":"model"}}"#
        );
    }

    #[test]
    fn a_broken_stream_ends_with_an_error_chunk() {
        let error = ClientError::new(502, "provider_unavailable", "broke");
        let head = StreamHead {
            id: "chatcmpl-1".to_owned(),
            model: "a/m".to_owned(),
            created: 7,
        };
        let chunk = concat!(
            r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"a/m","#,
            r#""choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":"#,
        );
        let open_ai = stream_error(&error, Skin::OpenAi, Operation::Chat, &head);
        let said = r#"{"message":"broke","type":"server_error","param":null,"code":null}}"#;
        assert_eq!(text(&open_ai), format!("{chunk}{said}\n\n"));
        let open_router = stream_error(&error, Skin::OpenRouter, Operation::Chat, &head);
        let said = r#"{"code":502,"message":"broke","metadata":{"error_type":"provider_unavailable"},"type":"server_error","param":null}}"#;
        assert_eq!(
            text(&open_router),
            format!("{chunk}{said}\n\ndata: [DONE]\n\n")
        );
    }
    #[test]
    fn a_broken_stream_of_text_ends_with_a_chunk_of_text() {
        let error = ClientError::new(502, "provider_unavailable", "broke");
        let head = StreamHead {
            id: "cmpl-1".to_owned(),
            model: "a/m".to_owned(),
            created: 7,
        };
        let end = stream_error(&error, Skin::OpenAi, Operation::Completions, &head);
        let expected = concat!(
            r#"data: {"id":"cmpl-1","object":"text_completion","created":7,"model":"a/m","#,
            r#""choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"error"}],"#,
            r#""error":{"message":"broke","type":"server_error","param":null,"code":null}}"#,
            "\n\n",
        );
        assert_eq!(text(&end), expected);
    }
}
