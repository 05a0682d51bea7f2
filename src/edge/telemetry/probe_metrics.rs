//! Owns the counts of probes of our own. Must never hold what a client's request did.

use prometheus::{Counter, IntCounterVec, Registry};

use crate::edge::telemetry::families::{counters, float_counter};

/// What becomes of a probe.
const RESULTS: [&str; 2] = ["passed", "failed"];

/// All probes, of whatever endpoint.
#[derive(Debug)]
pub(crate) struct ProbeMetrics {
    results: IntCounterVec,
    cost: Counter,
}

impl ProbeMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let results = counters(
            registry,
            "probes_total",
            "Requests and connections of our own to open endpoints, by result.",
            &["result"],
        );
        for result in RESULTS {
            let _at_zero = results.with_label_values(&[result]);
        }
        Self {
            results,
            cost: float_counter(
                registry,
                "probes_cost_usd_total",
                "What those cost, as far as their answers told and prices are known.",
            ),
        }
    }

    /// A probe is over.
    pub(crate) fn count(&self, has_passed: bool) {
        let [passed, failed] = RESULTS;
        let result = if has_passed { passed } else { failed };
        self.results.with_label_values(&[result]).inc();
    }

    /// One was billed, in USD.
    pub(crate) fn charge(&self, cost: f64) {
        self.cost.inc_by(cost.max(0.0));
    }
}
