//! Owns the rules of `providers`: dialects and authentication; their parts have files of their own. Must
//! never know one provider from another.

use std::collections::HashMap;

use crate::config::compile::names::{check_name, one_of};
use crate::config::compile::presets::{self, Preset};
use crate::config::compile::{
    addresses, base_url, credentials, filters, headers, health_check, keys, tls,
};
use crate::config::raw::providers as raw;
use crate::config::report::Report;
use crate::config::scalar::{List, Named, Span, Text};
use crate::config::snapshot::{PathPattern, Provider, UpstreamAuth};
use crate::config::trail::Trail;
use crate::core::catalog::Labels;
use crate::core::names::ProviderName;
use crate::core::nearest::did_you_mean;
use crate::core::timeouts::TimeoutSettings;
use crate::wire::dialects::Dialect;

const UNBUILT_AUTH: [&str; 2] = ["query", "google"];

/// AWS's signature.
const SIGNED: &str = "sigv4";

/// A provider and what its endpoints take over from it.
pub(super) struct Compiled {
    pub(super) provider: Provider,
    pub(super) timeouts: TimeoutSettings,
    pub(super) labels: Labels,
    /// The name of its preset; empty = none.
    pub(super) preset: &'static str,
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
    let preset = preset(written.preset.as_ref(), &at.key("preset"), report);
    let root = root(written, preset);
    let base = base_url::compile(root.as_ref(), &at.key("base_url"), report);
    let addresses = addresses::compile(&written.addresses.0, &at.key("addresses"), report);
    let check = written.health_check.as_ref();
    let check = check.map(|it| health_check::compile(it, &at.key("health_check"), report));
    let auth = auth(written, preset, at, report);
    let dialects = match &written.dialects {
        Some(written) => dialects(written, &at.key("dialects"), report),
        None => preset.dialects.to_vec(),
    };
    let path = path(written, preset, at, report);
    let headers = headers::compile(&written.headers, auth.as_ref(), &at.key("headers"), report);
    let keys = match &auth {
        Some(UpstreamAuth::SigV4(_)) => credentials::keys(written, at, report),
        _ => keys::compile(&written.keys.0, auth.as_ref(), &at.key("keys"), report),
    };
    let labels = filters::labels(written, at, report);
    let tls = tls::compile(&written.tls, base.as_ref(), at, report);
    Some(Compiled {
        provider: Provider {
            dialects,
            base: base?,
            path,
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
        preset: preset.name,
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

/// What is known of the provider: nothing where it names no preset, or one that is unknown.
fn preset(written: Option<&Text>, at: &Trail, report: &mut Report<'_>) -> &'static Preset {
    let Some(Text(name)) = written else {
        return &presets::UNKNOWN;
    };
    presets::named(name).unwrap_or_else(|| {
        let names = presets::PRESETS.iter().map(|preset| preset.name);
        let all = || format!("known: {}", names.clone().collect::<Vec<_>>().join(", "));
        let hint = did_you_mean(name, names.clone()).unwrap_or_else(all);
        report.error_with(at, format!("unknown preset {}", report.quoted(at)), hint);
        &presets::UNKNOWN
    })
}

/// The API root: the file's, or the preset's in the provider's region.
fn root(written: &raw::Provider, preset: &Preset) -> Option<Text> {
    let region = written.region.as_ref().map(|region| region.0.as_str());
    let known = || match (preset.base_url?, region) {
        (root, None) if root.contains("{region}") => None,
        (root, region) => Some(Text(root.replace("{region}", region.unwrap_or_default()))),
    };
    written.base_url.clone().or_else(known)
}

fn path(
    written: &raw::Provider,
    preset: &Preset,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<PathPattern> {
    let own = written.path.as_ref().map(|path| path.0.as_str());
    let pattern = own.or(preset.path)?;
    let version = written.api_version.as_ref().map(|text| text.0.as_str());
    let version = version.or(preset.api_version);
    let at = at.key(if own.is_some() { "path" } else { "preset" });
    if !pattern.starts_with('/') {
        report.error(&at, "a path begins with `/`");
    }
    if pattern.contains("{api_version}") && version.is_none() {
        report.error(
            &at,
            "the path names {api_version}, and the provider has none",
        );
    }
    Some(PathPattern::new(
        pattern.replace("{api_version}", version.unwrap_or_default()),
    ))
}

fn dialects(written: &List<Text>, at: &Trail, report: &mut Report<'_>) -> Vec<Dialect> {
    let known = Dialect::ALL.map(|dialect| (dialect.as_str(), dialect));
    if written.0.is_empty() {
        report.error(at, "the provider speaks no dialect");
    }
    let mut dialects = Vec::new();
    for (index, name) in written.0.iter().enumerate() {
        let at = at.index(index);
        match one_of("dialect", &at, &name.0, &known, &[], report) {
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

fn auth(
    written: &raw::Provider,
    preset: &Preset,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<UpstreamAuth> {
    let own = written.auth.as_ref().map(|auth| auth.0.as_str());
    let implied = written.credentials.as_ref().map(|_| SIGNED);
    let scheme = own.or(implied).unwrap_or(preset.auth);
    if written.credentials.is_some() && scheme != SIGNED {
        let message = format!("the provider has credentials, but `auth: {scheme}` never uses them");
        report.error(&at.key("credentials"), message);
    }
    let at_scheme = at.key(if own.is_some() { "auth" } else { "preset" });
    let mut words = scheme.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(SIGNED), None, None) => {
            credentials::signing(written, at, report).map(UpstreamAuth::SigV4)
        }
        (Some("bearer"), None, None) => Some(UpstreamAuth::Bearer),
        (Some("none"), None, None) => Some(UpstreamAuth::None),
        (Some("header"), Some(name), None) => {
            headers::auth_header(name, &at_scheme, report).map(UpstreamAuth::Header)
        }
        (Some(word), _, _) if UNBUILT_AUTH.contains(&word) => unknown_auth(
            &at_scheme,
            &format!("auth \"{word}\" is not supported yet"),
            report,
        ),
        _ => unknown_auth(
            &at_scheme,
            &format!("unknown auth {}", report.quoted(&at_scheme)),
            report,
        ),
    }
}

fn unknown_auth<T>(at: &Trail, message: &str, report: &mut Report<'_>) -> Option<T> {
    let hint = "supported: bearer, header NAME, sigv4, none".to_owned();
    report.error_with(at, message, hint);
    None
}
