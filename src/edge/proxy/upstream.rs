//! Owns one connection's part in one attempt: send head and body, read head, read chunks, whatever protocol it
//! speaks. Must never retry, or know what the bytes mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora::protocols::http::v2::client::Http2Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorType};

use crate::edge::balance::Standing;
use crate::edge::proxy::decode::Decoder;
use crate::edge::proxy::h1::{Broken, Key, Session};
use crate::edge::proxy::head::Head;
use crate::edge::proxy::http2;
use crate::edge::proxy::upload::Upload;
use crate::edge::template::Template;
use crate::wire::rope::Rope;

/// A reused connection that dies this soon after the request was written was dead before it: the request
/// cannot have been worked on, so sending it again costs nobody anything (design section 4).
const DEAD_ALREADY: Duration = Duration::from_secs(1);

/// A request on its way to one upstream.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) template: Arc<Template>,
    pub(crate) accept: &'static str,
    /// What of the client's headers goes on.
    pub(crate) forwarded: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Rope,
}

/// A connection that carries one attempt.
pub(crate) struct Connection {
    pub(super) wire: Wire,
    pub(super) peer: Arc<HttpPeer>,
    /// Where it is kept once it is idle.
    pub(super) key: Key,
    reused: bool,
    began: Instant,
    /// When the whole request was written. Until then the connection must never be used for another.
    written: Option<Instant>,
    /// Where the answer is compressed.
    decoder: Option<Decoder>,
    /// Of its address, where it is one of several.
    standing: Option<Arc<Standing>>,
}

/// What a connection speaks.
pub(super) enum Wire {
    H1(Session),
    H2(Box<http2::Stream>),
}

/// Established, and then broken.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The upstream cannot have worked on the request: the connection was dead before, or the upstream says so.
    pub(crate) stale: bool,
    /// The upstream wants the request over HTTP/1.1.
    pub(crate) wants_h1: bool,
    /// What came cannot be read.
    pub(crate) is_malformed: bool,
    pub(crate) cause: BError,
}

/// Why a connection broke.
enum Cause {
    H1(Broken),
    H2(BError),
}

// === impl Wire ===

impl Wire {
    pub(super) fn h1(stream: pingora::protocols::Stream) -> Self {
        Self::H1(Session::new(stream))
    }

    pub(super) fn h2(session: Http2Session) -> Self {
        Self::H2(Box::new(http2::Stream::new(session)))
    }

    async fn send(&mut self, outgoing: &Outgoing) -> Result<Upload, Cause> {
        match self {
            Wire::H1(session) => {
                let Outgoing {
                    accept,
                    forwarded,
                    body,
                    ..
                } = outgoing;
                let head = outgoing.template.with(accept, body.len(), forwarded);
                session.send(&head, body).await.map_err(Cause::H1)
            }
            Wire::H2(stream) => Box::pin(stream.send(outgoing)).await.map_err(Cause::H2),
        }
    }

    async fn read_head(&mut self) -> Result<Head, Cause> {
        match self {
            Wire::H1(session) => session.read_head().await.map_err(Cause::H1),
            Wire::H2(stream) => stream.read_head().await.map_err(Cause::H2),
        }
    }

    async fn read_chunk(&mut self) -> Result<Option<Bytes>, Cause> {
        match self {
            Wire::H1(session) => session.read_chunk().await.map_err(Cause::H1),
            Wire::H2(stream) => stream.read_chunk().await.map_err(Cause::H2),
        }
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(wire: Wire, peer: Arc<HttpPeer>, key: Key, reused: bool) -> Self {
        Self {
            wire,
            peer,
            key,
            reused,
            began: Instant::now(),
            written: None,
            decoder: None,
            standing: None,
        }
    }

    /// Reports to the standing of its address.
    pub(super) fn follow(&mut self, standing: Arc<Standing>) {
        self.standing = Some(standing);
    }

    /// Writes the whole request.
    pub(crate) async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Lost> {
        self.began = Instant::now();
        match self.wire.send(outgoing).await {
            // It is heard now, and its connection never used again: the request was not sent whole.
            Ok(Upload::Refused) => Ok(()),
            Ok(Upload::Whole) => {
                self.written = Some(Instant::now());
                Ok(())
            }
            Err(cause) => Err(self.lost(cause)),
        }
    }

    /// Reads the head of the answer, past interim ones.
    pub(crate) async fn read_head(&mut self) -> Result<Head, Lost> {
        let head = match self.wire.read_head().await {
            Ok(head) => head,
            Err(cause) => return Err(self.lost(cause)),
        };
        if let Some(standing) = &self.standing {
            standing.succeed();
        }
        self.decoder = Decoder::new(head.coding());
        Ok(head)
    }

    /// All headers of the answer whose head was read.
    pub(crate) fn headers(&self) -> HeaderMap {
        match &self.wire {
            Wire::H1(session) => session.headers(),
            Wire::H2(stream) => stream.headers(),
        }
    }

    /// Whether the request left as a whole.
    pub(super) fn is_written(&self) -> bool {
        self.written.is_some()
    }

    /// Whether the answer came as a whole.
    pub(super) fn is_over(&self) -> bool {
        match &self.wire {
            Wire::H1(session) => session.is_over(),
            Wire::H2(stream) => stream.session.response_finished(),
        }
    }

    /// The next bytes of the body, decoded, `None` at its end.
    pub(crate) async fn read_chunk(&mut self) -> Result<Option<Bytes>, Lost> {
        loop {
            if let Some(decoder) = &mut self.decoder
                && let Some(piece) = decoder.next().map_err(undecodable)?
            {
                return Ok(Some(piece));
            }
            match (self.read_coded().await?, &mut self.decoder) {
                (Some(chunk), Some(decoder)) => decoder.push(chunk),
                (None, Some(decoder)) => {
                    decoder.end().map_err(undecodable)?;
                    return Ok(None);
                }
                (chunk, None) => return Ok(chunk),
            }
        }
    }

    async fn read_coded(&mut self) -> Result<Option<Bytes>, Lost> {
        self.wire.read_chunk().await.map_err(|cause| {
            self.blame();
            cut(cause)
        })
    }

    /// Reads on to the end. Returns whether it came.
    pub(super) async fn read_to_end(&mut self) -> bool {
        loop {
            match self.read_coded().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.is_over(),
                Err(_) => return false,
            }
        }
    }

    fn lost(&self, cause: Cause) -> Lost {
        let fresh = self.written.unwrap_or(self.began).elapsed() < DEAD_ALREADY;
        let (untouched, wants_h1) = match (&self.wire, &cause) {
            (Wire::H1(session), Cause::H1(broken)) => (
                session.is_silent() && broken.is_of_connection() && fresh,
                false,
            ),
            (Wire::H2(stream), Cause::H2(error)) => (
                !stream.answered && stream.was_untouched(error, fresh),
                !stream.answered && http2::wants_h1(error),
            ),
            (Wire::H1(_), Cause::H2(_)) | (Wire::H2(_), Cause::H1(_)) => (false, false),
        };
        let stale = self.reused && untouched;
        if !stale && !wants_h1 {
            self.blame();
        }
        Lost {
            stale,
            wants_h1,
            ..cut(cause)
        }
    }

    /// The address broke what it had accepted: others are tried first for a while.
    fn blame(&self) {
        if let Some(standing) = &self.standing {
            standing.fail(None);
        }
    }
}

fn undecodable(error: std::io::Error) -> Lost {
    let cause = Error::because(ErrorType::ReadError, "decoding the answer", error);
    Lost {
        is_malformed: true,
        ..cut(Cause::H2(cause))
    }
}

/// What breaks once an answer has begun is never silently sent again.
fn cut(cause: Cause) -> Lost {
    let is_malformed = matches!(cause, Cause::H1(Broken::Malformed(_)));
    Lost {
        stale: false,
        wants_h1: false,
        is_malformed,
        cause: match cause {
            Cause::H1(broken) => broken.into(),
            Cause::H2(error) => error,
        },
    }
}
