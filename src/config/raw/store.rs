//! Owns the shape of `store`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::Text;

/// What outlives the process, and where.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of store settings")]
pub(in crate::config) struct Store {
    /// The file that health is written to every ten seconds and at shutdown, and read from at the start. Default none.
    pub(in crate::config) health: Option<Text>,
}
