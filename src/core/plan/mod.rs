//! Owns which endpoints may be tried for a request, and the choice among them with live health at each
//! attempt. In reading order: `facts`, `draw`. Must never know a socket.

mod facts;
mod draw;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::policy::{Policy, Share};

pub(crate) use draw::standing;
pub use draw::{Draw, Pick};
pub use facts::RequestFacts;

/// Why an endpoint is left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The caller's key may not use the model.
    ModelNotAllowed,
    /// The policy does not allow another model.
    FallbackNotAllowed,
}

/// An endpoint that may be tried, or why not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    pub endpoint: EndpointIx,
    /// Ratio to the pool's cheapest non-zero price; unknown is the pool's median (amendment 7).
    pub price: f32,
    /// The price is known.
    pub priced: bool,
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
}

impl Plan {
    /// Plans a request for `model`. `may_use` says which models the caller's key allows.
    pub fn new(
        catalog: &Catalog,
        model: ModelIx,
        facts: RequestFacts,
        policy: Arc<Policy>,
        may_use: impl Fn(ModelIx) -> bool,
    ) -> Self {
        let leg = |ix: ModelIx, fallback: bool| {
            let reject = if !may_use(ix) {
                Some(Reject::ModelNotAllowed)
            } else if fallback && !policy.layers.fallback {
                Some(Reject::FallbackNotAllowed)
            } else {
                None
            };
            leg(catalog, ix, &policy, reject)
        };
        let chain = &catalog.model(model).fallbacks;
        let legs = std::iter::once(leg(model, false))
            .chain(chain.iter().map(|fallback| leg(*fallback, true)))
            .collect();
        Self {
            facts,
            policy,
            legs,
        }
    }
}

fn leg(catalog: &Catalog, ix: ModelIx, policy: &Policy, reject: Option<Reject>) -> Leg {
    let model = catalog.model(ix);
    let percent = |endpoint: EndpointIx| policy.percent(&catalog.endpoint(endpoint).id);
    let is_split = model
        .endpoints
        .iter()
        .any(|endpoint| percent(*endpoint).is_some());
    let share = |endpoint: EndpointIx| Share {
        percent: percent(endpoint),
    };
    let prices: Vec<_> = model
        .endpoints
        .iter()
        .map(|endpoint| catalog.endpoint(*endpoint).price.typical())
        .collect();
    let ratios = price_ratios(&prices);
    let candidates = model.endpoints.iter().zip(ratios).zip(&prices);
    Leg {
        model: ix,
        context_length: model.context_length,
        candidates: candidates
            .map(|((endpoint, price), known)| Candidate {
                endpoint: *endpoint,
                price,
                priced: known.is_some(),
                share: is_split.then(|| share(*endpoint)),
                reject,
            })
            .collect(),
    }
}

/// Ratios to the cheapest non-zero price: 0 is free, unknown is the median of the known (amendment 7), and
/// 1 where nothing is known.
fn price_ratios(prices: &[Option<f64>]) -> Vec<f32> {
    let mut known: Vec<f64> = prices.iter().copied().flatten().collect();
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
    prices.iter().map(|price| ratio(*price) as f32).collect()
}
