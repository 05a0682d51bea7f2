//! Owns custom tools: those that take a text, which may follow a grammar, where functions take JSON. Other dialects have functions
//! alone, so that such a tool goes as a function with one text, and its calls come back as what they were asked for.
//! Must never change the text.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::wire::hub::Tool;
use crate::wire::json::Word;

/// What a custom tool's text looks like.
#[derive(Deserialize)]
pub(super) struct Form<'a> {
    #[serde(borrow)]
    syntax: Option<Word<'a>>,
    definition: Option<String>,
}

/// The function that stands for a custom tool. What the grammar was to enforce, the description asks for.
pub(super) fn function(name: String, description: Option<String>, form: Option<&Form<'_>>) -> Tool {
    let grammar = form.and_then(|form| {
        let syntax = form.syntax.as_deref().unwrap_or("formal");
        Some(format!(
            "The input follows this {syntax} grammar:\n{}",
            form.definition.as_ref()?
        ))
    });
    let texts: Vec<String> = description.into_iter().chain(grammar).collect();
    Tool {
        name,
        description: (!texts.is_empty()).then(|| texts.join("\n\n")),
        parameters: to_raw_value(&json!({
            "type": "object",
            "properties": { "input": { "type": "string", "description": "The tool's whole input, as plain text." } },
            "required": ["input"],
            "additionalProperties": false,
        }))
        .ok(),
        strict: None,
        cache: None,
    }
}

/// The arguments of the function for a text.
pub(super) fn arguments(input: &str) -> String {
    json!({ "input": input }).to_string()
}

/// The text in the function's arguments. What a model wrote instead of them is left to the tool to judge.
pub(super) fn input(arguments: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        input: Cow<'a, str>,
    }
    match serde_json::from_str::<Arguments<'_>>(arguments) {
        Ok(arguments) => Cow::Owned(arguments.input.into_owned()),
        Err(_) => Cow::Borrowed(arguments),
    }
}

/// The names of the custom tools of a request.
pub(super) fn names(request: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        tools: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, rename = "type")]
        kind: Word<'a>,
        name: String,
    }
    let tools =
        serde_json::from_slice::<Body<'_>>(request).map_or_else(|_| Vec::new(), |body| body.tools);
    let named = tools
        .into_iter()
        .filter_map(|tool| serde_json::from_str::<Named<'_>>(tool.get()).ok());
    named
        .filter(|tool| &*tool.kind == "custom")
        .map(|tool| tool.name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_into_arguments_and_comes_back() {
        for text in ["", "plain", "*** Begin Patch\n+\"ż\\\"\n*** End Patch\n"] {
            assert_eq!(input(&arguments(text)), text);
        }
        for odd in [
            "{\"other\":1}",
            "*** Begin Patch",
            "{\"input\":7}",
            "{\"input\":\"cut",
        ] {
            assert_eq!(input(odd), odd);
        }
    }

    #[test]
    fn a_grammar_is_told_in_words() {
        let form: Form<'_> =
            serde_json::from_str(r#"{"type":"grammar","syntax":"lark","definition":"start: x"}"#)
                .unwrap();
        let tool = function("patch".to_owned(), Some("Edits.".to_owned()), Some(&form));
        let description = tool.description.unwrap();
        assert_eq!(
            description,
            "Edits.\n\nThe input follows this lark grammar:\nstart: x"
        );
        let plain: Form<'_> = serde_json::from_str(r#"{"type":"text"}"#).unwrap();
        assert_eq!(
            function("p".to_owned(), None, Some(&plain)).description,
            None
        );
    }

    #[test]
    fn the_custom_tools_of_a_request_are_named() {
        let body = r#"{"tools":[{"type":"function","name":"a"},{"type":"custom","name":"b"},{"type":"web_search"}]}"#;
        assert_eq!(names(body.as_bytes()), ["b"]);
        for body in ["", "{}", r#"{"tools":null}"#, r#"{"tools":[7]}"#] {
            assert_eq!(names(body.as_bytes()), [""; 0]);
        }
    }
}
