//! Owns the shape of `telemetry`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::Text;

const ACCESS_LOG: &str = "json";

/// What is told about the traffic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map of telemetry settings"
)]
pub(in crate::config) struct Telemetry {
    /// One line an exchange: `json` or `off`. Default json.
    pub(in crate::config) access_log: Text,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            access_log: Text(ACCESS_LOG.to_owned()),
        }
    }
}
