use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::wire::client_error::Skin;
use crate::wire::dialect::sample::{arguments, text};

fn writer() -> Writer {
    Writer::new(&Reply {
        request: &Bytes::new(),
        model: "a/m",
        id: "x1",
        now: 7,
        usage: true,
        skin: Skin::OpenAi,
    })
}

fn call(index: u32) -> Event {
    Event::ToolCall {
        choice: 0,
        index,
        id: format!("c{index}"),
        name: "look".to_owned(),
        signature: None,
    }
}

/// What a writer writes, event by event; each event's name is its data's type.
fn events(out: &[u8]) -> Vec<Value> {
    let out = std::str::from_utf8(out).unwrap();
    let events = out.split_terminator("\n\n").map(|event| {
        let (name, data) = event.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: ").unwrap(), data["type"]);
        data
    });
    events.collect()
}

fn written(pieces: &[Event]) -> Vec<Value> {
    let (mut writer, mut out) = (writer(), Vec::new());
    for piece in pieces {
        writer.write(piece, &mut out);
    }
    writer.end(&mut out);
    events(&out)
}

/// The blocks of a stream, one line each: kind, and what its deltas bring; indices count from 0, one open at a time.
fn blocks(events: &[Value]) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut open = false;
    for event in events {
        let index = event["index"].as_u64();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert!(!open && index == Some(blocks.len() as u64));
                open = true;
                let block = &event["content_block"];
                let id = block["id"].as_str().unwrap_or_default();
                blocks.push(format!("{}:{id}", block["type"].as_str().unwrap()));
            }
            "content_block_delta" => {
                assert!(open && index == Some(blocks.len() as u64 - 1));
                let delta = &event["delta"];
                let fields = ["text", "thinking", "partial_json", "signature"];
                let words = fields.iter().find_map(|field| delta[*field].as_str());
                blocks.last_mut().unwrap().push_str(words.unwrap_or("?"));
            }
            "content_block_stop" => {
                assert!(open && index == Some(blocks.len() as u64 - 1));
                open = false;
            }
            _ => assert!(!open),
        }
    }
    blocks
}

#[test]
fn a_stream_of_text_has_every_event_once_and_in_order() {
    let usage = Usage {
        prompt_tokens: 10,
        completion_tokens: 4,
        cached_tokens: Some(6),
        cache_write_tokens: Some(1),
        reasoning_tokens: 2,
    };
    let finish = Finish::Stop {
        sequence: Some("END".to_owned()),
    };
    let events = written(&[
        Event::Start {
            id: "gen-1".to_owned(),
            created: 5,
        },
        text("a"),
        text(""),
        text("b"),
        Event::Finish { choice: 0, finish },
        Event::Usage(usage),
    ]);
    let expected = json!([
        {"type": "message_start", "message": {
            "id": "msg_gen-1", "type": "message", "role": "assistant", "model": "a/m", "content": [],
            "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                      "output_tokens": 0}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "stop_sequence", "stop_sequence": "END"},
         "usage": {"input_tokens": 3, "cache_creation_input_tokens": 1, "cache_read_input_tokens": 6,
                   "output_tokens": 4, "output_tokens_details": {"thinking_tokens": 2}}},
        {"type": "message_stop"},
    ]);
    assert_eq!(Value::Array(events), expected);
}

#[test]
fn calls_one_after_the_other_are_never_kept() {
    let (mut writer, mut out) = (writer(), Vec::new());
    for index in 0..3 {
        writer.write(&call(index), &mut out);
        for json in [r#"{"a":"}"#, r#"\"","b":[{}]"#, "}"] {
            writer.write(&arguments(index, json), &mut out);
            assert!(writer.waiting.is_empty());
        }
    }
    writer.end(&mut out);
    let whole = r#"{"a":"}\"","b":[{}]}"#;
    let expected: Vec<_> = (0..3)
        .map(|index| format!("tool_use:c{index}{whole}"))
        .collect();
    assert_eq!(blocks(&events(&out)), expected);
}

#[test]
fn calls_that_take_turns_are_put_in_order() {
    let found = blocks(&written(&[
        call(0),
        call(1),
        arguments(1, r#"{"b""#),
        arguments(0, r#"{"a":"#),
        call(2),
        arguments(1, ":2}"),
        arguments(0, "1}"),
        arguments(2, "{}"),
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
        },
    ]));
    assert_eq!(
        found,
        [
            r#"tool_use:c0{"a":1}"#,
            r#"tool_use:c1{"b":2}"#,
            "tool_use:c2{}"
        ]
    );
    let empty = blocks(&written(&[
        call(0),
        call(1),
        arguments(1, "{}"),
        text("so"),
    ]));
    assert_eq!(empty, ["tool_use:c0", "tool_use:c1{}", "text:so"]);
}

#[test]
fn a_thought_of_another_origin_is_signed_with_its_mark() {
    let thought = |text: &str, signature: Option<&str>, format| Event::Thought {
        choice: 0,
        kind: ThoughtKind::Text,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: None,
        format,
    };
    let found = blocks(&written(&[
        thought("own", None, Some("anthropic-claude-v1")),
        thought("", Some("sig"), Some("anthropic-claude-v1")),
        thought("theirs", Some("tsig"), Some("google-gemini-v1")),
        text("so"),
        thought("late", None, None),
    ]));
    assert_eq!(
        found,
        [
            "thinking:ownsig",
            r#"thinking:theirsmainstay:{"format":"google-gemini-v1","signature":"tsig"}"#,
            "text:so",
            "thinking:latemainstay:{}",
        ]
    );
}

#[test]
fn what_is_encrypted_behind_the_last_text_is_left_out_and_else_stands_in_its_place() {
    let sealed = |format| Event::Thought {
        choice: 0,
        kind: ThoughtKind::Encrypted,
        text: "sealed".to_owned(),
        signature: None,
        id: None,
        format,
    };
    let google = Some("google-gemini-v1");
    let found = blocks(&written(&[text("so"), sealed(google), sealed(google)]));
    assert_eq!(found, ["text:so"]);
    let found = blocks(&written(&[text("so"), sealed(google), text("and")]));
    assert_eq!(found, ["text:so", "redacted_thinking:", "text:and"]);
    let found = blocks(&written(&[text("so"), sealed(google), call(0)]));
    assert_eq!(found[..2], ["text:so", "redacted_thinking:"]);
    let found = blocks(&written(&[sealed(google)]));
    assert_eq!(found, ["redacted_thinking:"], "there was no text");
    let found = blocks(&written(&[text("so"), sealed(Some(FORMAT))]));
    assert_eq!(
        found,
        ["text:so", "redacted_thinking:"],
        "it is the API's own"
    );
}

#[test]
fn a_calls_signature_stands_in_a_block_before_it() {
    let events = written(&[
        Event::ToolCall {
            choice: 0,
            index: 0,
            id: "c.0".to_owned(),
            name: "look".to_owned(),
            signature: Some("tsig".to_owned()),
        },
        arguments(0, "{}"),
    ]);
    let data = events[1]["content_block"]["data"].as_str().unwrap();
    assert_eq!(data, r#"mainstay:{"signature":"tsig","call":"call_c_2e0"}"#);
    assert_eq!(
        blocks(&events),
        ["redacted_thinking:", "tool_use:call_c_2e0{}"]
    );
}

#[test]
fn a_stream_may_begin_with_its_end_and_break_anywhere() {
    let whole = written(&[]);
    let kinds: Vec<_> = whole
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["message_start", "message_delta", "message_stop"]);
    let (mut writer, mut out) = (writer(), Vec::new());
    writer.write(&text("a"), &mut out);
    writer.fail(
        &ClientError::new(503, "provider_overloaded", "gone"),
        &mut out,
    );
    let found = events(&out);
    assert_eq!(
        found.last(),
        Some(&json!({"type": "error", "error": {"type": "overloaded_error", "message": "gone"}}))
    );
    assert!(found.iter().all(|event| event["type"] != "message_stop"));
}

#[test]
fn a_refusal_is_text_and_the_end_says_so() {
    let events = written(&[
        Event::Refusal {
            choice: 0,
            text: "no".to_owned(),
        },
        Event::Finish {
            choice: 0,
            finish: Finish::STOP,
        },
    ]);
    assert_eq!(blocks(&events), ["text:no"]);
    assert_eq!(events[4]["delta"]["stop_reason"], "refusal");
}
