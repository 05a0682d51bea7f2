//! Owns one connection's part in one attempt: connect, send head and body, read head, read chunks, give the
//! connection back or drop it. A leaner client can take this file's place without touching another.
//! Must never retry, or know what the bytes mean.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pingora::connectors::http::Connector as PingoraConnector;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v2::client::Http2Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{BError, Error, ErrorType};

use crate::core::outcome::ConnectFault;
use crate::edge::balance::{Standing, by_standing};
use crate::edge::dns::{Resolver, Unresolved};
use crate::edge::peer::{Place, located};
use crate::edge::proxy::decode::{Coding, Decoder};
use crate::edge::proxy::http2::{self, Unanswered};
use crate::edge::proxy::upload::{self, Upload, WRITE_STALL, upload};
use crate::wire::rope::Rope;

/// An idle pooled connection is closed after this long.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// A reused connection that dies this soon after the request was written was dead before it: the request
/// cannot have been worked on, so sending it again costs nobody anything (design section 4).
const DEAD_ALREADY: Duration = Duration::from_secs(1);
/// Where a host has more addresses, how long one of them may take to accept before the next is tried.
const ADDRESS: Duration = Duration::from_millis(750);
/// After its end marker, how long a finished answer's framing may take to end, so that the connection can
/// be used again.
const TRAILER_WAIT: Duration = Duration::from_millis(50);

/// Opens connections to upstreams, and keeps idle ones.
pub struct Connector {
    pool: PingoraConnector,
    resolver: Arc<Resolver>,
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

/// Which connection an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    Allowed,
    /// Only a new one.
    Never,
}

/// A connection that carries one attempt.
pub(crate) struct Connection {
    session: HttpSession,
    peer: Arc<HttpPeer>,
    reused: bool,
    began: Instant,
    /// The head left us. An h2 stream without it has nothing to read.
    opened: bool,
    /// The answer's side has failed while the request was still being written.
    unreadable: bool,
    /// When the whole request was written. Until then the connection must never be used for another.
    written: Option<Instant>,
    /// Something of an answer has come.
    answered: bool,
    /// On h2, once the request was written.
    unanswered: Option<Unanswered>,
    /// Where the answer is compressed.
    decoder: Option<Decoder>,
    /// Of its address, where it is one of several.
    standing: Option<Arc<Standing>>,
}

/// Established, and then broken.
#[derive(Debug)]
pub(crate) struct Lost {
    /// The upstream cannot have worked on the request: the connection was dead before, or the upstream says so.
    pub(crate) stale: bool,
    /// The upstream wants the request over HTTP/1.1.
    pub(crate) wants_h1: bool,
    /// All of it came, and it cannot be decoded.
    pub(crate) is_malformed: bool,
    pub(crate) cause: BError,
}

impl Connector {
    /// A connector with a pool of its own.
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self {
            pool: PingoraConnector::new(None),
            resolver,
        }
    }

    /// A connection to the place. The caller's deadline bounds the wait.
    pub(crate) async fn connect(
        &self,
        place: &Place,
        reuse: Reuse,
    ) -> Result<Connection, ConnectFault> {
        let (name, port, peer, checked) = match place {
            Place::Address(peer) => return self.open(peer.clone(), reuse).await,
            Place::Listed(listed) => return self.open_listed(listed, reuse).await,
            Place::Host {
                name,
                port,
                peer,
                checked,
            } => (name, *port, peer, checked),
        };
        let mut addresses = self
            .resolver
            .resolve(name, port)
            .await
            .map_err(unresolved)?;
        if let Some(checked) = checked {
            checked.sort(&mut addresses);
        }
        let mut fault = ConnectFault::Dns;
        for (nth, address) in addresses.iter().enumerate() {
            let peer = Arc::new(located(peer, *address));
            let opening = Box::pin(self.open(peer, reuse));
            match patient(opening, nth + 1 == addresses.len()).await {
                Ok(connection) => return Ok(connection),
                Err(failed) => fault = failed,
            }
            self.resolver.avoid(name, port, *address);
        }
        Err(fault)
    }

    /// Tries listed addresses in the order of their standing, until one accepts.
    async fn open_listed(
        &self,
        listed: &[(Arc<HttpPeer>, Arc<Standing>)],
        reuse: Reuse,
    ) -> Result<Connection, ConnectFault> {
        let mut order = listed.to_vec();
        // Those that do equally well share the work.
        fastrand::shuffle(&mut order);
        by_standing(&mut order);
        let mut fault = ConnectFault::Dns;
        for (nth, (peer, standing)) in order.iter().enumerate() {
            let opening = Box::pin(self.open(peer.clone(), reuse));
            match patient(opening, nth + 1 == order.len()).await {
                Ok(mut connection) => {
                    connection.standing = Some(standing.clone());
                    return Ok(connection);
                }
                Err(failed) => fault = failed,
            }
            standing.fail(None);
        }
        Err(fault)
    }

    async fn open(&self, peer: Arc<HttpPeer>, reuse: Reuse) -> Result<Connection, ConnectFault> {
        let opened = match reuse {
            Reuse::Allowed => match self.pool.get_http_session(&*peer).await {
                // A pooled h2 connection that the upstream has closed to new streams.
                Err(error) if http2::of(&error).is_some() => {
                    self.pool.get_http_session(&unpooled(&peer)).await
                }
                opened => opened,
            },
            Reuse::Never => self.pool.get_http_session(&unpooled(&peer)).await,
        };
        let (mut session, reused) = opened.map_err(|error| fault(&error))?;
        session.set_write_timeout(Some(WRITE_STALL));
        Ok(Connection {
            session,
            peer,
            reused,
            began: Instant::now(),
            opened: false,
            unreadable: false,
            written: None,
            answered: false,
            unanswered: None,
            decoder: None,
            standing: None,
        })
    }

    /// Speaks HTTP/1.1 with this upstream from now on. Its h2 connection must go: Pingora looks there first.
    pub(crate) async fn prefer_h1(&self, connection: Connection) {
        let Connection { session, peer, .. } = connection;
        self.pool.prefer_h1(&*peer);
        self.pool.prefer_h1(&unpooled(&peer));
        if let Some(stream) = session.as_http2() {
            stream.conn.mark_shutdown();
        }
        self.pool.release_http_session(session, &*peer, None).await;
    }

    /// Keeps the connection of an exchange that is whole in both directions, drops any other: a next request
    /// would be taken for the rest of this one's body.
    pub(crate) async fn release(&self, mut connection: Connection) {
        if connection.written.is_none() {
            return;
        }
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
}

/// An address has little time as long as there is another to try.
async fn patient(
    opening: impl Future<Output = Result<Connection, ConnectFault>>,
    is_last: bool,
) -> Result<Connection, ConnectFault> {
    match is_last {
        true => opening.await,
        false => tokio::time::timeout(ADDRESS, opening)
            .await
            .unwrap_or(Err(ConnectFault::TimedOut)),
    }
}

/// A peer that no pooled connection belongs to; what is opened for it is given back under the real one. Nor does
/// Pingora keep an h2 connection with a single stream for others to join.
fn unpooled(peer: &HttpPeer) -> HttpPeer {
    let mut peer = peer.clone();
    peer.group_key = !peer.group_key;
    peer.options.max_h2_streams = 1;
    peer
}

impl Connection {
    /// Writes the whole request.
    pub(crate) async fn send(&mut self, outgoing: &Outgoing) -> Result<(), Lost> {
        self.began = Instant::now();
        match self.write(outgoing).await {
            // It is heard now, and its connection never used again: the request was not sent whole.
            Ok(Upload::Refused) => Ok(()),
            Ok(Upload::Whole) => {
                self.written = Some(Instant::now());
                let stream = self.session.as_http2();
                self.unanswered = stream.map(|stream| Unanswered::new(stream.conn.clone()));
                Ok(())
            }
            Err(failed) => {
                self.unreadable = failed.unreadable;
                Err(self.lost(failed.cause))
            }
        }
    }

    async fn write(&mut self, outgoing: &Outgoing) -> Result<Upload, upload::Failed> {
        let mut head = outgoing.head.clone();
        if self.session.as_http2().is_some() {
            http2::address(&mut head)?;
        }
        self.session.write_request_header(head).await?;
        self.opened = true;
        upload(&mut self.session, &outgoing.body).await
    }

    /// Reads the head of the answer, past interim ones.
    pub(crate) async fn read_head(&mut self) -> Result<(), Lost> {
        loop {
            if !self.is_readable() {
                let cause = Error::explain(ErrorType::ReadError, "nothing to read a head from");
                return Err(self.lost(cause));
            }
            if !self.has_head()
                && let Err(cause) = self.session.read_response_header().await
            {
                return Err(self.lost(cause));
            }
            self.answered = true;
            if let Some(unanswered) = &mut self.unanswered {
                unanswered.answered = true;
            }
            match self.session.response_header() {
                Some(head) if head.status.is_informational() => {}
                Some(_) => {
                    if let Some(standing) = &self.standing {
                        standing.succeed();
                    }
                    return Ok(());
                }
                None => {
                    let cause = Error::explain(ErrorType::ReadError, "no head was read");
                    return Err(self.lost(cause));
                }
            }
        }
    }

    /// The head that was read last.
    pub(crate) fn head(&self) -> Option<&ResponseHeader> {
        self.session.response_header()
    }

    /// An h2 stream has one head, and only after the request's own; Pingora panics where it is asked for more.
    fn is_readable(&self) -> bool {
        let is_h2 = self.session.as_http2().is_some();
        !self.unreadable && (!is_h2 || (self.opened && !self.answered))
    }

    /// Whether the head was read while the request was still being written.
    fn has_head(&self) -> bool {
        self.head()
            .is_some_and(|head| !head.status.is_informational())
    }

    /// Reads the body as coded so.
    pub(crate) fn decode(&mut self, coding: Coding) {
        self.decoder = Decoder::new(coding);
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
        let chunk = self.session.read_response_body().await;
        match (chunk, &mut self.session) {
            (Ok(None), HttpSession::H2(stream)) => whole(stream).await.map(|()| None),
            (chunk, _) => chunk,
        }
        .map_err(|cause| {
            self.blame();
            cut(cause)
        })
    }

    async fn read_to_end(&mut self) -> bool {
        loop {
            match self.read_coded().await {
                Ok(Some(_)) => {}
                Ok(None) => return self.session.response_done(),
                Err(_) => return false,
            }
        }
    }

    fn lost(&self, cause: BError) -> Lost {
        let fresh = self.written.unwrap_or(self.began).elapsed() < DEAD_ALREADY;
        let untouched = match &self.session {
            HttpSession::H2(_) => {
                let refused = !self.opened || http2::was_refused(&cause);
                refused || (http2::has_broken(&cause) && fresh)
            }
            HttpSession::H1(_) | HttpSession::Custom(()) => says_nothing_came(&cause) && fresh,
        };
        let stale = self.reused && !self.answered && untouched;
        let wants_h1 = !self.answered && http2::wants_h1(&cause);
        if !stale && !wants_h1 {
            self.blame();
        }
        Lost {
            stale,
            wants_h1,
            is_malformed: false,
            cause,
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
        ..cut(cause)
    }
}

/// An h2 stream can end with a reset that says no error: that is no end of an answer.
async fn whole(stream: &mut Http2Session) -> Result<(), BError> {
    stream.read_trailers().await?;
    match stream.response_finished() {
        true => Ok(()),
        false => Err(Error::explain(ErrorType::ReadError, "reset without an end")),
    }
}

/// What breaks once an answer has begun is never silently sent again.
fn cut(cause: BError) -> Lost {
    Lost {
        stale: false,
        wants_h1: false,
        is_malformed: false,
        cause,
    }
}

/// Whether the error says that the peer had gone before a byte of an answer came. A head that began is told
/// by Pingora's own words only.
fn says_nothing_came(cause: &BError) -> bool {
    match cause.etype() {
        ErrorType::WriteError => true,
        ErrorType::ConnectionClosed | ErrorType::ReadError => cause
            .context
            .as_ref()
            .is_some_and(|context| context.as_str().ends_with("already read: 0")),
        _ => false,
    }
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
        _ => of_system(error),
    }
}

/// Without a route or a descriptor this process could not even try; a host that no neighbour answers for
/// is the host's trouble.
fn of_system(error: &BError) -> ConnectFault {
    use nix::errno::Errno;
    let cause = error.cause.as_deref();
    let io = cause.and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let code = io
        .and_then(std::io::Error::raw_os_error)
        .map(Errno::from_raw);
    match code {
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENETUNREACH | Errno::EADDRNOTAVAIL) => {
            ConnectFault::Local
        }
        _ => ConnectFault::Refused,
    }
}

fn unresolved(error: Unresolved) -> ConnectFault {
    match error {
        Unresolved::NoSuchHost => ConnectFault::Dns,
        Unresolved::ResolverDown => ConnectFault::Local,
    }
}
