//! Owns what a serving process is made of: the generation, the data and the admin service, Pingora's server.
//! Must never read a signal: it is told when to stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context;
use pingora::listeners::ListenerConfig;
use pingora::server::configuration::ServerConf;
use pingora::server::{ExecutionPhase, RunArgs, Server, ShutdownSignalWatch};
use tokio::sync::broadcast;

use crate::cmd::handover::{Behind, Doors, Predecessor};
use crate::cmd::listen::bind;
use crate::config::Loaded;
use crate::edge::front::{Entrance, Front};
use crate::edge::generation::Generation;
use crate::edge::plugin::Mainstay;
use crate::edge::telemetry::Telemetry;
use crate::edge::tls::Shown;

/// Idle upstream connections kept for each worker thread.
const POOL_PER_THREAD: usize = 256;

/// A process that is ready to serve.
pub(crate) struct Process {
    server: Server,
    pub(crate) mainstay: Mainstay,
    /// The certificates that TLS listeners show, replaced by a reload.
    pub(crate) shown: Arc<Shown>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) doors: Doors,
    /// Handles to the sockets of all listeners, for a successor.
    pub(crate) sockets: Vec<(SocketAddr, TcpListener)>,
}

impl Process {
    /// Builds the first generation and the services, on the predecessor's sockets where there are any.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used, or a listener cannot be bound.
    pub(crate) fn new(
        loaded: Loaded,
        telemetry: Arc<Telemetry>,
        predecessor: Option<&mut Predecessor>,
    ) -> anyhow::Result<Self> {
        let mainstay = Mainstay::with_telemetry(loaded, telemetry)?;
        let generation = mainstay.current().load_full();
        let settings = &generation.snapshot.server;
        let mut shown = Shown::default();
        let mut opening = Opening {
            predecessor,
            opened: Vec::new(),
        };
        let entrances = entrances(&generation, &mut shown, &mut opening)?;
        let admin = opening.open(settings.admin.listen)?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let mut server = Server::new_with_opt_and_conf(None, server_conf(threads));
        server.bootstrap();
        let doors = Doors::default();
        let gateway = mainstay.clone().into_gateway();
        let front = Front::new(&server.configuration, gateway, entrances, threads);
        server.add_service(Behind::new(front, &doors));
        let (admin_address, mut operators) = (admin.local_addr()?, mainstay.admin_service());
        operators.add_listener(ListenerConfig::tcp(admin_address.to_string()));
        server.add_service(Behind::new(operators, &doors).with_socket(admin_address, admin));
        server.add_service(mainstay.check_service());
        server.add_service(mainstay.token_service());
        server.add_service(mainstay.keep_service());
        server.add_service(mainstay.probe_service());
        server.add_service(mainstay.export_service());
        server.add_service(mainstay.history_service());
        let data = opening.opened.len() - 1;
        let addresses = opening.opened.iter().take(data);
        Ok(Self {
            server,
            mainstay,
            shown: Arc::new(shown),
            addresses: addresses.map(|(address, _)| *address).collect(),
            admin: admin_address,
            doors,
            sockets: opening.opened,
        })
    }

    /// What the server is doing, told from now on.
    pub(crate) fn phases(&self) -> broadcast::Receiver<ExecutionPhase> {
        self.server.watch_execution_phase()
    }

    /// Serves until `shutdown` says so. Blocks.
    pub(crate) fn run(self, shutdown: Box<dyn ShutdownSignalWatch>) {
        self.server.run(RunArgs {
            shutdown_signal: shutdown,
        });
    }
}

/// The listeners as they are opened.
struct Opening<'a> {
    predecessor: Option<&'a mut Predecessor>,
    opened: Vec<(SocketAddr, TcpListener)>,
}

impl Opening<'_> {
    /// The predecessor's socket, or a new one: what connects from here on waits until the server starts.
    fn open(&mut self, address: SocketAddr) -> anyhow::Result<TcpListener> {
        let predecessor = self.predecessor.as_mut();
        let listener = match predecessor.and_then(|old| old.listener(address)) {
            Some(listener) => listener,
            None => bind(address).with_context(|| format!("cannot listen on {address}"))?,
        };
        self.opened
            .push((listener.local_addr()?, listener.try_clone()?));
        Ok(listener)
    }
}

fn entrances(
    generation: &Generation,
    shown: &mut Shown,
    opening: &mut Opening<'_>,
) -> anyhow::Result<Vec<Entrance>> {
    let listen = generation.snapshot.server.listen.iter();
    listen
        .map(|listener| {
            let mut identities = generation.identities();
            let identity = identities.find(|(with_tls, _)| *with_tls == listener);
            let tls = identity.map(|(_, identity)| shown.listener(listener.address, identity));
            let listener = opening.open(listener.address)?;
            Ok(Entrance { listener, tls })
        })
        .collect()
}

fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads,
        upstream_keepalive_pool_size: POOL_PER_THREAD,
        // Our own watch has waited until nothing was left: Pingora's sleep only delays the end.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    }
}
