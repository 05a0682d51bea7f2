//! Owns the meaning of the file: cross references, ranges, names, and the `Snapshot` made of them. Every rule
//! reports and goes on, with something harmless in the place of what it refused; the snapshot is used only
//! where nothing was reported. Must never read anything but its arguments. Reading order: `names`, `trusted`, `cors`, `server`,
//! `callers`, `providers`, `base_url`, `google`, `addresses`, `health_check`, `headers`,
//! `keys`, `tls`, `known`, `models`, `aliases`, `chains`, `sticky`, `policies`, `health`, `routes`,
//! `store`, `telemetry`, `reach`.

use crate::config::catalogue::Known;
use crate::config::raw;
use crate::config::report::Report;
use crate::config::snapshot::Snapshot;

mod names;
mod trusted;
mod cors;
mod server;
mod callers;
pub(in crate::config) mod presets;
mod providers;
mod base_url;
mod google;
mod addresses;
mod health_check;
mod headers;
mod keys;
mod credentials;
mod tls;
mod known;
mod models;
mod aliases;
mod chains;
mod filters;
mod sticky;
mod policies;
mod health;
mod routes;
mod store;
mod telemetry;
mod reach;

pub(super) use providers::takes_tokens;

/// Checks the configuration and resolves everything in it.
pub(super) fn compile(config: &raw::Config, known: &Known, report: &mut Report<'_>) -> Snapshot {
    known::check(known, report);
    let policies = policies::compile(&config.policies, report);
    let providers = providers::compile(&config.providers, report);
    let (catalog, well_known) = models::compile(config, &providers, known, report);
    let catalog = catalog.with_aliases(aliases::compile(config, report));
    policies::check_splits(&config.policies, &catalog, report);
    filters::check(config, &catalog, report);
    let routes = routes::compile(config, report);
    let callers = callers::compile(config, report);
    let snapshot = Snapshot {
        server: server::compile(config, report),
        callers,
        providers: providers
            .into_iter()
            .map(|(name, compiled)| (name, compiled.provider))
            .collect(),
        catalog,
        well_known,
        routes,
        policies,
        health: health::compile(&config.health, report),
        retry_budget: health::compile_budget(&config.retry_budget, report),
        store: store::compile(&config.store, report),
        telemetry: telemetry::compile(&config.telemetry, report),
    };
    // What was refused stands in it as something else, of which nothing follows.
    if !report.has_errors() {
        reach::check(config, &snapshot, report);
        routes::check(config, &snapshot, report);
    }
    snapshot
}
