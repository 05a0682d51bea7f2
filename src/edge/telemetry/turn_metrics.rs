//! Owns the family of conversations' turns: whether each was answered where the one before was. Must never be labelled
//! by a conversation.

use prometheus::{IntCounter, IntCounterVec, Registry};

use crate::edge::conversations::Became;
use crate::edge::telemetry::families::counters;

/// The series of all models.
#[derive(Debug)]
pub(super) struct TurnMetrics {
    turns: IntCounterVec,
}

/// Those of one model.
#[derive(Debug)]
pub(super) struct Turns([IntCounter; Became::ALL.len()]);

impl TurnMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            turns: counters(
                registry,
                "sticky_total",
                "Answered turns of conversations: the first known (new), by the endpoint of the turn before (kept), \
                 or by another (moved).",
                &["model", "result"],
            ),
        }
    }

    /// The handles of one model.
    pub(super) fn model(&self, model: &str) -> Turns {
        Turns(Became::ALL.map(|kept| self.turns.with_label_values(&[model, kept.as_str()])))
    }

    /// A model is no more.
    pub(super) fn forget(&self, model: &str) {
        for kept in Became::ALL {
            self.turns.remove_label_values(&[model, kept.as_str()]).ok();
        }
    }
}

impl Turns {
    pub(super) fn count(&self, kept: Became) {
        self.0[kept.position()].inc();
    }
}
