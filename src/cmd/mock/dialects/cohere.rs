//! Owns what a request of Cohere's second chat API means, and the errors of that API.
//! Format: <https://docs.cohere.com/v2/reference/chat>.
//! Must never take what the API refuses. The answers are in `cohere/answer`.

use serde_json::{Map, Value};

use super::refused::{Refused, blob_of, read};
use super::shape::TextOr;
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod errors;
mod request;

pub(crate) use errors::error;
use request::{Content, Message, Request, ResponseFormat};

/// The most stop sequences.
const MAX_STOPS: usize = 5;

/// Reads a request.
pub(crate) fn understand(body: &[u8]) -> Result<Understood, Refused> {
    let request: Request = read(body)?;
    check(&request)?;
    let mut asked = Understood::new(&request.model);
    asked.include_usage = true;
    asked.shows_reasoning = true;
    for (index, message) in request.messages.into_iter().enumerate() {
        say(&mut asked, &format!("messages.{index}"), message)?;
    }
    for document in request.documents.into_iter().flatten() {
        let blob = document_blob(&document);
        asked.say(Role::User, vec![Part::Document(blob)]);
    }
    let is_strict = request.strict_tools == Some(true);
    for tool in request.tools.into_iter().flatten() {
        let function = tool.function;
        asked.tools.push(Tool {
            strict: is_strict,
            ..Tool::function(
                &function.name,
                function.description,
                Some(Value::Object(function.parameters)),
            )
        });
    }
    let choice = request.tool_choice.as_deref().map(|choice| match choice {
        "REQUIRED" => Choice::Required,
        _ => Choice::None,
    });
    asked.choose(choice, None);
    asked.format = request.response_format.and_then(|format| match format {
        ResponseFormat::Text {} => None,
        ResponseFormat::JsonObject {
            json_schema,
            schema,
        } => {
            let schema = json_schema.or(schema);
            Some(schema.map_or(Format::Json, |schema| Format::Schema(plain_schema(schema))))
        }
    });
    asked.stream = request.stream.unwrap_or(false);
    asked.max_tokens = request.max_tokens;
    asked.stop = request.stop_sequences.unwrap_or_default();
    asked.sample("temperature", request.temperature);
    asked.sample("top_p", request.p);
    asked.sample("top_k", request.k);
    asked.sample("seed", request.seed.map(|seed| seed as f64));
    asked.sample("frequency_penalty", request.frequency_penalty);
    asked.sample("presence_penalty", request.presence_penalty);
    asked.reasoning = request.thinking.map(|thinking| Reasoning {
        on: thinking.kind == "enabled",
        effort: None,
        budget: thinking.token_budget,
    });
    let hints = [
        ("citation_options", request.citation_options),
        ("safety_mode", request.safety_mode),
        ("logprobs", request.logprobs),
        ("priority", request.priority),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    Ok(asked)
}

/// What the API refuses though it is well-formed.
fn check(request: &Request) -> Result<(), Refused> {
    let refused = |field: &str, said: &str| Err(Refused::because(field, said));
    if request.messages.is_empty() {
        return refused("messages", "messages must not be empty");
    }
    if request
        .stop_sequences
        .as_ref()
        .is_some_and(|stops| stops.len() > MAX_STOPS)
    {
        return refused("stop_sequences", "at most 5 stop_sequences may be given");
    }
    if request
        .temperature
        .is_some_and(|value| !(0.0..=1.0).contains(&value))
    {
        return refused(
            "temperature",
            "temperature must be between 0 and 1.0 inclusive",
        );
    }
    if request
        .p
        .is_some_and(|value| !(0.01..=0.99).contains(&value))
    {
        return refused("p", "p must be between 0.01 and 0.99 inclusive");
    }
    if request
        .k
        .is_some_and(|value| !(0.0..=500.0).contains(&value))
    {
        return refused("k", "k must be between 0 and 500 inclusive");
    }
    if !matches!(
        request.tool_choice.as_deref(),
        None | Some("REQUIRED" | "NONE")
    ) {
        return refused("tool_choice", "tool_choice must be one of REQUIRED, NONE");
    }
    let has_tools = request
        .tools
        .as_ref()
        .is_some_and(|tools| !tools.is_empty());
    if request.tool_choice.is_some() && !has_tools {
        return refused("tool_choice", "tool_choice requires tools");
    }
    let is_json = matches!(
        request.response_format,
        Some(ResponseFormat::JsonObject { .. })
    );
    if is_json && (has_tools || request.documents.is_some()) {
        return refused(
            "response_format",
            "a JSON response_format is not supported with tools or documents",
        );
    }
    let thinking = request
        .thinking
        .as_ref()
        .map(|thinking| thinking.kind.as_str());
    if !matches!(thinking, None | Some("enabled" | "disabled")) {
        return refused("thinking", "thinking.type must be one of enabled, disabled");
    }
    Ok(())
}

fn say(asked: &mut Understood, path: &str, message: Message) -> Result<(), Refused> {
    match message {
        Message::System { content } => {
            for part in parts(path, content)? {
                let Part::Text(text) = part else {
                    return Err(Refused::because(path, "system messages hold only text"));
                };
                asked.instruct(&text);
            }
        }
        Message::User { content } => {
            let parts = parts(path, content)?;
            asked.say(Role::User, parts);
        }
        Message::Assistant {
            content,
            tool_calls,
            ..
        } => {
            let mut said = content
                .map(|content| parts(path, content))
                .transpose()?
                .unwrap_or_default();
            for call in tool_calls.into_iter().flatten() {
                let arguments: Map<String, Value> = serde_json::from_str(&call.function.arguments)
                    .map_err(|_| {
                        Refused::because(path, "tool call arguments must be a JSON object")
                    })?;
                said.push(asked.call(&call.id, &call.function.name, Value::Object(arguments)));
            }
            asked.say(Role::Assistant, said);
        }
        Message::Tool {
            tool_call_id,
            content,
        } => {
            let Some(id) = asked.number_of(&tool_call_id) else {
                let said =
                    format!("no tool call with the id {tool_call_id} comes before its result");
                return Err(Refused::because(path, said));
            };
            let content = parts(path, content)?.into_iter();
            let content = content.map(|part| match part {
                Part::Text(text) => tool_text(&text),
                other => other,
            });
            let content = content.collect();
            asked.say(
                Role::User,
                vec![Part::Result {
                    id,
                    content,
                    error: false,
                }],
            );
        }
    }
    Ok(())
}

fn parts(path: &str, content: TextOr<Content>) -> Result<Vec<Part>, Refused> {
    let contents = match content {
        TextOr::Text(text) => return Ok(vec![Part::Text(text)]),
        TextOr::Many(contents) => contents,
    };
    let parts = contents.into_iter().map(|content| {
        Ok(match content {
            Content::Text { text } => Part::Text(text),
            Content::ImageUrl { image_url } => Part::Image(blob_of(path, &image_url.url)?),
            Content::Thinking { thinking } => Part::Reasoning(thinking),
            Content::Document { document } => document_part(document.data),
        })
    });
    parts.collect()
}

/// A document inside a tool's result is what the tool said.
fn document_part(data: Value) -> Part {
    match data {
        Value::String(text) => tool_text(&text),
        Value::Object(mut fields) if fields.len() == 1 => match fields.remove("data") {
            Some(Value::String(text)) => tool_text(&text),
            Some(other) => Part::Json(super::understood::canonical(other)),
            None => Part::Json(Value::Object(fields)),
        },
        other => Part::Json(super::understood::canonical(other)),
    }
}

fn document_blob(document: &Value) -> Blob {
    let data = document.get("data").unwrap_or(document);
    let text = data.get("text").or(Some(data)).and_then(Value::as_str);
    let text = text.map_or_else(
        || super::understood::canonical(data.clone()).to_string(),
        str::to_owned,
    );
    Blob::bytes("text/plain", text.as_bytes())
}

#[cfg(test)]
mod tests;
