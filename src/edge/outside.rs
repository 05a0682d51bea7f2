//! Owns one small request to somebody beside the providers (a collector, a token's source), over Pingora's own client: its TLS,
//! its pool and this process's resolver, and no second set of them. Must never follow a redirect, or bound the time: its callers do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, Method, StatusCode};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;

use crate::config::snapshot::{BaseUrl, UpstreamTls};
use crate::core::names::ProviderName;
use crate::edge::dns::Resolver;
use crate::edge::peer::{PeerError, located, peer};

/// An idle connection is closed after this long.
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of an answer that are read.
const ANSWER: usize = 64 * 1024;

/// Why there is no answer.
pub(crate) type Unanswered = Box<dyn std::error::Error + Send + Sync>;

/// Somebody who can be asked.
pub(crate) struct Outside {
    at: BaseUrl,
    /// Without its address.
    peer: HttpPeer,
    connector: Connector,
    resolver: Arc<Resolver>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

// === impl Outside ===

impl Outside {
    /// Who is at a root, checked against the system's authorities. `name` is for errors.
    pub(crate) fn new(
        name: &str,
        at: &BaseUrl,
        resolver: &Arc<Resolver>,
    ) -> Result<Self, PeerError> {
        Ok(Self {
            at: at.clone(),
            peer: peer(&ProviderName::new(name), at, &UpstreamTls::default())?,
            connector: Connector::new(None),
            resolver: resolver.clone(),
        })
    }

    async fn address(&self) -> Result<SocketAddr, Unanswered> {
        let (host, port) = (&self.at.host, self.at.port);
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok((address, port).into());
        }
        let addresses = self.resolver.resolve(host, port).await;
        let first = addresses.ok().and_then(|all| all.first().copied());
        first.ok_or_else(|| format!("no address of {host} is known").into())
    }

    /// Sends one request for a path with its query, and reads the whole answer.
    ///
    /// # Errors
    /// Nobody answered whole.
    pub(crate) async fn ask(
        &self,
        (method, path): (Method, &str),
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Unanswered> {
        let peer = located(&self.peer, self.address().await?);
        let mut head = RequestHeader::build(method, path.as_bytes(), Some(8))?;
        for (name, value) in headers {
            head.append_header(name, value)?;
        }
        head.insert_header(HOST, self.at.authority())?;
        head.insert_header(CONTENT_LENGTH, body.len())?;
        let (mut session, _) = self.connector.get_http_session(&peer).await?;
        session.write_request_header(Box::new(head)).await?;
        session.write_request_body(body, true).await?;
        session.finish_request_body().await?;
        session.read_response_header().await?;
        let status = session.response_header().map(|head| head.status);
        let mut told = BytesMut::new();
        while let Some(piece) = session.read_response_body().await? {
            if told.len() + piece.len() > ANSWER {
                return Err("its answer is too long".into());
            }
            told.extend_from_slice(&piece);
        }
        self.connector
            .release_http_session(session, &peer, Some(IDLE))
            .await;
        Ok((status.unwrap_or_default(), told.freeze()))
    }
}
