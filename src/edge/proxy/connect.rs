//! Owns the way to a connection: which address of a place is tried, what is kept for the next request, and why
//! none could be had. Sockets, TLS and HTTP/2 are Pingora's. Must never send anything.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use pingora::connectors::http::v2::{self, H2HandshakeSettings, handshake};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{BError, ErrorType, OkOrErr};

use crate::core::outcome::ConnectFault;
use crate::edge::balance::{Standing, by_standing};
use crate::edge::dns::{Resolver, Unresolved};
use crate::edge::peer::{Place, located};
use crate::edge::proxy::h1::{self, Key};
use crate::edge::proxy::http2;
use crate::edge::proxy::upstream::{Connection, Wire};

/// An idle h2 connection is closed after this long.
const POOL_IDLE: Duration = Duration::from_secs(60);
/// Where a host has more addresses, how long one of them may take to accept before the next is tried.
const ADDRESS: Duration = Duration::from_millis(750);
/// After its end marker, how long a finished answer's framing may take to end, so that the connection can
/// be used again.
const TRAILER_WAIT: Duration = Duration::from_millis(50);

/// Opens connections to upstreams, and keeps idle ones.
pub struct Connector {
    /// Opens all of them, and keeps those that speak HTTP/2.
    h2: v2::Connector,
    /// Keeps the others.
    h1: h1::Pool,
    resolver: Arc<Resolver>,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Which connection an attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    Allowed,
    /// Only a new one.
    Never,
}

impl Connector {
    /// A connector with a pool of its own.
    pub fn new(resolver: Arc<Resolver>) -> Self {
        Self {
            h2: v2::Connector::new(None),
            h1: h1::Pool::default(),
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
            let opening = self.open(peer, reuse);
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
            let opening = self.open(peer.clone(), reuse);
            match patient(opening, nth + 1 == order.len()).await {
                Ok(mut connection) => {
                    connection.follow(standing.clone());
                    return Ok(connection);
                }
                Err(failed) => fault = failed,
            }
            standing.fail(None);
        }
        Err(fault)
    }

    async fn open(&self, peer: Arc<HttpPeer>, reuse: Reuse) -> Result<Connection, ConnectFault> {
        let key = Key::of(&peer);
        if reuse == Reuse::Allowed
            && let Some(wire) = self.reused(&peer, key).await
        {
            return Ok(Connection::new(wire, peer, key, true));
        }
        // Boxed, as it is long, and most attempts find a connection that is there already.
        let opened = Box::pin(self.connect_to(&peer, reuse)).await;
        let wire = opened.map_err(|error| fault(&error))?;
        Ok(Connection::new(wire, peer, key, false))
    }

    /// A connection that is there already. One over HTTP/2 carries many requests at once.
    async fn reused(&self, peer: &HttpPeer, key: Key) -> Option<Wire> {
        if may_multiplex(peer) {
            // An error is that of a connection whose upstream takes no more streams on it.
            let joined = Box::pin(self.h2.reused_http_session(peer)).await;
            if let Ok(Some(stream)) = joined {
                return Some(Wire::h2(stream));
            }
        }
        self.h1.take(key).map(Wire::h1)
    }

    async fn connect_to(&self, peer: &HttpPeer, reuse: Reuse) -> Result<Wire, BError> {
        let stream = self.h2.transport().new_stream(peer).await?;
        if !matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            return Ok(Wire::h1(stream));
        }
        let mut settings = H2HandshakeSettings::new();
        settings.max_streams = match reuse {
            Reuse::Allowed => peer.options.max_h2_streams,
            Reuse::Never => 1,
        };
        settings.ping_interval = peer.h2_ping_interval();
        let connection = handshake(stream, settings).await?;
        let stream = connection.spawn_stream().await?;
        let stream = stream.or_err(ErrorType::H2Error, "a new connection takes no streams")?;
        if connection.more_streams_allowed() {
            let others = self.h2.in_use_pool();
            others.insert(peer.reuse_hash(), connection);
        }
        Ok(Wire::h2(stream))
    }

    /// Speaks HTTP/1.1 with this upstream from now on. Its h2 connection must go: it is looked for first.
    pub(crate) fn prefer_h1(&self, connection: Connection) {
        let Connection { wire, peer, .. } = connection;
        self.h2.prefer_h1(&*peer);
        if let Wire::H2(stream) = wire {
            stream.session.conn.mark_shutdown();
            self.keep(*stream, &peer);
        }
    }

    /// Keeps the connection of an exchange that is whole in both directions, drops any other: a next request
    /// would be taken for the rest of this one's body.
    pub(crate) async fn release(&self, mut connection: Connection) {
        if !connection.is_written() {
            return;
        }
        if !connection.is_over() {
            let rest = tokio::time::timeout(TRAILER_WAIT, connection.read_to_end()).await;
            if !matches!(rest, Ok(true)) {
                return;
            }
        }
        match connection.wire {
            Wire::H1(session) => {
                if let Some((stream, kept)) = session.into_idle() {
                    self.h1.put(connection.key, stream, kept);
                }
            }
            Wire::H2(stream) => self.keep(*stream, &connection.peer),
        }
    }

    fn keep(&self, stream: http2::Stream, peer: &HttpPeer) {
        let idle = Some(POOL_IDLE);
        self.h2.release_http_session(stream.session, peer, idle);
    }
}

fn may_multiplex(peer: &HttpPeer) -> bool {
    peer.options.alpn.get_max_http_version() == 2
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
