//! Owns what serves right now: a snapshot with the health of its endpoints, their prepared upstreams and
//! metric handles, swapped as one. Must never be read twice in one request.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::http::RequestHeader;

use crate::config::Loaded;
use crate::config::facts::Facts;
use crate::config::snapshot::{DialectName, Listener, NamedFile, Provider, Snapshot};
use crate::core::catalog::{Endpoint, EndpointIx, ModelIx};
use crate::core::health::Health;
use crate::core::sticky::Places;
use crate::edge::auth::Callers;
use crate::edge::conversations::Conversations;
use crate::edge::dns::Resolver;
use crate::edge::peer::{PeerError, Place, Standings, identify, insert, place};
use crate::edge::probe::Probe;
use crate::edge::routes::Routes;
use crate::edge::telemetry::{EndpointMetrics, ModelMetrics, Names, Telemetry};
use crate::edge::template::Template;
use crate::edge::tls::{FileError, Identity};
use crate::wire::openai::operation::Operation;

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
    /// The files that the configuration names.
    files: Vec<NamedFile>,
    pub health: Health,
    pub callers: Callers,
    pub routes: Routes,
    /// Of the providers that are checked actively.
    pub(crate) probes: Vec<Arc<Probe>>,
    standings: Arc<Standings>,
    /// They outlive it: what they know of endpoints they know by `places`.
    pub(crate) conversations: Arc<Conversations>,
    pub(crate) places: Places,
    /// Of the listeners, in their order; `None` without TLS.
    identities: Vec<Option<Identity>>,
    upstreams: Vec<Upstream>,
    models: Vec<ModelMetrics>,
    pub(crate) names: Arc<Names>,
}

/// Everything about an endpoint that is the same for every attempt.
#[derive(Debug)]
pub struct Upstream {
    /// The host to look up, or the peer itself where the base URL holds an address.
    pub place: Place,
    /// The heads of its requests but for the length and what the client adds, one an operation.
    heads: [Arc<Template>; Operation::ALL.len()],
    metrics: EndpointMetrics,
}

/// A generation cannot be built from a valid configuration.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Upstream(#[from] PeerError),
    #[error("listener {address}: {cause}")]
    Listener {
        address: SocketAddr,
        cause: FileError,
    },
}

impl Upstream {
    /// The head of a request for `operation`.
    pub fn head(&self, operation: Operation) -> &Arc<Template> {
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
        resolver: &Arc<Resolver>,
    ) -> Result<Self, BuildError> {
        let snapshot = loaded.snapshot;
        let old = previous.map(|old| (&old.snapshot.catalog, &old.health));
        let catalog = &snapshot.catalog;
        let health = Health::new(catalog, snapshot.health, snapshot.retry_budget, old);
        let standings = previous.map_or_else(Arc::default, |old| old.standings.clone());
        let conversations = previous.map_or_else(Arc::default, |old| old.conversations.clone());
        let routes = Routes::build(&snapshot, resolver, &standings)?;
        let probes = probes(&snapshot, resolver, &standings)?;
        let upstreams = (0..catalog.endpoints().len())
            .map(EndpointIx::new)
            .map(|endpoint| upstream(&snapshot, endpoint, &standings, telemetry))
            .collect::<Result<_, _>>()?;
        let listeners = snapshot.server.listen.iter();
        let identities = listeners.map(identity).collect::<Result<_, _>>()?;
        let models = (0..catalog.models().len()).map(ModelIx::new);
        let models = models
            .map(|model| telemetry.metrics.model(&snapshot, model))
            .collect();
        Ok(Self {
            number: previous.map_or(1, |old| old.number + 1),
            hash: loaded.hash,
            callers: Callers::new(&snapshot.callers),
            health,
            identities,
            routes,
            probes,
            standings,
            conversations,
            names: Arc::new(Names::of(&snapshot.catalog)),
            places: Places::of(&snapshot.catalog),
            upstreams,
            models,
            files: loaded.files,
            snapshot,
        })
    }

    /// The listeners with TLS, each with what it shows.
    pub fn identities(&self) -> impl Iterator<Item = (&Listener, &Identity)> + Clone {
        let listeners = self.snapshot.server.listen.iter().zip(&self.identities);
        listeners.filter_map(|(listener, identity)| Some((listener, identity.as_ref()?)))
    }

    /// What its configuration says, credentials as digests of this salt.
    pub fn facts(&self, salt: &str) -> Facts {
        Facts::of(&self.snapshot, &self.files, salt)
    }

    /// The files that its configuration names.
    pub fn files(&self) -> &[NamedFile] {
        &self.files
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

fn probes(
    snapshot: &Snapshot,
    resolver: &Arc<Resolver>,
    standings: &Arc<Standings>,
) -> Result<Vec<Arc<Probe>>, PeerError> {
    let providers = snapshot.providers.iter();
    let probe = |(name, provider)| Probe::new(name, provider, resolver, standings).transpose();
    providers
        .filter_map(probe)
        .map(|probe| probe.map(Arc::new))
        .collect()
}

fn upstream(
    snapshot: &Snapshot,
    at: EndpointIx,
    standings: &Arc<Standings>,
    telemetry: &Telemetry,
) -> Result<Upstream, BuildError> {
    let endpoint = snapshot.catalog.endpoint(at);
    let provider = &snapshot.providers[&endpoint.provider];
    let header_error = |what: &str| PeerError::Header {
        provider: endpoint.provider.to_string(),
        what: what.to_owned(),
    };
    Ok(Upstream {
        place: place(&endpoint.provider, provider, standings)?,
        heads: heads(provider, endpoint).map_err(|what| header_error(&what))?,
        metrics: telemetry.metrics.endpoint(snapshot, at),
    })
}

/// The heads of all requests to an endpoint, each at its operation's place. The error names what cannot be sent.
fn heads(
    provider: &Provider,
    endpoint: &Endpoint,
) -> Result<[Arc<Template>; Operation::ALL.len()], String> {
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
) -> Result<Arc<Template>, String> {
    let path = format!("{}{}", provider.base.path, path(provider, operation));
    let mut head = RequestHeader::build("POST", path.as_bytes(), Some(16))
        .map_err(|_| "the path of `base_url`".to_owned())?;
    insert(&mut head, "host", &provider.base.authority())?;
    insert(&mut head, "content-type", "application/json")?;
    insert(&mut head, "accept-encoding", "identity")?;
    identify(&mut head, provider, &endpoint.key)?;
    Ok(Arc::new(Template::new(head)))
}

fn path(provider: &Provider, operation: Operation) -> &'static str {
    match provider.dialects.first() {
        Some(DialectName::OpenAi) | None => operation.path(),
    }
}
