//! Streams read event by event, by hand-made examples, and by broken ones.

use super::Bedrock;
use crate::core::exchange::{Progress, StreamEvent, Usage};
use crate::core::outcome::{Class, Evidence, Hint, classify};
use crate::wire::dialect::sample::{arguments, call, text};
use crate::wire::dialect::{Frame, Upstream};
use crate::wire::event_stream::Splitter;
use crate::wire::event_stream::tests::message;
use crate::wire::hub::{Event, Finish, ThoughtKind};

fn read(events: &[(&str, &str)]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Bedrock.reader();
    let mut pieces = Vec::new();
    let verdicts = events.iter().map(|(name, data)| {
        let frame = Frame {
            name,
            data: data.as_bytes(),
            is_error: name.ends_with("Exception"),
        };
        reader.read(frame, &mut pieces)
    });
    (verdicts.collect(), pieces)
}

fn thought(
    kind: ThoughtKind,
    text: &str,
    signature: Option<&str>,
    format: Option<&'static str>,
) -> Event {
    Event::Thought {
        choice: 0,
        kind,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: None,
        format,
    }
}

fn start() -> Event {
    Event::Start {
        id: String::new(),
        created: 0,
    }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

const STREAM: &[(&str, &str)] = &[
    ("messageStart", r#"{"p":"abc","role":"assistant"}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"s"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":1,"delta":{"reasoningContent":{"redactedContent":"c2VhbGVk"}}}"#,
    ),
    ("contentBlockStart", r#"{"contentBlockIndex":2,"start":{}}"#),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":2,"delta":{"text":"a"}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":2,"delta":{"text":""}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":2}"#),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":3,"start":{"toolUse":{"toolUseId":"t1","name":"f","type":"tool_use"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"{\"a\":"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":3,"delta":{"toolUse":{"input":"1}"}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":3}"#),
    (
        "contentBlockStart",
        r#"{"contentBlockIndex":4,"start":{"toolUse":{"toolUseId":"t2","name":"g"}}}"#,
    ),
    (
        "contentBlockDelta",
        r#"{"contentBlockIndex":4,"delta":{"toolUse":{"input":""}}}"#,
    ),
    ("contentBlockStop", r#"{"contentBlockIndex":4}"#),
    ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ("aNewEvent", "{}"),
    (
        "metadata",
        r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3},"metrics":{"latencyMs":4}}"#,
    ),
];

#[test]
fn a_stream_is_read_piece_by_piece() {
    let (verdicts, pieces) = read(STREAM);
    let usage = Usage {
        prompt_tokens: 1,
        completion_tokens: 2,
        ..Usage::default()
    };
    let claude = Some("anthropic-claude-v1");
    assert_eq!(
        pieces,
        [
            start(),
            thought(ThoughtKind::Text, "hm", None, None),
            thought(ThoughtKind::Text, "", Some("s"), claude),
            thought(ThoughtKind::Encrypted, "sealed", None, claude),
            text("a"),
            call(0, "t1", "f"),
            arguments(0, "{\"a\":"),
            arguments(0, "1}"),
            call(1, "t2", "g"),
            arguments(1, "{}"),
            finish(Finish::ToolCalls),
            Event::Usage(usage),
        ]
    );
    let content = [1, 4, 6, 9, 10, 11, 13, 15, 16];
    for (place, verdict) in verdicts.iter().enumerate() {
        let StreamEvent::Progress(progress) = verdict else {
            panic!("{verdict:?}");
        };
        let last = place + 1 == verdicts.len();
        let expected = Progress {
            content: content.contains(&place),
            finished: place >= 16,
            last,
            usage: last.then_some(usage),
        };
        assert_eq!(progress, &expected, "event {place}");
    }
}

#[test]
fn a_form_is_text_and_its_end_a_stop() {
    let (_, pieces) = read(&[
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"toolUse":{"toolUseId":"t","name":"mainstay_answer_as_json"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"toolUse":{"input":"{}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
    ]);
    assert_eq!(pieces, [start(), text("{}"), finish(Finish::STOP)]);
}

#[test]
fn counts_before_the_end_do_not_end_the_stream() {
    let metadata = (
        "metadata",
        r#"{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#,
    );
    let (verdicts, pieces) = read(&[metadata, ("messageStop", r#"{"stopReason":"end_turn"}"#)]);
    let lasts: Vec<_> = verdicts
        .iter()
        .map(|verdict| matches!(verdict, StreamEvent::Progress(progress) if progress.last))
        .collect();
    assert_eq!(lasts, [false, true]);
    let usages = pieces
        .iter()
        .filter(|piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages.count(), 1);
}

#[test]
fn exceptions_are_errors_of_their_class() {
    let table = [
        (
            "throttlingException",
            "Too many tokens, please wait.",
            Hint::RateLimited,
        ),
        (
            "validationException",
            "Input is too long for requested model.",
            Hint::ContextTooLong,
        ),
        ("serviceUnavailableException", "busy", Hint::Overloaded),
        ("internalServerException", "oops", Hint::ServerError),
        ("modelStreamErrorException", "cut", Hint::ServerError),
    ];
    for (name, words, hint) in table {
        let stream = [
            message(
                &[(":message-type", "event"), (":event-type", "messageStart")],
                "{}",
            ),
            message(
                &[(":message-type", "exception"), (":exception-type", name)],
                &format!(r#"{{"message":"{words}"}}"#),
            ),
        ]
        .concat();
        let mut splitter = Splitter::new(1 << 16);
        splitter.push(&stream);
        let mut reader = Bedrock.reader();
        let mut verdicts = Vec::new();
        while let Some(next) = splitter.next() {
            verdicts.push(reader.read(next.unwrap().frame(), &mut Vec::new()));
        }
        let [StreamEvent::Progress(_), StreamEvent::Error(facts)] = &verdicts[..] else {
            panic!("{name}: {verdicts:?}");
        };
        assert_eq!(
            (facts.hint, facts.message.as_str()),
            (Some(hint), words),
            "{name}"
        );
        assert_ne!(
            classify(&Evidence::InAnswer(*facts.clone()), false),
            Class::Success
        );
    }
}

#[test]
fn what_cannot_be_carried_is_malformed() {
    let fatal = StreamEvent::Malformed { fatal: true };
    let broken = [
        ("contentBlockDelta", "{}"),
        ("contentBlockDelta", "<html>"),
        ("contentBlockStart", "{}"),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":0,"start":{"image":{"format":"png"}}}"#,
        ),
        ("messageStop", "{}"),
        ("messageStart", "{"),
        ("metadata", r#"{"usage":7}"#),
    ];
    for event in broken {
        let (verdicts, pieces) = read(&[event]);
        assert_eq!(
            (verdicts, pieces),
            (vec![fatal.clone()], vec![]),
            "{event:?}"
        );
    }
    let stop = ("messageStop", r#"{"stopReason":"end_turn"}"#);
    assert_eq!(read(&[stop, stop]).0[1], fatal);
    let failed = ("messageStop", r#"{"stopReason":"malformed_tool_use"}"#);
    assert!(matches!(read(&[failed]).0[..], [StreamEvent::Error(_)]));
}

#[test]
fn calls_that_never_end_do_not_grow_the_reader() {
    let mut reader = Bedrock.reader();
    let mut refused = 0;
    for block in 0..1000 {
        let data = format!(
            r#"{{"contentBlockIndex":{block},"start":{{"toolUse":{{"toolUseId":"t","name":"f"}}}}}}"#
        );
        let frame = Frame {
            name: "contentBlockStart",
            data: data.as_bytes(),
            is_error: false,
        };
        let verdict = reader.read(frame, &mut Vec::new());
        refused += u32::from(verdict == StreamEvent::Malformed { fatal: true });
    }
    assert_eq!(refused, 1000 - 64);
}

#[test]
fn mutated_events_break_nothing() {
    let mut rng = fastrand::Rng::with_seed(7);
    let cases = 5_000;
    for _ in 0..cases {
        let mut reader = Bedrock.reader();
        let mut pieces = Vec::new();
        for (name, data) in STREAM {
            let mut bytes = data.as_bytes().to_vec();
            if rng.u8(0..3) == 0 {
                let at = rng.usize(0..bytes.len());
                bytes[at] = rng.u8(..);
            }
            let frame = Frame {
                name,
                data: &bytes,
                is_error: rng.u8(0..50) == 0,
            };
            reader.read(frame, &mut pieces);
        }
    }
    println!("{cases} mutated streams");
}
