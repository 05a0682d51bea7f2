//! Owns what the head of an answer says that an attempt needs, whatever protocol brought it. Must never keep a
//! header that nobody reads.

use http::StatusCode;

use crate::edge::proxy::decode::Coding;
use crate::wire::rate_headers::is_of_limits;

/// What was read of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    content: Option<Content>,
    coding: Option<Coding>,
    /// It tells of the upstream's limits.
    pub(crate) limits: bool,
}

/// What a head says of the body of a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    Events,
    Other,
}

// === impl Head ===

impl Head {
    /// A head without headers.
    pub(crate) fn new(status: StatusCode) -> Self {
        Self {
            status,
            content: None,
            coding: None,
            limits: false,
        }
    }

    /// Takes a header in.
    pub(crate) fn note(&mut self, name: &str, value: &[u8]) {
        // By length first: of some twenty headers of an answer few are wanted.
        match name.len() {
            12 if self.content.is_none() && name.eq_ignore_ascii_case("content-type") => {
                self.content = Some(content(value));
            }
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                self.coding = Some(match self.coding {
                    None => Coding::named(value),
                    Some(_) => Coding::Unknown,
                });
            }
            _ => self.limits |= is_of_limits(name),
        }
    }

    /// What the body is. Providers name streams in many ways; what calls itself a document is none.
    pub(crate) fn content(self) -> Content {
        self.content.unwrap_or(Content::Events)
    }

    /// How the body is coded.
    pub(crate) fn coding(self) -> Coding {
        self.coding.unwrap_or(Coding::Plain)
    }
}

fn content(kind: &[u8]) -> Content {
    let named = |name: &[u8]| {
        let start = kind.get(..name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name))
    };
    match named(b"application/json") || named(b"text/html") {
        true => Content::Other,
        false => Content::Events,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Head {
        let mut head = Head::new(StatusCode::OK);
        for (name, value) in headers {
            head.note(name, value.as_bytes());
        }
        head
    }

    #[test]
    fn a_document_is_no_stream() {
        let check = |kind: &str, expected: Content| {
            let head = head(&[("Content-Type", kind), ("content-type", "ignored")]);
            assert_eq!(head.content(), expected, "{kind}");
        };
        check("application/json; charset=utf-8", Content::Other);
        check("Text/HTML", Content::Other);
        check("text/event-stream", Content::Events);
        check("application/x-ndjson", Content::Events);
        check("", Content::Events);
        assert_eq!(head(&[]).content(), Content::Events);
    }

    #[test]
    fn a_head_that_tells_of_limits_is_known() {
        assert!(!head(&[("x-request-id", "r")]).limits);
        assert!(head(&[("X-RateLimit-Remaining-Requests", "3")]).limits);
    }

    #[test]
    fn a_head_names_its_coding_once() {
        assert_eq!(head(&[]).coding(), Coding::Plain);
        let one = [("Content-Encoding", "gzip")];
        assert_eq!(head(&one).coding(), Coding::Gzip);
        let two = [("content-encoding", "gzip"), ("Content-Encoding", "gzip")];
        assert_eq!(head(&two).coding(), Coding::Unknown);
    }
}
