//! Owns the error bodies of the fake provider, in the shape OpenAI gives its own, and what they are
//! to other dialects; the sentences are ours.
//! Must never decide when an error is due.

use serde_json::json;

use crate::cmd::mock::dialects::Trouble;
use crate::cmd::mock::fault::ErrorBody;

/// The four facts of an error body.
struct Facts {
    message: &'static str,
    kind: &'static str,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

/// The JSON of an error; empty for [`ErrorBody::Empty`].
pub(crate) fn body(error: ErrorBody, status: u16) -> String {
    if error == ErrorBody::Empty {
        return String::new();
    }
    let Facts {
        message,
        kind,
        param,
        code,
    } = facts(error, status);
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

/// What an error body tells of, for the dialects beside chat; none for [`ErrorBody::Empty`].
pub(crate) fn trouble(error: ErrorBody, status: u16) -> Option<Trouble> {
    Some(match error {
        ErrorBody::Empty => return None,
        ErrorBody::Auto => Trouble::of_status(status),
        ErrorBody::ContextLength => Trouble::ContextLength,
        ErrorBody::ContentPolicy => Trouble::ContentPolicy,
        ErrorBody::Prefill => Trouble::Prefill,
        ErrorBody::Quota => Trouble::Quota,
        ErrorBody::RateLimit => Trouble::RateLimit,
        ErrorBody::Overloaded => Trouble::Overloaded,
        ErrorBody::Server => Trouble::Server,
        ErrorBody::Timeout => Trouble::Timeout,
    })
}

/// The JSON of an invalid request, with a sentence of its own.
pub(crate) fn invalid(message: &str) -> String {
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}}).to_string()
}

/// The JSON that a wrong key gets; most of the key is masked.
pub(crate) fn wrong_key(key: &str) -> String {
    let shown: String = key.chars().take(4).collect();
    let message = format!(
        "Incorrect API key provided: {shown}********. This mock accepts the keys in its script."
    );
    json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": "invalid_api_key"}})
        .to_string()
}

fn facts(error: ErrorBody, status: u16) -> Facts {
    match error {
        ErrorBody::Auto | ErrorBody::Empty => suggested(status),
        ErrorBody::ContextLength => Facts {
            message: "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 \
                      tokens. Please reduce the length of the messages.",
            kind: "invalid_request_error",
            param: Some("messages"),
            code: Some("context_length_exceeded"),
        },
        ErrorBody::ContentPolicy => Facts {
            message: "Your request was rejected by the safety system of this mock.",
            kind: "invalid_request_error",
            param: None,
            code: Some("content_policy_violation"),
        },
        ErrorBody::Prefill => Facts {
            message: "This model does not support assistant message prefill. The conversation must end with a user \
                      message.",
            kind: "invalid_request_error",
            param: Some("messages"),
            code: None,
        },
        ErrorBody::Quota => Facts {
            message: "You exceeded your current quota, please check your plan and billing details.",
            kind: "insufficient_quota",
            param: None,
            code: Some("insufficient_quota"),
        },
        ErrorBody::RateLimit => Facts {
            message: "Rate limit reached for this model. Please try again later.",
            kind: "requests",
            param: None,
            code: Some("rate_limit_exceeded"),
        },
        ErrorBody::Overloaded => Facts {
            message: "The engine is currently overloaded, please try again later.",
            kind: "server_error",
            param: None,
            code: None,
        },
        ErrorBody::Server => Facts {
            message: "The server had an error while processing your request.",
            kind: "server_error",
            param: None,
            code: None,
        },
        ErrorBody::Timeout => Facts {
            message: "The request took too long.",
            kind: "server_error",
            param: None,
            code: Some("timeout"),
        },
    }
}

/// The error that usually comes with a status.
fn suggested(status: u16) -> Facts {
    let invalid = |message, code| Facts {
        message,
        kind: "invalid_request_error",
        param: None,
        code,
    };
    match status {
        401 => invalid("Incorrect API key provided.", Some("invalid_api_key")),
        402 => facts(ErrorBody::Quota, status),
        404 => invalid(
            "The model does not exist or you do not have access to it.",
            Some("model_not_found"),
        ),
        429 => facts(ErrorBody::RateLimit, status),
        503 | 529 => facts(ErrorBody::Overloaded, status),
        500.. => facts(ErrorBody::Server, status),
        _ => invalid("This mock was told to refuse the request.", None),
    }
}
