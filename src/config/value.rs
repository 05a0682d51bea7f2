//! Owns the step from YAML text to a value: merge keys applied (chains of them too, which serde_yaml's own
//! `apply_merge` leaves half done), the last of duplicate keys kept, since the outline reports those.
//! Must never put a scalar of the file into an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};

use crate::config::outline::{MERGE, Spot};

/// Parses the text, which must hold one document.
pub(super) fn load(text: &str) -> Result<Value, (String, Option<Spot>)> {
    match serde_yaml::from_str::<Merged>(text) {
        Ok(Merged(value)) => Ok(value),
        Err(error) => Err((without_values(&error), spot_of(&error))),
    }
}

fn spot_of(error: &serde_yaml::Error) -> Option<Spot> {
    error.location().map(|location| Spot {
        line: location.line(),
        column: location.column(),
    })
}

/// The error's text without the scalar that serde may quote, and without the place.
fn without_values(error: &serde_yaml::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// A value whose merge keys are applied.
struct Merged(Value);

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergedVisitor).map(Self)
    }
}

struct MergedVisitor;

impl<'de> Visitor<'de> for MergedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        Ok(Value::from(value as f64))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        Ok(Value::from(value as f64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Merged(value)) = access.next_element()? {
            list.push(value);
        }
        Ok(Value::Sequence(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Mapping::new();
        let mut bases = Vec::new();
        while let Some(key) = access.next_key::<String>()? {
            let Merged(value) = access.next_value()?;
            match key.as_str() {
                MERGE => bases.push(value),
                _ => {
                    map.insert(Value::String(key), value);
                }
            }
        }
        for base in bases {
            merge(&mut map, base).map_err(Error::custom)?;
        }
        Ok(Value::Mapping(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
        Err(Error::custom("YAML tags such as !name are not supported"))
    }
}

/// Adds what the map does not have itself.
fn merge(map: &mut Mapping, base: Value) -> Result<(), &'static str> {
    match base {
        Value::Mapping(base) => {
            for (key, value) in base {
                map.entry(key).or_insert(value);
            }
            Ok(())
        }
        Value::Sequence(bases) if !bases.iter().any(Value::is_sequence) => {
            bases.into_iter().try_for_each(|base| merge(map, base))
        }
        _ => Err("`<<` takes a map or a list of maps"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_chain_and_the_nearer_value_wins() {
        let text =
            "a: &a { x: 1, y: 1, z: 1 }\nb: &b { <<: *a, y: 2 }\nc: { <<: [*b, *a], z: 3 }\n";
        let value = load(text).unwrap();
        let expected = serde_yaml::from_str::<Value>("{ z: 3, x: 1, y: 2 }").unwrap();
        assert_eq!(value["c"], expected);
    }

    #[test]
    fn no_error_quotes_a_scalar() {
        for text in [
            "!!int sk-secret",
            "a: !!bool sk-secret",
            "!sk x",
            "<<: sk-secret",
        ] {
            let (message, _) = load(text).unwrap_err();
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
