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
    /// The request goes on with a conversation. Where it replays reasoning that is bound to who made it, or leans on an
    /// answer that its maker keeps, only that provider may take it: elsewhere it is refused.
    pub fn hold(&mut self, catalog: &Catalog, hold: Hold) {
        self.hold = Some(hold);
        let Some(reject) = self.pin(catalog) else {
            return;
        };
        let own = &catalog.endpoint(hold.endpoint).provider;
        let all = self.legs.iter_mut().flat_map(|leg| &mut leg.candidates);
        for other in all.filter(|it| catalog.endpoint(it.endpoint).provider != *own) {
            other.reject.get_or_insert(reject);
        }
    }

    /// Whether only one provider may take it.
    pub fn is_pinned(&self, catalog: &Catalog) -> bool {
        self.pin(catalog).is_some()
    }

    /// Why nobody but the provider that answered last may take it. An answer that was translated is kept by nobody, so
    /// that who does not take the request as it is written binds none that leans on one.
    fn pin(&self, catalog: &Catalog) -> Option<Reject> {
        let hold = self.hold?;
        if self.facts.signed {
            return Some(Reject::PinnedElsewhere);
        }
        let tongues = catalog.endpoint(hold.endpoint).tongues;
        let leans_on = self.facts.leans_on;
        let kept = leans_on.filter(|_| tongues.has(self.facts.speech.tongue));
        kept.map(Reject::KeptElsewhere)
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
