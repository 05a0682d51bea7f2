//! Owns which dialect a path speaks, what it says of the request (model, stream), where its key is, and how its errors
//! look on the wire.
//! Must never look into a body.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::gemini::answer::Framing;
use super::refused::Refused;
use super::trouble::Trouble;
use super::{anthropic, bedrock, cohere, gemini, responses};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Only where chat is answered by a plan.
    Chat,
    Responses,
    Anthropic,
    Gemini,
    Bedrock,
    Cohere,
}

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) dialect: Dialect,
    /// The model, where the path names it.
    pub(crate) model: Option<String>,
    /// Whether the path asks for a stream; elsewhere the body does.
    pub(crate) streams: bool,
    /// Whether only the tokens are counted.
    pub(crate) counts: bool,
    /// Whether it is one of Vertex: access tokens pay, and in Anthropic's dialect the body names a version, the path the model.
    pub(crate) is_at_vertex: bool,
    pub(crate) framing: Framing,
}

/// An error as it goes out: its body, and headers of its own.
pub(crate) type Answer = (Bytes, Vec<(String, String)>);

// === impl Dialect ===

impl Dialect {
    /// Its name in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
        }
    }
}

// === impl Route ===

impl Route {
    /// The route of a target with its query; none where it is none of these dialects'.
    pub(crate) fn of(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let plain = |dialect, counts| Self {
            dialect,
            model: None,
            streams: false,
            counts,
            is_at_vertex: false,
            framing: Framing::Array,
        };
        let whole = [
            ("/responses", Dialect::Responses, false),
            ("/messages", Dialect::Anthropic, false),
            ("/messages/count_tokens", Dialect::Anthropic, true),
            ("/v2/chat", Dialect::Cohere, false),
        ];
        let found = whole.into_iter().find(|(end, ..)| path.ends_with(end));
        if let Some((_, dialect, counts)) = found {
            return Some(plain(dialect, counts));
        }
        Self::of_gemini(path, query)
            .or_else(|| Self::of_bedrock(path))
            .or_else(|| Self::of_vertex(path))
    }

    /// The route of chat.
    pub(crate) fn chat() -> Self {
        Self {
            dialect: Dialect::Chat,
            model: None,
            streams: false,
            counts: false,
            is_at_vertex: false,
            framing: Framing::Events,
        }
    }

    fn of_gemini(path: &str, query: &str) -> Option<Self> {
        let (_, rest) = path.rsplit_once("/models/")?;
        let (model, method) = rest.rsplit_once(':')?;
        let (streams, counts) = match method {
            "generateContent" => (false, false),
            "streamGenerateContent" => (true, false),
            "countTokens" => (false, true),
            _ => return None,
        };
        let framing = match query.split('&').any(|pair| pair == "alt=sse") {
            true => Framing::Events,
            false => Framing::Array,
        };
        Some(Self {
            dialect: Dialect::Gemini,
            model: Some(decoded(model)),
            streams,
            counts,
            is_at_vertex: path.contains("/publishers/google/"),
            framing,
        })
    }

    fn of_bedrock(path: &str) -> Option<Self> {
        let (_, rest) = path.split_once("/model/")?;
        let (model, method) = rest.rsplit_once('/')?;
        let streams = match method {
            "converse" => false,
            "converse-stream" => true,
            _ => return None,
        };
        Some(Self {
            dialect: Dialect::Bedrock,
            model: Some(decoded(model)),
            streams,
            counts: false,
            is_at_vertex: false,
            framing: Framing::Array,
        })
    }

    fn of_vertex(path: &str) -> Option<Self> {
        let (_, rest) = path.split_once("/publishers/anthropic/models/")?;
        let (model, method) = rest.rsplit_once(':')?;
        let streams = match method {
            "rawPredict" => false,
            "streamRawPredict" => true,
            _ => return None,
        };
        let counts = model == "count-tokens";
        Some(Self {
            dialect: Dialect::Anthropic,
            model: (!counts).then(|| decoded(model)),
            streams,
            counts,
            is_at_vertex: true,
            framing: Framing::Array,
        })
    }

    /// The key in a request, where its dialect has it.
    pub(crate) fn key<'a>(
        &self,
        target: &'a str,
        header: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<&'a str> {
        let bearer = || header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match self.dialect {
            Dialect::Anthropic if self.is_at_vertex => bearer(),
            Dialect::Anthropic => header("x-api-key").or_else(bearer),
            Dialect::Gemini => {
                let query = target.split_once('?').map_or("", |(_, query)| query);
                let mut pairs = query.split('&');
                let in_query = pairs.find_map(|pair| pair.strip_prefix("key="));
                header("x-goog-api-key").or(in_query).or_else(bearer)
            }
            Dialect::Bedrock => bearer().or_else(|| {
                let (_, rest) = header("authorization")?.split_once("Credential=")?;
                rest.split('/').next()
            }),
            Dialect::Chat | Dialect::Responses => bearer().or_else(|| header("api-key")),
            Dialect::Cohere => bearer(),
        }
    }

    /// A header that the dialect cannot do without.
    pub(crate) fn lacks<'a>(&self, header: impl Fn(&str) -> Option<&'a str>) -> Option<Trouble> {
        let lacks = self.dialect == Dialect::Anthropic
            && !self.is_at_vertex
            && header("anthropic-version").is_none();
        lacks.then(|| Trouble::Refused(Refused::because("anthropic-version", "header is required")))
    }

    /// The status that comes with a trouble of a request.
    pub(crate) fn status(&self, trouble: &Trouble) -> u16 {
        match (trouble, self.dialect) {
            (Trouble::NoKey | Trouble::WrongKey, _) if self.is_at_vertex => 401,
            (Trouble::NoKey | Trouble::WrongKey, Dialect::Bedrock)
            | (Trouble::NoKey, Dialect::Gemini) => 403,
            (Trouble::WrongKey, Dialect::Gemini) => 400,
            (Trouble::NoKey | Trouble::WrongKey, _) => 401,
            (Trouble::RateLimit, _) => 429,
            _ => 400,
        }
    }

    /// An error, in the words of the dialect; `number` counts the mock's answers.
    pub(crate) fn error(
        &self,
        trouble: &Trouble,
        status: u16,
        retry_after: Option<&str>,
        number: u64,
    ) -> Answer {
        let mut headers = self.headers(number);
        let body: Value = match self.dialect {
            Dialect::Chat => responses::error(trouble, "messages"),
            Dialect::Responses => responses::error(trouble, "input"),
            Dialect::Anthropic => anthropic::error(trouble, &format!("req_mock{number:08}")),
            Dialect::Gemini => gemini::error(trouble, status, retry_after),
            Dialect::Bedrock => {
                headers.push((
                    "x-amzn-errortype".to_owned(),
                    bedrock::exception(trouble).to_owned(),
                ));
                bedrock::error(trouble)
            }
            Dialect::Cohere => {
                cohere::error(trouble, &format!("00000000-0000-4000-8000-{number:012}"))
            }
        };
        (body.to_string().into(), headers)
    }

    /// What a rate limit tells: as OpenAI does, as Anthropic does with the time of the reset, or nothing at all.
    pub(crate) fn limits(&self, told: Vec<(String, String)>, reset: u64) -> Vec<(String, String)> {
        match self.dialect {
            Dialect::Chat | Dialect::Responses => return told,
            Dialect::Gemini | Dialect::Bedrock | Dialect::Cohere => return Vec::new(),
            Dialect::Anthropic => {}
        }
        let reset = DateTime::from_secs(i64::try_from(reset).unwrap_or(0));
        let reset = reset.fmt(Format::DateTime).unwrap_or_default();
        let renamed = told.into_iter().filter_map(|(name, value)| {
            let (fact, what) = name.strip_prefix("x-ratelimit-")?.split_once('-')?;
            let value = if fact == "reset" {
                reset.clone()
            } else {
                value
            };
            Some((format!("anthropic-ratelimit-{what}-{fact}"), value))
        });
        renamed.collect()
    }

    /// The headers that each answer of the dialect has.
    pub(crate) fn headers(&self, number: u64) -> Vec<(String, String)> {
        let (name, id) = match self.dialect {
            Dialect::Chat | Dialect::Responses => ("x-request-id", format!("req_mock{number:08}")),
            Dialect::Anthropic => ("request-id", format!("req_mock{number:08}")),
            Dialect::Bedrock => (
                "x-amzn-requestid",
                format!("00000000-0000-4000-8000-{number:012}"),
            ),
            Dialect::Gemini | Dialect::Cohere => return Vec::new(),
        };
        vec![(name.to_owned(), id)]
    }
}

fn decoded(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_dialects() {
        let of = |target: &str| {
            Route::of(target).map(|route| (route.dialect, route.model, route.streams))
        };
        let cases = [
            ("/v1/responses", Some((Dialect::Responses, None, false))),
            (
                "/v1/messages?beta=true",
                Some((Dialect::Anthropic, None, false)),
            ),
            (
                "/v1/messages/count_tokens",
                Some((Dialect::Anthropic, None, false)),
            ),
            ("/v2/chat", Some((Dialect::Cohere, None, false))),
            (
                "/v1beta/models/g-1:generateContent",
                Some((Dialect::Gemini, Some("g-1".into()), false)),
            ),
            (
                "/v1/projects/p/locations/l/publishers/google/models/g:streamGenerateContent?alt=sse",
                Some((Dialect::Gemini, Some("g".into()), true)),
            ),
            (
                "/model/us.anthropic.claude%3A0/converse",
                Some((
                    Dialect::Bedrock,
                    Some("us.anthropic.claude:0".into()),
                    false,
                )),
            ),
            (
                "/model/a/converse-stream",
                Some((Dialect::Bedrock, Some("a".into()), true)),
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/c%40a:streamRawPredict",
                Some((Dialect::Anthropic, Some("c@a".into()), true)),
            ),
            (
                "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
                Some((Dialect::Anthropic, None, false)),
            ),
            ("/v1/chat/completions", None),
            ("/v1/models", None),
            ("/v1beta/models/g:embedContent", None),
        ];
        for (target, wanted) in cases {
            assert_eq!(of(target), wanted, "{target}");
        }
        let framing = |target: &str| Route::of(target).unwrap().framing;
        assert_eq!(
            framing("/v1beta/models/g:streamGenerateContent?alt=sse&key=x"),
            Framing::Events
        );
        assert_eq!(
            framing("/v1beta/models/g:streamGenerateContent"),
            Framing::Array
        );
    }

    #[test]
    fn limits_are_told_as_their_dialect_tells_them() {
        let told = |target: &str| {
            let facts = [
                ("x-ratelimit-remaining-requests", "3"),
                ("x-ratelimit-reset-requests", "2000ms"),
            ];
            let headers = facts.map(|(name, value)| (name.to_owned(), value.to_owned()));
            Route::of(target)
                .unwrap()
                .limits(headers.to_vec(), 1_700_000_000)
        };
        let anthropic = [
            ("anthropic-ratelimit-requests-remaining", "3"),
            ("anthropic-ratelimit-requests-reset", "2023-11-14T22:13:20Z"),
        ];
        assert_eq!(
            told("/v1/messages"),
            anthropic.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(told("/v1/responses").len(), 2);
        assert!(told("/v2/chat").is_empty());
    }

    #[test]
    fn keys_are_where_their_dialect_has_them() {
        let key = |target: &'static str, name: &'static str, value: &'static str| {
            let route = Route::of(target).unwrap();
            route.key(target, |known| (known == name).then_some(value))
        };
        assert_eq!(key("/v1/messages", "x-api-key", "k"), Some("k"));
        assert_eq!(key("/v2/chat", "authorization", "Bearer k"), Some("k"));
        assert_eq!(key("/v1beta/models/g:countTokens?key=k", "", ""), Some("k"));
        assert_eq!(
            key(
                "/model/a/converse",
                "authorization",
                "AWS4-HMAC-SHA256 Credential=k/2026/us/x, Signature=y"
            ),
            Some("k")
        );
        assert_eq!(key("/v2/chat", "x-api-key", "k"), None);
    }
}
