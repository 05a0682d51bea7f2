//! Owns the shape of `health` and `retry_budget`. The defaults, and where they come from, are `core/health`'s.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::scalar::{Count, Number, Span};
use crate::core::health::{self, BudgetSettings, HealthSettings};

/// When endpoints trip and how they come back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of health settings")]
pub(in crate::config) struct Health {
    /// Consecutive failures that trip an endpoint. Default 3; at least 1.
    pub(in crate::config) trip_after: Number,
    /// Decayed share of successes below which an endpoint trips. Default 0.5; 0 to 1.
    pub(in crate::config) min_success: Number,
    /// The longest back-off of each kind of failure.
    pub(in crate::config) rest: Rest,
    /// At most this share of a pool's requests probes a slowly failing endpoint. Default 0.02; 0 to 1, 1 = any.
    pub(in crate::config) probe_share: Number,
    /// An endpoint that fails fast may be probed by real traffic this often.
    pub(in crate::config) probe_fast: ProbeFast,
    /// Successes in a row that close a half-open endpoint. Default 2; 1 to 255.
    pub(in crate::config) probes_to_close: Count,
    /// How long a recovered endpoint takes to get its full share. Default 5s.
    pub(in crate::config) ramp: Span,
    /// Requests of our own to open endpoints of quiet models. They are billed. Null, the default: none is sent.
    pub(in crate::config) active_probe: Option<ActiveProbe>,
}

impl Default for Health {
    fn default() -> Self {
        let built_in = HealthSettings::default();
        Self {
            trip_after: number(built_in.trip_after),
            min_success: number(built_in.min_success),
            rest: Rest::default(),
            probe_share: number(built_in.probe_share),
            probe_fast: ProbeFast::default(),
            probes_to_close: Count(built_in.probes_to_close.into()),
            ramp: Span(built_in.ramp),
            active_probe: None,
        }
    }
}

/// The longest back-off of each kind of failure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of back-offs")]
pub(in crate::config) struct Rest {
    /// No connection, no name, no TLS. Default 5s.
    pub(in crate::config) connect: Span,
    /// 5xx and overload. Default 10s.
    pub(in crate::config) server_error: Span,
    /// Deadlines and stalls. Default 20s.
    pub(in crate::config) timeout: Span,
    /// Refused keys and empty accounts. Default 60s.
    pub(in crate::config) auth: Span,
}

impl Default for Rest {
    fn default() -> Self {
        let built_in = HealthSettings::default().rest;
        Self {
            connect: Span(built_in.connect),
            server_error: Span(built_in.server_error),
            timeout: Span(built_in.timeout),
            auth: Span(built_in.auth),
        }
    }
}

/// An endpoint that fails fast may be probed by real traffic.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a map with `below` and `every`"
)]
pub(in crate::config) struct ProbeFast {
    /// What counts as fast. Default 250ms; 0s = nothing does.
    pub(in crate::config) below: Span,
    /// How often. Default 10s.
    pub(in crate::config) every: Span,
}

impl Default for ProbeFast {
    fn default() -> Self {
        let built_in = HealthSettings::default().probe_fast;
        Self {
            below: Span(built_in.below),
            every: Span(built_in.every),
        }
    }
}

/// How open endpoints of quiet models are probed by requests of our own.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map with `every`")]
pub(in crate::config) struct ActiveProbe {
    /// The longest between two probes of an endpoint. Default 30s; at least 100ms.
    pub(in crate::config) every: Span,
}

impl Default for ActiveProbe {
    fn default() -> Self {
        Self {
            every: Span(health::ActiveProbe::default().every),
        }
    }
}

/// How many extra attempts a pool may make, funded by its successes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, expecting = "a map of budget settings")]
pub(in crate::config) struct RetryBudget {
    /// Extra attempts that a success pays for. Default 0.5; 0 or more.
    pub(in crate::config) per_success: Number,
    /// Extra attempts a second that are always there. Default 0.5; 0 or more.
    pub(in crate::config) floor_per_second: Number,
}

impl Default for RetryBudget {
    fn default() -> Self {
        let built_in = BudgetSettings::default();
        Self {
            per_success: number(built_in.per_success),
            floor_per_second: number(built_in.floor_per_second),
        }
    }
}

fn number(value: f32) -> Number {
    Number(value.into())
}
