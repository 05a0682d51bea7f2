//! Owns what makes an endpoint trusted again: streams that come whole, a host or key that is back. Must never count a
//! failure.

use super::EndpointHealth;
use crate::core::health::posterior::Posterior;
use crate::core::health::settings::HealthSettings;
use crate::core::time::Time;

/// How much a stream's own count moves the tokens in an event.
const PER_EVENT_GAIN: f32 = 0.1;
/// An endpoint that was trusted so before its host or key failed is trusted anew when they are back.
const WELL: f32 = 0.9;

impl EndpointHealth {
    /// A stream that began then ended whole, with so many tokens for each event with content.
    pub(crate) fn complete(
        &self,
        settings: &HealthSettings,
        started: Time,
        per_event: Option<f32>,
        now: Time,
    ) {
        self.past().succeeded(now);
        let mut inner = self.lock();
        inner.broken = 0.0;
        if inner.breaks && inner.breaker.is_barring() && started >= inner.breaker.tripped {
            if inner.breaker.succeed(settings, now) {
                inner.posterior = inner.posterior.recovered(now);
            }
            self.publish(&inner);
        }
        if let Some(per_event) = per_event {
            let known = match inner.per_event > 0.0 {
                true => inner.per_event,
                false => per_event,
            };
            inner.per_event = known + PER_EVENT_GAIN * (per_event - known);
        }
    }

    /// What kept its traffic away is over, and was not its own fault.
    pub(crate) fn trust_again(&self, now: Time) {
        let mut inner = self.lock();
        inner.posterior = inner.posterior.blameless(now);
        inner.before_gate = None;
        inner.consecutive = 0.0;
        self.publish(&inner);
    }

    /// Its host or key is back, as another endpoint's requests have shown: what was held against this one for it is
    /// taken back.
    pub(crate) fn forgive(&self, now: Time) {
        let mut inner = self.lock();
        let Some(before) = inner.before_gate.take() else {
            return;
        };
        inner.posterior = match before.expect(before.updated) >= WELL {
            true => inner.posterior.blameless(now),
            false => Posterior {
                slow: inner.posterior.slow,
                ..before.at(now)
            },
        };
        inner.consecutive = 0.0;
        self.publish(&inner);
    }
}
