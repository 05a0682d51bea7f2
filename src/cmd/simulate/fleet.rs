//! Owns a scenario's fleet in the routing code's own terms: a catalogue and a policy. Must never know an incident.

use std::sync::Arc;

use crate::cmd::simulate::scenario::{Endpoint, Scenario};
use crate::core::catalog::{
    self, Catalog, Credential, EndpointIx, Fingerprint, HostIx, KeyIx, Model, ModelIx, Price,
};
use crate::core::health::{BudgetSettings, Health, HealthSettings};
use crate::core::names::{EndpointId, HostName, KeyName, ModelName, PolicyName, ProviderName};
use crate::core::policy::{Policy, Sort};
use crate::core::timeouts::TimeoutSettings;

/// What routing decides with, but for the time and the dice.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) catalog: Catalog,
    pub(super) health: Health,
    pub(super) policy: Arc<Policy>,
}

impl Fleet {
    /// The fleet of a scenario with nothing learnt yet, and the built-in settings.
    pub(super) fn of(scenario: &Scenario, sort: Sort) -> Self {
        let catalog = catalog(&scenario.fleet);
        let health = Health::new(
            &catalog,
            HealthSettings::default(),
            BudgetSettings::default(),
            None,
        );
        let mut policy = Policy::built_in(PolicyName::new("simulated"));
        policy.sort = sort;
        Self {
            catalog,
            health,
            policy: Arc::new(policy),
        }
    }
}

/// One model that every endpoint of the fleet serves; each is a provider with a host and a key of its own.
fn catalog(fleet: &[Endpoint]) -> Catalog {
    let name = ModelName::new("simulated/model");
    let endpoints = fleet.iter().enumerate().map(|(position, endpoint)| {
        let provider = ProviderName::new(endpoint.id.as_str());
        let key = KeyName::new("default");
        catalog::Endpoint {
            id: EndpointId::new(&name, &provider, &key, None),
            model: ModelIx::new(0),
            provider,
            key,
            upstream_model: "model".to_owned(),
            price: Price {
                prompt: Some(endpoint.price),
                completion: Some(endpoint.price),
                cache_read: None,
            },
            host: HostIx::new(position),
            credential: KeyIx::new(position),
            fingerprint: Fingerprint::default(),
            timeouts: TimeoutSettings::default(),
        }
    });
    let endpoints: Vec<_> = endpoints.collect();
    let hosts = fleet
        .iter()
        .map(|endpoint| HostName::new(endpoint.id.as_str()));
    let credentials = fleet.iter().map(|endpoint| Credential {
        provider: ProviderName::new(endpoint.id.as_str()),
        key: KeyName::new("default"),
        fingerprint: Fingerprint::default(),
    });
    let model = Model {
        name: name.clone(),
        context_length: None,
        endpoints: (0..fleet.len()).map(EndpointIx::new).collect(),
        fallbacks: Vec::new(),
        policy: None,
    };
    let (hosts, credentials) = (hosts.collect(), credentials.collect());
    Catalog::new(vec![model], endpoints, hosts, credentials)
}
