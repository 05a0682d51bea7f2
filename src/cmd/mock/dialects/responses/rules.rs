//! Owns what the Responses API refuses though it is well-formed: limits, calls without outputs, reasoning that this
//! mock did not seal, schemas that are not strict.

use serde_json::Value;

use super::{Content, Item, ORIGIN, Request, TextOr};
use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::understood::{Part, Understood};

/// The least `max_output_tokens`.
const MIN_OUTPUT: u64 = 16;

/// The most characters of a `call_id`.
const MAX_CALL_ID: usize = 64;

/// Checks the parameters alone.
pub(super) fn check(request: &Request) -> Result<(), Refused> {
    if let Some(tokens) = request
        .max_output_tokens
        .filter(|tokens| *tokens < MIN_OUTPUT)
    {
        let said = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {MIN_OUTPUT}, but got {tokens} instead."
        );
        return Err(Refused::because("max_output_tokens", said));
    }
    if request
        .temperature
        .is_some_and(|value| !(0.0..=2.0).contains(&value))
    {
        let said = "Invalid 'temperature': decimal out of range. Expected a value from 0 to 2.";
        return Err(Refused::because("temperature", said));
    }
    if let Some(id) = &request.previous_response_id {
        let said = format!("Previous response with id '{id}' not found.");
        return Err(Refused::because("previous_response_id", said));
    }
    Ok(())
}

/// The code of an error that the message tells.
pub(super) fn code(message: &str) -> Option<&'static str> {
    let codes = [
        ("Previous response", "previous_response_not_found"),
        ("Invalid schema", "invalid_json_schema"),
        ("encrypted content", "invalid_encrypted_content"),
        ("below minimum", "integer_below_min_value"),
        ("No tool", ""),
        ("Item ", ""),
    ];
    let found = codes.iter().find(|(words, _)| message.contains(words));
    found
        .map_or(Some("invalid_value"), |(_, code)| Some(*code))
        .filter(|code| !code.is_empty())
}

/// Checks the conversation.
pub(super) fn items(items: &[Item], store: Option<bool>) -> Result<(), Refused> {
    let refused = |said: String| Err(Refused::because("input", said));
    for (index, item) in items.iter().enumerate() {
        ids(&format!("input.{index}"), item)?;
        match item {
            Item::Message { role, content, .. } => {
                message(&format!("input.{index}"), role, content)?;
            }
            Item::FunctionCall { call_id, name, .. } => {
                self::name(&format!("input.{index}.name"), name)?;
                let answers = |item: &Item| matches!(item, Item::FunctionCallOutput { call_id: id, .. } if id == call_id);
                if !items[index..].iter().any(answers) {
                    return refused(format!("No tool output found for function call {call_id}."));
                }
            }
            Item::FunctionCallOutput { call_id, .. } => {
                let calls = |item: &Item| matches!(item, Item::FunctionCall { call_id: id, .. } if id == call_id);
                if !items[..index].iter().any(calls) {
                    return refused(format!(
                        "No tool call found for function call output with call_id {call_id}."
                    ));
                }
            }
            Item::Reasoning {
                id,
                encrypted_content,
                ..
            } => {
                let id = id.as_deref().unwrap_or("");
                reasoning(index, id, encrypted_content.as_deref(), store)?;
                if !items.get(index + 1).is_some_and(follows) {
                    return refused(format!(
                        "Item '{id}' of type 'reasoning' was provided without its required following item."
                    ));
                }
            }
            Item::ItemReference { id } => {
                return refused(format!("Item with id '{id}' not found."));
            }
        }
    }
    Ok(())
}

/// Ids begin with the letters of their kind, where they are sent; ids of calls are short.
fn ids(path: &str, item: &Item) -> Result<(), Refused> {
    let (id, prefix, call) = match item {
        Item::Message { id, .. } => (id, "msg", None),
        Item::FunctionCall { id, call_id, .. } => (id, "fc", Some(call_id)),
        Item::FunctionCallOutput { id, call_id, .. } => (id, "fc", Some(call_id)),
        Item::Reasoning { id, .. } => (id, "rs", None),
        Item::ItemReference { .. } => return Ok(()),
    };
    let refused = |field: &str, said: &str| {
        let mut refused = Refused::because(&format!("{path}.{field}"), "");
        refused.message = format!("Invalid '{}': {said}", refused.bracketed());
        Err(refused)
    };
    if let Some(id) = id.as_ref().filter(|id| !id.starts_with(prefix)) {
        return refused(
            "id",
            &format!("'{id}'. Expected an ID that begins with '{prefix}'."),
        );
    }
    if call.is_some_and(|id| id.len() > MAX_CALL_ID) {
        let said = format!("string too long. Expected a string with maximum length {MAX_CALL_ID}.");
        return refused("call_id", &said);
    }
    Ok(())
}

fn message(path: &str, role: &str, content: &TextOr<Content>) -> Result<(), Refused> {
    if !matches!(role, "user" | "assistant" | "system" | "developer") {
        let said = format!(
            "Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        );
        return Err(Refused::because(&format!("{path}.role"), said));
    }
    let TextOr::Many(contents) = content else {
        return Ok(());
    };
    for (index, content) in contents.iter().enumerate() {
        let is_said = matches!(
            content,
            Content::OutputText { .. } | Content::Refusal { .. }
        );
        if is_said != (role == "assistant") {
            let wanted = if is_said { "input_text" } else { "output_text" };
            let said = format!(
                "Invalid value: the content of a '{role}' message is of type '{wanted}' and the like."
            );
            return Err(Refused::because(&format!("{path}.content.{index}"), said));
        }
    }
    Ok(())
}

/// Whether an item may come after reasoning.
fn follows(item: &Item) -> bool {
    match item {
        Item::Message { role, .. } => role == "assistant",
        Item::FunctionCall { .. } | Item::Reasoning { .. } => true,
        Item::FunctionCallOutput { .. } | Item::ItemReference { .. } => false,
    }
}

/// Reasoning is taken back under its seal, or by the id of an answer that was stored.
fn reasoning(
    index: usize,
    id: &str,
    sealed: Option<&str>,
    store: Option<bool>,
) -> Result<(), Refused> {
    match sealed {
        Some(sealed) if seal::open(ORIGIN, sealed).is_some() => Ok(()),
        Some(_) => {
            let path = format!("input.{index}.encrypted_content");
            Err(Refused::because(
                &path,
                "The encrypted content of the item could not be verified.",
            ))
        }
        None if store != Some(false) && id.starts_with("rs_mock") => Ok(()),
        None => {
            let said = format!(
                "Item with id '{id}' not found. Items are not persisted when `store` is set to false."
            );
            Err(Refused::because("input", said))
        }
    }
}

/// Names are of a small alphabet.
pub(crate) fn name(path: &str, name: &str) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=64).contains(&name.len()) && name.chars().all(is_fine) {
        return Ok(());
    }
    let mut refused = Refused::because(path, "");
    refused.message = format!(
        "Invalid '{}': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        refused.bracketed()
    );
    Err(refused)
}

/// A strict schema lists every property as required and forbids others, at every depth.
pub(crate) fn strict(path: &str, what: &str, schema: &Value) -> Result<(), Refused> {
    let refused = |said: &str| {
        Err(Refused::because(
            path,
            format!("Invalid schema for {what}: {said}"),
        ))
    };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            return refused("'additionalProperties' is required to be supplied and to be false.");
        }
        let required = schema.get("required").and_then(Value::as_array);
        let is_required = |name: &String| {
            required.is_some_and(|names| names.iter().any(|known| known == name.as_str()))
        };
        if let Some(name) = properties.keys().find(|name| !is_required(name)) {
            return refused(&format!(
                "'required' has to list every property. Missing '{name}'."
            ));
        }
    }
    let named = ["properties", "$defs"]
        .into_iter()
        .filter_map(|word| schema.get(word)?.as_object());
    let listed = ["anyOf"]
        .into_iter()
        .filter_map(|word| schema.get(word)?.as_array());
    let inner = named
        .flat_map(serde_json::Map::values)
        .chain(listed.flatten());
    for schema in inner.chain(schema.get("items")) {
        strict(path, what, schema)?;
    }
    Ok(())
}

/// Whether the conversation has the word `json`, as its mode demands.
pub(crate) fn says_json(asked: &Understood) -> bool {
    let has = |text: &str| text.to_ascii_lowercase().contains("json");
    let mut parts = asked.turns.iter().flat_map(|turn| &turn.parts);
    asked.system.iter().any(|line| has(line))
        || parts.any(|part| matches!(part, Part::Text(text) if has(text)))
}
