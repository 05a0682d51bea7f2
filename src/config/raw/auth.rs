//! Owns the shape of `auth`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Flag, List, Text};
use crate::config::secret::Secret;

/// Who may call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `keys` or `open`"
)]
pub(in crate::config) struct Auth {
    /// Lets anyone call who reaches a listener, wherever it listens. Default false: without keys only
    /// loopback listeners are allowed.
    pub(in crate::config) open: Flag,
    /// Downstream keys. Default none.
    pub(in crate::config) keys: List<CallerKey>,
}

/// A downstream key.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `name` and `key`"
)]
pub(in crate::config) struct CallerKey {
    /// Who is calling, in logs and metrics. Required, unique.
    pub(in crate::config) name: Option<Text>,
    /// What the caller sends as `Authorization: Bearer KEY`. This or `key_file` is required; unique.
    pub(in crate::config) key: Option<Secret>,
    /// A file that holds the key instead. Read again on a reload.
    pub(in crate::config) key_file: Option<Text>,
    /// Models it may ask for: names, or prefixes that end in `*`. Default none written = all.
    pub(in crate::config) models: List<Text>,
    /// The policy of its requests; wins over a model's. Absent = the model's, else `default`.
    pub(in crate::config) policy: Option<Text>,
}
