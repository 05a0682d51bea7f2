//! Owns all metric families on a registry of their own, and when they are told: at the end of an exchange, at a reload,
//! and what is a state at each scrape. Label values come from configuration and closed lists only (`labels`). Must
//! never hash a label on the path of a healthy request.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use prometheus::{Encoder, IntCounter, Registry, TextEncoder};

use crate::config::snapshot::Snapshot;
use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::exchange::Record;
use crate::core::names::ProviderName;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::lifecycle::Lifecycle;
use crate::edge::planning;
use crate::edge::telemetry::access_log::Routed;
use crate::edge::telemetry::check_metrics::CheckMetrics;
use crate::edge::telemetry::endpoint_metrics::{EndpointFamilies, Standing};
use crate::edge::telemetry::families::{Counters, Described, Families};
use crate::edge::telemetry::labels::{Label, Status};
use crate::edge::telemetry::model_metrics::ModelFamilies;
use crate::edge::telemetry::probe_metrics::ProbeMetrics;
use crate::edge::telemetry::process_metrics::ProcessMetrics;

pub use crate::edge::telemetry::endpoint_metrics::EndpointMetrics;
pub use crate::edge::telemetry::model_metrics::ModelMetrics;

/// Draws that the shares of a scrape are counted over, for all endpoints together, and at most for one model: off by
/// less than 5 points two times in three.
const DRAWS: (u32, u32) = (100_000, 100);

/// All families.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the listing of all metrics is a test's")
    )]
    described: Vec<Described>,
    endpoints: EndpointFamilies,
    models: ModelFamilies,
    process: ProcessMetrics,
    routed: Counters<3>,
    pub(crate) checks: CheckMetrics,
    pub(crate) probes: ProbeMetrics,
}

impl Metrics {
    /// Registers every family.
    pub fn new() -> Self {
        let mut families = Families::default();
        let (models, endpoints) = (
            ModelFamilies::new(&mut families),
            EndpointFamilies::new(&mut families),
        );
        let (checks, probes) = (
            CheckMetrics::new(&mut families),
            ProbeMetrics::new(&mut families),
        );
        let routed = families.counters(
            "route_requests_total",
            "Requests passed on by a route, by who took them last and the class of the status.",
            ["route", "provider", "status"],
        );
        let process = ProcessMetrics::new(&mut families);
        Self {
            endpoints,
            models,
            process,
            routed,
            checks,
            probes,
            registry: families.registry,
            described: families.described,
        }
    }

    /// The handles of one endpoint, resolved when its generation is built.
    pub fn endpoint(&self, snapshot: &Snapshot, endpoint: EndpointIx) -> EndpointMetrics {
        self.endpoints.resolve(&snapshot.catalog, endpoint)
    }

    /// The handles of one model.
    pub fn model(&self, snapshot: &Snapshot, model: ModelIx) -> ModelMetrics {
        self.models.resolve(snapshot, model)
    }

    /// Takes in what became of an exchange.
    pub fn observe(&self, generation: &Generation, record: &Record) {
        self.models.observe(generation, record);
        for attempt in &record.attempts {
            self.endpoints.observe(generation, record, attempt);
        }
    }

    /// A request was passed on, or could not be.
    pub fn observe_routed(&self, snapshot: &Snapshot, routed: &Routed<'_>) {
        let labels = [
            Label::route(snapshot, routed.route),
            Label::provider(snapshot, routed.provider),
            Label::of(Status::of(routed.status)),
        ];
        self.routed.with(labels).inc();
    }

    /// A reload was tried: `Ok` with the number of the new generation, or not.
    pub fn observe_reload(&self, generation: Option<u64>) {
        self.process.observe_reload(generation.is_some());
    }

    /// The first generation serves.
    pub fn observe_start(&self) {
        self.process.observe_start();
    }

    /// What counts lines that the access log lost behind its queue.
    pub(super) fn dropped_log_lines(&self) -> IntCounter {
        self.process.log_dropped.clone()
    }

    pub(crate) fn count_dropped_log_line(&self) {
        self.process.log_dropped.inc();
    }

    /// A request was refused before it had a plan.
    pub(super) fn count_refused(&self, status: u16) {
        self.process.count_refused(status);
    }

    pub(crate) fn count_dropped_spans(&self, count: u64) {
        self.process.spans_dropped.inc_by(count);
    }

    pub(crate) fn count_refused_connection(&self) {
        self.process.connections_refused.inc();
    }

    /// A timer of the data threads fired so late.
    pub(crate) fn observe_lag(&self, late: Duration) {
        self.process.observe_lag(late);
    }

    /// The exposition text, with the gauges as they are at `now`.
    pub fn render(&self, generation: &Generation, lifecycle: &Lifecycle, now: Time) -> Vec<u8> {
        let begun = Instant::now();
        self.refresh(generation, lifecycle, now);
        let mut text = Vec::with_capacity(16 * 1024);
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        self.process.observe_scrape(begun.elapsed());
        text
    }

    fn refresh(&self, generation: &Generation, lifecycle: &Lifecycle, now: Time) {
        let (snapshot, health) = (&generation.snapshot, &generation.health);
        let shares = planning::shares(snapshot, health, DRAWS, now);
        for endpoint in generation.endpoints() {
            let standing = Standing {
                health: health.endpoint(endpoint),
                condition: health.condition(endpoint, now),
                share: shares.get(&endpoint).copied().unwrap_or_default(),
                now,
            };
            let labels = Label::endpoint(&snapshot.catalog, endpoint);
            let own = generation.endpoint_metrics(endpoint);
            self.endpoints.show(labels, own, &standing);
        }
        for model in (0..snapshot.catalog.models().len()).map(ModelIx::new) {
            let tokens = health.pool(model).tokens(snapshot.retry_budget, now);
            generation.model_metrics(model).show_tokens(tokens);
        }
        self.process.show(generation.number, lifecycle);
    }

    /// Ends the series of endpoints, models and routes that `next` no longer has.
    pub fn forget_removed(&self, last: &Generation, next: &Generation) {
        let kept: HashSet<_> = next.endpoints().map(|ix| next.id(ix)).collect();
        for removed in last.endpoints().filter(|ix| !kept.contains(last.id(*ix))) {
            self.endpoints.forget(&last.snapshot.catalog, removed);
        }
        let (last, next) = (&last.snapshot, &next.snapshot);
        self.models.forget_removed(last, next);
        self.forget_routes(last, next);
    }

    fn forget_routes(&self, last: &Snapshot, next: &Snapshot) {
        let gone = last.routes.iter();
        for route in gone.filter(|route| !next.routes.contains(route)) {
            let pattern = Label::route(last, route.path.as_str());
            let providers = route.providers.iter().map(ProviderName::as_str);
            for provider in providers.chain([""]) {
                let provider = Label::provider(last, provider);
                for status in Status::ALL {
                    self.routed.forget([pattern, provider, Label::of(*status)]);
                }
            }
        }
    }

    /// Every family, for the listing that documents and dashboards are made from.
    #[cfg(test)]
    pub(super) fn described(&self) -> &[Described] {
        &self.described
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
