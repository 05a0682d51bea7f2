//! The requests of the matrix, each in every dialect that clients speak, and what must be in the answers.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::raw::Request;

/// A picture of one pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// A dialect that clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    Chat,
    Responses,
    Messages,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Text,
    Turns,
    Tools,
    ParallelTools,
    Image,
    Structured,
    Reasoning,
    Stop,
    Long,
}

impl Case {
    pub(crate) const ALL: [Self; 9] = [
        Self::Text,
        Self::Turns,
        Self::Tools,
        Self::ParallelTools,
        Self::Image,
        Self::Structured,
        Self::Reasoning,
        Self::Stop,
        Self::Long,
    ];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Case::Text => "text",
            Case::Turns => "several turns",
            Case::Tools => "a tool",
            Case::ParallelTools => "tools at once, with results",
            Case::Image => "an image",
            Case::Structured => "a schema",
            Case::Reasoning => "reasoning",
            Case::Stop => "stop sequences",
            Case::Long => "a long prompt",
        }
    }
}

impl Inbound {
    pub(crate) const ALL: [Self; 3] = [Self::Chat, Self::Responses, Self::Messages];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Inbound::Chat => "from Chat Completions",
            Inbound::Responses => "from Responses",
            Inbound::Messages => "from Messages",
        }
    }

    /// Its name in configurations.
    pub(crate) fn dialect(self) -> &'static str {
        match self {
            Inbound::Chat => "openai",
            Inbound::Responses => "openai-responses",
            Inbound::Messages => "anthropic",
        }
    }

    pub(crate) fn request(self, model: &str, case: Case, stream: bool) -> Request {
        let mut body = match self {
            Inbound::Chat => chat(case),
            Inbound::Responses => responses(case),
            Inbound::Messages => messages(case),
        };
        body["model"] = json!(model);
        if stream {
            body["stream"] = json!(true);
            if self == Inbound::Chat {
                body["stream_options"] = json!({ "include_usage": true });
            }
        }
        let path = match self {
            Inbound::Chat => "/v1/chat/completions",
            Inbound::Responses => "/v1/responses",
            Inbound::Messages => "/v1/messages",
        };
        Request::post(path, body.to_string())
            .key("sk-any")
            .header("anthropic-version", "2023-06-01")
    }

    /// Why the answer is not what the case asks for in this dialect, if it is not.
    pub(crate) fn objection(self, case: Case, stream: bool, answer: &Answer) -> Option<String> {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let end = match (self, stream) {
            (Inbound::Chat, true) => "data: [DONE]",
            (Inbound::Responses, true) => "event: response.completed",
            (Inbound::Messages, true) => "event: message_stop",
            (Inbound::Chat, false) => "\"chat.completion\"",
            (Inbound::Responses, false) => "\"response\"",
            (Inbound::Messages, false) => "\"message\"",
        };
        let tool = match self {
            Inbound::Chat => "tool_calls",
            Inbound::Responses => "function_call",
            Inbound::Messages => "tool_use",
        };
        let needed: &[&str] = match case {
            Case::Tools => &[end, "usage", tool, "weather"],
            _ => &[end, "usage"],
        };
        let missing = needed.iter().find(|part| !text.contains(**part))?;
        Some(format!("no {missing} in {text}"))
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "city": { "type": "string" } },
        "required": ["city"],
        "additionalProperties": false
    })
}

fn long() -> String {
    "Tides turn, and the lamp at the pier is lit again. ".repeat(4000)
}

fn chat_tool(name: &str) -> Value {
    json!({ "type": "function", "function": {
        "name": name, "description": "Looks it up.", "parameters": schema()
    } })
}

fn chat(case: Case) -> Value {
    let user = |text: &str| json!([{ "role": "user", "content": text }]);
    match case {
        Case::Text => json!({ "max_tokens": 200, "messages": [
            { "role": "system", "content": "Be brief." }, { "role": "user", "content": "hello" }
        ] }),
        Case::Turns => json!({ "max_tokens": 200, "temperature": 0.5, "top_p": 0.75, "messages": [
            { "role": "system", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "one" }, { "type": "text", "text": "more" }] },
            { "role": "assistant", "content": "two" },
            { "role": "user", "content": "three" }
        ] }),
        Case::Tools => {
            json!({ "max_tokens": 200, "messages": user("call weather"), "tools": [chat_tool("weather")],
            "tool_choice": { "type": "function", "function": { "name": "weather" } } })
        }
        Case::ParallelTools => {
            json!({ "max_tokens": 200, "tools": [chat_tool("weather"), chat_tool("tide")], "messages": [
            { "role": "user", "content": "what now?" },
            { "role": "assistant", "content": null, "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"city\":\"Gdańsk\"}" } },
                { "id": "call_2", "type": "function", "function": { "name": "tide", "arguments": "{\"city\":\"Brest\"}" } }
            ] },
            { "role": "tool", "tool_call_id": "call_1", "content": "rain" },
            { "role": "tool", "tool_call_id": "call_2", "content": "low" },
            { "role": "user", "content": "and then?" }
        ] })
        }
        Case::Image => json!({ "max_tokens": 200, "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "what is it?" },
            { "type": "image_url", "image_url": { "url": format!("data:image/png;base64,{PIXEL}") } }
        ] }] }),
        Case::Structured => {
            json!({ "max_tokens": 200, "messages": user("where?"), "response_format": {
            "type": "json_schema", "json_schema": { "name": "place", "strict": true, "schema": schema() }
        } })
        }
        Case::Reasoning => {
            json!({ "max_tokens": 8000, "messages": user("think"), "reasoning_effort": "medium" })
        }
        Case::Stop => {
            json!({ "max_tokens": 200, "messages": user("hello"), "stop": ["END", "STOP"] })
        }
        Case::Long => json!({ "max_tokens": 200, "messages": user(&long()) }),
    }
}

fn responses_tool(name: &str) -> Value {
    json!({ "type": "function", "name": name, "description": "Looks it up.", "parameters": schema(), "strict": false })
}

fn responses(case: Case) -> Value {
    let with = |more: Value| {
        let mut body = json!({ "max_output_tokens": 200, "store": false });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    match case {
        Case::Text => with(json!({ "instructions": "Be brief.", "input": "hello" })),
        Case::Turns => with(
            json!({ "temperature": 0.5, "top_p": 0.75, "instructions": "Be brief.", "input": [
            { "role": "user", "content": [{ "type": "input_text", "text": "one" }, { "type": "input_text", "text": "more" }] },
            { "role": "assistant", "content": "two" },
            { "role": "user", "content": "three" }
        ] }),
        ),
        Case::Tools => with(
            json!({ "input": "call weather", "tools": [responses_tool("weather")],
            "tool_choice": { "type": "function", "name": "weather" } }),
        ),
        Case::ParallelTools => with(
            json!({ "tools": [responses_tool("weather"), responses_tool("tide")], "input": [
            { "role": "user", "content": "what now?" },
            { "type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{\"city\":\"Gdańsk\"}" },
            { "type": "function_call", "call_id": "call_2", "name": "tide", "arguments": "{\"city\":\"Brest\"}" },
            { "type": "function_call_output", "call_id": "call_1", "output": "rain" },
            { "type": "function_call_output", "call_id": "call_2", "output": "low" },
            { "role": "user", "content": "and then?" }
        ] }),
        ),
        Case::Image => with(json!({ "input": [{ "role": "user", "content": [
            { "type": "input_text", "text": "what is it?" },
            { "type": "input_image", "image_url": format!("data:image/png;base64,{PIXEL}"), "detail": "auto" }
        ] }] })),
        Case::Structured => with(json!({ "input": "where?", "text": { "format": {
            "type": "json_schema", "name": "place", "strict": true, "schema": schema()
        } } })),
        Case::Reasoning => with(
            json!({ "max_output_tokens": 8000, "input": "think", "reasoning": { "effort": "medium" } }),
        ),
        Case::Stop => with(json!({ "input": "hello" })), // Responses has no stop sequences.
        Case::Long => with(json!({ "input": long() })),
    }
}

fn messages_tool(name: &str) -> Value {
    json!({ "name": name, "description": "Looks it up.", "input_schema": schema() })
}

fn messages(case: Case) -> Value {
    let user = |text: &str| json!([{ "role": "user", "content": text }]);
    match case {
        Case::Text => {
            json!({ "max_tokens": 200, "system": "Be brief.", "messages": user("hello") })
        }
        Case::Turns => {
            json!({ "max_tokens": 200, "temperature": 0.5, "system": [{ "type": "text", "text": "Be brief." }], "messages": [
            { "role": "user", "content": [{ "type": "text", "text": "one" }, { "type": "text", "text": "more" }] },
            { "role": "assistant", "content": "two" },
            { "role": "user", "content": "three" }
        ] })
        }
        Case::Tools => {
            json!({ "max_tokens": 200, "messages": user("call weather"), "tools": [messages_tool("weather")],
            "tool_choice": { "type": "tool", "name": "weather" } })
        }
        Case::ParallelTools => {
            json!({ "max_tokens": 200, "tools": [messages_tool("weather"), messages_tool("tide")], "messages": [
            { "role": "user", "content": "what now?" },
            { "role": "assistant", "content": [
                { "type": "tool_use", "id": "call_1", "name": "weather", "input": { "city": "Gdańsk" } },
                { "type": "tool_use", "id": "call_2", "name": "tide", "input": { "city": "Brest" } }
            ] },
            { "role": "user", "content": [
                { "type": "tool_result", "tool_use_id": "call_1", "content": "rain" },
                { "type": "tool_result", "tool_use_id": "call_2", "content": "low" },
                { "type": "text", "text": "and then?" }
            ] }
        ] })
        }
        Case::Image => json!({ "max_tokens": 200, "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "what is it?" },
            { "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PIXEL } }
        ] }] }),
        Case::Structured => {
            json!({ "max_tokens": 200, "messages": user("where?"), "output_config": { "format": {
            "type": "json_schema", "schema": schema()
        } } })
        }
        Case::Reasoning => {
            json!({ "max_tokens": 8000, "messages": user("think"), "thinking": { "type": "enabled", "budget_tokens": 4000 } })
        }
        Case::Stop => {
            json!({ "max_tokens": 200, "messages": user("hello"), "stop_sequences": ["END", "STOP"] })
        }
        Case::Long => json!({ "max_tokens": 200, "messages": user(&long()) }),
    }
}
