//! Owns the way from a request that was read to its plan: which model its text names, whether its key may use it,
//! which policy decides, and the words for who is left out. The same for a request and for an explanation. Must never
//! start an attempt.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::snapshot::{Caller, Snapshot};
use crate::core::catalog::{Catalog, EndpointIx, ModelIx, Resolved};
use crate::core::explain::first_shares;
use crate::core::health::Health;
use crate::core::plan::{Beyond, Plan, Reject, RequestFacts};
use crate::core::policy::{Policy, Unmet};
use crate::core::time::Time;

/// A plan, and what the request called its model.
#[derive(Debug)]
pub struct Planned {
    pub plan: Plan,
    /// The name asked for, where a wildcard has it.
    pub wild: Option<String>,
}

/// A request that nobody is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// No model has the name.
    UnknownModel,
    /// The caller's key may not use it.
    ModelNotAllowed,
}

/// Plans a request; `caller` is `None` where no keys are configured.
///
/// # Errors
/// The model does not exist, or not for this caller.
pub fn plan(
    snapshot: &Snapshot,
    health: &Health,
    caller: Option<&Caller>,
    mut facts: RequestFacts,
) -> Result<Planned, PlanError> {
    let catalog = &snapshot.catalog;
    let Resolved { model, wild } = catalog
        .resolve(&facts.model)
        .ok_or(PlanError::UnknownModel)?;
    let wild = wild.map(str::to_owned);
    facts.unproven |= wild.is_some();
    let may_use = |ix: ModelIx| {
        caller.is_none_or(|caller| caller.may_use(catalog.name_of(ix, wild.as_deref())))
    };
    if !may_use(model) {
        return Err(PlanError::ModelNotAllowed);
    }
    let policy = policy(snapshot, caller, model);
    let usual = |ix| health.pool(ix).usual();
    let plan = Plan::new(catalog, model, facts, policy, may_use, usual);
    Ok(Planned { plan, wild })
}

/// Plans a request for a model of the catalogue, wildcards included, by a caller whom nothing is kept from.
pub fn plan_for(snapshot: &Snapshot, health: &Health, model: ModelIx, facts: RequestFacts) -> Plan {
    let policy = policy(snapshot, None, model);
    let usual = |ix| health.pool(ix).usual();
    Plan::new(&snapshot.catalog, model, facts, policy, |_| true, usual)
}

/// The endpoints' parts of the first attempts that streams without anything special would make now, model by model,
/// counted over draws: so many for all endpoints together, at most so many for one model, and never less than one each.
pub fn shares(
    snapshot: &Snapshot,
    health: &Health,
    (budget, most): (u32, u32),
    now: Time,
) -> HashMap<EndpointIx, f32> {
    let catalog = &snapshot.catalog;
    let endpoints = u32::try_from(catalog.endpoints().len().max(1)).unwrap_or(u32::MAX);
    let draws = (budget / endpoints).clamp(1, most);
    let of_model = |model: ModelIx| {
        let facts = RequestFacts {
            model: catalog.model(model).name.to_string(),
            stream: true,
            ..RequestFacts::default()
        };
        let plan = plan_for(snapshot, health, model, facts);
        first_shares(&plan, catalog, health, draws, now)
    };
    let models = (0..catalog.models().len()).map(ModelIx::new);
    models.flat_map(of_model).collect()
}

/// A key's policy wins over a model's, a model's over the default (surface).
pub fn policy(snapshot: &Snapshot, caller: Option<&Caller>, model: ModelIx) -> Arc<Policy> {
    let of_caller = caller.and_then(|caller| caller.policy.as_ref());
    let name = of_caller.or(snapshot.catalog.model(model).policy.as_ref());
    name.and_then(|name| snapshot.policies.get(name))
        .or_else(|| snapshot.policies.get(Snapshot::DEFAULT_POLICY))
        .expect("compile leaves no reference without its policy, and adds the default")
        .clone()
}

/// A request that every endpoint was left out for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NobodyLeft {
    /// Every endpoint of the model asked for was left out for what the request needs, not for a rule.
    pub of_request: bool,
    /// The prompt alone is too long for all of them.
    pub too_long: bool,
    /// Why, endpoint by endpoint.
    pub why: String,
}

/// At most so many endpoints are named one by one.
const NAMED: usize = 8;

/// What to say where a plan has nobody to ask. Models that the caller's key may not use are not spoken of.
pub fn nobody_left(plan: &Plan, catalog: &Catalog) -> Option<NobodyLeft> {
    if !plan.is_empty() {
        return None;
    }
    let asked = plan.legs.first()?.candidates.iter();
    let asked: Vec<Reject> = asked.filter_map(|it| it.reject).collect();
    let all = plan.legs.iter().flat_map(|leg| &leg.candidates);
    let told: Vec<String> = all
        .filter_map(|it| Some((it.endpoint, it.reject?)))
        .filter(|(_, reject)| *reject != Reject::ModelNotAllowed)
        .map(|(ix, reject)| format!("{}: {}", catalog.endpoint(ix).id, reason(reject)))
        .collect();
    let more = told.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("and {more} more"));
    let named: Vec<String> = told.into_iter().take(NAMED).chain(more).collect();
    Some(NobodyLeft {
        of_request: asked.iter().all(|reject| reject.is_of_request()),
        too_long: asked.iter().all(|reject| *reject == Reject::WindowTooSmall),
        why: named.join("; "),
    })
}

/// Why an endpoint is left out, for people.
pub fn reason(reject: Reject) -> String {
    match reject {
        Reject::ModelNotAllowed => "the key may not use the model".to_owned(),
        Reject::FallbackNotAllowed => "the policy allows no other model".to_owned(),
        Reject::Unmet(unmet) => unmet_reason(unmet).to_owned(),
        Reject::WindowTooSmall => {
            "the prompt and max_tokens do not fit into the model's context window".to_owned()
        }
        Reject::OutputTooShort => "max_tokens is more than the model's max_output".to_owned(),
        Reject::Unsupported(what) => format!("the model does not support {}", what.as_str()),
        Reject::Unsayable(field) => {
            format!("its provider's dialect cannot carry '{field}'")
        }
        Reject::TooExpensive => "one attempt would cost more than max_cost".to_owned(),
        Reject::PriceUnknown => "its price is unknown and the policy has a max_cost".to_owned(),
        Reject::PinnedElsewhere => {
            "the request replays reasoning that another provider signed".to_owned()
        }
        Reject::KeptElsewhere(field) => {
            format!("'{field}' names what another provider keeps")
        }
        Reject::Degrades(Beyond::Model) => "degrade does not name the model".to_owned(),
        Reject::Degrades(what) => format!("beyond degrade in {}", what.as_str()),
    }
}

fn unmet_reason(unmet: Unmet) -> &'static str {
    match unmet {
        Unmet::Region => "its region is not among those required",
        Unmet::DataCollection => "it may collect data",
        Unmet::Zdr => "it has no zero data retention",
        Unmet::Quantization => "its quantization is unknown or below min_quantization",
        Unmet::Only => "the policy names others as the only ones",
        Unmet::Ignore => "the policy ignores it",
    }
}
