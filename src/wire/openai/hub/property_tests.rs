//! What holds for any request, any stream and any bytes.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::core::exchange::StreamEvent;
use crate::wire::dialect::sample::{frame, read, reply, written};
use crate::wire::hub::{
    Document, Effort, Event, Finish, Message, Part, Reasoning, Role, Sampling, Source,
};
use crate::wire::property::{called, check_spoilt, choice, format, picture, text, tool};
use crate::wire::recorded::framed;

const CASES: u32 = 512;

fn attached() -> impl Strategy<Value = Part> {
    prop_oneof![
        text().prop_map(Part::text),
        text().prop_map(|name| Part::Document(Document {
            source: Source::of_url("data:application/pdf;base64,AAAA"),
            name: Some(name),
            cache: None,
        })),
        Just(picture(
            Source::of_url("https://example.test/a.png"),
            Some("low")
        )),
        Just(Part::Audio {
            data: "AAAA".to_owned(),
            format: "wav".to_owned(),
        }),
    ]
}

/// Turns that plain chat says without a loss: one text where there is text alone.
fn turn() -> impl Strategy<Value = Vec<Message>> {
    let one = |role| {
        move |text: String| {
            vec![Message {
                role,
                parts: vec![Part::text(text)],
            }]
        }
    };
    let picture = picture(Source::of_url("data:image/png;base64,AAAA"), None);
    let shown = proptest::collection::vec(attached(), 0..3).prop_map(move |mut parts| {
        parts.push(picture.clone());
        vec![Message {
            role: Role::User,
            parts,
        }]
    });
    let names = (text(), text());
    let called = (names, proptest::option::of(text())).prop_map(|(names, said)| {
        let said = said.into_iter().map(Part::text).collect();
        called(said, names, vec![Part::text("done")])
    });
    prop_oneof![
        text().prop_map(one(Role::System)),
        text().prop_map(one(Role::User)),
        shown,
        called
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let turns = proptest::collection::vec(turn(), 0..5);
    let tools = proptest::collection::vec((text(), any::<Option<bool>>()), 0..3);
    let numbers = (
        proptest::option::of((0..8_u8).prop_map(|quarters| f64::from(quarters) / 4.0)),
        any::<Option<i64>>(),
        proptest::option::of(1..9_000_u64),
    );
    let words = (
        proptest::option::of(text()),
        proptest::collection::vec(text(), 0..3),
        proptest::option::of(0..Effort::ALL.len()),
    );
    let rest = (any::<bool>(), any::<Option<bool>>());
    let form = (format(), proptest::option::of(choice()));
    (turns, tools, numbers, words, rest, form).prop_map(
        |(
            turns,
            tools,
            (temperature, seed, max_tokens),
            (user, stop, effort),
            (stream, parallel),
            (format, tool_choice),
        )| Request {
            messages: turns.concat(),
            tools: tools
                .into_iter()
                .map(|(name, strict)| tool(name, strict))
                .collect(),
            tool_choice,
            parallel_tools: parallel,
            format,
            sampling: Sampling {
                temperature,
                seed,
                ..Sampling::default()
            },
            stop,
            max_tokens,
            reasoning: effort.map(|step| Reasoning {
                effort: Some(Effort::ALL[step]),
                ..Reasoning::default()
            }),
            stream,
            choices: 1,
            verbosity: user.clone(),
            service_tier: user.clone(),
            prompt_cache_key: user.clone(),
            user,
            ..Request::default()
        },
    )
}

#[test]
fn a_request_that_chat_can_say_comes_back_as_it_was() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let holds = |request: Request| {
        prop_assert_eq!(Chat.losses(&request).unwrap(), Vec::<&str>::new());
        let body = Chat.write_request(&request, "up");
        let again = Chat.read_request(&body).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{request:?}"));
        Ok(())
    };
    runner.run(&request(), holds).unwrap();
    eprintln!("{CASES} requests");
}

fn piece() -> impl Strategy<Value = Event> {
    let choice = 0..2_u32;
    prop_oneof![
        (choice.clone(), text()).prop_map(|(choice, text)| Event::Text { choice, text }),
        (choice.clone(), text()).prop_map(|(choice, text)| Event::Thought {
            choice,
            kind: crate::wire::hub::ThoughtKind::Text,
            text,
            signature: None,
            id: None,
            format: Some("anthropic-claude-v1"),
        }),
        (choice, text()).prop_map(|(choice, text)| Event::Refusal { choice, text }),
    ]
}

#[test]
fn a_stream_that_is_written_is_read_as_it_was() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let holds = |pieces: Vec<Event>| {
        let refused = |at| {
            pieces
                .iter()
                .any(|piece| matches!(piece, Event::Refusal { choice, .. } if *choice == at))
        };
        let finish = |choice| Event::Finish {
            choice,
            finish: match refused(choice) {
                true => Finish::Refused,
                false => Finish::STOP,
            },
        };
        let start = Event::Start {
            id: "up-1".to_owned(),
            created: 7,
        };
        let events = [vec![start], pieces.clone(), vec![finish(0), finish(1)]].concat();
        let out = written(Chat.writer(&reply(&Bytes::new())), &events);
        let (read_as, again) = read(Chat.reader(), &framed(&out, out.len()));
        let good =
            |event: &StreamEvent| matches!(event, StreamEvent::Progress(_) | StreamEvent::Done);
        prop_assert!(read_as.iter().all(good));
        prop_assert_eq!(again, events);
        Ok(())
    };
    let streams = proptest::collection::vec(piece(), 0..12);
    runner.run(&streams, holds).unwrap();
    eprintln!("{CASES} streams");
}

/// A body with everything that readers look at, to be spoilt.
const SAMPLE: &[u8] = br#"{"id":"a","object":"chat.completion.chunk","created":1,"model":"m","messages":[{"role":"assistant",
"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}],"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]}],
"choices":[{"index":0,"delta":{"content":"a","reasoning_details":[{"type":"reasoning.text","text":"x"}],"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{}"}}]},
"message":{"content":"a","annotations":[{"url_citation":{"url":"u","start_index":1,"end_index":2}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2},
"tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"stop":["a"],"tool_choice":"auto","response_format":{"type":"json_object"},"logit_bias":{"1":2}}"#;

#[test]
fn no_bytes_make_a_reader_panic() {
    let read = |bytes: &[u8]| {
        let mut reader = Chat.reader();
        let mut pieces = Vec::new();
        for _ in 0..2 {
            reader.read(frame(bytes), &mut pieces);
        }
        Chat.read_answer(bytes);
        let body = Bytes::copy_from_slice(bytes);
        if let Ok(request) = Chat.read_request(&body) {
            Chat.losses(&request).ok();
            Chat.write_request(&request, "m");
        }
    };
    let deep = b"{\"choices\":[{\"delta\":{\"content\":";
    check_spoilt(&[SAMPLE], deep, read);
}
