//! Owns what a configuration says, flat: one entry for each thing it holds, with its settings as text, so that two
//! of them can be compared and shown. Must never hold a credential: those stand as salted digests, which tell
//! only whether two are the same. Beside it: `take` (a snapshot, taken apart), `provider` and `fields`.

mod provider;
mod take;
mod fields;

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// The kinds of things that a configuration holds, in the order they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Server,
    Listener,
    CallerKey,
    Provider,
    ProviderKey,
    Model,
    Endpoint,
    Alias,
    Policy,
    Health,
    RetryBudget,
    Route,
    Store,
    Telemetry,
    /// A certificate, or the key of one.
    File,
}

impl Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Listener => "listener",
            Self::CallerKey => "caller key",
            Self::Provider => "provider",
            Self::ProviderKey => "provider key",
            Self::Model => "model",
            Self::Endpoint => "endpoint",
            Self::Alias => "alias",
            Self::Policy => "policy",
            Self::Health => "health",
            Self::RetryBudget => "retry budget",
            Self::Route => "route",
            Self::Store => "store",
            Self::Telemetry => "telemetry",
            Self::File => "file",
        })
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    Plain(String),
    Secret {
        /// Salted, in hexadecimal digits.
        digest: String,
    },
}

impl Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(text) => text,
            Self::Secret { .. } => "[redacted]",
        })
    }
}

/// One thing that a configuration holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub kind: Kind,
    /// Tells it from the others of its kind; empty where there is one.
    pub name: String,
    pub fields: BTreeMap<String, Fact>,
}

/// Everything that a configuration holds, ordered by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What digests of credentials are salted with. Only facts of the same salt can be compared.
    pub salt: String,
    pub items: Vec<Item>,
}
