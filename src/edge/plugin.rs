//! Owns the whole as one value that an existing Pingora proxy can hold: `handle` in its `request_filter`, and the
//! operator's port beside its services. Must never install a signal handler or a crypto provider, end the process,
//! or run the host's `fail_to_proxy`.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora::proxy::Session;
use pingora::services::ServiceWithDependents;
use pingora::services::background::{GenBackgroundService, background_service};
use pingora::services::listening::Service;
use tokio::sync::Notify;

use crate::config::Loaded;
use crate::config::diff::Diff;
use crate::core::time::Time;
use crate::edge::admin::{Admin, Historian, Port, Reloads, Sessions};
use crate::edge::checks::Checks;
use crate::edge::clock::Clock;
use crate::edge::dns::Resolver;
use crate::edge::exporter::Exporter;
use crate::edge::generation::{BuildError, Current, Generation};
use crate::edge::lifecycle::Lifecycle;
use crate::edge::prober::Prober;
use crate::edge::proxy::{Connector, Gateway};
use crate::edge::store::{self, Keeper};
use crate::edge::telemetry::{AccessLog, Telemetry};
use crate::edge::token_keeper::TokenKeeper;

/// A Mainstay inside a process. Clones are handles to the same one.
///
/// ```no_run
/// # use mainstay::{Mainstay, config};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let path = std::path::Path::new("mainstay.yaml");
/// let loaded = config::load(path, &|name| std::env::var(name).ok())?;
/// let mainstay = Mainstay::new(loaded)?;
/// // In the host's `request_filter`:
/// //     if mainstay.handles(session) {
/// //         return Ok(mainstay.handle(session).await);
/// //     }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Mainstay {
    gateway: Gateway,
    resolver: Arc<Resolver>,
    /// Another generation serves.
    applied: Arc<Notify>,
    reloads: Arc<Reloads>,
}

/// A configuration that has taken the place of another.
#[derive(Debug, Clone)]
pub struct Applied {
    pub generation: u64,
    pub changes: Diff,
}

impl Mainstay {
    /// Prepares everything that a valid configuration names, without an access log.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used.
    pub fn new(loaded: Loaded) -> Result<Self, BuildError> {
        Self::with_telemetry(loaded, Telemetry::new(AccessLog::nowhere()))
    }

    /// The same, observed by the given telemetry.
    ///
    /// # Errors
    /// As [`Mainstay::new`].
    pub fn with_telemetry(loaded: Loaded, telemetry: Arc<Telemetry>) -> Result<Self, BuildError> {
        Self::with_resolver(loaded, telemetry, Arc::default())
    }

    /// The same, with hosts looked up by the given resolver.
    ///
    /// # Errors
    /// As [`Mainstay::new`].
    pub fn with_resolver(
        loaded: Loaded,
        telemetry: Arc<Telemetry>,
        resolver: Arc<Resolver>,
    ) -> Result<Self, BuildError> {
        let generation = Generation::build(loaded, None, &telemetry, &resolver)?;
        telemetry.metrics.observe_start();
        let clock = Clock::start();
        store::restore(&generation.snapshot, &generation.health, clock.now());
        let gateway = Gateway {
            current: Arc::new(ArcSwap::from_pointee(generation)),
            connector: Arc::new(Connector::new(resolver.clone())),
            clock,
            lifecycle: Arc::default(),
            telemetry,
        };
        Ok(Self {
            gateway,
            resolver,
            applied: Arc::default(),
            reloads: Arc::default(),
        })
    }

    /// Whether the request's path is one of ours, whatever its method.
    pub fn handles(&self, session: &Session) -> bool {
        Gateway::knows(session.req_header())
    }

    /// Answers the request, or aborts it. Returns whether it did: then the host returns `Ok(true)` from its
    /// `request_filter` at once and writes nothing. A path that is not ours is left untouched, also where the
    /// configuration's `routes` would take it: those need a proxy's hooks, which here are the host's.
    pub async fn handle(&self, session: &mut Session) -> bool {
        self.handles(session) && self.gateway.handle(session).await.is_none()
    }

    /// What belongs on the host's server: the operator's port, where the configuration puts it, the active checks
    /// that a provider's `health_check` asks for, the probes of `health.active_probe`, what writes health to the file
    /// of `store.health`, what sends traces to the collector of `telemetry.otlp`, and what fetches access tokens.
    pub fn services(&self) -> Vec<Box<dyn ServiceWithDependents>> {
        let mut admin = self.admin_service();
        admin.add_tcp(&self.admin_address().to_string());
        vec![
            Box::new(admin),
            Box::new(self.check_service()),
            Box::new(self.token_service()),
            Box::new(self.keep_service()),
            Box::new(self.probe_service()),
            Box::new(self.export_service()),
            Box::new(self.history_service()),
        ]
    }

    /// Puts another configuration in the place of the present one: requests under way finish on theirs, what
    /// stays keeps its health. Returns the new generation's number and what has changed.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used; the present one serves on.
    pub fn apply(&self, loaded: Loaded) -> Result<Applied, BuildError> {
        let metrics = &self.gateway.telemetry.metrics;
        let last = self.current().load_full();
        let telemetry = &self.gateway.telemetry;
        let next = match Generation::build(loaded, Some(&last), telemetry, &self.resolver) {
            Ok(next) => Arc::new(next),
            Err(error) => {
                self.refuse(error.to_string());
                return Err(error);
            }
        };
        self.current().store(next.clone());
        telemetry.requests.shrink(next.snapshot.telemetry.requests);
        self.applied.notify_one();
        metrics.forget_removed(&last, &next);
        metrics.observe_reload(Some(next.number));
        let salt = self.reloads.salt();
        let (from, to) = (last.facts(salt), next.facts(salt));
        Ok(Applied {
            generation: next.number,
            changes: self.reloads.applied(next.number, from, &to),
        })
    }

    /// Notes that a configuration was refused, for the operator's port and the metrics.
    pub fn refuse(&self, why: String) {
        self.gateway.telemetry.metrics.observe_reload(None);
        let number = self.current().load().number;
        self.reloads.refused(number, why);
    }

    /// What is known of reloads; a host that reads its file again takes operators' requests from here.
    pub fn reloads(&self) -> &Arc<Reloads> {
        &self.reloads
    }

    /// Notes that what was refused is gone: the file is again the one that serves.
    pub fn mend(&self) {
        let number = self.current().load().number;
        self.gateway.telemetry.metrics.observe_reload(Some(number));
        self.reloads.mended();
    }

    /// The generation that serves.
    pub fn current(&self) -> &Current {
        &self.gateway.current
    }

    /// The time that its health is told in.
    pub fn now(&self) -> Time {
        self.gateway.clock.now()
    }

    /// What is under way, for a host that drains.
    pub fn lifecycle(&self) -> &Arc<Lifecycle> {
        &self.gateway.lifecycle
    }

    /// Answers everything by itself: the service of a proxy that does nothing else.
    pub fn into_gateway(self) -> Gateway {
        self.gateway
    }

    /// The operator's port without a listener.
    pub(crate) fn admin_service(&self) -> Service<Port> {
        let admin = Admin {
            current: self.gateway.current.clone(),
            clock: self.gateway.clock,
            lifecycle: self.gateway.lifecycle.clone(),
            telemetry: self.gateway.telemetry.clone(),
            reloads: self.reloads.clone(),
            sessions: Sessions::default(),
        };
        let mut service = Service::new("admin".to_owned(), Port::new(admin));
        service.threads = Some(1);
        service
    }

    /// The active checks of whatever generation serves.
    pub(crate) fn check_service(&self) -> GenBackgroundService<Checks> {
        let checks = Checks {
            current: self.gateway.current.clone(),
            applied: self.applied.clone(),
            telemetry: self.gateway.telemetry.clone(),
        };
        background_service("health checks", checks)
    }

    /// Fetches the access tokens of whatever generation serves.
    pub(crate) fn token_service(&self) -> GenBackgroundService<TokenKeeper> {
        let keeper = TokenKeeper {
            tokens: self.current().load().tokens.clone(),
            resolver: self.resolver.clone(),
        };
        background_service("access tokens", keeper)
    }

    /// Writes health to the file that whatever generation serves names.
    pub(crate) fn keep_service(&self) -> GenBackgroundService<Keeper> {
        background_service("health store", self.keeper())
    }

    /// Probes open endpoints where whatever generation serves asks for it.
    pub(crate) fn probe_service(&self) -> GenBackgroundService<Prober> {
        let prober = Prober {
            gateway: self.gateway.clone(),
        };
        background_service("active probes", prober)
    }

    /// Sends traces to the collector that whatever generation serves names.
    pub(crate) fn export_service(&self) -> GenBackgroundService<Exporter> {
        let exporter = Exporter {
            current: self.gateway.current.clone(),
            telemetry: self.gateway.telemetry.clone(),
            resolver: self.resolver.clone(),
        };
        background_service("traces", exporter)
    }

    /// Notes where endpoints stand, for status pages that are opened later.
    pub(crate) fn history_service(&self) -> GenBackgroundService<Historian> {
        let historian = Historian {
            current: self.gateway.current.clone(),
            clock: self.gateway.clock,
            telemetry: self.gateway.telemetry.clone(),
        };
        background_service("history", historian)
    }

    /// Writes health to its file now, where the configuration names one: the last thing before a process ends, as the
    /// server does not wait for its services.
    pub(crate) fn keep_health(&self) {
        self.keeper().keep_now();
    }

    fn keeper(&self) -> Keeper {
        Keeper {
            current: self.gateway.current.clone(),
            clock: self.gateway.clock,
            lifecycle: self.gateway.lifecycle.clone(),
        }
    }

    /// Where the operator's port is configured to be.
    pub fn admin_address(&self) -> SocketAddr {
        self.current().load().snapshot.server.admin.listen
    }
}
