//! Owns the instance that the mock makes of a JSON schema: the same one every time, with all properties.
//! Must never follow a schema without end.

use serde_json::{Map, Value, json};

/// Schemas deeper than this end in `null`.
const MAX_DEPTH: usize = 16;

/// An instance of a schema.
pub(crate) fn instance(schema: &Value) -> Value {
    of(schema, schema, 0)
}

fn of(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let deeper = |inner: &Value| of(inner, root, depth + 1);
    if let Some(path) = schema.get("$ref").and_then(Value::as_str) {
        let target = path.strip_prefix('#').and_then(|path| root.pointer(path));
        return target.map_or(Value::Null, deeper);
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(word).and_then(|options| options.get(0)) {
            return deeper(first);
        }
    }
    match kind(schema) {
        "object" => object(schema, deeper),
        "array" => array(schema, deeper),
        "integer" => bounded(schema, 7.0, |value| json!(value.ceil())),
        "number" => bounded(schema, 2.5, |value| json!(value)),
        "boolean" => Value::Bool(true),
        "null" => Value::Null,
        _ => text(schema),
    }
}

/// The type of a schema, the first one that is not null.
fn kind(schema: &Value) -> &str {
    let said = match schema.get("type") {
        Some(Value::String(kind)) => Some(kind.as_str()),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null")
        }
        _ => None,
    };
    let implied = if schema.get("properties").is_some() {
        "object"
    } else if schema.get("items").is_some() {
        "array"
    } else {
        "string"
    };
    said.unwrap_or(implied)
}

fn object(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let made = properties.into_iter().flatten();
    Value::Object(
        made.map(|(name, inner)| (name.clone(), deeper(inner)))
            .collect::<Map<_, _>>(),
    )
}

fn array(schema: &Value, deeper: impl Fn(&Value) -> Value) -> Value {
    let wanted = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1);
    let item = schema.get("items").map_or(json!("lamp"), deeper);
    (0..wanted.clamp(1, 8)).map(|_| item.clone()).collect()
}

fn bounded(schema: &Value, wanted: f64, make: impl Fn(f64) -> Value) -> Value {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let value = wanted.max(bound("minimum").unwrap_or(f64::MIN));
    let value = value.min(bound("maximum").unwrap_or(f64::MAX));
    super::understood::canonical(make(value))
}

/// A text; one of its letters is not ASCII, so that a split inside a character shows.
fn text(schema: &Value) -> Value {
    match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-31".into(),
        Some("date-time") => "2026-01-31T06:30:00Z".into(),
        Some("email") => "pilot@example.com".into(),
        Some("uri") => "https://example.com/log".into(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".into(),
        _ => "café lamp".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_what_the_schema_asks() {
        let schema = json!({
            "type": "object",
            "properties": {
                "place": {"type": ["null", "string"]},
                "count": {"type": "integer", "maximum": 3},
                "kind": {"enum": ["tide", "wind"]},
                "log": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/entry"}},
            },
            "$defs": {"entry": {"type": "object", "properties": {"at": {"type": "string", "format": "date"}}}},
        });
        let made = instance(&schema);
        let wanted = json!({
            "place": "café lamp", "count": 3, "kind": "tide", "log": [{"at": "2026-01-31"}, {"at": "2026-01-31"}],
        });
        assert_eq!(made, wanted);
    }

    #[test]
    fn a_schema_without_end_has_an_end() {
        let schema = json!({"type": "object", "properties": {"again": {"$ref": "#"}}});
        assert!(instance(&schema).to_string().ends_with("null}}}}}}}}}"));
    }
}
