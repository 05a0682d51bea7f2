//! Owns the tests of Cohere's second chat API.

use super::answer::{failure, stream, whole};
use super::*;
use crate::cmd::mock::dialects::plan::Plan;
use crate::cmd::mock::dialects::plan::tests::told;
use crate::cmd::mock::dialects::trouble::Trouble;
use serde_json::json;

fn read_json(body: &Value) -> Result<Understood, Refused> {
    understand(body.to_string().as_bytes())
}

fn request(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn tool() -> Value {
    let parameters = json!({"type": "object", "properties": {"q": {"type": "string"}}});
    json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": parameters}})
}

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let body = request(&json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAEC"}}]},
            {"role": "assistant", "tool_plan": "so", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"q\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"data": "{\"x\":1}"}}]},
        ],
        "tools": [tool()], "tool_choice": "REQUIRED", "stream": true, "max_tokens": 9, "stop_sequences": ["END"],
        "temperature": 0.5, "k": 4, "p": 0.5, "seed": 3, "thinking": {"type": "enabled", "token_budget": 10}, "safety_mode": "OFF",
    }));
    let asked = read_json(&body).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief."],
        "turns": [
            {"role": "user", "parts": [{"text": "look"}, {"image": {"media_type": "image/png", "sha256": hash}}]},
            {"role": "assistant", "parts": [{"call": {"id": 0, "name": "f", "arguments": {"q": "x"}}}]},
            {"role": "user", "parts": [{"result": {"id": 0, "content": [{"json": {"x": 1}}]}}]},
        ],
        "tools": [{"name": "f", "description": "d", "schema": tool()["function"]["parameters"]}], "tool_choice": "required",
        "sampling": {"temperature": 0.5, "top_k": 4, "top_p": 0.5, "seed": 3}, "stop": ["END"], "max_tokens": 9,
        "reasoning": {"on": true, "budget": 10}, "stream": true, "n": 1,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    let cases = [
        (
            json!({"odd": 1}),
            "invalid request: unknown field: parameter 'odd' is not a valid field",
        ),
        (
            json!({"messages": []}),
            "invalid request: messages must not be empty",
        ),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}),
            "invalid request: no tool call with the id x",
        ),
        (
            json!({"tool_choice": "auto", "tools": [tool()]}),
            "invalid request: tool_choice must be",
        ),
        (
            json!({"tools": [tool()], "response_format": {"type": "json_object"}}),
            "invalid request: a JSON response_format",
        ),
        (json!({"p": 1.0}), "invalid request: p must be"),
        (
            json!({"max_tokens": "x"}),
            "invalid request: max_tokens: invalid type",
        ),
    ];
    for (more, wanted) in cases {
        let refused = read_json(&request(&more)).unwrap_err();
        let body = error(&Trouble::Refused(refused), "id");
        let said = body["message"].as_str().unwrap();
        assert!(said.starts_with(wanted), "{more}: {said}");
    }
}

#[test]
fn a_stream_tells_what_the_answer_tells() {
    let calls =
        json!({"messages": [{"role": "user", "content": "call f and f"}], "tools": [tool()]});
    for more in [
        calls,
        json!({"thinking": {"type": "enabled"}}),
        json!({"max_tokens": 2}),
    ] {
        let asked = read_json(&request(&more)).unwrap();
        let plan = Plan::new(&asked, &told());
        let answer = whole(&plan);
        let mut contents: Vec<Value> = Vec::new();
        let mut calls: Vec<Value> = Vec::new();
        for frame in stream(&plan) {
            let text = std::str::from_utf8(&frame.bytes).unwrap();
            let (_, data) = text.split_once("\ndata: ").unwrap();
            let event: Value = serde_json::from_str(data).unwrap();
            let message = &event["delta"]["message"];
            let grow = |held: &mut Value, more: &Value| {
                if let Some(more) = more.as_str() {
                    *held = (held.as_str().unwrap().to_owned() + more).into();
                }
            };
            match event["type"].as_str().unwrap() {
                "content-start" => contents.push(message["content"].clone()),
                "content-delta" => {
                    let held = contents.last_mut().unwrap();
                    let kind = held["type"].as_str().unwrap().to_owned();
                    grow(&mut held[&kind], &message["content"][&kind]);
                }
                "tool-call-start" => calls.push(message["tool_calls"].clone()),
                "tool-call-delta" => {
                    let held = &mut calls.last_mut().unwrap()["function"]["arguments"];
                    grow(held, &message["tool_calls"]["function"]["arguments"]);
                }
                "message-end" => {
                    assert_eq!(event["delta"]["finish_reason"], answer["finish_reason"]);
                    assert_eq!(event["delta"]["usage"], answer["usage"]);
                }
                _ => {}
            }
        }
        let or_null = |values: Vec<Value>| {
            if values.is_empty() {
                Value::Null
            } else {
                values.into()
            }
        };
        assert_eq!(or_null(contents), answer["message"]["content"]);
        assert_eq!(or_null(calls), answer["message"]["tool_calls"]);
    }
    assert!(failure(&Trouble::Server).starts_with(b"event: message-end\ndata: "));
}
