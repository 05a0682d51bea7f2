//! Owns the tests of the Responses API.

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
    let mut body = json!({"model": "m", "input": "hi"});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn events(plan: &Plan, asked: &Understood) -> Vec<Value> {
    let frames = stream(plan, asked);
    let events = frames.iter().enumerate().map(|(index, frame)| {
        let text = std::str::from_utf8(&frame.bytes).unwrap().to_owned();
        let (name, data) = text.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        assert_eq!(data["sequence_number"], index);
        data
    });
    events.collect()
}

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let strict = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    let body = request(&json!({
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAEC", "detail": "low"},
                {"type": "input_file", "filename": "t.pdf", "file_data": "data:application/pdf;base64,AAEC"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal::seal(ORIGIN, "hm")},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"b\":1,\"a\":2}"},
            {"type": "function_call_output", "call_id": "c1", "output": "fine"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": strict, "strict": true}, {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "r", "schema": strict, "strict": true}},
        "temperature": 0.5, "max_output_tokens": 100, "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"], "store": false, "user": "u",
    }));
    let asked = read_json(&body).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief.", "Be kind."],
        "turns": [
            {"role": "user", "parts": [
                {"text": "look"}, {"image": {"media_type": "image/png", "sha256": hash}},
                {"document": {"media_type": "application/pdf", "sha256": hash}},
            ]},
            {"role": "assistant", "parts": [{"reasoning": "hm"}, {"call": {"id": 0, "name": "f", "arguments": {"a": 2, "b": 1}}}]},
            {"role": "user", "parts": [{"result": {"id": 0, "content": [{"text": "fine"}]}}]},
        ],
        "tools": [{"name": "f", "schema": strict, "strict": true}, {"name": "web_search", "schema": {"type": "object"}, "server": "web_search"}],
        "tool_choice": {"named": "f"}, "parallel": false, "format": {"schema": strict}, "sampling": {"temperature": 0.5},
        "max_tokens": 100, "reasoning": {"on": true, "effort": "low"}, "stream": false, "n": 1,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
    assert_eq!(
        (asked.ids, &asked.hints["user"]),
        (vec!["c1".to_owned()], &json!("u"))
    );
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    let forged =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"});
    let loose = json!({"type": "object", "properties": {"a": {}}, "additionalProperties": false});
    let says = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]});
    let cases = [
        (
            json!({"stop": ["x"]}),
            "Unknown parameter: 'stop'.",
            "stop",
            "unknown_parameter",
        ),
        (
            json!({"model": null}),
            "Invalid type for 'model'",
            "model",
            "invalid_type",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "x", "odd": 1}]}]}),
            "Unknown parameter",
            "",
            "unknown_parameter",
        ),
        (
            json!({"input": [call]}),
            "No tool output found for function call c",
            "input",
            "",
        ),
        (
            json!({"input": [output]}),
            "No tool call found",
            "input",
            "",
        ),
        (
            json!({"input": [forged, says]}),
            "The encrypted content",
            "input[0].encrypted_content",
            "invalid_encrypted_content",
        ),
        (
            json!({"input": [{"role": "tool", "content": "x"}]}),
            "Invalid value: 'tool'",
            "input[0].role",
            "invalid_value",
        ),
        (
            json!({"input": [{"type": "function_call", "id": "call_1", "call_id": "c", "name": "f", "arguments": "{}"}]}),
            "Invalid 'input[0].id': 'call_1'. Expected an ID that begins with 'fc'",
            "input[0].id",
            "invalid_value",
        ),
        (
            json!({"max_output_tokens": 3}),
            "Invalid 'max_output_tokens'",
            "max_output_tokens",
            "integer_below_min_value",
        ),
        (
            json!({"previous_response_id": "resp_1"}),
            "Previous response",
            "previous_response_id",
            "previous_response_not_found",
        ),
        (
            json!({"tools": [{"type": "function", "name": "f.g"}]}),
            "Invalid 'tools[0].name'",
            "tools[0].name",
            "invalid_value",
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "strict": true, "parameters": loose}]}),
            "Invalid schema for function 'f'",
            "tools[0].parameters",
            "invalid_json_schema",
        ),
        (
            json!({"text": {"format": {"type": "json_object"}}}),
            "'input' must contain the word 'json'",
            "input",
            "invalid_value",
        ),
        (
            json!({"tool_choice": {"type": "function", "name": "x"}}),
            "Tool choice 'function' not found",
            "tool_choice",
            "invalid_value",
        ),
    ];
    for (more, wanted, param, code) in cases {
        let refused = read_json(&request(&more)).unwrap_err();
        let said = error(&Trouble::Refused(refused), "input")["error"].clone();
        assert!(
            said["message"].as_str().unwrap().starts_with(wanted),
            "{said}"
        );
        assert_eq!(said["code"].as_str().unwrap_or(""), code, "{said}");
        assert!(param.is_empty() || said["param"] == param, "{said}");
    }
}

#[test]
fn a_stream_tells_what_the_response_tells() {
    let body = request(&json!({
        "input": "call f and f", "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "f", "parameters": {"properties": {"q": {"type": "string"}}}}],
    }));
    for body in [
        body,
        request(&json!({})),
        request(&json!({"input": "refuse"})),
    ] {
        let asked = read_json(&body).unwrap();
        let plan = Plan::new(&asked, &told());
        let response = whole(&plan, &asked);
        let events = events(&plan, &asked);
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]),
            (&json!("response.completed"), &response)
        );
        let done = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done");
        assert_eq!(
            done.map(|event| event["item"].clone()).collect::<Value>(),
            response["output"]
        );
        let deltas = |kind: &str| -> String {
            let of_kind = events.iter().filter(|event| event["type"] == kind);
            of_kind
                .map(|event| event["delta"].as_str().unwrap())
                .collect()
        };
        for item in response["output"].as_array().unwrap() {
            let (kind, text) = match (&item["type"], &item["content"][0]["type"]) {
                (kind, _) if kind == "reasoning" => {
                    ("reasoning_summary_text", &item["summary"][0]["text"])
                }
                (kind, _) if kind == "function_call" => {
                    ("function_call_arguments", &item["arguments"])
                }
                (_, kind) if kind == "refusal" => ("refusal", &item["content"][0]["refusal"]),
                _ => ("output_text", &item["content"][0]["text"]),
            };
            let told = deltas(&format!("response.{kind}.delta"));
            assert!(
                told.starts_with(text.as_str().unwrap()) && !told.is_empty(),
                "{told}"
            );
        }
    }
}

#[test]
fn what_was_sealed_is_taken_back_with_its_calls() {
    let body = json!({
        "input": "call f", "store": false, "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "f"}],
    });
    let asked = read_json(&request(&body)).unwrap();
    let response = whole(&Plan::new(&asked, &told()), &asked);
    let mut input = vec![json!({"role": "user", "content": "call f"})];
    input.extend(response["output"].as_array().unwrap().iter().cloned());
    let id = &response["output"][1]["call_id"];
    input.push(json!({"type": "function_call_output", "call_id": id, "output": "ok"}));
    let again = read_json(&request(&json!({"input": input, "store": false}))).unwrap();
    assert!(
        matches!(&again.turns[1].parts[..], [Part::Reasoning(text), Part::Call { .. }] if text.starts_with("The tide"))
    );
}

#[test]
fn an_answer_that_is_cut_is_incomplete_and_one_that_fails_says_why() {
    let asked = read_json(&request(&json!({"max_output_tokens": 16}))).unwrap();
    let mut words = told();
    words.words = vec!["w ".to_owned(); 20];
    let plan = Plan::new(&asked, &words);
    assert_eq!(
        whole(&plan, &asked)["incomplete_details"]["reason"],
        "max_output_tokens"
    );
    assert_eq!(
        events(&plan, &asked).last().unwrap()["type"],
        "response.incomplete"
    );
    let text = failure(&plan, &asked, &Trouble::Overloaded, 4);
    let text = std::str::from_utf8(&text).unwrap();
    assert!(text.contains("event: error\n") && text.contains("\"sequence_number\":5"));
    assert!(text.contains(r#""status":"failed""#) && text.contains("server_is_overloaded"));
}
