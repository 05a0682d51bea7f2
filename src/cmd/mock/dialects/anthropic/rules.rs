//! Owns what the Messages API refuses though it is well-formed: roles, empty texts, results without their calls,
//! budgets, names, and reasoning that this mock did not seal.

use super::{Block, ORIGIN, Request, TextOr, Thinking, ToolChoice};
use crate::cmd::mock::dialects::refused::Refused;
use crate::cmd::mock::dialects::seal;

/// The least budget of thinking.
const MIN_BUDGET: u64 = 1024;

/// Checks a whole request.
pub(super) fn check(request: &Request, counts: bool) -> Result<(), Refused> {
    limits(request, counts)?;
    thinking(request)?;
    if request.messages.is_empty() {
        return Err(Refused::because(
            "messages",
            "at least one message is required",
        ));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in request.messages.iter().enumerate() {
        let path = format!("messages.{index}");
        if !matches!(message.role.as_str(), "user" | "assistant") {
            let said = format!(
                "Input should be 'user' or 'assistant', not '{}'",
                message.role
            );
            return Err(Refused::because(&format!("{path}.role"), said));
        }
        let is_last = index + 1 == request.messages.len();
        texts(&path, &message.content, &message.role, is_last)?;
        open = calls(request, &path, &message.content, &message.role, &open)?;
    }
    Ok(())
}

fn limits(request: &Request, counts: bool) -> Result<(), Refused> {
    let extra = |name| Err(Refused::because(name, "Extra inputs are not permitted"));
    match request.max_tokens {
        Some(_) if counts => return extra("max_tokens"),
        None if !counts => return Err(Refused::because("max_tokens", "Field required")),
        Some(0) => {
            return Err(Refused::because(
                "max_tokens",
                "must be greater than or equal to 1",
            ));
        }
        _ => {}
    }
    if counts && request.stream.is_some() {
        return extra("stream");
    }
    let is_share = |value: Option<f64>| value.is_none_or(|value| (0.0..=1.0).contains(&value));
    if !is_share(request.temperature) {
        return Err(Refused::because("temperature", "must be in the range 0..1"));
    }
    if !is_share(request.top_p) {
        return Err(Refused::because("top_p", "must be in the range 0..1"));
    }
    let stops = request.stop_sequences.iter().flatten();
    if stops.into_iter().any(|stop| stop.trim().is_empty()) {
        return Err(Refused::because(
            "stop_sequences",
            "each stop sequence must contain non-whitespace",
        ));
    }
    Ok(())
}

fn thinking(request: &Request) -> Result<(), Refused> {
    let budget = match request.thinking {
        Some(Thinking::Enabled { budget_tokens, .. }) => Some(budget_tokens),
        Some(Thinking::Adaptive { .. }) => None,
        Some(Thinking::Disabled {}) | None => return Ok(()),
    };
    if budget.is_some_and(|budget| budget < MIN_BUDGET) {
        let said = format!("Input should be greater than or equal to {MIN_BUDGET}");
        return Err(Refused::because("thinking.enabled.budget_tokens", said));
    }
    if budget.is_some() && budget >= request.max_tokens && request.max_tokens.is_some() {
        return Err(Refused::because(
            "max_tokens",
            "must be greater than `thinking.budget_tokens`",
        ));
    }
    if request
        .temperature
        .is_some_and(|temperature| temperature < 1.0)
    {
        return Err(Refused::because(
            "temperature",
            "may only be set to 1 when thinking is enabled",
        ));
    }
    if matches!(
        request.tool_choice,
        Some(ToolChoice::Any { .. } | ToolChoice::Tool { .. })
    ) {
        return Err(Refused::because(
            "",
            "Thinking may not be enabled when tool_choice forces tool use.",
        ));
    }
    Ok(())
}

fn texts(path: &str, content: &TextOr<Block>, role: &str, is_last: bool) -> Result<(), Refused> {
    let empty = || {
        Err(Refused::because(
            path,
            "text content blocks must be non-empty",
        ))
    };
    let last = match content {
        TextOr::Text(text) if text.is_empty() => return empty(),
        TextOr::Text(text) => Some(text),
        TextOr::Many(blocks) => {
            let is_empty =
                |block: &Block| matches!(block, Block::Text { text, .. } if text.is_empty());
            if blocks.iter().any(is_empty) {
                return empty();
            }
            match blocks.last() {
                Some(Block::Text { text, .. }) => Some(text),
                _ => None,
            }
        }
    };
    let trails = last.is_some_and(|text| text.ends_with(char::is_whitespace));
    if trails && is_last && role == "assistant" {
        return Err(Refused::because(
            "messages",
            "final assistant content cannot end with trailing whitespace",
        ));
    }
    Ok(())
}

/// Every call is answered in the next message, and nothing else is; gives the calls that are open after it.
fn calls<'a>(
    request: &Request,
    path: &str,
    content: &'a TextOr<Block>,
    role: &str,
    open: &[&str],
) -> Result<Vec<&'a str>, Refused> {
    let blocks = match content {
        TextOr::Text(_) => &[][..],
        TextOr::Many(blocks) => blocks,
    };
    let mut made = Vec::new();
    let mut answered = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let path = format!("{path}.content.{index}");
        match block {
            Block::ToolUse { id, name: tool, .. } => {
                name(&format!("{path}.tool_use.id"), id, usize::MAX)?;
                name(&format!("{path}.tool_use.name"), tool, 200)?;
                side(&path, role, "assistant", "tool_use")?;
                made.push(id.as_str());
            }
            Block::ToolResult { tool_use_id, .. } => {
                side(&path, role, "user", "tool_result")?;
                if !open.contains(&tool_use_id.as_str()) {
                    let said = format!(
                        "unexpected `tool_use_id` found in `tool_result` blocks: {tool_use_id}. The previous message has \
                         no such `tool_use` block"
                    );
                    return Err(Refused::because(&path, said));
                }
                answered.push(tool_use_id.as_str());
            }
            Block::Thinking { .. } | Block::RedactedThinking { .. } => {
                side(&path, role, "assistant", "thinking")?;
            }
            Block::Image { .. } | Block::Document { .. } => side(&path, role, "user", "image")?,
            Block::Text { .. } => {}
        }
    }
    if let Some(lost) = open.iter().find(|id| !answered.contains(id)) {
        let said = format!(
            "`tool_use` ids were found without `tool_result` blocks immediately after: {lost}"
        );
        return Err(Refused::because(path, said));
    }
    if !(made.is_empty() && answered.is_empty()) && request.tools.is_none() {
        return Err(Refused::because(
            "",
            "Requests with `tool_use` or `tool_result` blocks must define tools.",
        ));
    }
    if let (Some(Thinking::Enabled { .. }), false, false) =
        (&request.thinking, made.is_empty(), starts_thinking(blocks))
    {
        let said = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, an \
                    assistant turn that calls tools must start with a thinking block";
        return Err(Refused::because(&format!("{path}.content.0.type"), said));
    }
    Ok(made)
}

fn starts_thinking(blocks: &[Block]) -> bool {
    matches!(
        blocks.first(),
        Some(Block::Thinking { .. } | Block::RedactedThinking { .. })
    )
}

fn side(path: &str, role: &str, wanted: &str, block: &str) -> Result<(), Refused> {
    if role == wanted {
        return Ok(());
    }
    let said = format!("`{block}` blocks can only be in `{wanted}` messages");
    Err(Refused::because(path, said))
}

/// Names and ids are of a small alphabet.
pub(super) fn name(path: &str, name: &str, most: usize) -> Result<(), Refused> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.len() <= most && name.chars().all(is_fine) {
        return Ok(());
    }
    Err(Refused::because(
        path,
        "String should match pattern '^[a-zA-Z0-9_-]+$'",
    ))
}

/// The thought under a signature that this mock made; text that was left out may stay so.
pub(super) fn unsealed(path: &str, thinking: &str, signature: &str) -> Result<String, Refused> {
    let text = seal::open(ORIGIN, signature).filter(|text| thinking.is_empty() || text == thinking);
    text.ok_or_else(|| Refused::because(path, "Invalid `signature` in `thinking` block"))
}
