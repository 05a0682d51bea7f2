//! Owns what an upstream connection is opened to, and what tells the upstream who pays: addresses, trust,
//! headers. Must never connect.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::WrappedX509;

use crate::config::snapshot::{BaseUrl, Provider, UpstreamAuth, UpstreamTls};
use crate::core::names::{KeyName, ProviderName};
use crate::edge::balance::{Standing, Verdict};
use crate::edge::tls::{self, FileError};
use crate::wire::path_segment::path_segment;

/// Streams that share one connection to an upstream, which may allow fewer.
const H2_STREAMS: usize = 100;
/// How often an h2 connection to an upstream is asked whether it lives.
const H2_PING: Duration = Duration::from_secs(10);

/// Where an upstream is.
#[derive(Debug)]
pub enum Place {
    Address(Arc<HttpPeer>),
    /// The addresses that the configuration lists, tried by their standing.
    Listed(Vec<(Arc<HttpPeer>, Arc<Standing>)>),
    Host {
        name: String,
        port: u16,
        /// Without its address, which the resolver knows.
        peer: Box<HttpPeer>,
        /// Where its addresses are checked actively: what the checks say.
        checked: Option<Checked>,
    },
}

/// What active checks say of a provider's servers.
#[derive(Debug, Clone)]
pub struct Checked {
    provider: ProviderName,
    standings: Arc<Standings>,
}

impl Checked {
    pub(crate) fn new(provider: &ProviderName, standings: &Arc<Standings>) -> Self {
        Self {
            provider: provider.clone(),
            standings: standings.clone(),
        }
    }

    /// Of one server.
    pub(crate) fn verdict(&self, at: SocketAddr) -> Arc<Verdict> {
        self.standings.lock().verdict(&self.provider, at)
    }

    /// Puts the servers that fail their checks behind the others. Stable.
    pub(crate) fn sort(&self, addresses: &mut [SocketAddr]) {
        let mut known = self.standings.lock();
        addresses.sort_by_cached_key(|at| known.verdict(&self.provider, *at).is_down());
    }
}

/// An upstream cannot be prepared from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    #[error("provider `{provider}`: {cause}")]
    Provider { provider: String, cause: FileError },
    #[error("provider `{provider}`: its service account's key cannot sign")]
    Key { provider: String },
    #[error("provider `{provider}`: {what} is not a valid header value")]
    Header { provider: String, what: String },
}

/// How addresses do, over all generations: what one has learnt, the next one knows.
#[derive(Debug, Default)]
pub struct Standings(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    standings: HashMap<Candidate, Arc<Standing>>,
    verdicts: HashMap<(ProviderName, SocketAddr), Arc<Verdict>>,
}

/// A provider's server; with a key, that key there.
type Candidate = (ProviderName, Option<KeyName>, SocketAddr);

impl Standings {
    /// Of a server, whatever the key.
    pub(crate) fn of_address(&self, provider: &ProviderName, at: SocketAddr) -> Arc<Standing> {
        self.lock().standing((provider.clone(), None, at))
    }

    /// Of a key at a server.
    pub(crate) fn of_key(
        &self,
        provider: &ProviderName,
        key: &KeyName,
        at: SocketAddr,
    ) -> Arc<Standing> {
        let candidate = (provider.clone(), Some(key.clone()), at);
        self.lock().standing(candidate)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn standing(&mut self, candidate: Candidate) -> Arc<Standing> {
        // DNS may move for ever: what nothing holds any more goes.
        self.standings
            .retain(|_, standing| Arc::strong_count(standing) > 1);
        if let Some(known) = self.standings.get(&candidate) {
            return known.clone();
        }
        let verdict = self.verdict(&candidate.0, candidate.2);
        let standing = Arc::new(Standing::checked(verdict));
        self.standings.insert(candidate, standing.clone());
        standing
    }

    fn verdict(&mut self, provider: &ProviderName, at: SocketAddr) -> Arc<Verdict> {
        let server = (provider.clone(), at);
        if let Some(known) = self.verdicts.get(&server) {
            return known.clone();
        }
        self.verdicts
            .retain(|_, verdict| Arc::strong_count(verdict) > 1);
        self.verdicts.entry(server).or_default().clone()
    }
}

/// Where a provider's models are: over HTTP/2 where it offers that.
pub(crate) fn place(
    name: &ProviderName,
    provider: &Provider,
    standings: &Arc<Standings>,
) -> Result<Place, PeerError> {
    let base = &provider.base;
    let mut peer = peer(name, base, &provider.tls)?;
    if base.tls {
        peer.options.set_http_version(2, 1);
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.h2_ping_interval = Some(H2_PING);
    }
    if !provider.addresses.is_empty() {
        let listed = provider.addresses.iter().map(|address| {
            let peer = Arc::new(located(&peer, *address));
            (peer, standings.of_address(name, *address))
        });
        return Ok(Place::Listed(listed.collect()));
    }
    Ok(match base.host.parse::<std::net::IpAddr>() {
        Ok(address) => Place::Address(Arc::new(located(
            &peer,
            SocketAddr::new(address, base.port),
        ))),
        Err(_) => Place::Host {
            name: base.host.clone(),
            port: base.port,
            peer: Box::new(peer),
            checked: provider
                .health_check
                .is_some()
                .then(|| Checked::new(name, standings)),
        },
    })
}

/// The peer at an address.
pub(crate) fn located(peer: &HttpPeer, address: SocketAddr) -> HttpPeer {
    let mut peer = peer.clone();
    peer._address = address.into();
    peer
}

/// The provider's peer, without its address. It speaks HTTP/1.1.
pub(crate) fn peer(
    provider: &ProviderName,
    base: &BaseUrl,
    wanted: &UpstreamTls,
) -> Result<HttpPeer, PeerError> {
    let name = wanted
        .server_name
        .clone()
        .unwrap_or_else(|| base.host.clone());
    let unusable = |cause| PeerError::Provider {
        provider: provider.to_string(),
        cause,
    };
    let nowhere = (std::net::Ipv4Addr::UNSPECIFIED, base.port);
    let mut peer = HttpPeer::new(nowhere, base.tls, name);
    if let Some(path) = &wanted.ca_file {
        let trusted = tls::trusted(path).map_err(&unusable)?;
        // The pool's key does not hold the authorities: connections must not be shared beyond them.
        peer.group_key = fingerprint(&trusted);
        peer.options.ca = Some(trusted);
    }
    if let Some((certificate, key)) = &wanted.client {
        let shown = tls::client_identity(certificate, key).map_err(&unusable)?;
        peer.client_cert_key = Some(Arc::new(shown));
    }
    Ok(peer)
}

fn fingerprint(authorities: &[WrappedX509]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for authority in authorities {
        authority.borrow_raw_cert().hash(&mut hasher);
    }
    hasher.finish()
}

/// Sets the provider's own headers and its key. The error names what cannot be sent.
pub(crate) fn identify(
    head: &mut RequestHeader,
    provider: &Provider,
    key: &KeyName,
) -> Result<(), String> {
    for (name, value) in &provider.headers {
        insert(head, name, value)?;
    }
    let key = provider.keys.iter().find(|(name, _)| name == key);
    if let Some((_, Some(secret))) = key {
        match &provider.auth {
            UpstreamAuth::Bearer => {
                let value = format!("Bearer {}", secret.expose());
                insert(head, "authorization", &value)?;
            }
            UpstreamAuth::Header(name) => insert(head, name, secret.expose())?,
            // A signature is made for each request, a token comes and goes, and a key in the query is in the path.
            UpstreamAuth::SigV4(_)
            | UpstreamAuth::Google(_)
            | UpstreamAuth::Query(_)
            | UpstreamAuth::None => {}
        }
    }
    Ok(())
}

/// The path with the provider's key, where that is sent in the query. It is shown nowhere.
pub(crate) fn with_key(path: String, provider: &Provider, key: &KeyName) -> String {
    let UpstreamAuth::Query(name) = &provider.auth else {
        return path;
    };
    let key = provider.keys.iter().find(|(name, _)| name == key);
    let Some((_, Some(secret))) = key else {
        return path;
    };
    let mark = if path.contains('?') { '&' } else { '?' };
    let (name, secret) = (path_segment(name), path_segment(secret.expose()));
    format!("{path}{mark}{name}={secret}")
}

/// Sets a header whose value no debug text shows.
pub(crate) fn insert(head: &mut RequestHeader, name: &str, value: &str) -> Result<(), String> {
    let invalid = || format!("`{name}`");
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
    value.set_sensitive(true);
    head.insert_header(name.to_owned(), value)
        .map_err(|_| invalid())
}
