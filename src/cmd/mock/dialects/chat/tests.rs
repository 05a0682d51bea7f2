//! Owns the tests of what chat requests mean.

use super::*;
use crate::cmd::mock::dialects::plan::Plan;
use crate::cmd::mock::dialects::plan::tests::told;

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let body = json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}},
                {"type": "file", "file": {"filename": "t.pdf", "file_data": "data:application/pdf;base64,AAEC"}},
                {"type": "input_audio", "input_audio": {"data": "AAEC", "format": "wav"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1.0}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "fine"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": schema, "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}},
        "stop": "END", "max_completion_tokens": 9, "reasoning_effort": "low", "seed": 3, "n": 2, "user": "u",
    });
    let asked = understand(body.to_string().as_bytes()).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief."],
        "turns": [
            {"role": "user", "parts": [
                {"text": "look"}, {"image": {"url": "https://x/y.png"}}, {"document": {"media_type": "application/pdf", "sha256": hash}},
                {"audio": {"media_type": "audio/wav", "sha256": hash}},
            ]},
            {"role": "assistant", "parts": [{"call": {"id": 0, "name": "f", "arguments": {"a": 1}}}]},
            {"role": "user", "parts": [{"result": {"id": 0, "content": [{"text": "fine"}]}}]},
        ],
        "tools": [{"name": "f", "schema": schema, "strict": true}], "tool_choice": {"named": "f"}, "parallel": false,
        "format": {"schema": schema}, "sampling": {"seed": 3}, "stop": ["END"], "max_tokens": 9,
        "reasoning": {"on": true, "effort": "low"}, "stream": false, "n": 2,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
    assert_eq!(asked.hints["user"], "u");
}

#[test]
fn what_chat_does_not_have_is_noted() {
    for body in [
        r#"{"model":"m","messages":[],"odd":1}"#,
        r#"{"model":"m","messages":[{}]}"#,
        r#"{"model":"m","messages":[{"role":"tool","tool_call_id":"x","content":"y"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"document"}]}]}"#,
        r#"{"model":"m","messages":[],"tools":[{"name":"f","input_schema":{}}]}"#,
    ] {
        assert!(understand(body.as_bytes()).is_err(), "{body}");
    }
}

#[test]
fn a_stream_tells_what_the_answer_tells() {
    let body = json!({
        "model": "m", "messages": [{"role": "user", "content": "call f and f"}], "reasoning_effort": "low", "n": 2,
        "stream_options": {"include_usage": true},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"q": {"type": "string"}}}}}],
    });
    let asked = understand(body.to_string().as_bytes()).unwrap();
    let plan = Plan::new(&asked, &told());
    let answer = answer::whole(&plan, &asked);
    let mut message = json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [], "reasoning_content": ""});
    let mut usage = Value::Null;
    for frame in answer::stream(&plan, &asked) {
        let text = std::str::from_utf8(&frame.bytes).unwrap();
        let Ok(chunk) = serde_json::from_str::<Value>(text.strip_prefix("data: ").unwrap()) else {
            assert_eq!(text, "data: [DONE]\n\n");
            continue;
        };
        usage = chunk["usage"].clone();
        let delta = &chunk["choices"][0]["delta"];
        let grow = |held: &mut Value, more: &Value| {
            *held = (held.as_str().unwrap().to_owned() + more.as_str().unwrap_or("")).into();
        };
        grow(
            &mut message["reasoning_content"],
            &delta["reasoning_content"],
        );
        let call = &delta["tool_calls"][0];
        if call["id"].is_string() {
            let mut begun = call.clone();
            begun.as_object_mut().unwrap().remove("index");
            message["tool_calls"].as_array_mut().unwrap().push(begun);
        } else if let Some(index) = call["index"].as_u64() {
            let held = &mut message["tool_calls"][usize::try_from(index).unwrap()]["function"]["arguments"];
            grow(held, &call["function"]["arguments"]);
        }
    }
    assert_eq!(
        (&answer["choices"][1]["message"], &answer["usage"]),
        (&message, &usage)
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
}
