//! Owns the small catalogues that tests of the pure floor share.

use crate::core::catalog::{
    Catalog, Credential, Endpoint, EndpointIx, Fingerprint, HostIx, KeyIx, Labels, Model, ModelIx,
    Price, Tongues,
};
use crate::core::names::{EndpointId, HostName, KeyName, ModelName, ProviderName};
use crate::core::timeouts::TimeoutSettings;

/// A catalogue of `(model, providers)`; the first model falls back to the others in order. Every provider is a
/// host and a key of its own, the price of the n-th endpoint of a model is 1 + n / 2.
pub(crate) fn catalog(models: &[(&str, &[&str])]) -> Catalog {
    let mut built = Vec::new();
    let mut endpoints = Vec::new();
    let mut providers: Vec<&str> = Vec::new();
    for (position, (name, sellers)) in models.iter().enumerate() {
        let first = endpoints.len();
        for (nth, seller) in sellers.iter().enumerate() {
            let shared = providers
                .iter()
                .position(|known| known == seller)
                .unwrap_or_else(|| {
                    providers.push(seller);
                    providers.len() - 1
                });
            endpoints.push(endpoint(position, name, seller, shared, nth));
        }
        let fallbacks = match position {
            0 => (1..models.len()).map(ModelIx::new).collect(),
            _ => Vec::new(),
        };
        built.push(Model {
            name: ModelName::new(*name),
            context_length: None,
            max_output: None,
            supports: None,
            endpoints: (first..endpoints.len()).map(EndpointIx::new).collect(),
            fallbacks,
            policy: None,
        });
    }
    let hosts = providers.iter().map(|name| HostName::new(*name)).collect();
    let keys = providers
        .iter()
        .map(|name| Credential {
            provider: ProviderName::new(*name),
            key: KeyName::new("default"),
            fingerprint: Fingerprint::default(),
        })
        .collect();
    Catalog::new(built, endpoints, hosts, keys)
}

fn endpoint(model: usize, name: &str, seller: &str, shared: usize, nth: usize) -> Endpoint {
    let provider = ProviderName::new(seller);
    let key = KeyName::new("default");
    let price = Some(1.0 + nth as f64 / 2.0);
    Endpoint {
        id: EndpointId::new(&ModelName::new(name), &provider, &key, None),
        model: ModelIx::new(model),
        provider,
        key,
        upstream_model: name.to_owned(),
        tongues: Tongues::default(),
        price: Price {
            prompt: price,
            completion: price,
            cache_read: None,
        },
        host: HostIx::new(shared),
        credential: KeyIx::new(shared),
        fingerprint: Fingerprint::default(),
        labels: Labels::default(),
        timeouts: TimeoutSettings::default(),
    }
}

/// The same catalogue with something else in it.
pub(crate) fn changed(
    catalog: &Catalog,
    change: impl FnOnce(&mut [Model], &mut [Endpoint]),
) -> Catalog {
    let (mut models, mut endpoints) = (catalog.models().to_vec(), catalog.endpoints().to_vec());
    change(&mut models, &mut endpoints);
    let (hosts, keys) = (catalog.hosts().to_vec(), catalog.credentials().to_vec());
    Catalog::new(models, endpoints, hosts, keys)
}
