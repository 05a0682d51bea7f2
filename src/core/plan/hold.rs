//! Owns what a plan knows of the conversation that its request goes on with: the endpoint that answered last, and
//! whether only its provider may answer. Must never choose: `draw` does, with live health.

use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::plan::{Plan, Reject};
use crate::core::policy::Pull;

/// The endpoint that answered a conversation last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hold {
    pub endpoint: EndpointIx,
    /// What leaving it would cost.
    pub pull: Pull,
}

impl Plan {
    /// The request goes on with a conversation. Where it replays reasoning that is bound to who made it, only
    /// that provider may take it: elsewhere the signatures are refused.
    pub fn hold(&mut self, catalog: &Catalog, hold: Hold) {
        self.hold = Some(hold);
        if !self.is_pinned() {
            return;
        }
        let own = &catalog.endpoint(hold.endpoint).provider;
        let all = self.legs.iter_mut().flat_map(|leg| &mut leg.candidates);
        for other in all.filter(|it| catalog.endpoint(it.endpoint).provider != *own) {
            other.reject.get_or_insert(Reject::PinnedElsewhere);
        }
    }

    /// Whether only one provider may take it.
    pub fn is_pinned(&self) -> bool {
        self.hold.is_some() && self.facts.signed
    }

    /// USD of the request at the cheapest endpoint that may take it and is not free, of the model that `endpoint`
    /// is of.
    pub fn cheapest_beside(&self, endpoint: EndpointIx) -> Option<f64> {
        let has = |it: &&super::Leg| it.candidates.iter().any(|one| one.endpoint == endpoint);
        let candidates = self.legs.iter().find(has)?.candidates.iter();
        candidates
            .filter(|it| it.reject.is_none())
            .filter_map(|it| it.cost)
            .filter(|cost| *cost > 0.0)
            .min_by(f64::total_cmp)
    }
}
