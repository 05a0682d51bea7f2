//! Owns the rules of `providers`: dialects and authentication; their parts have files of their own. Must
//! never know one provider from another.

use std::collections::HashMap;

use crate::config::compile::names::{check_name, one_of};
use crate::config::compile::{addresses, base_url, filters, headers, health_check, keys, tls};
use crate::config::raw::providers as raw;
use crate::config::report::Report;
use crate::config::scalar::{Named, Span, Text};
use crate::config::snapshot::{DialectName, Provider, UpstreamAuth};
use crate::config::trail::Trail;
use crate::core::catalog::Labels;
use crate::core::names::ProviderName;
use crate::core::timeouts::TimeoutSettings;

const DIALECTS: [(&str, DialectName); 1] = [("openai", DialectName::OpenAi)];
const UNBUILT_DIALECTS: [&str; 6] = [
    "openai-responses",
    "anthropic",
    "gemini",
    "bedrock",
    "azure",
    "cohere",
];
const UNBUILT_AUTH: [&str; 3] = ["query", "sigv4", "google"];

/// A provider and what its endpoints take over from it.
pub(super) struct Compiled {
    pub(super) provider: Provider,
    pub(super) timeouts: TimeoutSettings,
    pub(super) labels: Labels,
}

/// The providers that hold together; the others are reported.
pub(super) fn compile(
    written: &Named<raw::Provider>,
    report: &mut Report<'_>,
) -> HashMap<ProviderName, Compiled> {
    let at = Trail::top("providers");
    if written.0.is_empty() {
        report.error(&at, "no providers are configured");
    }
    let mut compiled = HashMap::new();
    for (name, written) in &written.0 {
        let at = at.key(name);
        check_name("provider's name", &at, name, report);
        if let Some(provider) = provider(written, &at, report) {
            compiled.insert(ProviderName::new(name.as_str()), provider);
        }
    }
    compiled
}

fn provider(written: &raw::Provider, at: &Trail, report: &mut Report<'_>) -> Option<Compiled> {
    let base = base_url::compile(written.base_url.as_ref(), &at.key("base_url"), report);
    let addresses = addresses::compile(&written.addresses.0, &at.key("addresses"), report);
    let check = written.health_check.as_ref();
    let check = check.map(|it| health_check::compile(it, &at.key("health_check"), report));
    let auth = auth(&written.auth, &at.key("auth"), report);
    let dialects = dialects(&written.dialects.0, &at.key("dialects"), report);
    let headers = headers::compile(&written.headers, auth.as_ref(), &at.key("headers"), report);
    let keys = keys::compile(&written.keys.0, auth.as_ref(), &at.key("keys"), report);
    let labels = filters::labels(written, at, report);
    let tls = tls::compile(&written.tls, base.as_ref(), at, report);
    Some(Compiled {
        provider: Provider {
            dialects,
            base: base?,
            addresses,
            health_check: check,
            timeouts: timeouts(&written.timeouts),
            auth: auth?,
            keys,
            headers,
            tls,
        },
        timeouts: timeouts(&written.timeouts),
        labels,
    })
}

/// Deadlines as they stand at one level.
pub(super) fn timeouts(written: &raw::Timeouts) -> TimeoutSettings {
    let duration = |span: Option<Span>| span.map(|span| span.0);
    TimeoutSettings {
        connect: duration(written.connect),
        first_token: duration(written.first_token),
        answer: duration(written.answer),
        idle: duration(written.idle),
        total: duration(written.total),
    }
}

fn dialects(written: &[Text], at: &Trail, report: &mut Report<'_>) -> Vec<DialectName> {
    if written.is_empty() {
        report.error(at, "the provider speaks no dialect");
    }
    let mut dialects = Vec::new();
    for (index, name) in written.iter().enumerate() {
        let at = at.index(index);
        match one_of(
            "dialect",
            &at,
            &name.0,
            &DIALECTS,
            &UNBUILT_DIALECTS,
            report,
        ) {
            Some(dialect) if dialects.contains(&dialect) => {
                report.error(
                    &at,
                    format!("dialect {} is listed twice", report.quoted(&at)),
                );
            }
            Some(dialect) => dialects.push(dialect),
            None => {}
        }
    }
    dialects
}

fn auth(written: &Text, at: &Trail, report: &mut Report<'_>) -> Option<UpstreamAuth> {
    let mut words = written.0.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some("bearer"), None, None) => Some(UpstreamAuth::Bearer),
        (Some("none"), None, None) => Some(UpstreamAuth::None),
        (Some("header"), Some(name), None) => {
            headers::auth_header(name, at, report).map(UpstreamAuth::Header)
        }
        (Some(word), _, _) if UNBUILT_AUTH.contains(&word) => {
            unknown_auth(at, &format!("auth \"{word}\" is not supported yet"), report)
        }
        _ => unknown_auth(at, &format!("unknown auth {}", report.quoted(at)), report),
    }
}

fn unknown_auth<T>(at: &Trail, message: &str, report: &mut Report<'_>) -> Option<T> {
    let hint = "supported: bearer, header NAME, none".to_owned();
    report.error_with(at, message, hint);
    None
}
