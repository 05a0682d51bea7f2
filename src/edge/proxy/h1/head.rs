//! Owns the head of an answer in HTTP/1.1, read once: how its body ends, and whether the connection stays.
//! Must never guess at a head that can be read in two ways.

use std::mem::MaybeUninit;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use httparse::{Header, ParserConfig, Response};

use super::Malformed;
use super::framing::Body;
use crate::edge::proxy::head::Head;

/// The longest head. Providers' heads stay under 4 KiB, and nginx takes 8 from an upstream.
const LONGEST: usize = 64 * 1024;
/// The most headers of one; Pingora's own limit.
const MOST_HEADERS: usize = 256;

/// What a head says beside what every protocol's says.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    pub(super) head: Head,
    pub(super) body: Body,
    /// Whether the connection may be used again.
    pub(super) persists: bool,
    /// How long the upstream keeps it.
    pub(super) idle: Option<Duration>,
    /// The head's own bytes.
    raw: Bytes,
}

// === impl Answered ===

impl Answered {
    /// Takes a head from the bytes that have come; `None` until it is whole.
    pub(super) fn take(buffer: &mut BytesMut) -> Result<Option<Self>, Malformed> {
        let mut headers = [MaybeUninit::uninit(); MOST_HEADERS];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, buffer, &mut headers)
            .map_err(|_| Malformed("an answer's head"))?;
        let httparse::Status::Complete(length) = parsed else {
            return match buffer.len() > LONGEST {
                true => Err(TOO_LONG),
                false => Ok(None),
            };
        };
        if length > LONGEST {
            return Err(TOO_LONG);
        }
        let code = response.code.unwrap_or_default();
        let status = StatusCode::from_u16(code).map_err(|_| Malformed("an answer's status"))?;
        let mut lines = Lines::default();
        let mut head = Head::new(status);
        for header in response.headers.iter() {
            lines.note(header)?;
            head.note(header.name, header.value);
        }
        let is_1_1 = response.version == Some(1);
        Ok(Some(Self {
            head,
            body: lines.body(status)?,
            persists: lines.persists(is_1_1),
            idle: lines.idle,
            raw: buffer.split_to(length).freeze(),
        }))
    }

    /// All headers. Few answers are asked for them: they are read again rather than kept.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut response = Response::new(&mut headers);
        // What is left out of the map could not be read the first time either.
        response.parse(&self.raw).ok();
        let pairs = response.headers.iter().filter_map(|header| {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(header.value).ok()?))
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        map
    }
}

const TOO_LONG: Malformed = Malformed("an answer's head is too long");

/// What the headers say of the body's end and of the connection.
#[derive(Debug, Default)]
struct Lines {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    idle: Option<Duration>,
}

impl Lines {
    fn note(&mut self, header: &Header<'_>) -> Result<(), Malformed> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // By length first: most headers are none of these.
        match header.name.len() {
            14 if is("content-length") => self.note_length(header.value),
            17 if is("transfer-encoding") => self.note_coding(header.value),
            10 if is("connection") => {
                for word in words(header.value) {
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
                Ok(())
            }
            10 if is("keep-alive") => {
                self.idle = words(header.value).find_map(timeout);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One length may be said more than once (RFC 9110, 8.6).
    fn note_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for word in value.split(|byte| *byte == b',') {
            let length = number(word.trim_ascii()).ok_or(Malformed("a content-length"))?;
            if self.length.is_some_and(|known| known != length) {
                return Err(Malformed("two content-lengths"));
            }
            self.length = Some(length);
        }
        Ok(())
    }

    /// No coding was offered, so that only chunks can be read (RFC 9112, 6.1).
    fn note_coding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let is_known = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
        if !is_known || self.chunked {
            return Err(Malformed("a transfer-encoding"));
        }
        self.chunked = true;
        Ok(())
    }

    /// How the body ends (RFC 9112, 6.3). Both a length and chunks is what smuggled answers look like.
    fn body(&self, status: StatusCode) -> Result<Body, Malformed> {
        if self.chunked && self.length.is_some() {
            return Err(Malformed("a content-length beside chunks"));
        }
        let has_none = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(match (self.chunked, self.length) {
            _ if has_none => Body::Over,
            (true, _) => Body::CHUNKED,
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        })
    }

    /// HTTP/1.1 keeps connections unless told not to, HTTP/1.0 where told to, and never after chunks, which
    /// it does not know (RFC 9112, 6.1 and 9.3).
    fn persists(&self, is_1_1: bool) -> bool {
        !self.close && (is_1_1 || (self.keep_alive && !self.chunked))
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// The seconds of `timeout=5`.
fn timeout(parameter: &[u8]) -> Option<Duration> {
    let seconds = parameter.strip_prefix(b"timeout=")?;
    number(seconds).map(Duration::from_secs)
}

/// Digits and nothing else.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok()?;
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
