//! Owns the doubt about endpoints that no request can reach: each policy that may decide for them leaves them out.
//! Must never doubt what one caller or one chain may still use.

use crate::config::raw;
use crate::config::report::Report;
use crate::config::snapshot::Snapshot;
use crate::config::trail::Trail;
use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::names::PolicyName;
use crate::core::policy::{Policy, Unmet};

/// Warns of them, entry by entry of the file; where a model has nobody left, of the model.
pub(super) fn check(config: &raw::Config, snapshot: &Snapshot, report: &mut Report<'_>) {
    let catalog = &snapshot.catalog;
    let models = catalog.models().iter().zip(&config.models.0);
    for ((model, (name, written)), deciding) in models.zip(deciding(snapshot)) {
        let kept_away = |ix: &EndpointIx| kept_away(&deciding, catalog, *ix);
        let at = Trail::top("models").key(name).key("endpoints");
        if model.endpoints.iter().all(|ix| kept_away(ix).is_some()) {
            let Some((policy, unmet)) = model.endpoints.first().and_then(kept_away) else {
                continue;
            };
            let message = format!("no request can reach the model \"{name}\"");
            report.warn(&at, message, Some(why(policy, unmet)));
            continue;
        }
        for (index, entry) in written.endpoints.0.iter().enumerate() {
            let mut own = model
                .endpoints
                .iter()
                .filter(|ix| is_of(catalog, **ix, entry));
            let mut first = None;
            if own.all(|ix| {
                let away = kept_away(ix);
                first = first.or(away);
                away.is_some()
            }) && let Some((policy, unmet)) = first
            {
                let message = "no request can reach this endpoint";
                report.warn(&at.index(index), message, Some(why(policy, unmet)));
            }
        }
    }
}

/// The policies that may send a request of any caller to each model: its own, callers', and those of models that fall
/// back to it. Which models a caller may use is left aside: that finds too few, never too many.
fn deciding(snapshot: &Snapshot) -> Vec<Vec<&Policy>> {
    let catalog = &snapshot.catalog;
    let named = |name: &PolicyName| snapshot.policies.get(name).map(AsRef::as_ref);
    let callers = snapshot.callers.iter();
    let callers: Vec<&Policy> = callers
        .filter_map(|caller| named(caller.policy.as_ref()?))
        .collect();
    let mut deciding = vec![callers; catalog.models().len()];
    let default = PolicyName::new(Snapshot::DEFAULT_POLICY);
    for (position, model) in catalog.models().iter().enumerate() {
        let own = named(model.policy.as_ref().unwrap_or(&default));
        let chain = model.fallbacks.iter().map(|ix| ix.get());
        for reached in chain.chain([position]) {
            deciding[reached].extend(own);
        }
    }
    deciding
}

/// The first policy's reason, where all have one. A region that nobody has is told elsewhere.
fn kept_away<'p>(
    deciding: &[&'p Policy],
    catalog: &Catalog,
    ix: EndpointIx,
) -> Option<(&'p Policy, Unmet)> {
    let reason = |policy: &&'p Policy| {
        let unmet = policy.require.unmet(catalog.endpoint(ix))?;
        (unmet != Unmet::Region || has_region(policy, catalog)).then_some((*policy, unmet))
    };
    let reasons: Option<Vec<_>> = deciding.iter().map(reason).collect();
    reasons?.first().copied()
}

fn has_region(policy: &Policy, catalog: &Catalog) -> bool {
    let mut endpoints = catalog.endpoints().iter();
    endpoints.any(|endpoint| {
        let region = endpoint.labels.region.as_ref();
        region.is_some_and(|region| policy.require.region.contains(region))
    })
}

/// Whether the endpoint comes from this entry of the file: one a key of its provider, all with the entry's tag.
fn is_of(catalog: &Catalog, ix: EndpointIx, entry: &raw::models::Endpoint) -> bool {
    let endpoint = catalog.endpoint(ix);
    let provider = entry.provider.as_ref().map(|text| text.0.as_str());
    let tag = entry.tag.as_ref().map(|text| text.0.as_str());
    let rest = endpoint.id.as_str().rsplit_once('/');
    let own = rest.and_then(|(_, key)| key.split_once(':'));
    provider == Some(endpoint.provider.as_str()) && own.map(|(_, tag)| tag) == tag
}

fn why(policy: &Policy, unmet: Unmet) -> String {
    let rule = match unmet {
        Unmet::Region => "region",
        Unmet::DataCollection => "data_collection",
        Unmet::Zdr => "zdr",
        Unmet::Quantization => "min_quantization",
        Unmet::Only => "only",
        Unmet::Ignore => "ignore",
    };
    format!(
        "`require.{rule}` of the policy \"{}\" leaves it out; change one of them, or give a model or a key another `policy`",
        policy.name
    )
}
