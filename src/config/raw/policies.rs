//! Owns the shape of `policies`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::raw::providers::Timeouts;
use crate::config::scalar::{Count, List, Named, Number, Span, Text};
use crate::core::policy;

const SORT: &str = "adaptive";
const LAYERS: [&str; 3] = ["retry", "failover", "fallback"];

/// How the requests of a model or caller are routed and recovered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of policy settings")]
pub(in crate::config) struct Policy {
    /// `adaptive`: weighted by live price, speed and reliability. `cost`: the cheapest healthy one. `latency`,
    /// `throughput`: weighted by that. `ordered`: as the file lists them, sick endpoints last. Default adaptive.
    pub(in crate::config) sort: Text,
    /// How much each part of `adaptive`'s score counts.
    pub(in crate::config) weights: Weights,
    /// Percentages by endpoint id, for each model 100 in all; its other endpoints only stand in. Default none.
    pub(in crate::config) split: Named<Number>,
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
            weights: Weights::default(),
            split: Named::default(),
            attempts: Count(policy::ATTEMPTS.into()),
            layers: List(LAYERS.map(|layer| Text(layer.to_owned())).to_vec()),
            deadline: Span(policy::DEADLINE),
            patience: Span(policy::PATIENCE),
            timeouts: Timeouts::default(),
        }
    }
}

/// How much each part of `adaptive`'s score counts, beside its built-in weight. Default 1 each; 0 leaves it out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of weights")]
pub(in crate::config) struct Weights {
    /// Ratio to the cheapest price. 0 or more.
    pub(in crate::config) price: Number,
    /// Time to the first token or whole answer. 0 or more.
    pub(in crate::config) latency: Number,
    /// Time that a stream's tokens take. 0 or more.
    pub(in crate::config) throughput: Number,
    /// Expected failures. 0 or more.
    pub(in crate::config) uptime: Number,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            price: Number(1.0),
            latency: Number(1.0),
            throughput: Number(1.0),
            uptime: Number(1.0),
        }
    }
}
