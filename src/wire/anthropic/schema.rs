//! Owns the question whether the API's own structured output takes a schema
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>), and the form in which it does.
//! Must never change what a schema allows but by what its description then says.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// What the API refuses; its SDKs tell the model in words instead, and leave the check to the client.
const IN_WORDS: [&str; 14] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "format",
];
/// What changes the form of the answer, and cannot be said in words.
const REFUSED: [&str; 9] = [
    "oneOf",
    "not",
    "if",
    "patternProperties",
    "propertyNames",
    "prefixItems",
    "contains",
    "dependentSchemas",
    "unevaluatedProperties",
];
/// Definitions beyond which a schema is not looked through: the API refuses those that are too complex.
const DEFINITIONS_MAX: usize = 64;
/// Fields that hold schemas by names.
const NAMED: [&str; 3] = ["properties", "$defs", "definitions"];
/// Fields that hold a list of schemas.
const LISTS: [&str; 2] = ["anyOf", "allOf"];

/// A schema as the API takes it; `None` where it does not.
pub(super) fn native(schema: &RawValue) -> Option<Cow<'_, RawValue>> {
    let mut value: Value = serde_json::from_str(schema.get()).ok()?;
    let is_object = value.get("type").is_some_and(|kind| kind == "object");
    let mut walk = Walk::default();
    if !is_object || walk.schema(&mut value).is_none() {
        return None;
    }
    match walk.changed {
        false => Some(Cow::Borrowed(schema)),
        true => to_raw_value(&value).ok().map(Cow::Owned),
    }
}

/// Whether the API takes a schema as it stands.
pub(super) fn is_native(schema: &RawValue) -> bool {
    matches!(native(schema), Some(Cow::Borrowed(_)))
}

/// The top of a schema, as far as tools are judged by it.
#[derive(Deserialize)]
struct Top<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(rename = "anyOf")]
    any_of: Option<IgnoredAny>,
    #[serde(rename = "oneOf")]
    one_of: Option<IgnoredAny>,
    #[serde(rename = "allOf")]
    all_of: Option<IgnoredAny>,
}

/// A tool's arguments, where a word that the API demands may be missing: that they are an object.
pub(super) fn of_arguments(schema: &RawValue) -> Cow<'_, RawValue> {
    let top = serde_json::from_str::<Top<'_>>(schema.get());
    let rest = schema.get().strip_prefix('{').map(str::trim_start);
    match (top, rest) {
        (Ok(top), Some(rest)) if top.kind.is_none() => {
            let comma = if rest == "}" { "" } else { "," };
            let typed = [r#"{"type":"object""#, comma, rest].concat();
            let typed =
                RawValue::from_string(typed).expect("a field before others keeps JSON whole");
            Cow::Owned(typed)
        }
        _ => Cow::Borrowed(schema),
    }
}

/// Whether a tool's arguments are one of several kinds, which Anthropic refuses («input_schema does not support oneOf,
/// allOf, or anyOf at the top level»).
pub(super) fn is_of_several_kinds(schema: &RawValue) -> bool {
    let top = serde_json::from_str::<Top<'_>>(schema.get());
    top.is_ok_and(|top| top.any_of.or(top.one_of).or(top.all_of).is_some())
}

#[derive(Default)]
struct Walk {
    changed: bool,
}

// === impl Walk ===

impl Walk {
    fn schema(&mut self, schema: &mut Value) -> Option<()> {
        let Value::Object(fields) = schema else {
            // `true` and `false` are schemas too, of anything and of nothing.
            return None;
        };
        if REFUSED.iter().any(|field| fields.contains_key(*field)) || is_recursive(fields) {
            return None;
        }
        self.put_in_words(fields);
        self.close(fields)?;
        for field in NAMED {
            let Some(named) = fields.get_mut(field) else {
                continue;
            };
            for schema in named.as_object_mut()?.values_mut() {
                self.schema(schema)?;
            }
        }
        for field in LISTS {
            let Some(list) = fields.get_mut(field) else {
                continue;
            };
            for schema in list.as_array_mut()? {
                self.schema(schema)?;
            }
        }
        match fields.get_mut("items") {
            Some(items) => self.schema(items),
            None => Some(()),
        }
    }

    /// Objects must say that nothing else may stand in them.
    fn close(&mut self, fields: &mut Map<String, Value>) -> Option<()> {
        if fields.get("type").is_none_or(|kind| !holds(kind, "object")) {
            return Some(());
        }
        match fields.get("additionalProperties") {
            Some(Value::Bool(false)) => Some(()),
            // Left open on purpose, as a map is.
            Some(_) => None,
            // Nothing named: any object is meant.
            None if fields.get("properties").is_none() => None,
            None => {
                self.changed = true;
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
                Some(())
            }
        }
    }

    fn put_in_words(&mut self, fields: &mut Map<String, Value>) {
        let mut words = String::new();
        for field in IN_WORDS {
            if let Some(value) = fields.remove(field) {
                let comma = if words.is_empty() { "" } else { ", " };
                write!(words, "{comma}{field}: {value}").expect("a string takes text");
            }
        }
        if words.is_empty() {
            return;
        }
        self.changed = true;
        let told = match fields.get("description").and_then(Value::as_str) {
            Some(told) => format!("{told} ({words})"),
            None => words,
        };
        fields.insert("description".to_owned(), Value::String(told));
    }
}

/// Whether a `type`, one or a list, names a kind.
fn holds(kind: &Value, name: &str) -> bool {
    match kind {
        Value::String(kind) => kind == name,
        Value::Array(kinds) => kinds.iter().any(|kind| kind == name),
        _ => false,
    }
}

/// Whether a definition comes back to itself, which the API refuses. A reference to the whole does so at once.
fn is_recursive(fields: &Map<String, Value>) -> bool {
    if fields.get("$ref").is_some_and(|target| target == "#") {
        return true;
    }
    let definitions = ["$defs", "definitions"];
    let definitions = definitions
        .iter()
        .filter_map(|field| fields.get(*field)?.as_object());
    definitions.into_iter().any(|named| {
        if named.len() > DEFINITIONS_MAX {
            return true;
        }
        named.iter().any(|(name, schema)| {
            let mut seen = Vec::new();
            reaches(name, schema, named, &mut seen)
        })
    })
}

fn reaches<'v>(
    name: &str,
    schema: &'v Value,
    named: &'v Map<String, Value>,
    seen: &mut Vec<&'v str>,
) -> bool {
    match schema {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            if let Some(target) = target.and_then(|target| target.rsplit('/').next()) {
                if target == name {
                    return true;
                }
                if !seen.contains(&target) {
                    seen.push(target);
                    if named
                        .get(target)
                        .is_some_and(|next| reaches(name, next, named, seen))
                    {
                        return true;
                    }
                }
            }
            fields
                .values()
                .any(|value| reaches(name, value, named, seen))
        }
        Value::Array(list) => list.iter().any(|value| reaches(name, value, named, seen)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(schema: &Value, expected: Option<&Value>) {
        let raw = to_raw_value(schema).unwrap();
        let found = native(&raw).map(|found| serde_json::from_str::<Value>(found.get()).unwrap());
        assert_eq!(found.as_ref(), expected, "{schema}");
    }

    fn object(properties: &Value) -> Value {
        json!({"type": "object", "properties": properties, "additionalProperties": false})
    }

    #[test]
    fn a_schema_that_fits_stays_as_it_was() {
        let fits = r#"{ "type":"object", "properties":{"a":{"type":["string","null"]}}, "additionalProperties":false }"#;
        let raw = RawValue::from_string(fits.to_owned()).unwrap();
        assert!(matches!(native(&raw), Some(Cow::Borrowed(found)) if found.get() == fits));
        assert!(is_native(&raw));
    }

    #[test]
    fn limits_are_told_in_words_and_objects_closed() {
        let open = json!({"type": "object", "properties": {
            "a": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many"},
            "b": {"type": "array", "items": {"type": "string", "pattern": "^x"}, "maxItems": 2}}});
        let closed = object(&json!({
            "a": {"type": "integer", "description": "how many (minimum: 1, maximum: 9)"},
            "b": {"type": "array", "items": {"type": "string", "description": "pattern: \"^x\""},
                  "description": "maxItems: 2"}}));
        check(&open, Some(&closed));
        assert!(!is_native(&to_raw_value(&open).unwrap()));
        let named = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "object", "properties": {}}}});
        let expected = json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}},
            "$defs": {"n": {"type": "object", "properties": {}, "additionalProperties": false}},
            "additionalProperties": false});
        check(&named, Some(&expected));
        let field = object(&json!({"format": {"type": "string"}, "pattern": {"type": "string"}}));
        check(&field, Some(&field));
    }

    #[test]
    fn arguments_are_objects_and_of_one_kind() {
        let typed = |schema: &str| {
            let raw = RawValue::from_string(schema.to_owned()).unwrap();
            let found = of_arguments(&raw);
            assert!(serde_json::from_str::<Value>(found.get()).is_ok());
            found.get().to_owned()
        };
        assert_eq!(typed("{}"), r#"{"type":"object"}"#);
        assert_eq!(typed("{ }"), r#"{"type":"object"}"#);
        let bare = r#"{ "properties":{"type":1}}"#;
        assert_eq!(typed(bare), r#"{"type":"object","properties":{"type":1}}"#);
        for kept in [
            r#"{"type": "object"}"#,
            "true",
            "[]",
            r#"{"a":1,"type":["object"]}"#,
        ] {
            assert_eq!(typed(kept), kept);
        }
        let several =
            |schema: &str| is_of_several_kinds(&RawValue::from_string(schema.to_owned()).unwrap());
        assert!(several(r#"{"type":"object","anyOf":[{}]}"#) && several(r#"{"oneOf":[]}"#));
        assert!(!several(r#"{"properties":{"a":{"anyOf":[]}}}"#) && !several("7"));
    }

    #[test]
    fn what_the_api_refuses_goes_another_way() {
        for refused in [
            json!({"type": "array", "items": {"type": "string"}}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}),
            object(&json!({"a": true})),
            object(&json!({"a": {"oneOf": [{"type": "string"}]}})),
            object(&json!({"a": {"anyOf": [{"not": {}}]}})),
            object(&json!({"a": {"$ref": "#"}})),
            json!({"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "additionalProperties": false,
                   "$defs": {"n": object(&json!({"next": {"anyOf": [{"$ref": "#/$defs/m"}]}})),
                             "m": object(&json!({"next": {"$ref": "#/$defs/n"}}))}}),
            json!(7),
        ] {
            check(&refused, None);
        }
    }
}
