//! Owns the rules of `policies`. A policy starts from the built-in values, not from `default`. Must never
//! leave `default` out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::compile::filters;
use crate::config::compile::health::{MOST, within};
use crate::config::compile::names::{check_name, one_of};
use crate::config::compile::providers::timeouts;
use crate::config::compile::sticky;
use crate::config::raw::policies as raw;
use crate::config::report::Report;
use crate::config::scalar::{Count, Named, Number, Text};
use crate::config::snapshot::Snapshot;
use crate::config::trail::Trail;
use crate::core::catalog::Catalog;
use crate::core::names::{EndpointId, PolicyName};
use crate::core::nearest::did_you_mean;
use crate::core::policy::{Layers, Policy, Sort, Weights};

/// A model's shares add up to this.
const WHOLE: f64 = 100.0;

#[derive(Clone, Copy)]
enum Layer {
    Retry,
    Failover,
    Fallback,
}

const LAYERS: [(&str, Layer); 3] = [
    ("retry", Layer::Retry),
    ("failover", Layer::Failover),
    ("fallback", Layer::Fallback),
];

pub(super) fn compile(
    written: &Named<raw::Policy>,
    report: &mut Report<'_>,
) -> HashMap<PolicyName, Arc<Policy>> {
    let default = PolicyName::new(Snapshot::DEFAULT_POLICY);
    let mut policies = HashMap::from([(default.clone(), Arc::new(Policy::built_in(default)))]);
    for (name, written) in &written.0 {
        let at = Trail::top("policies").key(name);
        check_name("policy's name", &at, name, report);
        let name = PolicyName::new(name.as_str());
        let policy = policy(name.clone(), written, &at, report);
        policies.insert(name, Arc::new(policy));
    }
    policies
}

/// Every name that a reference to a policy may hold.
pub(super) fn known_policies(written: &Named<raw::Policy>) -> impl Iterator<Item = &str> + Clone {
    let names = written.0.iter().map(|(name, _)| name.as_str());
    names.chain([Snapshot::DEFAULT_POLICY])
}

fn policy(name: PolicyName, written: &raw::Policy, at: &Trail, report: &mut Report<'_>) -> Policy {
    let sort = one_of(
        "sort",
        &at.key("sort"),
        &written.sort.0,
        &Sort::ALL,
        &[],
        report,
    );
    Policy {
        name,
        sort: sort.unwrap_or_default(),
        weights: weights(written, sort, at, report),
        split: split(&written.split, &at.key("split"), report),
        attempts: small(written.attempts, &at.key("attempts"), report),
        layers: layers(&written.layers.0, &at.key("layers"), report),
        deadline: written.deadline.0,
        patience: written.patience.0,
        max_cost: filters::positive(written.max_cost, &at.key("max_cost"), report),
        require: filters::require(&written.require, at, report),
        degrade: filters::degrade(&written.degrade, at, report),
        sticky: sticky::compile(&written.sticky, at, report),
        timeouts: timeouts(&written.timeouts),
    }
}

fn weights(
    written: &raw::Policy,
    sort: Option<Sort>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Weights {
    let at = at.key("weights");
    let mut weight = |name, number| within((0.0, MOST), number, &at.key(name), report);
    let weights = Weights {
        price: weight("price", written.weights.price),
        latency: weight("latency", written.weights.latency),
        throughput: weight("throughput", written.weights.throughput),
        uptime: weight("uptime", written.weights.uptime),
    };
    let all = [
        weights.price,
        weights.latency,
        weights.throughput,
        weights.uptime,
    ];
    if all.iter().all(|weight| *weight == 0.0) {
        report.error(&at, "at least one weight must be above 0");
    }
    if weights != Weights::default() && sort.is_some_and(|sort| sort != Sort::Adaptive) {
        report.error(&at, "`weights` are those of `sort: adaptive`");
    }
    weights
}

/// The percentages as written. Whether they name endpoints, `check_splits` says.
fn split(written: &Named<Number>, at: &Trail, report: &mut Report<'_>) -> Vec<(EndpointId, f32)> {
    let mut split = Vec::new();
    let mut sums: Vec<(&str, f64)> = Vec::new();
    for (id, share) in &written.0 {
        let narrow = within((0.0, WHOLE), *share, &at.key(id), report);
        split.push((EndpointId::read(id), narrow));
        let model = id.split_once('@').map_or(id.as_str(), |(model, _)| model);
        match sums.iter_mut().find(|(known, _)| *known == model) {
            Some((_, sum)) => *sum += share.0,
            None => sums.push((model, share.0)),
        }
    }
    for (model, sum) in sums.iter().filter(|(_, sum)| (sum - WHOLE).abs() > 1e-6) {
        let message = format!("the shares of {model} add up to {sum}, not to {WHOLE}");
        report.error(at, message);
    }
    split
}

/// Checks that what policies split stands in the catalogue.
pub(super) fn check_splits(
    written: &Named<raw::Policy>,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    let known = || {
        catalog
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.id.as_str())
    };
    for (name, policy) in &written.0 {
        let at = Trail::top("policies").key(name).key("split");
        for (id, _) in &policy.split.0 {
            if known().all(|other| other != id) {
                let message = format!("unknown endpoint \"{id}\"");
                report.error_with(&at.key(id), message, did_you_mean(id, known()));
            }
        }
    }
}

/// A count from 1 to 255.
pub(super) fn small(count: Count, at: &Trail, report: &mut Report<'_>) -> u8 {
    match u8::try_from(count.0) {
        Ok(count) if count > 0 => count,
        _ => {
            report.error(at, "must be from 1 to 255");
            1
        }
    }
}

fn layers(written: &[Text], at: &Trail, report: &mut Report<'_>) -> Layers {
    let mut layers = Layers {
        retry: false,
        failover: false,
        fallback: false,
    };
    for (index, name) in written.iter().enumerate() {
        match one_of("layer", &at.index(index), &name.0, &LAYERS, &[], report) {
            Some(Layer::Retry) => layers.retry = true,
            Some(Layer::Failover) => layers.failover = true,
            Some(Layer::Fallback) => layers.fallback = true,
            None => {}
        }
    }
    layers
}
