//! Owns what a client is told of a failure, before a dialect gives it its form.
//! Must never carry an upstream's words about keys, money, limits or its own insides: only a mistake in
//! the client's own request is told in the provider's words.

use std::time::Duration;

use crate::core::exchange::Verdict;
use crate::core::outcome::{Class, ErrorFacts};

/// Where every endpoint is drained, or left out of the plan.
const NOBODY: &str = "no endpoint of the model takes requests at present";

/// Whose clients are spoken to, by the path they use: what an error looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skin {
    /// `/v1`
    OpenAi,
    /// `/api/v1`
    OpenRouter,
    /// `/v1/messages`
    Anthropic,
}

/// An error for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    pub status: u16,
    /// OpenAI's `type`.
    pub kind: String,
    /// OpenRouter's `error_type`, of its closed vocabulary.
    pub error_type: &'static str,
    pub message: String,
    pub code: Option<String>,
    pub param: Option<String>,
    pub retry_after: Option<Duration>,
}

/// A request that a dialect cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RequestError {
    pub message: String,
    pub param: Option<&'static str>,
    pub code: Option<&'static str>,
}

// === impl RequestError ===

impl RequestError {
    /// The body is not what the dialect calls a request: what is said of that, and why.
    pub(in crate::wire) fn unreadable(what: &str, why: &str) -> Self {
        Self {
            message: format!("{what}: {why}"),
            param: None,
            code: Some("invalid_json"),
        }
    }

    /// A field is missing, or holds what cannot be.
    pub(in crate::wire) fn about(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            param: Some(param),
            code: None,
        }
    }
}

// === impl ClientError ===

impl ClientError {
    /// An error in our own words.
    pub fn new(status: u16, error_type: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: kind_of(status).to_owned(),
            error_type,
            message: message.into(),
            code: None,
            param: None,
            retry_after: None,
        }
    }

    /// What the client is told when an exchange failed.
    pub fn of(verdict: &Verdict) -> Self {
        let nobody_was_asked = verdict.attempt.is_none() && verdict.class == Class::Overloaded;
        let error = match nobody_was_asked {
            true => Self::new(503, "provider_overloaded", NOBODY).with_code("service_unavailable"),
            false => Self::of_class(verdict.class, verdict.facts.as_deref()),
        };
        Self {
            retry_after: verdict.retry_after,
            ..error
        }
    }

    /// The model is not in the catalogue; `near` are the names most like it.
    pub fn unknown_model(model: &str, near: &[&str]) -> Self {
        let mut message = format!("the model '{model}' does not exist");
        if !near.is_empty() {
            message.push_str("; did you mean ");
            message.push_str(&near.join(", "));
            message.push('?');
        }
        Self {
            param: Some("model".to_owned()),
            ..Self::new(404, "not_found", message).with_code("model_not_found")
        }
    }

    fn of_class(class: Class, facts: Option<&ErrorFacts>) -> Self {
        let ours = |status, error_type, message: &str| {
            Self::new(status, error_type, message).with_code(class.as_str())
        };
        match class {
            Class::ConnectFailed | Class::DnsFailed | Class::TlsFailed => ours(
                502,
                "provider_unavailable",
                "no provider of the model could be reached",
            ),
            Class::ServerError | Class::ConnectionLost => {
                ours(502, "provider_unavailable", "the model's provider failed")
            }
            Class::MalformedResponse | Class::ErrorIn200 | Class::EmptyCompletion => ours(
                502,
                "provider_unavailable",
                "the model's provider gave no usable answer",
            ),
            Class::StreamBroken => ours(
                502,
                "provider_unavailable",
                "the answer broke off before its end",
            ),
            Class::FirstTokenTimeout | Class::AnswerTimeout | Class::Stalled => {
                ours(504, "timeout", "the model did not answer in time")
            }
            Class::Overloaded => ours(
                503,
                "provider_overloaded",
                "the model is overloaded at present",
            ),
            Class::QuotaExhausted
            | Class::PaymentRequired
            | Class::AuthRejected
            | Class::Forbidden
            | Class::LocalFault => ours(
                503,
                "provider_overloaded",
                "the model is not available at present",
            )
            .with_code("service_unavailable"),
            Class::RateLimited => ours(
                429,
                "rate_limit_exceeded",
                "the model's rate limit is reached",
            )
            .with_code("rate_limit_exceeded"),
            Class::ModelUnavailable => {
                ours(404, "not_found", "no provider serves the model at present")
            }
            Class::ContextTooLong => Self::of_request("context_length_exceeded", facts, TOO_LONG),
            Class::ContentFiltered => Self::of_request("content_policy_violation", facts, FILTERED),
            Class::Refused => Self::of_request("refusal", facts, "the model refused to answer"),
            Class::UnsupportedParameter => Self::of_request("invalid_request", facts, UNSUPPORTED),
            Class::InvalidRequest => Self::of_request("invalid_request", facts, INVALID),
            Class::ClientGone => ours(499, "unmapped", "the client closed the request"),
            Class::Success | Class::Superseded => ours(500, "server", "internal error"),
        }
    }

    /// A mistake in the request, told as the provider told it.
    fn of_request(error_type: &'static str, facts: Option<&ErrorFacts>, message: &str) -> Self {
        let Some(facts) = facts else {
            return Self::new(400, error_type, message).with_code(error_type);
        };
        let error = Self::new(request_status(facts.status), error_type, message);
        Self {
            message: or_else(&facts.message, error.message),
            kind: facts.kind.clone().unwrap_or(error.kind),
            code: facts.code.clone().or_else(|| Some(error_type.to_owned())),
            param: facts.param.clone(),
            ..error
        }
    }

    fn with_code(self, code: &str) -> Self {
        Self {
            code: Some(code.to_owned()),
            ..self
        }
    }
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        Self {
            code: error.code.map(str::to_owned),
            param: error.param.map(str::to_owned),
            ..Self::new(400, "invalid_request", error.message)
        }
    }
}

const TOO_LONG: &str = "the prompt is longer than the model's context window";
const FILTERED: &str = "the request was refused by a content filter";
const UNSUPPORTED: &str = "a parameter is not supported by this model";
const INVALID: &str = "the request is not valid";

/// The provider's status where it says that the request is at fault. Others would send a client's SDK
/// the wrong way: 429 and 408 make it try again, 401 and 404 are about something else.
fn request_status(status: u16) -> u16 {
    match status {
        401 | 402 | 404 | 407..=409 | 425 | 429 => 400,
        400..=499 => status,
        _ => 400,
    }
}

/// OpenAI's `type` for a status.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    }
}

fn or_else(text: &str, other: String) -> String {
    if text.is_empty() {
        other
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(class: Class, facts: Option<ErrorFacts>) -> Verdict {
        Verdict {
            class,
            attempt: None,
            facts: facts.map(Box::new),
            retry_after: None,
        }
    }

    fn said(status: u16) -> ErrorFacts {
        ErrorFacts {
            status,
            message: "Incorrect API key provided: sk-1234".to_owned(),
            code: Some("their_code".to_owned()),
            kind: Some("their_type".to_owned()),
            param: Some("messages".to_owned()),
            ..ErrorFacts::default()
        }
    }

    #[test]
    fn only_request_classes_carry_the_upstreams_words() {
        for class in Class::ALL {
            let error = ClientError::of(&verdict(class, Some(said(400))));
            let told = error.message.contains("sk-1234");
            let expected = matches!(
                class,
                Class::ContextTooLong
                    | Class::ContentFiltered
                    | Class::Refused
                    | Class::UnsupportedParameter
                    | Class::InvalidRequest
            );
            assert_eq!(told, expected, "{}", class.as_str());
            assert_eq!(error.param.is_some(), expected);
            assert_eq!(error.code.as_deref() == Some("their_code"), expected);
        }
    }

    #[test]
    fn each_class_has_its_status() {
        let table = [
            (Class::ConnectFailed, 502),
            (Class::ServerError, 502),
            (Class::ConnectionLost, 502),
            (Class::EmptyCompletion, 502),
            (Class::FirstTokenTimeout, 504),
            (Class::AnswerTimeout, 504),
            (Class::Stalled, 504),
            (Class::Overloaded, 503),
            (Class::AuthRejected, 503),
            (Class::QuotaExhausted, 503),
            (Class::PaymentRequired, 503),
            (Class::LocalFault, 503),
            (Class::RateLimited, 429),
            (Class::ModelUnavailable, 404),
            (Class::ContextTooLong, 400),
            (Class::InvalidRequest, 400),
        ];
        for (class, status) in table {
            assert_eq!(
                ClientError::of(&verdict(class, None)).status,
                status,
                "{}",
                class.as_str()
            );
        }
    }

    #[test]
    fn a_request_that_never_fits_is_not_told_as_a_rate_limit() {
        let status = |upstream| {
            ClientError::of(&verdict(Class::ContextTooLong, Some(said(upstream)))).status
        };
        assert_eq!(status(413), 413);
        assert_eq!(status(422), 422);
        assert_eq!(status(429), 400);
        assert_eq!(status(200), 400);
        assert_eq!(status(500), 400);
    }

    #[test]
    fn a_rate_limit_keeps_its_wait() {
        let mut limited = verdict(Class::RateLimited, Some(said(429)));
        limited.retry_after = Some(Duration::from_secs(2));
        let error = ClientError::of(&limited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
        assert_eq!(error.code.as_deref(), Some("rate_limit_exceeded"));
    }

    #[test]
    fn an_unknown_model_names_its_neighbours() {
        let error = ClientError::unknown_model("gpt5", &["openai/gpt-5", "openai/gpt-5-mini"]);
        assert_eq!(error.status, 404);
        assert_eq!(
            error.message,
            "the model 'gpt5' does not exist; did you mean openai/gpt-5, openai/gpt-5-mini?"
        );
    }
}
