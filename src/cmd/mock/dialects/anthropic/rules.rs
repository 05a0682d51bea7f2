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
    }
    calls(request)?;
    thought_first(request)
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

/// The blocks of one side's messages in a row, which the API takes as one turn.
struct Run<'a> {
    /// Its last message.
    path: String,
    role: &'a str,
    blocks: Vec<(String, &'a Block)>,
}

fn runs(request: &Request) -> Vec<Run<'_>> {
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (index, message) in request.messages.iter().enumerate() {
        let path = format!("messages.{index}");
        let blocks = match &message.content {
            TextOr::Text(_) => &[][..],
            TextOr::Many(blocks) => blocks,
        };
        let numbered = blocks.iter().enumerate();
        let blocks = numbered.map(|(at, block)| (format!("{path}.content.{at}"), block));
        match runs.last_mut().filter(|run| run.role == message.role) {
            Some(run) => {
                run.blocks.extend(blocks);
                run.path = path;
            }
            None => runs.push(Run {
                blocks: blocks.collect(),
                role: &message.role,
                path,
            }),
        }
    }
    runs
}

/// Every call is answered in the next turn, and nothing else is.
fn calls(request: &Request) -> Result<(), Refused> {
    let mut open: Vec<&str> = Vec::new();
    let mut last = String::new();
    let mut uses_tools = false;
    for run in runs(request) {
        let mut made = Vec::new();
        for (path, block) in &run.blocks {
            sides(path, block, run.role)?;
            match block {
                Block::ToolUse { id, .. } => made.push(id.as_str()),
                Block::ToolResult { tool_use_id, .. } => {
                    let Some(at) = open.iter().position(|id| id == tool_use_id) else {
                        let said = format!(
                            "unexpected `tool_use_id` found in `tool_result` blocks: {tool_use_id}. The previous message has \
                             no such `tool_use` block"
                        );
                        return Err(Refused::because(path, said));
                    };
                    open.remove(at);
                    uses_tools = true;
                }
                _ => {}
            }
        }
        unanswered(&run.path, &open)?;
        uses_tools |= !made.is_empty();
        (open, last) = (made, run.path);
    }
    unanswered(&last, &open)?;
    if uses_tools && request.tools.is_none() {
        let said = "Requests with `tool_use` or `tool_result` blocks must define tools.";
        return Err(Refused::because("", said));
    }
    Ok(())
}

fn unanswered(path: &str, open: &[&str]) -> Result<(), Refused> {
    let Some(lost) = open.first() else {
        return Ok(());
    };
    let said =
        format!("`tool_use` ids were found without `tool_result` blocks immediately after: {lost}");
    Err(Refused::because(path, said))
}

/// While thinking is enabled, the last turn of the assistant starts with a thought if it calls tools.
fn thought_first(request: &Request) -> Result<(), Refused> {
    let mut runs = runs(request).into_iter().rev();
    let last = runs.find(|run| run.role == "assistant");
    let (Some(Thinking::Enabled { .. }), Some(run)) = (&request.thinking, last) else {
        return Ok(());
    };
    let calls = |(_, block): &(String, &Block)| matches!(block, Block::ToolUse { .. });
    let thinks = matches!(
        run.blocks.first(),
        Some((_, Block::Thinking { .. } | Block::RedactedThinking { .. }))
    );
    if thinks || !run.blocks.iter().any(calls) {
        return Ok(());
    }
    let said = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final \
                `assistant` message that calls tools must start with a thinking block";
    Err(Refused::because(
        &format!("{}.content.0.type", run.path),
        said,
    ))
}

/// Each kind of block has its side, and names of a small alphabet.
fn sides(path: &str, block: &Block, role: &str) -> Result<(), Refused> {
    match block {
        Block::ToolUse { id, name: tool, .. } => {
            name(&format!("{path}.tool_use.id"), id, usize::MAX)?;
            name(&format!("{path}.tool_use.name"), tool, 200)?;
            side(path, role, "assistant", "tool_use")
        }
        Block::ToolResult { .. } => side(path, role, "user", "tool_result"),
        Block::Thinking { .. } | Block::RedactedThinking { .. } => {
            side(path, role, "assistant", "thinking")
        }
        Block::Image { .. } | Block::Document { .. } => side(path, role, "user", "image"),
        Block::Text { .. } => Ok(()),
    }
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
