//! Adds Mainstay to a Pingora proxy that already exists: its own routes, its own upstream, its own errors.
//!
//! ```sh
//! cargo run --example embed -- mainstay.yaml 127.0.0.1:8080 127.0.0.1:9000
//! ```
//!
//! AI routes are Mainstay's; `/hello` is the host's; everything else goes to the upstream of the third argument.

use async_trait::async_trait;
use bytes::Bytes;
use mainstay::{Mainstay, config};
use pingora::apps::HttpServerOptions;
use pingora::http::ResponseHeader;
use pingora::modules::http::HttpModules;
use pingora::modules::http::compression::ResponseCompressionBuilder;
use pingora::prelude::{Error, HttpPeer, Result, Server};
use pingora::proxy::{FailToProxy, ProxyHttp, Session, http_proxy_service};

/// The proxy that was there before.
struct Host {
    mainstay: Mainstay,
    upstream: String,
}

#[async_trait]
impl ProxyHttp for Host {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    /// A host may well compress what it serves; Mainstay switches that off for its own answers, whose events
    /// must not wait in a compressor.
    fn init_downstream_modules(&self, modules: &mut HttpModules) {
        modules.add_module(ResponseCompressionBuilder::enable(6));
    }

    async fn request_filter(&self, session: &mut Session, _ctx: &mut Self::CTX) -> Result<bool> {
        // The one call. `true`: answered or aborted, there is nothing left to do.
        if self.mainstay.handle(session).await {
            return Ok(true);
        }
        if session.req_header().uri.path() == "/hello" {
            let mut head = Box::new(ResponseHeader::build(200, Some(1))?);
            head.insert_header("content-length", "6")?;
            session.write_response_header(head, false).await?;
            let body = Some(Bytes::from_static(b"hello\n"));
            session.write_response_body(body, true).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> Result<Box<HttpPeer>> {
        let peer = HttpPeer::new(self.upstream.as_str(), false, String::new());
        Ok(Box::new(peer))
    }

    /// The host's own errors: never seen on an AI route.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        _error: &Error,
        _ctx: &mut Self::CTX,
    ) -> FailToProxy {
        let body = Bytes::from_static(b"the host's own error\n");
        session.respond_error_with_body(502, body).await.ok();
        FailToProxy {
            error_code: 502,
            can_reuse_downstream: false,
        }
    }
}

/// Serves for ever.
pub(crate) fn serve(mainstay: Mainstay, listen: &str, upstream: String) -> Result<()> {
    let mut server = Server::new(None)?;
    server.bootstrap();
    server.add_services(mainstay.services());
    let host = Host { mainstay, upstream };
    let mut service = http_proxy_service(&server.configuration, host);
    service.add_tcp(listen);
    // Clients may speak HTTP/2 without TLS on the same port.
    if let Some(proxy) = service.app_logic_mut() {
        let mut options = HttpServerOptions::default();
        options.h2c = true;
        proxy.server_options = Some(options);
    }
    server.add_service(service);
    server.run_forever();
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = |what: &str| arguments.next().ok_or(format!("no {what} was given"));
    let file = argument("configuration")?;
    let listen = argument("address to listen on")?;
    let upstream = argument("upstream of the host")?;

    let loaded = config::load(file.as_ref(), &|name| std::env::var(name).ok())?;
    let mainstay = Mainstay::new(loaded)?;
    serve(mainstay, &listen, upstream)?;
    Ok(())
}
