//! Owns a request's body. Must never parse a schema or an argument: they are carried as the text that they are.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::contents::{self, Content};
use super::thinking::{self, ThinkingConfig};
use crate::wire::hub::{Format, Request, Tool, ToolChoice};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<[Tools<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    generation_config: GenerationConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

/// `parametersJsonSchema` stands for `parameters`, which takes only OpenAPI's subset; they exclude each other.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a RawValue>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

/// A service tier that Google does not have.
pub(super) struct NoSuchTier;

/// The body for `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let has_tools = !request.tools.is_empty();
    let (system_instruction, contents) = contents::of(request, thinking::has_levels(model));
    let body = Body {
        system_instruction,
        contents,
        tools: has_tools.then(|| {
            [Tools {
                function_declarations: request.tools.iter().map(Declaration::of).collect(),
            }]
        }),
        // It is refused where no tool is declared.
        tool_config: request
            .tool_choice
            .as_ref()
            .filter(|_| has_tools)
            .map(ToolConfig::of),
        generation_config: GenerationConfig::of(request, model),
        service_tier: service_tier(request).unwrap_or(None),
    };
    let json = serde_json::to_vec(&body);
    json.expect("strings, numbers and checked JSON are written")
        .into()
}

/// The tier to ask for, in Google's words.
pub(super) fn service_tier(request: &Request) -> Result<Option<&str>, NoSuchTier> {
    match request.service_tier.as_deref() {
        None | Some("auto" | "default") => Ok(None),
        Some(tier @ ("standard" | "flex" | "priority")) => Ok(Some(tier)),
        Some(_) => Err(NoSuchTier),
    }
}

// === impl Declaration ===

impl<'a> Declaration<'a> {
    fn of(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: tool.parameters.as_deref(),
        }
    }
}

// === impl ToolConfig ===

impl<'a> ToolConfig<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        let (mode, name) = match choice {
            ToolChoice::Auto => ("AUTO", None),
            ToolChoice::None => ("NONE", None),
            ToolChoice::Required => ("ANY", None),
            ToolChoice::Named(name) => ("ANY", Some([name.as_str()])),
        };
        Self {
            function_calling_config: Calling {
                mode,
                allowed_function_names: name,
            },
        }
    }
}

// === impl GenerationConfig ===

impl<'a> GenerationConfig<'a> {
    fn of(request: &'a Request, model: &str) -> Self {
        let sampling = &request.sampling;
        let (response_mime_type, response_json_schema) = match &request.format {
            Format::Text => (None, None),
            Format::Json => (Some("application/json"), None),
            Format::Schema(form) => (Some("application/json"), Some(&*form.schema)),
        };
        let reasoning = request.reasoning.as_ref();
        Self {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            candidate_count: (request.choices > 1).then_some(request.choices),
            max_output_tokens: request.max_tokens,
            stop_sequences: &request.stop,
            seed: sampling.seed.and_then(|seed| seed.try_into().ok()),
            presence_penalty: sampling.presence_penalty,
            frequency_penalty: sampling.frequency_penalty,
            response_mime_type,
            response_json_schema,
            thinking_config: reasoning.map(|reasoning| thinking::config(reasoning, model)),
        }
    }
}
