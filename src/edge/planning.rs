//! Owns the way from a request that was read to its plan: which model its text names, whether its key may use it,
//! which policy decides. The same for a request and for an explanation. Must never start an attempt.

use std::sync::Arc;

use crate::config::snapshot::{Caller, Snapshot};
use crate::core::catalog::{ModelIx, Resolved};
use crate::core::plan::{Plan, RequestFacts};
use crate::core::policy::Policy;

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
    let plan = Plan::new(catalog, model, facts, policy, may_use);
    Ok(Planned { plan, wild })
}

/// Plans a request for a model of the catalogue, wildcards included, by a caller whom nothing is kept from.
pub fn plan_for(snapshot: &Snapshot, model: ModelIx, facts: RequestFacts) -> Plan {
    let policy = policy(snapshot, None, model);
    Plan::new(&snapshot.catalog, model, facts, policy, |_| true)
}

/// A key's policy wins over a model's, a model's over the default (surface).
fn policy(snapshot: &Snapshot, caller: Option<&Caller>, model: ModelIx) -> Arc<Policy> {
    let of_caller = caller.and_then(|caller| caller.policy.as_ref());
    let name = of_caller.or(snapshot.catalog.model(model).policy.as_ref());
    name.and_then(|name| snapshot.policies.get(name))
        .or_else(|| snapshot.policies.get(Snapshot::DEFAULT_POLICY))
        .expect("compile leaves no reference without its policy, and adds the default")
        .clone()
}
