//! Owns the gauge of what upstreams say remains of their limits. Must never show a limit that was not told.

use prometheus::{GaugeVec, Registry};

use crate::core::health::Remaining;
use crate::core::quota::Quantity;
use crate::edge::telemetry::families::gauges;

/// The series of all endpoints whose upstreams tell their limits.
#[derive(Debug)]
pub(crate) struct LimitMetrics {
    remaining: GaugeVec,
}

impl LimitMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            remaining: gauges(
                registry,
                "endpoint_ratelimit_remaining_ratio",
                "What is left of a rate limit, as the upstream told it and less what went out since.",
                &["endpoint", "model", "provider", "quantity"],
            ),
        }
    }

    /// Shows what is left of each limit whose height is known.
    pub(super) fn show(&self, labels: &[&str; 3], told: &[Remaining]) {
        let [endpoint, model, provider] = *labels;
        for one in told {
            let Some(limit) = one.limit.filter(|limit| *limit > 0) else {
                continue;
            };
            let quantity = one.quantity.as_str();
            self.remaining
                .with_label_values(&[endpoint, model, provider, quantity])
                .set(one.left as f64 / limit as f64);
        }
    }

    /// An endpoint is gone.
    pub(super) fn forget(&self, labels: &[&str; 3]) {
        let [endpoint, model, provider] = *labels;
        for quantity in Quantity::ALL {
            let labels = [endpoint, model, provider, quantity.as_str()];
            self.remaining.remove_label_values(&labels).ok();
        }
    }
}
