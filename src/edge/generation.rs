//! Owns what serves right now: a snapshot with the health of its endpoints, their prepared upstreams and
//! metric handles, swapped as one. Must never be read twice in one request.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::http::RequestHeader;

use crate::config::Loaded;
use crate::config::snapshot::{DialectName, Provider, Snapshot};
use crate::core::catalog::{Endpoint, EndpointIx, ModelIx};
use crate::core::health::Health;
use crate::edge::auth::Callers;
use crate::edge::peer::{BuildError, Place, Standings, identify, insert, place};
use crate::edge::routes::Routes;
use crate::edge::telemetry::{EndpointMetrics, ModelMetrics, Telemetry};

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
    pub routes: Routes,
    standings: Arc<Standings>,
    upstreams: Vec<Upstream>,
    models: Vec<ModelMetrics>,
}

/// Everything about an endpoint that is the same for every attempt.
#[derive(Debug)]
pub struct Upstream {
    /// The host to look up, or the peer itself where the base URL holds an address.
    pub place: Place,
    /// The request's head but for its length and what the client adds.
    pub head: RequestHeader,
    metrics: EndpointMetrics,
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
        let standings = previous.map_or_else(Arc::default, |old| old.standings.clone());
        let old = previous.map(|old| &old.routes);
        let routes = Routes::build(&snapshot, old, &standings)?;
        let upstreams = catalog
            .endpoints()
            .iter()
            .map(|endpoint| upstream(&snapshot, endpoint, &standings, telemetry))
            .collect::<Result<_, _>>()?;
        let names = catalog.models().iter();
        let models = names
            .map(|model| telemetry.metrics.model(model.name.as_str()))
            .collect();
        Ok(Self {
            number: previous.map_or(1, |old| old.number + 1),
            hash: loaded.hash,
            callers: Callers::new(&snapshot.callers),
            health,
            routes,
            standings,
            upstreams,
            models,
            snapshot,
        })
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

fn upstream(
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    standings: &Standings,
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
        place: place(&endpoint.provider, provider, standings)?,
        head: head(provider, endpoint).map_err(|what| header_error(&what))?,
        metrics: telemetry.metrics.endpoint(&labels),
    })
}

/// The head of every request to an endpoint. The error names what cannot be sent.
fn head(provider: &Provider, endpoint: &Endpoint) -> Result<RequestHeader, String> {
    let path = format!("{}{}", provider.base.path, chat_path(provider));
    let mut head = RequestHeader::build("POST", path.as_bytes(), Some(16))
        .map_err(|_| "the path of `base_url`".to_owned())?;
    insert(&mut head, "host", &provider.base.authority())?;
    insert(&mut head, "content-type", "application/json")?;
    insert(&mut head, "accept-encoding", "identity")?;
    identify(&mut head, provider, &endpoint.key)?;
    Ok(head)
}

fn chat_path(provider: &Provider) -> &'static str {
    match provider.dialects.first() {
        Some(DialectName::OpenAi) | None => "/chat/completions",
    }
}
