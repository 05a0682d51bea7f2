//! Owns the judgement whether a candidate is too far from what was meant. Must never ask anyone in its place.

use crate::core::catalog::{Catalog, EndpointIx};
use crate::core::drift::Drift;
use crate::core::health::View;
use crate::core::policy::{Degrade, Label};

/// Prices a token are no round numbers: three times a price must not pass for more than three times.
const ROUNDING: f64 = 1.0 + 1e-9;

/// In what a candidate is beyond the limits of `degrade`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    Model,
    Price,
    Quantization,
    Region,
    DataCollection,
    Zdr,
    Latency,
}

impl Beyond {
    /// The word that answers and logs say.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Price => "price",
            Self::Quantization => "quantization",
            Self::Region => "region",
            Self::DataCollection => "data_collection",
            Self::Zdr => "zdr",
            Self::Latency => "latency",
        }
    }
}

/// In what `served` is beyond the limits, as far as the catalogue tells, where `meant` was to answer.
pub fn beyond(
    limits: &Degrade,
    catalog: &Catalog,
    meant: EndpointIx,
    served: EndpointIx,
) -> impl Iterator<Item = Beyond> {
    let drift = Drift::between(catalog, meant, served);
    let endpoint = catalog.endpoint(served);
    let name = catalog.model(endpoint.model).name.as_str();
    let kept = |label: Label| limits.labels.contains(&label);
    let dearer = limits
        .max_price_ratio
        .is_some_and(|most| drift.price.is_none_or(|ratio| ratio > most * ROUNDING));
    let rules = [
        (drift.model && !limits.allows_model(name), Beyond::Model),
        (drift.model && dearer, Beyond::Price),
        (
            is_coarser(limits, catalog, meant, served),
            Beyond::Quantization,
        ),
        (drift.region && kept(Label::Region), Beyond::Region),
        (
            drift.data_collection && kept(Label::DataCollection),
            Beyond::DataCollection,
        ),
        (drift.zdr && kept(Label::Zdr), Beyond::Zdr),
    ];
    rules
        .into_iter()
        .filter_map(|(is, what)| is.then_some(what))
}

/// Below the floor, and less exact than what was meant. Where nothing was known of that, an unknown one is no loss.
fn is_coarser(limits: &Degrade, catalog: &Catalog, meant: EndpointIx, served: EndpointIx) -> bool {
    let of = |ix: EndpointIx| catalog.endpoint(ix).labels.quantization;
    let Some(floor) = limits.min_quantization else {
        return false;
    };
    match (of(meant), of(served)) {
        (meant, Some(served)) => {
            let as_good = meant.is_some_and(|meant| served.is_at_least(meant));
            !served.is_at_least(floor) && !as_good
        }
        (meant, None) => meant.is_some(),
    }
}

/// Whether a candidate of another model is slower than allowed. Nobody is slow before it was measured.
pub fn is_slower(limits: &Degrade, meant: &View, served: &View) -> bool {
    let added = meant
        .usual_latency
        .zip(served.latency)
        .map(|(usual, expected)| expected - usual);
    limits
        .max_added_latency
        .zip(added)
        .is_some_and(|(most, added)| added > most.as_secs_f32())
}
