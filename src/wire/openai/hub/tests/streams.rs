//! What chunks say to the hub, and how the hub's pieces are written.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::exchange::{StreamEvent, Usage};
use crate::wire::client_error::{ClientError, Skin};
use crate::wire::dialect::sample::reply;
use crate::wire::dialect::{Downstream, Frame, Reply, Upstream};
use crate::wire::hub::{Event, Finish, ThoughtKind};
use crate::wire::openai::hub::Chat;

fn frames(chunks: &[Value]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Chat.reader();
    let mut pieces = Vec::new();
    let mut read = |data: &[u8]| {
        let frame = Frame {
            name: "",
            data,
            is_error: false,
        };
        reader.read(frame, &mut pieces)
    };
    let mut events: Vec<StreamEvent> = chunks
        .iter()
        .map(|chunk| read(chunk.to_string().as_bytes()))
        .collect();
    events.push(read(b"[DONE]"));
    (events, pieces)
}

fn delta(delta: &Value, finish: Option<&str>) -> Value {
    json!({"id": "up-1", "object": "chat.completion.chunk", "created": 7, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": null})
}

fn text(text: &str) -> Event {
    Event::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

#[test]
fn a_stream_is_read_piece_by_piece() {
    let (events, pieces) = frames(&[
        delta(&json!({"role": "assistant", "content": ""}), None),
        delta(
            &json!({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "format": "anthropic-claude-v1"}]}),
            None,
        ),
        delta(&json!({"reasoning_content": "m"}), None),
        delta(&json!({"content": "a"}), None),
        delta(
            &json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}]}),
            None,
        ),
        delta(
            &json!({"tool_calls": [{"index": 0, "function": {"name": "", "arguments": "{}"}}]}),
            None,
        ),
        delta(&json!({}), Some("tool_calls")),
        json!({"id": "up-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}),
    ]);
    let content: Vec<_> = events
        .iter()
        .map(|event| match event {
            StreamEvent::Progress(progress) => (
                progress.content,
                progress.finished,
                progress.usage.is_some(),
            ),
            StreamEvent::Done => (false, true, true),
            other => panic!("{other:?}"),
        })
        .collect();
    let (quiet, said) = ((false, false, false), (true, false, false));
    assert_eq!(
        content,
        [
            quiet,
            said,
            said,
            said,
            said,
            said,
            (true, true, false),
            (false, true, true),
            (false, true, true)
        ]
    );
    let thought = |text: &str, format| Event::Thought {
        choice: 0,
        kind: ThoughtKind::Text,
        text: text.to_owned(),
        signature: None,
        id: None,
        format,
    };
    let expected = [
        Event::Start {
            id: "up-1".to_owned(),
            created: 7,
        },
        thought("h", Some("anthropic-claude-v1")),
        thought("m", None),
        text("a"),
        Event::ToolCall {
            choice: 0,
            index: 0,
            id: "c1".to_owned(),
            name: "f".to_owned(),
            signature: None,
        },
        Event::Arguments {
            choice: 0,
            index: 0,
            json: "{}".to_owned(),
        },
        Event::Finish {
            choice: 0,
            finish: Finish::ToolCalls,
        },
        Event::Usage(Usage {
            prompt_tokens: 3,
            completion_tokens: 2,
            ..Usage::default()
        }),
    ];
    assert_eq!(pieces, expected);
}

#[test]
fn calls_without_an_id_or_an_index_of_their_own_are_told_apart() {
    let (_, pieces) = frames(&[
        delta(
            &json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}),
            None,
        ),
        delta(
            &json!({"tool_calls": [{"index": 0, "id": "b", "function": {"name": "g", "arguments": {"x": 1}}}]}),
            None,
        ),
        delta(
            &json!({"tool_calls": [{"index": 1, "function": {"name": "h", "arguments": "{}"}}]}),
            Some("stop"),
        ),
    ]);
    let calls: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Event::ToolCall {
                index, id, name, ..
            } => Some((*index, id.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(
        calls,
        [(0, "a", "f"), (1, "b", "g"), (2, "call_up1_0_2", "h")]
    );
    assert!(pieces.contains(&Event::Arguments {
        choice: 0,
        index: 1,
        json: "{\"x\":1}".to_owned()
    }));
}

#[test]
fn a_signature_finds_its_call() {
    let (_, pieces) = frames(&[delta(
        &json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "sig", "id": "c1", "format": "google-gemini-v1"}],
            "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]}),
        None,
    )]);
    let signed = pieces.iter().any(
        |piece| matches!(piece, Event::ToolCall { signature: Some(found), .. } if found == "sig"),
    );
    assert!(
        signed
            && !pieces
                .iter()
                .any(|piece| matches!(piece, Event::Thought { .. }))
    );
    let google = json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f"}, "extra_content": {"google": {"thought_signature": "sig"}}}]});
    let (_, pieces) = frames(&[delta(&google, None)]);
    assert!(matches!(&pieces[1], Event::ToolCall { signature: Some(found), .. } if found == "sig"));
}

#[test]
fn nonsense_breaks_a_stream_only_where_a_piece_must_not_be_missing() {
    let fatal = |chunks: &[Value], broken: &[u8]| {
        let mut reader = Chat.reader();
        let mut pieces = Vec::new();
        for chunk in chunks {
            let data = chunk.to_string();
            reader.read(
                Frame {
                    name: "",
                    data: data.as_bytes(),
                    is_error: false,
                },
                &mut pieces,
            );
        }
        let before = pieces.len();
        let event = reader.read(
            Frame {
                name: "",
                data: broken,
                is_error: false,
            },
            &mut pieces,
        );
        assert_eq!(pieces.len(), before);
        match event {
            StreamEvent::Malformed { fatal } => fatal,
            other => panic!("{other:?}"),
        }
    };
    let plain = || delta(&json!({"content": "a"}), None);
    assert!(!fatal(&[plain()], b"{"));
    assert!(!fatal(&[plain()], b"{\"a\":1}"));
    assert!(!fatal(&[plain()], b"\xff"));
    assert!(fatal(&[delta(&json!({"content": " \n{"}), None)], b"{"));
    let call = json!({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]});
    assert!(fatal(&[delta(&call, None)], b"{"));
    assert!(!fatal(
        &[delta(&call, None), delta(&json!({}), Some("tool_calls"))],
        b"{"
    ));
    assert!(fatal(
        &[],
        delta(&json!({"content": [{"type": "odd"}]}), None)
            .to_string()
            .as_bytes()
    ));
}

#[test]
fn an_error_in_a_stream_is_one() {
    for (json, is_error) in [
        (
            json!({"error": {"message": "m", "code": 400}, "choices": []}),
            false,
        ),
        (json!({"message": "m"}), true),
        (
            json!({"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "m"}}]}),
            false,
        ),
    ] {
        let data = json.to_string();
        let frame = Frame {
            name: "",
            data: data.as_bytes(),
            is_error,
        };
        let StreamEvent::Error(facts) = Chat.reader().read(frame, &mut Vec::new()) else {
            panic!("{json}");
        };
        assert_eq!(facts.message, "m");
    }
}

fn chunks(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    text.split_terminator("\n\n")
        .map(|event| match event.strip_prefix("data: ").unwrap() {
            "[DONE]" => json!("[DONE]"),
            json => serde_json::from_str(json).unwrap(),
        })
        .collect()
}

fn streamed(skin: Skin, usage: bool, pieces: &[Event]) -> Vec<Value> {
    let request = Bytes::new();
    let mut writer = Chat.writer(&Reply {
        usage,
        skin,
        ..reply(&request)
    });
    let mut out = Vec::new();
    for piece in pieces {
        writer.write(piece, &mut out);
    }
    writer.end(&mut out);
    chunks(&out)
}

#[test]
fn chunks_have_what_strict_clients_need_and_no_null_that_they_do_not_take() {
    let pieces = [
        Event::Start {
            id: String::new(),
            created: 0,
        },
        text("a"),
        Event::Usage(Usage {
            prompt_tokens: 3,
            completion_tokens: 2,
            ..Usage::default()
        }),
        Event::Finish {
            choice: 0,
            finish: Finish::STOP,
        },
    ];
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "chatcmpl-own", "object": "chat.completion.chunk", "created": 99, "model": "author/slug",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let plain = [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"content": "a"}), Value::Null),
        chunk(json!({}), json!("stop")),
        json!("[DONE]"),
    ];
    assert_eq!(streamed(Skin::OpenAi, false, &pieces), plain);
    let with_usage = streamed(Skin::OpenAi, true, &pieces);
    assert_eq!(with_usage.len(), 5);
    assert_eq!(with_usage[3]["choices"], json!([]));
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 0}});
    assert_eq!(with_usage[3]["usage"], usage);
    let open_router = streamed(Skin::OpenRouter, true, &pieces);
    assert_eq!(
        open_router[3]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert_eq!(open_router[3]["usage"], usage);
}

#[test]
fn pieces_of_reasoning_are_counted_where_one_ends() {
    let thought = |kind, text: &str, signature: Option<&str>, id: Option<&str>| Event::Thought {
        choice: 0,
        kind,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: id.map(str::to_owned),
        format: None,
    };
    let pieces = [
        thought(ThoughtKind::Text, "a", None, None),
        thought(ThoughtKind::Text, "b", None, None),
        thought(ThoughtKind::Text, "", Some("s"), None),
        thought(ThoughtKind::Text, "c", None, None),
        thought(ThoughtKind::Summary, "d", None, None),
        thought(ThoughtKind::Summary, "", None, Some("r0")),
        thought(ThoughtKind::Summary, "d", None, None),
        thought(ThoughtKind::Encrypted, "e", None, Some("r1")),
        thought(ThoughtKind::Encrypted, "f", None, Some("r2")),
    ];
    let written = streamed(Skin::OpenAi, false, &pieces);
    let found: Vec<_> = written
        .iter()
        .filter_map(|chunk| chunk.pointer("/choices/0/delta/reasoning_details/0"))
        .map(|detail| {
            (
                detail["type"].as_str().unwrap(),
                detail["index"].as_u64().unwrap(),
            )
        })
        .collect();
    let (plain, encrypted) = ("reasoning.text", "reasoning.encrypted");
    assert_eq!(
        found,
        [
            (plain, 0),
            (plain, 0),
            (plain, 0),
            (plain, 1),
            ("reasoning.summary", 2),
            ("reasoning.summary", 3),
            (encrypted, 4),
            (encrypted, 5)
        ]
    );
    assert_eq!(written[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(written[4]["choices"][0]["delta"]["reasoning"], "d");
    assert!(written[6]["choices"][0]["delta"].get("reasoning").is_none());
}

#[test]
fn a_broken_stream_ends_in_the_dialects_error() {
    let request = Bytes::new();
    let error = ClientError::new(502, "provider_unavailable", "broke");
    let mut writer = Chat.writer(&reply(&request));
    let mut out = Vec::new();
    writer.write(
        &Event::Start {
            id: "up-1".to_owned(),
            created: 7,
        },
        &mut out,
    );
    writer.fail(&error, &mut out);
    let written = chunks(&out);
    assert_eq!(written.len(), 2);
    assert_eq!(
        (&written[1]["id"], &written[1]["error"]["message"]),
        (&json!("up-1"), &json!("broke"))
    );
}

#[test]
fn the_model_is_found_in_answers_and_events() {
    let found = |json: &str| Chat.model_in(json).map(|model| model.get().to_owned());
    assert_eq!(found(r#"{"a":1,"model":"m"}"#).as_deref(), Some("\"m\""));
    assert_eq!(found("{}"), None);
    assert_eq!(found("nonsense"), None);
}

#[test]
fn thoughts_that_nobody_wants_to_see_are_left_out() {
    let said = |request: &'static str| {
        let request = Bytes::from_static(request.as_bytes());
        let mut writer = Chat.writer(&reply(&request));
        let mut out = Vec::new();
        let thought = Event::Thought {
            choice: 0,
            kind: ThoughtKind::Text,
            text: "hm".to_owned(),
            signature: None,
            id: None,
            format: None,
        };
        writer.write(&thought, &mut out);
        writer.write(&text("a"), &mut out);
        chunks(&out).len()
    };
    assert_eq!(said(r#"{"reasoning":{"exclude":true}}"#), 1);
    assert_eq!(said(r#"{"include_reasoning":false}"#), 1);
    assert_eq!(
        said(r#"{"reasoning":{"exclude":false},"include_reasoning":false}"#),
        2
    );
    assert_eq!(said(r#"{"messages":[{"content":"\"exclude\":true"}]}"#), 2);
    assert_eq!(said(""), 2);
}
