//! Owns the shape of `telemetry`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Count, Number, Text};

const ACCESS_LOG: &str = "json";
const REQUESTS: u64 = 1_000;
const TRACE_RATIO: f64 = 1.0;

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
    /// The root of the collector that gets traces over OTLP/HTTP, such as `http://127.0.0.1:4318`. Default none.
    pub(in crate::config) otlp: Option<Text>,
    /// The part of the traces that begin here that is recorded, from 0 to 1; a client's own `traceparent` says so itself. Default 1.
    pub(in crate::config) trace_ratio: Number,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            access_log: Text(ACCESS_LOG.to_owned()),
            requests: Count(REQUESTS),
            otlp: None,
            trace_ratio: Number(TRACE_RATIO),
        }
    }
}
