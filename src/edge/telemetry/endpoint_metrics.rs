//! Owns the families of endpoints and the handles to their series: what attempts did there, and what is believed of
//! them. An endpoint has at most 100 series; those of a class, of JSON and of told limits begin when first seen. Must
//! never look a series up that the generation has a handle to.

use std::sync::OnceLock;

use prometheus::{Counter, Gauge, Histogram, IntCounter, IntGauge};

use crate::core::catalog::{Catalog, EndpointIx, Price};
use crate::core::exchange::{AttemptRecord, Record, Usage};
use crate::core::health::{Condition, EndpointHealth, Kind};
use crate::core::outcome::Class;
use crate::core::quota::Quantity;
use crate::core::time::Time;
use crate::edge::generation::Generation;
use crate::edge::telemetry::cost;
use crate::edge::telemetry::families::{
    Counters, Families, FloatCounters, Gauges, Histograms, IntGauges, Tallies, signed,
};
use crate::edge::telemetry::labels::{Evidence, Label, Reason, Tokens};
use crate::edge::telemetry::tallied::Tallied;

/// Seconds to a first token or a JSON answer: the `GenAI` conventions' range, coarser.
const FIRST_BUCKETS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0];
/// Seconds of a whole attempt.
const WHOLE_BUCKETS: [f64; 7] = [0.25, 1.0, 2.5, 5.0, 15.0, 60.0, 240.0];

const ENDPOINT: [&str; 3] = ["endpoint", "model", "provider"];

/// The families of all endpoints.
#[derive(Debug)]
pub(super) struct EndpointFamilies {
    done: Done,
    spent: Spent,
    believed: Believed,
    expected: Expected,
}

/// The series of one endpoint.
#[derive(Debug)]
pub struct EndpointMetrics {
    attempts: [OnceLock<IntCounter>; Class::ALL.len()],
    first: [OnceLock<Histogram>; Kind::ALL.len()],
    whole: Histogram,
    gaps: Tallied,
    tokens: [IntCounter; 4],
    cost: Counter,
    wasted: Counter,
    transitions: [IntCounter; Reason::ALL.len()],
    state: [IntGauge; Condition::ALL.len()],
    health: Gauge,
    evidence: [Gauge; 2],
    share: Gauge,
    in_flight: IntGauge,
    speed: Gauge,
    rate_cap: Gauge,
    blocked: Gauge,
    remaining: [OnceLock<Gauge>; Quantity::ALL.len()],
}

/// What an endpoint's gauges show.
#[derive(Debug)]
pub(super) struct Standing<'a> {
    pub(super) health: &'a EndpointHealth,
    pub(super) condition: Condition,
    pub(super) share: f32,
    pub(super) now: Time,
}

/// What attempts did.
#[derive(Debug)]
struct Done {
    attempts: Counters<4>,
    first: Histograms<4>,
    whole: Histograms<3>,
    gaps: Tallies<3>,
    in_flight: IntGauges<3>,
}

/// What they took.
#[derive(Debug)]
struct Spent {
    tokens: Counters<4>,
    cost: FloatCounters<3>,
    wasted: FloatCounters<3>,
}

/// Where the breaker stands, and what it stands on.
#[derive(Debug)]
struct Believed {
    transitions: Counters<5>,
    state: IntGauges<4>,
    health: Gauges<3>,
    evidence: Gauges<4>,
}

/// What the next attempt may expect.
#[derive(Debug)]
struct Expected {
    share: Gauges<3>,
    speed: Gauges<3>,
    rate_cap: Gauges<3>,
    blocked: Gauges<3>,
    remaining: Gauges<4>,
}

/// The labels of an endpoint and one more.
const fn with(more: &'static str) -> [&'static str; 4] {
    let [endpoint, model, provider] = ENDPOINT;
    [endpoint, model, provider, more]
}

impl Done {
    fn new(f: &mut Families) -> Self {
        Self {
            attempts: f.counters(
                "attempts_total",
                "Attempts by outcome class.",
                with("outcome"),
            ),
            first: f.histograms(
                "first_content_seconds",
                "Send done to the first content event of a stream, or to the whole JSON answer.",
                (with("kind"), &FIRST_BUCKETS),
            ),
            whole: f.histograms(
                "attempt_seconds",
                "Begin of an attempt that answered to the end of its answer.",
                (ENDPOINT, &WHOLE_BUCKETS),
            ),
            gaps: f.tallies(
                "content_gap_seconds",
                "Silence between one content event of a stream and the next, broken streams included.",
                ENDPOINT,
            ),
            in_flight: f.int_gauges("endpoint_in_flight", "Attempts under way.", ENDPOINT),
        }
    }
}

impl Spent {
    fn new(f: &mut Families) -> Self {
        Self {
            tokens: f.counters(
                "tokens_total",
                "Tokens as upstreams counted them, by type. Cached ones are among those of the prompt, reasoning among \
                 those of the completion.",
                with("type"),
            ),
            cost: f.float_counters(
                "endpoint_cost_usd_total",
                "What attempts cost, wasted ones included; estimated where an upstream did not say. Nothing where the \
                 price is unknown.",
                ENDPOINT,
            ),
            wasted: f.float_counters(
                "endpoint_wasted_cost_usd_total",
                "The part that went to attempts that did not answer: prompt and seen tokens, estimated.",
                ENDPOINT,
            ),
        }
    }
}

impl Believed {
    fn new(f: &mut Families) -> Self {
        Self {
            transitions: f.counters(
                "endpoint_transitions_total",
                "Moves of a breaker. To open: attempts and probes that tripped the endpoint, its host or its key, by \
                 what that was due to. The others: the endpoint's own breaker.",
                ["endpoint", "model", "provider", "to", "reason"],
            ),
            state: f.int_gauges(
                "endpoint_state",
                "1 for the state the endpoint is in, with its host and key, else 0.",
                with("state"),
            ),
            health: f.gauges(
                "endpoint_health_ratio",
                "Expected success of the endpoint's next attempt.",
                ENDPOINT,
            ),
            evidence: f.gauges(
                "endpoint_health_evidence",
                "Recent successes and failures that the belief is made of, weighed and decayed. Without any it is the \
                 prior.",
                with("part"),
            ),
        }
    }
}

impl Expected {
    fn new(f: &mut Families) -> Self {
        Self {
            share: f.gauges(
                "endpoint_share_ratio",
                "The endpoint's part of the first attempts that streams of its model would make now, counted over \
                 draws.",
                ENDPOINT,
            ),
            speed: f.gauges(
                "endpoint_tokens_per_second",
                "Expected of the next stream; 0 while nothing is known.",
                ENDPOINT,
            ),
            rate_cap: f.gauges(
                "endpoint_rate_cap",
                "Learnt limit on requests a second; 0 where none was learnt, or traffic has been far below it for a minute.",
                ENDPOINT,
            ),
            blocked: f.gauges(
                "endpoint_blocked_seconds",
                "How much longer a Retry-After keeps requests away.",
                ENDPOINT,
            ),
            remaining: f.gauges(
                "endpoint_ratelimit_remaining_ratio",
                "What is left of a rate limit, as the upstream told it and less what went out since.",
                with("quantity"),
            ),
        }
    }
}

impl EndpointFamilies {
    pub(super) fn new(families: &mut Families) -> Self {
        Self {
            done: Done::new(families),
            spent: Spent::new(families),
            believed: Believed::new(families),
            expected: Expected::new(families),
        }
    }

    /// The handles of one endpoint, resolved when its generation is built. Counters begin at 0: one that is born as 1
    /// shows no increase, and the first trip would be on no chart.
    pub(super) fn resolve(&self, catalog: &Catalog, endpoint: EndpointIx) -> EndpointMetrics {
        let labels = Label::endpoint(catalog, endpoint);
        let own = EndpointMetrics {
            attempts: Class::ALL.map(|_| OnceLock::new()),
            first: Kind::ALL.map(|_| OnceLock::new()),
            whole: self.done.whole.with(labels),
            gaps: self.done.gaps.with(labels),
            tokens: std::array::from_fn(|at| {
                self.spent
                    .tokens
                    .with(and(labels, Label::of(Tokens::ALL[at])))
            }),
            cost: self.spent.cost.with(labels),
            wasted: self.spent.wasted.with(labels),
            transitions: Reason::ALL
                .map(|reason| self.believed.transitions.with(moved(labels, reason))),
            state: Condition::ALL
                .map(|state| self.believed.state.with(and(labels, Label::of(state)))),
            health: self.believed.health.with(labels),
            evidence: std::array::from_fn(|at| {
                self.believed
                    .evidence
                    .with(and(labels, Label::of(Evidence::ALL[at])))
            }),
            share: self.expected.share.with(labels),
            in_flight: self.done.in_flight.with(labels),
            speed: self.expected.speed.with(labels),
            rate_cap: self.expected.rate_cap.with(labels),
            blocked: self.expected.blocked.with(labels),
            remaining: Quantity::ALL.map(|_| OnceLock::new()),
        };
        self.ended(&own, labels, Class::Success);
        self.first(&own, labels, Kind::Stream);
        own
    }

    fn ended<'a>(
        &self,
        own: &'a EndpointMetrics,
        labels: [Label<'_>; 3],
        class: Class,
    ) -> &'a IntCounter {
        let series = || self.done.attempts.with(and(labels, Label::of(class)));
        own.attempts[class as usize].get_or_init(series)
    }

    fn first<'a>(
        &self,
        own: &'a EndpointMetrics,
        labels: [Label<'_>; 3],
        kind: Kind,
    ) -> &'a Histogram {
        let series = || self.done.first.with(and(labels, Label::of(kind)));
        own.first[kind as usize].get_or_init(series)
    }

    /// Takes in an attempt that is over.
    pub(super) fn observe(
        &self,
        generation: &Generation,
        record: &Record,
        attempt: &AttemptRecord,
    ) {
        let own = generation.endpoint_metrics(attempt.endpoint);
        let catalog = &generation.snapshot.catalog;
        let labels = Label::endpoint(catalog, attempt.endpoint);
        self.ended(own, labels, attempt.class).inc();
        if let Some(first) = attempt.first_content {
            let series = self.first(own, labels, attempt.kind);
            series.observe(first.as_secs_f64());
        }
        own.gaps.add(&attempt.gaps);
        if attempt.class == Class::Success {
            own.whole.observe(attempt.took.as_secs_f64());
        }
        if attempt.tripped {
            own.count_trip(attempt.class);
        }
        let price = catalog.endpoint(attempt.endpoint).price;
        let wasted = cost::of_waste(generation, record, attempt);
        own.charge(record.prompt_estimate, attempt, (price, wasted));
    }

    /// Shows where the endpoint stands.
    pub(super) fn show(&self, labels: [Label<'_>; 3], own: &EndpointMetrics, at: &Standing<'_>) {
        let (health, now) = (at.health, at.now);
        for (state, gauge) in Condition::ALL.into_iter().zip(&own.state) {
            gauge.set(i64::from(state == at.condition));
        }
        own.health.set(f64::from(health.expected_success(now)));
        let (success, failure) = health.evidence(now);
        own.evidence[Evidence::Success as usize].set(f64::from(success));
        own.evidence[Evidence::Failure as usize].set(f64::from(failure));
        own.share.set(f64::from(at.share));
        own.in_flight.set(signed(u64::from(health.in_flight())));
        let speed = health.throughput(now).unwrap_or(0.0);
        own.speed.set(f64::from(speed));
        let cap = health.rate_cap(now).unwrap_or(0.0);
        own.rate_cap.set(f64::from(cap));
        let blocked = health.blocked_until().since(now);
        own.blocked.set(blocked.as_secs_f64());
        for reason in [Reason::Probed, Reason::Answered, Reason::Settled] {
            // Health counts them: what it knows more of is added. One that began anew is waited for.
            let counter = &own.transitions[reason as usize];
            let known = u64::from(health.entered(reason.to()));
            counter.inc_by(known.saturating_sub(counter.get()));
        }
        for told in health.remaining(now) {
            let Some(limit) = told.limit.filter(|limit| *limit > 0) else {
                continue;
            };
            let labels = and(labels, Label::of(told.quantity));
            let gauge = own.remaining[told.quantity as usize]
                .get_or_init(|| self.expected.remaining.with(labels));
            gauge.set(told.left as f64 / limit as f64);
        }
    }

    /// Ends the series of an endpoint that is gone.
    pub(super) fn forget(&self, catalog: &Catalog, endpoint: EndpointIx) {
        let labels = Label::endpoint(catalog, endpoint);
        for class in Class::ALL {
            self.done.attempts.forget(and(labels, Label::of(class)));
        }
        for kind in Kind::ALL {
            self.done.first.forget(and(labels, Label::of(kind)));
        }
        for tokens in Tokens::ALL {
            self.spent.tokens.forget(and(labels, Label::of(*tokens)));
        }
        for reason in Reason::ALL {
            self.believed.transitions.forget(moved(labels, reason));
        }
        for state in Condition::ALL {
            self.believed.state.forget(and(labels, Label::of(state)));
        }
        for part in Evidence::ALL {
            self.believed.evidence.forget(and(labels, Label::of(*part)));
        }
        for quantity in Quantity::ALL {
            self.expected
                .remaining
                .forget(and(labels, Label::of(quantity)));
        }
        self.done.whole.forget(labels);
        self.done.gaps.forget(labels);
        for costs in [&self.spent.cost, &self.spent.wasted] {
            costs.forget(labels);
        }
        self.done.in_flight.forget(labels);
        for gauges in [
            &self.believed.health,
            &self.expected.share,
            &self.expected.speed,
            &self.expected.rate_cap,
            &self.expected.blocked,
        ] {
            gauges.forget(labels);
        }
    }
}

impl EndpointMetrics {
    /// An attempt, or a probe of our own, tripped the endpoint, its host or its key.
    pub(crate) fn count_trip(&self, class: Class) {
        self.transitions[Reason::of(class) as usize].inc();
    }

    /// Counts what an attempt took: an answer as its upstream counted, else as estimated; what was wasted as the log
    /// tells it.
    fn charge(
        &self,
        prompt_estimate: u64,
        attempt: &AttemptRecord,
        (price, wasted): (Price, Option<f64>),
    ) {
        if let Some(usage) = attempt.usage {
            self.count(usage);
        }
        let estimated = (attempt.class == Class::Success)
            .then(|| price.of(prompt_estimate, u64::from(attempt.contents)));
        let counted = attempt.usage;
        let counted = counted.map(|used| price.of(used.prompt_tokens, used.completion_tokens));
        let cost = wasted.or(counted).or(estimated).unwrap_or_default();
        self.cost.inc_by(cost.max(0.0));
        self.wasted.inc_by(wasted.unwrap_or_default().max(0.0));
    }

    fn count(&self, usage: Usage) {
        let counts = [
            (Tokens::Prompt, usage.prompt_tokens),
            (Tokens::Cached, usage.cached_tokens.unwrap_or(0)),
            (Tokens::Completion, usage.completion_tokens),
            (Tokens::Reasoning, usage.reasoning_tokens),
        ];
        for (tokens, count) in counts {
            self.tokens[tokens as usize].inc_by(count);
        }
    }
}

fn and<'a>([endpoint, model, provider]: [Label<'a>; 3], more: Label<'a>) -> [Label<'a>; 4] {
    [endpoint, model, provider, more]
}

fn moved([endpoint, model, provider]: [Label<'_>; 3], reason: Reason) -> [Label<'_>; 5] {
    let (to, reason) = (Label::of(reason.to()), Label::of(reason));
    [endpoint, model, provider, to, reason]
}
