//! Owns HTTP/1.1 as the mock reads and writes it: request heads, bodies in both framings, response heads.
//! Must never buffer more than its limits, or panic on any bytes.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::cmd::mock::answer;

/// The largest request head.
const MAX_HEAD: usize = 64 * 1024;
/// The largest request body.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// The longest line between chunks.
const MAX_CHUNK_LINE: usize = 4 * 1024;
/// The most headers.
const MAX_HEADERS: usize = 256;
/// How far ahead a client may send while it is being answered.
const MAX_AHEAD: usize = 64 * 1024;
/// Room made for each read.
const READ_SIZE: usize = 16 * 1024;

/// A request head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) is_http10: bool,
    framing: Framing,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Sized(usize),
    Chunked,
}

/// Why no request came out of a connection.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The client closed or broke the connection.
    Left,
    /// The bytes are refused with this status and message.
    Refused(u16, &'static str),
}

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct Inbound<R> {
    read: R,
    buffer: BytesMut,
}

// === impl Head ===

impl Head {
    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target
            .split_once('?')
            .map_or(&self.target, |(path, _)| path)
    }

    /// The first value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    /// Whether the connection may carry another request after this one.
    pub(crate) fn keeps_alive(&self) -> bool {
        let asked = |token: &str| {
            let value = self.header("connection").unwrap_or("");
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(token))
        };
        if self.is_http10 {
            asked("keep-alive")
        } else {
            !asked("close")
        }
    }

    /// Whether the client waits for `100 Continue`.
    pub(crate) fn expects_continue(&self) -> bool {
        let expect = self.header("expect");
        expect.is_some_and(|value| value.eq_ignore_ascii_case("100-continue"))
    }

    fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => {
                return Err(Unread::Refused(431, "too many headers"));
            }
            Ok(httparse::Status::Partial) | Err(_) => {
                return Err(Unread::Refused(400, "malformed request head"));
            }
        }
        let headers: Vec<_> = request.headers.iter().map(owned).collect();
        Ok(Self {
            method: request.method.unwrap_or_default().to_owned(),
            target: request.path.unwrap_or_default().to_owned(),
            is_http10: request.version == Some(0),
            framing: Framing::of(&headers)?,
            headers,
        })
    }
}

fn owned(header: &httparse::Header<'_>) -> (String, String) {
    (
        header.name.to_ascii_lowercase(),
        String::from_utf8_lossy(header.value).into_owned(),
    )
}

// === impl Framing ===

impl Framing {
    fn of(headers: &[(String, String)]) -> Result<Self, Unread> {
        let values = |wanted: &'static str| {
            headers
                .iter()
                .filter(move |(name, _)| name == wanted)
                .map(|(_, value)| value)
        };
        let mut lengths = values("content-length");
        let mut codings = values("transfer-encoding");
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Self::Sized(0)),
            (None, Some(coding))
                if coding.eq_ignore_ascii_case("chunked") && codings.next().is_none() =>
            {
                Ok(Self::Chunked)
            }
            (Some(length), None) if lengths.all(|other| other == length) => Self::sized(length),
            _ => Err(Unread::Refused(400, "unclear body framing")),
        }
    }

    fn sized(length: &str) -> Result<Self, Unread> {
        let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
        match length.parse() {
            Ok(length) if length <= MAX_BODY => Ok(Self::Sized(length)),
            _ if is_number => Err(TOO_LARGE),
            _ => Err(Unread::Refused(400, "malformed content-length")),
        }
    }
}

const TOO_LARGE: Unread = Unread::Refused(413, "the body is larger than 64 MiB");

// === impl Inbound ===

impl<R: AsyncRead + Unpin> Inbound<R> {
    /// The reading side of a fresh connection.
    pub(crate) fn new(read: R) -> Self {
        Self {
            read,
            buffer: BytesMut::new(),
        }
    }

    /// Reads the next request head.
    pub(crate) async fn head(&mut self) -> Result<Head, Unread> {
        let mut searched: usize = 0;
        loop {
            let from = searched.saturating_sub(3);
            if let Some(at) = memchr::memmem::find(&self.buffer[from..], b"\r\n\r\n") {
                let head = self.buffer.split_to(from + at + 4);
                return Head::parse(&head);
            }
            searched = self.buffer.len();
            if searched > MAX_HEAD {
                return Err(Unread::Refused(
                    431,
                    "the request head is larger than 64 KiB",
                ));
            }
            self.more().await?;
        }
    }

    /// Whether a body is announced of which nothing is here yet.
    pub(crate) fn awaits_body(&self, head: &Head) -> bool {
        self.buffer.is_empty() && !matches!(head.framing, Framing::Sized(0))
    }

    /// Reads the body of a request.
    pub(crate) async fn body(&mut self, head: &Head) -> Result<Bytes, Unread> {
        match head.framing {
            Framing::Sized(length) => self.exactly(length).await,
            Framing::Chunked => self.chunks().await,
        }
    }

    /// Ends when the client leaves. What it sends meanwhile is kept for the next request; a client that sends
    /// too far ahead is no longer watched. One that shuts its sending side counts as gone.
    pub(crate) async fn departure(&mut self) {
        while self.buffer.len() < MAX_AHEAD {
            if self.more().await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    async fn chunks(&mut self) -> Result<Bytes, Unread> {
        let mut body = BytesMut::new();
        loop {
            let line = self.line().await?;
            let Some(size) = chunk_size(&line) else {
                return Err(Unread::Refused(400, "malformed chunk size"));
            };
            if size == 0 {
                break;
            }
            if size > MAX_BODY - body.len() {
                return Err(TOO_LARGE);
            }
            body.extend_from_slice(&self.exactly(size).await?);
            if !self.line().await?.is_empty() {
                return Err(Unread::Refused(400, "malformed chunk end"));
            }
        }
        self.trailers().await?;
        Ok(body.freeze())
    }

    async fn trailers(&mut self) -> Result<(), Unread> {
        for _ in 0..MAX_HEADERS {
            if self.line().await?.is_empty() {
                return Ok(());
            }
        }
        Err(Unread::Refused(431, "too many trailers"))
    }

    /// The next line, without its end.
    async fn line(&mut self) -> Result<Bytes, Unread> {
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.buffer) {
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(end);
                if line.ends_with(b"\r") {
                    line.truncate(end - 1);
                }
                return Ok(line);
            }
            if self.buffer.len() > MAX_CHUNK_LINE {
                return Err(Unread::Refused(400, "overlong chunk line"));
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Bytes, Unread> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    /// Reads what is there. Cancelling it loses nothing.
    async fn more(&mut self) -> Result<(), Unread> {
        if self.buffer.capacity() - self.buffer.len() < READ_SIZE / 4 {
            self.buffer.reserve(READ_SIZE);
        }
        match self.read.read_buf(&mut self.buffer).await {
            Ok(0) | Err(_) => Err(Unread::Left),
            Ok(_) => Ok(()),
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split(';').next()?.trim();
    let is_hex = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A size that does not fit is far too large; the caller refuses it as such.
    is_hex.then(|| usize::from_str_radix(digits, 16).unwrap_or(usize::MAX))
}

/// How the body of a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outgoing {
    Sized,
    Chunked,
    /// For HTTP/1.0, which knows no chunks.
    UntilClose,
}

/// Writes a response head. `more` are the connection's own headers.
pub(crate) fn write_head(
    out: &mut BytesMut,
    head: &answer::Head,
    framing: Outgoing,
    more: &[(&str, &str)],
) {
    let reason = http::StatusCode::from_u16(head.status).ok();
    let reason = reason
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Unknown");
    let _ = write!(
        out,
        "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\n",
        head.status, head.content_type
    );
    for (name, value) in &head.headers {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    for (name, value) in more {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    let _ = match (framing, head.length) {
        (Outgoing::Sized, length) => write!(out, "content-length: {}\r\n\r\n", length.unwrap_or(0)),
        (Outgoing::Chunked, _) => write!(out, "transfer-encoding: chunked\r\n\r\n"),
        (Outgoing::UntilClose, _) => write!(out, "\r\n"),
    };
}

/// Writes a piece of a body.
pub(crate) fn write_piece(out: &mut BytesMut, piece: &[u8], framing: Outgoing) {
    match framing {
        Outgoing::Chunked => {
            let _ = write!(out, "{:x}\r\n", piece.len());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        Outgoing::Sized | Outgoing::UntilClose => out.extend_from_slice(piece),
    }
}
