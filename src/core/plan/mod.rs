//! Owns which endpoints may be tried for a request, and the choice among them with live health at each
//! attempt. In reading order: `facts`, `degrade`, `filter`, `hold` (where a conversation is), `draw`. Must never know a
//! socket.

mod facts;
mod degrade;
mod filter;
mod hold;
mod draw;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod filter_tests;
#[cfg(test)]
mod hold_tests;

use std::sync::Arc;

use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::health::Usual;
use crate::core::policy::{Policy, Share};

pub use degrade::{Beyond, beyond, is_slower};
pub(crate) use draw::standing;
pub use draw::{Draw, Pick};
pub use facts::RequestFacts;
pub use filter::Reject;
pub use hold::Hold;

/// An endpoint that may be tried, or why not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub endpoint: EndpointIx,
    /// Ratio to the pool's cheapest non-zero price; unknown is the pool's median (amendment 7).
    pub price: f32,
    /// The price is known.
    pub priced: bool,
    /// USD that an attempt is expected to cost; `None` is unknown.
    pub cost: Option<f64>,
    /// Where the policy splits the model.
    pub share: Option<Share>,
    pub reject: Option<Reject>,
}

/// The candidates of one model of the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    pub model: ModelIx,
    /// Tokens; `None` is unknown.
    pub context_length: Option<u64>,
    pub candidates: Vec<Candidate>,
}

/// What may be tried for a request: the model asked for, then its chain. Fixed for the request.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub facts: RequestFacts,
    pub policy: Arc<Policy>,
    /// The model asked for, then its fallbacks.
    pub legs: Vec<Leg>,
    /// Where the request's conversation was answered last, if that is known.
    pub hold: Option<Hold>,
}

impl Plan {
    /// Plans a request for `model`. `may_use` says which models the caller's key allows, `usual` what requests of a model
    /// take.
    pub fn new(
        catalog: &Catalog,
        model: ModelIx,
        mut facts: RequestFacts,
        policy: Arc<Policy>,
        may_use: impl Fn(ModelIx) -> bool,
        usual: impl Fn(ModelIx) -> Usual,
    ) -> Self {
        facts.usual = usual(model);
        let leg = |ix: ModelIx, fallback: bool| {
            let reject = if !may_use(ix) {
                Some(Reject::ModelNotAllowed)
            } else if fallback && !policy.layers.fallback {
                Some(Reject::FallbackNotAllowed)
            } else {
                filter::of_model(catalog.model(ix), &facts)
            };
            leg(catalog, ix, (&facts, usual(ix)), &policy, reject)
        };
        let chain = &catalog.model(model).fallbacks;
        let legs = std::iter::once(leg(model, false))
            .chain(chain.iter().map(|fallback| leg(*fallback, true)))
            .collect();
        let mut plan = Self {
            facts,
            policy,
            legs,
            hold: None,
        };
        plan.leave_out_degraded(catalog);
        plan
    }

    /// USD that an attempt is expected to cost.
    pub fn cost_of(&self, endpoint: EndpointIx) -> Option<f64> {
        let mut candidates = self.legs.iter().flat_map(|leg| &leg.candidates);
        candidates.find(|it| it.endpoint == endpoint)?.cost
    }

    /// Whether nobody may be asked, whatever their health.
    pub fn is_empty(&self) -> bool {
        let mut all = self.legs.iter().flat_map(|leg| &leg.candidates);
        all.all(|candidate| candidate.reject.is_some())
    }

    /// The endpoint that an answer is compared with: the one of the model asked for that was tried first; where
    /// that model was passed over, its first one that may be asked.
    pub fn meant(&self, catalog: &Catalog, tried: &[EndpointIx]) -> Option<EndpointIx> {
        let asked = &self.legs[0];
        let mut tried = tried.iter().copied();
        tried
            .find(|ix| catalog.endpoint(*ix).model == asked.model)
            .or_else(|| asked.admitted().next())
            .or_else(|| asked.candidates.first().map(|first| first.endpoint))
    }

    /// Leaves out what is beyond the limits of `degrade` whichever endpoint of the model asked for was meant.
    fn leave_out_degraded(&mut self, catalog: &Catalog) {
        let limits = &self.policy.degrade;
        if !limits.forbids() {
            return;
        }
        let mut meant: Vec<EndpointIx> = self.legs[0].admitted().collect();
        if meant.is_empty() {
            meant.extend(self.meant(catalog, &[]));
        }
        let chain = self.legs[1..].iter_mut();
        for candidate in chain.flat_map(|leg| &mut leg.candidates) {
            let too_far = |meant| beyond(limits, catalog, meant, candidate.endpoint).next();
            let verdicts: Option<Vec<Beyond>> = meant.iter().copied().map(too_far).collect();
            let what = verdicts.and_then(|all| all.first().copied());
            candidate.reject = candidate.reject.or(what.map(Reject::Degrades));
        }
    }
}

// === impl Leg ===

impl Leg {
    /// Those that are not left out.
    fn admitted(&self) -> impl Iterator<Item = EndpointIx> {
        let admitted = self.candidates.iter().filter(|it| it.reject.is_none());
        admitted.map(|candidate| candidate.endpoint)
    }
}

fn leg(
    catalog: &Catalog,
    ix: ModelIx,
    (facts, usual): (&RequestFacts, Usual),
    policy: &Policy,
    reject: Option<Reject>,
) -> Leg {
    let model = catalog.model(ix);
    let percent = |endpoint: EndpointIx| policy.percent(&catalog.endpoint(endpoint).id);
    let is_split = model
        .endpoints
        .iter()
        .any(|endpoint| percent(*endpoint).is_some());
    let share = |endpoint: EndpointIx| Share {
        percent: percent(endpoint),
    };
    let candidate = |endpoint: &EndpointIx| {
        let cost = filter::cost(catalog, *endpoint, facts, usual);
        Candidate {
            endpoint: *endpoint,
            price: 1.0,
            priced: catalog.endpoint(*endpoint).price.typical().is_some(),
            cost,
            share: is_split.then(|| share(*endpoint)),
            reject: reject
                .or_else(|| filter::of_policy(policy, catalog, *endpoint, cost))
                .or_else(|| filter::of_speech(catalog, *endpoint, facts)),
        }
    };
    let mut leg = Leg {
        model: ix,
        context_length: model.context_length,
        candidates: model.endpoints.iter().map(candidate).collect(),
    };
    set_prices(&mut leg);
    leg
}

/// Prices of this request compare with those of who may be asked; where nobody may, with all.
fn set_prices(leg: &mut Leg) {
    let nobody = leg.admitted().next().is_none();
    let candidates = leg.candidates.iter();
    let prices: Vec<(Option<f64>, bool)> = candidates
        .map(|it| (it.cost, nobody || it.reject.is_none()))
        .collect();
    let ratios = price_ratios(&prices);
    for (candidate, ratio) in leg.candidates.iter_mut().zip(ratios) {
        candidate.price = ratio;
    }
}

/// Ratios to the cheapest non-zero price: 0 is free, unknown is the median of the known (amendment 7), and
/// 1 where nothing is known. Each price with whether others are compared with it.
fn price_ratios(prices: &[(Option<f64>, bool)]) -> Vec<f32> {
    let compared = prices.iter().filter(|(_, compared)| *compared);
    let mut known: Vec<f64> = compared.filter_map(|(price, _)| *price).collect();
    known.sort_by(f64::total_cmp);
    let cheapest = known.iter().copied().find(|price| *price > 0.0);
    let median = known.get(known.len() / 2).copied();
    let ratio = |price: Option<f64>| match (price.or(median), cheapest) {
        (Some(price), Some(cheapest)) => price / cheapest,
        (Some(_), None) => 0.0,
        (None, _) => 1.0,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a ratio of prices needs no more than an f32"
    )]
    prices
        .iter()
        .map(|(price, _)| ratio(*price) as f32)
        .collect()
}
