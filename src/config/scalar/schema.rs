//! Owns how single values look in the JSON Schema of the file. Each also loads from text that names a variable, so
//! that every one of them takes `${...}`. Must never be stricter than the reader.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::{Count, Flag, List, Named, Number, Size, Span, Text};
use crate::config::secret::Secret;

/// Text with a variable in it, which may become anything.
const VARIABLE: &str = r"\$\{[^}]+\}";

/// Declares the schema of a value of one word.
macro_rules! word {
    ($name:ty, $called:literal, $schema:expr) => {
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $called.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

/// A value of this kind, or text that matches.
fn or_text(kind: &Value, pattern: &str) -> Schema {
    json_schema!({
        "anyOf": [
            kind,
            { "type": "string", "pattern": format!("{pattern}|{VARIABLE}") },
        ]
    })
}

word!(
    Count,
    "Count",
    or_text(
        &json!({ "type": "integer", "minimum": 0 }),
        r"^\s*[0-9]+\s*$"
    )
);
word!(
    Number,
    "Number",
    or_text(
        &json!({ "type": "number" }),
        r"^\s*[-+]?[0-9.]+([eE][-+]?[0-9]+)?\s*$"
    )
);
word!(
    Flag,
    "Flag",
    or_text(&json!({ "type": "boolean" }), r"^\s*(true|false)\s*$")
);
word!(
    Size,
    "Size",
    or_text(
        &json!({ "type": "integer", "minimum": 0 }),
        r"^\s*[0-9.]+\s*([KMGTkmgt]i?)?[Bb]?\s*$"
    )
);
word!(Text, "Text", json_schema!({ "type": "string" }));
word!(Secret, "Secret", json_schema!({ "type": "string" }));
word!(
    Span,
    "Duration",
    json_schema!({
        "type": "string",
        "pattern": format!(r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$|{VARIABLE}"),
        "examples": ["250ms", "2s", "10m"],
    })
);

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let entry = generator.subschema_for::<T>();
        json_schema!({ "type": ["object", "null"], "additionalProperties": entry })
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("List{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let element = generator.subschema_for::<T>();
        json_schema!({ "type": ["array", "null"], "items": element })
    }
}
