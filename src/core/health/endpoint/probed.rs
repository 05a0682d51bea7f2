//! Owns what the answer to a probe of our own does to an endpoint. Must never take it for a client's.

use super::{EndpointHealth, Verdict};
use crate::core::health::settings::HealthSettings;

impl EndpointHealth {
    /// It answered. Its speed stays unknown: the smallest request says nothing of it.
    pub(crate) fn answer_active_probe(&self, settings: &HealthSettings, verdict: &Verdict) {
        let mut inner = self.lock();
        inner.breaker.settle(settings, verdict.now);
        let counts = verdict.started >= inner.breaker.tripped;
        if counts && inner.breaker.succeed(settings, verdict.now) {
            inner.posterior = inner.posterior.recovered(verdict.now);
            inner.consecutive = 0.0;
        } else {
            inner.posterior.observe(1.0, 0.0, verdict.now);
        }
        self.publish(&inner);
    }
}
