//! Owns the shapes of a request of the Messages API: strict, every field named.
//! Must never say what they mean: that is its parent's.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cmd::mock::dialects::shape::TextOr;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    pub(super) max_tokens: Option<u64>,
    pub(super) system: Option<TextOr<Block>>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) top_k: Option<u64>,
    pub(super) stop_sequences: Option<Vec<String>>,
    pub(super) stream: Option<bool>,
    pub(super) tools: Option<Vec<Value>>,
    pub(super) tool_choice: Option<ToolChoice>,
    pub(super) thinking: Option<Thinking>,
    pub(super) output_config: Option<OutputConfig>,
    pub(super) output_format: Option<OutputFormat>,
    pub(super) cache_control: Option<CacheControl>,
    pub(super) metadata: Option<Value>,
    pub(super) service_tier: Option<Value>,
    pub(super) container: Option<Value>,
    pub(super) context_management: Option<Value>,
    pub(super) inference_geo: Option<Value>,
    pub(super) mcp_servers: Option<Value>,
    pub(super) speed: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Message {
    pub(super) role: String,
    pub(super) content: TextOr<Block>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Block {
    Text {
        text: String,
        cache_control: Option<CacheControl>,
        #[expect(dead_code, reason = "known, and without meaning here")]
        citations: Option<Value>,
    },
    Image {
        source: Source,
        cache_control: Option<CacheControl>,
    },
    Document {
        source: Source,
        cache_control: Option<CacheControl>,
        #[expect(dead_code, reason = "known, and without meaning here")]
        title: Option<String>,
        #[expect(dead_code, reason = "known, and without meaning here")]
        context: Option<String>,
        #[expect(dead_code, reason = "known, and without meaning here")]
        citations: Option<Value>,
    },
    Thinking {
        thinking: String,
        signature: String,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Map<String, Value>,
        cache_control: Option<CacheControl>,
        #[expect(dead_code, reason = "known, and without meaning here")]
        caller: Option<Value>,
    },
    ToolResult {
        tool_use_id: String,
        content: Option<TextOr<Block>>,
        is_error: Option<bool>,
        cache_control: Option<CacheControl>,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Source {
    Base64 { media_type: String, data: String },
    Url { url: String },
    File { file_id: String },
    Text { media_type: String, data: String },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum CacheControl {
    Ephemeral {
        #[expect(dead_code, reason = "known, and without meaning here")]
        ttl: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Custom {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) input_schema: Value,
    pub(super) strict: Option<bool>,
    pub(super) cache_control: Option<CacheControl>,
    #[serde(rename = "type")]
    pub(super) _kind: Option<String>,
    #[serde(rename = "eager_input_streaming")]
    pub(super) _eager: Option<bool>,
    #[serde(rename = "defer_loading")]
    pub(super) _defer: Option<bool>,
    #[serde(rename = "allowed_callers")]
    pub(super) _callers: Option<Value>,
    #[serde(rename = "input_examples")]
    pub(super) _examples: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ToolChoice {
    Auto {
        disable_parallel_tool_use: Option<bool>,
    },
    Any {
        disable_parallel_tool_use: Option<bool>,
    },
    Tool {
        name: String,
        disable_parallel_tool_use: Option<bool>,
    },
    None {},
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Thinking {
    Enabled {
        budget_tokens: u64,
        display: Option<String>,
    },
    Adaptive {
        display: Option<String>,
    },
    Disabled {},
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputConfig {
    pub(super) effort: Option<String>,
    pub(super) format: Option<OutputFormat>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum OutputFormat {
    JsonSchema { schema: Value },
}
