//! Owns the rules of `routes`: patterns, and who takes what they match. Must never let a route take a path
//! that Mainstay answers itself.

use std::collections::HashSet;

use crate::config::compile::names::check_known;
use crate::config::raw;
use crate::config::raw::routes as written;
use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::snapshot::{Route, RoutePath, Snapshot, UpstreamAuth};
use crate::config::trail::Trail;
use crate::core::names::ProviderName;

/// What every routed path begins with: the rest is appended to the provider's API root.
const ROOT: &str = "/v1/";
/// The paths that are answered by models.
const AI_PATHS: [&str; 6] = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/messages",
    "/v1/responses",
    "/v1/models",
];
/// What every path of one model begins with.
const ONE_MODEL: &str = "/v1/models/";

/// The routes that hold together, the longest pattern first.
pub(super) fn compile(config: &raw::Config, report: &mut Report<'_>) -> Vec<Route> {
    let top = Trail::top("routes");
    let mut seen = HashSet::new();
    let mut routes = Vec::new();
    for (index, written) in config.routes.0.iter().enumerate() {
        let at = top.index(index);
        let path = path(written.path.as_ref(), &at, &mut seen, report);
        let takers = takers(written, &at, config, report);
        if let Some(path) = path {
            routes.push(Route {
                path,
                providers: takers,
                pin: written.pin.0,
            });
        }
    }
    // An exact path stands before the prefix of the same length.
    routes.sort_by_key(|route| std::cmp::Reverse((route.path.len(), !route.path.is_prefix())));
    routes
}

fn path(
    written: Option<&Text>,
    at: &Trail,
    seen: &mut HashSet<String>,
    report: &mut Report<'_>,
) -> Option<RoutePath> {
    let Some(Text(written)) = written else {
        report.error(at, "the route has no `path`");
        return None;
    };
    let at = at.key("path");
    let path = RoutePath::new(written);
    if let Some((message, hint)) = objection(written, &path) {
        report.error_with(&at, message, hint.to_owned());
        return None;
    }
    if !seen.insert(written.clone()) {
        report.error(&at, format!("{} is routed twice", report.quoted(&at)));
        return None;
    }
    Some(path)
}

fn objection(written: &str, path: &RoutePath) -> Option<(String, &'static str)> {
    let inner = written.strip_suffix('*').unwrap_or(written);
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '*' | '?' | '#' | '%' | '\\');
    if !written.starts_with(ROOT) {
        let hint = "what follows /v1 is appended to the provider's `base_url`";
        return Some(("a route's path begins with /v1/".to_owned(), hint));
    }
    if !inner.chars().all(is_plain) {
        let message = "a route's path is plain, with at most one `*` at its end";
        return Some((message.to_owned(), "such as /v1/files*"));
    }
    let shadowed = match written.starts_with(ONE_MODEL) {
        true => written,
        false => AI_PATHS.into_iter().find(|known| path.matches(known))?,
    };
    let hint = "models answer it; write the paths that a provider shall take";
    Some((format!("the route would take {shadowed}"), hint))
}

/// Warns of providers whose routed requests prove nothing: a signature is over a body that is passed on unread.
pub(super) fn check(config: &raw::Config, snapshot: &Snapshot, report: &mut Report<'_>) {
    let top = Trail::top("routes");
    for (index, written) in config.routes.0.iter().enumerate() {
        for (at, Text(name)) in named(written, &top.index(index)) {
            let provider = snapshot.providers.get(name.as_str());
            if provider.is_some_and(|it| matches!(it.auth, UpstreamAuth::SigV4(_))) {
                let message = "routed requests are not signed, and this provider takes signed ones";
                let hint = "route to a provider that takes keys".to_owned();
                report.warn(&at, message, hint);
            }
        }
    }
}

/// The providers that a route names, each with its place.
fn named<'a>(
    written: &'a written::Route,
    at: &Trail,
) -> impl Iterator<Item = (Trail, &'a Text)> + use<'a> {
    let one = written.provider.iter();
    let at_one = at.key("provider");
    let one = one.map(move |name| (at_one.clone(), name));
    let at_list = at.key("providers");
    let list = written.providers.0.iter().enumerate();
    let list = list.map(move |(index, name)| (at_list.index(index), name));
    one.chain(list)
}

fn takers(
    written: &written::Route,
    at: &Trail,
    config: &raw::Config,
    report: &mut Report<'_>,
) -> Vec<ProviderName> {
    let mut takers: Vec<ProviderName> = Vec::new();
    for (at, Text(name)) in named(written, at) {
        let known = config.providers.0.iter().map(|(name, _)| name.as_str());
        if check_known("provider", &at, name, known, report) {
            let name = ProviderName::new(name.as_str());
            match takers.contains(&name) {
                true => report.error(&at, format!("{} is listed twice", report.quoted(&at))),
                false => takers.push(name),
            }
        }
    }
    check_takers(written, at, report);
    takers
}

fn check_takers(written: &written::Route, at: &Trail, report: &mut Report<'_>) {
    match (&written.provider, written.providers.0.len()) {
        (None, 0) => report.error(at, "the route has no `provider`"),
        (Some(_), 1..) => {
            let at = at.key("providers");
            report.error(
                &at,
                "the route has `provider` and `providers`: write one of them",
            );
        }
        (None, 2..) if written.pin.0 => {
            let at = at.key("pin");
            report.error(
                &at,
                "a pinned route belongs to one account, so it has one `provider`",
            );
        }
        (Some(_), 0) | (None, 1..) => {}
    }
}
