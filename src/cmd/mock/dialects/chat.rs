//! Owns what a chat request means to the judge: the same digest as of every other dialect. What cannot be read strictly
//! is only noted, unless the script is strict.
//! Format: <https://platform.openai.com/docs/api-reference/chat>.

use serde::Deserialize;
use serde_json::{Value, json};

use super::refused::{Refused, blob_of, decoded, read};
use super::shape::{TextOr, text_at, within};
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;

/// Fields without meaning to the digest.
const HINTS: &[&str] = &[
    "user",
    "metadata",
    "service_tier",
    "store",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "prediction",
    "modalities",
    "audio",
    "verbosity",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "web_search_options",
];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    model: String,
    messages: Vec<Message>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<u64>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    seed: Option<i64>,
    presence_penalty: Option<f64>,
    frequency_penalty: Option<f64>,
    stop: Option<TextOr<String>>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    reasoning_effort: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    include_usage: Option<bool>,
    #[serde(rename = "include_obfuscation")]
    _include_obfuscation: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    role: String,
    content: Option<TextOr<Content>>,
    tool_calls: Option<Vec<ToolCall>>,
    tool_call_id: Option<String>,
    refusal: Option<String>,
    #[serde(rename = "name")]
    _name: Option<String>,
    #[serde(rename = "audio")]
    _audio: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Content {
    Text { text: String },
    Refusal { refusal: String },
    ImageUrl { image_url: ImageUrl },
    InputAudio { input_audio: InputAudio },
    File { file: File },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImageUrl {
    url: String,
    #[serde(rename = "detail")]
    _detail: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InputAudio {
    data: String,
    format: String,
}

#[expect(clippy::struct_field_names, reason = "these are the API's names")]
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    file_id: Option<String>,
    file_data: Option<String>,
    #[serde(rename = "filename")]
    _filename: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    _kind: String,
    function: Called,
    #[serde(rename = "index")]
    _index: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Called {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolSpec {
    #[serde(rename = "type")]
    _kind: String,
    function: Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
}

/// Reads a request.
pub(crate) fn understand(body: &[u8]) -> Result<Understood, Refused> {
    let mut fields: Value = read(body)?;
    let mut hints = Vec::new();
    if let Some(fields) = fields.as_object_mut() {
        hints.extend(
            HINTS
                .iter()
                .filter_map(|name| Some((*name, fields.remove(*name)?))),
        );
    }
    let request: Request = within("", fields)?;
    let mut asked = Understood::new(&request.model);
    for (name, value) in hints {
        asked.hint(name, Some(value));
    }
    for (index, message) in request.messages.into_iter().enumerate() {
        say(&mut asked, &format!("messages.{index}"), message)?;
    }
    for (index, tool) in request.tools.into_iter().flatten().enumerate() {
        let spec: ToolSpec = within(&format!("tools.{index}"), tool)?;
        let function = spec.function;
        super::responses::rules::name(&format!("tools.{index}.function.name"), &function.name)?;
        asked.tools.push(Tool {
            strict: function.strict == Some(true),
            ..Tool::function(&function.name, function.description, function.parameters)
        });
    }
    let choice = request.tool_choice.as_ref().map(read_choice).transpose()?;
    asked.choose(choice, request.parallel_tool_calls);
    asked.format = request
        .response_format
        .as_ref()
        .map(read_format)
        .transpose()?
        .flatten();
    asked.stream = request.stream.unwrap_or(false);
    asked.include_usage = request
        .stream_options
        .and_then(|options| options.include_usage)
        .unwrap_or(false);
    asked.n = request.n.unwrap_or(1);
    asked.max_tokens = request.max_completion_tokens.or(request.max_tokens);
    asked.stop = match request.stop {
        None => Vec::new(),
        Some(TextOr::Text(text)) => vec![text],
        Some(TextOr::Many(texts)) => texts,
    };
    asked.sample("temperature", request.temperature);
    asked.sample("top_p", request.top_p);
    asked.sample("seed", request.seed.map(|seed| seed as f64));
    asked.sample("presence_penalty", request.presence_penalty);
    asked.sample("frequency_penalty", request.frequency_penalty);
    asked.reasoning = request.reasoning_effort.map(|effort| Reasoning {
        on: effort != "none",
        effort: Some(effort).filter(|effort| effort != "none"),
        budget: None,
    });
    Ok(asked)
}

fn say(asked: &mut Understood, path: &str, message: Message) -> Result<(), Refused> {
    let mut said = match message.content {
        None => Vec::new(),
        Some(content) => parts(&format!("{path}.content"), content)?,
    };
    said.extend(message.refusal.map(Part::Text));
    match message.role.as_str() {
        "system" | "developer" => {
            for part in said {
                let Part::Text(text) = part else {
                    return Err(Refused::because(
                        path,
                        "Only text is supported in this role.",
                    ));
                };
                asked.instruct(&text);
            }
        }
        "user" => asked.say(Role::User, said),
        "assistant" => {
            for call in message.tool_calls.into_iter().flatten() {
                let text = call.function.arguments;
                let arguments = serde_json::from_str(&text).unwrap_or(Value::String(text));
                said.push(asked.call(&call.id, &call.function.name, arguments));
            }
            asked.say(Role::Assistant, said);
        }
        "tool" => {
            let id = message.tool_call_id.and_then(|id| asked.number_of(&id));
            let Some(id) = id else {
                let said = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.";
                return Err(Refused::because(path, said));
            };
            let content = said.into_iter().map(|part| match part {
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
        role => {
            let said = format!(
                "Invalid value: '{role}'. Supported values are: 'system', 'assistant', 'user', 'tool', and 'developer'."
            );
            return Err(Refused::because(&format!("{path}.role"), said));
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
            Content::Refusal { refusal } => Part::Text(refusal),
            Content::ImageUrl { image_url } => Part::Image(blob_of(path, &image_url.url)?),
            Content::InputAudio { input_audio } => {
                let bytes = decoded(path, &input_audio.data)?;
                Part::Audio(Blob::bytes(
                    &format!("audio/{}", input_audio.format),
                    &bytes,
                ))
            }
            Content::File { file } => Part::Document(match (file.file_id, file.file_data) {
                (Some(id), None) => Blob::file(&id),
                (None, Some(data)) => blob_of(path, &data)?,
                _ => {
                    return Err(Refused::because(
                        path,
                        "One of file_id and file_data is required.",
                    ));
                }
            }),
        })
    });
    parts.collect()
}

fn read_choice(choice: &Value) -> Result<Choice, Refused> {
    let named = choice.pointer("/function/name").and_then(Value::as_str);
    match (choice.as_str(), named, text_at(choice, "type")) {
        (Some("auto"), ..) => Ok(Choice::Auto),
        (Some("none"), ..) => Ok(Choice::None),
        (Some("required"), ..) => Ok(Choice::Required),
        (None, Some(name), Some("function")) => Ok(Choice::Named(name.to_owned())),
        (None, None, Some("allowed_tools")) => {
            let tools = choice
                .pointer("/allowed_tools/tools")
                .and_then(Value::as_array);
            let names = tools.into_iter().flatten();
            let names = names
                .filter_map(|tool| tool.pointer("/function/name")?.as_str().map(str::to_owned));
            Ok(match choice.pointer("/allowed_tools/mode") {
                Some(mode) if mode == "required" => Choice::OneOf(names.collect()),
                _ => Choice::Auto,
            })
        }
        _ => Err(Refused::because(
            "tool_choice",
            "Invalid value: the choice is none of those that are known.",
        )),
    }
}

fn read_format(format: &Value) -> Result<Option<Format>, Refused> {
    match text_at(format, "type") {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(Format::Json)),
        Some("json_schema") => {
            let schema = format
                .pointer("/json_schema/schema")
                .cloned()
                .unwrap_or(json!({}));
            Ok(Some(Format::Schema(plain_schema(schema))))
        }
        _ => Err(Refused::because(
            "response_format.type",
            "Invalid value: the format is none of those that are known.",
        )),
    }
}

#[cfg(test)]
mod tests;
