//! Owns the shape of the file: one type a section, read by serde and nothing more. Cross references, ranges
//! and names are `compile`'s. Must never be seen past `compile`. What is absent holds its default; `Option`
//! where absence means something else. Reading order: `server`, `auth`, `providers`, `models`, `sticky`,
//! `policies`, `health`, `routes`, `store`, `telemetry`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{List, Named, Text};

pub(super) mod server;
pub(super) mod auth;
pub(super) mod providers;
pub(super) mod models;
pub(super) mod sticky;
pub(super) mod policies;
pub(super) mod health;
pub(super) mod routes;
pub(super) mod store;
pub(super) mod telemetry;

/// The whole file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of sections")]
pub(super) struct Config {
    /// Listeners and limits of the process.
    pub(super) server: server::Server,
    /// Who may call.
    pub(super) auth: auth::Auth,
    /// Sellers and servers of models, by name. At least one.
    pub(super) providers: Named<providers::Provider>,
    /// What can be asked for, by `author/slug`; `author/*` is any other of that author. At least one.
    pub(super) models: Named<models::Model>,
    /// Other names for models: the name, or the beginning of it and a `*`, and the model's own. Default none.
    pub(super) aliases: Named<Text>,
    /// A file of models of well-known providers, in the shape of `mainstay models --format json`, whose entries replace those
    /// of the embedded catalogue. Default none.
    pub(super) catalog_file: Option<Text>,
    /// How requests are routed and recovered, by name. `default` exists even when it is not written.
    pub(super) policies: Named<policies::Policy>,
    /// When endpoints trip and how they come back.
    pub(super) health: health::Health,
    /// How many extra attempts a pool may make.
    pub(super) retry_budget: health::RetryBudget,
    /// Requests that are passed on as they are. Default none.
    pub(super) routes: List<routes::Route>,
    /// What outlives the process, and where.
    pub(super) store: store::Store,
    /// What is told about the traffic.
    pub(super) telemetry: telemetry::Telemetry,
}
