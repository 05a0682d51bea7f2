//! Owns the errors of this API, in its words.
//! Must never decide when one is due.

use serde_json::{Value, json};

use crate::cmd::mock::dialects::trouble::Trouble;

/// The body of an error.
pub(crate) fn error(trouble: &Trouble, request: &str) -> Value {
    json!({"type": "error", "error": facts(trouble), "request_id": request})
}

/// The error inside, as streams tell it too.
pub(crate) fn facts(trouble: &Trouble) -> Value {
    let kind = match trouble {
        Trouble::NoKey | Trouble::WrongKey => "authentication_error",
        Trouble::Quota => "billing_error",
        Trouble::Forbidden => "permission_error",
        Trouble::NotFound => "not_found_error",
        Trouble::TooLarge => "request_too_large",
        Trouble::RateLimit => "rate_limit_error",
        Trouble::Timeout => "timeout_error",
        Trouble::Server => "api_error",
        Trouble::Overloaded => "overloaded_error",
        Trouble::Refused(_)
        | Trouble::Invalid
        | Trouble::ContextLength
        | Trouble::ContentPolicy
        | Trouble::Prefill => "invalid_request_error",
    };
    json!({"type": kind, "message": sentence(trouble)})
}

fn sentence(trouble: &Trouble) -> String {
    match trouble {
        Trouble::WrongKey => "invalid x-api-key".to_owned(),
        Trouble::NoKey => "x-api-key header is required".to_owned(),
        Trouble::Overloaded => "Overloaded".to_owned(),
        Trouble::ContextLength => "prompt is too long: 9000 tokens > 8192 maximum".to_owned(),
        Trouble::ContentPolicy => "Output blocked by content filtering policy".to_owned(),
        Trouble::Refused(refused) => {
            let said = match (&refused.unknown, &refused.missing) {
                (Some(_), _) => "Extra inputs are not permitted",
                (None, Some(_)) => "Field required",
                (None, None) => refused.message.as_str(),
            };
            match refused.dotted().as_str() {
                "" => said.to_owned(),
                path => format!("{path}: {said}"),
            }
        }
        other => other.sentence(),
    }
}
