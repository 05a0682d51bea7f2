//! Streams read event by event, by hand-made examples, and by broken ones.

use super::Cohere;
use crate::core::exchange::{Progress, StreamEvent, Usage};
use crate::core::outcome::Hint;
use crate::wire::dialect::Upstream;
use crate::wire::dialect::sample::{arguments, call, frame, text};
use crate::wire::hub::{Citation, Event, Finish, ThoughtKind};

fn read(events: &[&str]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Cohere.reader();
    let mut pieces = Vec::new();
    let verdicts = events
        .iter()
        .map(|data| reader.read(frame(data.as_bytes()), &mut pieces))
        .collect();
    (verdicts, pieces)
}

const STREAM: &[&str] = &[
    r#"{"id":"i","type":"message-start","delta":{"message":{"role":"assistant","content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}"#,
    r#"{"type":"content-start","index":0,"delta":{"message":{"content":{"type":"thinking","thinking":""}}}}"#,
    r#"{"type":"content-delta","index":0,"delta":{"message":{"content":{"thinking":"hm"}}}}"#,
    r#"{"type":"content-end","index":0}"#,
    r#"{"type":"content-start","index":1,"delta":{"message":{"content":{"type":"text","text":"a"}}}}"#,
    r#"{"type":"content-delta","index":1,"delta":{"message":{"content":{"text":"b"}}}}"#,
    r#"{"type":"citation-start","index":0,"delta":{"message":{"citations":{"start":0,"end":2,"text":"ab","sources":[{"type":"tool","id":"t:0"}]}}}}"#,
    r#"{"type":"citation-end","index":0}"#,
    r#"{"type":"tool-plan-delta","delta":{"message":{"tool_plan":"I look."}}}"#,
    r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{"id":"c","type":"function","function":{"name":"look","arguments":""}}}}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"{\"a\":"}}}}}"#,
    r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"null}"}}}}}"#,
    r#"{"type":"tool-call-end","index":0}"#,
    r#"{"type":"tool-call-start","index":1,"delta":{"message":{"tool_calls":{"id":"d","type":"function","function":{"name":"now","arguments":"null"}}}}}"#,
    r#"{"type":"tool-call-end","index":1}"#,
    r#"{"type":"a-new-event"}"#,
    r#"{"type":"message-end","delta":{"finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":5,"output_tokens":7}}}}"#,
    "[DONE]",
    " ",
];

#[test]
fn a_stream_is_read_piece_by_piece() {
    let (verdicts, pieces) = read(STREAM);
    let usage = Usage {
        prompt_tokens: 5,
        completion_tokens: 7,
        ..Usage::default()
    };
    assert_eq!(
        pieces,
        [
            Event::Start {
                id: "i".to_owned(),
                created: 0
            },
            Event::Thought {
                choice: 0,
                kind: ThoughtKind::Text,
                text: "hm".to_owned(),
                signature: None,
                id: None,
                format: None,
            },
            text("a"),
            text("b"),
            Event::Citation {
                choice: 0,
                citation: Citation {
                    url: "t:0".to_owned(),
                    title: None,
                    span: Some((0, 2)),
                },
            },
            text("I look."),
            call(0, "c", "look"),
            arguments(0, "{\"a\":"),
            arguments(0, "null}"),
            call(1, "d", "now"),
            arguments(1, "{}"),
            Event::Finish {
                choice: 0,
                finish: Finish::ToolCalls
            },
            Event::Usage(usage),
        ]
    );
    let content = [2, 4, 5, 8, 9, 10, 11, 13, 14, 16];
    let [progress @ .., done, blank] = &verdicts[..] else {
        panic!("{verdicts:?}");
    };
    assert_eq!((done, blank), (&StreamEvent::Done, &StreamEvent::Idle));
    for (place, verdict) in progress.iter().enumerate() {
        let end = place == 16;
        let expected = Progress {
            content: content.contains(&place),
            finished: end,
            last: false,
            usage: end.then_some(usage),
        };
        assert_eq!(verdict, &StreamEvent::Progress(expected), "event {place}");
    }
}

#[test]
fn errors_inside_are_errors() {
    let table = [
        (
            r#"{"message":"too many tokens: limit exceeded"}"#,
            Some(Hint::ContextTooLong),
        ),
        (r#"{"id":"i","message":"what is it"}"#, None),
        (
            r#"{"type":"message-end","delta":{"finish_reason":"ERROR","error":"what is it"}}"#,
            Some(Hint::ServerError),
        ),
    ];
    for (json, hint) in table {
        let (verdicts, pieces) = read(&[STREAM[0], json]);
        let StreamEvent::Error(facts) = &verdicts[1] else {
            panic!("no error: {json}");
        };
        assert_eq!(facts.hint, hint, "{json}");
        assert!(!facts.message.is_empty());
        assert_eq!(pieces.len(), 1);
    }
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let fatal = StreamEvent::Malformed { fatal: true };
    for json in [
        "<html>",
        "{}",
        "[]",
        r#"{"type":"content-delta"}"#,
        r#"{"type":"tool-call-start","index":0,"delta":{"message":{"tool_calls":{}}}}"#,
        r#"{"type":"tool-call-delta","index":0,"delta":{"message":{"tool_calls":{"function":{"arguments":"1"}}}}}"#,
        r#"{"type":"message-end","delta":{}}"#,
    ] {
        assert_eq!(read(&[json]), (vec![fatal.clone()], vec![]), "{json}");
    }
    let end = r#"{"type":"message-end","delta":{"finish_reason":"COMPLETE"}}"#;
    let (verdicts, pieces) = read(&[end, end]);
    assert_eq!(verdicts[1], fatal);
    assert!(matches!(
        pieces[..],
        [Event::Start { .. }, Event::Finish { .. }]
    ));
}

#[test]
fn calls_that_never_end_do_not_grow_the_reader() {
    let mut reader = Cohere.reader();
    let mut refused = 0;
    for number in 0..1000 {
        let data = format!(
            r#"{{"type":"tool-call-start","index":{number},"delta":{{"message":{{"tool_calls":{{"id":"c","function":{{"name":"f"}}}}}}}}}}"#
        );
        let verdict = reader.read(frame(data.as_bytes()), &mut Vec::new());
        refused += u32::from(verdict == StreamEvent::Malformed { fatal: true });
    }
    assert_eq!(refused, 1000 - 64);
}

#[test]
fn mutated_events_break_nothing() {
    let mut rng = fastrand::Rng::with_seed(7);
    let cases = 5_000;
    for _ in 0..cases {
        let mut reader = Cohere.reader();
        let mut pieces = Vec::new();
        for data in STREAM {
            let mut bytes = data.as_bytes().to_vec();
            if rng.u8(0..3) == 0 {
                let at = rng.usize(0..bytes.len());
                bytes[at] = rng.u8(..);
            }
            reader.read(frame(&bytes), &mut pieces);
        }
    }
    println!("{cases} mutated streams");
}
