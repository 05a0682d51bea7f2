//! Owns the rules of a provider's `keys`. Must never put a credential into a finding.

use std::collections::HashSet;

use crate::config::compile::names::check_name;
use crate::config::raw::providers::ProviderKey;
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::snapshot::UpstreamAuth;
use crate::config::trail::Trail;
use crate::core::names::KeyName;

/// The provider's keys; one without a value where it takes none. `auth` is `None` where it was refused.
pub(super) fn compile(
    written: &[ProviderKey],
    auth: Option<&UpstreamAuth>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<(KeyName, Option<Secret>)> {
    let takes_none = auth == Some(&UpstreamAuth::None);
    if written.is_empty() && takes_none {
        return vec![(KeyName::new(ProviderKey::default().name.0), None)];
    }
    if takes_none {
        let message = "the provider has keys, but `auth: none` never sends them";
        report.error(at, message);
    }
    if written.is_empty() && auth.is_some() {
        let hint = "add `keys: [{ value: \"${NAME}\" }]`, or `auth: none` if it takes none";
        report.error_with(at, "the provider has no keys", hint.to_owned());
    }
    check_names(written, at, report);
    let keys = written.iter().enumerate().map(|(index, key)| {
        let value = value(key.value.as_ref(), &at.index(index).key("value"), report);
        (KeyName::new(key.name.0.as_str()), value)
    });
    keys.collect()
}

fn check_names(written: &[ProviderKey], at: &Trail, report: &mut Report<'_>) {
    let mut names = HashSet::new();
    for (index, key) in written.iter().enumerate() {
        let at = at.index(index);
        check_name("key's name", &at.key("name"), &key.name.0, report);
        if !names.insert(&key.name.0) {
            report_second_key(&at, &key.name.0, report);
        }
    }
}

fn report_second_key(at: &Trail, name: &str, report: &mut Report<'_>) {
    let at = at.key("name");
    let message = match report.written(&at) {
        Some(written) => format!("the provider's second key named \"{written}\""),
        None => format!("the provider's second key without a name, which is named \"{name}\""),
    };
    report.error_with(&at, message, "give each key its own `name`".to_owned());
}

fn value(written: Option<&Secret>, at: &Trail, report: &mut Report<'_>) -> Option<Secret> {
    match written {
        None => report.error(at, "the key has no `value` or `value_file`"),
        Some(value) if value.expose().is_empty() => report.error(at, "the key's value is empty"),
        Some(value) if http::HeaderValue::from_str(value.expose()).is_err() => {
            report.error(at, "the key holds characters that no header can carry");
        }
        Some(_) => {}
    }
    written.cloned()
}
