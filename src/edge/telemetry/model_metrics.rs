//! Owns the families of models, by the policy that decided: what clients got, and what recovery did for them. Must never
//! look a series up that the generation has a handle to, fallbacks aside.

use std::collections::HashSet;
use std::sync::OnceLock;

use prometheus::{Gauge, Histogram, IntCounter};

use crate::config::snapshot::Snapshot;
use crate::core::catalog::{EndpointIx, ModelIx};
use crate::core::drift::Drift;
use crate::core::exchange::{Record, Result as Ending};
use crate::core::names::PolicyName;
use crate::core::outcome::Class;
use crate::core::policy::Policy;
use crate::edge::conversations::Became;
use crate::edge::generation::Generation;
use crate::edge::telemetry::families::{Counters, Families, Gauges, Histograms};
use crate::edge::telemetry::labels::{Differs, ENDINGS, Label};

/// Seconds lost to failed attempts.
const RECOVERY_BUCKETS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Attempts of one request.
const ATTEMPT_BUCKETS: [f64; 4] = [1.0, 2.0, 3.0, 5.0];
/// A price within this ratio is the same to an operator, as in the answer's header.
const SAME_PRICE: f64 = 0.05;

const MODEL: [&str; 2] = ["model", "policy"];

/// The families of all models.
#[derive(Debug)]
pub(super) struct ModelFamilies {
    requests: Counters<3>,
    recovered: Counters<2>,
    recovery: Histograms<2>,
    attempts: Histograms<2>,
    fallbacks: Counters<4>,
    drift: Counters<3>,
    malformed: Counters<1>,
    retry_tokens: Gauges<1>,
    turns: Counters<2>,
}

/// The series of one model.
#[derive(Debug)]
pub struct ModelMetrics {
    by_policy: Vec<(PolicyName, OnceLock<PolicySeries>)>,
    malformed: IntCounter,
    retry_tokens: Gauge,
    turns: [IntCounter; Became::ALL.len()],
}

/// Those of one model under one policy.
#[derive(Debug)]
struct PolicySeries {
    endings: [IntCounter; ENDINGS.len()],
    recovered: IntCounter,
    recovery: Histogram,
    attempts: Histogram,
    drift: [OnceLock<IntCounter>; 7],
}

impl ModelFamilies {
    pub(super) fn new(families: &mut Families) -> Self {
        let f = families;
        Self {
            requests: f.counters(
                "requests_total",
                "Exchanges by how they ended for the client.",
                ["model", "policy", "result"],
            ),
            recovered: f.counters(
                "recovered_requests_total",
                "Exchanges answered after at least one failed attempt.",
                MODEL,
            ),
            recovery: f.histograms(
                "recovery_seconds",
                "Time lost to failed attempts before the one that answered.",
                (MODEL, &RECOVERY_BUCKETS),
            ),
            attempts: f.histograms(
                "request_attempts",
                "Attempts of an exchange, all models and endpoints together.",
                (MODEL, &ATTEMPT_BUCKETS),
            ),
            fallbacks: f.counters(
                "fallbacks_total",
                "Exchanges that another model answered, by the class that moved them.",
                ["model", "policy", "served", "trigger"],
            ),
            drift: f.counters(
                "drift_total",
                "Answers that differ from the one that was meant, once for each way in which they do.",
                ["model", "policy", "in"],
            ),
            malformed: f.counters(
                "malformed_events_total",
                "Stream events dropped because they were not the dialect's format.",
                ["model"],
            ),
            retry_tokens: f.gauges(
                "retry_budget_tokens",
                "Extra attempts that the model's pool can pay for.",
                ["model"],
            ),
            turns: f.counters(
                "sticky_total",
                "Answered turns of conversations: the first known (new), by the endpoint of the turn before (kept), \
                 or by another (moved).",
                ["model", "result"],
            ),
        }
    }

    /// The handles of one model; those of its own policy begin at 0, those of callers' policies when first seen.
    pub(super) fn resolve(&self, snapshot: &Snapshot, model: ModelIx) -> ModelMetrics {
        let name = Label::model(&snapshot.catalog, model);
        let own = &snapshot.catalog.model(model).policy;
        let own = own
            .as_ref()
            .map_or(Snapshot::DEFAULT_POLICY, PolicyName::as_str);
        let of = |(policy, rules): (&PolicyName, &std::sync::Arc<Policy>)| {
            let series = OnceLock::new();
            if policy.as_str() == own {
                series.get_or_init(|| self.series([name, Label::policy(snapshot, rules)]));
            }
            (policy.clone(), series)
        };
        ModelMetrics {
            by_policy: snapshot.policies.iter().map(of).collect(),
            malformed: self.malformed.with([name]),
            retry_tokens: self.retry_tokens.with([name]),
            turns: Became::ALL.map(|kept| self.turns.with([name, Label::of(kept)])),
        }
    }

    fn series(&self, labels: [Label<'_>; 2]) -> PolicySeries {
        let [model, policy] = labels;
        PolicySeries {
            endings: ENDINGS.map(|ending| self.requests.with([model, policy, Label::of(ending)])),
            recovered: self.recovered.with(labels),
            recovery: self.recovery.with(labels),
            attempts: self.attempts.with(labels),
            drift: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Takes in what became of an exchange.
    pub(super) fn observe(&self, generation: &Generation, record: &Record) {
        let snapshot = &generation.snapshot;
        let own = generation.model_metrics(record.asked);
        let model = Label::model(&snapshot.catalog, record.asked);
        let policy = Label::policy(snapshot, &record.policy);
        own.malformed.inc_by(u64::from(record.malformed));
        let mut known = own.by_policy.iter();
        let known = known.find(|(name, _)| *name == record.policy.name);
        let Some((_, series)) = known else { return };
        let series = series.get_or_init(|| self.series([model, policy]));
        series.endings[position(record.result)].inc();
        series.attempts.observe(record.attempts.len() as f64);
        if record.result == Ending::Answered && record.attempts.len() > 1 {
            series.recovered.inc();
            series.recovery.observe(record.recovery.as_secs_f64());
        }
        let Some(served) = record.served else { return };
        if let Some(class) = record.fallback {
            let served = snapshot.catalog.endpoint(served).model;
            let served = Label::model(&snapshot.catalog, served);
            let labels = [model, policy, served, Label::of(class)];
            self.fallbacks.with(labels).inc();
        }
        for what in differences(generation, record, served) {
            let labels = [model, policy, Label::of(what)];
            let counter = series.drift[what as usize].get_or_init(|| self.drift.with(labels));
            counter.inc();
        }
    }

    /// Ends the series of models, and of models under policies, that `next` no longer has.
    pub(super) fn forget_removed(&self, last: &Snapshot, next: &Snapshot) {
        let names = |snapshot: &Snapshot| -> HashSet<String> {
            let models = snapshot.catalog.models().iter();
            models.map(|model| model.name.to_string()).collect()
        };
        let stays = names(next);
        let models = (0..last.catalog.models().len()).map(ModelIx::new);
        for model in models {
            let name = Label::model(&last.catalog, model);
            let is_gone = !stays.contains(name.as_str());
            for (policy, rules) in &last.policies {
                if is_gone || !next.policies.contains_key(policy) {
                    self.forget(last, [name, Label::policy(last, rules)]);
                }
            }
            if is_gone {
                self.malformed.forget([name]);
                self.retry_tokens.forget([name]);
                for kept in Became::ALL {
                    self.turns.forget([name, Label::of(kept)]);
                }
                self.forget_served(last, name);
            }
        }
    }

    fn forget(&self, snapshot: &Snapshot, [model, policy]: [Label<'_>; 2]) {
        for ending in ENDINGS {
            self.requests.forget([model, policy, Label::of(ending)]);
        }
        for what in Differs::ALL {
            self.drift.forget([model, policy, Label::of(*what)]);
        }
        self.recovered.forget([model, policy]);
        self.recovery.forget([model, policy]);
        self.attempts.forget([model, policy]);
        for other in 0..snapshot.catalog.models().len() {
            let other = Label::model(&snapshot.catalog, ModelIx::new(other));
            for class in Class::ALL {
                self.fallbacks
                    .forget([model, policy, other, Label::of(class)]);
            }
        }
    }

    /// Fallbacks of models that stay to one that is gone.
    fn forget_served(&self, last: &Snapshot, served: Label<'_>) {
        for asked in 0..last.catalog.models().len() {
            let asked = Label::model(&last.catalog, ModelIx::new(asked));
            for rules in last.policies.values() {
                let policy = Label::policy(last, rules);
                for class in Class::ALL {
                    self.fallbacks
                        .forget([asked, policy, served, Label::of(class)]);
                }
            }
        }
    }
}

impl ModelMetrics {
    /// A turn of a conversation was answered.
    pub(super) fn count_turn(&self, kept: Became) {
        self.turns[kept.position()].inc();
    }

    pub(super) fn show_tokens(&self, tokens: f32) {
        self.retry_tokens.set(f64::from(tokens));
    }
}

const fn position(ending: Ending) -> usize {
    match ending {
        Ending::Answered => 0,
        Ending::Failed(_) => 1,
        Ending::Broken => 2,
        Ending::ClientGone => 3,
    }
}

/// In what the answer differs from that of the endpoint that was meant: the one tried first of the model asked for, else
/// that model's first.
fn differences(
    generation: &Generation,
    record: &Record,
    served: EndpointIx,
) -> impl Iterator<Item = Differs> {
    let catalog = &generation.snapshot.catalog;
    let mut tried = record.attempts.iter().map(|attempt| attempt.endpoint);
    let meant = tried
        .find(|ix| catalog.endpoint(*ix).model == record.asked)
        .or_else(|| catalog.model(record.asked).endpoints.first().copied())
        .unwrap_or(served);
    let drift = match meant == served {
        true => Drift::default(),
        false => Drift::between(catalog, meant, served),
    };
    let dearer = drift
        .price
        .is_some_and(|ratio| (ratio - 1.0).abs() > SAME_PRICE);
    let all = [
        (drift.provider, Differs::Provider),
        (drift.quantization, Differs::Quantization),
        (drift.region, Differs::Region),
        (drift.data_collection, Differs::DataCollection),
        (drift.zdr, Differs::Zdr),
        (drift.model, Differs::Model),
        (dearer, Differs::Price),
    ];
    all.into_iter().filter_map(|(is, what)| is.then_some(what))
}
