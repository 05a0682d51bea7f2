//! Owns the rules of `providers`: dialects, authentication, keys, TLS. Must never put a credential into a
//! finding, nor know one provider from another.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::config::compile::base_url::{self, is_ip};
use crate::config::compile::headers;
use crate::config::compile::names::{check_name, one_of};
use crate::config::raw::providers as raw;
use crate::config::report::Report;
use crate::config::scalar::{Named, Span, Text};
use crate::config::snapshot::{BaseUrl, DialectName, Provider, Secret, UpstreamAuth, UpstreamTls};
use crate::config::trail::Trail;
use crate::core::names::{KeyName, ProviderName};
use crate::core::policy::TimeoutSettings;

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
    let auth = auth(&written.auth, &at.key("auth"), report);
    let dialects = dialects(&written.dialects.0, &at.key("dialects"), report);
    let headers = headers::compile(&written.headers, auth.as_ref(), &at.key("headers"), report);
    let keys = keys(&written.keys.0, auth.as_ref(), &at.key("keys"), report);
    let tls = tls(&written.tls, base.as_ref(), at, report);
    Some(Compiled {
        provider: Provider {
            dialects,
            base: base?,
            auth: auth?,
            keys,
            headers,
            tls,
        },
        timeouts: timeouts(&written.timeouts),
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

fn keys(
    written: &[raw::ProviderKey],
    auth: Option<&UpstreamAuth>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<(KeyName, Option<Secret>)> {
    match (written, auth) {
        ([], Some(UpstreamAuth::None)) => {
            let only = raw::ProviderKey::default();
            return vec![(KeyName::new(only.name.0), None)];
        }
        ([], _) => report.error_with(
            at,
            "the provider has no keys",
            "add `keys: [{ value: \"${NAME}\" }]`, or `auth: none` if it takes none".to_owned(),
        ),
        (_, Some(UpstreamAuth::None)) => {
            report.error(
                at,
                "the provider has keys, but `auth: none` never sends them",
            );
        }
        (_, _) => {}
    }
    let mut names = HashSet::new();
    let mut keys = Vec::new();
    for (index, written) in written.iter().enumerate() {
        let at = at.index(index);
        check_name("key's name", &at.key("name"), &written.name.0, report);
        if !names.insert(&written.name.0) {
            report_second_key(&at, &written.name.0, report);
        }
        let name = KeyName::new(written.name.0.as_str());
        keys.push((
            name,
            value(written.value.as_ref(), &at.key("value"), report),
        ));
    }
    keys
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
        None => report.error(at, "the key has no `value`"),
        Some(value) if value.expose().is_empty() => report.error(at, "the key's value is empty"),
        Some(value) if http::HeaderValue::from_str(value.expose()).is_err() => {
            report.error(at, "the key holds characters that no header can carry");
        }
        Some(_) => {}
    }
    written.cloned()
}

fn tls(
    written: &raw::Tls,
    base: Option<&BaseUrl>,
    at: &Trail,
    report: &mut Report<'_>,
) -> UpstreamTls {
    let at_tls = at.key("tls");
    let tls = UpstreamTls {
        ca_file: written.ca_file.as_ref().map(|file| PathBuf::from(&file.0)),
        server_name: written.server_name.as_ref().map(|name| name.0.clone()),
    };
    if tls
        .ca_file
        .as_ref()
        .is_some_and(|file| file.as_os_str().is_empty())
    {
        report.error(&at_tls.key("ca_file"), "the file's name is empty");
    }
    if tls
        .server_name
        .as_deref()
        .is_some_and(|name| !is_host_name(name))
    {
        let message = format!(
            "{} is not a host name",
            report.quoted(&at_tls.key("server_name"))
        );
        report.error(&at_tls.key("server_name"), message);
    }
    match base {
        Some(base) if base.tls && is_ip(&base.host) && tls.server_name.is_none() => {
            report.error_with(
                &at.key("base_url"),
                "a certificate cannot be checked against an IP address",
                "use the host's name, or set `tls.server_name`".to_owned(),
            );
        }
        Some(base) if !base.tls && tls != UpstreamTls::default() => {
            report.warn(&at_tls, "`tls` has no effect: `base_url` is http", None);
        }
        Some(_) | None => {}
    }
    tls
}

/// A name that a certificate can be checked against. An empty one would switch the check off.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.len() <= 63 && label.chars().all(is_plain)
    };
    name.len() <= 253 && name.split('.').all(is_label) && !is_ip(name)
}
