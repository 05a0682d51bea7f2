//! Owns the reading of an upstream's error, in the several forms that providers use. In reading order: this
//! file, `hints` (what its words mean).
//! Must never let more than a few hundred characters of it through, or judge beyond a hint.

mod hints;

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use serde_json::Value;

use crate::core::outcome::ErrorFacts;
use crate::wire::retry_after::{in_prose, in_span, retry_after};

/// Characters of a message that are kept.
const MESSAGE_MAX: usize = 300;
/// Bytes of a body that are looked at; an error is short.
const BODY_MAX: usize = 64 * 1024;

/// Reads an answer with an error status.
pub fn error_facts(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> ErrorFacts {
    let mut said = said(body);
    said.kind = said.kind.or_else(|| type_in(headers));
    let mut facts = said.into_facts(status);
    let told = retry_after(headers, &facts.message, now);
    facts.retry_after = told.or(facts.retry_after);
    facts
}

/// Reads an error that came inside an answer of status 200.
pub fn error_in_answer(json: &[u8]) -> ErrorFacts {
    let mut facts = said(json).into_facts(200);
    facts.retry_after = in_prose(&facts.message).or(facts.retry_after);
    facts
}

/// Reads an error of a stream whose framing names its type; the data is the error itself.
pub(in crate::wire) fn error_in_frame(name: &str, json: &[u8]) -> ErrorFacts {
    let mut said = said(json);
    let kind = clipped(name);
    if said.message.is_empty() {
        said.message.clone_from(&kind);
    }
    said.kind = Some(kind);
    let mut facts = said.into_facts(200);
    facts.retry_after = in_prose(&facts.message).or(facts.retry_after);
    facts
}

/// Reads a chunk or an answer in which a choice finished with an error; the choice may hold it.
pub(in crate::wire) fn error_in_choice(json: &[u8]) -> ErrorFacts {
    let choices = parsed(json).and_then(|mut body| body.get_mut("choices").map(Value::take));
    let choices = choices.as_ref().and_then(Value::as_array);
    let error = choices
        .into_iter()
        .flatten()
        .find_map(|choice| choice.get("error"));
    let mut said = error.map(Said::of_error).unwrap_or_default();
    if said.message.is_empty() {
        "the model ended with an error".clone_into(&mut said.message);
    }
    said.into_facts(200)
}

/// What a body says of its error.
#[derive(Default)]
struct Said {
    message: String,
    code: Option<String>,
    kind: Option<String>,
    param: Option<String>,
    /// Google's machine-readable name for it, which is more than its status.
    reason: Option<String>,
    /// In a field of the error's own.
    retry_after: Option<Duration>,
}

fn said(body: &[u8]) -> Said {
    match parsed(body) {
        Some(json) => Said::of_body(&json),
        None => Said::message(prose(body)),
    }
}

fn parsed(body: &[u8]) -> Option<Value> {
    let body = body.get(..BODY_MAX).unwrap_or(body);
    let json: Value = serde_json::from_slice(body).ok()?;
    // Gemini's layer of this dialect puts the one error into a list.
    match json {
        Value::Array(list) => list.into_iter().next(),
        json => Some(json),
    }
}

// === impl Said ===

impl Said {
    fn message(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    /// `{"error":{...}}`, `{"error":"text"}`, `{"message":...}` (vLLM's `object: error` too),
    /// `{"detail":...}` (FastAPI; Mistral's gateway), or a bare string.
    fn of_body(json: &Value) -> Self {
        match json.get("error") {
            Some(error @ Value::Object(_)) => Self::of_error(error),
            Some(Value::String(text)) => Self {
                message: text.clone(),
                ..Self::of_error(json)
            },
            _ => Self::of_error(json),
        }
    }

    fn of_error(error: &Value) -> Self {
        let metadata = error.get("metadata");
        let kind = text_at(error, "type")
            .or_else(|| text_at(error, "error_type"))
            .or_else(|| text_at(error, "status").filter(|status| status.parse::<u16>().is_err()))
            .or_else(|| metadata.and_then(|metadata| text_at(metadata, "error_type")));
        Self {
            message: ["message", "detail"]
                .into_iter()
                .find_map(|field| error.get(field).and_then(words))
                .or_else(|| error.as_str().map(str::to_owned))
                .unwrap_or_default(),
            code: text_at(error, "code"),
            kind,
            param: text_at(error, "param"),
            reason: reason(error),
            retry_after: retry_delay(error),
        }
    }

    fn into_facts(self, status: u16) -> ErrorFacts {
        let hint = self.reason.as_deref().and_then(hints::of_reason);
        let hint = hint.or_else(|| {
            hints::find(
                status,
                self.code.as_deref(),
                self.kind.as_deref(),
                &self.message,
            )
        });
        ErrorFacts {
            status,
            hint,
            retry_after: self.retry_after,
            message: clipped(&self.message),
            code: self.code,
            kind: self.kind,
            param: self.param,
        }
    }
}

/// Google's `RetryInfo`, one of an error's details. Recorded: gemini, 429.
fn retry_delay(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let delay = |detail: &Value| in_span(detail.get("retryDelay")?.as_str()?);
    details.iter().find_map(delay)
}

/// The reason of Google's `ErrorInfo`, one of an error's details (<https://google.aip.dev/193>).
fn reason(error: &Value) -> Option<String> {
    let details = error.get("details")?.as_array()?;
    details.iter().find_map(|detail| text_at(detail, "reason"))
}

/// A field's text or number, as short text.
fn text_at(json: &Value, field: &str) -> Option<String> {
    match json.get(field)? {
        Value::String(text) if !text.is_empty() => Some(clipped(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A message's words: text, or a list or an object of them (FastAPI: `[{"loc":..., "msg":...}]`).
fn words(json: &Value) -> Option<String> {
    match json {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Array(list) => list.first().and_then(words),
        Value::Object(object) => ["msg", "message", "detail"]
            .into_iter()
            .find_map(|field| object.get(field).and_then(words)),
        _ => None,
    }
}

/// The type that AWS says in a header, without the address behind it. Recorded: bedrock.
fn type_in(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("x-amzn-errortype")?.to_str().ok()?;
    let name = value.split(':').next().unwrap_or_default();
    (!name.is_empty()).then(|| clipped(name))
}

/// A body that is not JSON: its title where it is a page, nothing where it has none, else its text.
fn prose(body: &[u8]) -> String {
    let body = body.get(..BODY_MAX).unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if !text.starts_with('<') {
        return text.to_owned();
    }
    let title = text
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or_else(String::new, |(title, _)| title.trim().to_owned())
}

fn clipped(text: &str) -> String {
    text.chars().take(MESSAGE_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::outcome::Hint;

    fn facts(status: u16, body: &str) -> ErrorFacts {
        let now = SystemTime::UNIX_EPOCH;
        error_facts(status, &HeaderMap::new(), body.as_bytes(), now)
    }

    fn check(body: &str, message: &str, code: Option<&str>, kind: Option<&str>) {
        let facts = facts(400, body);
        let found = (
            facts.message.as_str(),
            facts.code.as_deref(),
            facts.kind.as_deref(),
        );
        assert_eq!(found, (message, code, kind), "{body}");
    }

    #[test]
    fn every_form_of_an_error_is_read() {
        check(
            r#"{"error":{"message":"m","type":"t","code":"c","param":"p"}}"#,
            "m",
            Some("c"),
            Some("t"),
        );
        check(
            r#"{"error":{"message":"m","code":400}}"#,
            "m",
            Some("400"),
            None,
        );
        check(
            r#"{"error":{"message":"m","type":null,"code":null}}"#,
            "m",
            None,
            None,
        );
        check(r#"{"error":"m"}"#, "m", None, None);
        check(r#"{"code":"c","error":"m"}"#, "m", Some("c"), None);
        check(r#"{"message":"m","type":"t"}"#, "m", None, Some("t"));
        check(
            r#"{"object":"error","message":"m","type":"t","code":400}"#,
            "m",
            Some("400"),
            Some("t"),
        );
        check(r#"{"detail":"m"}"#, "m", None, None);
        check(
            r#"{"detail":[{"loc":["body"],"msg":"m"}]}"#,
            "m",
            None,
            None,
        );
        check(
            r#"{"object":"error","message":{"detail":[{"msg":"m"}]}}"#,
            "m",
            None,
            None,
        );
        check(
            r#"[{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}]"#,
            "m",
            Some("400"),
            Some("INVALID_ARGUMENT"),
        );
        check(
            r#"{"error":{"message":"m","metadata":{"error_type":"e"}}}"#,
            "m",
            None,
            Some("e"),
        );
        check("\"m\"", "m", None, None);
        check("", "", None, None);
        check("{}", "", None, None);
        check(
            "upstream connect error",
            "upstream connect error",
            None,
            None,
        );
        check(
            "<html><head><title>502 Bad Gateway</title></head></html>",
            "502 Bad Gateway",
            None,
            None,
        );
        check("<!DOCTYPE html><p>x", "", None, None);
    }

    #[test]
    fn a_long_message_is_clipped_between_characters() {
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "ż".repeat(1000));
        assert_eq!(facts(500, &long).message, "ż".repeat(300));
        let bytes = [&b"x".repeat(70_000)[..], b"\xff"].concat();
        let found = error_facts(500, &HeaderMap::new(), &bytes, SystemTime::UNIX_EPOCH);
        assert_eq!(found.message.len(), 300);
    }

    #[test]
    fn awss_type_stands_in_a_header_or_in_the_framing() {
        let mut headers = HeaderMap::new();
        let value =
            "ServiceQuotaExceededException:http://internal.amazon.com/coral/com.amazon.bedrock/";
        headers.insert("x-amzn-errortype", value.parse().unwrap());
        let now = SystemTime::UNIX_EPOCH;
        let found = error_facts(400, &headers, br#"{"message":"no"}"#, now);
        assert_eq!(found.kind.as_deref(), Some("ServiceQuotaExceededException"));
        assert_eq!(found.hint, Some(Hint::RateLimited));
        let words = r#"{"message":"Too many tokens, please wait before trying again."}"#;
        let long = r#"{"message":"Input is too long for requested model."}"#;
        let table = [
            ("throttlingException", words, Some(Hint::RateLimited)),
            ("serviceUnavailableException", "", Some(Hint::Overloaded)),
            ("modelStreamErrorException", "{}", Some(Hint::ServerError)),
            ("internalServerException", "{}", Some(Hint::ServerError)),
            ("modelTimeoutException", "{}", Some(Hint::ServerError)),
            ("validationException", "{}", Some(Hint::InvalidRequest)),
            ("validationException", long, Some(Hint::ContextTooLong)),
            ("InternalError", "{}", Some(Hint::ServerError)),
            ("newException", "{}", None),
        ];
        for (name, payload, hint) in table {
            let facts = error_in_frame(name, payload.as_bytes());
            assert_eq!(facts.hint, hint, "{name} {payload}");
            assert_eq!((facts.status, facts.kind.as_deref()), (200, Some(name)));
            assert!(!facts.message.is_empty());
        }
    }

    #[test]
    fn googles_wait_stands_among_the_details() {
        let body = r#"{"error":{"code":429,"message":"no","details":[{"@type":"x"},{"retryDelay":"34.4s"}]}}"#;
        let wait = Some(Duration::from_millis(34_400));
        assert_eq!(facts(429, body).retry_after, wait);
        assert_eq!(error_in_answer(body.as_bytes()).retry_after, wait);
        let in_words = body.replace("no", "Please retry in 2s.");
        assert_eq!(
            facts(429, &in_words).retry_after,
            Some(Duration::from_secs(2))
        );
    }

    #[test]
    fn googles_reason_says_more_than_its_status() {
        let body = |reason: &str| {
            format!(
                r#"{{"error":{{"code":403,"message":"no","status":"PERMISSION_DENIED","details":[{{"@type":"x"}},
                {{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}"}}]}}}}"#
            )
        };
        let table = [
            ("CONSUMER_SUSPENDED", Hint::AuthRejected),
            ("API_KEY_INVALID", Hint::AuthRejected),
            ("A_NEW_ONE", Hint::Forbidden),
        ];
        for (reason, hint) in table {
            let facts = facts(403, &body(reason));
            assert_eq!(facts.hint, Some(hint), "{reason}");
            assert_eq!(facts.code.as_deref(), Some("403"));
        }
    }

    #[test]
    fn an_account_that_may_no_longer_ask_is_the_keys_fault() {
        let anthropic = r#"{"type":"error","error":{"type":"invalid_request_error","message":"This organization has been disabled."}}"#;
        assert_eq!(facts(400, anthropic).hint, Some(Hint::AuthRejected));
        let bedrock = r#"{"message":"Operation not allowed"}"#;
        assert_eq!(facts(400, bedrock).hint, Some(Hint::AuthRejected));
        assert_eq!(facts(500, bedrock).hint, None);
    }

    #[test]
    fn an_overload_in_a_stream_is_one_by_its_code() {
        for words in [
            r#"{"type":"error","error":{"type":"service_unavailable_error","code":"server_is_overloaded","message":"later"}}"#,
            r#"{"type":"error","code":"server_is_overloaded","message":"later","param":null,"sequence_number":2}"#,
            r#"{"type":"error","error":{"type":"service_unavailable_error","code":null,"message":"later"}}"#,
        ] {
            let facts = error_in_answer(words.as_bytes());
            assert_eq!(facts.hint, Some(Hint::Overloaded), "{words}");
        }
    }

    #[test]
    fn the_wait_comes_from_the_headers_or_the_message() {
        let body = r#"{"error":{"message":"Rate limit reached. Please try again in 6.5s.","code":"rate_limit_exceeded"}}"#;
        let found = facts(429, body);
        assert_eq!(found.retry_after, Some(Duration::from_millis(6500)));
        assert_eq!(found.hint, Some(Hint::RateLimited));
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "2".parse().unwrap());
        let found = error_facts(429, &headers, body.as_bytes(), SystemTime::UNIX_EPOCH);
        assert_eq!(found.retry_after, Some(Duration::from_secs(2)));
    }
}
