//! Owns what Converse refuses though it is well-formed: roles, blank texts, unions of two, results without their
//! calls, names, budgets, and reasoning that this mock did not seal.

use serde_json::Value;

use super::{Block, Message, ReasoningContent, Request};
use crate::cmd::mock::dialects::anthropic::ORIGIN;
use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::seal;

/// The least budget of thinking, as Claude has it.
const MIN_BUDGET: u64 = 1024;

/// Checks a whole request.
pub(super) fn check(request: &Request) -> Result<(), Refused> {
    let config = &request.inference_config;
    if config.max_tokens.is_some_and(|tokens| tokens < 1) {
        return Err(constraint(
            "inferenceConfig.maxTokens",
            "Member must have value greater than or equal to 1",
        ));
    }
    for (name, value) in [("temperature", config.temperature), ("topP", config.top_p)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            let said = "Member must have a value from 0 to 1";
            return Err(constraint(&format!("inferenceConfig.{name}"), said));
        }
    }
    let first = request
        .messages
        .first()
        .map(|message| message.role.as_str());
    if first != Some("user") {
        return Err(Refused::because(
            "messages",
            "A conversation must start with a user message.",
        ));
    }
    let mut open = Vec::new();
    for (index, message) in request.messages.iter().enumerate() {
        let wanted = if index % 2 == 0 { "user" } else { "assistant" };
        let path = format!("messages.{index}");
        if !matches!(message.role.as_str(), "user" | "assistant") {
            let said = "Member must satisfy enum value set: [user, assistant]";
            return Err(constraint(&format!("{path}.member.role"), said));
        }
        if message.role != wanted {
            let said = "A conversation must alternate between user and assistant roles.";
            return Err(Refused::because(&path, said));
        }
        open = content(request, &path, message, &open)?;
    }
    Ok(())
}

/// Checks the blocks of a message; gives the calls that are open after it.
fn content(
    request: &Request,
    path: &str,
    message: &Message,
    open: &[String],
) -> Result<Vec<String>, Refused> {
    let refused = |said: String| Err(Refused::because(path, said));
    if message.content.is_empty() {
        return refused(format!(
            "The content field in the Message object at {path} is empty."
        ));
    }
    for (index, block) in message.content.iter().enumerate() {
        let at = format!("{path}.content.{index}");
        if block
            .text
            .as_ref()
            .is_some_and(|text| text.trim().is_empty())
        {
            return refused(format!(
                "The text field in the ContentBlock object at {at} is blank."
            ));
        }
        if block.json.is_some() {
            return Err(Refused {
                unknown: Some("json".to_owned()),
                ..Refused::because(&at, "unknown")
            });
        }
        if let Some(call) = &block.tool_use {
            name(&format!("{at}.member.toolUse.toolUseId"), &call.tool_use_id)?;
            name(&format!("{at}.member.toolUse.name"), &call.name)?;
            object(&format!("{at}.toolUse.input"), &call.input)?;
        }
    }
    let has_text = message.content.iter().any(|block| block.text.is_some());
    if !has_text && message.content.iter().any(|block| block.document.is_some()) {
        return refused(format!(
            "A text block is required beside the document at {path}.content."
        ));
    }
    let results = || {
        message
            .content
            .iter()
            .filter_map(|block| block.tool_result.as_ref())
    };
    let calls: Vec<_> = message
        .content
        .iter()
        .filter_map(|block| Some(block.tool_use.as_ref()?.tool_use_id.clone()))
        .collect();
    if (!calls.is_empty() || results().next().is_some()) && request.tool_config.is_none() {
        return refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.".to_owned());
    }
    let answered = |id: &String| results().any(|result| result.tool_use_id == *id);
    let lost: Vec<_> = open.iter().filter(|id| !answered(id)).cloned().collect();
    if !lost.is_empty() {
        return refused(format!(
            "Expected toolResult blocks at {path}.content for the following Ids: {}",
            lost.join(", ")
        ));
    }
    if results().count() > open.len() || results().any(|result| !open.contains(&result.tool_use_id))
    {
        return refused(format!(
            "The number of toolResult blocks at {path}.content exceeds the number of toolUse blocks of previous turn."
        ));
    }
    Ok(calls)
}

/// A constraint that a value does not satisfy, in the words of AWS's validator.
fn constraint(path: &str, said: &str) -> Refused {
    let message = format!(
        "1 validation error detected: Value at '{path}' failed to satisfy constraint: {said}"
    );
    Refused::because(path, message)
}

/// Several members of a union, or none.
pub(super) fn union(path: &str) -> Refused {
    let message = format!("A union at {path} has to have exactly one member set.");
    Refused::because(path, message)
}

/// A block holds one thing.
pub(super) fn one(path: &str, block: &Block) -> Result<(), Refused> {
    let held = [
        block.text.is_some(),
        block.image.is_some(),
        block.document.is_some(),
        block.video.is_some(),
        block.audio.is_some(),
        block.tool_use.is_some(),
        block.tool_result.is_some(),
        block.reasoning_content.is_some(),
        block.cache_point.is_some(),
        block.guard_content.is_some(),
        block.citations_content.is_some(),
        block.search_result.is_some(),
        block.json.is_some(),
    ];
    match held.iter().filter(|held| **held).count() {
        1 => Ok(()),
        _ => Err(union(path)),
    }
}

/// Names and ids are of a small alphabet, at most 64 long.
pub(super) fn name(path: &str, name: &str) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if (1..=64).contains(&name.len()) && name.chars().all(is_fine) {
        return Ok(());
    }
    Err(constraint(
        path,
        "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
    ))
}

/// A document's name has no dots, and no two spaces in a row.
pub(super) fn document_name(path: &str, name: &str) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || " -()[]".contains(c);
    if !name.is_empty() && name.chars().all(is_fine) && !name.contains("  ") {
        return Ok(());
    }
    let said = "The document file name can only contain alphanumeric characters, single whitespace characters, \
                hyphens, parentheses, and square brackets.";
    Err(Refused::because(path, said))
}

pub(super) fn object(path: &str, value: &Value) -> Result<(), Refused> {
    if value.is_object() {
        return Ok(());
    }
    let message = format!(
        "The format of the value at {path} is invalid. Provide a json object for the field."
    );
    Err(Refused::because(path, message))
}

/// Claude's budget of thinking.
pub(super) fn budget(kind: &str, budget: Option<u64>, most: Option<u64>) -> Result<(), Refused> {
    if kind != "enabled" {
        return Ok(());
    }
    let path = "additionalModelRequestFields.thinking";
    match budget {
        None => Err(Refused::because(
            path,
            "thinking.enabled.budget_tokens: Field required",
        )),
        Some(tokens) if tokens < MIN_BUDGET => {
            let said =
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024";
            Err(Refused::because(path, said))
        }
        Some(tokens) if most.is_some_and(|most| most <= tokens) => Err(Refused::because(
            path,
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
        )),
        Some(_) => Ok(()),
    }
}

/// The thought under a seal that this mock made.
pub(super) fn unsealed(path: &str, reasoning: ReasoningContent) -> Result<String, Refused> {
    let invalid = |what: &str| {
        Refused::because(
            path,
            format!("{path}: Invalid `{what}` in `thinking` block"),
        )
    };
    match (reasoning.reasoning_text, reasoning.redacted_content) {
        (Some(said), None) => {
            let signature = said.signature.ok_or_else(|| invalid("signature"))?;
            let text = seal::open(ORIGIN, &signature).filter(|text| *text == said.text);
            text.ok_or_else(|| invalid("signature"))
        }
        (None, Some(data)) => seal::open(ORIGIN, &data).ok_or_else(|| invalid("data")),
        _ => Err(union(&format!("{path}.reasoningContent"))),
    }
}
