//! Owns the errors of this API, in its words.
//! Must never decide when one is due.

use serde_json::{Value, json};

use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::trouble::Trouble;

/// The body of an error with a status of HTTP.
pub(crate) fn error(trouble: &Trouble, status: u16, retry_after: Option<&str>) -> Value {
    let name = match status {
        400 | 413 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        402 | 429 => "RESOURCE_EXHAUSTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "FAILED_PRECONDITION",
    };
    let mut error = json!({"code": status, "message": sentence(trouble), "status": name});
    if let Some(details) = details(trouble, retry_after) {
        error["details"] = details;
    }
    json!({"error": error})
}

fn sentence(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused(refused) => refusal(refused),
        Trouble::WrongKey => {
            "API key not valid. This mock takes the keys of its script.".to_owned()
        }
        Trouble::NoKey => {
            "The method takes no callers without an identity; pass an API key.".to_owned()
        }
        Trouble::ContextLength => {
            "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
                .to_owned()
        }
        Trouble::Overloaded => "The model is overloaded. Please try again later.".to_owned(),
        other => other.sentence(),
    }
}

fn refusal(refused: &Refused) -> String {
    let place = |refused: &Refused| {
        let way = Refused {
            unknown: None,
            missing: None,
            ..refused.clone()
        };
        way.bracketed()
    };
    match (&refused.unknown, &refused.missing) {
        (Some(name), _) => {
            let mut parent = refused.clone();
            parent
                .path
                .pop_if(|step| matches!(step, crate::cmd::mock::dialects::refused::Step::Name(last) if last == name));
            let at = match place(&parent).as_str() {
                "" => String::new(),
                way => format!(" at '{way}'"),
            };
            format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
            )
        }
        (None, Some(_)) => format!(
            "{}: the field is required and not specified.",
            refused.bracketed()
        ),
        (None, None) => match place(refused).as_str() {
            "" => refused.message.clone(),
            way if refused.message.starts_with("invalid ") => {
                format!("Invalid value at '{way}': {}", refused.message)
            }
            way => format!("* GenerateContentRequest.{way}: {}", refused.message),
        },
    }
}

fn details(trouble: &Trouble, retry_after: Option<&str>) -> Option<Value> {
    let of = |kind: &str| format!("type.googleapis.com/google.rpc.{kind}");
    match trouble {
        Trouble::Refused(refused) if refused.unknown.is_some() => Some(json!([{
            "@type": of("BadRequest"),
            "fieldViolations": [{"field": refused.bracketed(), "description": refusal(refused)}],
        }])),
        Trouble::WrongKey => Some(json!([{
            "@type": of("ErrorInfo"), "reason": "API_KEY_INVALID", "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }])),
        Trouble::RateLimit | Trouble::Quota => {
            let quota = if *trouble == Trouble::Quota {
                "PerDay"
            } else {
                "PerMinute"
            };
            let id = format!("GenerateRequests{quota}PerProjectPerModel");
            let mut details =
                vec![json!({"@type": of("QuotaFailure"), "violations": [{"quotaId": id}]})];
            let seconds = retry_after.filter(|value| value.parse::<f64>().is_ok());
            details.extend(
                seconds.map(
                    |value| json!({"@type": of("RetryInfo"), "retryDelay": format!("{value}s")}),
                ),
            );
            Some(details.into())
        }
        _ => None,
    }
}
