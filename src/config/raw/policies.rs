//! Owns the shape of `policies`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::raw::providers::{DATA_COLLECTION, Timeouts};
use crate::config::raw::sticky::Sticky;
use crate::config::scalar::{Count, Flag, List, Named, Number, Span, Text};
use crate::core::policy;

const SORT: &str = "adaptive";
const ANY: &str = "*";
const OTHERWISE: &str = "fail";
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
    /// USD that the attempts of one request may cost, as estimated before each. Above 0. Absent = no limit.
    pub(in crate::config) max_cost: Option<Number>,
    /// What every endpoint must be.
    pub(in crate::config) require: Require,
    /// How far an answer may be from what was asked for.
    pub(in crate::config) degrade: Degrade,
    /// How conversations are kept where their prompt caches are; `off` or null: not at all.
    pub(in crate::config) sticky: Sticky,
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
            max_cost: None,
            require: Require::default(),
            degrade: Degrade::default(),
            sticky: Sticky::default(),
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

/// What every endpoint must be. What is unknown of an endpoint is not taken for a yes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of requirements")]
pub(in crate::config) struct Require {
    /// Regions, one of which it must have. Empty = any.
    pub(in crate::config) region: List<Text>,
    /// `deny`: only those that deny it. Default allow.
    pub(in crate::config) data_collection: Text,
    /// Only those with `zdr: true`. Default false.
    pub(in crate::config) zdr: Flag,
    /// At least so exact. Absent = any, unknown included.
    pub(in crate::config) min_quantization: Option<Text>,
    /// Providers or endpoint ids, the only ones. Empty = any.
    pub(in crate::config) only: List<Text>,
    /// Providers or endpoint ids that are left out. Default none.
    pub(in crate::config) ignore: List<Text>,
}

impl Default for Require {
    fn default() -> Self {
        Self {
            region: List::default(),
            data_collection: Text(DATA_COLLECTION.to_owned()),
            zdr: Flag(false),
            min_quantization: None,
            only: List::default(),
            ignore: List::default(),
        }
    }
}

/// How far an answer may be from what was asked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of limits")]
pub(in crate::config) struct Degrade {
    /// Another model's price by that of what was meant, of a typical request. Above 0; an unknown price is beyond it.
    /// Absent = any.
    pub(in crate::config) max_price_ratio: Option<Number>,
    /// Another model's expected time to the first token or whole answer, beyond the usual one of what was meant.
    /// Absent = any.
    pub(in crate::config) max_added_latency: Option<Span>,
    /// Models that may answer instead, by name or a prefix that ends in `*`. Default `["*"]`.
    pub(in crate::config) models: List<Text>,
    /// Nothing less exact takes over, unless what was meant is no more exact. Absent = any.
    pub(in crate::config) min_quantization: Option<Text>,
    /// What must not be lost: `region`, `data_collection`, `zdr`. Default none.
    pub(in crate::config) labels: List<Text>,
    /// What becomes of a candidate beyond the limits: `fail`: it is not asked; `warn`: it is, and the answer says so.
    /// Default fail.
    pub(in crate::config) otherwise: Text,
}

impl Default for Degrade {
    fn default() -> Self {
        Self {
            max_price_ratio: None,
            max_added_latency: None,
            models: List(vec![Text(ANY.to_owned())]),
            min_quantization: None,
            labels: List::default(),
            otherwise: Text(OTHERWISE.to_owned()),
        }
    }
}
