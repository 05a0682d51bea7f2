//! Owns one connection while it carries a request and its answer. An answer that comes while the request is
//! still being written is read at once: both go on in turn, on one task. Must never hold more than a head and
//! one read of what an upstream sends.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use pingora::protocols::Stream;
use pingora::{BError, Error, ErrorType};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Malformed;
use super::framing::{Body, Piece};
use super::head::Answered;
use crate::edge::proxy::head::Head;
use crate::edge::proxy::upload::{Upload, WRITE_STALL};
use crate::wire::rope::Rope;

/// The room for what comes, at first: a head with a short answer, or some twenty events.
const ROOM: usize = 8 * 1024;
/// The room where more is known to come, and the most that one read takes.
const MORE_ROOM: usize = 64 * 1024;
/// Where less room than this is left, the next read gets new room.
const TIGHT: usize = 2 * 1024;
/// How many pieces go out in one write. The rope of a request has a handful.
const SLICES: usize = 16;

/// One connection with one request on it.
pub(crate) struct Session {
    stream: Stream,
    /// What has come and is not read yet.
    buffer: BytesMut,
    answer: Option<Answered>,
    body: Body,
    /// An interim head has come.
    interim: bool,
    /// The upstream has ended its side.
    closed: bool,
}

/// What breaks on a connection.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The socket, or TLS, failed.
    Io(&'static str, io::Error),
    /// The upstream closed in the middle.
    Closed,
    /// A write waited for too long.
    Stalled,
    Malformed(Malformed),
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl Broken {
    /// Whether the connection failed, rather than what came over it or did not.
    pub(crate) fn is_of_connection(&self) -> bool {
        match self {
            Broken::Io(..) | Broken::Closed => true,
            Broken::Stalled | Broken::Malformed(_) => false,
        }
    }
}

impl From<Broken> for BError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Io(doing, error) => Error::because(ErrorType::ReadError, doing, error),
            Broken::Closed => Error::explain(ErrorType::ConnectionClosed, "in an answer"),
            Broken::Stalled => Error::explain(ErrorType::WriteTimedout, "writing the request"),
            Broken::Malformed(Malformed(what)) => {
                Error::explain(ErrorType::InvalidHTTPHeader, what)
            }
        }
    }
}

/// A request being written: its head, then its body.
struct Rest<'a> {
    head: &'a [u8],
    body: &'a [Bytes],
    /// How much of the first of `body` is written.
    done: usize,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            answer: None,
            body: Body::Over,
            interim: false,
            closed: false,
        }
    }

    /// Writes a request. It stops where an answer comes that refuses it.
    pub(crate) async fn send(&mut self, head: &[u8], body: &Rope) -> Result<Upload, Broken> {
        let mut rest = Rest {
            head,
            body: body.segments(),
            done: 0,
        };
        while !rest.is_empty() {
            let progress = poll_fn(|context| self.poll_send(context, &mut rest));
            let progress = tokio::time::timeout(WRITE_STALL, progress).await;
            if progress.map_err(|_| Broken::Stalled)?? == Upload::Refused {
                return Ok(Upload::Refused);
            }
        }
        // TLS keeps what the socket did not take.
        match tokio::time::timeout(WRITE_STALL, self.stream.flush()).await {
            Ok(flushed) => flushed.map_err(written)?,
            Err(_) => return Err(Broken::Stalled),
        }
        Ok(Upload::Whole)
    }

    /// Writes some of the rest. Where there is more than the socket takes, an answer is looked for.
    fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        rest: &mut Rest<'_>,
    ) -> Poll<Result<Upload, Broken>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let slices = rest.slices(&mut slices);
        let wrote = match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Ready(Ok(0)) => {
                return Poll::Ready(Err(written(io::ErrorKind::WriteZero.into())));
            }
            Poll::Ready(Ok(count)) => {
                rest.advance(count);
                true
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(written(error))),
            Poll::Pending => false,
        };
        if rest.is_empty() {
            return Poll::Ready(Ok(Upload::Whole));
        }
        match self.poll_early(context) {
            Poll::Ready(Ok(status)) if !status.is_success() => Poll::Ready(Ok(Upload::Refused)),
            Poll::Ready(Err(broken)) => Poll::Ready(Err(broken)),
            // A success is believed, and what it is a success of is finished.
            Poll::Ready(Ok(_)) | Poll::Pending if wrote => Poll::Ready(Ok(Upload::Whole)),
            Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        }
    }

    /// Reads towards a head that comes before the request is written.
    fn poll_early(&mut self, context: &mut Context<'_>) -> Poll<Result<StatusCode, Broken>> {
        loop {
            if let Some(answer) = &self.answer {
                return Poll::Ready(Ok(answer.head.status));
            }
            if self.take_head()? {
                continue;
            }
            ready!(pin!(self.read_more()).poll(context))?;
        }
    }

    /// Reads the head of the answer, past interim ones.
    pub(crate) async fn read_head(&mut self) -> Result<Head, Broken> {
        loop {
            if let Some(answer) = &self.answer {
                return Ok(answer.head);
            }
            if !self.take_head()? {
                self.read_more().await?;
            }
        }
    }

    /// Takes a head from what has come. False: more is needed.
    fn take_head(&mut self) -> Result<bool, Malformed> {
        if self.buffer.is_empty() {
            return Ok(false);
        }
        let Some(answer) = Answered::take(&mut self.buffer)? else {
            return Ok(false);
        };
        match answer.head.status {
            StatusCode::SWITCHING_PROTOCOLS => Err(Malformed("a switch of protocols")),
            status if status.is_informational() => {
                self.interim = true;
                Ok(true)
            }
            _ => {
                self.body = answer.body;
                self.answer = Some(answer);
                Ok(true)
            }
        }
    }

    /// All headers of the answer.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.answer
            .as_ref()
            .map(Answered::headers)
            .unwrap_or_default()
    }

    /// The next bytes of the answer's body, `None` at its end.
    pub(crate) async fn read_chunk(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            match self.body.next(&mut self.buffer)? {
                Piece::Data(data) => return Ok(Some(data)),
                Piece::End => return Ok(None),
                Piece::More => match self.read_more().await {
                    Err(Broken::Closed) if self.body.ends_with_connection() => return Ok(None),
                    read => read?,
                },
            }
        }
    }

    /// Whether the whole answer has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_some() && self.body.is_over()
    }

    /// Whether not a byte of an answer has come.
    pub(crate) fn is_silent(&self) -> bool {
        self.answer.is_none() && !self.interim && self.buffer.is_empty()
    }

    /// The connection, for another request, with how long the upstream keeps it where it says so; `None` where
    /// the answer is not whole, more than the answer came, or the upstream does not keep connections.
    pub(crate) fn into_idle(self) -> Option<(Stream, Option<Duration>)> {
        let is_clean = self.is_over() && self.buffer.is_empty() && !self.closed;
        let answer = self.answer.filter(|answer| is_clean && answer.persists)?;
        Some((self.stream, answer.idle))
    }

    async fn read_more(&mut self) -> Result<(), Broken> {
        if self.buffer.capacity() - self.buffer.len() < TIGHT {
            let room = match self.body.expected() > ROOM as u64 {
                true => MORE_ROOM,
                false => ROOM,
            };
            self.buffer.reserve(room);
        }
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => {
                self.closed = true;
                Err(Broken::Closed)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                self.closed = true;
                Err(Broken::Io("reading the answer", error))
            }
        }
    }
}

fn written(error: io::Error) -> Broken {
    Broken::Io("writing the request", error)
}

// === impl Rest ===

impl Rest<'_> {
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    /// What is next, as far as one write takes it.
    fn slices<'s>(&'s self, room: &'s mut [IoSlice<'s>; SLICES]) -> &'s [IoSlice<'s>] {
        let body = self.body.iter().map(AsRef::as_ref);
        let mut skip = self.done;
        let body = body.map(|segment| segment.get(std::mem::take(&mut skip)..).unwrap_or_default());
        let mut count = 0;
        for (slot, part) in room.iter_mut().zip(std::iter::once(self.head).chain(body)) {
            *slot = IoSlice::new(part);
            count += 1;
        }
        &room[..count]
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len());
        self.head = &self.head[of_head..];
        self.done += count - of_head;
        while let Some((first, others)) = self.body.split_first()
            && self.done >= first.len()
        {
            self.done -= first.len();
            self.body = others;
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
