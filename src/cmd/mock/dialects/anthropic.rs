//! Owns what a request of the Messages API means, and the errors of that API.
//! Format: <https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/api/errors>.
//! Must never take what the API refuses. The answers are in `anthropic/answer`.

use serde_json::{Map, Value};

use super::refused::{Refused, blob_of, decoded, read};
use super::seal;
use super::shape::{TextOr, text_at, within};
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod errors;
mod rules;
mod request;

pub(crate) use errors::{error, facts};
use request::{Block, CacheControl, Custom, OutputFormat, Request, Source, Thinking, ToolChoice};

/// Who seals: Claude's signatures hold wherever Claude is served.
pub(crate) const ORIGIN: &str = "claude";

/// Reads a request; `counts` for one that only asks how many tokens it has.
pub(crate) fn understand(body: &[u8], counts: bool) -> Result<Understood, Refused> {
    let request: Request = read(body)?;
    rules::check(&request, counts)?;
    let mut asked = Understood::new(&request.model);
    asked.cache_marks += u64::from(request.cache_control.is_some());
    if let Some(system) = request.system {
        for part in parts(&mut asked, "system", system)? {
            match part {
                Part::Text(text) => asked.instruct(&text),
                _ => return Err(Refused::because("system", "only text blocks are permitted")),
            }
        }
    }
    for (index, message) in request.messages.into_iter().enumerate() {
        let role = match message.role.as_str() {
            "user" => Role::User,
            _ => Role::Assistant,
        };
        let path = format!("messages.{index}.content");
        let parts = parts(&mut asked, &path, message.content)?;
        asked.say(role, parts);
    }
    for (index, tool) in request.tools.into_iter().flatten().enumerate() {
        let tool = read_tool(&format!("tools.{index}"), tool, &mut asked)?;
        asked.tools.push(tool);
    }
    let (choice, parallel) = choice(request.tool_choice);
    asked.choose(choice, parallel);
    asked.max_tokens = request.max_tokens;
    asked.stop = request.stop_sequences.unwrap_or_default();
    asked.stream = request.stream.unwrap_or(false);
    asked.sample("temperature", request.temperature);
    asked.sample("top_p", request.top_p);
    asked.sample("top_k", request.top_k.map(|k| k as f64));
    let effort = request
        .output_config
        .as_ref()
        .and_then(|output| output.effort.clone());
    reason(&mut asked, request.thinking.as_ref(), effort);
    let format = request.output_config.and_then(|output| output.format);
    asked.format = format.or(request.output_format).map(|format| {
        let OutputFormat::JsonSchema { schema } = format;
        Format::Schema(plain_schema(schema))
    });
    let hints = [
        ("metadata", request.metadata),
        ("service_tier", request.service_tier),
        ("container", request.container),
        ("context_management", request.context_management),
        ("inference_geo", request.inference_geo),
        ("mcp_servers", request.mcp_servers),
        ("speed", request.speed),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    asked.include_usage = true;
    Ok(asked)
}

/// Reads a request as Vertex takes it: the body names the version, the path the model; without one its tokens are counted.
pub(crate) fn understand_versioned(
    body: &[u8],
    model: Option<&str>,
    streams: bool,
) -> Result<Understood, Refused> {
    let mut fields: Map<String, Value> = read(body)?;
    // Its documentation knows one version, Anthropic's own client sends a later one: what else is taken nobody says.
    let version = fields.remove("anthropic_version");
    let version = version.as_ref().and_then(Value::as_str);
    if version.unwrap_or_default().is_empty() {
        return Err(Refused::because("anthropic_version", "Field required"));
    }
    if let Some(model) = model
        && fields.insert("model".to_owned(), model.into()).is_some()
    {
        return Err(Refused::because("model", "Extra inputs are not permitted"));
    }
    let asked = understand(
        Value::Object(fields).to_string().as_bytes(),
        model.is_none(),
    )?;
    match asked.stream == streams {
        true => Ok(asked),
        false => Err(Refused::because("stream", "is not what the method says")),
    }
}

fn reason(asked: &mut Understood, thinking: Option<&Thinking>, effort: Option<String>) {
    let (on, budget, display) = match thinking {
        Some(Thinking::Enabled {
            budget_tokens,
            display,
        }) => (true, Some(*budget_tokens), display.as_deref()),
        Some(Thinking::Adaptive { display }) => (true, None, display.as_deref()),
        Some(Thinking::Disabled {}) | None => (false, None, None),
    };
    asked.shows_reasoning = display != Some("omitted");
    asked.seals_reasoning = true;
    if thinking.is_some() || effort.is_some() {
        asked.reasoning = Some(Reasoning { on, effort, budget });
    }
}

fn choice(choice: Option<ToolChoice>) -> (Option<Choice>, Option<bool>) {
    let (choice, disabled) = match choice {
        None => return (None, None),
        Some(ToolChoice::None {}) => return (Some(Choice::None), None),
        Some(ToolChoice::Auto {
            disable_parallel_tool_use,
        }) => (Choice::Auto, disable_parallel_tool_use),
        Some(ToolChoice::Any {
            disable_parallel_tool_use,
        }) => (Choice::Required, disable_parallel_tool_use),
        Some(ToolChoice::Tool {
            name,
            disable_parallel_tool_use,
        }) => (Choice::Named(name), disable_parallel_tool_use),
    };
    (Some(choice), disabled.map(|disabled| !disabled))
}

fn read_tool(path: &str, tool: Value, asked: &mut Understood) -> Result<Tool, Refused> {
    let kind = text_at(&tool, "type").unwrap_or("custom");
    if kind != "custom" {
        return Ok(Tool::server(kind));
    }
    let custom: Custom = within(path, tool)?;
    asked.cache_marks += u64::from(custom.cache_control.is_some());
    rules::name(&format!("{path}.custom.name"), &custom.name, 128)?;
    if text_at(&custom.input_schema, "type") != Some("object") {
        let path = format!("{path}.custom.input_schema.type");
        return Err(Refused::because(&path, "Input should be 'object'"));
    }
    let tool = Tool::function(&custom.name, custom.description, Some(custom.input_schema));
    Ok(Tool {
        strict: custom.strict.unwrap_or(false),
        ..tool
    })
}

fn parts(asked: &mut Understood, path: &str, content: TextOr<Block>) -> Result<Vec<Part>, Refused> {
    let blocks = match content {
        TextOr::Text(text) => return Ok(vec![Part::Text(text)]),
        TextOr::Many(blocks) => blocks,
    };
    let numbered = blocks.into_iter().enumerate();
    numbered
        .map(|(index, block)| part(asked, &format!("{path}.{index}"), block))
        .collect()
}

fn part(asked: &mut Understood, path: &str, block: Block) -> Result<Part, Refused> {
    let mut marked = |mark: Option<CacheControl>| asked.cache_marks += u64::from(mark.is_some());
    Ok(match block {
        Block::Text {
            text,
            cache_control,
            ..
        } => {
            marked(cache_control);
            Part::Text(text)
        }
        Block::Image {
            source,
            cache_control,
        } => {
            marked(cache_control);
            Part::Image(blob(path, source)?)
        }
        Block::Document {
            source,
            cache_control,
            ..
        } => {
            marked(cache_control);
            Part::Document(blob(path, source)?)
        }
        Block::Thinking {
            thinking,
            signature,
        } => Part::Reasoning(rules::unsealed(path, &thinking, &signature)?),
        Block::RedactedThinking { data } => {
            let text = seal::open(ORIGIN, &data);
            Part::Reasoning(text.ok_or_else(|| {
                Refused::because(path, "Invalid `data` in `redacted_thinking` block")
            })?)
        }
        Block::ToolUse {
            id,
            name,
            input,
            cache_control,
            ..
        } => {
            marked(cache_control);
            asked.call(&id, &name, Value::Object(input))
        }
        Block::ToolResult {
            tool_use_id,
            content,
            is_error,
            cache_control,
        } => {
            marked(cache_control);
            let id = asked.number_of(&tool_use_id).unwrap_or_default();
            let content = match content {
                None => Vec::new(),
                Some(TextOr::Text(text)) => vec![tool_text(&text)],
                Some(many) => parts(asked, path, many)?
                    .into_iter()
                    .map(|part| match part {
                        Part::Text(text) => tool_text(&text),
                        other => other,
                    })
                    .collect(),
            };
            Part::Result {
                id,
                content,
                error: is_error.unwrap_or(false),
            }
        }
    })
}

fn blob(path: &str, source: Source) -> Result<Blob, Refused> {
    match source {
        Source::Base64 { media_type, data } => Ok(Blob::bytes(&media_type, &decoded(path, &data)?)),
        Source::Url { url } => blob_of(path, &url),
        Source::File { file_id } => Ok(Blob::file(&file_id)),
        Source::Text { media_type, data } => Ok(Blob::bytes(&media_type, data.as_bytes())),
    }
}

#[cfg(test)]
mod tests;
