use super::*;
use crate::core::exchange::Usage;
use crate::core::outcome::Hint;
use crate::wire::sse::Splitter;

const PLAIN: Expects = Expects {
    operation: Operation::Chat,
    choices: 1,
    usage: false,
    structured: false,
};

fn event(raw: &str) -> Event {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(Bytes::copy_from_slice(raw.as_bytes()));
    let event = splitter.next().map(|event| event.expect("short"));
    event.or_else(|| splitter.finish()).expect("an event")
}

fn data(json: &str) -> Event {
    event(&format!("data: {json}\n\n"))
}

fn chunk(choices: &str) -> Event {
    data(&format!(
        r#"{{"id":"c","object":"chat.completion.chunk","created":9,"model":"up","choices":[{choices}]}}"#
    ))
}

fn stream() -> AnswerStream {
    AnswerStream::new(PLAIN, "a/m")
}

fn progress(reading: &Reading) -> Progress {
    match reading.event {
        StreamEvent::Progress(progress) => progress,
        ref other => panic!("no progress: {other:?}"),
    }
}

fn has_content(delta: &str) -> bool {
    let choice = format!(r#"{{"index":0,"delta":{delta},"finish_reason":null}}"#);
    progress(&stream().read(&chunk(&choice))).content
}

#[test]
fn only_what_a_client_waits_for_is_content() {
    for delta in [
        r#"{"role":"assistant"}"#,
        r#"{"role":"assistant","content":"","refusal":null}"#,
        r#"{"content":null,"tool_calls":[],"reasoning_details":[]}"#,
        r#"{"reasoning_content":""}"#,
        "{}",
        "null",
    ] {
        assert!(!has_content(delta), "{delta}");
    }
    for delta in [
        r#"{"content":" "}"#,
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"}]}]}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"reasoning_content":"a"}"#,
        r#"{"reasoning_details":[{"type":"reasoning.encrypted"}]}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"data":"AA"}}"#,
        r#"{"images":[{}]}"#,
    ] {
        assert!(has_content(delta), "{delta}");
    }
}

#[test]
fn a_finish_that_explains_an_empty_answer_is_content() {
    let content = |reason: &str| {
        let chunk = format!(
            r#"data: {{"id":"c","choices":[{{"index":0,"delta":{{}},"finish_reason":"{reason}"}}]}}"#
        );
        let reading = stream().read(&event(&format!("{chunk}\n\n")));
        matches!(reading.event, StreamEvent::Progress(progress) if progress.content)
    };
    assert!(content("length") && content("content_filter"));
    assert!(!content("stop"));
}

#[test]
fn comments_and_fields_without_data_are_idle_and_passed_on() {
    for raw in [": OPENROUTER PROCESSING\n\n", "event: ping\n\n", "\n"] {
        let reading = stream().read(&event(raw));
        assert_eq!(reading.event, StreamEvent::Idle);
        assert_eq!(reading.relay, Relay::AsIs);
    }
    let reading = stream().read(&event("data:\n\n"));
    assert_eq!(
        (reading.event, reading.relay),
        (StreamEvent::Idle, Relay::Nothing)
    );
}

#[test]
fn the_model_is_replaced_and_other_bytes_kept() {
    let check = |raw: &str, expected: &str| {
        let reading = stream().read(&event(raw));
        assert_eq!(
            reading.relay,
            Relay::Rewritten(Bytes::copy_from_slice(expected.as_bytes()))
        );
    };
    check(
        "event: x\r\ndata:  {\"model\" : \"up\", \"choices\":[],\"é\":1} \r\n\r\n",
        "event: x\r\ndata:  {\"model\" : \"a/m\", \"choices\":[],\"é\":1} \r\n\r\n",
    );
    check(
        "\u{feff}data: {\"model\":\"\",\"choices\":[]}\n\n",
        "\u{feff}data: {\"model\":\"a/m\",\"choices\":[]}\n\n",
    );
    check(
        "id: 1\ndata: {\"model\":\ndata: \"up\",\"choices\":[]}\n\n",
        "id: 1\ndata: {\"model\":\ndata: \"a/m\",\"choices\":[]}\n\n",
    );
    let unclosed = stream().read(&event("data: {\"model\":\"up\",\"choices\":[]}\n"));
    let closed = "data: {\"model\":\"a/m\",\"choices\":[]}\n\n\n";
    assert_eq!(unclosed.relay, Relay::Rewritten(closed.into()));
    assert_eq!(
        stream().read(&event("data: [DONE]")).relay,
        Relay::Rewritten("data: [DONE]\n\n".into())
    );
    for same in [
        r#"{"model":"a/m","choices":[]}"#,
        r#"{"choices":[]}"#,
        r#"{"model":null,"choices":[]}"#,
    ] {
        assert_eq!(stream().read(&data(same)).relay, Relay::AsIs);
    }
}

#[test]
fn a_stream_is_finished_when_every_choice_is() {
    let expects = Expects {
        choices: 2,
        ..PLAIN
    };
    let mut stream = AnswerStream::new(expects, "a/m");
    let mut finished = |choice: &str| progress(&stream.read(&chunk(choice))).finished;
    assert!(!finished(r#"{"index":0,"delta":{"content":"a"}}"#));
    assert!(!finished(
        r#"{"index":0,"delta":{},"finish_reason":"stop"}"#
    ));
    assert!(!finished(
        r#"{"index":1,"delta":{"content":"b"},"finish_reason":""}"#
    ));
    assert!(finished(
        r#"{"index":1,"delta":{},"finish_reason":"length"}"#
    ));
    assert!(finished(""));
}

#[test]
fn the_end_marker_is_added_after_a_finished_stream_only() {
    let mut stream = stream();
    assert_eq!(stream.close(), None);
    stream.read(&chunk(r#"{"index":0,"delta":{"content":"a"}}"#));
    assert_eq!(stream.close(), None);
    stream.read(&chunk(r#"{"index":0,"delta":{},"finish_reason":"stop"}"#));
    assert_eq!(stream.close().unwrap(), "data: [DONE]\n\n");
    let reading = stream.read(&data("[DONE]"));
    assert_eq!(
        (reading.event, reading.relay),
        (StreamEvent::Done, Relay::AsIs)
    );
    assert_eq!(stream.close(), None);
}

#[test]
fn the_usage_chunk_goes_to_those_who_asked() {
    let usage = data(
        r#"{"id":"c","model":"a/m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":7}}"#,
    );
    let reading = stream().read(&usage);
    assert_eq!(reading.relay, Relay::Nothing);
    let expected = Usage {
        prompt_tokens: 5,
        completion_tokens: 7,
        ..Usage::default()
    };
    assert_eq!(progress(&reading).usage, Some(expected));
    let expects = Expects {
        usage: true,
        ..PLAIN
    };
    assert_eq!(
        AnswerStream::new(expects, "a/m").read(&usage).relay,
        Relay::AsIs
    );
    let beside_content =
        data(r#"{"model":"a/m","choices":[{"delta":{}}],"usage":{"prompt_tokens":5}}"#);
    assert_eq!(stream().read(&beside_content).relay, Relay::AsIs);
    let filter_results = data(r#"{"choices":[],"id":"","model":"","prompt_filter_results":[]}"#);
    let reading = stream().read(&filter_results);
    assert!(matches!(reading.relay, Relay::Rewritten(_)) && !progress(&reading).content);
}

#[test]
fn an_error_in_the_stream_is_read_and_not_passed_on() {
    let facts = |raw: &str| {
        let reading = stream().read(&event(raw));
        assert_eq!(reading.relay, Relay::Nothing);
        match reading.event {
            StreamEvent::Error(facts) => *facts,
            other => panic!("no error: {other:?}"),
        }
    };
    let found = facts(
        "event: error\ndata: {\"error\":{\"message\":\"m\",\"code\":\"context_length_exceeded\"}}\n\n",
    );
    assert_eq!(
        (found.status, found.hint),
        (200, Some(Hint::ContextTooLong))
    );
    assert_eq!(facts("data: {\"error\":\"boom\"}\n\n").message, "boom");
    assert_eq!(
        facts("event: error\ndata: {\"message\":\"boom\"}\n\n").message,
        "boom"
    );
    let found = facts(
        "data: {\"error\":{\"code\":429,\"message\":\"try again in 2s\"},\"choices\":[{\"delta\":{},\"finish_reason\":\"error\"}]}\n\n",
    );
    assert_eq!(found.hint, Some(Hint::RateLimited));
    assert_eq!(found.retry_after, Some(std::time::Duration::from_secs(2)));
    let found = facts(
        "data: {\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}]}\n\n",
    );
    assert_eq!(found.message, "the model ended with an error");
    let fine = stream().read(&data(r#"{"error":null,"choices":[]}"#));
    assert!(matches!(fine.event, StreamEvent::Progress(_)));
}

#[test]
fn a_broken_event_is_fatal_while_a_tool_call_or_a_structure_is_open() {
    let broken = [
        "{",
        "ha this isn't json!",
        "{}",
        "[]",
        r#"{"choices":7}"#,
        r#"{"choices":[{"delta":"x"}]}"#,
    ];
    for json in broken {
        let reading = stream().read(&data(json));
        assert_eq!(
            reading.event,
            StreamEvent::Malformed { fatal: false },
            "{json}"
        );
        assert_eq!(reading.relay, Relay::Nothing);
    }
    let fatal = |stream: &mut AnswerStream| {
        stream.read(&data("{")).event == StreamEvent::Malformed { fatal: true }
    };
    let mut tools = stream();
    tools.read(&chunk(
        r#"{"index":0,"delta":{"tool_calls":[{"index":0}]}}"#,
    ));
    assert!(fatal(&mut tools));
    tools.read(&chunk(
        r#"{"index":0,"delta":{},"finish_reason":"tool_calls"}"#,
    ));
    assert!(!fatal(&mut tools));
    let expects = Expects {
        structured: true,
        ..PLAIN
    };
    assert!(fatal(&mut AnswerStream::new(expects, "a/m")));
    let raw = Bytes::from_static(b"data: {\"choices\":[],\"a\":\"\xff\"}\n\n");
    let mut splitter = Splitter::new(100);
    splitter.push(raw);
    let event = splitter.next().unwrap().unwrap();
    assert_eq!(
        stream().read(&event).event,
        StreamEvent::Malformed { fatal: false }
    );
}

#[test]
fn the_head_is_remembered_from_the_first_chunk_that_has_one() {
    let mut stream = stream();
    stream.read(&data(r#"{"choices":[],"id":"","model":"","created":0}"#));
    stream.read(&chunk(r#"{"delta":{"content":"a"}}"#));
    stream.read(&data(r#"{"choices":[],"id":"other","created":10}"#));
    let head = stream.head();
    assert_eq!(
        (head.id.as_str(), head.model.as_str(), head.created),
        ("c", "a/m", 9)
    );
}

#[test]
fn a_null_usage_is_left_out_for_clients_that_do_not_take_it() {
    let left = |json: &str| {
        let event = event(&format!("data: {json}\n\n"));
        let mut stream = AnswerStream::new(PLAIN, "a/m").without_null_usage();
        let bytes = stream.read(&event).relay.bytes(&event).unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let data = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n");
        data.unwrap().to_owned()
    };
    for (json, expected) in [
        (
            r#"{"id":"c","model":"up","choices":[],"usage":null}"#,
            r#"{"id":"c","model":"a/m","choices":[]}"#,
        ),
        (
            r#"{ "usage" : null , "id":"c","model":"up","choices":[]}"#,
            r#"{ "id":"c","model":"a/m","choices":[]}"#,
        ),
        (
            r#"{"id":"c","usage":null,"model":"a/m","choices":[]}"#,
            r#"{"id":"c","model":"a/m","choices":[]}"#,
        ),
        (
            r#"{"id":"c","choices":[{"index":0,"delta":{"content":"\"usage\":null"}}]}"#,
            r#"{"id":"c","choices":[{"index":0,"delta":{"content":"\"usage\":null"}}]}"#,
        ),
    ] {
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let found = left(json);
        assert_eq!(parsed(&found), parsed(expected), "{found}");
    }
    let kept = event("data: {\"id\":\"c\",\"choices\":[],\"usage\":null}\n\n");
    assert_eq!(stream().read(&kept).relay, Relay::AsIs);
}
