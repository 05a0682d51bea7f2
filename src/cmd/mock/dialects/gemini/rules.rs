//! Owns what Gemini refuses though it is well-formed: roles, parts of no kind or of two, calls and responses out of
//! order, thoughts that this mock did not sign.

use serde_json::{Map, Value};

use super::{Config, Content, NO_SIGNATURE, ORIGIN, Piece, Request};
use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::understood::{Part, Role, Understood};

/// The most stop sequences.
const MAX_STOPS: usize = 5;

/// Checks a whole request.
pub(super) fn check(request: &Request, config: &Config, model: &str) -> Result<(), Refused> {
    if request.generate_content_request.is_some() {
        return Err(Refused {
            unknown: Some("generateContentRequest".to_owned()),
            ..Refused::default()
        });
    }
    if request.contents.is_empty() {
        return Err(Refused::because("contents", "contents is not specified"));
    }
    limits(request, config, model)?;
    let mut before: Option<&Content> = None;
    for (index, content) in request.contents.iter().enumerate() {
        let path = format!("contents.{index}");
        if !matches!(
            content.role.as_deref(),
            None | Some("user" | "model" | "function")
        ) {
            return Err(Refused::because(
                "",
                "Please use a valid role: user, model.",
            ));
        }
        if content.parts.is_empty() {
            return Err(Refused::because(
                &format!("{path}.parts"),
                "must not be empty.",
            ));
        }
        order(before, content)?;
        before = Some(content);
    }
    if model.starts_with("gemini-3") {
        return signatures(&request.contents);
    }
    Ok(())
}

fn limits(request: &Request, config: &Config, model: &str) -> Result<(), Refused> {
    let refused = |field: &str, said: &str| {
        Err(Refused::because(
            &format!("generation_config.{field}"),
            said,
        ))
    };
    if config.stop_sequences.len() > MAX_STOPS {
        return refused("stop_sequences", "at most 5 sequences are allowed.");
    }
    if config
        .temperature
        .is_some_and(|value| !(0.0..=2.0).contains(&value))
    {
        return refused("temperature", "must be in the range [0.0, 2.0].");
    }
    if config
        .candidate_count
        .is_some_and(|count| !(1..=8).contains(&count))
    {
        return refused("candidate_count", "must be in the range [1, 8].");
    }
    if config.max_output_tokens == Some(0) {
        return refused("max_output_tokens", "must be positive.");
    }
    let is_json = config.response_mime_type.as_deref() == Some("application/json");
    let has_schema = config.response_schema.is_some() || config.response_json_schema.is_some();
    if has_schema && !is_json {
        return refused(
            "response_schema",
            "only allowed when response_mime_type is application/json.",
        );
    }
    let declared = request
        .tools
        .iter()
        .flatten()
        .any(|set| !set.function_declarations.is_empty());
    if is_json && declared && !model.starts_with("gemini-3") {
        return Err(Refused::because(
            "",
            "Function calling with a response mime type: 'application/json' is unsupported",
        ));
    }
    let thinking = config.thinking_config.as_ref();
    if thinking.is_some_and(|thinking| {
        thinking.thinking_budget.is_some() && thinking.thinking_level.is_some()
    }) {
        return refused(
            "thinking_config",
            "thinking_budget and thinking_level exclude each other.",
        );
    }
    Ok(())
}

/// Responses come right after their calls, as many of them; calls come after a user or responses.
fn order(before: Option<&Content>, content: &Content) -> Result<(), Refused> {
    let calls = |content: &Content| {
        content
            .parts
            .iter()
            .filter(|piece| piece.function_call.is_some())
            .count()
    };
    let responses = content
        .parts
        .iter()
        .filter(|piece| piece.function_response.is_some())
        .count();
    let open = before.map_or(0, calls);
    if open != responses {
        let said = "The number of function response parts has to be equal to the number of function call parts of the \
                    function call turn.";
        return Err(Refused::because("", said));
    }
    let after_model = before.is_none_or(|before| before.role.as_deref() == Some("model"));
    if calls(content) > 0 && after_model {
        let said = "A function call turn has to come immediately after a user turn or after a function response turn.";
        return Err(Refused::because("", said));
    }
    Ok(())
}

/// In the current turn, the first call of each step carries a signature.
fn signatures(contents: &[Content]) -> Result<(), Refused> {
    let is_asked = |content: &Content| {
        content.role.as_deref() != Some("model")
            && content.parts.iter().any(|piece| piece.text.is_some())
    };
    let current = contents.iter().rposition(is_asked).unwrap_or(0);
    for (index, content) in contents.iter().enumerate().skip(current) {
        let first = content
            .parts
            .iter()
            .find_map(|piece| Some((piece, piece.function_call.as_ref()?)));
        if let Some((
            Piece {
                thought_signature: None,
                ..
            },
            call,
        )) = first
        {
            let said = format!(
                "Function call is missing a thought_signature in functionCall parts: function call `{}`, position {index}.",
                call.name
            );
            return Err(Refused::because("", said));
        }
    }
    Ok(())
}

/// Whether a signature is one of this mock's. Bytes in the JSON of protocol buffers may come in either alphabet of base64
/// (<https://protobuf.dev/programming-guides/json/>), and Google's Python SDK sends them back in the other one.
fn is_ours(signature: &str) -> bool {
    let standard = signature.replace('-', "+").replace('_', "/");
    seal::open(ORIGIN, &standard).is_some()
}

/// A part holds one thing, and a signature of this mock or the word that stands for none.
pub(super) fn piece(path: &str, piece: &Piece) -> Result<(), Refused> {
    let held = [
        piece.text.is_some(),
        piece.inline_data.is_some(),
        piece.file_data.is_some(),
        piece.function_call.is_some(),
        piece.function_response.is_some(),
        piece.executable_code.is_some(),
        piece.code_execution_result.is_some(),
    ];
    let count = held.iter().filter(|held| **held).count();
    if count != 1 {
        let said = "required oneof field 'data' must have one initialized field";
        return Err(Refused::because(&format!("{path}.data"), said));
    }
    match piece.thought_signature.as_deref() {
        Some(signature) if signature != NO_SIGNATURE && !is_ours(signature) => {
            Err(Refused::because("", "Corrupted thought signature."))
        }
        _ => Ok(()),
    }
}

/// How many calls the assistant made in its last turn.
pub(super) fn calls_before(asked: &Understood) -> usize {
    let last = asked
        .turns
        .iter()
        .rev()
        .find(|turn| turn.role == Role::Assistant);
    let parts = last.into_iter().flat_map(|turn| &turn.parts);
    parts
        .filter(|part| matches!(part, Part::Call { .. }))
        .count()
}

/// What a function said, without the wrapping that makes an object of it, and whether it is an error.
pub(super) fn unwrapped(mut response: Map<String, Value>) -> (Value, bool) {
    let error = response.contains_key("error");
    if response.len() == 1 {
        for name in ["output", "result", "content", "error"] {
            if let Some(value @ (Value::String(_) | Value::Object(_))) = response.remove(name) {
                return (value, error);
            }
        }
    }
    (Value::Object(response), error)
}

/// Names begin with a letter or an underscore.
pub(super) fn name(path: &str, name: &str) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.len() <= 64 && name.chars().all(is_fine) {
        return Ok(());
    }
    let said = "Invalid function name. It has to start with a letter or an underscore, and to be of letters, digits, \
                underscores, dots, colons and dashes, at most 64.";
    Err(Refused::because(&format!("{path}.name"), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_may_come_back_in_either_alphabet() {
        let sealed = (0..1_000).map(|number| seal::seal(ORIGIN, &number.to_string()));
        let both = |sealed: &String| sealed.contains('+') && sealed.contains('/');
        let sealed = sealed.into_iter().find(both).unwrap();
        let other = sealed.replace('+', "-").replace('/', "_");
        assert!(is_ours(&sealed) && is_ours(&other));
        assert!(!is_ours("AAAA") && !is_ours(&other.to_lowercase()));
    }
}
