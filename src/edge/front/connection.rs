//! Owns one connection of a client from its first byte to its last: which protocol it speaks, and how long it
//! may go without a whole request head. Must never wait for a client without a bound.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::edge::front::socket::Socket;
use crate::edge::lifecycle::Place;
use crate::edge::proxy::{AwaitedHead, Gateway, LARGEST_HEAD};

/// Streams of one h2 connection at once. Own options do not inherit Pingora's bounds, so both are set.
const H2_STREAMS: u32 = 250;
/// The longest a TLS handshake may take: three round trips of a slow phone, many times over.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// What a client of HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A begun preface leaves the socket readable: how long until it is looked at again.
const REST_OF_PREFACE: Duration = Duration::from_millis(10);

/// Where a connection came from and what it holds.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

/// What answers, and under which bound.
pub(super) struct Terms {
    pub(super) proxy: Arc<HttpProxy<Gateway>>,
    pub(super) tls: Option<Arc<Acceptor>>,
    /// The longest a connection may go without a whole request head.
    pub(super) idle_timeout: Duration,
    pub(super) shutdown: ShutdownWatch,
}

/// Serves a connection to its end.
pub(super) async fn serve(arrival: Arrival, terms: Terms) {
    let limit = terms.idle_timeout;
    let speaks_h2 = match &terms.tls {
        // With TLS the handshake tells.
        Some(_) => false,
        None => match timeout(limit, speaks_h2(&arrival.stream)).await {
            Ok(Ok(speaks_h2)) => speaks_h2,
            Ok(Err(_)) | Err(_) => return,
        },
    };
    let Some(stream) = secured(arrival, terms.tls.as_ref()).await else {
        return;
    };
    let connection = Arc::new(Connection::new(terms.proxy, limit, speaks_h2));
    let mut serving = pin!(connection.process_new(stream, &terms.shutdown));
    let first = timeout(limit, &mut serving).await;
    // What has begun has bounds of its own. An h2 connection without a request is dropped here, also where it
    // has not even sent its preface.
    if first.is_err() && connection.begun.load(Relaxed) {
        serving.await;
    }
}

/// Looks at the first bytes without taking them. Pingora's own look waits for all 24, which a short request of
/// HTTP/1.0 never sends.
async fn speaks_h2(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; PREFACE.len()];
    loop {
        let seen = stream.peek(&mut begin).await?;
        let is_h2 = begin
            .get(..seen)
            .is_some_and(|seen| PREFACE.starts_with(seen));
        if seen == 0 || !is_h2 || seen == PREFACE.len() {
            return Ok(is_h2 && seen > 0);
        }
        tokio::time::sleep(REST_OF_PREFACE).await;
    }
}

/// The connection, once TLS is agreed on where it is asked for.
async fn secured(arrival: Arrival, tls: Option<&Arc<Acceptor>>) -> Option<Stream> {
    let Arrival {
        stream,
        peer,
        place,
    } = arrival;
    let socket = Socket::new(stream, peer, place);
    let Some(tls) = tls else {
        return Some(Box::new(socket));
    };
    match timeout(HANDSHAKE, tls.tls_handshake(socket)).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a client's TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "a client's TLS handshake took too long");
            None
        }
    }
}

/// The application behind one connection: the proxy, under the connection's bounds.
struct Connection {
    proxy: Arc<HttpProxy<Gateway>>,
    limit: Duration,
    options: HttpServerOptions,
    /// A request is, or was, under way.
    begun: AtomicBool,
}

impl Connection {
    fn new(proxy: Arc<HttpProxy<Gateway>>, limit: Duration, speaks_h2: bool) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2c = speaks_h2;
        options.h2_idle_timeout = Some(limit);
        Self {
            proxy,
            limit,
            options,
            begun: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl HttpServerApp for Connection {
    /// On HTTP/1 this is called before the head is read, on h2 after it.
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.begun.store(true, Relaxed);
        if session.is_http2() {
            return self.proxy.process_new_http(session, shutdown).await;
        }
        if session.get_keepalive().is_some() {
            // It bounds each read; what bounds them together is below.
            session.set_keepalive(Some(self.limit.as_secs().saturating_add(1)));
        }
        let head = AwaitedHead::default();
        session.set_connection_user_context(Some(Box::new(head.clone())));
        let mut serving = self.proxy.process_new_http(session, shutdown);
        match timeout(self.limit, &mut serving).await {
            Ok(next) => next,
            Err(_) if head.has_arrived() => serving.await,
            // Idle, or slower than any client that means well.
            Err(_) => None,
        }
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = H2Options::new();
        options
            .max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(u32::try_from(LARGEST_HEAD).unwrap_or(u32::MAX));
        Some(options)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }
}
