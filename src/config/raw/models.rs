//! Owns the shape of `models`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Count, List, Number, Text};

/// What a client can ask for.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of model settings")]
pub(in crate::config) struct Model {
    /// Prompt and completion together, tokens. Absent = unknown; at least 1.
    pub(in crate::config) context_length: Option<Count>,
    /// Tokens of one answer. Absent = unknown; at least 1.
    pub(in crate::config) max_output: Option<Count>,
    /// What it can do: `tools`, `images`, `json_schema`, `reasoning`. Absent = unknown, and nothing is left out for it.
    pub(in crate::config) supports: Option<List<Text>>,
    /// Who serves it, in the order that `sort: ordered` takes. At least one.
    pub(in crate::config) endpoints: List<Endpoint>,
    /// Other models to take when this one cannot answer, in order. Default none.
    pub(in crate::config) fallbacks: List<Text>,
    /// The policy of its requests. Absent = `default`.
    pub(in crate::config) policy: Option<Text>,
}

/// One provider of a model; an endpoint for each of that provider's keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `provider`")]
pub(in crate::config) struct Endpoint {
    /// One of `providers`. Required.
    pub(in crate::config) provider: Option<Text>,
    /// What the provider calls the model. Absent = the model's name after the first `/`.
    pub(in crate::config) model: Option<Text>,
    /// What it costs.
    pub(in crate::config) price: Price,
    /// How exact its weights are: `int4`, `fp4`, `mxfp4`, `nvfp4`, `fp6`, `int8`, `fp8`, `mxfp8`, `fp16`, `bf16`, `fp32` or
    /// `unknown`. Absent = unknown.
    pub(in crate::config) quantization: Option<Text>,
    /// Tells two entries of one provider apart, part of the endpoint's id. Absent = none.
    pub(in crate::config) tag: Option<Text>,
}

/// USD per million tokens, 0 or more. Absent = unknown, 0 = free.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of prices")]
pub(in crate::config) struct Price {
    /// Tokens of the prompt.
    pub(in crate::config) prompt: Option<Number>,
    /// Tokens of the answer.
    pub(in crate::config) completion: Option<Number>,
    /// Tokens of the prompt that the provider had cached.
    pub(in crate::config) cache_read: Option<Number>,
}
