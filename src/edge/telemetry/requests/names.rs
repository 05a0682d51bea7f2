//! Owns the names of one generation's endpoints and models, so that what is kept of a request can name them after the
//! generation is gone. Must never keep the generation itself.

use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::names::{EndpointId, ModelName};

/// What the endpoints and models of a generation are called.
#[derive(Debug)]
pub struct Names {
    endpoints: Vec<(EndpointId, ModelIx)>,
    models: Vec<ModelName>,
}

impl Names {
    /// The names of a catalogue.
    pub fn of(catalog: &Catalog) -> Self {
        let endpoints = catalog.endpoints().iter();
        let models = catalog.models().iter();
        Self {
            endpoints: endpoints
                .map(|endpoint| (endpoint.id.clone(), endpoint.model))
                .collect(),
            models: models.map(|model| model.name.clone()).collect(),
        }
    }

    pub(crate) fn endpoint(&self, endpoint: EndpointIx) -> &str {
        self.endpoints[endpoint.get()].0.as_str()
    }

    pub(crate) fn model(&self, model: ModelIx) -> &str {
        self.models[model.get()].as_str()
    }

    /// The model that an endpoint is one of.
    pub(crate) fn model_of(&self, endpoint: EndpointIx) -> &str {
        self.model(self.endpoints[endpoint.get()].1)
    }
}
