//! Owns what a policy demands of every endpoint that it sends a request to. Must never look at health.

use crate::core::catalog::{DataCollection, Endpoint, Quantization};
use crate::core::names::Region;

/// What every endpoint must be. What is unknown of an endpoint is not taken for a yes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Require {
    /// One of these; empty: any.
    pub region: Vec<Region>,
    /// `Deny`: only who keeps nothing to learn from.
    pub data_collection: DataCollection,
    /// Only who keeps nothing after the answer.
    pub zdr: bool,
    /// At least so exact.
    pub min_quantization: Option<Quantization>,
    /// Providers by name or endpoints by id; empty: any.
    pub only: Vec<String>,
    /// Providers by name or endpoints by id.
    pub ignore: Vec<String>,
}

/// The demand that an endpoint does not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    Region,
    DataCollection,
    Zdr,
    Quantization,
    Only,
    Ignore,
}

impl Require {
    /// The first demand that the endpoint does not meet.
    pub fn unmet(&self, endpoint: &Endpoint) -> Option<Unmet> {
        let labels = &endpoint.labels;
        let is_among = |names: &[String]| names.iter().any(|name| is_named(endpoint, name));
        let here = |region: &Region| self.region.contains(region);
        let exact = |least: Quantization| {
            let known = labels.quantization;
            known.is_some_and(|known| known.is_at_least(least))
        };
        let collects = labels.data_collection == DataCollection::Allow;
        let rules = [
            (!self.only.is_empty() && !is_among(&self.only), Unmet::Only),
            (is_among(&self.ignore), Unmet::Ignore),
            (
                !self.region.is_empty() && !labels.region.as_ref().is_some_and(here),
                Unmet::Region,
            ),
            (
                self.data_collection == DataCollection::Deny && collects,
                Unmet::DataCollection,
            ),
            (self.zdr && !labels.zdr, Unmet::Zdr),
            (
                !self.min_quantization.is_none_or(exact),
                Unmet::Quantization,
            ),
        ];
        rules.iter().find(|(is, _)| *is).map(|(_, unmet)| *unmet)
    }
}

/// Whether a name stands for the endpoint: its own id, or its provider's name.
fn is_named(endpoint: &Endpoint, name: &str) -> bool {
    endpoint.provider.as_str() == name || endpoint.id.as_str() == name
}
