use super::*;
use crate::core::exchange::Usage;
use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::dialect::sample::text;
use crate::wire::hub::{Citation, Finish};

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":1}}}"#;

fn frame(data: &str) -> Frame<'_> {
    Frame {
        name: "",
        data: data.as_bytes(),
        is_error: false,
    }
}

fn read(events: &[&str]) -> (Vec<StreamEvent>, Vec<Event>) {
    let (mut reader, mut pieces) = (Reader::default(), Vec::new());
    let read = |event: &&str| reader.read(frame(event), &mut pieces);
    (events.iter().map(read).collect(), pieces)
}

fn last(events: &[&str]) -> StreamEvent {
    read(events).0.pop().unwrap()
}

fn begin(block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#)
}

fn delta(delta: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#)
}

const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const TEXT: &str = r#"{"type":"text","text":""}"#;
const TOOL: &str = r#"{"type":"tool_use","id":"t","name":"look","input":{}}"#;

fn ended(reason: &str) -> String {
    format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":"S"}},"usage":{{"output_tokens":9}}}}"#
    )
}

fn is_malformed(event: &StreamEvent, fatal: bool) -> bool {
    *event == StreamEvent::Malformed { fatal }
}

#[test]
fn each_event_is_what_it_is_for_the_exchange() {
    let begin = begin(TEXT);
    let (said, ended) = (
        delta(r#"{"type":"text_delta","text":"a"}"#),
        ended("end_turn"),
    );
    let (events, pieces) = read(&[
        START,
        r#"{"type":"ping"}"#,
        &begin,
        &said,
        STOP,
        r#"{"type":"something_new","x":1}"#,
        &ended,
        r#"{"type":"message_stop"}"#,
    ]);
    let prompt = Usage {
        prompt_tokens: 7,
        cached_tokens: Some(4),
        ..Usage::default()
    };
    let usage = Usage {
        completion_tokens: 9,
        ..prompt
    };
    let progress = |content, finished, usage| {
        StreamEvent::Progress(Progress {
            content,
            finished,
            last: false,
            usage,
        })
    };
    let expected = [
        progress(false, false, Some(prompt)),
        StreamEvent::Idle,
        progress(false, false, None),
        progress(true, false, None),
        progress(false, false, None),
        progress(false, false, None),
        progress(false, true, Some(usage)),
        StreamEvent::Done,
    ];
    assert_eq!(events, expected);
    let start = Event::Start {
        id: "msg_1".to_owned(),
        created: 0,
    };
    let finish = Event::Finish {
        choice: 0,
        finish: Finish::STOP,
    };
    assert_eq!(pieces, [start, text("a"), finish, Event::Usage(usage)]);
}

#[test]
fn an_end_has_its_reason() {
    let finish = |reason: &str| {
        let (_, pieces) = read(&[START, &ended(reason)]);
        match &pieces[1] {
            Event::Finish { finish, .. } => finish.clone(),
            other => panic!("{other:?}"),
        }
    };
    let sequence = Some("S".to_owned());
    assert_eq!(finish("stop_sequence"), Finish::Stop { sequence });
    assert_eq!(finish("max_tokens"), Finish::Length);
    assert_eq!(finish("model_context_window_exceeded"), Finish::Length);
    assert_eq!(finish("tool_use"), Finish::ToolCalls);
    assert_eq!(finish("refusal"), Finish::Refused);
    assert_eq!(finish("pause_turn"), Finish::Paused);
    assert_eq!(finish("compaction"), Finish::Other("compaction".to_owned()));
}

#[test]
fn a_call_without_arguments_gets_an_empty_object() {
    let arguments = |blocks: &[&str]| {
        let (_, pieces) = read(blocks);
        let mut json = String::new();
        for piece in pieces {
            if let Event::Arguments { json: more, .. } = piece {
                json.push_str(&more);
            }
        }
        json
    };
    let nothing = delta(r#"{"type":"input_json_delta","partial_json":""}"#);
    let some = delta(r#"{"type":"input_json_delta","partial_json":"{\"a\":1}"}"#);
    let whole = begin(r#"{"type":"tool_use","id":"t","name":"look","input":{"b":2}}"#);
    let tool = begin(TOOL);
    assert_eq!(arguments(&[START, &tool, &nothing, STOP]), "{}");
    assert_eq!(arguments(&[START, &tool, &ended("tool_use")]), "{}");
    assert_eq!(arguments(&[START, &tool, &some, STOP]), r#"{"a":1}"#);
    assert_eq!(arguments(&[START, &whole, STOP]), r#"{"b":2}"#);
    assert_eq!(arguments(&[START, &whole, &some, STOP]), r#"{"a":1}"#);
}

#[test]
fn the_tool_that_stands_for_a_schema_is_text_again() {
    let tool = begin(r#"{"type":"tool_use","id":"t","name":"mainstay_answer","input":{}}"#);
    let some = delta(r#"{"type":"input_json_delta","partial_json":"{\"a\":1}"}"#);
    let (_, pieces) = read(&[START, &tool, &some, STOP, &ended("tool_use")]);
    assert_eq!(pieces[1], text(r#"{"a":1}"#));
    let finish = Event::Finish {
        choice: 0,
        finish: Finish::STOP,
    };
    assert_eq!(pieces[2], finish);
    let (_, pieces) = read(&[START, &tool, STOP, &begin(TOOL), STOP, &ended("tool_use")]);
    assert_eq!(pieces[1], text("{}"));
    let called = |piece: &Event| {
        matches!(
            piece,
            Event::Finish {
                finish: Finish::ToolCalls,
                ..
            }
        )
    };
    assert!(
        pieces.iter().any(called),
        "a tool of the client's was called too"
    );
}

#[test]
fn thoughts_and_citations_are_pieces_of_their_own() {
    let thinking = begin(r#"{"type":"thinking","thinking":"","signature":""}"#);
    let so = delta(r#"{"type":"thinking_delta","thinking":"so"}"#);
    let signed = delta(r#"{"type":"signature_delta","signature":"sig"}"#);
    let redacted = begin(r#"{"type":"redacted_thinking","data":"ZW5j"}"#);
    let (begun, cited) = (
        begin(TEXT),
        delta(
            r#"{"type":"citations_delta","citation":{"type":"web_search_result_location","url":"u","title":"t"}}"#,
        ),
    );
    let of_document = delta(
        r#"{"type":"citations_delta","citation":{"type":"char_location","document_index":0}}"#,
    );
    let (_, pieces) = read(&[
        START,
        &thinking,
        &so,
        &signed,
        STOP,
        &redacted,
        STOP,
        &begun,
        &cited,
        &of_document,
    ]);
    let thought = |kind, text: &str, signature: Option<&str>| Event::Thought {
        choice: 0,
        kind,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: None,
        format: Some(FORMAT),
    };
    let citation = Citation {
        url: "u".to_owned(),
        title: Some("t".to_owned()),
        span: None,
    };
    let expected = [
        thought(ThoughtKind::Text, "so", None),
        thought(ThoughtKind::Text, "", Some("sig")),
        thought(ThoughtKind::Encrypted, "ZW5j", None),
        Event::Citation {
            choice: 0,
            citation,
        },
    ];
    assert_eq!(pieces[1..], expected);
}

#[test]
fn a_message_may_begin_twice_and_never_anew() {
    let (events, pieces) = read(&[START, START]);
    assert!(matches!(events[1], StreamEvent::Progress(_)));
    assert_eq!(pieces.len(), 1);
    assert!(is_malformed(&last(&[START, &begin(TEXT), START]), true));
}

#[test]
fn nonsense_breaks_a_call_and_only_a_word_of_text() {
    for nonsense in ["{", "[]", "7", r#"{"type":7}"#, r#"{"typ":"ping"}"#, "{}"] {
        assert!(is_malformed(&last(&[START, nonsense]), false), "{nonsense}");
        assert!(
            is_malformed(&last(&[START, &begin(TEXT), nonsense]), false),
            "{nonsense}"
        );
        assert!(
            is_malformed(&last(&[START, &begin(TOOL), nonsense]), true),
            "{nonsense}"
        );
    }
    let lost = delta(r#"{"type":"input_json_delta","partial_json":"{"}"#);
    assert!(is_malformed(&last(&[START, &lost]), true));
    let bytes = Frame {
        data: b"{\"type\":\"ping\xff\"}",
        ..frame("")
    };
    assert!(is_malformed(
        &Reader::default().read(bytes, &mut Vec::new()),
        false
    ));
    assert_eq!(last(&[START, " "]), StreamEvent::Idle);
    assert_eq!(last(&[START, "[DONE]"]), StreamEvent::Done);
}

#[test]
fn errors_in_the_stream_have_their_class() {
    let class = |event: &str| match last(&[START, event]) {
        StreamEvent::Error(facts) => classify(&Evidence::InAnswer(*facts), false),
        other => panic!("{event}: {other:?}"),
    };
    let of = |kind: &str, message: &str| {
        class(&format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}}}}"#
        ))
    };
    assert_eq!(of("overloaded_error", "Overloaded"), Class::Overloaded);
    assert_eq!(of("rate_limit_error", "x"), Class::RateLimited);
    assert_eq!(of("api_error", "Internal server error"), Class::ErrorIn200);
    assert_eq!(of("timeout_error", "x"), Class::ErrorIn200);
    assert_eq!(of("authentication_error", "x"), Class::AuthRejected);
    assert_eq!(of("billing_error", "x"), Class::QuotaExhausted);
    assert_eq!(of("not_found_error", "model: x"), Class::ModelUnavailable);
    let words = "Output blocked by content filtering policy";
    assert_eq!(of("invalid_request_error", words), Class::ContentFiltered);
    let words = "prompt is too long: 210000 tokens > 200000 maximum";
    assert_eq!(of("invalid_request_error", words), Class::ContextTooLong);
    let words = "input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000";
    assert_eq!(of("invalid_request_error", words), Class::ContextTooLong);
    let words = "`temperature` is deprecated for this model.";
    assert_eq!(
        of("invalid_request_error", words),
        Class::UnsupportedParameter
    );
    assert_eq!(
        class(r#"{"error":{"type":"overloaded_error","message":"x"}}"#),
        Class::Overloaded
    );
    let named = Frame {
        name: "error",
        ..frame(r#"{"message":"x"}"#)
    };
    let event = Reader::default().read(named, &mut Vec::new());
    assert!(matches!(event, StreamEvent::Error(_)));
}

#[test]
fn a_stream_that_is_cut_is_never_finished() {
    let (begin, said, ended) = (
        begin(TEXT),
        delta(r#"{"type":"text_delta","text":"a"}"#),
        ended("end_turn"),
    );
    let all = [START, &begin, &said, STOP, &ended];
    for cut in 0..all.len() {
        let (events, _) = read(&all[..cut]);
        let done = |event: &StreamEvent| match event {
            StreamEvent::Progress(progress) => progress.finished,
            StreamEvent::Done => true,
            _ => false,
        };
        assert!(!events.iter().any(done), "{cut}");
    }
}

#[test]
fn blocks_that_overlap_are_told_apart_by_their_numbers() {
    let numbered = |at: u32, event: &str| event.replace("\"index\":0", &format!("\"index\":{at}"));
    let piece = |json: &str| {
        delta(&format!(
            r#"{{"type":"input_json_delta","partial_json":"{json}"}}"#
        ))
    };
    let events = [
        START.to_owned(),
        numbered(0, &begin(TOOL)),
        numbered(1, &begin(TOOL)),
        numbered(1, &piece("{")),
        numbered(0, &piece("[")),
        numbered(0, STOP),
        numbered(1, &piece("}")),
        numbered(1, STOP),
    ];
    let (_, pieces) = read(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let arguments: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Event::Arguments { index, json, .. } => Some((*index, json.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(arguments, [(1, "{"), (0, "["), (1, "}")]);
    let mut many = vec![START.to_owned()];
    many.extend((0..200).map(|at| numbered(at, &begin(TOOL))));
    let last = last(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(is_malformed(&last, true), "open blocks are bounded");
}
