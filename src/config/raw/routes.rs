//! Owns the shape of `routes`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Flag, List, Text};

/// Requests that are passed on as they are, by their path.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `path` and `provider`"
)]
pub(in crate::config) struct Route {
    /// An exact path, or a prefix that ends in `*`; begins with `/v1/`. The longest match wins. Required.
    pub(in crate::config) path: Option<Text>,
    /// Who takes it. Required unless `providers` are.
    pub(in crate::config) provider: Option<Text>,
    /// Those who may take it, by live health. Default none.
    pub(in crate::config) providers: List<Text>,
    /// The paths belong to one account: the provider's first key takes them all. Default false.
    pub(in crate::config) pin: Flag,
}
