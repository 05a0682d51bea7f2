//! Owns the shape of a policy's `sticky`: a map, or a word that turns it off.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Unexpected, Visitor};

use crate::config::scalar::{List, Span, Text};
use crate::core::policy::{Stickiness, TTL};

const OFF: &str = "off";
const EXPECTED: &str = "a map with `key` and `ttl`, or off";

/// On with these settings, or off.
#[derive(Debug)]
pub(in crate::config) struct Sticky(pub(in crate::config) Option<Settings>);

impl Default for Sticky {
    fn default() -> Self {
        Self(Some(Settings::default()))
    }
}

/// How conversations are recognised and how long they are remembered.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Settings {
    /// What tells a conversation from others, the first that a request has: `session_id`, `prompt_cache_key` or `user` of
    /// the body, a header by its name, `conversation` = how it begins. Default `[session_id, x-session-id,
    /// prompt_cache_key, conversation]`.
    pub(in crate::config) key: List<Text>,
    /// How long after its last success a conversation is remembered. Default 10m; more than 0s.
    pub(in crate::config) ttl: Span,
}

impl Default for Settings {
    fn default() -> Self {
        let keys = Stickiness::default().keys;
        let key = |source: &crate::core::policy::KeySource| Text(source.as_str().to_owned());
        Self {
            key: List(keys.iter().map(key).collect()),
            ttl: Span(TTL),
        }
    }
}

impl JsonSchema for Sticky {
    fn schema_name() -> Cow<'static, str> {
        "Sticky".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let settings = generator.subschema_for::<Settings>();
        json_schema!({ "anyOf": [settings, { "enum": [OFF, false] }, { "type": "null" }] })
    }
}

impl<'de> Deserialize<'de> for Sticky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StickyVisitor)
    }
}

struct StickyVisitor;

impl<'de> Visitor<'de> for StickyVisitor {
    type Value = Sticky;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_unit<E: Error>(self) -> Result<Sticky, E> {
        Ok(Sticky(None))
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Sticky, E> {
        match on {
            false => Ok(Sticky(None)),
            true => Err(E::invalid_value(Unexpected::Other("true"), &EXPECTED)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Sticky, E> {
        match word.trim() {
            OFF => Ok(Sticky(None)),
            _ => Err(E::invalid_value(Unexpected::Other("other text"), &EXPECTED)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Sticky, A::Error> {
        let settings = Settings::deserialize(MapAccessDeserializer::new(access))?;
        Ok(Sticky(Some(settings)))
    }
}
