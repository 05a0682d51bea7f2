//! Owns what an endpoint is sent and what its upstream tells of its limits, on their way to the words of a pick. Must
//! never cost an endpoint anything whose upstream tells nothing.

use std::sync::atomic::Ordering::Relaxed;

use super::EndpointHealth;
use crate::core::health::pacing::Mark;
use crate::core::quota::{Need, Quotas};
use crate::core::time::Time;

impl EndpointHealth {
    /// An attempt begins. Returns what had been sent by then, where the upstream has told its limits.
    pub(crate) fn enter(&self, need: &Need, now: Time) -> Mark {
        self.in_flight.fetch_add(1, Relaxed);
        self.sent.fetch_add(1, Relaxed);
        if !self.words.is_told() {
            return Mark::default();
        }
        let mut inner = self.lock();
        let mark = inner.pacing.send(need, now);
        self.words.store_advice(&inner.pacing.advice(now));
        self.words.spend_told(now);
        mark
    }

    /// The upstream refused for its limits, and said until when.
    pub(crate) fn forget_spent(&self, now: Time) {
        if self.words.is_told() {
            let mut inner = self.lock();
            inner.pacing.limited();
            self.words.store_advice(&inner.pacing.advice(now));
        }
    }

    /// The upstream told its limits with the answer to an attempt.
    pub(crate) fn hear(&self, quotas: &Quotas, mark: Mark, now: Time) {
        let mut inner = self.lock();
        inner.pacing.hear(quotas, mark, now);
        self.words.store_advice(&inner.pacing.advice(now));
    }
}
