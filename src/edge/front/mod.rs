//! Owns the doors to the data plane: sockets that listen, who is let in, and the task of each connection. It
//! stands in the place of Pingora's own listeners, which tell nobody when a connection ends: their filter is
//! asked at its begin, their application only after a TLS handshake, and nothing is called where one fails. A
//! place that is held by the socket itself is given back however the connection ends. In reading order:
//! `connection`, `socket`. Must never let a connection in beyond the limit, or log a line for each that it
//! turns away.

mod connection;
mod socket;

use std::io;
use std::net::TcpListener as Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::apps::HttpServerApp;
use pingora::listeners::tls::{Acceptor, TlsSettings};
use pingora::proxy::{HttpProxy, http_proxy};
use pingora::server::configuration::ServerConf;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::edge::lifecycle::Place;
use crate::edge::proxy::Gateway;
use crate::edge::telemetry::Telemetry;

use connection::{Arrival, Terms, serve};

/// How long nothing is accepted where the process has no descriptor left.
const NO_DESCRIPTOR: Duration = Duration::from_millis(200);
/// How often the event loop's lag is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// At most one line about refused connections in this time.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// A socket that listens, and what its clients are asked to agree on.
pub(crate) struct Entrance {
    pub(crate) listener: Bound,
    pub(crate) tls: Option<TlsSettings>,
}

/// The service behind the data listeners.
pub(crate) struct Front {
    entrances: Vec<Entrance>,
    doorman: Arc<Doorman>,
    threads: usize,
}

/// Who lets connections in, over all listeners.
struct Doorman {
    gateway: Gateway,
    proxy: Arc<HttpProxy<Gateway>>,
    /// Refused since it was last said.
    unsaid: AtomicU64,
    /// When it was last said, in milliseconds of the gateway's clock; 0 = never.
    said_at: AtomicU64,
}

impl Front {
    /// Opens the doors once the server starts.
    pub(crate) fn new(
        conf: &Arc<ServerConf>,
        gateway: Gateway,
        entrances: Vec<Entrance>,
        threads: usize,
    ) -> Self {
        let proxy = Arc::new(http_proxy(conf, gateway.clone()));
        let doorman = Arc::new(Doorman {
            gateway,
            proxy,
            unsaid: AtomicU64::new(0),
            said_at: AtomicU64::new(0),
        });
        Self {
            entrances,
            doorman,
            threads,
        }
    }
}

#[async_trait]
impl Service for Front {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
    ) {
        let mut watch = JoinSet::new();
        watch.spawn(watch_lag(self.doorman.gateway.telemetry.clone()));
        let mut doors = JoinSet::new();
        for Entrance { listener, tls } in self.entrances.drain(..) {
            let tls = tls.map(|settings| Arc::new(settings.build()));
            let (doorman, shutdown) = (self.doorman.clone(), shutdown.clone());
            doors.spawn(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => doorman.keep(&listener, tls.as_ref(), shutdown).await,
                    Err(error) => tracing::error!(%error, "a listener cannot be served"),
                }
            });
        }
        while doors.join_next().await.is_some() {}
        watch.abort_all();
        // Wakes connections that wait for their next request.
        self.doorman.proxy.http_cleanup().await;
    }

    fn name(&self) -> &'static str {
        "data"
    }

    fn threads(&self) -> Option<usize> {
        Some(self.threads)
    }
}

impl Doorman {
    /// Lets connections in until the process ends. Those under way are then left to finish: the server's
    /// runtime, which it ends after its grace, owns them.
    async fn keep(
        &self,
        listener: &TcpListener,
        tls: Option<&Arc<Acceptor>>,
        mut shutdown: ShutdownWatch,
    ) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let Some(place) = self.admit(&stream) else { continue };
                        let arrival = Arrival { stream, peer, place };
                        connections.spawn(serve(arrival, self.terms(tls, &shutdown)));
                    }
                    Err(error) => pause_after(&error).await,
                },
                Some(_ended) = connections.join_next() => {}
                changed = shutdown.changed() => {
                    if changed.is_err() || *shutdown.borrow() {
                        break;
                    }
                }
            }
        }
        connections.detach_all();
    }

    fn terms(&self, tls: Option<&Arc<Acceptor>>, shutdown: &ShutdownWatch) -> Terms {
        Terms {
            proxy: self.proxy.clone(),
            tls: tls.cloned(),
            idle_timeout: self.gateway.current.load().snapshot.server.idle_timeout,
            shutdown: shutdown.clone(),
        }
    }

    /// A place for a connection; `None`: all are taken, and the connection closes as it is dropped.
    fn admit(&self, stream: &TcpStream) -> Option<Place> {
        let most = self.gateway.current.load().snapshot.server.max_connections;
        let place = self.gateway.lifecycle.enter(most);
        match &place {
            // Fails only where the client has gone: its connection ends by itself.
            Some(_) => drop(stream.set_nodelay(true)),
            None => self.note_refusal(most),
        }
        place
    }

    fn note_refusal(&self, most: usize) {
        self.gateway.telemetry.metrics.count_refused_connection();
        let unsaid = self.unsaid.fetch_add(1, Relaxed) + 1;
        let now = self.gateway.clock.now().as_micros() / 1000 + 1;
        let said_at = self.said_at.load(Relaxed);
        let again = u64::try_from(SAY_AGAIN.as_millis()).unwrap_or(u64::MAX);
        if said_at != 0 && now.saturating_sub(said_at) < again {
            return;
        }
        let turn = self
            .said_at
            .compare_exchange(said_at, now, Relaxed, Relaxed);
        if turn.is_ok() {
            self.unsaid.fetch_sub(unsaid, Relaxed);
            tracing::warn!(
                refused = unsaid,
                max_connections = most,
                "connections were refused"
            );
        }
    }
}

/// Looks how late a timer fires among the connections' tasks: what holds a thread up shows here before clients say so.
async fn watch_lag(telemetry: Arc<Telemetry>) {
    loop {
        let due = Instant::now() + LOOK_AGAIN;
        tokio::time::sleep_until(due.into()).await;
        let late = Instant::now().saturating_duration_since(due);
        telemetry.metrics.observe_lag(late);
    }
}

/// Most failures are one client's and mean nothing; without descriptors the next one fails at once again.
async fn pause_after(error: &io::Error) {
    let ours = [
        nix::libc::EMFILE,
        nix::libc::ENFILE,
        nix::libc::ENOBUFS,
        nix::libc::ENOMEM,
    ];
    if error
        .raw_os_error()
        .is_some_and(|code| ours.contains(&code))
    {
        tracing::error!(%error, "no connection can be accepted for a moment");
        tokio::time::sleep(NO_DESCRIPTOR).await;
    } else {
        tracing::debug!(%error, "a connection was gone before it was accepted");
    }
}
