//! Owns what serves right now: a snapshot with the health of its endpoints, their prepared upstreams and
//! metric handles, swapped as one. Must never be read twice in one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::HttpPeer;
use pingora::utils::tls::WrappedX509;

use crate::config::Loaded;
use crate::config::snapshot::{
    BaseUrl, DialectName, Listener, Provider, Snapshot, UpstreamAuth, UpstreamTls,
};
use crate::core::catalog::{Endpoint, EndpointIx, ModelIx};
use crate::core::health::Health;
use crate::edge::auth::Callers;
use crate::edge::telemetry::{EndpointMetrics, ModelMetrics, Telemetry};
use crate::edge::tls::{self, FileError, Identity};
use crate::wire::openai::operation::Operation;

/// Streams that share one connection to an upstream, which may allow fewer.
const H2_STREAMS: usize = 100;
/// How often an h2 connection to an upstream is asked whether it lives.
const H2_PING: Duration = Duration::from_secs(10);

/// The generation that serves, and the only place to get it.
pub type Current = Arc<ArcSwap<Generation>>;

/// A configuration in service.
#[derive(Debug)]
pub struct Generation {
    /// Counts up from 1 with every change.
    pub number: u64,
    /// Of the configuration it was made from.
    pub hash: String,
    pub snapshot: Snapshot,
    pub health: Health,
    pub callers: Callers,
    /// Of the listeners, in their order; `None` without TLS.
    identities: Vec<Option<Identity>>,
    upstreams: Vec<Upstream>,
    models: Vec<ModelMetrics>,
}

/// Everything about an endpoint that is the same for every attempt.
#[derive(Debug)]
pub struct Upstream {
    /// The host to look up, or the peer itself where the base URL holds an address.
    pub place: Place,
    /// The heads of its requests but for the length and what the client adds, one an operation.
    heads: [RequestHeader; Operation::ALL.len()],
    metrics: EndpointMetrics,
}

/// Where an upstream is.
#[derive(Debug)]
pub enum Place {
    Address(Arc<HttpPeer>),
    Host {
        name: String,
        port: u16,
        /// Without its address, which the resolver knows.
        peer: Box<HttpPeer>,
    },
}

/// A generation cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("provider `{provider}`: {cause}")]
    Provider { provider: String, cause: FileError },
    #[error("listener {address}: {cause}")]
    Listener {
        address: SocketAddr,
        cause: FileError,
    },
    #[error("provider `{provider}`: {what} is not a valid header value")]
    Header { provider: String, what: String },
}

impl Upstream {
    /// The head of a request for `operation`.
    pub fn head(&self, operation: Operation) -> &RequestHeader {
        &self.heads[operation.index()]
    }
}

impl Generation {
    /// Builds the generation after `previous` (the first without one), keeping the health of what stays.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used.
    pub fn build(
        loaded: Loaded,
        previous: Option<&Generation>,
        telemetry: &Telemetry,
    ) -> Result<Self, BuildError> {
        let snapshot = loaded.snapshot;
        let old = previous.map(|old| (&old.snapshot.catalog, &old.health));
        let catalog = &snapshot.catalog;
        let health = Health::new(catalog, snapshot.health, snapshot.retry_budget, old);
        let upstreams = catalog
            .endpoints()
            .iter()
            .map(|endpoint| upstream(&snapshot, endpoint, telemetry))
            .collect::<Result<_, _>>()?;
        let listeners = snapshot.server.listen.iter();
        let identities = listeners.map(identity).collect::<Result<_, _>>()?;
        let names = catalog.models().iter();
        let models = names
            .map(|model| telemetry.metrics.model(model.name.as_str()))
            .collect();
        Ok(Self {
            number: previous.map_or(1, |old| old.number + 1),
            hash: loaded.hash,
            callers: Callers::new(&snapshot.callers),
            health,
            identities,
            upstreams,
            models,
            snapshot,
        })
    }

    /// The listeners with TLS, each with what it shows.
    pub fn identities(&self) -> impl Iterator<Item = (&Listener, &Identity)> + Clone {
        let listeners = self.snapshot.server.listen.iter().zip(&self.identities);
        listeners.filter_map(|(listener, identity)| Some((listener, identity.as_ref()?)))
    }

    /// The prepared upstream of an endpoint.
    pub fn upstream(&self, endpoint: EndpointIx) -> &Upstream {
        &self.upstreams[endpoint.get()]
    }

    /// Every endpoint.
    pub fn endpoints(&self) -> impl Iterator<Item = EndpointIx> + use<> {
        (0..self.upstreams.len()).map(EndpointIx::new)
    }

    /// An endpoint's identity.
    pub fn id(&self, endpoint: EndpointIx) -> &str {
        self.snapshot.catalog.endpoint(endpoint).id.as_str()
    }

    /// An endpoint's metric labels: endpoint, model, provider.
    pub fn labels(&self, endpoint: EndpointIx) -> [&str; 3] {
        let entry = self.snapshot.catalog.endpoint(endpoint);
        let model = self.snapshot.catalog.model(entry.model);
        [
            entry.id.as_str(),
            model.name.as_str(),
            entry.provider.as_str(),
        ]
    }

    pub(crate) fn endpoint_metrics(&self, endpoint: EndpointIx) -> &EndpointMetrics {
        &self.upstreams[endpoint.get()].metrics
    }

    pub(crate) fn model_metrics(&self, model: ModelIx) -> &ModelMetrics {
        &self.models[model.get()]
    }
}

fn identity(listener: &Listener) -> Result<Option<Identity>, BuildError> {
    let read = listener.tls.as_ref().map(Identity::read).transpose();
    read.map_err(|cause| BuildError::Listener {
        address: listener.address,
        cause,
    })
}

fn upstream(
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    telemetry: &Telemetry,
) -> Result<Upstream, BuildError> {
    let provider = &snapshot.providers[&endpoint.provider];
    let model = snapshot.catalog.model(endpoint.model).name.as_str();
    let labels = [endpoint.id.as_str(), model, endpoint.provider.as_str()];
    let header_error = |what: &str| BuildError::Header {
        provider: endpoint.provider.to_string(),
        what: what.to_owned(),
    };
    Ok(Upstream {
        place: place(&provider.base, &provider.tls, endpoint)?,
        heads: heads(provider, endpoint).map_err(|what| header_error(&what))?,
        metrics: telemetry.metrics.endpoint(&labels),
    })
}

fn place(base: &BaseUrl, wanted: &UpstreamTls, endpoint: &Endpoint) -> Result<Place, BuildError> {
    let name = wanted
        .server_name
        .clone()
        .unwrap_or_else(|| base.host.clone());
    let unusable = |cause| BuildError::Provider {
        provider: endpoint.provider.to_string(),
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
    if base.tls {
        peer.options.set_http_version(2, 1);
        peer.options.max_h2_streams = H2_STREAMS;
        peer.options.h2_ping_interval = Some(H2_PING);
    }
    if let Some((certificate, key)) = &wanted.client {
        let shown = tls::client_identity(certificate, key).map_err(&unusable)?;
        peer.client_cert_key = Some(Arc::new(shown));
    }
    Ok(match base.host.parse::<std::net::IpAddr>() {
        Ok(address) => {
            peer._address = SocketAddr::new(address, base.port).into();
            Place::Address(Arc::new(peer))
        }
        Err(_) => Place::Host {
            name: base.host.clone(),
            port: base.port,
            peer: Box::new(peer),
        },
    })
}

fn fingerprint(authorities: &[WrappedX509]) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for authority in authorities {
        authority.borrow_raw_cert().hash(&mut hasher);
    }
    hasher.finish()
}

/// The heads of all requests to an endpoint, each at its operation's place. The error names what cannot be sent.
fn heads(
    provider: &Provider,
    endpoint: &Endpoint,
) -> Result<[RequestHeader; Operation::ALL.len()], String> {
    let [chat, completions, embeddings] = Operation::ALL;
    Ok([
        head(provider, endpoint, chat)?,
        head(provider, endpoint, completions)?,
        head(provider, endpoint, embeddings)?,
    ])
}

fn head(
    provider: &Provider,
    endpoint: &Endpoint,
    operation: Operation,
) -> Result<RequestHeader, String> {
    let path = format!("{}{}", provider.base.path, path(provider, operation));
    let mut head = RequestHeader::build("POST", path.as_bytes(), Some(16))
        .map_err(|_| "the path of `base_url`".to_owned())?;
    insert(&mut head, "host", &provider.base.authority())?;
    insert(&mut head, "content-type", "application/json")?;
    insert(&mut head, "accept-encoding", "identity")?;
    for (name, value) in &provider.headers {
        insert(&mut head, name, value)?;
    }
    let key = provider.keys.iter().find(|(name, _)| *name == endpoint.key);
    if let Some((_, Some(secret))) = key {
        match &provider.auth {
            UpstreamAuth::Bearer => {
                let value = format!("Bearer {}", secret.expose());
                insert(&mut head, "authorization", &value)?;
            }
            UpstreamAuth::Header(name) => insert(&mut head, name, secret.expose())?,
            UpstreamAuth::None => {}
        }
    }
    Ok(head)
}

/// Sets a header whose value no debug text shows.
fn insert(head: &mut RequestHeader, name: &str, value: &str) -> Result<(), String> {
    let invalid = || format!("`{name}`");
    let mut value = HeaderValue::from_str(value).map_err(|_| invalid())?;
    value.set_sensitive(true);
    head.insert_header(name.to_owned(), value)
        .map_err(|_| invalid())
}

fn path(provider: &Provider, operation: Operation) -> &'static str {
    match provider.dialects.first() {
        Some(DialectName::OpenAi) | None => operation.path(),
    }
}
