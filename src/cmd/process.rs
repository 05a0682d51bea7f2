//! Owns what a serving process is made of: the generation, the data and the admin service, Pingora's server.
//! Must never read a signal: it is told when to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignalWatch};

use crate::cmd::listen::{Reserved, bind, reserve};
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
    /// Kept until the admin listener is bound, and beyond.
    _reserved: Reserved,
}

impl Process {
    /// Builds the first generation and the services.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used, or a listener cannot be bound.
    pub(crate) fn new(loaded: Loaded, telemetry: Arc<Telemetry>) -> anyhow::Result<Self> {
        let mainstay = Mainstay::with_telemetry(loaded, telemetry)?;
        let generation = mainstay.current().load_full();
        let settings = generation.snapshot.server.clone();
        let mut shown = Shown::default();
        let entrances = entrances(&generation, &mut shown)?;
        let admin = reserve(settings.admin.listen)
            .with_context(|| format!("cannot listen on {}", settings.admin.listen))?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let mut server = Server::new_with_opt_and_conf(None, server_conf(threads));
        server.bootstrap();
        let bound = entrances.iter().map(|open| open.listener.local_addr());
        let addresses = bound
            .collect::<Result<_, _>>()
            .context("a listener has no address")?;
        let gateway = mainstay.clone().into_gateway();
        let front = Front::new(&server.configuration, gateway, entrances, threads);
        server.add_service(front);
        let mut operators = mainstay.admin_service();
        operators.add_listener(listener_config(&admin));
        server.add_service(operators);
        server.add_service(mainstay.check_service());
        server.add_service(mainstay.keep_service());
        server.add_service(mainstay.probe_service());
        Ok(Self {
            server,
            mainstay,
            shown: Arc::new(shown),
            addresses,
            admin: admin.address,
            _reserved: admin,
        })
    }

    /// Serves until `shutdown` says so. Blocks.
    pub(crate) fn run(self, shutdown: Box<dyn ShutdownSignalWatch>) {
        self.server.run(RunArgs {
            shutdown_signal: shutdown,
        });
    }
}

/// The listeners, bound: what connects from here on waits until the server starts.
fn entrances(generation: &Generation, shown: &mut Shown) -> anyhow::Result<Vec<Entrance>> {
    let listen = generation.snapshot.server.listen.iter();
    listen
        .map(|listener| {
            let address = listener.address;
            let mut identities = generation.identities();
            let identity = identities.find(|(with_tls, _)| *with_tls == listener);
            let tls = identity.map(|(_, identity)| shown.listener(address, identity));
            let listener = bind(address).with_context(|| format!("cannot listen on {address}"))?;
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

fn listener_config(listener: &Reserved) -> ListenerConfig {
    let mut options = TcpSocketOptions::default();
    options.so_reuseport = listener.shares_port().then_some(true);
    ListenerConfig::tcp(listener.address.to_string()).tcp_socket_options(options)
}
