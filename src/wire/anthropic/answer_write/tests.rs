use crate::wire::client_error::Skin;
use serde_json::{Value, json};

use super::*;
use crate::wire::hub::{Citation as CitationOf, ToolCall};

fn written(answer: &Answer) -> Value {
    let reply = Reply {
        request: &Bytes::new(),
        model: "a/m",
        id: "x1",
        now: 7,
        usage: true,
        skin: Skin::OpenAi,
    };
    serde_json::from_slice(&write(answer, &reply)).unwrap()
}

fn ended(finish: Option<Finish>, parts: Vec<Part>) -> (Value, Value) {
    let answer = Answer {
        choices: vec![Choice { parts, finish }],
        ..Answer::default()
    };
    let body = written(&answer);
    (body["stop_reason"].clone(), body["stop_sequence"].clone())
}

#[test]
fn an_answer_has_the_fields_of_a_message() {
    let citation = CitationOf {
        url: "https://example.test".to_owned(),
        title: Some("t".to_owned()),
        span: None,
    };
    let answer = Answer {
        id: "chatcmpl-1".to_owned(),
        created: 5,
        choices: vec![Choice {
            parts: vec![
                Part::text(""),
                Part::Text {
                    text: "so".to_owned(),
                    cache: None,
                    citations: vec![citation],
                },
                Part::ToolCall(ToolCall {
                    id: "functions.look:0".to_owned(),
                    name: "look".to_owned(),
                    arguments: r#"{"a":1.0}"#.to_owned(),
                    ..ToolCall::default()
                }),
            ],
            finish: Some(Finish::ToolCalls),
        }],
        usage: Some(Usage {
            prompt_tokens: 10,
            completion_tokens: 4,
            cached_tokens: Some(6),
            cache_write_tokens: None,
            reasoning_tokens: 0,
        }),
        service_tier: Some("default".to_owned()),
    };
    let expected = json!({
        "id": "msg_chatcmpl-1", "type": "message", "role": "assistant", "model": "a/m",
        "content": [
            {"type": "text", "text": "so", "citations": [
                {"type": "web_search_result_location", "url": "https://example.test", "title": "t",
                 "cited_text": "", "encrypted_index": "mainstay:"}]},
            {"type": "tool_use", "id": "call_functions_2elook_3a0", "name": "look", "input": {"a": 1.0}},
        ],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 4, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 6,
                  "output_tokens": 4, "service_tier": "standard"},
    });
    assert_eq!(written(&answer), expected);
}

#[test]
fn an_answer_has_an_id_of_the_dialect() {
    let id = |id: &str| {
        let answer = Answer {
            id: id.to_owned(),
            ..Answer::default()
        };
        written(&answer)["id"].clone()
    };
    assert_eq!((id(""), id("msg_1")), (json!("msg_x1"), json!("msg_1")));
}

#[test]
fn what_is_encrypted_behind_the_last_text_is_left_out() {
    let sealed = || {
        Part::Thought(Thought {
            kind: ThoughtKind::Encrypted,
            text: "sealed".to_owned(),
            format: Some("google-gemini-v1".to_owned()),
            ..Thought::default()
        })
    };
    let kinds = |parts: Vec<Part>| -> Vec<String> {
        let answer = Answer {
            choices: vec![Choice {
                parts,
                finish: Some(Finish::STOP),
            }],
            ..Answer::default()
        };
        let content = written(&answer)["content"].clone();
        let blocks = content.as_array().unwrap().iter();
        blocks
            .map(|block| block["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        kinds(vec![sealed(), Part::text("so"), sealed()]),
        ["redacted_thinking", "text"]
    );
    assert_eq!(
        kinds(vec![Part::text("so"), sealed(), Part::text("and")]).len(),
        3
    );
    assert_eq!(kinds(vec![sealed()]), ["redacted_thinking"]);
}

#[test]
fn every_end_has_its_reason() {
    let reason = |finish| ended(Some(finish), vec![]).0;
    assert_eq!(ended(None, vec![]), (Value::Null, Value::Null));
    assert_eq!(reason(Finish::STOP), "end_turn");
    assert_eq!(reason(Finish::Length), "max_tokens");
    assert_eq!(reason(Finish::ToolCalls), "tool_use");
    assert_eq!(reason(Finish::Filtered), "refusal");
    assert_eq!(reason(Finish::Refused), "refusal");
    assert_eq!(reason(Finish::Paused), "pause_turn");
    assert_eq!(reason(Finish::Other("new".to_owned())), "end_turn");
    let sequence = || Finish::Stop {
        sequence: Some("END".to_owned()),
    };
    assert_eq!(
        ended(Some(sequence()), vec![]),
        (json!("stop_sequence"), json!("END"))
    );
    let refusal = vec![Part::Refusal("no".to_owned())];
    assert_eq!(
        ended(Some(sequence()), refusal),
        (json!("refusal"), Value::Null)
    );
}
