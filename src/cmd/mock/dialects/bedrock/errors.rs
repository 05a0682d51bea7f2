//! Owns the errors of this API, in its words.
//! Must never decide when one is due.

use serde_json::{Value, json};

use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::trouble::Trouble;

/// The name of the exception that an error is.
pub(crate) fn exception(trouble: &Trouble) -> &'static str {
    match trouble {
        Trouble::WrongKey | Trouble::NoKey => "UnrecognizedClientException",
        Trouble::Forbidden => "AccessDeniedException",
        Trouble::NotFound => "ResourceNotFoundException",
        Trouble::Quota => "ServiceQuotaExceededException",
        Trouble::RateLimit => "ThrottlingException",
        Trouble::Timeout => "ModelTimeoutException",
        Trouble::Server => "InternalServerException",
        Trouble::Overloaded => "ServiceUnavailableException",
        Trouble::Refused(_)
        | Trouble::Invalid
        | Trouble::TooLarge
        | Trouble::ContextLength
        | Trouble::ContentPolicy
        | Trouble::Prefill => "ValidationException",
    }
}

/// The body of an error.
pub(crate) fn error(trouble: &Trouble) -> Value {
    let message = match trouble {
        Trouble::WrongKey => "The security token included in the request is invalid.".to_owned(),
        Trouble::NoKey => "Missing Authentication Token".to_owned(),
        Trouble::RateLimit => "Too many requests, please wait before trying again.".to_owned(),
        Trouble::ContextLength => "Input is too long for requested model.".to_owned(),
        Trouble::Refused(refused) => refusal(refused),
        other => other.sentence(),
    };
    json!({"message": message})
}

fn refusal(refused: &Refused) -> String {
    let path = refused.dotted();
    let said = match (&refused.unknown, &refused.missing) {
        (Some(name), _) => format!("extraneous key [{name}] is not permitted"),
        (None, Some(_)) => "Member must not be null".to_owned(),
        (None, None) => return refused.message.clone(),
    };
    format!("1 validation error detected: Value at '{path}' failed to satisfy constraint: {said}")
}
