//! Owns the counts of probes of our own. Must never hold what a client's request did.

use prometheus::Counter;

use crate::edge::telemetry::families::{Counters, Families};
use crate::edge::telemetry::labels::{Label, Passed};

/// All probes, of whatever endpoint.
#[derive(Debug)]
pub(crate) struct ProbeMetrics {
    results: Counters<1>,
    cost: Counter,
}

impl ProbeMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        let results = families.counters(
            "probes_total",
            "Requests and connections of our own to open endpoints, by result.",
            ["result"],
        );
        for result in Passed::ALL {
            let _at_zero = results.with([Label::of(*result)]);
        }
        Self {
            results,
            cost: families.float_counter(
                "probes_cost_usd_total",
                "What those cost, as far as their answers told and prices are known.",
            ),
        }
    }

    /// A probe is over.
    pub(crate) fn count(&self, has_passed: bool) {
        let result = match has_passed {
            true => Passed::Passed,
            false => Passed::Failed,
        };
        self.results.with([Label::of(result)]).inc();
    }

    /// One was billed, in USD.
    pub(crate) fn charge(&self, cost: f64) {
        self.cost.inc_by(cost.max(0.0));
    }
}
