//! Owns the shapes of a request of generateContent: strict, every field named.
//! Must never say what they mean: that is its parent's.

use serde::Deserialize;
use serde_json::{Map, Value};

#[expect(clippy::struct_field_names, reason = "these are the API's names")]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Request {
    pub(super) contents: Vec<Content>,
    #[serde(alias = "system_instruction")]
    pub(super) system_instruction: Option<Content>,
    pub(super) tools: Option<Vec<ToolSet>>,
    #[serde(alias = "tool_config")]
    pub(super) tool_config: Option<ToolConfig>,
    #[serde(alias = "generation_config")]
    pub(super) generation_config: Option<Config>,
    #[serde(alias = "safety_settings")]
    pub(super) safety_settings: Option<Value>,
    #[serde(alias = "cached_content")]
    pub(super) cached_content: Option<Value>,
    pub(super) labels: Option<Value>,
    #[serde(alias = "service_tier")]
    pub(super) service_tier: Option<Value>,
    pub(super) store: Option<Value>,
    /// Only countTokens has it.
    #[serde(alias = "generate_content_request")]
    pub(super) generate_content_request: Option<Value>,
    /// Inside `generateContentRequest`.
    #[serde(rename = "model")]
    pub(super) _model: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    pub(super) role: Option<String>,
    #[serde(default)]
    pub(super) parts: Vec<Piece>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Piece {
    pub(super) text: Option<String>,
    pub(super) thought: Option<bool>,
    #[serde(alias = "thought_signature")]
    pub(super) thought_signature: Option<String>,
    #[serde(alias = "inline_data")]
    pub(super) inline_data: Option<InlineData>,
    #[serde(alias = "file_data")]
    pub(super) file_data: Option<FileData>,
    #[serde(alias = "function_call")]
    pub(super) function_call: Option<FunctionCall>,
    #[serde(alias = "function_response")]
    pub(super) function_response: Option<FunctionResponse>,
    #[serde(alias = "executable_code")]
    pub(super) executable_code: Option<Value>,
    #[serde(alias = "code_execution_result")]
    pub(super) code_execution_result: Option<Value>,
    #[serde(rename = "videoMetadata", alias = "video_metadata")]
    pub(super) _video_metadata: Option<Value>,
    #[serde(rename = "mediaResolution", alias = "media_resolution")]
    pub(super) _media_resolution: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct InlineData {
    #[serde(alias = "mime_type")]
    pub(super) mime_type: String,
    pub(super) data: String,
    #[serde(rename = "displayName", alias = "display_name")]
    pub(super) _display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FileData {
    #[serde(alias = "mime_type")]
    pub(super) mime_type: Option<String>,
    #[serde(alias = "file_uri")]
    pub(super) file_uri: String,
    #[serde(rename = "displayName", alias = "display_name")]
    pub(super) _display_name: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionCall {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) args: Option<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FunctionResponse {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) response: Map<String, Value>,
    #[serde(default)]
    pub(super) parts: Vec<Piece>,
    #[serde(rename = "willContinue")]
    pub(super) _will_continue: Option<bool>,
    #[serde(rename = "scheduling")]
    pub(super) _scheduling: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolSet {
    #[serde(alias = "function_declarations")]
    pub(super) function_declarations: Vec<Declaration>,
    #[serde(alias = "google_search")]
    pub(super) google_search: Option<Value>,
    #[serde(alias = "google_search_retrieval")]
    pub(super) google_search_retrieval: Option<Value>,
    #[serde(alias = "code_execution")]
    pub(super) code_execution: Option<Value>,
    #[serde(alias = "url_context")]
    pub(super) url_context: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Declaration {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) parameters: Option<Value>,
    #[serde(alias = "parameters_json_schema")]
    pub(super) parameters_json_schema: Option<Value>,
    #[serde(rename = "behavior")]
    pub(super) _behavior: Option<String>,
    #[serde(rename = "response")]
    pub(super) _response: Option<Value>,
    #[serde(rename = "responseJsonSchema", alias = "response_json_schema")]
    pub(super) _response_json_schema: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ToolConfig {
    #[serde(alias = "function_calling_config")]
    pub(super) function_calling_config: Option<CallingConfig>,
    #[serde(rename = "retrievalConfig", alias = "retrieval_config")]
    pub(super) _retrieval_config: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CallingConfig {
    pub(super) mode: Option<String>,
    #[serde(default, alias = "allowed_function_names")]
    pub(super) allowed_function_names: Vec<String>,
}

#[expect(clippy::struct_field_names, reason = "these are the API's names")]
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Config {
    pub(super) temperature: Option<f64>,
    #[serde(alias = "top_p")]
    pub(super) top_p: Option<f64>,
    #[serde(alias = "top_k")]
    pub(super) top_k: Option<f64>,
    #[serde(alias = "candidate_count")]
    pub(super) candidate_count: Option<u64>,
    #[serde(alias = "max_output_tokens")]
    pub(super) max_output_tokens: Option<u64>,
    #[serde(alias = "stop_sequences")]
    pub(super) stop_sequences: Vec<String>,
    pub(super) seed: Option<i64>,
    #[serde(alias = "presence_penalty")]
    pub(super) presence_penalty: Option<f64>,
    #[serde(alias = "frequency_penalty")]
    pub(super) frequency_penalty: Option<f64>,
    #[serde(alias = "response_mime_type")]
    pub(super) response_mime_type: Option<String>,
    #[serde(alias = "response_schema")]
    pub(super) response_schema: Option<Value>,
    #[serde(alias = "response_json_schema", alias = "_responseJsonSchema")]
    pub(super) response_json_schema: Option<Value>,
    #[serde(alias = "thinking_config")]
    pub(super) thinking_config: Option<ThinkingConfig>,
    #[serde(alias = "response_logprobs")]
    pub(super) response_logprobs: Option<Value>,
    pub(super) logprobs: Option<Value>,
    #[serde(alias = "response_modalities")]
    pub(super) response_modalities: Option<Value>,
    #[serde(alias = "speech_config")]
    pub(super) speech_config: Option<Value>,
    #[serde(alias = "media_resolution")]
    pub(super) media_resolution: Option<Value>,
    #[serde(alias = "image_config")]
    pub(super) image_config: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ThinkingConfig {
    #[serde(alias = "include_thoughts")]
    pub(super) include_thoughts: Option<bool>,
    #[serde(alias = "thinking_budget")]
    pub(super) thinking_budget: Option<i64>,
    #[serde(alias = "thinking_level")]
    pub(super) thinking_level: Option<String>,
}
