//! Owns what serves right now: a snapshot with the health of its endpoints, their prepared upstreams and
//! metric handles, swapped as one. Must never be read twice in one request.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::http::RequestHeader;

use crate::config::Loaded;
use crate::config::facts::Facts;
use crate::config::snapshot::{Listener, NamedFile, PathPattern, Provider, Snapshot, UpstreamAuth};
use crate::core::catalog::{Catalog, Endpoint, EndpointIx, ModelIx};
use crate::core::health::Health;
use crate::core::names::KeyName;
use crate::core::sticky::Places;
use crate::edge::auth::Callers;
use crate::edge::carrying;
use crate::edge::conversations::Conversations;
use crate::edge::dns::Resolver;
use crate::edge::peer::{PeerError, Place, Standings, identify, insert, place, with_key};
use crate::edge::probe::Probe;
use crate::edge::routes::Routes;
use crate::edge::sign::Signer;
use crate::edge::telemetry::{EndpointMetrics, ModelMetrics, Names, Telemetry};
use crate::edge::template::Template;
use crate::edge::tls::{FileError, Identity};
use crate::edge::tokens::{Grant, Tokens};
use crate::wire::dialect::Target;
use crate::wire::dialects::{Ask, Dialect};
use crate::wire::path_segment::path_segment;

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
    /// The dialects that all endpoints speak, a bit each.
    common: u8,
    /// Those that requests are translated to.
    targets: Vec<Dialect>,
    pub callers: Callers,
    pub routes: Routes,
    /// Of the providers that are checked actively.
    pub(crate) probes: Vec<Arc<Probe>>,
    standings: Arc<Standings>,
    /// They outlive it too: a credential that stays keeps its token.
    pub(crate) tokens: Arc<Tokens>,
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
    heads: Heads,
    /// Where its requests are signed one by one.
    pub(crate) signer: Option<Signer>,
    /// Where its requests carry access tokens.
    pub(crate) grant: Option<Arc<Grant>>,
    /// What bodies in Anthropic's dialect name in the place of the model.
    pub(crate) anthropic_version: Option<String>,
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

/// The heads of an endpoint's requests, but for the length and what the client adds.
#[derive(Debug)]
struct Heads {
    /// Of requests in a dialect that its provider speaks, at the place of what is asked: for one answer, and for a stream.
    untouched: [Option<[Arc<Template>; 2]>; Ask::ALL.len()],
    /// What other requests are translated to.
    dialect: Dialect,
    /// Of those: for one answer, and for a stream.
    translated: [Arc<Template>; 2],
}

/// How a request gets to an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// As the client wrote it.
    Untouched(&'a Arc<Template>),
    Translated(Dialect, &'a Arc<Template>),
}

impl Upstream {
    /// How a request gets there.
    pub(crate) fn way(&self, ask: Ask, stream: bool) -> Way<'_> {
        match &self.heads.untouched[ask.index()] {
            Some([whole, events]) => Way::Untouched(if stream { events } else { whole }),
            None => self.translated(stream),
        }
    }

    /// How a request in another dialect gets there.
    pub(crate) fn translated(&self, stream: bool) -> Way<'_> {
        let [whole, events] = &self.heads.translated;
        Way::Translated(self.heads.dialect, if stream { events } else { whole })
    }
}

impl<'a> Way<'a> {
    /// The head, for the model that it was made for.
    pub(crate) fn head(self) -> &'a Arc<Template> {
        let (Way::Untouched(template) | Way::Translated(_, template)) = self;
        template
    }

    /// The head, for a model that the provider calls `model`.
    pub(crate) fn template(
        self,
        (provider, key): (&Provider, &KeyName),
        (ask, stream): (Ask, bool),
        model: &str,
    ) -> Arc<Template> {
        let template = self.head();
        let target = Target { model, stream };
        let path = match self {
            Way::Untouched(_) => untouched_path(provider, ask, &target),
            Way::Translated(dialect, _) => translated_path(provider, dialect, &target),
        };
        let moved = template.moved(&with_key(path, provider, key));
        moved.map_or_else(|| template.clone(), Arc::new)
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
        let tokens = previous.map_or_else(Arc::default, |old| old.tokens.clone());
        let routes = Routes::build(&snapshot, resolver, &standings, &tokens)?;
        let probes = probes(&snapshot, resolver, &standings)?;
        let upstreams = (0..catalog.endpoints().len())
            .map(EndpointIx::new)
            .map(|endpoint| upstream(&snapshot, endpoint, (&standings, &tokens), telemetry))
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
            common: common(&snapshot.catalog),
            targets: carrying::targets(&snapshot.catalog),
            health,
            identities,
            routes,
            probes,
            standings,
            tokens,
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

    /// Whether every endpoint takes requests that are written so.
    pub(crate) fn all_speak(&self, tongue: u8) -> bool {
        1_u8.checked_shl(tongue.into())
            .is_some_and(|bit| self.common & bit != 0)
    }

    /// What requests are translated to that an endpoint does not take as they are.
    pub(crate) fn targets(&self) -> &[Dialect] {
        &self.targets
    }

    /// The provider of an endpoint.
    pub(crate) fn provider_of(&self, endpoint: EndpointIx) -> Option<&Provider> {
        let name = &self.snapshot.catalog.endpoint(endpoint).provider;
        self.snapshot.providers.get(name)
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
    (standings, tokens): (&Arc<Standings>, &Tokens),
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
        signer: signer(provider, endpoint),
        grant: tokens.of(provider).map_err(|_| PeerError::Key {
            provider: endpoint.provider.to_string(),
        })?,
        anthropic_version: provider.anthropic_version.clone(),
        metrics: telemetry.metrics.endpoint(snapshot, at),
    })
}

fn signer(provider: &Provider, endpoint: &Endpoint) -> Option<Signer> {
    let UpstreamAuth::SigV4(signing) = &provider.auth else {
        return None;
    };
    let (_, secret) = provider
        .keys
        .iter()
        .find(|(name, _)| *name == endpoint.key)?;
    secret.as_ref().map(|secret| Signer::new(signing, secret))
}

/// The dialects that all endpoints speak, a bit each at its position.
fn common(catalog: &Catalog) -> u8 {
    let spoken_by_all = |tongue: u8| catalog.endpoints().iter().all(|it| it.tongues.has(tongue));
    let positions = Dialect::ALL.iter().map(|dialect| dialect.position());
    positions
        .filter(|it| spoken_by_all(*it))
        .fold(0, |set, it| set | 1 << it)
}

/// The heads of all requests to an endpoint. The error names what cannot be sent.
fn heads(provider: &Provider, endpoint: &Endpoint) -> Result<Heads, String> {
    let model = endpoint.upstream_model.as_str();
    let mut untouched = [const { None }; Ask::ALL.len()];
    let spoken = |ask: &Ask| provider.dialects.contains(&ask.dialect());
    for ask in Ask::ALL.into_iter().filter(spoken) {
        let made = |stream| {
            let path = untouched_path(provider, ask, &Target { model, stream });
            head(provider, endpoint, path)
        };
        untouched[ask.index()] = Some([made(false)?, made(true)?]);
    }
    let dialect = *provider.dialects.first().unwrap_or(&Dialect::OpenAi);
    let translated = |stream| {
        let path = translated_path(provider, dialect, &Target { model, stream });
        head(provider, endpoint, path)
    };
    Ok(Heads {
        untouched,
        dialect,
        translated: [translated(false)?, translated(true)?],
    })
}

fn head(provider: &Provider, endpoint: &Endpoint, path: String) -> Result<Arc<Template>, String> {
    let path = with_key(path, provider, &endpoint.key);
    let mut head = RequestHeader::build("POST", path.as_bytes(), Some(16))
        .map_err(|_| "the path of `base_url`".to_owned())?;
    insert(&mut head, "host", &provider.base.authority())?;
    insert(&mut head, "content-type", "application/json")?;
    insert(&mut head, "accept-encoding", "identity")?;
    identify(&mut head, provider, &endpoint.key)?;
    Ok(Arc::new(Template::new(head)))
}

fn untouched_path(provider: &Provider, ask: Ask, target: &Target<'_>) -> String {
    let pattern = provider.paths.of(ask == Ask::CountTokens, target.stream);
    below_root(provider, pattern, target.model, ask.path().to_owned())
}

fn translated_path(provider: &Provider, dialect: Dialect, target: &Target<'_>) -> String {
    let pattern = provider.paths.of(false, target.stream);
    below_root(
        provider,
        pattern,
        target.model,
        dialect.upstream().path(target),
    )
}

fn below_root(
    provider: &Provider,
    pattern: Option<&PathPattern>,
    model: &str,
    path: String,
) -> String {
    let path = match pattern {
        // An `@` may stand in a path, and does in the names of models that have versions.
        Some(pattern) => pattern.path(&path_segment(model).replace("%40", "@"), &path),
        None => path,
    };
    format!("{}{path}", provider.base.path)
}
