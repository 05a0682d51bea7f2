//! Owns what a label may say: a name that the configuration holds, or a word of a closed list. A [`Label`] is made from
//! the configuration itself or from a list's own type, and from no text: what a client wrote cannot become one. Must
//! never gain a way to be made from a string.

use std::net::SocketAddr;

use crate::config::snapshot::Snapshot;
use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::exchange::Result as Ending;
use crate::core::health::{Condition, Kind, State};
use crate::core::names::ProviderName;
use crate::core::outcome::Class;
use crate::core::policy::Policy;
use crate::core::quota::Quantity;
use crate::edge::conversations::Became;

/// What stands for a name that the configuration does not hold.
const OTHER: &str = "other";

/// The value of a label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a>(&'a str);

/// A word of a closed list.
pub(super) trait Closed: Copy {
    /// Every word of the list.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the listing of all metrics is a test's")
    )]
    fn words() -> Vec<&'static str>;
    fn word(self) -> &'static str;
}

/// A server's address, which the configuration or DNS named.
#[derive(Debug)]
pub(super) struct Address(String);

impl Address {
    pub(super) fn new(at: SocketAddr) -> Self {
        Self(at.to_string())
    }

    pub(super) fn label(&self) -> Label<'_> {
        Label(&self.0)
    }
}

impl<'a> Label<'a> {
    pub(super) fn of(word: impl Closed) -> Label<'static> {
        Label(word.word())
    }

    pub(super) fn version() -> Label<'static> {
        Label(env!("CARGO_PKG_VERSION"))
    }

    pub(super) fn model(catalog: &'a Catalog, model: ModelIx) -> Self {
        Self(catalog.model(model).name.as_str())
    }

    /// Endpoint, model and provider.
    pub(super) fn endpoint(catalog: &'a Catalog, endpoint: EndpointIx) -> [Self; 3] {
        let entry = catalog.endpoint(endpoint);
        [
            Self(entry.id.as_str()),
            Self::model(catalog, entry.model),
            Self(entry.provider.as_str()),
        ]
    }

    pub(super) fn policy(snapshot: &'a Snapshot, policy: &Policy) -> Self {
        let known = snapshot.policies.get_key_value(&policy.name);
        Self(known.map_or(OTHER, |(name, _)| name.as_str()))
    }

    /// A provider of the configuration; nobody is the empty word.
    pub(super) fn provider(snapshot: &'a Snapshot, name: &str) -> Self {
        let known = snapshot.providers.get_key_value(name);
        let unknown = if name.is_empty() { "" } else { OTHER };
        Self(known.map_or(unknown, |(name, _)| name.as_str()))
    }

    /// A provider that is checked.
    pub(super) fn checked(provider: &'a ProviderName) -> Self {
        Self(provider.as_str())
    }

    /// A route's pattern.
    pub(super) fn route(snapshot: &'a Snapshot, pattern: &str) -> Self {
        let patterns = snapshot.routes.iter().map(|route| route.path.as_str());
        Self(
            patterns
                .into_iter()
                .find(|it| *it == pattern)
                .unwrap_or(OTHER),
        )
    }

    pub(super) fn as_str(self) -> &'a str {
        self.0
    }
}

/// Why an endpoint's breaker moved: what tripped it by who can do something about it, or how it came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Host,
    Key,
    Silence,
    Missing,
    Error,
    Probed,
    Answered,
    Settled,
}

impl Reason {
    pub(super) const ALL: [Self; 8] = [
        Self::Host,
        Self::Key,
        Self::Silence,
        Self::Missing,
        Self::Error,
        Self::Probed,
        Self::Answered,
        Self::Settled,
    ];

    /// The state that it leads to.
    pub(super) const fn to(self) -> State {
        match self {
            Self::Host | Self::Key | Self::Silence | Self::Missing | Self::Error => State::Open,
            Self::Probed => State::HalfOpen,
            Self::Answered => State::Ramp,
            Self::Settled => State::Closed,
        }
    }

    /// Of a trip, by the class that did it.
    pub(super) const fn of(class: Class) -> Self {
        match class {
            Class::ConnectFailed | Class::DnsFailed | Class::TlsFailed => Self::Host,
            Class::QuotaExhausted | Class::PaymentRequired | Class::AuthRejected => Self::Key,
            // What answers after all can have tripped by its silence alone.
            Class::FirstTokenTimeout | Class::AnswerTimeout | Class::Stalled | Class::Success => {
                Self::Silence
            }
            Class::Forbidden | Class::ModelUnavailable => Self::Missing,
            Class::ServerError
            | Class::Overloaded
            | Class::ConnectionLost
            | Class::RateLimited
            | Class::ContextTooLong
            | Class::ContentFiltered
            | Class::Refused
            | Class::UnsupportedParameter
            | Class::InvalidRequest
            | Class::MalformedResponse
            | Class::ErrorIn200
            | Class::EmptyCompletion
            | Class::StreamBroken
            | Class::ClientGone
            | Class::Superseded
            | Class::LocalFault => Self::Error,
        }
    }
}

/// Declares a closed list that only labels know.
macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($word:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($word),+ }

        impl $name {
            pub(super) const ALL: &'static [Self] = &[$(Self::$word),+];
        }

        impl Closed for $name {
            fn words() -> Vec<&'static str> {
                Self::ALL.iter().map(|word| word.word()).collect()
            }
            fn word(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }
        }
    };
}

closed! {
    /// What becomes of a check or a probe.
    Passed { Passed = "passed", Failed = "failed" }
}
closed! {
    /// What becomes of a reload.
    Reload { Applied = "applied", Refused = "refused" }
}
closed! {
    /// Why a request was refused before it had a plan; busy is the one that is ours.
    Cause {
        Key = "key", NotAllowed = "not_allowed", Model = "model", TooLarge = "too_large", TooSlow = "too_slow",
        Busy = "busy", Request = "request",
    }
}
closed! {
    /// The class of the status that a client got; none where none was sent.
    Status { None = "none", Informed = "1xx", Fine = "2xx", Moved = "3xx", Objected = "4xx", Failed = "5xx" }
}
closed! {
    /// What tokens were: cached ones are among those of the prompt, reasoning among those of the completion.
    Tokens { Prompt = "prompt", Cached = "cached", Completion = "completion", Reasoning = "reasoning" }
}
closed! {
    /// What an endpoint's belief is made of.
    Evidence { Success = "success", Failure = "failure" }
}
closed! {
    /// In what an answer differs from the one that was meant.
    Differs {
        Provider = "provider", Quantization = "quantization", Region = "region",
        DataCollection = "data_collection", Zdr = "zdr", Model = "model", Price = "price",
    }
}

impl Cause {
    pub(super) const fn of(status: u16) -> Self {
        match status {
            401 => Self::Key,
            403 => Self::NotAllowed,
            404 => Self::Model,
            413 => Self::TooLarge,
            408 => Self::TooSlow,
            503 => Self::Busy,
            _ => Self::Request,
        }
    }
}

impl Status {
    pub(super) fn of(status: u16) -> Self {
        Self::ALL[usize::from(status / 100).min(Self::ALL.len() - 1)]
    }
}

/// Says that a list of the core is closed.
macro_rules! listed {
    ($name:ty, $all:expr, $word:expr) => {
        impl Closed for $name {
            fn words() -> Vec<&'static str> {
                $all.iter().map(|one| one.word()).collect()
            }
            fn word(self) -> &'static str {
                let word: fn($name) -> &'static str = $word;
                word(self)
            }
        }
    };
}

/// How an exchange can end, whatever the class.
pub(super) const ENDINGS: [Ending; 4] = [
    Ending::Answered,
    Ending::Failed(Class::ServerError),
    Ending::Broken,
    Ending::ClientGone,
];

listed!(Ending, ENDINGS, Ending::as_str);
listed!(Class, Class::ALL, Class::as_str);
listed!(Condition, Condition::ALL, Condition::as_str);
listed!(State, State::ALL, State::as_str);
listed!(Kind, Kind::ALL, Kind::as_str);
listed!(Became, Became::ALL, Became::as_str);
listed!(Quantity, Quantity::ALL, Quantity::as_str);
listed!(Reason, Reason::ALL, |reason| match reason {
    Reason::Host => "host",
    Reason::Key => "key",
    Reason::Silence => "silence",
    Reason::Missing => "missing",
    Reason::Error => "error",
    Reason::Probed => "probed",
    Reason::Answered => "answered",
    Reason::Settled => "settled",
});
