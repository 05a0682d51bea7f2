//! Owns the tests of Converse.

use aws_smithy_eventstream::frame::read_message_from;
use bytes::Buf as _;

use super::answer::{broken, failure, stream, whole};
use super::*;
use crate::cmd::mock::dialects::anthropic::ORIGIN;
use crate::cmd::mock::dialects::plan::Plan;
use crate::cmd::mock::dialects::plan::tests::told;
use crate::cmd::mock::dialects::seal;
use crate::cmd::mock::dialects::trouble::Trouble;
use serde_json::json;

fn read_json(body: &Value) -> Result<Understood, Refused> {
    understand(body.to_string().as_bytes(), "anthropic.claude", false)
}

fn request(more: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": "hi"}]}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The events as type and payload, read by the same crate's reader.
fn events(bytes: &[u8]) -> Vec<(String, Value)> {
    let mut rest = bytes;
    let mut events = Vec::new();
    while rest.has_remaining() {
        let message = read_message_from(&mut rest).unwrap();
        let header = message.headers().first().unwrap();
        let kind = header.value().as_string().unwrap().as_str().to_owned();
        events.push((
            kind,
            serde_json::from_slice(message.payload()).unwrap_or_default(),
        ));
    }
    events
}

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let body = request(&json!({
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "look"}, {"image": {"format": "png", "source": {"bytes": "AAEC"}}},
                {"document": {"format": "pdf", "name": "a file", "source": {"bytes": "AAEC"}}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": seal::seal(ORIGIN, "hm")}}},
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1.0}}},
            ]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "status": "error", "content": [{"json": {"x": 1}}, {"text": "so"}]}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}}}], "toolChoice": {"any": {}}},
        "inferenceConfig": {"maxTokens": 2000, "temperature": 1.0, "stopSequences": ["END"]},
        "additionalModelRequestFields": {"top_k": 5, "thinking": {"type": "enabled", "budget_tokens": 1024}, "odd": 1},
        "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema.to_string(), "name": "r"}}}},
    }));
    let asked = read_json(&body).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief."],
        "turns": [
            {"role": "user", "parts": [
                {"text": "look"}, {"image": {"media_type": "image/png", "sha256": hash}},
                {"document": {"media_type": "application/pdf", "sha256": hash}},
            ]},
            {"role": "assistant", "parts": [{"reasoning": "hm"}, {"call": {"id": 0, "name": "f", "arguments": {"a": 1}}}]},
            {"role": "user", "parts": [{"result": {"id": 0, "content": [{"json": {"x": 1}}, {"text": "so"}], "error": true}}]},
        ],
        "tools": [{"name": "f", "description": "d", "schema": schema}], "tool_choice": "required",
        "format": {"schema": schema}, "sampling": {"temperature": 1, "top_k": 5}, "stop": ["END"], "max_tokens": 2000,
        "reasoning": {"on": true, "budget": 1024}, "stream": false, "n": 1,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
    assert_eq!((asked.cache_marks, &asked.hints["odd"]), (1, &json!(1)));
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    let user = json!({"role": "user", "content": [{"text": "x"}]});
    let call = json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}]});
    let result = json!({"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}}]});
    let tools = json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]});
    let forged = json!({"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {"text": "x", "signature": "EqQB"}}}]});
    let cases = [
        (
            json!({"odd": 1}),
            "1 validation error detected: Value at 'odd' failed to satisfy constraint: extraneous key [odd]",
        ),
        (json!({"messages": null}), "invalid type: null"),
        (
            json!({"messages": [call], "toolConfig": tools}),
            "A conversation must start with a user message.",
        ),
        (
            json!({"messages": [user, user]}),
            "A conversation must alternate",
        ),
        (
            json!({"messages": [user, call, user], "toolConfig": tools}),
            "Expected toolResult blocks at messages.2.content for the following Ids: t",
        ),
        (
            json!({"messages": [result], "toolConfig": tools}),
            "The number of toolResult blocks at messages.0.content exceeds",
        ),
        (
            json!({"messages": [user, call, result]}),
            "The toolConfig field must be defined",
        ),
        (
            json!({"messages": [user, forged, user]}),
            "messages.1.content.0: Invalid `signature` in `thinking` block",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"text": " "}]}]}),
            "The text field in the ContentBlock object at messages.0.content.0 is blank.",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{}]}]}),
            "A union at messages.0.content.0",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"text": "x"}, {"document": {"format": "pdf", "name": "a.pdf", "source": {"bytes": ""}}}]}]}),
            "The document file name",
        ),
        (
            json!({"toolConfig": {"tools": [{"toolSpec": {"name": "f.g", "inputSchema": {"json": {}}}}]}}),
            "1 validation error detected: Value at 'toolConfig.tools.0.member.toolSpec.name'",
        ),
        (
            json!({"inferenceConfig": {"temperature": 1.5}}),
            "1 validation error detected: Value at 'inferenceConfig.temperature'",
        ),
        (
            json!({"additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1}}}),
            "thinking.enabled.budget_tokens: Input",
        ),
    ];
    for (more, wanted) in cases {
        let trouble = Trouble::Refused(read_json(&request(&more)).unwrap_err());
        let body = error(&trouble);
        let said = body["message"].as_str().unwrap();
        assert!(said.starts_with(wanted), "{more}: {said}");
        assert_eq!(exception(&trouble), "ValidationException");
    }
}

#[test]
fn a_stream_tells_what_the_answer_tells() {
    let tools = json!({"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object", "properties": {"q": {"type": "string"}}}}}}]});
    let body = request(&json!({
        "messages": [{"role": "user", "content": [{"text": "call f and f"}]}], "toolConfig": tools,
        "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
    }));
    for body in [body, request(&json!({}))] {
        let asked = read_json(&body).unwrap();
        let plan = Plan::new(&asked, &told());
        let answer = whole(&plan);
        let bytes: Vec<u8> = stream(&plan)
            .iter()
            .flat_map(|frame| frame.bytes.to_vec())
            .collect();
        let mut built: Vec<Value> = Vec::new();
        let mut open: Vec<(Value, String, String)> = Vec::new();
        for (kind, payload) in events(&bytes) {
            match kind.as_str() {
                "contentBlockStart" => {
                    open.push((payload["start"].clone(), String::new(), String::new()));
                }
                "contentBlockDelta" => {
                    if open.is_empty() {
                        open.push((Value::Null, String::new(), String::new()));
                    }
                    let (_, text, signature) = open.last_mut().unwrap();
                    let delta = &payload["delta"];
                    let thought = &delta["reasoningContent"];
                    let texts = [&delta["text"], &delta["toolUse"]["input"], &thought["text"]];
                    texts
                        .iter()
                        .filter_map(|text| text.as_str())
                        .for_each(|more| text.push_str(more));
                    signature.push_str(thought["signature"].as_str().unwrap_or(""));
                }
                "contentBlockStop" => {
                    assert_eq!(payload["contentBlockIndex"], built.len());
                    let (mut start, text, signature) = open.pop().unwrap();
                    built.push(if start.is_object() {
                        start["toolUse"]["input"] = serde_json::from_str(&text).unwrap();
                        start
                    } else if signature.is_empty() {
                        json!({"text": text})
                    } else {
                        json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}})
                    });
                }
                "messageStop" => assert_eq!(payload["stopReason"], answer["stopReason"]),
                "metadata" => assert_eq!(payload["usage"], answer["usage"]),
                other => assert_eq!(other, "messageStart"),
            }
        }
        assert_eq!(Value::from(built), answer["output"]["message"]["content"]);
    }
}

#[test]
fn frames_of_errors_and_broken_json_are_well_formed() {
    let events = events(
        &[
            failure(&Trouble::RateLimit),
            failure(&Trouble::Overloaded),
            broken(),
        ]
        .concat(),
    );
    let kinds: Vec<_> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "throttlingException",
            "serviceUnavailableException",
            "contentBlockDelta"
        ]
    );
    assert!(events[0].1["message"].is_string() && events[2].1.is_null());
}
