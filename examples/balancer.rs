//! A plain Pingora load balancer that weighs its backends by live health: nothing else of Mainstay is used.
//!
//! ```sh
//! cargo run --example balancer -- 127.0.0.1:8080 10.0.0.11:8000 10.0.0.12:8000
//! ```
//!
//! Each backend carries a `Standing`, which the proxy's hooks feed: a backend that fails rests, twice as long each
//! time, and gets less traffic until it has proved itself again.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use mainstay::edge::balance::{ByHealth, Standing};
use pingora::ErrorType::ConnectNoRoute;
use pingora::http::ResponseHeader;
use pingora::lb::discovery::Static;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::prelude::{Error, HttpPeer, Result, Server};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};

/// The proxy.
pub(crate) struct Balancer {
    backends: LoadBalancer<ByHealth>,
}

/// A request on its way: where it was sent, the present one last.
#[derive(Default)]
pub(crate) struct Sent {
    tried: Vec<Backend>,
}

impl Balancer {
    pub(crate) async fn new(addresses: &[String]) -> Result<Self> {
        let mut backends = BTreeSet::new();
        for address in addresses {
            let mut backend = Backend::new(address)?;
            backend.ext.insert(Arc::new(Standing::default()));
            backends.insert(backend);
        }
        let backends = LoadBalancer::from_backends(Backends::new(Static::new(backends)));
        backends.update().await?;
        Ok(Self { backends })
    }
}

impl Sent {
    fn standing(&self) -> Option<&Arc<Standing>> {
        self.tried.last()?.ext.get()
    }

    /// The present backend has failed, and whatever comes next is another's.
    fn fail(&self) {
        if let Some(standing) = self.standing() {
            standing.fail(None);
        }
    }

    fn leave(&self) {
        if let Some(standing) = self.standing() {
            standing.leave();
        }
    }
}

#[async_trait]
impl ProxyHttp for Balancer {
    type CTX = Sent;

    fn new_ctx(&self) -> Sent {
        Sent::default()
    }

    async fn upstream_peer(
        &self,
        _session: &mut Session,
        sent: &mut Sent,
    ) -> Result<Box<HttpPeer>> {
        sent.leave();
        // The selection gives every request an order of its own; what was tried is passed over.
        let is_new = |backend: &Backend, _| !sent.tried.contains(backend);
        let chosen = self.backends.select_with(b"", usize::MAX, is_new);
        let backend = chosen.ok_or_else(|| Error::explain(ConnectNoRoute, "all were tried"))?;
        let peer = HttpPeer::new(backend.addr.clone(), false, String::new());
        sent.tried.push(backend);
        if let Some(standing) = sent.standing() {
            standing.enter();
        }
        Ok(Box::new(peer))
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        sent: &mut Sent,
        mut error: Box<Error>,
    ) -> Box<Error> {
        sent.fail();
        // Nothing was sent yet: another backend may have it.
        error.set_retry(true);
        error
    }

    async fn upstream_response_filter(
        &self,
        _session: &mut Session,
        head: &mut ResponseHeader,
        sent: &mut Sent,
    ) -> Result<()> {
        match sent.standing() {
            Some(standing) if head.status.is_server_error() => standing.fail(None),
            Some(standing) => standing.succeed(),
            None => {}
        }
        Ok(())
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        _session: &mut Session,
        error: Box<Error>,
        sent: &mut Sent,
        _client_reused: bool,
    ) -> Box<Error> {
        sent.fail();
        let mut error = error.more_context(format!("peer: {peer}"));
        // It may have been worked on.
        error.set_retry(false);
        error
    }

    async fn logging(&self, _session: &mut Session, _error: Option<&Error>, sent: &mut Sent) {
        sent.leave();
    }
}

/// Serves for ever.
pub(crate) fn serve(listen: &str, balancer: Balancer) -> Result<()> {
    let mut server = Server::new(None)?;
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, balancer);
    service.add_tcp(listen);
    server.add_service(service);
    server.run_forever();
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments
        .next()
        .ok_or("no address to listen on was given")?;
    let addresses: Vec<String> = arguments.collect();
    // The list is static: it is read once, before anything is served.
    let setup = tokio::runtime::Runtime::new()?;
    let balancer = setup.block_on(Balancer::new(&addresses))?;
    drop(setup);
    serve(&listen, balancer)?;
    Ok(())
}
