//! Owns what an exception in a stream means. Must never let a client's fault pass for the endpoint's.
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html#API_runtime_ConverseStream_Errors>
//! (2026-11-22).

use crate::core::outcome::{ErrorFacts, Hint};
use crate::wire::error_facts::error_in_answer;

/// Characters of a name that are kept.
const NAME_MAX: usize = 100;

/// Reads the exception of this name; its payload is `{"message": ...}`.
pub(super) fn facts(name: &str, payload: &[u8]) -> ErrorFacts {
    let said = error_in_answer(payload);
    let shown: String = name.chars().take(NAME_MAX).collect();
    ErrorFacts {
        // Words tell a client's fault; of another's fault its name tells more.
        hint: hint(name, said.hint).or(said.hint),
        code: said.code.or_else(|| Some(shown.clone())),
        message: match said.message.is_empty() {
            true => shown,
            false => said.message,
        },
        ..said
    }
}

fn hint(name: &str, words: Option<Hint>) -> Option<Hint> {
    let name = name.strip_suffix("Exception").unwrap_or(name);
    Some(match name.to_ascii_lowercase().as_str() {
        "throttling" | "servicequotaexceeded" => Hint::RateLimited,
        "serviceunavailable" | "modelnotready" => Hint::Overloaded,
        "internalserver" | "modelstreamerror" | "modelerror" | "modeltimeout" | "internalerror" => {
            Hint::ServerError
        }
        "accessdenied" => words.unwrap_or(Hint::Forbidden),
        "resourcenotfound" => Hint::ModelUnavailable,
        "validation" => words.unwrap_or(Hint::InvalidRequest),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exception_has_its_meaning() {
        let words = r#"{"message":"Too many tokens, please wait before trying again."}"#;
        let long = r#"{"message":"Input is too long for requested model."}"#;
        let table = [
            ("throttlingException", words, Some(Hint::RateLimited)),
            ("modelStreamErrorException", words, Some(Hint::ServerError)),
            ("internalServerException", "{}", Some(Hint::ServerError)),
            ("modelTimeoutException", "{}", Some(Hint::ServerError)),
            ("serviceUnavailableException", "", Some(Hint::Overloaded)),
            ("validationException", "{}", Some(Hint::InvalidRequest)),
            ("validationException", long, Some(Hint::ContextTooLong)),
            ("InternalError", "{}", Some(Hint::ServerError)),
            ("newException", "{}", None),
        ];
        for (name, payload, hint) in table {
            let facts = facts(name, payload.as_bytes());
            assert_eq!(facts.hint, hint, "{name} {payload}");
            assert_eq!((facts.status, facts.code.as_deref()), (200, Some(name)));
            assert!(!facts.message.is_empty());
        }
    }
}
