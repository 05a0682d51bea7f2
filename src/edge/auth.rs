//! Owns who may call: downstream keys, compared without telling how much of one was right.
//! Must never print a key.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::config::snapshot::Caller;

/// The keys of a generation, by hash.
#[derive(Debug, Default)]
pub struct Callers {
    known: Vec<([u8; 32], Arc<Caller>)>,
}

/// What a request's key says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'a> {
    /// No keys are configured.
    Anyone,
    Known(&'a Arc<Caller>),
    Refused,
}

impl Callers {
    /// Takes the configured keys.
    pub fn new(callers: &[Caller]) -> Self {
        let known = callers
            .iter()
            .map(|caller| (hash(caller.key.expose()), Arc::new(caller.clone())))
            .collect();
        Self { known }
    }

    /// Who sends these headers: `Authorization: Bearer KEY`, or the key in a header that official clients of some API use.
    pub fn admit(&self, headers: &HeaderMap) -> Admission<'_> {
        if self.known.is_empty() {
            return Admission::Anyone;
        }
        let Some(key) = presented(headers) else {
            return Admission::Refused;
        };
        let presented = hash(key);
        // Every key is compared, so that the time taken does not tell which one was near.
        let mut found = None;
        for (known, caller) in &self.known {
            if bool::from(known.ct_eq(&presented)) {
                found = Some(caller);
            }
        }
        found.map_or(Admission::Refused, Admission::Known)
    }
}

/// The headers that Anthropic's, Google's and Azure's clients send their key in.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "x-goog-api-key", "api-key"];

fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let mut others = KEY_HEADERS.iter();
    bearer.or_else(|| others.find_map(|name| headers.get(*name)?.to_str().ok()))
}

/// Whether a token presented to the admin port is the configured one.
pub fn is_token(headers: &HeaderMap, token: &str) -> bool {
    presented(headers).is_some_and(|key| is_same(token, key))
}

/// Whether two secrets are the same, told in a time that does not depend on how much of one is right.
pub fn is_same(one: &str, other: &str) -> bool {
    hash(one).ct_eq(&hash(other)).into()
}

/// What stands for a secret that is not to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest")
    }
}

/// The digest of a secret.
pub fn digest(secret: &str) -> Digest {
    Digest(hash(secret))
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::secret::Secret;
    use crate::core::names::CallerName;

    fn caller(name: &str, key: &str) -> Caller {
        Caller {
            name: CallerName::new(name),
            key: Secret::new(key),
            models: Vec::new(),
            policy: None,
        }
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn a_key_is_taken_from_any_header_of_clients() {
        let callers = Callers::new(&[caller("one", "k1"), caller("two", "k2")]);
        let name = |headers: &HeaderMap| match callers.admit(headers) {
            Admission::Known(caller) => caller.name.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(name(&headers("authorization", "Bearer k2")), "two");
        assert_eq!(name(&headers("authorization", "bearer k1")), "one");
        for header in KEY_HEADERS {
            assert_eq!(name(&headers(header, "k1")), "one");
            assert_eq!(name(&headers(header, "k3")), "Refused");
        }
        for wrong in ["Bearer k3", "Basic k1", "k1", "Bearer "] {
            assert_eq!(name(&headers("authorization", wrong)), "Refused");
        }
        assert_eq!(name(&HeaderMap::new()), "Refused");
    }

    #[test]
    fn without_keys_anyone_may_call() {
        assert_eq!(
            Callers::default().admit(&HeaderMap::new()),
            Admission::Anyone
        );
    }
}
