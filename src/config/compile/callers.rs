//! Owns the rules of `auth.keys`. Must never put a key into a finding.

use std::collections::HashSet;

use crate::config::compile::names::{check_known, check_name};
use crate::config::compile::policies::known_policies;
use crate::config::raw;
use crate::config::raw::auth::CallerKey;
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::snapshot::Caller;
use crate::config::trail::Trail;
use crate::core::names::{CallerName, PolicyName};
use crate::core::nearest::did_you_mean;

pub(super) fn compile(config: &raw::Config, report: &mut Report<'_>) -> Vec<Caller> {
    let at = Trail::top("auth").key("keys");
    let mut names = HashSet::new();
    let mut keys = HashSet::new();
    let mut callers = Vec::new();
    for (index, written) in config.auth.keys.0.iter().enumerate() {
        let at = at.index(index);
        let caller = caller(written, config, &at, report);
        if !names.insert(caller.name.clone()) {
            let message = format!("a second key is named {}", report.quoted(&at.key("name")));
            report.error(&at.key("name"), message);
        }
        if !keys.insert(caller.key.clone()) {
            let message = "this key has two names; a caller must be told from the key alone";
            report.error(&at.key("key"), message);
        }
        check_patterns(&caller, config, &at.key("models"), report);
        callers.push(caller);
    }
    callers
}

fn caller(
    written: &CallerKey,
    config: &raw::Config,
    at: &Trail,
    report: &mut Report<'_>,
) -> Caller {
    let policy = written.policy.as_ref().map(|policy| &policy.0);
    if let Some(policy) = policy {
        let known = known_policies(&config.policies);
        check_known("policy", &at.key("policy"), policy, known, report);
    }
    Caller {
        name: CallerName::new(name(written, at, report)),
        key: key(written, at, report),
        models: written.models.0.iter().map(|text| text.0.clone()).collect(),
        policy: policy.map(|policy| PolicyName::new(policy.as_str())),
    }
}

/// A missing name or key becomes one that no other entry has, so that it is not reported twice.
fn name(written: &CallerKey, at: &Trail, report: &mut Report<'_>) -> String {
    let Some(name) = &written.name else {
        report.error(&at.key("name"), "this key has no `name`");
        return at.to_string();
    };
    check_name("name of a key", &at.key("name"), &name.0, report);
    name.0.clone()
}

fn key(written: &CallerKey, at: &Trail, report: &mut Report<'_>) -> Secret {
    let at = at.key("key");
    match &written.key {
        Some(key) if !key.expose().is_empty() => key.clone(),
        Some(_) => {
            report.error(&at, "the key is empty");
            Secret::new(at.to_string())
        }
        None => {
            report.error(&at, "this entry has no `key` or `key_file`");
            Secret::new(at.to_string())
        }
    }
}

fn check_patterns(caller: &Caller, config: &raw::Config, at: &Trail, report: &mut Report<'_>) {
    for (index, pattern) in caller.models.iter().enumerate() {
        let at = at.index(index);
        let stem = pattern.strip_suffix('*').unwrap_or(pattern);
        if stem.contains('*') {
            report.error(&at, "a pattern may hold one `*`, at its end");
        } else if pattern.is_empty() {
            report.error(&at, "the pattern is empty");
        } else if !matches_any(pattern, config) {
            let names = config.models.0.iter().map(|(name, _)| name.as_str());
            let message = format!("no model matches {}", report.quoted(&at));
            report.warn(&at, message, did_you_mean(pattern, names));
        }
    }
}

fn matches_any(pattern: &str, config: &raw::Config) -> bool {
    let probe = Caller {
        name: CallerName::new(""),
        key: Secret::new(""),
        models: vec![pattern.to_owned()],
        policy: None,
    };
    let mut names = config.models.0.iter();
    names.any(|(name, _)| {
        // A wildcard's models are told apart by their names, which the pattern may narrow down.
        let narrows = |author: &str| pattern.starts_with(author);
        probe.may_use(name) || name.strip_suffix('*').is_some_and(narrows)
    })
}
