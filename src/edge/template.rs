//! Owns the head of all requests to an endpoint, prepared: of some ten lines two or three differ between requests.
//! Must never hold what belongs to one request.

use std::fmt;
use std::io::Write;

use http::header::{ACCEPT, CONTENT_LENGTH};
use http::{HeaderName, HeaderValue};
use pingora::http::RequestHeader;

/// The head of all requests to an endpoint but for what differs: written once, sent often.
#[derive(Clone)]
pub struct Template {
    head: RequestHeader,
    /// As bytes, the key among them.
    lines: Vec<u8>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold the key.
        let path = self.head.raw_path().split(|byte| *byte == b'?').next();
        let path = String::from_utf8_lossy(path.unwrap_or_default());
        f.debug_struct("Template")
            .field("path", &path)
            .finish_non_exhaustive()
    }
}

// === impl Template ===

impl Template {
    /// Of a head that is complete but for the lines each request adds.
    pub fn new(mut head: RequestHeader) -> Self {
        for name in [ACCEPT, CONTENT_LENGTH] {
            head.remove_header(&name);
        }
        let path = head.raw_path();
        let mut lines = Vec::with_capacity(512);
        for part in [
            head.method.as_str().as_bytes(),
            b" ",
            path,
            b" HTTP/1.1\r\n",
        ] {
            lines.extend_from_slice(part);
        }
        head.header_to_h1_wire(&mut lines);
        Self { head, lines }
    }

    /// The same for another path; `None` where that is no path, or the same.
    pub(crate) fn moved(&self, path: &str) -> Option<Self> {
        if self.head.raw_path() == path.as_bytes() {
            return None;
        }
        let mut head = self.head.clone();
        head.set_raw_path(path.as_bytes()).ok()?;
        Some(Self::new(head))
    }

    /// As another protocol needs it.
    pub fn head(&self) -> &RequestHeader {
        &self.head
    }

    /// The bytes of a head with these lines added.
    pub fn with(&self, accept: &str, length: usize, more: &[(HeaderName, HeaderValue)]) -> Vec<u8> {
        let added = more
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4);
        let mut lines = Vec::with_capacity(self.lines.len() + 80 + added.sum::<usize>());
        lines.extend_from_slice(&self.lines);
        add(&mut lines, "accept", accept.as_bytes());
        // Writing to memory cannot fail.
        write!(lines, "content-length: {length}\r\n").ok();
        for (name, value) in more {
            add(&mut lines, name.as_str(), value.as_bytes());
        }
        lines.extend_from_slice(b"\r\n");
        lines
    }
}

fn add(lines: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        lines.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown() {
        let mut head = RequestHeader::build("POST", b"/v1/embeddings?key=sk-1", None).unwrap();
        head.insert_header("authorization", "Bearer sk-1").unwrap();
        let template = Template::new(head);
        let shown = format!("{template:?}");
        assert_eq!(shown, r#"Template { path: "/v1/embeddings", .. }"#);
    }

    #[test]
    fn a_request_adds_its_own_lines_to_what_is_always_the_same() {
        let mut head = RequestHeader::build("POST", b"/v1/chat/completions", None).unwrap();
        head.insert_header("host", "upstream.test").unwrap();
        head.insert_header("Accept", "of a configuration").unwrap();
        head.insert_header("X-Own-Case", "1").unwrap();
        let template = Template::new(head);
        let more = [(
            HeaderName::from_static("user-agent"),
            HeaderValue::from_static("t"),
        )];
        let head = String::from_utf8(template.with("text/event-stream", 12, &more)).unwrap();
        let mut lines: Vec<&str> = head.split("\r\n").collect();
        assert_eq!(lines.remove(0), "POST /v1/chat/completions HTTP/1.1");
        assert_eq!(lines.split_off(lines.len() - 2), ["", ""]);
        lines.sort_unstable();
        let expected = [
            "X-Own-Case: 1",
            "accept: text/event-stream",
            "content-length: 12",
            "host: upstream.test",
            "user-agent: t",
        ];
        assert_eq!(lines, expected);
    }
}
