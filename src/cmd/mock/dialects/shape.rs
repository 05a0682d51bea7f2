//! Owns the shapes that several dialects have: a text or a list, a value that is read late, a mark for a cache.
//! Must never know what a dialect means by them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_path_to_error::Segment;

use super::refused::{Refused, Step};

/// A text, or a list of parts.
#[derive(Clone, Debug)]
pub(crate) enum TextOr<T> {
    Text(String),
    Many(Vec<T>),
}

/// Keeps the way to a wrong field, which an untagged enum would lose.
struct TextOrVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrVisitor(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrVisitor<T> {
    type Value = TextOr<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or an array")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(TextOr::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(items)).map(TextOr::Many)
    }
}

/// Reads a value whose shape depends on what it says itself; `path` is where it is.
pub(crate) fn within<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, Refused> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let message = error.inner().to_string();
        let mut refused = Refused::because(path, message.clone());
        refused
            .path
            .extend(error.path().iter().filter_map(|segment| match segment {
                Segment::Seq { index } => Some(Step::Index(*index)),
                Segment::Map { key } => Some(Step::Name(key.clone())),
                Segment::Enum { .. } | Segment::Unknown => None,
            }));
        let named = |before: &str| {
            let (_, rest) = message.split_once(before)?;
            rest.split('`').next().map(str::to_owned)
        };
        refused.unknown = named("unknown field `");
        refused.missing = named("missing field `");
        refused
    })
}

/// The text of a field, where it is a text.
pub(crate) fn text_at<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}
