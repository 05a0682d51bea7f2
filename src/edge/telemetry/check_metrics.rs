//! Owns the families of active checks. Its addresses come from the configuration or DNS, and end with the watch on
//! them. Must never outlive a check.

use prometheus::{IntCounterVec, IntGaugeVec, Registry};

use crate::edge::telemetry::families::{counters, int_gauges};

/// What becomes of an active check.
const RESULTS: [&str; 2] = ["passed", "failed"];

/// The series of all checks.
#[derive(Debug)]
pub(crate) struct CheckMetrics {
    up: IntGaugeVec,
    results: IntCounterVec,
}

impl CheckMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            up: int_gauges(
                registry,
                "address_up",
                "Whether a provider's server passes its active health checks.",
                &["provider", "address"],
            ),
            results: counters(
                registry,
                "health_checks_total",
                "Active health checks of a provider's servers, by result.",
                &["provider", "result"],
            ),
        }
    }

    /// The checks of a provider begin.
    pub(crate) fn begin(&self, provider: &str) {
        for result in RESULTS {
            let _at_zero = self.results.with_label_values(&[provider, result]);
        }
    }

    /// A server was checked.
    pub(crate) fn count(&self, provider: &str, has_passed: bool) {
        let [passed, failed] = RESULTS;
        let result = if has_passed { passed } else { failed };
        self.results.with_label_values(&[provider, result]).inc();
    }

    /// What its checks say together.
    pub(crate) fn show(&self, provider: &str, address: &str, is_up: bool) {
        let gauge = self.up.with_label_values(&[provider, address]);
        gauge.set(i64::from(is_up));
    }

    /// A server is not watched any more.
    pub(crate) fn forget(&self, provider: &str, address: &str) {
        self.up.remove_label_values(&[provider, address]).ok();
    }

    /// The checks of a provider end.
    pub(crate) fn end(&self, provider: &str) {
        for result in RESULTS {
            self.results.remove_label_values(&[provider, result]).ok();
        }
    }
}
