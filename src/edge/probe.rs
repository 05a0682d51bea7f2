//! Owns one provider's active check: what is asked, of which addresses, and what counts as an answer. It sends no
//! key and asks for no tokens. Must never decide how often, or what a failed check leads to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::{HealthCheck as Check, HttpHealthCheck, TcpHealthCheck};
use pingora::upstreams::peer::{HttpPeer, Peer};
use pingora::{Error, ErrorType};

use crate::config::snapshot::{BaseUrl, HealthCheck, Provider};
use crate::core::names::ProviderName;
use crate::edge::balance::Verdict;
use crate::edge::dns::Resolver;
use crate::edge::peer::{Checked, PeerError, Standings, insert, peer};

/// Who asks, for the server's own log.
const USER_AGENT: &str = concat!("mainstay-health-check/", env!("CARGO_PKG_VERSION"));

/// One provider's check.
pub(crate) struct Probe {
    pub(crate) provider: ProviderName,
    spec: Spec,
    check: Box<dyn Check + Send + Sync>,
    checked: Checked,
    resolver: Arc<Resolver>,
}

/// All that a check depends on: two probes of the same specification are the same.
#[derive(Debug, PartialEq, Eq)]
struct Spec {
    settings: HealthCheck,
    base: BaseUrl,
    addresses: Vec<SocketAddr>,
    /// The server's name, the certificate that it is shown, and whom we trust.
    identity: u64,
}

impl Probe {
    /// The probe of a provider; `None` where none is asked for.
    ///
    /// # Errors
    /// A file that the provider names cannot be used.
    pub(crate) fn new(
        name: &ProviderName,
        provider: &Provider,
        resolver: &Arc<Resolver>,
        standings: &Arc<Standings>,
    ) -> Result<Option<Self>, PeerError> {
        let Some(settings) = &provider.health_check else {
            return Ok(None);
        };
        let base = &provider.base;
        let peer = peer(name, base, &provider.tls)?;
        let identity = peer.reuse_hash();
        let check: Box<dyn Check + Send + Sync> = match &settings.path {
            Some(path) => Box::new(asking(path, base, peer, settings.timeout)),
            None => TcpHealthCheck::new(),
        };
        Ok(Some(Self {
            provider: name.clone(),
            spec: Spec {
                settings: settings.clone(),
                base: base.clone(),
                addresses: provider.addresses.clone(),
                identity,
            },
            check,
            checked: Checked::new(name, standings),
            resolver: resolver.clone(),
        }))
    }

    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.spec == other.spec
    }

    pub(crate) fn interval(&self) -> Duration {
        self.spec.settings.interval
    }

    /// The servers to ask: as listed, else where DNS says; `None` where nobody knows.
    pub(crate) async fn addresses(&self) -> Option<Vec<SocketAddr>> {
        if !self.spec.addresses.is_empty() {
            return Some(self.spec.addresses.clone());
        }
        let base = &self.spec.base;
        self.resolver.resolve(&base.host, base.port).await.ok()
    }

    /// What is known of a server; this is what a check changes.
    pub(crate) fn verdict(&self, at: SocketAddr) -> Arc<Verdict> {
        self.checked.verdict(at)
    }

    /// Asks a server once, within the check's timeout.
    ///
    /// # Errors
    /// Why it does not live.
    pub(crate) async fn ask(&self, at: SocketAddr) -> pingora::Result<()> {
        let target = Backend {
            addr: at.into(),
            weight: 1,
            ext: pingora::lb::Extensions::new(),
        };
        let asking = self.check.check(&target);
        match tokio::time::timeout(self.spec.settings.timeout, asking).await {
            Ok(answer) => answer,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "no answer in time"),
        }
    }
}

/// A GET that must be answered with 2xx, each time over a new connection: an old one may outlive what is behind it.
fn asking(path: &str, base: &BaseUrl, mut peer: HttpPeer, timeout: Duration) -> HttpHealthCheck {
    let mut check = HttpHealthCheck::new("placeholder", base.tls);
    if let Some(options) = peer.get_mut_peer_options() {
        options.connection_timeout = Some(timeout);
        options.total_connection_timeout = Some(timeout);
        options.read_timeout = Some(timeout);
        options.write_timeout = Some(timeout);
    }
    check.peer_template = peer;
    if let Some(head) = head(path, base) {
        check.req = head;
    }
    check.validator = Some(Box::new(|head| match head.status.is_success() {
        true => Ok(()),
        false => Error::e_explain(
            ErrorType::HTTPStatus(head.status.as_u16()),
            "the check asks for 2xx",
        ),
    }));
    check
}

/// The path and the host were checked with the configuration.
fn head(path: &str, base: &BaseUrl) -> Option<RequestHeader> {
    let mut head = RequestHeader::build("GET", path.as_bytes(), Some(2)).ok()?;
    insert(&mut head, "host", &base.authority()).ok()?;
    insert(&mut head, "user-agent", USER_AGENT).ok()?;
    Some(head)
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe")
            .field("provider", &self.provider)
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}
