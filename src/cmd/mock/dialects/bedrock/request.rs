//! Owns the shapes of a request of Converse: strict, every field named.
//! Must never say what they mean: that is its parent's.

use serde::Deserialize;
use serde_json::{Map, Value};

#[expect(clippy::struct_field_names, reason = "these are the API's names")]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Request {
    pub(super) messages: Vec<Message>,
    #[serde(default)]
    pub(super) system: Vec<Block>,
    #[serde(default)]
    pub(super) inference_config: InferenceConfig,
    pub(super) tool_config: Option<ToolConfig>,
    #[serde(default)]
    pub(super) additional_model_request_fields: Map<String, Value>,
    pub(super) output_config: Option<OutputConfig>,
    pub(super) additional_model_response_field_paths: Option<Value>,
    pub(super) guardrail_config: Option<Value>,
    pub(super) performance_config: Option<Value>,
    pub(super) prompt_variables: Option<Value>,
    pub(super) request_metadata: Option<Value>,
    pub(super) service_tier: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: Vec<Block>,
}

/// A union: one of these fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Block {
    pub(super) text: Option<String>,
    pub(super) image: Option<Media>,
    pub(super) document: Option<Document>,
    pub(super) video: Option<Media>,
    pub(super) audio: Option<Media>,
    pub(super) tool_use: Option<ToolUse>,
    pub(super) tool_result: Option<ToolResult>,
    pub(super) reasoning_content: Option<ReasoningContent>,
    pub(super) cache_point: Option<CachePoint>,
    pub(super) guard_content: Option<Value>,
    pub(super) citations_content: Option<Value>,
    pub(super) search_result: Option<Value>,
    /// Only in results of tools.
    pub(super) json: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Media {
    pub(super) format: String,
    pub(super) source: Source,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) format: Option<String>,
    pub(super) name: String,
    pub(super) source: Source,
    #[serde(rename = "context")]
    pub(super) _context: Option<String>,
    #[serde(rename = "citations")]
    pub(super) _citations: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Source {
    pub(super) bytes: Option<String>,
    pub(super) s3_location: Option<S3Location>,
    pub(super) text: Option<String>,
    pub(super) content: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct S3Location {
    pub(super) uri: String,
    #[serde(rename = "bucketOwner")]
    pub(super) _owner: Option<String>,
}

#[expect(clippy::struct_field_names, reason = "these are the API's names")]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolUse {
    pub(super) tool_use_id: String,
    pub(super) name: String,
    pub(super) input: Value,
    #[serde(rename = "type")]
    pub(super) _kind: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolResult {
    pub(super) tool_use_id: String,
    pub(super) content: Vec<Block>,
    pub(super) status: Option<String>,
    #[serde(rename = "type")]
    pub(super) _kind: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ReasoningContent {
    pub(super) reasoning_text: Option<ReasoningText>,
    pub(super) redacted_content: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReasoningText {
    pub(super) text: String,
    pub(super) signature: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    pub(super) _kind: String,
    #[serde(rename = "ttl")]
    pub(super) _ttl: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InferenceConfig {
    pub(super) max_tokens: Option<i64>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) stop_sequences: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolConfig {
    pub(super) tools: Vec<AnyTool>,
    pub(super) tool_choice: Option<ToolChoice>,
}

/// A union: one of these fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AnyTool {
    pub(super) tool_spec: Option<ToolSpec>,
    pub(super) system_tool: Option<SystemTool>,
    pub(super) cache_point: Option<CachePoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolSpec {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) input_schema: InputSchema,
    pub(super) strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSchema {
    pub(super) json: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SystemTool {
    pub(super) name: String,
}

/// A union: one of these fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ToolChoice {
    pub(super) auto: Option<Empty>,
    pub(super) any: Option<Empty>,
    pub(super) tool: Option<Named>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Empty {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct OutputConfig {
    pub(super) text_format: Option<TextFormat>,
    pub(super) effort: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextFormat {
    #[serde(rename = "type")]
    pub(super) _kind: String,
    pub(super) structure: Structure,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Structure {
    pub(super) json_schema: JsonSchema,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonSchema {
    /// JSON in a string.
    pub(super) schema: String,
    #[serde(rename = "name")]
    pub(super) _name: Option<String>,
    #[serde(rename = "description")]
    pub(super) _description: Option<String>,
}
