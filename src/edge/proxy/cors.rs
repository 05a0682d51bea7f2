//! Owns what is said to browsers of pages from elsewhere: who may call, and who may read what came back.
//! Must never allow credentials that a browser adds by itself, or repeat an origin that is not configured.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::http::{RequestHeader, ResponseHeader};

use crate::config::snapshot::Cors;

/// Our own headers, and those that an SDK reads to come back later.
const EXPOSED: &str = "x-request-id, x-generation-id, x-mainstay-endpoint, x-mainstay-model, \
    x-mainstay-attempts, x-mainstay-recovery-ms, x-mainstay-fallback, x-mainstay-drift, x-mainstay-trace, retry-after";
/// What Chromium caps at, in seconds: longer is not kept (its `kMaxPreflightCacheTimeout`, read 2026-11).
const MAX_AGE: &str = "7200";
/// Headers of an answer that say who may read it.
const OF_ANSWERS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
];

/// What the answers to one request say of origins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sharing {
    /// Who may read them; `None`: no page from elsewhere.
    reader: Option<HeaderValue>,
    /// They differ from page to page, which caches must know.
    varies: bool,
}

impl Sharing {
    /// What a request with these headers is told.
    pub(crate) fn of(cors: &Cors, headers: &HeaderMap) -> Self {
        let origin = headers.get(ORIGIN);
        match cors {
            Cors::Off => Self::default(),
            Cors::Any => Self {
                reader: origin.map(|_| HeaderValue::from_static("*")),
                varies: false,
            },
            Cors::Only(patterns) => {
                let allowed = |origin: &&HeaderValue| {
                    let origin = origin.to_str();
                    origin.is_ok_and(|origin| patterns.iter().any(|it| it.matches(origin)))
                };
                Self {
                    reader: origin.filter(allowed).cloned(),
                    varies: true,
                }
            }
        }
    }

    /// Says in an answer who may read it, in the place of whatever it said before.
    pub(crate) fn describe(&self, head: &mut ResponseHeader) {
        for name in &OF_ANSWERS {
            head.remove_header(name);
        }
        if self.varies {
            append(head, &VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(reader) = &self.reader {
            append(head, &ACCESS_CONTROL_ALLOW_ORIGIN, reader.clone());
            let exposed = HeaderValue::from_static(EXPOSED);
            append(head, &ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// Says in the answer to a preflight what the page may send: what it asks for. Nothing here trusts a
    /// header because a browser sent it, so that a list would only have to be kept up with the SDKs.
    pub(crate) fn permit(
        &self,
        head: &mut ResponseHeader,
        asked: &HeaderMap,
        methods: &'static str,
    ) {
        if self.reader.is_none() {
            return;
        }
        head.remove_header(&ACCESS_CONTROL_EXPOSE_HEADERS);
        let methods = HeaderValue::from_static(methods);
        append(head, &ACCESS_CONTROL_ALLOW_METHODS, methods);
        for names in asked.get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
            append(head, &ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
        }
        append(
            head,
            &ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE),
        );
        append(
            head,
            &VARY,
            HeaderValue::from_static("Access-Control-Request-Headers"),
        );
    }
}

/// Whether a browser asks what it may send. It sends no key with that.
pub(crate) fn is_preflight(head: &RequestHeader) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn append(head: &mut ResponseHeader, name: &HeaderName, value: HeaderValue) {
    if let Err(error) = head.append_header(name, value) {
        tracing::debug!(%name, %error, "header left out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::snapshot::OriginPattern;

    fn described(cors: &Cors, origin: Option<&'static str>) -> ResponseHeader {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
        }
        let mut head = ResponseHeader::build(200, None).unwrap();
        for name in &OF_ANSWERS {
            append(&mut head, name, HeaderValue::from_static("theirs"));
        }
        append(
            &mut head,
            &VARY,
            HeaderValue::from_static("Accept-Encoding"),
        );
        Sharing::of(cors, &headers).describe(&mut head);
        head
    }

    fn check(cors: &Cors, origin: Option<&'static str>, reader: Option<&str>, vary: &[&str]) {
        let head = described(cors, origin);
        let all = |name: HeaderName| -> Vec<String> {
            let values = head.headers.get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect()
        };
        let what = format!("{cors:?} {origin:?}");
        let readers: Vec<&str> = reader.into_iter().collect();
        assert_eq!(all(ACCESS_CONTROL_ALLOW_ORIGIN), readers, "{what}");
        let exposes = all(ACCESS_CONTROL_EXPOSE_HEADERS).len();
        assert_eq!(exposes, readers.len(), "{what}");
        assert_eq!(all(VARY), vary, "{what}");
        for name in &OF_ANSWERS {
            assert!(!all(name.clone()).contains(&"theirs".to_owned()), "{what}");
        }
    }

    #[test]
    fn an_answer_names_its_reader_once_and_nobody_else() {
        let page = "https://app.example.com";
        let only = Cors::Only(vec![OriginPattern::Exact(page.to_owned())]);
        let plain: &[&str] = &["Accept-Encoding"];
        let varying: &[&str] = &["Accept-Encoding", "Origin"];
        check(&Cors::Off, Some(page), None, plain);
        check(&Cors::Any, Some(page), Some("*"), plain);
        check(&Cors::Any, None, None, plain);
        check(&only, Some(page), Some(page), varying);
        check(&only, Some("https://evil.test"), None, varying);
        check(&only, Some("null"), None, varying);
        check(&only, None, None, varying);
    }
}
