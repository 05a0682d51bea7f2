//! Owns what an operator may decide about routing: how candidates are scored, what recovery may do, and
//! the deadlines. One file a policy: `adaptive`, `cost`, `latency`, `throughput`, `ordered`, `split`; what they
//! share: `sickness`. What endpoints must be: `require`; what may be lost on the way: `degrade`; what holds a conversation
//! where it is: `sticky`. Must never do I/O.

mod sickness;
mod adaptive;
mod cost;
mod latency;
mod throughput;
mod ordered;
mod split;
mod require;
mod degrade;
mod sticky;

use std::time::Duration;

use crate::core::names::{EndpointId, PolicyName};
use crate::core::timeouts::TimeoutSettings;

pub use degrade::{Degrade, Label, Otherwise};
pub use require::{Require, Unmet};
pub use sticky::{KeySource, Pull, Stickiness, TTL};

/// How candidates are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Weighted by expected loss: price, speed and reliability as measured now.
    #[default]
    Adaptive,
    /// The cheapest healthy one.
    Cost,
    /// Weighted by the time to the first token or whole answer.
    Latency,
    /// Weighted by tokens a second.
    Throughput,
    /// In the order of the file, sick endpoints last.
    Ordered,
}

impl Sort {
    /// Every policy, with the name the configuration uses.
    pub const ALL: [(&'static str, Sort); 5] = [
        ("adaptive", Sort::Adaptive),
        ("cost", Sort::Cost),
        ("latency", Sort::Latency),
        ("throughput", Sort::Throughput),
        ("ordered", Sort::Ordered),
    ];

    /// The name the configuration uses.
    pub fn as_str(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        let named = all.find(|(_, sort)| *sort == self);
        named.map_or("", |(name, _)| name)
    }
}

/// How much each part of the expected loss counts, beside its built-in weight; 0 leaves it out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    pub price: f32,
    /// Time to the first token or whole answer.
    pub latency: f32,
    /// Tokens a second.
    pub throughput: f32,
    /// Expected failures.
    pub uptime: f32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            price: 1.0,
            latency: 1.0,
            throughput: 1.0,
            uptime: 1.0,
        }
    }
}

/// One term of a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub name: &'static str,
    pub value: f32,
}

/// The sum of a score's terms.
fn sum(parts: &[Part]) -> f32 {
    parts.iter().map(|part| part.value).sum()
}

/// A candidate as a policy sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Standing {
    /// In the order of the file.
    pub(crate) position: usize,
    /// Ratio to the pool's cheapest price.
    pub(crate) price: f32,
    /// The price is known.
    pub(crate) priced: bool,
    /// Seconds to the first token, or to the `whole` answer, as expected now.
    pub(crate) latency: Option<f32>,
    /// What is asked for is one JSON answer.
    pub(crate) whole: bool,
    /// The same in the long run.
    pub(crate) usual_latency: Option<f32>,
    /// Tokens a second, as expected now.
    pub(crate) throughput: Option<f32>,
    /// The same in the long run.
    pub(crate) usual_throughput: Option<f32>,
    /// Expected success of the next attempt, 0 to 1.
    pub(crate) expected: f32,
}

#[cfg(test)]
impl Standing {
    /// A healthy candidate of that price.
    pub(crate) fn sample(price: f32) -> Self {
        Self {
            position: 0,
            price,
            priced: true,
            latency: Some(0.4),
            whole: false,
            usual_latency: Some(0.4),
            throughput: Some(50.0),
            usual_throughput: Some(50.0),
            expected: 0.98,
        }
    }
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
    /// Of the parts of `adaptive`'s loss.
    pub weights: Weights,
    /// Percentages by endpoint, of the model that each is of; empty = `sort` alone decides.
    pub split: Vec<(EndpointId, f32)>,
    /// In all, over endpoints and models; at least 1.
    pub attempts: u8,
    pub layers: Layers,
    /// No attempt starts later than this after the request; for streams also the latest first token.
    pub deadline: Duration,
    /// How long to wait for the same model (Retry-After) before another model is taken.
    pub patience: Duration,
    /// USD that the attempts of one request may cost, as estimated before each.
    pub max_cost: Option<f64>,
    pub require: Require,
    pub degrade: Degrade,
    /// `None`: no conversation is remembered, and reasoning that is replayed pins none.
    pub sticky: Option<Stickiness>,
    pub timeouts: TimeoutSettings,
}

impl Policy {
    /// The built-in policy under the given name.
    pub fn built_in(name: PolicyName) -> Self {
        Self {
            name,
            sort: Sort::default(),
            weights: Weights::default(),
            split: Vec::new(),
            attempts: ATTEMPTS,
            layers: Layers::default(),
            deadline: DEADLINE,
            patience: PATIENCE,
            max_cost: None,
            require: Require::default(),
            degrade: Degrade::default(),
            sticky: Some(Stickiness::default()),
            timeouts: TimeoutSettings::default(),
        }
    }

    /// The key of a candidate in a one-pass choice: the smallest wins. `share`: its percentage, where the model
    /// is split. `uniform` is a draw from 0..1.
    pub(crate) fn key(&self, standing: &Standing, share: Option<Share>, uniform: f32) -> f64 {
        if let Some(share) = share {
            return split::key(standing, share.percent, uniform).into();
        }
        match self.sort {
            Sort::Adaptive => adaptive::key(adaptive::loss(standing, &self.weights), uniform),
            Sort::Cost => cost::key(standing).into(),
            Sort::Latency => adaptive::key(latency::loss(standing), uniform),
            Sort::Throughput => adaptive::key(throughput::loss(standing), uniform),
            Sort::Ordered => ordered::key(standing).into(),
        }
    }

    /// What the score of a candidate is made of, in the policy's own unit; the smaller the sum, the better.
    pub(crate) fn parts(&self, standing: &Standing, share: Option<Share>) -> Vec<Part> {
        if let Some(Share { percent }) = share {
            let value = percent.unwrap_or(0.0);
            return vec![Part {
                name: "split",
                value,
            }];
        }
        match self.sort {
            Sort::Adaptive => adaptive::parts(standing, &self.weights).to_vec(),
            Sort::Cost => vec![Part {
                name: "price",
                value: standing.price,
            }],
            Sort::Latency => latency::parts(standing).to_vec(),
            Sort::Throughput => throughput::parts(standing).to_vec(),
            Sort::Ordered => vec![Part {
                name: "position",
                value: standing.position as f32,
            }],
        }
    }

    /// The percentage that the policy gives an endpoint.
    pub fn percent(&self, endpoint: &EndpointId) -> Option<f32> {
        let mut split = self.split.iter();
        split
            .find(|(id, _)| id == endpoint)
            .map(|(_, share)| *share)
    }
}

/// A candidate's part in a model that is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// `None`: it is not part of the split.
    pub percent: Option<f32>,
}
