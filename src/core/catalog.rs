//! Owns what can be asked for and who serves it: models, their endpoints, prices and chains, and the
//! hosts and keys that endpoints share. `labels`: what policies filter by; `tongues`: how requests to it are written; `lookup` finds a model by what a client
//! writes. Fixed for a generation; it must never change at run time.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::core::names::{EndpointId, HostName, KeyName, ModelName, PolicyName, ProviderName};
use crate::core::timeouts::TimeoutSettings;

mod labels;
mod lookup;
mod tongues;

pub use labels::{Capability, DataCollection, Labels, Quantization};
use lookup::Lookup;
pub use lookup::Resolved;
pub use tongues::{Speech, TONGUES, Tongues};

/// Declares an index into one of the catalogue's lists.
macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u32);

        impl $name {
            /// The entry at `position` of the list.
            ///
            /// # Panics
            /// Beyond four billion entries, which no configuration file holds.
            pub fn new(position: usize) -> Self {
                Self(u32::try_from(position).expect("a configuration holds fewer entries"))
            }

            /// The position in the list.
            pub const fn get(self) -> usize {
                self.0 as usize
            }
        }
    };
}

index! {
    /// A model of the catalogue.
    ModelIx
}
index! {
    /// An endpoint of the catalogue, the unit of health.
    EndpointIx
}
index! {
    /// A host that endpoints share.
    HostIx
}
index! {
    /// A credential that endpoints share.
    KeyIx
}

/// Tells whether something still is what it was, without saying what that is: the state of an endpoint or a
/// key outlives a reload only where this is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of anything that can be hashed. Stable within one process.
    pub fn of(thing: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        thing.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// A key of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credential {
    pub provider: ProviderName,
    pub key: KeyName,
    /// Of the secret: a replaced key is a new key.
    pub fingerprint: Fingerprint,
}

/// USD per million tokens. `None` is unknown, 0 is free.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    pub prompt: Option<f64>,
    pub completion: Option<f64>,
    pub cache_read: Option<f64>,
}

/// Prompt tokens assumed where there is no request at hand: most chat traffic is prompt-heavy.
const TYPICAL_PROMPT: f64 = 1_000.0;
/// Expected completion tokens before anything was learnt (design section 5: prior 300).
const TYPICAL_COMPLETION: f64 = 300.0;

impl Price {
    /// USD for a typical request, `None` where either part is unknown.
    pub fn typical(&self) -> Option<f64> {
        Some((self.prompt? * TYPICAL_PROMPT + self.completion? * TYPICAL_COMPLETION) / 1e6)
    }

    /// USD for the given tokens; unknown parts count as zero.
    pub fn of(&self, prompt_tokens: u64, completion_tokens: u64) -> f64 {
        let part = |price: Option<f64>, tokens: u64| price.unwrap_or(0.0) * tokens as f64;
        (part(self.prompt, prompt_tokens) + part(self.completion, completion_tokens)) / 1e6
    }
}

/// One (model, provider, key): the unit of health.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub model: ModelIx,
    pub provider: ProviderName,
    pub key: KeyName,
    /// What the provider calls the model.
    pub upstream_model: String,
    /// The dialects that its provider speaks.
    pub tongues: Tongues,
    pub price: Price,
    pub labels: Labels,
    pub host: HostIx,
    pub credential: KeyIx,
    /// Of the server and the model asked for there: elsewhere, nothing learnt here holds.
    pub fingerprint: Fingerprint,
    /// The provider's own timeouts; a policy's win, field by field.
    pub timeouts: TimeoutSettings,
}

/// What a client can ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    pub name: ModelName,
    /// Tokens; `None` is unknown.
    pub context_length: Option<u64>,
    /// Completion tokens of one answer; `None` is unknown.
    pub max_output: Option<u64>,
    /// What it can do; `None` is unknown.
    pub supports: Option<Vec<Capability>>,
    /// In the order of the file.
    pub endpoints: Vec<EndpointIx>,
    /// Other models to take when this one cannot answer, in order.
    pub fallbacks: Vec<ModelIx>,
    /// The policy of this model, where it has its own.
    pub policy: Option<PolicyName>,
}

impl Model {
    /// Whether it stands for every model of its author that is not configured by itself.
    pub fn is_wildcard(&self) -> bool {
        self.name.as_str().ends_with("/*")
    }

    /// Whether it is known not to have a capability.
    pub fn lacks(&self, capability: Capability) -> bool {
        let known = self.supports.as_ref();
        known.is_some_and(|supports| !supports.contains(&capability))
    }
}

/// Everything that can be asked for and everyone who serves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    models: Vec<Model>,
    endpoints: Vec<Endpoint>,
    hosts: Vec<HostName>,
    credentials: Vec<Credential>,
    lookup: Lookup,
}

impl Catalog {
    /// Assembles a catalogue. The indices inside must point into these lists.
    pub fn new(
        models: Vec<Model>,
        endpoints: Vec<Endpoint>,
        hosts: Vec<HostName>,
        credentials: Vec<Credential>,
    ) -> Self {
        Self {
            lookup: Lookup::new(&models),
            models,
            endpoints,
            hosts,
            credentials,
        }
    }

    /// Adds other names for models; one that ends in `*` stands for all that begin so.
    #[must_use]
    pub fn with_aliases(mut self, aliases: Vec<(String, ModelName)>) -> Self {
        self.lookup.add_aliases(aliases);
        self
    }

    /// The model that a client's text names: its full name, a bare slug that one author has, an alias, or
    /// anything of an author who has a wildcard.
    pub fn resolve<'a>(&'a self, asked: &'a str) -> Option<Resolved<'a>> {
        self.lookup.find(asked)
    }

    /// What a model is called in a request that was resolved so: by its name, a wildcard by the one asked for.
    pub fn name_of<'a>(&'a self, model: ModelIx, wild: Option<&'a str>) -> &'a str {
        let model = self.model(model);
        let asked = wild.filter(|_| model.is_wildcard());
        asked.unwrap_or(model.name.as_str())
    }

    /// What the endpoint's provider calls the model of such a request.
    pub fn upstream_name_of<'a>(&'a self, ix: EndpointIx, wild: Option<&'a str>) -> &'a str {
        let endpoint = self.endpoint(ix);
        let asked = wild.filter(|_| self.model(endpoint.model).is_wildcard());
        match asked.and_then(|name| name.split_once('/')) {
            Some((_, slug)) => slug,
            None => &endpoint.upstream_model,
        }
    }

    /// Other names for models, with the model's own; those that end in `*` last.
    pub fn aliases(&self) -> impl Iterator<Item = (String, &ModelName)> {
        self.lookup.aliases()
    }

    pub fn model(&self, ix: ModelIx) -> &Model {
        &self.models[ix.get()]
    }

    pub fn endpoint(&self, ix: EndpointIx) -> &Endpoint {
        &self.endpoints[ix.get()]
    }

    pub fn models(&self) -> &[Model] {
        &self.models
    }

    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub fn hosts(&self) -> &[HostName] {
        &self.hosts
    }

    pub fn credentials(&self) -> &[Credential] {
        &self.credentials
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        let names = ["a/m", "b/m", "a/x", "a/*", "c/*"];
        let model = |name: &str| Model {
            name: ModelName::new(name),
            context_length: None,
            max_output: None,
            supports: None,
            endpoints: Vec::new(),
            fallbacks: Vec::new(),
            policy: None,
        };
        let aliases = [
            ("fast", "a/x"),
            ("new", "c/latest"),
            ("m", "b/m"),
            ("haiku-*", "a/x"),
            ("haiku-4*", "b/m"),
            ("c/old-*", "a/x"),
        ];
        let alias = |(name, to): (&str, &str)| (name.to_owned(), ModelName::new(to));
        Catalog::new(names.map(model).to_vec(), vec![], vec![], vec![])
            .with_aliases(aliases.map(alias).to_vec())
    }

    #[test]
    fn a_name_comes_before_an_alias_and_an_alias_before_a_wildcard() {
        let catalog = catalog();
        let check = |asked: &str, expected: Option<(&str, &str)>| {
            let found = catalog.resolve(asked).map(|found| {
                let model = catalog.model(found.model).name.as_str();
                (model, catalog.name_of(found.model, found.wild))
            });
            assert_eq!(found, expected, "{asked}");
        };
        check("a/m", Some(("a/m", "a/m")));
        check("x", Some(("a/x", "a/x")));
        check("fast", Some(("a/x", "a/x")));
        check("m", Some(("b/m", "b/m")));
        check("haiku-3", Some(("a/x", "a/x")));
        check("haiku-4.5", Some(("b/m", "b/m")));
        check("a/other", Some(("a/*", "a/other")));
        check("c/some/deep:free", Some(("c/*", "c/some/deep:free")));
        check("new", Some(("c/*", "c/latest")));
        check("c/old-1", Some(("a/x", "a/x")));
        let long = format!("a/{}", "x".repeat(200));
        for unknown in [
            "other", "d/m", "a/", "a/*", "*", "a/b c", "a/b@c", "a/\n", &long,
        ] {
            check(unknown, None);
        }
    }
}
