//! Owns the families of active checks. Its addresses come from the configuration or DNS, and end with the watch on
//! them. Must never outlive a check.

use std::net::SocketAddr;

use crate::core::names::ProviderName;
use crate::edge::telemetry::families::{Counters, Families, IntGauges};
use crate::edge::telemetry::labels::{Address, Label, Passed};

/// The series of all checks.
#[derive(Debug)]
pub(crate) struct CheckMetrics {
    up: IntGauges<2>,
    results: Counters<2>,
}

impl CheckMetrics {
    pub(super) fn new(families: &mut Families) -> Self {
        Self {
            up: families.int_gauges(
                "address_up",
                "Whether a provider's server passes its active health checks.",
                ["provider", "address"],
            ),
            results: families.counters(
                "health_checks_total",
                "Active health checks of a provider's servers, by result.",
                ["provider", "result"],
            ),
        }
    }

    /// The checks of a provider begin.
    pub(crate) fn begin(&self, provider: &ProviderName) {
        for result in Passed::ALL {
            let labels = [Label::checked(provider), Label::of(*result)];
            let _at_zero = self.results.with(labels);
        }
    }

    /// A server was checked.
    pub(crate) fn count(&self, provider: &ProviderName, has_passed: bool) {
        let result = match has_passed {
            true => Passed::Passed,
            false => Passed::Failed,
        };
        let labels = [Label::checked(provider), Label::of(result)];
        self.results.with(labels).inc();
    }

    /// What its checks say together.
    pub(crate) fn show(&self, provider: &ProviderName, at: SocketAddr, is_up: bool) {
        let address = Address::new(at);
        let gauge = self.up.with([Label::checked(provider), address.label()]);
        gauge.set(i64::from(is_up));
    }

    /// A server is not watched any more.
    pub(crate) fn forget(&self, provider: &ProviderName, at: SocketAddr) {
        let address = Address::new(at);
        self.up.forget([Label::checked(provider), address.label()]);
    }

    /// The checks of a provider end.
    pub(crate) fn end(&self, provider: &ProviderName) {
        for result in Passed::ALL {
            let labels = [Label::checked(provider), Label::of(*result)];
            self.results.forget(labels);
        }
    }
}
