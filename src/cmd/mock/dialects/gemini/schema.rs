//! Owns Gemini's own schemas, a part of OpenAPI's: which fields they have, and the JSON schema that they mean.
//! Must never take a field that the API does not know.

use serde_json::{Map, Value, json};

use crate::cmd::mock::dialects::refused::{Refused, Step};

/// The fields of a `Schema`: <https://ai.google.dev/api/caching#Schema>.
const FIELDS: &[&str] = &[
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "default",
    "items",
    "minimum",
    "maximum",
];
/// Whole numbers of 64 bits, which are written as texts too.
const LONGS: &[&str] = &[
    "maxItems",
    "minItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
];

/// The JSON schema that a `Schema` means.
pub(super) fn plain(path: &str, schema: Value) -> Result<Value, Refused> {
    let Value::Object(fields) = schema else {
        return Err(Refused::because(path, "invalid type: expected an object"));
    };
    let mut made = Map::new();
    let mut nullable = false;
    for (name, value) in fields {
        if !FIELDS.contains(&name.as_str()) {
            let refused = Refused::because(path, "unknown");
            return Err(Refused {
                unknown: Some(name),
                ..refused
            });
        }
        let deeper = |value| plain(&format!("{path}.{name}"), value);
        match (name.as_str(), value) {
            ("nullable", value) => nullable = value == true,
            ("propertyOrdering", _) => {}
            ("type", Value::String(kind)) => {
                made.insert(name, kind.to_ascii_lowercase().into());
            }
            ("type", _) => {
                return Err(Refused::because(
                    path,
                    "invalid type: `type` has to be one name",
                ));
            }
            ("properties", Value::Object(inner)) => {
                let inner = inner.into_iter().map(|(key, value)| {
                    let mut refused = plain("", value);
                    if let Err(refused) = &mut refused {
                        let mut way = Refused::because(path, "").path;
                        way.extend([Step::Name("properties".to_owned()), Step::Name(key.clone())]);
                        way.append(&mut refused.path);
                        refused.path = way;
                    }
                    Ok((key, refused?))
                });
                made.insert(name, Value::Object(inner.collect::<Result<_, Refused>>()?));
            }
            ("items", value) => {
                let inner = deeper(value)?;
                made.insert(name, inner);
            }
            ("anyOf", Value::Array(options)) => {
                let inner = options
                    .into_iter()
                    .map(deeper)
                    .collect::<Result<Vec<_>, _>>()?;
                made.insert(name, inner.into());
            }
            (long, Value::String(text)) if LONGS.contains(&long) => {
                let number: u64 = text
                    .parse()
                    .map_err(|_| Refused::because(path, "invalid number"))?;
                made.insert(name, number.into());
            }
            (_, value) => {
                made.insert(name, value);
            }
        }
    }
    if nullable && let Some(kind) = made.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
    Ok(Value::Object(made))
}
