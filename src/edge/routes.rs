//! Owns the routes of a generation, prepared: which pattern takes a path, and the candidates (provider, key,
//! address) behind it, in a balancer that follows the configuration and DNS. Must never send anything.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora::lb::discovery::ServiceDiscovery;
use pingora::lb::{Backend, Backends, LoadBalancer};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use crate::config::snapshot::{Provider, Route, Snapshot};
use crate::core::catalog::EndpointIx;
use crate::core::health::Health;
use crate::core::names::{KeyName, ProviderName};
use crate::core::time::Time;
use crate::edge::balance::{ByHealth, Standing};
use crate::edge::dns::Resolver;
use crate::edge::peer::{PeerError, Standings, located, peer};
use crate::edge::sparing::Sparing;
use crate::edge::tokens::{Grant, Tokens};

/// How often a route's candidates are listed anew. The resolver knows for itself when to ask DNS.
const FOLLOW: Duration = Duration::from_secs(5);
/// Keys of one provider that are told apart at one address.
const SEATS: usize = 1 << 16;

/// Where nobody is known every request looks again.
static NO_CANDIDATES: Sparing = Sparing::new();
static NO_ADDRESS: Sparing = Sparing::new();

/// All routes of a generation, the longest pattern first.
#[derive(Debug, Default)]
pub struct Routes {
    prepared: Vec<Arc<Prepared>>,
}

/// A route with its candidates.
pub struct Prepared {
    pub route: Route,
    pool: LoadBalancer<ByHealth>,
    born: Instant,
    /// Milliseconds since `born`.
    due: AtomicU64,
}

/// One way to pass a request on.
#[derive(Debug)]
pub struct Candidate {
    pub source: Arc<Source>,
    pub key: KeyName,
    pub address: SocketAddr,
    pub standing: Arc<Standing>,
    /// An endpoint with the same host and key, if a model has one.
    shares: Option<EndpointIx>,
}

/// A provider of a route.
pub struct Source {
    pub name: ProviderName,
    pub provider: Provider,
    /// Those that may be used here, each with an endpoint that uses it too.
    keys: Vec<(KeyName, Option<EndpointIx>)>,
    /// Without its address.
    peer: HttpPeer,
    /// Where its requests carry access tokens.
    pub(crate) grant: Option<Arc<Grant>>,
}

impl Routes {
    /// Prepares the routes of a snapshot.
    ///
    /// # Errors
    /// A file that a provider names cannot be used.
    pub(crate) fn build(
        snapshot: &Snapshot,
        resolver: &Arc<Resolver>,
        standings: &Arc<Standings>,
        tokens: &Tokens,
    ) -> std::result::Result<Self, PeerError> {
        let mut prepared = Vec::new();
        for route in &snapshot.routes {
            let names = route.providers.iter();
            let sources = names
                .map(|name| source(name, snapshot, route.pin, tokens))
                .collect::<std::result::Result<_, _>>()?;
            let discovery = Discovery {
                sources,
                resolver: resolver.clone(),
                standings: standings.clone(),
            };
            prepared.push(Arc::new(Prepared {
                route: route.clone(),
                pool: LoadBalancer::from_backends(Backends::new(Box::new(discovery))),
                born: Instant::now(),
                due: AtomicU64::new(0),
            }));
        }
        Ok(Self { prepared })
    }

    /// The route that takes a path.
    pub fn find(&self, path: &str) -> Option<&Arc<Prepared>> {
        let mut routes = self.prepared.iter();
        routes.find(|prepared| prepared.route.path.matches(path))
    }
}

fn source(
    name: &ProviderName,
    snapshot: &Snapshot,
    pin: bool,
    tokens: &Tokens,
) -> std::result::Result<Arc<Source>, PeerError> {
    let provider = &snapshot.providers[name];
    let endpoints = snapshot.catalog.endpoints();
    let shares = |key: &KeyName| {
        let mut endpoints = endpoints.iter();
        let position = endpoints.position(|it| it.provider == *name && it.key == *key);
        position.map(EndpointIx::new)
    };
    let keys = provider.keys.iter();
    let keys = keys.map(|(key, _)| (key.clone(), shares(key)));
    let most = if pin { 1 } else { SEATS };
    Ok(Arc::new(Source {
        name: name.clone(),
        keys: keys.take(most).collect(),
        peer: peer(name, &provider.base, &provider.tls)?,
        grant: tokens.of(provider).map_err(|_| PeerError::Key {
            provider: name.to_string(),
        })?,
        provider: provider.clone(),
    }))
}

impl Prepared {
    /// The next candidate for a request, by live health; `None` when all were tried. What models have found out
    /// about a host or a key counts here too: one that is shut is taken when nothing else is left.
    pub(crate) async fn pick(
        &self,
        tried: &[Arc<Candidate>],
        health: &Health,
        now: Time,
    ) -> Option<Arc<Candidate>> {
        self.follow().await;
        let is_shut = |it: &Candidate| {
            it.shares
                .is_some_and(|endpoint| health.shares_shut_gate(endpoint, now))
        };
        let is_fresh = |it: &Arc<Candidate>| !is_in(tried, it);
        self.select(|it| is_fresh(it) && !is_shut(it))
            .or_else(|| self.select(is_fresh))
    }

    fn select(&self, suits: impl Fn(&Arc<Candidate>) -> bool) -> Option<Arc<Candidate>> {
        let suits = |backend: &Backend, _| of(backend).is_some_and(&suits);
        let chosen = self.pool.select_with(b"", usize::MAX, suits)?;
        of(&chosen).cloned()
    }

    /// Whether there is a candidate that was not tried.
    pub(crate) fn has_more(&self, tried: &[Arc<Candidate>]) -> bool {
        let backends = self.pool.backends().get_backend();
        let mut candidates = backends.iter().filter_map(of);
        candidates.any(|candidate| !is_in(tried, candidate))
    }

    /// Lists the candidates anew where it is time. Waits for DNS only where no address is known.
    async fn follow(&self) {
        let now = millis(self.born.elapsed());
        let due = self.due.load(Relaxed);
        let is_empty = self.pool.backends().get_backend().is_empty();
        if now < due && !is_empty {
            return;
        }
        self.due.store(now + millis(FOLLOW), Relaxed);
        if let Err(error) = self.pool.update().await
            && let Some(unsaid) = NO_CANDIDATES.turn()
        {
            tracing::warn!(route = self.route.path.as_str(), %error, unsaid, "no candidates were found");
        }
    }
}

fn of(backend: &Backend) -> Option<&Arc<Candidate>> {
    backend.ext.get::<Arc<Candidate>>()
}

fn is_in(tried: &[Arc<Candidate>], candidate: &Candidate) -> bool {
    tried.iter().any(|tried| {
        tried.address == candidate.address
            && tried.key == candidate.key
            && tried.source.name == candidate.source.name
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Candidate {
    /// What to connect to.
    pub(crate) fn peer(&self) -> HttpPeer {
        located(&self.source.peer, self.address)
    }
}

/// Lists candidates: the providers' own addresses, or what DNS says.
struct Discovery {
    sources: Vec<Arc<Source>>,
    resolver: Arc<Resolver>,
    standings: Arc<Standings>,
}

impl Discovery {
    async fn addresses(&self, source: &Source) -> Vec<SocketAddr> {
        let provider = &source.provider;
        if !provider.addresses.is_empty() {
            return provider.addresses.clone();
        }
        let (host, port) = (&provider.base.host, provider.base.port);
        let found = self.resolver.resolve(host, port).await;
        found.unwrap_or_else(|error| {
            if let Some(unsaid) = NO_ADDRESS.turn() {
                tracing::warn!(
                    provider = source.name.as_str(),
                    ?error,
                    unsaid,
                    "no address is known"
                );
            }
            Vec::new()
        })
    }

    /// `seat` tells apart what shares an address: a balancer compares nothing but address and weight.
    fn backend(
        &self,
        source: &Arc<Source>,
        (key, shares): &(KeyName, Option<EndpointIx>),
        at: SocketAddr,
        seat: usize,
    ) -> Backend {
        let standing = self.standings.of_key(&source.name, key, at);
        let mut backend = Backend {
            addr: at.into(),
            weight: seat,
            ext: pingora::lb::Extensions::new(),
        };
        backend.ext.insert(standing.clone());
        backend.ext.insert(Arc::new(Candidate {
            source: source.clone(),
            key: key.clone(),
            address: at,
            standing,
            shares: *shares,
        }));
        backend
    }
}

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let mut backends = BTreeSet::new();
        for (row, source) in self.sources.iter().enumerate() {
            for address in self.addresses(source).await {
                for (column, key) in source.keys.iter().enumerate() {
                    let seat = row * SEATS + column + 1;
                    backends.insert(self.backend(source, key, address, seat));
                }
            }
        }
        match backends.is_empty() {
            true => Err(Error::explain(ErrorType::ConnectNoRoute, "no address")),
            false => Ok((backends, HashMap::new())),
        }
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
