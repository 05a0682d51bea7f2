//! Owns the tests of the Messages API.

use serde_json::{Value, json};

use super::answer::{stream, whole};
use super::*;
use crate::cmd::mock::dialects::frames::Mark;
use crate::cmd::mock::dialects::plan::Plan;
use crate::cmd::mock::dialects::plan::tests::told;
use crate::cmd::mock::dialects::trouble::Trouble;

fn read_json(body: &Value) -> Result<Understood, Refused> {
    understand(body.to_string().as_bytes(), false)
}

fn refusal(body: &Value) -> String {
    facts(&Trouble::Refused(read_json(body).unwrap_err()))["message"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// A request with `more` fields over the least one.
fn request(more: &Value) -> Value {
    let mut body =
        json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn events(plan: &Plan, asked: &Understood) -> Vec<Value> {
    let data = |frame: &crate::cmd::mock::dialects::frames::Frame| {
        let text = std::str::from_utf8(&frame.bytes).unwrap().to_owned();
        let (name, data) = text.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    };
    stream(plan, asked).iter().map(data).collect()
}

#[test]
fn everything_that_is_asked_is_in_the_digest() {
    let signature = seal::seal(ORIGIN, "hm");
    let body = request(&json!({
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAEC"}},
                {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "t"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": signature},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": [{"type": "text", "text": "{\"x\":1}"}]},
            ]},
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000,
        "stop_sequences": ["END"], "top_k": 5, "stream": true, "metadata": {"user_id": "u"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    }));
    let asked = read_json(&body).unwrap();
    let hash = super::super::understood::sha256(&[0, 1, 2]);
    let wanted = json!({
        "system": ["Be brief."],
        "turns": [
            {"role": "user", "parts": [
                {"text": "look"}, {"image": {"media_type": "image/png", "sha256": hash}}, {"document": {"url": "https://x/y.pdf"}},
            ]},
            {"role": "assistant", "parts": [{"reasoning": "hm"}, {"call": {"id": 0, "name": "f", "arguments": {"a": 1}}}]},
            {"role": "user", "parts": [{"result": {"id": 0, "content": [{"json": {"x": 1}}], "error": true}}]},
        ],
        "tools": [
            {"name": "f", "description": "d", "schema": {"type": "object"}},
            {"name": "web_search_20250305", "schema": {"type": "object"}, "server": "web_search_20250305"},
        ],
        "tool_choice": "auto", "parallel": false, "format": {"schema": {"type": "object"}},
        "sampling": {"top_k": 5}, "stop": ["END"], "max_tokens": 2000,
        "reasoning": {"on": true, "effort": "low", "budget": 1024}, "stream": true, "n": 1,
    });
    assert_eq!(
        serde_json::from_str::<Value>(&asked.digest()).unwrap(),
        wanted
    );
    assert_eq!(
        (asked.cache_marks, &asked.hints["metadata"]),
        (1, &json!({"user_id": "u"}))
    );
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    let text = |text: &str| json!([{"role": "user", "content": text}]);
    let use_of = |id: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "f", "input": {}}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]});
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let forged = json!([{"role": "assistant", "content": [{"type": "thinking", "thinking": "x", "signature": "EqQB"}]}]);
    let cases = [
        (json!({"odd": 1}), "odd: Extra inputs are not permitted"),
        (
            json!({"messages": [{"role": "user", "content": "x", "name": "y"}]}),
            "messages.0.name: Extra inputs are not permitted",
        ),
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (
            json!({"messages": [{"role": "system", "content": "x"}]}),
            "messages.0.role: Input should be 'user' or",
        ),
        (
            json!({"messages": text("")}),
            "messages.0: text content blocks must be non-empty",
        ),
        (
            json!({"messages": [use_of("a"), {"role": "user", "content": "x"}], "tools": tools}),
            "messages.1: `tool_use` ids were found",
        ),
        (
            json!({"messages": [result], "tools": tools}),
            "messages.0.content.0: unexpected `tool_use_id`",
        ),
        (
            json!({"messages": [use_of("a.b"), result], "tools": tools}),
            "messages.0.content.0.tool_use.id: String should match",
        ),
        (
            json!({"messages": [use_of("a"), result]}),
            "Requests with `tool_use`",
        ),
        (
            json!({"messages": forged}),
            "messages.0.content.0: Invalid `signature` in `thinking` block",
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 10}}),
            "thinking.enabled.budget_tokens: Input should be greater",
        ),
        (
            json!({"thinking": {"type": "adaptive"}, "temperature": 0.5}),
            "temperature: may only be set to 1",
        ),
        (
            json!({"temperature": 1.5}),
            "temperature: must be in the range 0..1",
        ),
        (
            json!({"tools": [{"name": "f.g", "input_schema": {"type": "object"}}]}),
            "tools.0.custom.name: String should match",
        ),
        (
            json!({"tools": [{"name": "f", "parameters": {}}]}),
            "tools.0.parameters: Extra inputs",
        ),
        (
            json!({"messages": [{"role": "assistant", "content": "x "}]}),
            "messages: final assistant content",
        ),
    ];
    for (more, wanted) in cases {
        let said = refusal(&request(&more));
        assert!(said.starts_with(wanted), "{more}: {said}");
    }
    assert!(understand(b"{", false).is_err());
    assert!(
        understand(
            br#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#,
            true
        )
        .is_ok()
    );
}

#[test]
fn results_may_come_in_messages_of_their_own() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result =
        |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id}]});
    let assistant = json!({"role": "assistant", "content": [call("a"), call("b")]});
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let with = |messages: Value| request(&json!({"messages": messages, "tools": tools}));
    assert!(read_json(&with(json!([assistant, result("b"), result("a")]))).is_ok());
    for lacking in [json!([assistant, result("a")]), json!([assistant])] {
        assert!(refusal(&with(lacking)).contains("without `tool_result` blocks"));
    }
    let mut thinking = with(json!([assistant, result("b"), result("a")]));
    (thinking["thinking"], thinking["max_tokens"]) = (
        json!({"type": "enabled", "budget_tokens": 1024}),
        2000.into(),
    );
    assert!(refusal(&thinking).starts_with("messages.0.content.0.type: Expected `thinking`"));
}

#[test]
fn a_stream_tells_what_the_message_tells() {
    let body = request(&json!({
        "thinking": {"type": "adaptive"}, "messages": [{"role": "user", "content": "call f and f"}],
        "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}],
    }));
    let asked = read_json(&body).unwrap();
    let plan = Plan::new(&asked, &told());
    let message = whole(&plan, &asked);
    assert_eq!(message["stop_reason"], "tool_use");
    assert_eq!(message["content"][1]["input"], json!({"q": "café lamp"}));
    let events = events(&plan, &asked);
    let mut built: Vec<Value> = Vec::new();
    let mut json = String::new();
    for event in &events {
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(event["index"], built.len());
                built.push(event["content_block"].clone());
                json.clear();
            }
            "content_block_delta" => {
                let block = built.last_mut().unwrap();
                let delta = &event["delta"];
                for field in ["thinking", "signature", "text"] {
                    if let Some(more) = delta[field].as_str() {
                        block[field] = (block[field].as_str().unwrap().to_owned() + more).into();
                    }
                }
                json.push_str(delta["partial_json"].as_str().unwrap_or(""));
                if let Ok(input) = serde_json::from_str::<Value>(&json) {
                    block["input"] = input;
                }
            }
            _ => {}
        }
    }
    assert_eq!(Value::from(built), message["content"]);
    assert_eq!(events[0]["message"]["content"], json!([]));
    let end = &events[events.len() - 2..];
    assert_eq!(
        (&end[0]["delta"]["stop_reason"], &end[1]["type"]),
        (&"tool_use".into(), &"message_stop".into())
    );
    for name in ["input_tokens", "cache_read_input_tokens", "output_tokens"] {
        assert_eq!(end[0]["usage"][name], message["usage"][name]);
    }
}

#[test]
fn what_was_sealed_is_taken_back() {
    let body = request(&json!({"thinking": {"type": "adaptive"}}));
    let asked = read_json(&body).unwrap();
    let message = whole(&Plan::new(&asked, &told()), &asked);
    let again = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "content": message["content"]}, {"role": "user", "content": "so?"}]);
    // What the mock says ends in a space; that is fine where it is not the last word.
    let again = read_json(&request(&json!({"messages": again}))).unwrap();
    assert!(matches!(
        &again.turns[1].parts[..],
        [Part::Reasoning(_), Part::Text(_)]
    ));
}

#[test]
fn ends_are_told_by_their_reasons() {
    let cases = [
        (
            json!({"stop_sequences": ["three"]}),
            "stop_sequence",
            "three",
        ),
        (json!({"max_tokens": 2}), "max_tokens", ""),
        (
            json!({"messages": [{"role": "user", "content": "refuse"}]}),
            "refusal",
            "",
        ),
    ];
    for (more, reason, sequence) in cases {
        let asked = read_json(&request(&more)).unwrap();
        let plan = Plan::new(&asked, &told());
        let message = whole(&plan, &asked);
        assert_eq!(message["stop_reason"], reason);
        assert_eq!(message["stop_sequence"].as_str().unwrap_or(""), sequence);
        let marks: Vec<_> = stream(&plan, &asked)
            .iter()
            .map(|frame| frame.mark)
            .collect();
        assert_eq!(marks[marks.len() - 2..], [Mark::Finish, Mark::Done]);
    }
}
