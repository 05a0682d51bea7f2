//! Owns what a request of Gemini's generateContent means, and the errors of that API.
//! Format: <https://ai.google.dev/api/generate-content>.
//! Must never take what the API refuses. The answers are in `gemini/answer`, schemas in `gemini/schema`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::refused::{Refused, decoded, read};
use super::trouble::Trouble;
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod rules;
mod schema;

/// Who seals thoughts here.
pub(crate) const ORIGIN: &str = "gemini";
/// Taken instead of a signature, as the API's documentation offers to those who have none.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    contents: Vec<Content>,
    #[serde(alias = "system_instruction")]
    system_instruction: Option<Content>,
    tools: Option<Vec<ToolSet>>,
    #[serde(alias = "tool_config")]
    tool_config: Option<ToolConfig>,
    #[serde(alias = "generation_config")]
    generation_config: Option<Config>,
    #[serde(alias = "safety_settings")]
    safety_settings: Option<Value>,
    #[serde(alias = "cached_content")]
    cached_content: Option<Value>,
    labels: Option<Value>,
    #[serde(alias = "service_tier")]
    service_tier: Option<Value>,
    store: Option<Value>,
    /// Only countTokens has it.
    #[serde(alias = "generate_content_request")]
    generate_content_request: Option<Value>,
    /// Inside `generateContentRequest`.
    #[serde(rename = "model")]
    _model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    role: Option<String>,
    #[serde(default)]
    parts: Vec<Piece>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Piece {
    text: Option<String>,
    thought: Option<bool>,
    #[serde(alias = "thought_signature")]
    thought_signature: Option<String>,
    #[serde(alias = "inline_data")]
    inline_data: Option<InlineData>,
    #[serde(alias = "file_data")]
    file_data: Option<FileData>,
    #[serde(alias = "function_call")]
    function_call: Option<FunctionCall>,
    #[serde(alias = "function_response")]
    function_response: Option<FunctionResponse>,
    #[serde(alias = "executable_code")]
    executable_code: Option<Value>,
    #[serde(alias = "code_execution_result")]
    code_execution_result: Option<Value>,
    #[serde(rename = "videoMetadata", alias = "video_metadata")]
    _video_metadata: Option<Value>,
    #[serde(rename = "mediaResolution", alias = "media_resolution")]
    _media_resolution: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct InlineData {
    #[serde(alias = "mime_type")]
    mime_type: String,
    data: String,
    #[serde(rename = "displayName", alias = "display_name")]
    _display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FileData {
    #[serde(alias = "mime_type")]
    mime_type: Option<String>,
    #[serde(alias = "file_uri")]
    file_uri: String,
    #[serde(rename = "displayName", alias = "display_name")]
    _display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FunctionCall {
    id: Option<String>,
    name: String,
    args: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FunctionResponse {
    id: Option<String>,
    name: String,
    response: Map<String, Value>,
    #[serde(default)]
    parts: Vec<Piece>,
    #[serde(rename = "willContinue")]
    _will_continue: Option<bool>,
    #[serde(rename = "scheduling")]
    _scheduling: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ToolSet {
    #[serde(alias = "function_declarations")]
    function_declarations: Vec<Declaration>,
    #[serde(alias = "google_search")]
    google_search: Option<Value>,
    #[serde(alias = "google_search_retrieval")]
    google_search_retrieval: Option<Value>,
    #[serde(alias = "code_execution")]
    code_execution: Option<Value>,
    #[serde(alias = "url_context")]
    url_context: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Declaration {
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    #[serde(alias = "parameters_json_schema")]
    parameters_json_schema: Option<Value>,
    #[serde(rename = "behavior")]
    _behavior: Option<String>,
    #[serde(rename = "response")]
    _response: Option<Value>,
    #[serde(rename = "responseJsonSchema", alias = "response_json_schema")]
    _response_json_schema: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ToolConfig {
    #[serde(alias = "function_calling_config")]
    function_calling_config: Option<CallingConfig>,
    #[serde(rename = "retrievalConfig", alias = "retrieval_config")]
    _retrieval_config: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CallingConfig {
    mode: Option<String>,
    #[serde(default, alias = "allowed_function_names")]
    allowed_function_names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    temperature: Option<f64>,
    #[serde(alias = "top_p")]
    top_p: Option<f64>,
    #[serde(alias = "top_k")]
    top_k: Option<f64>,
    #[serde(alias = "candidate_count")]
    candidate_count: Option<u64>,
    #[serde(alias = "max_output_tokens")]
    max_output_tokens: Option<u64>,
    #[serde(alias = "stop_sequences")]
    stop_sequences: Vec<String>,
    seed: Option<i64>,
    #[serde(alias = "presence_penalty")]
    presence_penalty: Option<f64>,
    #[serde(alias = "frequency_penalty")]
    frequency_penalty: Option<f64>,
    #[serde(alias = "response_mime_type")]
    response_mime_type: Option<String>,
    #[serde(alias = "response_schema")]
    response_schema: Option<Value>,
    #[serde(alias = "response_json_schema", alias = "_responseJsonSchema")]
    response_json_schema: Option<Value>,
    #[serde(alias = "thinking_config")]
    thinking_config: Option<ThinkingConfig>,
    #[serde(alias = "response_logprobs")]
    response_logprobs: Option<Value>,
    logprobs: Option<Value>,
    #[serde(alias = "response_modalities")]
    response_modalities: Option<Value>,
    #[serde(alias = "speech_config")]
    speech_config: Option<Value>,
    #[serde(alias = "media_resolution")]
    media_resolution: Option<Value>,
    #[serde(alias = "image_config")]
    image_config: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct ThinkingConfig {
    #[serde(alias = "include_thoughts")]
    include_thoughts: Option<bool>,
    #[serde(alias = "thinking_budget")]
    thinking_budget: Option<i64>,
    #[serde(alias = "thinking_level")]
    thinking_level: Option<String>,
}

/// Reads a request for `model`.
pub(crate) fn understand(body: &[u8], model: &str, streams: bool) -> Result<Understood, Refused> {
    let mut request: Request = read(body)?;
    let mut asked = Understood::new(model);
    asked.stream = streams;
    asked.include_usage = true;
    let config = request.generation_config.take().unwrap_or_default();
    rules::check(&request, &config, model)?;
    for piece in request
        .system_instruction
        .into_iter()
        .flat_map(|content| content.parts)
    {
        match piece.text {
            Some(text) => asked.instruct(&text),
            None => {
                return Err(Refused::because(
                    "system_instruction",
                    "System instruction should be text only.",
                ));
            }
        }
    }
    for (index, content) in request.contents.into_iter().enumerate() {
        let role = match content.role.as_deref() {
            Some("model") => Role::Assistant,
            _ => Role::User,
        };
        let path = format!("contents.{index}.parts");
        let parts = parts(&mut asked, &path, content.parts)?;
        asked.say(role, parts);
    }
    for (index, set) in request.tools.into_iter().flatten().enumerate() {
        read_tools(&mut asked, &format!("tools.{index}"), set)?;
    }
    let calling = request
        .tool_config
        .and_then(|config| config.function_calling_config);
    let choice = calling.map(read_choice).transpose()?;
    asked.choose(choice, None);
    configure(&mut asked, config)?;
    let hints = [
        ("safetySettings", request.safety_settings),
        ("cachedContent", request.cached_content),
        ("labels", request.labels),
        ("serviceTier", request.service_tier),
        ("store", request.store),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    Ok(asked)
}

/// Reads a request to count tokens: the contents, or a whole request inside.
pub(crate) fn understand_count(body: &[u8], model: &str) -> Result<Understood, Refused> {
    let fields: Map<String, Value> = read(body)?;
    let inside = ["generateContentRequest", "generate_content_request"];
    match inside.iter().find_map(|name| fields.get(*name)) {
        Some(request) => understand(request.to_string().as_bytes(), model, false),
        None => understand(body, model, false),
    }
}

fn configure(asked: &mut Understood, config: Config) -> Result<(), Refused> {
    asked.sample("temperature", config.temperature);
    asked.sample("top_p", config.top_p);
    asked.sample("top_k", config.top_k);
    asked.sample("presence_penalty", config.presence_penalty);
    asked.sample("frequency_penalty", config.frequency_penalty);
    asked.sample("seed", config.seed.map(|seed| seed as f64));
    asked.n = config.candidate_count.unwrap_or(1);
    asked.max_tokens = config.max_output_tokens;
    asked.stop = config.stop_sequences;
    if config.response_mime_type.as_deref() == Some("application/json") {
        let path = "generation_config.response_schema";
        let schema = match (config.response_schema, config.response_json_schema) {
            (Some(_), Some(_)) => {
                return Err(Refused::because(
                    path,
                    "Only one kind of response schema may be set.",
                ));
            }
            (Some(schema), None) => Some(schema::plain(path, schema)?),
            (None, schema) => schema,
        };
        asked.format =
            Some(schema.map_or(Format::Json, |schema| Format::Schema(plain_schema(schema))));
    }
    if let Some(thinking) = config.thinking_config {
        asked.shows_reasoning = thinking.include_thoughts == Some(true);
        let budget = thinking
            .thinking_budget
            .and_then(|budget| u64::try_from(budget).ok());
        asked.reasoning = Some(Reasoning {
            on: budget != Some(0),
            effort: thinking
                .thinking_level
                .map(|level| level.to_ascii_lowercase()),
            budget: budget.filter(|budget| *budget > 0),
        });
    }
    let hints = [
        ("responseLogprobs", config.response_logprobs),
        ("logprobs", config.logprobs),
        ("responseModalities", config.response_modalities),
        ("speechConfig", config.speech_config),
        ("mediaResolution", config.media_resolution),
        ("imageConfig", config.image_config),
    ];
    for (name, value) in hints {
        asked.hint(name, value);
    }
    Ok(())
}

fn read_tools(asked: &mut Understood, path: &str, set: ToolSet) -> Result<(), Refused> {
    for (index, declared) in set.function_declarations.into_iter().enumerate() {
        let path = format!("{path}.function_declarations.{index}");
        rules::name(&path, &declared.name)?;
        let schema = match (declared.parameters, declared.parameters_json_schema) {
            (Some(_), Some(_)) => {
                return Err(Refused::because(
                    &path,
                    "parameters and parameters_json_schema exclude each other.",
                ));
            }
            (Some(schema), None) => Some(schema::plain(&format!("{path}.parameters"), schema)?),
            (None, schema) => schema,
        };
        asked
            .tools
            .push(Tool::function(&declared.name, declared.description, schema));
    }
    let servers = [
        ("google_search", set.google_search),
        ("google_search_retrieval", set.google_search_retrieval),
        ("code_execution", set.code_execution),
        ("url_context", set.url_context),
    ];
    let named = servers.into_iter().filter(|(_, config)| config.is_some());
    asked
        .tools
        .extend(named.map(|(name, _)| Tool::server(name)));
    Ok(())
}

fn read_choice(config: CallingConfig) -> Result<Choice, Refused> {
    let names = config.allowed_function_names;
    let mode = config.mode.unwrap_or_default().to_ascii_uppercase();
    if !names.is_empty() && !matches!(mode.as_str(), "ANY" | "VALIDATED") {
        let said = "allowed_function_names may only be set when the mode is ANY or VALIDATED.";
        return Err(Refused::because(
            "tool_config.function_calling_config",
            said,
        ));
    }
    Ok(match mode.as_str() {
        "NONE" => Choice::None,
        "ANY" if names.is_empty() => Choice::Required,
        "ANY" if names.len() == 1 => Choice::Named(names.concat()),
        "ANY" => Choice::OneOf(names),
        _ => Choice::Auto,
    })
}

fn parts(asked: &mut Understood, path: &str, pieces: Vec<Piece>) -> Result<Vec<Part>, Refused> {
    // Answers without ids answer the calls of their name in order.
    let mut answered = Vec::new();
    let mut parts = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        parts.extend(part(
            asked,
            &format!("{path}.{index}"),
            piece,
            &mut answered,
        )?);
    }
    Ok(parts)
}

fn part(
    asked: &mut Understood,
    path: &str,
    piece: Piece,
    answered: &mut Vec<usize>,
) -> Result<Option<Part>, Refused> {
    rules::piece(path, &piece)?;
    Ok(Some(match piece {
        Piece {
            text: Some(text),
            thought: Some(true),
            ..
        } => Part::Reasoning(text),
        Piece {
            text: Some(text), ..
        } => Part::Text(text),
        Piece {
            inline_data: Some(data),
            ..
        } => {
            let path = format!("{path}.inline_data.data");
            let bytes = URL_SAFE
                .decode(&data.data)
                .or_else(|_| decoded(&path, &data.data))?;
            Blob::bytes(&data.mime_type, &bytes).part()
        }
        Piece {
            file_data: Some(file),
            ..
        } => {
            let kind = Blob::bytes(file.mime_type.as_deref().unwrap_or(""), &[]);
            match kind.part() {
                Part::Image(_) => Part::Image(Blob::url(&file.file_uri)),
                Part::Audio(_) => Part::Audio(Blob::url(&file.file_uri)),
                Part::Video(_) => Part::Video(Blob::url(&file.file_uri)),
                _ => Part::Document(Blob::url(&file.file_uri)),
            }
        }
        Piece {
            function_call: Some(call),
            ..
        } => {
            let id = call.id.unwrap_or_default();
            asked.call(
                &id,
                &call.name,
                Value::Object(call.args.unwrap_or_default()),
            )
        }
        Piece {
            function_response: Some(response),
            ..
        } => result(asked, path, response, answered)?,
        _ => return Ok(None),
    }))
}

fn result(
    asked: &mut Understood,
    path: &str,
    response: FunctionResponse,
    answered: &mut Vec<usize>,
) -> Result<Part, Refused> {
    let by_id = response.id.as_deref().and_then(|id| asked.number_of(id));
    let first = asked.ids.len().saturating_sub(rules::calls_before(asked));
    let by_name = || {
        (first..asked.ids.len())
            .find(|number| asked.called[*number] == response.name && !answered.contains(number))
    };
    let Some(id) = by_id.or_else(by_name) else {
        return Err(Refused::because(
            path,
            format!("No function call of the name {} is open.", response.name),
        ));
    };
    answered.push(id);
    let (said, error) = rules::unwrapped(response.response);
    let mut content = vec![match said {
        Value::String(text) => tool_text(&text),
        other => Part::Json(super::understood::canonical(other)),
    }];
    content.extend(parts(
        asked,
        &format!("{path}.function_response.parts"),
        response.parts,
    )?);
    Ok(Part::Result { id, content, error })
}

/// The body of an error with a status of HTTP.
pub(crate) fn error(trouble: &Trouble, status: u16, retry_after: Option<&str>) -> Value {
    let name = match status {
        400 | 413 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        402 | 429 => "RESOURCE_EXHAUSTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "FAILED_PRECONDITION",
    };
    let mut error = json!({"code": status, "message": sentence(trouble), "status": name});
    if let Some(details) = details(trouble, retry_after) {
        error["details"] = details;
    }
    json!({"error": error})
}

fn sentence(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Refused(refused) => refusal(refused),
        Trouble::WrongKey => {
            "API key not valid. This mock takes the keys of its script.".to_owned()
        }
        Trouble::NoKey => {
            "The method takes no callers without an identity; pass an API key.".to_owned()
        }
        Trouble::ContextLength => {
            "The input token count (9000) exceeds the maximum number of tokens allowed (8192)."
                .to_owned()
        }
        Trouble::Overloaded => "The model is overloaded. Please try again later.".to_owned(),
        other => other.sentence(),
    }
}

fn refusal(refused: &Refused) -> String {
    let place = |refused: &Refused| {
        let way = Refused {
            unknown: None,
            missing: None,
            ..refused.clone()
        };
        way.bracketed()
    };
    match (&refused.unknown, &refused.missing) {
        (Some(name), _) => {
            let mut parent = refused.clone();
            parent
                .path
                .pop_if(|step| matches!(step, super::refused::Step::Name(last) if last == name));
            let at = match place(&parent).as_str() {
                "" => String::new(),
                way => format!(" at '{way}'"),
            };
            format!(
                "Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field."
            )
        }
        (None, Some(_)) => format!(
            "{}: the field is required and not specified.",
            refused.bracketed()
        ),
        (None, None) => match place(refused).as_str() {
            "" => refused.message.clone(),
            way if refused.message.starts_with("invalid ") => {
                format!("Invalid value at '{way}': {}", refused.message)
            }
            way => format!("* GenerateContentRequest.{way}: {}", refused.message),
        },
    }
}

fn details(trouble: &Trouble, retry_after: Option<&str>) -> Option<Value> {
    let of = |kind: &str| format!("type.googleapis.com/google.rpc.{kind}");
    match trouble {
        Trouble::Refused(refused) if refused.unknown.is_some() => Some(json!([{
            "@type": of("BadRequest"),
            "fieldViolations": [{"field": refused.bracketed(), "description": refusal(refused)}],
        }])),
        Trouble::WrongKey => Some(json!([{
            "@type": of("ErrorInfo"), "reason": "API_KEY_INVALID", "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }])),
        Trouble::RateLimit | Trouble::Quota => {
            let quota = if *trouble == Trouble::Quota {
                "PerDay"
            } else {
                "PerMinute"
            };
            let id = format!("GenerateRequests{quota}PerProjectPerModel");
            let mut details =
                vec![json!({"@type": of("QuotaFailure"), "violations": [{"quotaId": id}]})];
            let seconds = retry_after.filter(|value| value.parse::<f64>().is_ok());
            details.extend(
                seconds.map(
                    |value| json!({"@type": of("RetryInfo"), "retryDelay": format!("{value}s")}),
                ),
            );
            Some(details.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
