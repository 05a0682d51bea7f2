//! Owns the rules of `policies`. A policy starts from the built-in values, not from `default`. Must never
//! leave `default` out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::compile::names::{check_name, one_of};
use crate::config::compile::providers::timeouts;
use crate::config::raw::policies as raw;
use crate::config::report::Report;
use crate::config::scalar::{Count, Named, Text};
use crate::config::snapshot::Snapshot;
use crate::config::trail::Trail;
use crate::core::names::PolicyName;
use crate::core::policy::{Layers, Policy, Sort};

const SORTS: [(&str, Sort); 2] = [("adaptive", Sort::Adaptive), ("ordered", Sort::Ordered)];
const UNBUILT_SORTS: [&str; 3] = ["cost", "latency", "throughput"];

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
        &SORTS,
        &UNBUILT_SORTS,
        report,
    );
    Policy {
        name,
        sort: sort.unwrap_or_default(),
        attempts: small(written.attempts, &at.key("attempts"), report),
        layers: layers(&written.layers.0, &at.key("layers"), report),
        deadline: written.deadline.0,
        patience: written.patience.0,
        timeouts: timeouts(&written.timeouts),
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
