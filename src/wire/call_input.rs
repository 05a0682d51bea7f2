//! Owns the arguments of a call for dialects that take an object where the hub has text. Must never lose a word of them.

use serde::Serialize;
use serde_json::value::RawValue;

/// A call's arguments as an object.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum CallInput<'a> {
    Json(&'a RawValue),
    /// The model's words, which were no object.
    Broken {
        arguments: &'a str,
    },
    Empty {},
}

// === impl CallInput ===

impl<'a> CallInput<'a> {
    /// Of the text, which is checked and not read.
    pub(crate) fn of(arguments: &'a str) -> Self {
        let text = arguments.trim_ascii();
        match serde_json::from_str::<&RawValue>(text) {
            Ok(json) if text.starts_with('{') => CallInput::Json(json),
            _ if text.is_empty() => CallInput::Empty {},
            _ => CallInput::Broken { arguments },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_and_anything_else_becomes_one() {
        let written = |text| serde_json::to_string(&CallInput::of(text)).expect("JSON");
        assert_eq!(written(r#" {"a": 1.0} "#), r#"{"a": 1.0}"#);
        assert_eq!(written(""), "{}");
        assert_eq!(written("[1]"), r#"{"arguments":"[1]"}"#);
        assert_eq!(written(r#"{"a"#), r#"{"arguments":"{\"a"}"#);
    }
}
