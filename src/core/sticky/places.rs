//! Owns how an endpoint is called in what outlives a generation. Must never let one stand for another: an endpoint
//! that changed its server or model is a new one.

use std::collections::HashMap;

use crate::core::catalog::{Catalog, EndpointIx, Fingerprint};

/// The endpoints of a catalogue by what stays the same across reloads.
#[derive(Clone, Debug, Default)]
pub struct Places {
    by_endpoint: Vec<Fingerprint>,
    by_place: HashMap<Fingerprint, EndpointIx>,
}

impl Places {
    pub fn of(catalog: &Catalog) -> Self {
        let endpoints = catalog.endpoints().iter();
        let by_endpoint: Vec<Fingerprint> = endpoints
            .map(|endpoint| Fingerprint::of(&(endpoint.id.as_str(), endpoint.fingerprint)))
            .collect();
        let numbered = by_endpoint.iter().enumerate();
        Self {
            by_place: numbered
                .map(|(position, place)| (*place, EndpointIx::new(position)))
                .collect(),
            by_endpoint,
        }
    }

    pub fn place(&self, endpoint: EndpointIx) -> Fingerprint {
        self.by_endpoint[endpoint.get()]
    }

    /// `None`: no endpoint is that any more.
    pub fn endpoint(&self, place: Fingerprint) -> Option<EndpointIx> {
        self.by_place.get(&place).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixture::{catalog, changed};

    #[test]
    fn an_endpoint_is_found_again_unless_it_changed() {
        let old = catalog(&[("a/m", &["one", "two"])]);
        let new = catalog(&[("b/m", &["three"]), ("a/m", &["two", "one"])]);
        let (before, after) = (Places::of(&old), Places::of(&new));
        let moved = |ix| after.endpoint(before.place(EndpointIx::new(ix)));
        assert_eq!(moved(0), Some(EndpointIx::new(2)));
        assert_eq!(moved(1), Some(EndpointIx::new(1)));
        let other = changed(&new, |_, endpoints| {
            endpoints[1].fingerprint = Fingerprint::of(&"elsewhere");
        });
        let place = before.place(EndpointIx::new(1));
        assert_eq!(Places::of(&other).endpoint(place), None);
    }
}
