//! Owns what can be asked for and who serves it: models, their endpoints, prices and chains, and the
//! hosts and keys that endpoints share. Fixed for a generation; it must never change at run time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::core::names::{EndpointId, HostName, KeyName, ModelName, PolicyName, ProviderName};
use crate::core::timeouts::TimeoutSettings;

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

/// Prompt tokens assumed where only a ratio of prices matters. Most chat traffic is prompt-heavy;
/// the estimate of the request at hand replaces it with the policies that need it.
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
    pub price: Price,
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
    /// In the order of the file.
    pub endpoints: Vec<EndpointIx>,
    /// Other models to take when this one cannot answer, in order.
    pub fallbacks: Vec<ModelIx>,
    /// The policy of this model, where it has its own.
    pub policy: Option<PolicyName>,
}

/// Everything that can be asked for and everyone who serves it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalog {
    models: Vec<Model>,
    endpoints: Vec<Endpoint>,
    hosts: Vec<HostName>,
    credentials: Vec<Credential>,
    by_name: HashMap<ModelName, ModelIx>,
    by_slug: HashMap<String, Vec<ModelIx>>,
}

impl Catalog {
    /// Assembles a catalogue. The indices inside must point into these lists.
    pub fn new(
        models: Vec<Model>,
        endpoints: Vec<Endpoint>,
        hosts: Vec<HostName>,
        credentials: Vec<Credential>,
    ) -> Self {
        let mut by_name = HashMap::new();
        let mut by_slug: HashMap<String, Vec<ModelIx>> = HashMap::new();
        for (position, model) in models.iter().enumerate() {
            let ix = ModelIx::new(position);
            by_name.insert(model.name.clone(), ix);
            if let Some((_, slug)) = model.name.as_str().split_once('/') {
                by_slug.entry(slug.to_owned()).or_default().push(ix);
            }
        }
        Self {
            models,
            endpoints,
            hosts,
            credentials,
            by_name,
            by_slug,
        }
    }

    /// The model that a client's text names: its full name, or a bare slug that one author has.
    pub fn resolve(&self, asked: &str) -> Option<ModelIx> {
        if let Some(ix) = self.by_name.get(asked) {
            return Some(*ix);
        }
        match self.by_slug.get(asked)?.as_slice() {
            [only] => Some(*only),
            _ => None,
        }
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
