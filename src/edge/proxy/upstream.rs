//! Owns one connection's part in one attempt: connect, send head and body, read head, read chunks, give the
//! connection back or drop it. A leaner client can take this file's place without touching another.
//! Must never retry but for a pooled connection that was dead already, or know what the bytes mean.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::connectors::http::Connector as PingoraConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, ErrorType};

use crate::core::outcome::ConnectFault;
use crate::edge::dns::Resolver;
use crate::edge::generation::Place;
use crate::wire::rope::Rope;

/// An idle pooled connection is closed after this long.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// The longest one write of a request may block before the connection counts as lost.
const WRITE_STALL: Duration = Duration::from_secs(20);
/// A reused connection that dies this soon after the request was written was dead before it: the request
/// cannot have been worked on, so sending it again costs nobody anything (design section 4).
const DEAD_ALREADY: Duration = Duration::from_secs(1);
/// At most this many dead pooled connections are passed over for one attempt.
const MOST_DEAD: usize = 8;
/// After its end marker, how long a finished answer's framing may take to end, so that the connection can
/// be used again.
const TRAILER_WAIT: Duration = Duration::from_millis(50);

/// Opens connections to upstreams, and keeps idle ones.
pub struct Connector {
    pool: PingoraConnector,
    resolver: Resolver,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// A request on its way to one upstream.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) head: Box<RequestHeader>,
    pub(crate) body: Rope,
}

/// A connection that carries one attempt.
pub(crate) struct Connection {
    session: HttpSession,
    peer: Arc<HttpPeer>,
    reused: bool,
    written: Option<Instant>,
}

/// Established, and then broken.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The connection was dead before this request used it.
    pub(crate) stale: bool,
    pub(crate) cause: BError,
}

impl Connector {
    /// A connector with a pool of its own.
    pub fn new() -> Self {
        Self {
            pool: PingoraConnector::new(None),
            resolver: Resolver::default(),
        }
    }

    /// A connection to the place, pooled or new. The caller's deadline bounds the wait.
    pub(crate) async fn connect(&self, place: &Place) -> Result<Connection, ConnectFault> {
        let peer = self.locate(place).await?;
        let (mut session, reused) = self
            .pool
            .get_http_session(&*peer)
            .await
            .map_err(|error| fault(&error))?;
        session.set_write_timeout(Some(WRITE_STALL));
        Ok(Connection {
            session,
            peer,
            reused,
            written: None,
        })
    }

    async fn locate(&self, place: &Place) -> Result<Arc<HttpPeer>, ConnectFault> {
        match place {
            Place::Address(peer) => Ok(peer.clone()),
            Place::Host { name, port, peer } => {
                let address = self
                    .resolver
                    .resolve(name, *port)
                    .await
                    .map_err(|error| dns_fault(&error))?;
                let mut peer = HttpPeer::clone(peer);
                peer._address = address.into();
                Ok(Arc::new(peer))
            }
        }
    }

    /// Keeps the connection of an answer that is read to its end, drops any other.
    pub(crate) async fn release(&self, mut connection: Connection) {
        if !connection.session.response_done() {
            let rest = tokio::time::timeout(TRAILER_WAIT, connection.read_to_end()).await;
            if !matches!(rest, Ok(true)) {
                return;
            }
        }
        self.pool
            .release_http_session(connection.session, &*connection.peer, Some(POOL_IDLE))
            .await;
    }

    /// Sends the request and reads the answer's head, on another connection where a pooled one was dead.
    pub(crate) async fn head_after_stale(
        &self,
        place: &Place,
        outgoing: &Outgoing,
        mut lost: Lost,
    ) -> Result<(Connection, ResponseHeader), Lost> {
        for _ in 0..MOST_DEAD {
            let Ok(mut connection) = self.connect(place).await else {
                break;
            };
            match connection.exchange(outgoing).await {
                Ok(head) => return Ok((connection, head)),
                Err(error) if error.stale => lost = error,
                Err(error) => return Err(error),
            }
        }
        Err(lost)
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Connection {
    /// Writes the whole request.
    pub(crate) async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Lost> {
        let result = self.write(outgoing).await;
        self.written = Some(Instant::now());
        result.map_err(|cause| self.lost(cause))
    }

    async fn write(&mut self, outgoing: &Outgoing) -> Result<(), BError> {
        self.session
            .write_request_header(outgoing.head.clone())
            .await?;
        let segments = outgoing.body.segments();
        for (position, segment) in segments.iter().enumerate() {
            let last = position + 1 == segments.len();
            self.session
                .write_request_body(segment.clone(), last)
                .await?;
        }
        self.session.finish_request_body().await
    }

    /// Reads the head of the answer, past interim ones.
    pub(crate) async fn read_head(&mut self) -> Result<ResponseHeader, Lost> {
        loop {
            if let Err(cause) = self.session.read_response_header().await {
                return Err(self.lost(cause));
            }
            match self.session.response_header() {
                Some(head) if head.status.is_informational() => {}
                Some(head) => return Ok(head.clone()),
                None => {
                    let cause = pingora::Error::explain(ErrorType::ReadError, "no head was read");
                    return Err(self.lost(cause));
                }
            }
        }
    }

    async fn exchange(&mut self, outgoing: &Outgoing) -> Result<ResponseHeader, Lost> {
        self.send(outgoing).await?;
        self.read_head().await
    }

    /// The next bytes of the body, `None` at its end.
    pub(crate) async fn read_chunk(&mut self) -> Result<Option<Bytes>, Lost> {
        match self.session.read_response_body().await {
            Ok(chunk) => Ok(chunk),
            Err(cause) => Err(Lost {
                stale: false,
                cause,
            }),
        }
    }

    async fn read_to_end(&mut self) -> bool {
        loop {
            match self.read_chunk().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.session.response_done(),
                Err(_) => return false,
            }
        }
    }

    fn lost(&self, cause: BError) -> Lost {
        let soon = self
            .written
            .is_none_or(|written| written.elapsed() < DEAD_ALREADY);
        Lost {
            stale: self.reused && soon && is_dead(&cause),
            cause,
        }
    }
}

/// Whether the error says that the peer had gone, and nothing of an answer had come.
fn is_dead(cause: &BError) -> bool {
    matches!(
        cause.etype(),
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError
    )
}

fn fault(error: &BError) -> ConnectFault {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => ConnectFault::TimedOut,
        ErrorType::TLSHandshakeFailure
        | ErrorType::TLSWantX509Lookup
        | ErrorType::InvalidCert
        | ErrorType::HandshakeError => ConnectFault::Tls,
        ErrorType::SocketError | ErrorType::BindError | ErrorType::InternalError => {
            ConnectFault::Local
        }
        ErrorType::ConnectNoRoute => ConnectFault::Local,
        _ => match out_of_descriptors(error) {
            true => ConnectFault::Local,
            false => ConnectFault::Refused,
        },
    }
}

/// `EMFILE` and `ENFILE` arrive as a plain connect error: the cause tells.
fn out_of_descriptors(error: &BError) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    let cause = error.cause.as_deref();
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    io.and_then(std::io::Error::raw_os_error)
        .is_some_and(|code| code == EMFILE || code == ENFILE)
}

fn dns_fault(error: &std::io::Error) -> ConnectFault {
    match error.raw_os_error() {
        Some(_) => ConnectFault::Local,
        None => ConnectFault::Dns,
    }
}
