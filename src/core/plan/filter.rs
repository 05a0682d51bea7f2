//! Owns the filters of a plan: why an endpoint cannot or may not take a request, whatever its health. Must never
//! filter on a guess: what the configuration does not say of a model is no reason.

use crate::core::catalog::{Capability, Catalog, EndpointIx, Model};
use crate::core::health::Usual;
use crate::core::plan::degrade::Beyond;
use crate::core::plan::facts::RequestFacts;
use crate::core::policy::{Policy, Unmet};

/// Why an endpoint is left out of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// The caller's key may not use the model.
    ModelNotAllowed,
    /// The policy does not allow another model.
    FallbackNotAllowed,
    /// It is not what the policy requires.
    Unmet(Unmet),
    /// Prompt and answer do not fit into the model's window.
    WindowTooSmall,
    /// The model never answers at the length that the client allows.
    OutputTooShort,
    /// The model is known not to have what the request needs.
    Unsupported(Capability),
    /// Its provider's dialects cannot say this field of the request.
    Unsayable(&'static str),
    /// One attempt would cost more than the policy allows all of them.
    TooExpensive,
    /// Its price is unknown, so that no limit of cost can be kept.
    PriceUnknown,
    /// It is further from what was asked for than the policy allows.
    Degrades(Beyond),
    /// The request replays reasoning that only another provider takes back.
    PinnedElsewhere,
    /// The field leans on an earlier answer, which another provider keeps.
    KeptElsewhere(&'static str),
}

impl Reject {
    /// Whether another request of the same caller could be taken: this one asks for too much.
    pub fn is_of_request(self) -> bool {
        match self {
            Self::WindowTooSmall
            | Self::OutputTooShort
            | Self::Unsupported(_)
            | Self::Unsayable(_)
            | Self::PinnedElsewhere
            | Self::KeptElsewhere(_) => true,
            Self::ModelNotAllowed
            | Self::FallbackNotAllowed
            | Self::Unmet(_)
            | Self::TooExpensive
            | Self::PriceUnknown
            | Self::Degrades(_) => false,
        }
    }
}

/// USD that one attempt is expected to cost, at what its model usually takes; `None` where the price is unknown.
pub(super) fn cost(
    catalog: &Catalog,
    ix: EndpointIx,
    facts: &RequestFacts,
    usual: Usual,
) -> Option<f64> {
    let price = catalog.endpoint(ix).price;
    let known = price.typical();
    known.map(|_| {
        let (prompt, completion) = (
            facts.prompt_tokens_of(usual),
            facts.completion_tokens_of(usual),
        );
        price.of(prompt, completion)
    })
}

/// Why the model cannot take the request, if it cannot.
pub(super) fn of_model(model: &Model, facts: &RequestFacts) -> Option<Reject> {
    let asked = facts.max_tokens.unwrap_or(0);
    let least = facts.least_prompt_tokens();
    let needed = least.saturating_add(asked);
    if model.context_length.is_some_and(|window| needed > window) {
        return Some(Reject::WindowTooSmall);
    }
    if model.max_output.is_some_and(|most| asked > most) {
        return Some(Reject::OutputTooShort);
    }
    let lacking = facts.needs().find(|need| model.lacks(*need));
    lacking.map(Reject::Unsupported)
}

/// Why the endpoint's provider cannot be told the request, if it cannot.
pub(super) fn of_speech(catalog: &Catalog, ix: EndpointIx, facts: &RequestFacts) -> Option<Reject> {
    let lost = facts.speech.lost_on(catalog.endpoint(ix).tongues);
    lost.map(Reject::Unsayable)
}

/// Why the policy does not send the request to the endpoint, if it does not.
pub(super) fn of_policy(
    policy: &Policy,
    catalog: &Catalog,
    ix: EndpointIx,
    cost: Option<f64>,
) -> Option<Reject> {
    let unmet = policy.require.unmet(catalog.endpoint(ix));
    if let Some(unmet) = unmet {
        return Some(Reject::Unmet(unmet));
    }
    match (policy.max_cost, cost) {
        (Some(most), Some(cost)) if cost > most => Some(Reject::TooExpensive),
        (Some(_), None) => Some(Reject::PriceUnknown),
        (Some(_) | None, _) => None,
    }
}
