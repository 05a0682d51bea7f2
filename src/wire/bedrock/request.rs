//! Owns a request's body. Must never parse a schema or an argument: they are carried as the text that they are.
//! The model stands in the path alone.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::FORM;
use super::blocks::{self, Block, Message};
use super::family::{Additional, Family, Thinking};
use super::losses::has_calls;
use crate::wire::hub::{Format, Part, Request, Schema, Tool, ToolChoice};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_model_request_fields: Option<Additional>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<ServiceTier<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<Entry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Entry<'a> {
    #[serde(rename_all = "camelCase")]
    Tool {
        tool_spec: Spec<'a>,
    },
    CachePoint(Block<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: Json<'a>,
}

#[derive(Serialize)]
struct Json<'a> {
    json: Input<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Input<'a> {
    Schema(&'a RawValue),
    /// Any object.
    Object {
        r#type: &'static str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Choice<'a> {
    Auto {},
    Any {},
    Tool { name: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text_format: Option<TextFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
}

#[derive(Serialize)]
struct TextFormat<'a> {
    r#type: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: Definition<'a>,
}

/// The schema is a text here.
#[derive(Serialize)]
struct Definition<'a> {
    schema: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

#[derive(Serialize)]
struct ServiceTier<'a> {
    r#type: &'a str,
}

/// A service tier that Bedrock does not have.
pub(super) struct NoSuchTier;

/// The body for `model`.
pub(super) fn write(request: &Request, model: &str) -> Bytes {
    let family = Family::of(model);
    let (system, messages) = blocks::of(request, family);
    let tier = service_tier(request).unwrap_or(None);
    let body = Body {
        system,
        messages,
        inference_config: InferenceConfig::of(request, family),
        tool_config: ToolConfig::of(request, family),
        additional_model_request_fields: family.additional(request),
        output_config: OutputConfig::of(request, family),
        service_tier: tier.map(|r#type| ServiceTier { r#type }),
    };
    let json = serde_json::to_vec(&body);
    json.expect("strings, numbers and checked JSON are written")
        .into()
}

/// The tier to ask for, in Amazon's words.
pub(super) fn service_tier(request: &Request) -> Result<Option<&str>, NoSuchTier> {
    match request.service_tier.as_deref() {
        None | Some("auto") => Ok(None),
        Some("standard") => Ok(Some("default")),
        Some(tier @ ("default" | "flex" | "priority" | "reserved")) => Ok(Some(tier)),
        Some(_) => Err(NoSuchTier),
    }
}

// === impl InferenceConfig ===

impl<'a> InferenceConfig<'a> {
    fn of(request: &'a Request, family: Family) -> Self {
        let thinks = matches!(Thinking::of(request), Thinking::On { .. });
        let sampled = family.is_sampled() && !thinks;
        Self {
            max_tokens: request.max_tokens,
            temperature: request.sampling.temperature.filter(|_| sampled),
            top_p: request.sampling.top_p.filter(|_| sampled),
            stop_sequences: &request.stop,
        }
    }
}

// === impl ToolConfig ===

impl<'a> ToolConfig<'a> {
    fn of(request: &'a Request, family: Family) -> Option<Self> {
        if matches!(request.format, Format::Json) {
            return Some(Self::form(request));
        }
        let mut tools = Vec::new();
        for tool in &request.tools {
            tools.push(Entry::of(tool));
            let cache = tool.cache.as_ref().filter(|_| family.caches());
            tools.extend(cache.map(|cache| Entry::CachePoint(Block::cache_point(cache))));
        }
        if tools.is_empty() {
            tools = called(request);
        }
        // To call none cannot be said, but by declaring none.
        let none = request.tool_choice == Some(ToolChoice::None) && !has_calls(request);
        (!tools.is_empty() && !none).then(|| Self {
            tools,
            tool_choice: request
                .tool_choice
                .as_ref()
                .filter(|_| !request.tools.is_empty())
                .and_then(Choice::of),
        })
    }

    /// A tool whose input is the answer. Those called before stay declared.
    fn form(request: &'a Request) -> Self {
        let mut tools = called(request);
        let description = "Gives the answer, as one JSON object.";
        tools.push(Entry::any_object(FORM, Some(description)));
        Self {
            tools,
            tool_choice: Some(Choice::Tool { name: FORM }),
        }
    }
}

/// Tools that the conversation shows, where the request declares none: a conversation with calls is refused without.
fn called(request: &Request) -> Vec<Entry<'_>> {
    let mut names: Vec<&str> = Vec::new();
    for message in &request.messages {
        for part in &message.parts {
            let name = match part {
                Part::ToolCall(call) => Some(call.name.as_str()),
                Part::ToolResult(result) => request.tool_named(result),
                _ => None,
            };
            names.extend(name.filter(|name| !names.contains(name)));
        }
    }
    let entries = names.into_iter().map(|name| Entry::any_object(name, None));
    entries.collect()
}

// === impl Entry ===

impl<'a> Entry<'a> {
    fn of(tool: &'a Tool) -> Self {
        let description = tool.description.as_deref();
        match tool.parameters.as_deref() {
            Some(schema) => Entry::Tool {
                tool_spec: Spec {
                    name: &tool.name,
                    description: description.filter(|text| !text.is_empty()),
                    input_schema: Json {
                        json: Input::Schema(schema),
                    },
                },
            },
            None => Self::any_object(&tool.name, description),
        }
    }

    fn any_object(name: &'a str, description: Option<&'a str>) -> Self {
        Entry::Tool {
            tool_spec: Spec {
                name,
                description: description.filter(|text| !text.is_empty()),
                input_schema: Json {
                    json: Input::Object { r#type: "object" },
                },
            },
        }
    }
}

// === impl Choice ===

impl<'a> Choice<'a> {
    fn of(choice: &'a ToolChoice) -> Option<Self> {
        Some(match choice {
            ToolChoice::Auto => Choice::Auto {},
            ToolChoice::Required => Choice::Any {},
            ToolChoice::Named(name) => Choice::Tool { name },
            ToolChoice::None => return None,
        })
    }
}

// === impl OutputConfig ===

impl<'a> OutputConfig<'a> {
    fn of(request: &'a Request, family: Family) -> Option<Self> {
        let text_format = match &request.format {
            Format::Schema(form) => Some(TextFormat::of(form)),
            Format::Text | Format::Json => None,
        };
        let effort = family.effort(request);
        (text_format.is_some() || effort.is_some()).then_some(Self {
            text_format,
            effort,
        })
    }
}

// === impl TextFormat ===

impl<'a> TextFormat<'a> {
    fn of(form: &'a Schema) -> Self {
        Self {
            r#type: "json_schema",
            structure: Structure {
                json_schema: Definition {
                    schema: form.schema.get(),
                    name: &form.name,
                    description: form.description.as_deref(),
                },
            },
        }
    }
}
