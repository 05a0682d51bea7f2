//! Owns the errors of this API, in its words.
//! Must never decide when one is due.

use serde_json::{Value, json};

use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::trouble::Trouble;

/// The body of an error; `prompt` is the name of the parameter that holds the conversation.
pub(crate) fn error(trouble: &Trouble, prompt: &str) -> Value {
    json!({"error": facts(trouble, prompt)})
}

/// The error inside.
pub(crate) fn facts(trouble: &Trouble, prompt: &str) -> Value {
    let invalid = "invalid_request_error";
    let (kind, param, code) = match trouble {
        Trouble::Refused(refused) => return refusal(refused),
        Trouble::NoKey => (invalid, None, None),
        Trouble::WrongKey => (invalid, None, Some("invalid_api_key")),
        Trouble::NotFound => (invalid, Some("model"), Some("model_not_found")),
        Trouble::ContextLength => (invalid, Some(prompt), Some("context_length_exceeded")),
        Trouble::ContentPolicy => (invalid, None, Some("content_policy_violation")),
        Trouble::Prefill => (invalid, Some(prompt), None),
        Trouble::Quota => ("insufficient_quota", None, Some("insufficient_quota")),
        Trouble::RateLimit => ("requests", None, Some("rate_limit_exceeded")),
        Trouble::Server => ("server_error", None, Some("server_error")),
        Trouble::Overloaded => ("server_error", None, Some("server_is_overloaded")),
        Trouble::Timeout => ("server_error", None, Some("timeout")),
        Trouble::Invalid | Trouble::TooLarge | Trouble::Forbidden => (invalid, None, None),
    };
    json!({"message": trouble.sentence(), "type": kind, "param": param, "code": code})
}

fn refusal(refused: &Refused) -> Value {
    let path = refused.bracketed();
    let (message, code) = match (&refused.unknown, &refused.missing) {
        (Some(_), _) => (
            format!("Unknown parameter: '{path}'."),
            Some("unknown_parameter"),
        ),
        (None, Some(_)) => (
            format!("Missing required parameter: '{path}'."),
            Some("missing_required_parameter"),
        ),
        (None, None) if refused.message.starts_with("invalid type") => (
            format!("Invalid type for '{path}': {}.", refused.message),
            Some("invalid_type"),
        ),
        (None, None) => (
            refused.message.clone(),
            super::rules::code(&refused.message),
        ),
    };
    let param = Some(path).filter(|path| !path.is_empty());
    json!({"message": message, "type": "invalid_request_error", "param": param, "code": code})
}
