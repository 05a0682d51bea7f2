//! Owns what an operator allows an answer to differ from what was asked for. Must never judge an endpoint: `core/plan`
//! does.

use std::time::Duration;

use crate::core::catalog::Quantization;

/// What happens to a candidate that is beyond the limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// It is not asked.
    #[default]
    Fail,
    /// It is asked, and the answer says so.
    Warn,
}

impl Otherwise {
    /// Both, with the name the configuration uses.
    pub const ALL: [(&'static str, Otherwise); 2] =
        [("fail", Otherwise::Fail), ("warn", Otherwise::Warn)];
}

/// A label that must not be lost on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Region,
    DataCollection,
    Zdr,
}

impl Label {
    /// Every label, with the name the configuration uses.
    pub const ALL: [(&'static str, Label); 3] = [
        ("region", Label::Region),
        ("data_collection", Label::DataCollection),
        ("zdr", Label::Zdr),
    ];
}

/// How far an answer may be from what was meant. The default sets no limit. The first three are about other models,
/// the rest also about other endpoints of the model asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Degrade {
    /// Of the price of a typical request; an unknown price is beyond it.
    pub max_price_ratio: Option<f64>,
    /// To the first token or whole answer, as expected now, beyond the usual of what was meant. Not judged before
    /// both were measured.
    pub max_added_latency: Option<Duration>,
    /// The models that may answer instead, by name or by a prefix that ends in `*`; empty: any.
    pub models: Vec<String>,
    /// Less exact than this only where what was meant is no more exact.
    pub min_quantization: Option<Quantization>,
    /// What must not be lost.
    pub labels: Vec<Label>,
    pub otherwise: Otherwise,
}

impl Degrade {
    /// Whether nothing is beyond it.
    pub fn is_boundless(&self) -> bool {
        let Self {
            max_price_ratio,
            max_added_latency,
            models,
            min_quantization,
            labels,
            otherwise: _,
        } = self;
        max_price_ratio.is_none()
            && max_added_latency.is_none()
            && models.is_empty()
            && min_quantization.is_none()
            && labels.is_empty()
    }

    /// Whether what is beyond it is not asked.
    pub fn forbids(&self) -> bool {
        self.otherwise == Otherwise::Fail && !self.is_boundless()
    }

    /// Whether the model may answer instead of another.
    pub fn allows_model(&self, name: &str) -> bool {
        let matches = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        self.models.is_empty() || self.models.iter().any(matches)
    }
}
