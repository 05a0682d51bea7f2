//! Owns what a serving process is made of: the generation, the data and the admin service, Pingora's server.
//! Must never read a signal: it is told when to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use pingora::apps::HttpServerOptions;
use pingora::listeners::tls::TlsSettings;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::l4::stream::L4BufferSettings;
use pingora::proxy::http_proxy_service_with_name;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server, ShutdownSignalWatch};
use pingora::services::listening::Service;

use crate::cmd::listen::{Reserved, reserve};
use crate::config::Loaded;
use crate::edge::generation::Generation;
use crate::edge::plugin::Mainstay;
use crate::edge::proxy::Gateway;
use crate::edge::telemetry::Telemetry;
use crate::edge::tls::Shown;

/// Buffers of a client's connection: the defaults of 64 KiB cost 50 KiB more a stream.
const READ_BUFFER: usize = 4096;
const WRITE_BUFFER: usize = 8192;
/// Streams of one h2 connection, and the size of one request's headers.
const H2_STREAMS: u32 = 250;
const H2_HEADER_BYTES: u32 = 64 * 1024;
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
    /// Kept until the listeners are bound, and beyond.
    _reserved: Vec<Reserved>,
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
        let listeners = listeners(&generation, &mut shown)?;
        let admin = reserve(settings.admin.listen)
            .with_context(|| format!("cannot listen on {}", settings.admin.listen))?;
        let threads = match settings.threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            threads => threads,
        };
        let mut server = Server::new_with_opt_and_conf(None, server_conf(threads));
        server.bootstrap();
        let addresses = listeners.iter().map(|open| open.reserved.address).collect();
        let (reserved, data) = data_service(&server, &mainstay, listeners, threads);
        server.add_service(data);
        let mut operators = mainstay.admin_service();
        operators.add_listener(listener_config(&admin));
        server.add_service(operators);
        server.add_service(mainstay.check_service());
        Ok(Self {
            server,
            mainstay,
            shown: Arc::new(shown),
            addresses,
            admin: admin.address,
            _reserved: reserved.into_iter().chain([admin]).collect(),
        })
    }

    /// Serves until `shutdown` says so. Blocks.
    pub(crate) fn run(self, shutdown: Box<dyn ShutdownSignalWatch>) {
        self.server.run(RunArgs {
            shutdown_signal: shutdown,
        });
    }
}

/// A listener that can be bound.
struct Open {
    reserved: Reserved,
    tls: Option<TlsSettings>,
}

fn listeners(generation: &Generation, shown: &mut Shown) -> anyhow::Result<Vec<Open>> {
    let listen = generation.snapshot.server.listen.iter();
    listen
        .map(|listener| {
            let address = listener.address;
            let mut identities = generation.identities();
            let identity = identities.find(|(with_tls, _)| *with_tls == listener);
            let tls = identity.map(|(_, identity)| shown.listener(address, identity));
            let reserved =
                reserve(address).with_context(|| format!("cannot listen on {address}"))?;
            Ok(Open { reserved, tls })
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

fn data_service(
    server: &Server,
    mainstay: &Mainstay,
    listeners: Vec<Open>,
    threads: usize,
) -> (Vec<Reserved>, Service<pingora::proxy::HttpProxy<Gateway>>) {
    let gateway = mainstay.clone().into_gateway();
    let mut service = http_proxy_service_with_name(&server.configuration, gateway, "data");
    service.threads = Some(threads);
    let mut reserved = Vec::new();
    for Open {
        reserved: open,
        tls,
    } in listeners
    {
        let config = listener_config(&open);
        service.add_listener(match tls {
            Some(settings) => config.tls(settings),
            None => config,
        });
        reserved.push(open);
    }
    if let Some(proxy) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        proxy.server_options = Some(options);
        let mut h2 = H2Options::new();
        h2.max_concurrent_streams(H2_STREAMS)
            .max_header_list_size(H2_HEADER_BYTES);
        proxy.h2_options = Some(h2);
    }
    (reserved, service)
}

fn listener_config(listener: &Reserved) -> ListenerConfig {
    let mut options = TcpSocketOptions::default();
    options.so_reuseport = listener.shares_port().then_some(true);
    ListenerConfig::tcp(listener.address.to_string())
        .tcp_socket_options(options)
        .l4_buffer(L4BufferSettings::new(READ_BUFFER, WRITE_BUFFER))
}
