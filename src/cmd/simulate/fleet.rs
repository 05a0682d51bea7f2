//! Owns a scenario's fleet in the routing code's own terms: a catalogue and a policy. Must never know an incident.

use std::sync::Arc;

use crate::cmd::simulate::choice::Decides;
use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::scenario::{Endpoint, Scenario};
use crate::core::catalog::{
    self, Catalog, Credential, EndpointIx, Fingerprint, HostIx, KeyIx, Labels, Model, ModelIx,
    Price, Tongues,
};
use crate::core::health::{BudgetSettings, Health, HealthSettings};
use crate::core::names::{EndpointId, HostName, KeyName, ModelName, ProviderName};
use crate::core::policy::Policy;
use crate::core::timeouts::TimeoutSettings;

/// What routing decides with, but for the time and the dice.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) catalog: Catalog,
    pub(super) health: Health,
    pub(super) policy: Arc<Policy>,
}

impl Fleet {
    /// The fleet of a scenario with nothing learnt yet: that of a configuration with its settings, or the file's
    /// with the built-in ones.
    pub(super) fn of(scenario: &Scenario, decides: &Decides) -> Self {
        let policy = decides.policy(scenario.own.as_ref());
        let (catalog, settings, budget) = match &scenario.own {
            Some(Own { snapshot, .. }) => {
                let catalog = snapshot.catalog.clone();
                (catalog, snapshot.health, snapshot.retry_budget)
            }
            None => (
                catalog(scenario),
                HealthSettings::default(),
                BudgetSettings::default(),
            ),
        };
        let policy = shared(policy, scenario, &catalog, decides);
        let health = Health::new(&catalog, settings, budget, None);
        Self {
            catalog,
            health,
            policy,
        }
    }
}

/// The policy with the shares that it is to have, if any.
fn shared(
    policy: Arc<Policy>,
    scenario: &Scenario,
    catalog: &Catalog,
    decides: &Decides,
) -> Arc<Policy> {
    let fleet = scenario.fleet.iter().zip(catalog.endpoints());
    let share = |(played, endpoint): (&Endpoint, &catalog::Endpoint)| {
        Some((endpoint.id.clone(), decides.share(&played.id)?))
    };
    let split: Vec<_> = fleet.filter_map(share).collect();
    if split.is_empty() {
        return policy;
    }
    Arc::new(Policy {
        split,
        ..Policy::clone(&policy)
    })
}

fn catalog(scenario: &Scenario) -> Catalog {
    let fleet = &scenario.fleet;
    let hosts = distinct(fleet, |endpoint| &endpoint.host);
    let keys = distinct(fleet, |endpoint| &endpoint.key);
    let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
    let model_of = |endpoint: &Endpoint| {
        let mut models = scenario.models.iter();
        let found = models.position(|model| model.name == endpoint.model);
        found.unwrap_or_default()
    };
    let endpoints = fleet.iter().map(|endpoint| {
        let provider = ProviderName::new(endpoint.id.as_str());
        let key = KeyName::new(endpoint.key.as_str());
        let name = ModelName::new(format!("simulated/{}", endpoint.model));
        catalog::Endpoint {
            id: EndpointId::new(&name, &provider, &key, None),
            model: ModelIx::new(model_of(endpoint)),
            provider,
            key,
            upstream_model: endpoint.model.clone(),
            tongues: Tongues::default(),
            price: Price {
                prompt: Some(endpoint.price),
                completion: Some(endpoint.price),
                cache_read: None,
            },
            host: HostIx::new(place(&hosts, &endpoint.host).unwrap_or_default()),
            credential: KeyIx::new(place(&keys, &endpoint.key).unwrap_or_default()),
            fingerprint: Fingerprint::default(),
            labels: Labels::default(),
            timeouts: TimeoutSettings::default(),
        }
    });
    let models = scenario.models.iter().enumerate().map(|(position, model)| {
        let serves = |endpoint: &usize| model_of(&fleet[*endpoint]) == position;
        Model {
            name: ModelName::new(format!("simulated/{}", model.name)),
            context_length: None,
            max_output: None,
            supports: None,
            endpoints: (0..fleet.len())
                .filter(serves)
                .map(EndpointIx::new)
                .collect(),
            fallbacks: model.fallbacks.iter().copied().map(ModelIx::new).collect(),
            policy: None,
        }
    });
    let credentials = keys.iter().map(|key| Credential {
        provider: ProviderName::new(*key),
        key: KeyName::new(*key),
        fingerprint: Fingerprint::default(),
    });
    Catalog::new(
        models.collect(),
        endpoints.collect(),
        hosts.iter().map(|host| HostName::new(*host)).collect(),
        credentials.collect(),
    )
}

/// The names of a fleet, each once, in the order they appear in.
fn distinct(fleet: &[Endpoint], name: fn(&Endpoint) -> &String) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for name in fleet.iter().map(|endpoint| name(endpoint).as_str()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
