//! Owns the rules of `credentials`: what requests to AWS are signed with. Must never put one into a finding.

use crate::config::raw::providers::{Provider, ProviderKey};
use crate::config::report::Report;
use crate::config::secret::Secret;
use crate::config::snapshot::Signing;
use crate::config::trail::Trail;
use crate::core::names::KeyName;

/// What is signed with, beside the secret.
pub(super) fn signing(written: &Provider, at: &Trail, report: &mut Report<'_>) -> Option<Signing> {
    let Some(credentials) = &written.credentials else {
        let hint = "write `credentials: { access_key_id: ..., secret_access_key: ... }`";
        report.error_with(at, "the provider has no `credentials`", hint.to_owned());
        return None;
    };
    if super::google::is_meant(credentials) {
        let message = "`auth: sigv4` signs with `access_key_id` and `secret_access_key` alone";
        report.error(&at.key("credentials"), message);
    }
    let region = written.region.as_ref().map(|region| region.0.clone());
    if region.is_none() {
        let hint = "write AWS's name of it, such as `region: us-east-1`";
        report.error_with(at, "the provider has no `region`", hint.to_owned());
    }
    let at = at.key("credentials");
    let id = present(
        credentials.access_key_id.as_ref(),
        &at,
        "access_key_id",
        report,
    );
    let token = credentials.session_token.clone();
    Some(Signing {
        access_key_id: id?,
        session_token: token.filter(|token| !token.expose().is_empty()),
        region: region?,
    })
}

/// A secret that is the provider's one key; `None`: it needs none.
pub(super) fn only(
    secret: Option<Secret>,
    written: &Provider,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<(KeyName, Option<Secret>)> {
    if !written.keys.0.is_empty() {
        let message = "the provider has `keys`, but is paid with access tokens";
        let hint = "write `credentials`, or another `auth`".to_owned();
        report.error_with(&at.key("keys"), message, hint);
    }
    vec![(KeyName::new(ProviderKey::default().name.0), secret)]
}

/// The secret half as the provider's one key.
pub(super) fn keys(
    written: &Provider,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<(KeyName, Option<Secret>)> {
    if !written.keys.0.is_empty() {
        let message = "the provider has `keys` and `credentials`: write one of them";
        report.error(&at.key("keys"), message);
    }
    let secret = written.credentials.as_ref();
    let secret = secret.and_then(|credentials| credentials.secret_access_key.as_ref());
    let at = at.key("credentials");
    let secret = present(secret, &at, "secret_access_key", report);
    vec![(KeyName::new(ProviderKey::default().name.0), secret)]
}

fn present(
    value: Option<&Secret>,
    at: &Trail,
    name: &str,
    report: &mut Report<'_>,
) -> Option<Secret> {
    match value {
        None => report.error(at, format!("the credentials have no `{name}`")),
        Some(value) if value.expose().is_empty() => {
            report.error(&at.key(name), format!("`{name}` is empty"));
        }
        Some(_) => {}
    }
    value.cloned()
}
