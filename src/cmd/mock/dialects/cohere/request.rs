//! Owns the shapes of a request of Cohere's second chat API: strict, every field named.
//! Must never say what they mean: that is its parent's.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cmd::mock::dialects::shape::TextOr;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) model: String,
    pub(super) messages: Vec<Message>,
    pub(super) stream: Option<bool>,
    pub(super) tools: Option<Vec<ToolSpec>>,
    pub(super) tool_choice: Option<String>,
    pub(super) strict_tools: Option<bool>,
    pub(super) documents: Option<Vec<Value>>,
    pub(super) response_format: Option<ResponseFormat>,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop_sequences: Option<Vec<String>>,
    pub(super) temperature: Option<f64>,
    pub(super) seed: Option<u64>,
    pub(super) frequency_penalty: Option<f64>,
    pub(super) presence_penalty: Option<f64>,
    pub(super) k: Option<f64>,
    pub(super) p: Option<f64>,
    pub(super) thinking: Option<Thinking>,
    pub(super) citation_options: Option<Value>,
    pub(super) safety_mode: Option<Value>,
    pub(super) logprobs: Option<Value>,
    pub(super) priority: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Message {
    User {
        content: TextOr<Content>,
    },
    System {
        content: TextOr<Content>,
    },
    Assistant {
        content: Option<TextOr<Content>>,
        tool_calls: Option<Vec<ToolCall>>,
        #[serde(rename = "tool_plan")]
        _tool_plan: Option<String>,
        #[serde(rename = "citations")]
        _citations: Option<Value>,
    },
    Tool {
        tool_call_id: String,
        content: TextOr<Content>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Content {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
    Thinking { thinking: String },
    Document { document: Document },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImageUrl {
    pub(super) url: String,
    #[serde(rename = "detail")]
    pub(super) _detail: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) data: Value,
    #[serde(rename = "id")]
    pub(super) _id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) _kind: Option<String>,
    pub(super) function: CalledFunction,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CalledFunction {
    pub(super) name: String,
    pub(super) arguments: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolSpec {
    #[serde(rename = "type")]
    pub(super) _kind: String,
    pub(super) function: Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) parameters: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ResponseFormat {
    Text {},
    JsonObject {
        json_schema: Option<Value>,
        schema: Option<Value>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thinking {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) token_budget: Option<u64>,
}
