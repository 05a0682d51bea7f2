//! Owns what a request of the Responses API means, and the errors of that API.
//! Format: <https://platform.openai.com/docs/api-reference/responses>.
//! Must never take what the API refuses. The answers are in `responses/answer`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::refused::{Refused, blob_of, read};
use super::seal;
use super::shape::{TextOr, text_at, within};
use super::trouble::Trouble;
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
pub(crate) mod rules;

/// Who seals reasoning here.
pub(crate) const ORIGIN: &str = "openai";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    model: String,
    input: TextOr<Value>,
    instructions: Option<String>,
    include: Option<Vec<String>>,
    max_output_tokens: Option<u64>,
    parallel_tool_calls: Option<bool>,
    previous_response_id: Option<String>,
    reasoning: Option<Thinking>,
    store: Option<bool>,
    stream: Option<bool>,
    temperature: Option<f64>,
    text: Option<TextConfig>,
    tool_choice: Option<Value>,
    tools: Option<Vec<Value>>,
    top_p: Option<f64>,
    background: Option<Value>,
    conversation: Option<Value>,
    max_tool_calls: Option<Value>,
    metadata: Option<Value>,
    prompt: Option<Value>,
    prompt_cache_key: Option<Value>,
    prompt_cache_retention: Option<Value>,
    safety_identifier: Option<Value>,
    service_tier: Option<Value>,
    stream_options: Option<Value>,
    top_logprobs: Option<Value>,
    truncation: Option<Value>,
    user: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Thinking {
    effort: Option<String>,
    summary: Option<String>,
    #[serde(rename = "generate_summary")]
    _generate_summary: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextConfig {
    format: Option<TextFormat>,
    verbosity: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum TextFormat {
    Text {},
    JsonObject {},
    JsonSchema {
        name: String,
        schema: Value,
        strict: Option<bool>,
        #[serde(rename = "description")]
        _description: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Item {
    Message {
        role: String,
        content: TextOr<Content>,
        #[serde(rename = "id")]
        _id: Option<String>,
        #[serde(rename = "status")]
        _status: Option<String>,
        #[serde(rename = "phase")]
        _phase: Option<String>,
    },
    FunctionCall {
        call_id: String,
        name: String,
        arguments: String,
        #[serde(rename = "id")]
        _id: Option<String>,
        #[serde(rename = "status")]
        _status: Option<String>,
    },
    FunctionCallOutput {
        call_id: String,
        output: TextOr<Content>,
        #[serde(rename = "id")]
        _id: Option<String>,
        #[serde(rename = "status")]
        _status: Option<String>,
    },
    Reasoning {
        id: Option<String>,
        #[serde(rename = "summary")]
        _summary: Vec<Summary>,
        encrypted_content: Option<String>,
        #[serde(rename = "content")]
        _content: Option<Vec<Value>>,
        #[serde(rename = "status")]
        _status: Option<String>,
    },
    ItemReference {
        id: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Summary {
    SummaryText {
        #[serde(rename = "text")]
        _text: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum Content {
    InputText {
        text: String,
    },
    InputImage {
        image_url: Option<String>,
        file_id: Option<String>,
        #[serde(rename = "detail")]
        _detail: Option<String>,
    },
    InputFile {
        file_id: Option<String>,
        file_data: Option<String>,
        file_url: Option<String>,
        #[serde(rename = "filename")]
        _filename: Option<String>,
    },
    OutputText {
        text: String,
        #[serde(rename = "annotations")]
        _annotations: Option<Value>,
        #[serde(rename = "logprobs")]
        _logprobs: Option<Value>,
    },
    Refusal {
        refusal: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
    #[serde(rename = "type")]
    _kind: String,
}

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

fn read_choice(choice: Value, asked: &Understood) -> Result<Choice, Refused> {
    let refused = |said: String| Err(Refused::because("tool_choice", said));
    let found = |name: &str| asked.tools.iter().any(|tool| tool.name == name);
    let kind = choice
        .as_str()
        .or_else(|| text_at(&choice, "type"))
        .unwrap_or("");
    match kind {
        "auto" => Ok(Choice::Auto),
        "none" => Ok(Choice::None),
        "required" if asked.tools.is_empty() => {
            refused("Tool choice 'required' must be specified with 'tools' parameter.".to_owned())
        }
        "required" => Ok(Choice::Required),
        "function" => match text_at(&choice, "name") {
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
            Ok(match text_at(&choice, "mode") {
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

/// The body of an error; `prompt` is the name of the parameter that holds the conversation.
pub(crate) fn error(trouble: &Trouble, prompt: &str) -> Value {
    json!({"error": facts(trouble, prompt)})
}

/// The error inside.
pub(crate) fn facts(trouble: &Trouble, prompt: &str) -> Value {
    let invalid = "invalid_request_error";
    let (kind, param, code) = match trouble {
        Trouble::Refused(refused) => return refusal(refused),
        Trouble::NoKey => (invalid, None, None),
        Trouble::WrongKey => (invalid, None, Some("invalid_api_key")),
        Trouble::NotFound => (invalid, Some("model"), Some("model_not_found")),
        Trouble::ContextLength => (invalid, Some(prompt), Some("context_length_exceeded")),
        Trouble::ContentPolicy => (invalid, None, Some("content_policy_violation")),
        Trouble::Prefill => (invalid, Some(prompt), None),
        Trouble::Quota => ("insufficient_quota", None, Some("insufficient_quota")),
        Trouble::RateLimit => ("requests", None, Some("rate_limit_exceeded")),
        Trouble::Server => ("server_error", None, Some("server_error")),
        Trouble::Overloaded => ("server_error", None, Some("server_is_overloaded")),
        Trouble::Timeout => ("server_error", None, Some("timeout")),
        Trouble::Invalid | Trouble::TooLarge | Trouble::Forbidden => (invalid, None, None),
    };
    json!({"message": trouble.sentence(), "type": kind, "param": param, "code": code})
}

fn refusal(refused: &Refused) -> Value {
    let path = refused.bracketed();
    let (message, code) = match (&refused.unknown, &refused.missing) {
        (Some(_), _) => (
            format!("Unknown parameter: '{path}'."),
            Some("unknown_parameter"),
        ),
        (None, Some(_)) => (
            format!("Missing required parameter: '{path}'."),
            Some("missing_required_parameter"),
        ),
        (None, None) if refused.message.starts_with("invalid type") => (
            format!("Invalid type for '{path}': {}.", refused.message),
            Some("invalid_type"),
        ),
        (None, None) => (refused.message.clone(), rules::code(&refused.message)),
    };
    let param = Some(path).filter(|path| !path.is_empty());
    json!({"message": message, "type": "invalid_request_error", "param": param, "code": code})
}

#[cfg(test)]
mod tests;
