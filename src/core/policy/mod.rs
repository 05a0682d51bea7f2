//! Owns what an operator may decide about routing: how candidates are scored, what recovery may do, and
//! the deadlines. One file a policy: `adaptive`, `ordered`. Must never do I/O.

mod adaptive;
mod ordered;

use std::time::Duration;

use crate::core::names::PolicyName;
use crate::core::timeouts::TimeoutSettings;

/// How candidates are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Weighted by expected loss: price, speed and reliability as measured now.
    #[default]
    Adaptive,
    /// In the order of the file, sick endpoints last.
    Ordered,
}

impl Sort {
    /// Every policy that is built, with the name the configuration uses.
    pub const ALL: [(&'static str, Sort); 2] =
        [("adaptive", Sort::Adaptive), ("ordered", Sort::Ordered)];

    /// The key of a candidate in a one-pass choice: the smallest wins. `uniform` is a draw from 0..1.
    pub(crate) fn key(self, standing: &Standing, uniform: f32) -> f32 {
        match self {
            Sort::Adaptive => adaptive::key(adaptive::loss(standing), uniform),
            Sort::Ordered => ordered::key(standing),
        }
    }
}

/// A candidate as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    /// In the order of the file.
    pub(crate) position: usize,
    /// Ratio to the pool's cheapest price.
    pub(crate) price: f32,
    /// Seconds to the first token, or to the whole answer, as expected now.
    pub(crate) latency: Option<f32>,
    /// The same in the long run.
    pub(crate) usual_latency: Option<f32>,
    /// Tokens a second, as expected now.
    pub(crate) throughput: Option<f32>,
    /// The same in the long run.
    pub(crate) usual_throughput: Option<f32>,
    /// Expected success of the next attempt, 0 to 1.
    pub(crate) expected: f32,
}

/// Which kinds of recovery may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layers {
    /// Again on the same endpoint.
    pub retry: bool,
    /// The same model elsewhere.
    pub failover: bool,
    /// Another model.
    pub fallback: bool,
}

impl Default for Layers {
    fn default() -> Self {
        Self {
            retry: true,
            failover: true,
            fallback: true,
        }
    }
}

/// What the built-in policy allows (surface, "Built in").
pub const ATTEMPTS: u8 = 3;
pub const DEADLINE: Duration = Duration::from_secs(60);
pub const PATIENCE: Duration = Duration::from_secs(3);

/// How the requests of a model or caller are routed and recovered.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub name: PolicyName,
    pub sort: Sort,
    /// In all, over endpoints and models; at least 1.
    pub attempts: u8,
    pub layers: Layers,
    /// No attempt starts later than this after the request; for streams also the latest first token.
    pub deadline: Duration,
    /// How long to wait for the same model (Retry-After) before another model is taken.
    pub patience: Duration,
    pub timeouts: TimeoutSettings,
}

impl Policy {
    /// The built-in policy under the given name.
    pub fn built_in(name: PolicyName) -> Self {
        Self {
            name,
            sort: Sort::default(),
            attempts: ATTEMPTS,
            layers: Layers::default(),
            deadline: DEADLINE,
            patience: PATIENCE,
            timeouts: TimeoutSettings::default(),
        }
    }
}
