//! Owns the metric families and the handles to their series. Label values come from configuration and
//! closed lists only. Must never hash a label on the path of a healthy request. Beside it: `forget` (the ends of series).

mod forget;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Registry, TextEncoder,
};

use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::exchange::{AttemptRecord, Record, Result as Ending};
use crate::core::health::{Condition, Kind};
use crate::core::outcome::Class;
use crate::core::time::Time;
use crate::edge::clock::unix_seconds;
use crate::edge::generation::Generation;
use crate::edge::lifecycle::Lifecycle;
use crate::edge::telemetry::access_log::Routed;
use crate::edge::telemetry::check_metrics::CheckMetrics;
use crate::edge::telemetry::families::{
    counter, counters, float_gauge, gauges, histograms, int_gauge, int_gauges, signed,
};
use crate::edge::telemetry::limit_metrics::LimitMetrics;
use crate::edge::telemetry::probe_metrics::ProbeMetrics;
use crate::edge::telemetry::process_metrics::describe;
use crate::edge::telemetry::turn_metrics::{TurnMetrics, Turns};

/// Seconds to a first token or answer: the GenAI conventions' range at every second step.
const LATENCY_BUCKETS: [f64; 8] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Seconds lost to failed attempts.
const RECOVERY_BUCKETS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const ENDPOINT: [&str; 3] = ["endpoint", "model", "provider"];
const ENDINGS: [Ending; 4] = [
    Ending::Answered,
    Ending::Failed(Class::ServerError),
    Ending::Broken,
    Ending::ClientGone,
];
/// The status that a client got; `none` where none was sent.
const STATUS_CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
/// What becomes of a reload.
const RELOADS: [&str; 2] = ["applied", "refused"];

/// All families, on a registry of their own.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    fallbacks: IntCounterVec,
    recovered: IntCounterVec,
    recovery: HistogramVec,
    attempts: IntCounterVec,
    latency: HistogramVec,
    health: GaugeVec,
    state: IntGaugeVec,
    in_flight: IntGaugeVec,
    trips: IntCounterVec,
    malformed: IntCounterVec,
    retry_tokens: GaugeVec,
    connections: IntGauge,
    pub(crate) connections_refused: IntCounter,
    exchanges: IntGauge,
    held_bytes: IntGauge,
    reloads: IntCounterVec,
    reload_ok: IntGauge,
    reload_time: Gauge,
    generation: IntGauge,
    log_dropped: IntCounter,
    pub(crate) spans_dropped: IntCounter,
    routed: IntCounterVec,
    limits: LimitMetrics,
    pub(crate) checks: CheckMetrics,
    pub(crate) probes: ProbeMetrics,
    turns: TurnMetrics,
}

/// The series of one endpoint.
#[derive(Debug)]
pub struct EndpointMetrics {
    succeeded: IntCounter,
    latency: [Histogram; 2],
}

/// The series of one model.
#[derive(Debug)]
pub struct ModelMetrics {
    answered: IntCounter,
    pub(super) turns: Turns,
}

impl Metrics {
    /// Registers every family.
    pub fn new() -> Self {
        let registry = Registry::new();
        describe(&registry);
        Self {
            requests: counters(
                &registry,
                "requests_total",
                "Exchanges by how they ended for the client.",
                &["model", "result"],
            ),
            fallbacks: counters(
                &registry,
                "fallbacks_total",
                "Exchanges that another model answered, by the class that moved them.",
                &["model", "served", "trigger"],
            ),
            recovered: counters(
                &registry,
                "recovered_requests_total",
                "Exchanges answered after at least one failed attempt.",
                &["model"],
            ),
            recovery: histograms(
                &registry,
                "recovery_seconds",
                "Time lost to failed attempts before the one that answered.",
                &["model"],
                &RECOVERY_BUCKETS,
            ),
            attempts: counters(
                &registry,
                "attempts_total",
                "Attempts by outcome class.",
                &["endpoint", "model", "provider", "outcome"],
            ),
            latency: histograms(
                &registry,
                "first_content_seconds",
                "Send done to the first content event of a stream, or to the whole JSON answer.",
                &["endpoint", "model", "provider", "kind"],
                &LATENCY_BUCKETS,
            ),
            health: gauges(
                &registry,
                "endpoint_health_ratio",
                "Expected success of the endpoint's next attempt.",
                &ENDPOINT,
            ),
            state: int_gauges(
                &registry,
                "endpoint_state",
                "1 for the state the endpoint is in, with its host and key, else 0.",
                &["endpoint", "model", "provider", "state"],
            ),
            in_flight: int_gauges(
                &registry,
                "endpoint_in_flight",
                "Attempts under way.",
                &ENDPOINT,
            ),
            trips: counters(
                &registry,
                "endpoint_trips_total",
                "Attempts whose outcome tripped the endpoint, its host or its key.",
                &ENDPOINT,
            ),
            malformed: counters(
                &registry,
                "malformed_events_total",
                "Stream events dropped because they were not the dialect's format.",
                &["model"],
            ),
            retry_tokens: gauges(
                &registry,
                "retry_budget_tokens",
                "Extra attempts that the model's pool can pay for.",
                &["model"],
            ),
            connections: int_gauge(
                &registry,
                "downstream_connections",
                "Connections of clients that are open.",
            ),
            connections_refused: counter(
                &registry,
                "downstream_connections_refused_total",
                "Connections of clients closed at once because max_connections were open.",
            ),
            exchanges: int_gauge(&registry, "exchanges_in_flight", "Exchanges under way."),
            held_bytes: int_gauge(
                &registry,
                "held_body_bytes",
                "Bytes of request bodies held for replay.",
            ),
            reloads: counters(
                &registry,
                "config_reloads_total",
                "Reloads that changed something or failed, by result.",
                &["result"],
            ),
            reload_ok: int_gauge(
                &registry,
                "config_last_reload_successful",
                "Whether the file as last read is the one that serves.",
            ),
            reload_time: float_gauge(
                &registry,
                "config_last_reload_success_timestamp_seconds",
                "When the serving configuration was loaded.",
            ),
            generation: int_gauge(
                &registry,
                "config_generation",
                "Number of the generation that serves.",
            ),
            log_dropped: counter(
                &registry,
                "access_log_dropped_total",
                "Access log lines dropped because their reader was too slow.",
            ),
            spans_dropped: counter(
                &registry,
                "spans_dropped_total",
                "Spans dropped because their collector was away or too slow.",
            ),
            routed: counters(
                &registry,
                "route_requests_total",
                "Requests passed on by a route, by who took them last and the class of the status.",
                &["route", "provider", "status"],
            ),
            limits: LimitMetrics::new(&registry),
            checks: CheckMetrics::new(&registry),
            probes: ProbeMetrics::new(&registry),
            turns: TurnMetrics::new(&registry),
            registry,
        }
    }

    /// The handles of one endpoint, resolved when its generation is built.
    pub fn endpoint(&self, labels: &[&str; 3]) -> EndpointMetrics {
        let [endpoint, model, provider] = *labels;
        // A counter that is born as 1 shows no increase: the first trip would be on no chart.
        let _at_zero = self.trips.with_label_values(labels);
        let latency = |kind: Kind| {
            self.latency
                .with_label_values(&[endpoint, model, provider, kind.as_str()])
        };
        EndpointMetrics {
            succeeded: self.attempts.with_label_values(&[
                endpoint,
                model,
                provider,
                Class::Success.as_str(),
            ]),
            latency: Kind::ALL.map(latency),
        }
    }

    /// The handles of one model.
    pub fn model(&self, model: &str) -> ModelMetrics {
        // As with trips: the first failure and the first recovery must show as an increase.
        for ending in [
            Ending::Failed(Class::LocalFault),
            Ending::Broken,
            Ending::ClientGone,
        ] {
            let _at_zero = self.requests.with_label_values(&[model, ending.as_str()]);
        }
        let _at_zero = self.recovered.with_label_values(&[model]);
        let _at_zero = self.recovery.with_label_values(&[model]);
        ModelMetrics {
            turns: self.turns.model(model),
            answered: self
                .requests
                .with_label_values(&[model, Ending::Answered.as_str()]),
        }
    }

    /// Takes in what became of an exchange.
    pub fn observe(&self, generation: &Generation, record: &Record) {
        let model = generation
            .snapshot
            .catalog
            .model(record.asked)
            .name
            .as_str();
        match record.result {
            Ending::Answered => generation.model_metrics(record.asked).answered.inc(),
            Ending::Failed(_) | Ending::Broken | Ending::ClientGone => self
                .requests
                .with_label_values(&[model, record.result.as_str()])
                .inc(),
        }
        for attempt in &record.attempts {
            self.observe_attempt(generation, attempt);
        }
        if record.malformed > 0 {
            self.malformed
                .with_label_values(&[model])
                .inc_by(u64::from(record.malformed));
        }
        if record.result == Ending::Answered && record.attempts.len() > 1 {
            self.recovered.with_label_values(&[model]).inc();
            self.recovery
                .with_label_values(&[model])
                .observe(record.recovery.as_secs_f64());
        }
        if let (Some(class), Some(served)) = (record.fallback, record.served) {
            let served = generation.snapshot.catalog.endpoint(served).model;
            self.observe_fallback(generation, model, served, class);
        }
    }

    fn observe_fallback(
        &self,
        generation: &Generation,
        model: &str,
        served: ModelIx,
        class: Class,
    ) {
        let served = generation.snapshot.catalog.model(served).name.as_str();
        self.fallbacks
            .with_label_values(&[model, served, class.as_str()])
            .inc();
    }

    fn observe_attempt(&self, generation: &Generation, attempt: &AttemptRecord) {
        let handles = generation.endpoint_metrics(attempt.endpoint);
        let labels = generation.labels(attempt.endpoint);
        let [endpoint, model, provider] = labels;
        match attempt.class {
            Class::Success => handles.succeeded.inc(),
            class => self
                .attempts
                .with_label_values(&[endpoint, model, provider, class.as_str()])
                .inc(),
        }
        if let Some(first) = attempt.first_content {
            handles.latency[attempt.kind.position()].observe(first.as_secs_f64());
        }
        if attempt.tripped {
            self.trips.with_label_values(&labels).inc();
        }
    }

    /// A request was passed on, or could not be.
    pub fn observe_routed(&self, routed: &Routed<'_>) {
        let class = STATUS_CLASSES[usize::from(routed.status / 100).min(5)];
        let labels = [routed.route, routed.provider, class];
        self.routed.with_label_values(&labels).inc();
    }

    /// A reload was tried: `Ok` with the number of the new generation, or not.
    pub fn observe_reload(&self, generation: Option<u64>) {
        let [applied, refused] = RELOADS;
        let result = match generation {
            Some(_) => applied,
            None => refused,
        };
        self.reloads.with_label_values(&[result]).inc();
        self.reload_ok.set(i64::from(generation.is_some()));
        if generation.is_some() {
            self.reload_time.set(unix_seconds() as f64);
        }
    }

    /// The first generation serves.
    pub fn observe_start(&self) {
        for result in RELOADS {
            let _at_zero = self.reloads.with_label_values(&[result]);
        }
        self.reload_ok.set(1);
        self.reload_time.set(unix_seconds() as f64);
    }

    pub(crate) fn count_dropped_log_line(&self) {
        self.log_dropped.inc();
    }

    /// The exposition text, with the gauges as they are at `now`.
    pub fn render(&self, generation: &Generation, lifecycle: &Lifecycle, now: Time) -> Vec<u8> {
        self.refresh(generation, lifecycle, now);
        let mut text = Vec::with_capacity(16 * 1024);
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "metrics could not be written");
        }
        text
    }

    fn refresh(&self, generation: &Generation, lifecycle: &Lifecycle, now: Time) {
        for endpoint in generation.endpoints() {
            self.refresh_endpoint(generation, endpoint, now);
        }
        for (position, model) in generation.snapshot.catalog.models().iter().enumerate() {
            let pool = generation.health.pool(ModelIx::new(position));
            let tokens = pool.tokens(generation.snapshot.retry_budget, now);
            self.retry_tokens
                .with_label_values(&[model.name.as_str()])
                .set(f64::from(tokens));
        }
        self.connections.set(signed(lifecycle.connections() as u64));
        self.exchanges.set(signed(lifecycle.exchanges() as u64));
        self.held_bytes.set(signed(lifecycle.held_bytes()));
        self.generation.set(signed(generation.number));
    }

    fn refresh_endpoint(&self, generation: &Generation, endpoint: EndpointIx, now: Time) {
        let labels = generation.labels(endpoint);
        let health = generation.health.endpoint(endpoint);
        self.health
            .with_label_values(&labels)
            .set(f64::from(health.expected_success(now)));
        self.in_flight
            .with_label_values(&labels)
            .set(i64::from(health.in_flight()));
        self.limits.show(&labels, &health.remaining(now));
        let present = generation.health.condition(endpoint, now);
        let [endpoint, model, provider] = labels;
        for state in Condition::ALL {
            self.state
                .with_label_values(&[endpoint, model, provider, state.as_str()])
                .set(i64::from(state == present));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
