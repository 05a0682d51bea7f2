//! What events say to the hub, and how the hub's pieces are written.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::exchange::{StreamEvent, Usage};
use crate::wire::client_error::ClientError;
use crate::wire::dialect::sample::reply;
use crate::wire::dialect::{Downstream, Frame, Upstream, WriteEvents};
use crate::wire::hub::{Answer, Choice, Event, Finish, Part, ThoughtKind, ToolCall};
use crate::wire::responses::Responses;

fn frames(events: &[Value]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Responses.reader();
    let mut pieces = Vec::new();
    let read = |event: &Value| {
        let data = event.to_string();
        let frame = Frame {
            name: "",
            data: data.as_bytes(),
            is_error: false,
        };
        reader.read(frame, &mut pieces)
    };
    let events = events.iter().map(read).collect();
    (events, pieces)
}

fn text(text: &str) -> Event {
    Event::Text {
        choice: 0,
        text: text.to_owned(),
    }
}

fn thought(kind: ThoughtKind, text: &str, id: Option<&str>) -> Event {
    Event::Thought {
        choice: 0,
        kind,
        text: text.to_owned(),
        signature: None,
        id: id.map(str::to_owned),
        format: Some("openai-responses-v1"),
    }
}

fn delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "m", "delta": text})
}

#[test]
fn a_stream_is_read_piece_by_piece() {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"});
    let (events, pieces) = frames(&[
        json!({"type": "response.created", "response": {"id": "resp_1", "created_at": 7.5}}),
        json!({"type": "response.in_progress", "response": {"id": "resp_1", "created_at": 7}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}),
        json!({"type": "response.reasoning_summary_part.added", "item_id": "rs_1", "summary_index": 0}),
        json!({"type": "response.reasoning_summary_text.delta", "item_id": "rs_1", "delta": "hm"}),
        json!({"type": "response.reasoning_summary_text.done", "item_id": "rs_1", "text": "hm"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": reasoning}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message", "id": "m", "role": "assistant", "content": []}}),
        json!({"type": "response.content_part.added", "output_index": 1}),
        delta("a"),
        json!({"type": "response.output_text.done", "text": "a"}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"}),
        json!({"type": "response.function_call_arguments.done", "output_index": 2, "arguments": "{}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}}),
        json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}}}),
    ]);
    let facts: Vec<_> = events
        .iter()
        .map(|event| match event {
            StreamEvent::Progress(progress) => (progress.content, progress.finished, progress.last),
            other => panic!("{other:?}"),
        })
        .collect();
    let (quiet, said) = ((false, false, false), (true, false, false));
    let expected = [
        quiet,
        quiet,
        quiet,
        quiet,
        said,
        quiet,
        said,
        quiet,
        quiet,
        said,
        quiet,
        said,
        said,
        quiet,
        quiet,
        (true, true, true),
    ];
    assert_eq!(facts, expected);
    let expected = [
        Event::Start {
            id: "resp_1".to_owned(),
            created: 7,
        },
        thought(ThoughtKind::Summary, "hm", None),
        thought(ThoughtKind::Summary, "", Some("rs_1")),
        thought(ThoughtKind::Encrypted, "gAAA", Some("rs_1")),
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
fn arguments_and_texts_that_come_whole_are_not_lost() {
    let (_, pieces) = frames(&[
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "role": "assistant", "content": []}}),
        json!({"type": "response.output_text.done", "text": "a"}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "call_id": "c1", "name": "f"}}),
        json!({"type": "response.function_call_arguments.done", "output_index": 1, "arguments": "{}"}),
        json!({"type": "response.output_item.added", "output_index": 2, "item": {"type": "function_call", "call_id": "c2", "name": "g"}}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "[]"}}),
    ]);
    let arguments = |index, json: &str| Event::Arguments {
        choice: 0,
        index,
        json: json.to_owned(),
    };
    assert!(pieces.contains(&text("a")));
    assert!(pieces.contains(&arguments(0, "{}")) && pieces.contains(&arguments(1, "[]")));
}

#[test]
fn an_end_that_is_none_is_an_error_or_none() {
    let last = |event: Value| frames(&[event]).0.remove(0);
    for event in [
        json!({"type": "error", "code": "rate_limit_exceeded", "message": "m", "param": null}),
        json!({"type": "error", "error": {"type": "server_error", "message": "m"}}),
        json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "m"}}}),
        json!({"error": {"message": "m"}}),
    ] {
        let StreamEvent::Error(facts) = last(event.clone()) else {
            panic!("{event}");
        };
        assert_eq!(facts.message, "m");
    }
    for event in [
        json!({"type": "response.completed"}),
        json!({"type": "response.completed", "response": {"status": "in_progress"}}),
        json!({"type": "response.output_text.delta"}),
        json!({"type": "response.output_item.added"}),
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": []}),
        json!({}),
        json!(7),
    ] {
        let found = last(event.clone());
        assert_eq!(found, StreamEvent::Malformed { fatal: false }, "{event}");
    }
    assert_eq!(last(json!({"type": "keepalive"})), StreamEvent::Idle);
    let unknown = last(json!({"type": "response.web_search_call.searching", "item_id": "ws"}));
    assert!(
        matches!(unknown, StreamEvent::Progress(progress) if !progress.content && !progress.finished)
    );
}

#[test]
fn nonsense_breaks_a_stream_only_where_a_piece_must_not_be_missing() {
    let fatal = |events: &[Value]| {
        let events = [events, &[json!({})]].concat();
        frames(&events).0.pop() == Some(StreamEvent::Malformed { fatal: true })
    };
    let call = |kind: &str| json!({"type": kind, "output_index": 1, "item": {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}});
    let (added, done) = (
        call("response.output_item.added"),
        call("response.output_item.done"),
    );
    assert!(!fatal(&[delta("a")]));
    assert!(fatal(&[delta(" {")]));
    assert!(fatal(std::slice::from_ref(&added)));
    assert!(!fatal(&[added, done]));
}

/// Writes, and gives the events back; their numbers are checked.
fn events(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let mut events = Vec::new();
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').unwrap();
        let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), event["type"].as_str());
        assert_eq!(event["sequence_number"], events.len() as u64);
        events.push(event);
    }
    events
}

fn writer(request: &'static str) -> Box<dyn WriteEvents> {
    let request = Bytes::from_static(request.as_bytes());
    Responses.writer(&reply(&request))
}

fn streamed(pieces: &[Event]) -> Vec<Value> {
    let mut writer = writer(r#"{"instructions":"i","tools":[{"type":"function","name":"f"}]}"#);
    let mut out = Vec::new();
    for piece in pieces {
        writer.write(piece, &mut out);
    }
    writer.end(&mut out);
    events(&out)
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn kinds(events: &[Value]) -> Vec<&str> {
    let kinds = events.iter().filter_map(|event| event["type"].as_str());
    kinds
        .map(|kind| kind.strip_prefix("response.").unwrap_or(kind))
        .collect()
}

#[test]
fn a_text_is_written_as_openai_writes_it() {
    let usage = Usage {
        prompt_tokens: 3,
        completion_tokens: 2,
        ..Usage::default()
    };
    let written = streamed(&[
        text("a"),
        text("b"),
        finish(Finish::STOP),
        Event::Usage(usage),
    ]);
    let order = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&written), order);
    assert_eq!(
        written[5],
        json!({"type": "response.output_text.delta", "sequence_number": 5, "item_id": "msg_own_0", "output_index": 0, "content_index": 0, "delta": "b", "logprobs": []})
    );
    assert_eq!(written[6]["text"], "ab");
    assert_eq!(
        written[7]["part"],
        json!({"type": "output_text", "text": "ab", "annotations": [], "logprobs": []})
    );
    assert_eq!(written[2]["item"]["content"], json!([]));
    assert_eq!(written[0]["response"]["status"], "in_progress");
    assert_eq!(written[0]["response"]["id"], "resp_own");
    let last = &written[9]["response"];
    assert_eq!(
        (&last["instructions"], &last["tools"][0]["name"]),
        (&json!("i"), &json!("f"))
    );
    assert_eq!(last["output"], json!([written[8]["item"]]));
    assert_eq!(last["usage"]["total_tokens"], 5);
}

#[test]
fn each_kind_of_part_opens_and_closes_its_own() {
    let call = |index: u32| Event::ToolCall {
        choice: 0,
        index,
        id: format!("c{index}"),
        name: "f".to_owned(),
        signature: None,
    };
    let arguments = |index, json: &str| Event::Arguments {
        choice: 0,
        index,
        json: json.to_owned(),
    };
    let written = streamed(&[
        thought(ThoughtKind::Text, "h", None),
        thought(ThoughtKind::Text, "m", None),
        thought(ThoughtKind::Encrypted, "gAAA", None),
        text("a"),
        Event::Refusal {
            choice: 0,
            text: "no".to_owned(),
        },
        call(0),
        call(1),
        arguments(0, "{"),
        arguments(1, "[]"),
        arguments(0, "}"),
        finish(Finish::ToolCalls),
    ]);
    let order = [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&written), order);
    assert_eq!(written[8]["item"]["encrypted_content"], "gAAA");
    assert_eq!(written[16]["refusal"], "no");
    assert_eq!(
        (&written[24]["arguments"], &written[24]["name"]),
        (&json!("{}"), &json!("f"))
    );
    assert_eq!(written[26]["output_index"], 3);
    assert_eq!(
        written[28]["response"]["output"].as_array().unwrap().len(),
        4
    );
}

#[test]
fn a_stream_that_is_cut_or_broken_says_so() {
    let cut = streamed(&[text("a"), finish(Finish::Length)]);
    let last = cut.last().unwrap();
    assert_eq!(last["type"], "response.incomplete");
    assert_eq!(
        last["response"]["incomplete_details"]["reason"],
        "max_output_tokens"
    );
    assert_eq!(last["response"]["output"][0]["status"], "incomplete");

    let error = ClientError::new(502, "provider_unavailable", "broke");
    let mut writer = writer("{}");
    let mut out = Vec::new();
    writer.write(&text("a"), &mut out);
    writer.fail(&error, &mut out);
    let before = out.len();
    writer.write(&text("b"), &mut out);
    writer.end(&mut out);
    assert_eq!(out.len(), before, "nothing follows the end");
    let broken = events(&out);
    let [.., event, failed] = &broken[..] else {
        panic!("too few");
    };
    assert_eq!(
        (&event["type"], &event["message"]),
        (&json!("error"), &json!("broke"))
    );
    let inner = json!({"type": "server_error", "code": "provider_unavailable", "message": "broke", "param": null});
    assert_eq!(event["error"], inner);
    assert_eq!(event["code"], "provider_unavailable");
    assert_eq!(failed["type"], "response.failed");
    assert_eq!(failed["response"]["status"], "failed");
    let told = json!({"code": "server_error", "message": "broke"});
    assert_eq!(failed["response"]["error"], told);
    let passed_on = Responses.stream_error(&error, 7);
    assert!(
        std::str::from_utf8(&passed_on)
            .unwrap()
            .contains("\"sequence_number\":7")
    );
}

#[test]
fn an_answer_that_never_ends_is_not_held() {
    let mut writer = writer("{}");
    let mut out = Vec::new();
    let long = text(&"x".repeat(1 << 20));
    let mut most = 0;
    for _ in 0..20 {
        out.clear();
        writer.write(&long, &mut out);
        most = most.max(out.len());
    }
    assert!(out.is_empty(), "it goes on");
    assert!(most < 3 << 20, "{most}");
    writer.end(&mut out);
    assert!(out.is_empty());
}

#[test]
fn arguments_of_a_call_that_is_closed_break_the_stream() {
    let call = Event::ToolCall {
        choice: 0,
        index: 0,
        id: "c1".to_owned(),
        name: "f".to_owned(),
        signature: None,
    };
    let late = Event::Arguments {
        choice: 0,
        index: 0,
        json: "{}".to_owned(),
    };
    let written = streamed(&[call, text("a"), late, text("b")]);
    assert_eq!(written.last().unwrap()["type"], "response.failed");
}

#[test]
fn a_call_of_a_custom_tool_is_one_whether_it_is_streamed_or_not() {
    const REQUEST: &str =
        r#"{"tools":[{"type":"custom","name":"patch"},{"type":"function","name":"f"}]}"#;
    let call = |index, name: &str| Event::ToolCall {
        choice: 0,
        index,
        id: format!("c{index}"),
        name: name.to_owned(),
        signature: None,
    };
    let piece = |index, json: &str| Event::Arguments {
        choice: 0,
        index,
        json: json.to_owned(),
    };
    let (mut writer, mut out) = (writer(REQUEST), Vec::new());
    let pieces = [
        call(0, "patch"),
        call(1, "f"),
        piece(0, r#"{"input":"+\"#),
        piece(1, "{}"),
        piece(0, r#"n"}"#),
    ];
    for piece in pieces {
        writer.write(&piece, &mut out);
    }
    writer.end(&mut out);
    let written = events(&out);
    let custom = |written: &[Value]| -> Vec<Value> {
        let of = written
            .iter()
            .filter(|event| event["type"].as_str().unwrap().contains("custom"));
        of.cloned().collect()
    };
    let [delta, done] = &custom(&written)[..] else {
        panic!("{written:?}");
    };
    assert_eq!(
        (&delta["delta"], &done["input"]),
        (&json!("+\n"), &json!("+\n"))
    );
    let item = json!({"type": "custom_tool_call", "id": "ctc_own_0", "status": "completed", "call_id": "c0", "name": "patch", "input": "+\n"});
    let output = &written.last().unwrap()["response"]["output"];
    assert_eq!(
        (&output[0], &output[1]["type"]),
        (&item, &json!("function_call"))
    );
    let arguments = kinds(&written)
        .into_iter()
        .filter(|kind| kind.contains("function_call_arguments"));
    assert_eq!(arguments.count(), 2, "those of the function alone");
    // And as one answer.
    let call = ToolCall {
        id: "c0".to_owned(),
        name: "patch".to_owned(),
        arguments: r#"{"input":"+\n"}"#.to_owned(),
        ..ToolCall::default()
    };
    let answer = Answer {
        choices: vec![Choice {
            parts: vec![Part::ToolCall(call)],
            finish: Some(Finish::ToolCalls),
        }],
        ..Answer::default()
    };
    let whole = Responses.write_answer(&answer, &reply(&Bytes::from_static(REQUEST.as_bytes())));
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole["output"], json!([item]));
}

#[test]
fn thoughts_that_nobody_wants_to_see_are_left_out() {
    let mut writer = writer(r#"{"reasoning":{"exclude":true}}"#);
    let mut out = Vec::new();
    writer.write(&thought(ThoughtKind::Text, "hm", None), &mut out);
    assert!(out.is_empty());
    writer.write(&text("a"), &mut out);
    writer.end(&mut out);
    let written = events(&out);
    assert_eq!(
        written.last().unwrap()["response"]["output"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
