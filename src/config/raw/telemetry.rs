//! Owns the shape of `telemetry`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Count, Text};

const ACCESS_LOG: &str = "json";
const REQUESTS: u64 = 1_000;

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
    /// The latest requests that `/api/requests` explains, those that failed or were recovered the longest: at most 10000;
    /// 0 = none. Default 1000.
    pub(in crate::config) requests: Count,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            access_log: Text(ACCESS_LOG.to_owned()),
            requests: Count(REQUESTS),
        }
    }
}
