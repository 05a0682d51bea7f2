//! Owns the shape of `policies`.

use serde::Deserialize;

use crate::config::raw::providers::Timeouts;
use crate::config::scalar::{Count, List, Span, Text};
use crate::core::policy;

const SORT: &str = "adaptive";
const LAYERS: [&str; 3] = ["retry", "failover", "fallback"];

/// How the requests of a model or caller are routed and recovered.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a map of policy settings")]
pub(in crate::config) struct Policy {
    /// `adaptive`: weighted by live price, speed and reliability. `ordered`: as the file lists them, sick
    /// endpoints last. Default adaptive.
    pub(in crate::config) sort: Text,
    /// Attempts of one request in all, over endpoints and models. Default 3; 1 to 255.
    pub(in crate::config) attempts: Count,
    /// Which kinds of recovery may happen. Default `[retry, failover, fallback]`; empty = none.
    pub(in crate::config) layers: List<Text>,
    /// No attempt starts later than this after the request; for streams also the latest first token.
    /// Default 60s.
    pub(in crate::config) deadline: Span,
    /// How long to wait for the same model (Retry-After) before another model is taken. Default 3s.
    pub(in crate::config) patience: Span,
    /// Deadlines of an attempt; they win over a provider's, field by field.
    pub(in crate::config) timeouts: Timeouts,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            sort: Text(SORT.to_owned()),
            attempts: Count(policy::ATTEMPTS.into()),
            layers: List(LAYERS.map(|layer| Text(layer.to_owned())).to_vec()),
            deadline: Span(policy::DEADLINE),
            patience: Span(policy::PATIENCE),
            timeouts: Timeouts::default(),
        }
    }
}
