//! Owns what a request of the Responses API means, and the errors of that API.
//! Format: <https://platform.openai.com/docs/api-reference/responses>.
//! Must never take what the API refuses. The answers are in `responses/answer`.

use serde_json::Value;

use super::refused::{Refused, blob_of, read};
use super::seal;
use super::shape::{TextOr, text_at, within};
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod errors;
pub(crate) mod rules;
mod request;

pub(crate) use errors::{error, facts};
use request::{Content, Function, Item, Request, TextFormat};

/// Who seals reasoning here.
pub(crate) const ORIGIN: &str = "openai";

/// Reads a request.
pub(crate) fn understand(body: &[u8]) -> Result<Understood, Refused> {
    let request: Request = read(body)?;
    rules::check(&request)?;
    let mut asked = Understood::new(&request.model);
    asked.instruct(request.instructions.as_deref().unwrap_or(""));
    match request.input {
        TextOr::Text(text) => asked.say(Role::User, vec![Part::Text(text)]),
        TextOr::Many(items) => read_items(&mut asked, items, request.store)?,
    }
    for (index, tool) in request.tools.into_iter().flatten().enumerate() {
        let tool = read_tool(&format!("tools.{index}"), tool)?;
        asked.tools.push(tool);
    }
    let choice = request
        .tool_choice
        .as_ref()
        .map(|choice| read_choice(choice, &asked))
        .transpose()?;
    asked.choose(choice, request.parallel_tool_calls);
    asked.max_tokens = request.max_output_tokens;
    asked.stream = request.stream.unwrap_or(false);
    asked.sample("temperature", request.temperature);
    asked.sample("top_p", request.top_p);
    if let Some(thinking) = request.reasoning {
        asked.shows_reasoning = thinking.summary.is_some();
        asked.reasoning = Some(Reasoning {
            on: thinking.effort.as_deref() != Some("none"),
            effort: thinking.effort.filter(|effort| effort != "none"),
            budget: None,
        });
    }
    let include = request.include.unwrap_or_default();
    asked.seals_reasoning = include
        .iter()
        .any(|word| word == "reasoning.encrypted_content");
    if let Some(text) = request.text {
        asked.hint("verbosity", text.verbosity);
        asked.format = text
            .format
            .map(|format| read_format(format, &asked))
            .transpose()?
            .flatten();
    }
    let hints = [
        ("background", request.background),
        ("client_metadata", request.client_metadata),
        ("conversation", request.conversation),
        ("max_tool_calls", request.max_tool_calls),
        ("metadata", request.metadata),
        ("prompt", request.prompt),
        ("prompt_cache_key", request.prompt_cache_key),
        ("prompt_cache_retention", request.prompt_cache_retention),
        ("safety_identifier", request.safety_identifier),
        ("service_tier", request.service_tier),
        ("store", request.store.map(Value::from)),
        ("stream_options", request.stream_options),
        ("top_logprobs", request.top_logprobs),
        ("truncation", request.truncation),
        ("user", request.user),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    asked.include_usage = true;
    Ok(asked)
}

fn read_items(
    asked: &mut Understood,
    items: Vec<Value>,
    store: Option<bool>,
) -> Result<(), Refused> {
    let mut read = Vec::new();
    for (index, mut item) in items.into_iter().enumerate() {
        if let Some(fields) = item.as_object_mut() {
            fields.entry("type").or_insert_with(|| "message".into());
        }
        read.push(within::<Item>(&format!("input.{index}"), item)?);
    }
    rules::items(&read, store)?;
    for (index, item) in read.into_iter().enumerate() {
        say(asked, &format!("input.{index}"), item)?;
    }
    Ok(())
}

fn say(asked: &mut Understood, path: &str, item: Item) -> Result<(), Refused> {
    match item {
        Item::Message { role, content, .. } => {
            let parts = parts(&format!("{path}.content"), content)?;
            match role.as_str() {
                "system" | "developer" => {
                    for part in parts {
                        let Part::Text(text) = part else {
                            return Err(Refused::because(
                                path,
                                "only text is supported in this role",
                            ));
                        };
                        asked.instruct(&text);
                    }
                }
                "assistant" => asked.say(Role::Assistant, parts),
                _ => asked.say(Role::User, parts),
            }
        }
        Item::FunctionCall {
            call_id,
            name,
            arguments,
            ..
        } => {
            // The API takes what is no JSON; a model made it.
            let arguments = serde_json::from_str(&arguments).unwrap_or(Value::String(arguments));
            let part = asked.call(&call_id, &name, arguments);
            asked.say(Role::Assistant, vec![part]);
        }
        Item::FunctionCallOutput {
            call_id, output, ..
        } => {
            let id = asked.number_of(&call_id).unwrap_or_default();
            let content = parts(&format!("{path}.output"), output)?.into_iter();
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
        Item::Reasoning {
            encrypted_content, ..
        } => {
            let text = encrypted_content.and_then(|sealed| seal::open(ORIGIN, &sealed));
            asked.say(
                Role::Assistant,
                vec![Part::Reasoning(text.unwrap_or_default())],
            );
        }
        Item::ItemReference { .. } => {}
    }
    Ok(())
}

fn parts(path: &str, content: TextOr<Content>) -> Result<Vec<Part>, Refused> {
    let contents = match content {
        TextOr::Text(text) => return Ok(vec![Part::Text(text)]),
        TextOr::Many(contents) => contents,
    };
    let numbered = contents.into_iter().enumerate();
    numbered
        .map(|(index, content)| part(&format!("{path}.{index}"), content))
        .collect()
}

fn part(path: &str, content: Content) -> Result<Part, Refused> {
    Ok(match content {
        Content::InputText { text } | Content::OutputText { text, .. } => Part::Text(text),
        Content::Refusal { refusal } => Part::Text(refusal),
        Content::InputImage {
            image_url, file_id, ..
        } => {
            let path = format!("{path}.image_url");
            Part::Image(match (image_url, file_id) {
                (Some(url), None) => blob_of(&path, &url)?,
                (None, Some(id)) => Blob::file(&id),
                _ => {
                    return Err(Refused::because(
                        &path,
                        "one of image_url and file_id is required",
                    ));
                }
            })
        }
        Content::InputFile {
            file_id,
            file_data,
            file_url,
            ..
        } => {
            let path = format!("{path}.file_data");
            Part::Document(match (file_id, file_data, file_url) {
                (Some(id), None, None) => Blob::file(&id),
                (None, Some(data), None) if data.starts_with("data:") => blob_of(&path, &data)?,
                (None, None, Some(url)) => Blob::url(&url),
                _ => {
                    let said =
                        "Expected a base64-encoded data URL, or a file_id or file_url instead";
                    return Err(Refused::because(&path, said));
                }
            })
        }
    })
}

fn read_tool(path: &str, tool: Value) -> Result<Tool, Refused> {
    match text_at(&tool, "type") {
        Some("function") => {}
        Some(kind) => return Ok(Tool::server(kind)),
        None => {
            return Err(Refused {
                missing: Some("type".to_owned()),
                ..Refused::because(path, "missing")
            });
        }
    }
    let function: Function = within(path, tool)?;
    rules::name(&format!("{path}.name"), &function.name)?;
    let is_strict = function.strict == Some(true);
    if is_strict {
        let schema = function.parameters.as_ref().unwrap_or(&Value::Null);
        rules::strict(
            &format!("{path}.parameters"),
            &format!("function '{}'", function.name),
            schema,
        )?;
    }
    Ok(Tool {
        strict: is_strict,
        ..Tool::function(&function.name, function.description, function.parameters)
    })
}

fn read_choice(choice: &Value, asked: &Understood) -> Result<Choice, Refused> {
    let refused = |said: String| Err(Refused::because("tool_choice", said));
    let found = |name: &str| asked.tools.iter().any(|tool| tool.name == name);
    let kind = choice
        .as_str()
        .or_else(|| text_at(choice, "type"))
        .unwrap_or("");
    match kind {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" if asked.tools.is_empty() => {
            refused("Tool choice 'required' must be specified with 'tools' parameter.".to_owned())
        }
        "required" => Ok(Choice::Required),
        "function" => match text_at(choice, "name") {
            Some(name) if found(name) => Ok(Choice::Named(name.to_owned())),
            Some(_) => refused("Tool choice 'function' not found in 'tools' parameter.".to_owned()),
            None => Err(Refused {
                missing: Some("name".to_owned()),
                ..Refused::because("tool_choice", "missing")
            }),
        },
        "allowed_tools" => {
            let names = choice
                .get("tools")
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            let names = names
                .filter_map(|tool| text_at(tool, "name").map(str::to_owned))
                .collect();
            Ok(match text_at(choice, "mode") {
                Some("required") => Choice::OneOf(names),
                _ => Choice::Auto,
            })
        }
        kind if found(kind) => Ok(Choice::Named(kind.to_owned())),
        kind => refused(format!(
            "Invalid value: '{kind}'. Supported values are: 'none', 'auto', and 'required'."
        )),
    }
}

fn read_format(format: TextFormat, asked: &Understood) -> Result<Option<Format>, Refused> {
    match format {
        TextFormat::Text {} => Ok(None),
        TextFormat::JsonObject {} => {
            if rules::says_json(asked) {
                return Ok(Some(Format::Json));
            }
            let said = "'input' must contain the word 'json' in some form to use 'text.format' of type 'json_object'.";
            Err(Refused::because("input", said))
        }
        TextFormat::JsonSchema {
            name,
            schema,
            strict,
            ..
        } => {
            rules::name("text.format.name", &name)?;
            if strict == Some(true) {
                rules::strict(
                    "text.format.schema",
                    &format!("response_format '{name}'"),
                    &schema,
                )?;
            }
            Ok(Some(Format::Schema(plain_schema(schema))))
        }
    }
}

#[cfg(test)]
mod tests;
