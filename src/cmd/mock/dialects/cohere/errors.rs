//! Owns the errors of this API, in its words.
//! Must never decide when one is due.

use serde_json::{Value, json};

use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::trouble::Trouble;

/// The body of an error, with the id of the answer.
pub(crate) fn error(trouble: &Trouble, id: &str) -> Value {
    let message = match trouble {
        Trouble::WrongKey => "invalid api token".to_owned(),
        Trouble::NoKey => "no api key supplied".to_owned(),
        Trouble::ContextLength => {
            "too many tokens: size limit exceeded by 808 tokens. The limit for this model is 8192 tokens.".to_owned()
        }
        Trouble::RateLimit => "Too many requests: the rate limit of this key is reached.".to_owned(),
        Trouble::Refused(refused) => refusal(refused),
        other => other.sentence(),
    };
    let mut body = json!({"id": id, "message": message});
    if *trouble == Trouble::ContextLength {
        body["error_type"] = "TOO_MANY_TOKENS".into();
    }
    body
}

fn refusal(refused: &Refused) -> String {
    let path = refused.dotted();
    let said = match (&refused.unknown, &refused.missing) {
        (Some(name), _) => format!("unknown field: parameter '{name}' is not a valid field"),
        (None, Some(_)) => format!("{path} is required"),
        (None, None) if refused.message.starts_with("invalid ") => {
            format!("{path}: {}", refused.message)
        }
        (None, None) => refused.message.clone(),
    };
    format!("invalid request: {said}")
}
