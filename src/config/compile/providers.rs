//! Owns the rules of `providers`: dialects and authentication; their parts have files of their own. Must
//! never know one provider from another.

use std::collections::HashMap;

use crate::config::compile::names::{check_name, one_of};
use crate::config::compile::presets::{self, Preset};
use crate::config::compile::{
    addresses, base_url, credentials, filters, google, headers, health_check, keys, tls,
};
use crate::config::raw::providers as raw;
use crate::config::report::Report;
use crate::config::scalar::{List, Named, Span, Text};
use crate::config::snapshot::{PathPattern, Paths, Provider, UpstreamAuth};
use crate::config::trail::Trail;
use crate::core::catalog::Labels;
use crate::core::names::ProviderName;
use crate::core::nearest::did_you_mean;
use crate::core::timeouts::TimeoutSettings;
use crate::wire::dialects::Dialect;

/// AWS's signature.
const SIGNED: &str = "sigv4";
/// Google's access tokens.
const TOKENS: &str = "google";

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
    let account = match scheme(written, preset) {
        TOKENS => google::account(written, at, report),
        _ => None,
    };
    let project = written.project.as_ref().map(|project| project.0.clone());
    let project = project.or_else(|| match &account {
        Some(account) => account.project.clone(),
        // What is wrong with it was told, and its project is not missed.
        None => (scheme(written, preset) == TOKENS).then(String::new),
    });
    let key = account.as_ref().and_then(|account| account.key.clone());
    let source = account.map(|account| account.source);
    let auth = auth(
        written,
        preset,
        source.map(UpstreamAuth::Google),
        (at, report),
    );
    let dialects = match &written.dialects {
        Some(written) => dialects(written, &at.key("dialects"), report),
        None => preset.dialects.to_vec(),
    };
    let paths = paths(written, preset, project.as_deref(), (at, report));
    let headers = headers::compile(&written.headers, auth.as_ref(), &at.key("headers"), report);
    let keys = match &auth {
        Some(UpstreamAuth::SigV4(_)) => credentials::keys(written, at, report),
        _ if scheme(written, preset) == TOKENS => credentials::only(key, written, at, report),
        _ => keys::compile(&written.keys.0, auth.as_ref(), &at.key("keys"), report),
    };
    let labels = filters::labels(written, at, report);
    let tls = tls::compile(&written.tls, base.as_ref(), at, report);
    Some(Compiled {
        provider: Provider {
            dialects,
            base: base?,
            paths,
            anthropic_version: anthropic_version(written, preset, at, report),
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
        (root, region) => {
            let region = region.unwrap_or_default();
            let own = preset.roots.iter().find(|(name, _)| *name == region);
            let root = own.map_or(root, |(_, root)| root);
            Some(Text(root.replace("{region}", region)))
        }
    };
    written.base_url.clone().or_else(known)
}

fn paths(
    written: &raw::Provider,
    preset: &Preset,
    project: Option<&str>,
    (at, report): (&Trail, &mut Report<'_>),
) -> Paths {
    let text = |text: &'_ Option<Text>| text.as_ref().map(|text| text.0.clone());
    let version = text(&written.api_version).or(preset.api_version.map(str::to_owned));
    let facts = [
        ("{api_version}", version),
        ("{project}", project.map(str::to_owned)),
        ("{region}", text(&written.region)),
    ];
    // Who writes a path of their own takes none of the preset's.
    let is_own = written.path.is_some();
    let mut path = |name: &str, own: &Option<Text>, known: Option<&'static str>| {
        let known = known.filter(|_| !is_own).map(str::to_owned);
        let at = at.key(if own.is_some() { name } else { "preset" });
        pattern(text(own).or(known)?, &facts, &at, report)
    };
    let stream = preset.stream_path;
    let count_tokens = preset.count_tokens_path;
    Paths {
        path: path("path", &written.path, preset.path),
        stream: path("stream_path", &written.stream_path, stream),
        count_tokens: path(
            "count_tokens_path",
            &written.count_tokens_path,
            count_tokens,
        ),
    }
}

/// A path with what is known of its provider filled in.
fn pattern(
    mut pattern: String,
    facts: &[(&str, Option<String>)],
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<PathPattern> {
    if !pattern.starts_with('/') {
        report.error(at, "a path begins with `/`");
    }
    for (name, fact) in facts
        .iter()
        .filter(|(name, _)| pattern.contains(name))
        .collect::<Vec<_>>()
    {
        let Some(fact) = fact else {
            let field = name.trim_matches(['{', '}']);
            let hint = format!("write its `{field}`");
            let message = format!("the path names {name}, and the provider has none");
            report.error_with(at, message, hint);
            report.settle(at);
            return None;
        };
        pattern = pattern.replace(name, fact);
    }
    Some(PathPattern::new(pattern))
}

/// The version that bodies name in the place of the model.
fn anthropic_version(
    written: &raw::Provider,
    preset: &Preset,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<String> {
    let own = written
        .anthropic_version
        .as_ref()
        .map(|text| text.0.as_str());
    let path = written.path.as_ref().map(|path| path.0.as_str());
    let path = path.or(preset.path).unwrap_or_default();
    if own.is_some() && !path.contains("{model}") {
        let message = "the body names no model then, and neither does the `path`";
        let hint = "write a `path` with {model}".to_owned();
        report.error_with(&at.key("anthropic_version"), message, hint);
    }
    own.or(preset.anthropic_version).map(str::to_owned)
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

/// How requests prove who pays, as it is written or follows.
fn scheme<'a>(written: &'a raw::Provider, preset: &Preset) -> &'a str {
    let own = written.auth.as_ref().map(|auth| auth.0.as_str());
    let implied =
        written
            .credentials
            .as_ref()
            .map(|credentials| match google::is_meant(credentials) {
                true => TOKENS,
                false => SIGNED,
            });
    own.or(implied).unwrap_or(preset.auth)
}

/// Whether the provider's requests carry access tokens of Google's.
pub(in crate::config) fn takes_tokens(written: &raw::Provider) -> bool {
    let name = written
        .preset
        .as_ref()
        .and_then(|name| presets::named(&name.0));
    scheme(written, name.unwrap_or(&presets::UNKNOWN)) == TOKENS
}

fn auth(
    written: &raw::Provider,
    preset: &Preset,
    tokens: Option<UpstreamAuth>,
    (at, report): (&Trail, &mut Report<'_>),
) -> Option<UpstreamAuth> {
    let own = written.auth.as_ref();
    let scheme = scheme(written, preset);
    if written.credentials.is_some() && scheme != SIGNED && scheme != TOKENS {
        let message = format!("the provider has credentials, but `auth: {scheme}` never uses them");
        report.error(&at.key("credentials"), message);
    }
    let at_scheme = at.key(if own.is_some() { "auth" } else { "preset" });
    let mut words = scheme.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(SIGNED), None, None) => {
            credentials::signing(written, at, report).map(UpstreamAuth::SigV4)
        }
        // What is wrong with them was told.
        (Some(TOKENS), None, None) => tokens,
        (Some("bearer"), None, None) => Some(UpstreamAuth::Bearer),
        (Some("none"), None, None) => Some(UpstreamAuth::None),
        (Some("header"), Some(name), None) => {
            headers::auth_header(name, &at_scheme, report).map(UpstreamAuth::Header)
        }
        (Some("query"), Some(name), None) => Some(UpstreamAuth::Query(name.to_owned())),
        _ => unknown_auth(
            &at_scheme,
            &format!("unknown auth {}", report.quoted(&at_scheme)),
            report,
        ),
    }
}

fn unknown_auth<T>(at: &Trail, message: &str, report: &mut Report<'_>) -> Option<T> {
    let hint = "supported: bearer, header NAME, query NAME, sigv4, google, none".to_owned();
    report.error_with(at, message, hint);
    None
}
