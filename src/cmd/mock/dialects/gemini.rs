//! Owns what a request of Gemini's generateContent means, and the errors of that API.
//! Format: <https://ai.google.dev/api/generate-content>.
//! Must never take what the API refuses. The answers are in `gemini/answer`, schemas in `gemini/schema`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::{Map, Value};

use super::refused::{Refused, decoded, read};
use super::understood::{
    Blob, Choice, Format, Part, Reasoning, Role, Tool, Understood, plain_schema, tool_text,
};

pub(crate) mod answer;
mod errors;
mod rules;
mod schema;
mod request;

pub(crate) use errors::error;
use request::{CallingConfig, Config, Content, FunctionResponse, Piece, Request, ToolSet};

/// Who seals thoughts here.
pub(crate) const ORIGIN: &str = "gemini";
/// Taken instead of a signature, as the API's documentation offers to those who have none.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

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

#[cfg(test)]
mod tests;
