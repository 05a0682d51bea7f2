//! Owns the shapes of a request of the Responses API: strict, every field named.
//! Must never say what they mean: that is its parent's.

use serde::Deserialize;
use serde_json::Value;

use crate::cmd::mock::dialects::shape::TextOr;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) input: TextOr<Value>,
    pub(super) instructions: Option<String>,
    pub(super) include: Option<Vec<String>>,
    pub(super) max_output_tokens: Option<u64>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) previous_response_id: Option<String>,
    pub(super) reasoning: Option<Thinking>,
    pub(super) store: Option<bool>,
    pub(super) stream: Option<bool>,
    pub(super) temperature: Option<f64>,
    pub(super) text: Option<TextConfig>,
    pub(super) tool_choice: Option<Value>,
    pub(super) tools: Option<Vec<Value>>,
    pub(super) top_p: Option<f64>,
    pub(super) background: Option<Value>,
    pub(super) client_metadata: Option<Value>,
    pub(super) conversation: Option<Value>,
    pub(super) max_tool_calls: Option<Value>,
    pub(super) metadata: Option<Value>,
    pub(super) prompt: Option<Value>,
    pub(super) prompt_cache_key: Option<Value>,
    pub(super) prompt_cache_retention: Option<Value>,
    pub(super) safety_identifier: Option<Value>,
    pub(super) service_tier: Option<Value>,
    pub(super) stream_options: Option<Value>,
    pub(super) top_logprobs: Option<Value>,
    pub(super) truncation: Option<Value>,
    pub(super) user: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thinking {
    pub(super) effort: Option<String>,
    pub(super) summary: Option<String>,
    #[serde(rename = "generate_summary")]
    pub(super) _generate_summary: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TextConfig {
    pub(super) format: Option<TextFormat>,
    pub(super) verbosity: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum TextFormat {
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

#[expect(clippy::enum_variant_names, reason = "these are the API's names")]
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Item {
    Message {
        role: String,
        content: TextOr<Content>,
        id: Option<String>,
        #[serde(rename = "status")]
        _status: Option<String>,
        #[serde(rename = "phase")]
        _phase: Option<String>,
    },
    FunctionCall {
        call_id: String,
        name: String,
        arguments: String,
        id: Option<String>,
        #[serde(rename = "status")]
        _status: Option<String>,
    },
    FunctionCallOutput {
        call_id: String,
        output: TextOr<Content>,
        id: Option<String>,
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
pub(super) enum Summary {
    SummaryText {
        #[serde(rename = "text")]
        _text: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Content {
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
pub(super) struct Function {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) parameters: Option<Value>,
    pub(super) strict: Option<bool>,
    #[serde(rename = "type")]
    pub(super) _kind: String,
}
