//! Owns the identifiers that cross room borders, each its own type, cheap to clone.
//! Must never parse configuration or know what an identifier stands for.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Declares a newtype over a shared string.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps a string as this kind of name.
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// What a client asks for, `author/slug`.
    ModelName
}
name! {
    /// A seller or server of models, as the configuration names it.
    ProviderName
}
name! {
    /// One credential of a provider, as the configuration names it.
    KeyName
}
name! {
    /// A routing policy, as the configuration names it.
    PolicyName
}
name! {
    /// A host and port that upstream connections go to.
    HostName
}
name! {
    /// Where a provider runs, in the operator's own words.
    Region
}
name! {
    /// A downstream key's name: who is calling, never the secret itself.
    CallerName
}

/// An endpoint's identity everywhere: `<model>@<provider>/<key>`, with `:<tag>` where one
/// provider serves a model twice.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(Arc<str>);

impl EndpointId {
    /// Builds the identity from its parts.
    pub fn new(
        model: &ModelName,
        provider: &ProviderName,
        key: &KeyName,
        tag: Option<&str>,
    ) -> Self {
        let id = match tag {
            Some(tag) => format!("{model}@{provider}/{key}:{tag}"),
            None => format!("{model}@{provider}/{key}"),
        };
        Self(id.into())
    }

    /// An identity as somebody wrote it.
    pub fn read(text: &str) -> Self {
        Self(text.into())
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_named_by_model_provider_and_key() {
        let id = |tag| {
            EndpointId::new(
                &ModelName::new("openai/gpt-5-mini"),
                &ProviderName::new("azure"),
                &KeyName::new("default"),
                tag,
            )
        };
        assert_eq!(id(None).as_str(), "openai/gpt-5-mini@azure/default");
        assert_eq!(
            id(Some("eu")).as_str(),
            "openai/gpt-5-mini@azure/default:eu"
        );
    }
}
