//! Owns what a request of Bedrock's Converse means, and the errors of that API.
//! Format: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
//! Must never take what the API refuses. The answers, with their binary events, are in `bedrock/answer`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::refused::{Refused, decoded, read};
use super::shape::text_at;
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod errors;
mod rules;
mod request;

pub(crate) use errors::{error, exception};
use request::{
    AnyTool, Block, Media, Message, ReasoningContent, Request, Source, TextFormat, ToolChoice,
    ToolConfig,
};

/// Reads a request for `model`.
pub(crate) fn understand(body: &[u8], model: &str, streams: bool) -> Result<Understood, Refused> {
    let request: Request = read(body)?;
    rules::check(&request)?;
    let mut asked = Understood::new(model);
    asked.stream = streams;
    asked.include_usage = true;
    asked.shows_reasoning = true;
    asked.seals_reasoning = true;
    for part in parts(&mut asked, "system", request.system)? {
        match part {
            Part::Text(text) => asked.instruct(&text),
            _ => return Err(Refused::because("system", "System content has to be text.")),
        }
    }
    for (index, message) in request.messages.into_iter().enumerate() {
        let role = match message.role.as_str() {
            "user" => Role::User,
            _ => Role::Assistant,
        };
        let parts = parts(
            &mut asked,
            &format!("messages.{index}.content"),
            message.content,
        )?;
        asked.say(role, parts);
    }
    if let Some(config) = request.tool_config {
        read_tools(&mut asked, config)?;
    }
    let config = request.inference_config;
    asked.max_tokens = config
        .max_tokens
        .and_then(|tokens| u64::try_from(tokens).ok());
    asked.sample("temperature", config.temperature);
    asked.sample("top_p", config.top_p);
    asked.stop = config.stop_sequences;
    if let Some(output) = request.output_config {
        if let Some(effort) = output.effort {
            asked.reasoning.get_or_insert_default().effort = Some(effort);
        }
        asked.format = output.text_format.as_ref().map(read_format).transpose()?;
    }
    read_more(&mut asked, request.additional_model_request_fields)?;
    let hints = [
        (
            "additionalModelResponseFieldPaths",
            request.additional_model_response_field_paths,
        ),
        ("guardrailConfig", request.guardrail_config),
        ("performanceConfig", request.performance_config),
        ("promptVariables", request.prompt_variables),
        ("requestMetadata", request.request_metadata),
        ("serviceTier", request.service_tier),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    Ok(asked)
}

/// What goes on to the model as it is; Claude's words are understood, others are hints.
fn read_more(asked: &mut Understood, fields: Map<String, Value>) -> Result<(), Refused> {
    for (name, value) in fields {
        match name.as_str() {
            "top_k" => asked.sample("top_k", value.as_f64()),
            "thinking" | "reasoning_config" => {
                let kind = text_at(&value, "type").unwrap_or("");
                let budget = value.get("budget_tokens").and_then(Value::as_u64);
                rules::budget(kind, budget, asked.max_tokens)?;
                let reasoning = asked.reasoning.get_or_insert_default();
                reasoning.on = kind != "disabled";
                reasoning.budget = budget;
            }
            "output_config" => {
                if let Some(effort) = text_at(&value, "effort") {
                    asked.reasoning.get_or_insert_default().effort = Some(effort.to_owned());
                }
            }
            "reasoning_effort" => {
                let effort = value.as_str().map(str::to_owned);
                asked.reasoning = Some(Reasoning {
                    on: true,
                    effort,
                    budget: None,
                });
            }
            _ => asked.hint(&name, Some(value)),
        }
    }
    Ok(())
}

fn read_format(format: &TextFormat) -> Result<Format, Refused> {
    let schema = serde_json::from_str(&format.structure.json_schema.schema);
    let path = "outputConfig.textFormat.structure.jsonSchema.schema";
    let schema = schema.map_err(|_| Refused::because(path, "The schema is not valid JSON."))?;
    Ok(Format::Schema(plain_schema(schema)))
}

fn read_tools(asked: &mut Understood, config: ToolConfig) -> Result<(), Refused> {
    for (index, tool) in config.tools.into_iter().enumerate() {
        let path = format!("toolConfig.tools.{index}.member.toolSpec");
        match tool {
            AnyTool {
                tool_spec: Some(spec),
                system_tool: None,
                cache_point: None,
            } => {
                rules::name(&format!("{path}.name"), &spec.name)?;
                rules::object(&format!("{path}.inputSchema.json"), &spec.input_schema.json)?;
                let tool =
                    Tool::function(&spec.name, spec.description, Some(spec.input_schema.json));
                asked.tools.push(Tool {
                    strict: spec.strict.unwrap_or(false),
                    ..tool
                });
            }
            AnyTool {
                tool_spec: None,
                system_tool: Some(system),
                cache_point: None,
            } => asked.tools.push(Tool::server(&system.name)),
            AnyTool {
                tool_spec: None,
                system_tool: None,
                cache_point: Some(_),
            } => asked.cache_marks += 1,
            _ => return Err(rules::union(&format!("toolConfig.tools.{index}"))),
        }
    }
    let choice = match config.tool_choice {
        None => None,
        Some(ToolChoice {
            auto: Some(_),
            any: None,
            tool: None,
        }) => Some(Choice::Auto),
        Some(ToolChoice {
            auto: None,
            any: Some(_),
            tool: None,
        }) => Some(Choice::Required),
        Some(ToolChoice {
            auto: None,
            any: None,
            tool: Some(named),
        }) => Some(Choice::Named(named.name)),
        Some(_) => return Err(rules::union("toolConfig.toolChoice")),
    };
    asked.choose(choice, None);
    Ok(())
}

fn parts(asked: &mut Understood, path: &str, blocks: Vec<Block>) -> Result<Vec<Part>, Refused> {
    let mut parts = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        parts.extend(part(asked, &format!("{path}.{index}"), block)?);
    }
    Ok(parts)
}

fn part(asked: &mut Understood, path: &str, block: Block) -> Result<Option<Part>, Refused> {
    rules::one(path, &block)?;
    Ok(Some(if let Some(text) = block.text {
        Part::Text(text)
    } else if let Some(image) = block.image {
        Part::Image(media(path, "image", image)?)
    } else if let Some(video) = block.video {
        Part::Video(media(path, "video", video)?)
    } else if let Some(audio) = block.audio {
        Part::Audio(media(path, "audio", audio)?)
    } else if let Some(document) = block.document {
        rules::document_name(path, &document.name)?;
        let kind = media_type(document.format.as_deref().unwrap_or("txt"));
        Part::Document(blob(path, &kind, document.source)?)
    } else if let Some(call) = block.tool_use {
        asked.call(&call.tool_use_id, &call.name, call.input)
    } else if let Some(result) = block.tool_result {
        let id = asked.number_of(&result.tool_use_id).unwrap_or_default();
        let content = parts(asked, &format!("{path}.toolResult.content"), result.content)?;
        let content = content.into_iter().map(|part| match part {
            Part::Text(text) => tool_text(&text),
            other => other,
        });
        Part::Result {
            id,
            content: content.collect(),
            error: result.status.as_deref() == Some("error"),
        }
    } else if let Some(reasoning) = block.reasoning_content {
        Part::Reasoning(rules::unsealed(path, reasoning)?)
    } else if let Some(value) = block.json {
        Part::Json(super::understood::canonical(value))
    } else {
        asked.cache_marks += u64::from(block.cache_point.is_some());
        return Ok(None);
    }))
}

fn media(path: &str, kind: &str, media: Media) -> Result<Blob, Refused> {
    blob(path, &format!("{kind}/{}", media.format), media.source)
}

fn blob(path: &str, media_type: &str, source: Source) -> Result<Blob, Refused> {
    match source {
        Source {
            bytes: Some(bytes), ..
        } => Ok(Blob::bytes(
            media_type,
            &decoded(&format!("{path}.source.bytes"), &bytes)?,
        )),
        Source {
            s3_location: Some(place),
            ..
        } => Ok(Blob::url(&place.uri)),
        Source {
            text: Some(text), ..
        } => Ok(Blob::bytes(media_type, text.as_bytes())),
        Source {
            content: Some(content),
            ..
        } => Ok(Blob::bytes(media_type, content.to_string().as_bytes())),
        Source { .. } => Err(rules::union(&format!("{path}.source"))),
    }
}

/// The media type of a document's format.
fn media_type(format: &str) -> String {
    let known = BTreeMap::from([
        ("pdf", "application/pdf"),
        ("csv", "text/csv"),
        ("html", "text/html"),
        ("txt", "text/plain"),
        ("md", "text/markdown"),
        ("doc", "application/msword"),
        ("xls", "application/vnd.ms-excel"),
        (
            "docx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
    ]);
    known.get(format).map_or_else(
        || format!("application/{format}"),
        |kind| (*kind).to_owned(),
    )
}

#[cfg(test)]
mod tests;
