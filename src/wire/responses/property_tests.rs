//! What holds for any request, any stream and any bytes.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::recorded_tests::{check_order, said};
use super::*;
use crate::core::exchange::StreamEvent;
use crate::wire::dialect::sample::{frame, read, reply, written};
use crate::wire::hub::{
    Document, Effort, Event, Finish, Message, Part, Reasoning, Role, Sampling, Source, Thought,
    ThoughtKind,
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
        Just(Part::Document(Document {
            source: Source::of_url("https://example.test/a.pdf"),
            name: None,
            cache: None,
        })),
        Just(picture(
            Source::of_url("https://example.test/a.png"),
            Some("low")
        )),
        Just(picture(Source::File("file-1".to_owned()), None)),
    ]
}

fn thought() -> impl Strategy<Value = Vec<Part>> {
    let own = |kind, text: String, id: &str| {
        Part::Thought(Thought {
            kind,
            text,
            signature: None,
            id: Some(id.to_owned()),
            format: Some("openai-responses-v1".to_owned()),
        })
    };
    (proptest::collection::vec(text(), 0..3), text()).prop_map(move |(summary, id)| {
        let mut parts: Vec<Part> = summary
            .into_iter()
            .map(|text| own(ThoughtKind::Summary, text, &id))
            .collect();
        parts.push(own(ThoughtKind::Encrypted, "gAAA".to_owned(), &id));
        parts
    })
}

/// Turns that the format says without a loss, one item a message.
fn turn() -> impl Strategy<Value = Vec<Message>> {
    let one = |role, parts| vec![Message { role, parts }];
    let parts = || proptest::collection::vec(attached(), 1..4);
    let called =
        ((text(), text()), parts()).prop_map(|(names, result)| called(Vec::new(), names, result));
    let spoken = (text(), text()).prop_map(|(text, refusal)| {
        let parts = vec![Part::text(text), Part::Refusal(refusal)];
        vec![
            Message {
                role: Role::Assistant,
                parts,
            },
            Message {
                role: Role::User,
                parts: vec![Part::text("go on")],
            },
        ]
    });
    prop_oneof![
        text().prop_map(move |text| one(Role::System, vec![Part::text(text)])),
        parts().prop_map(move |parts| one(Role::User, parts)),
        thought().prop_map(move |parts| one(Role::Assistant, parts)),
        spoken,
        called,
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let turns = proptest::collection::vec(turn(), 0..5);
    let tools = proptest::collection::vec((text(), any::<bool>()), 0..3);
    let quarters = proptest::option::of((0..8_u8).prop_map(|quarters| f64::from(quarters) / 4.0));
    let numbers = (quarters, proptest::option::of(1..9_000_u64));
    let words = (
        proptest::option::of(text()),
        proptest::option::of(0..Effort::ALL.len()),
    );
    let rest = (any::<bool>(), any::<Option<bool>>());
    let form = (format(), proptest::option::of(choice()));
    let parts = (turns, tools, numbers, words, rest, form);
    parts.prop_map(
        |(
            turns,
            tools,
            (temperature, max_tokens),
            (user, effort),
            (stream, parallel),
            (format, tool_choice),
        )| {
            Request {
                messages: turns.concat(),
                tools: tools
                    .into_iter()
                    .map(|(name, strict)| tool(name, Some(strict)))
                    .collect(),
                tool_choice,
                parallel_tools: parallel,
                format,
                sampling: Sampling {
                    temperature,
                    top_p: temperature,
                    ..Sampling::default()
                },
                max_tokens,
                reasoning: effort.map(|step| Reasoning {
                    effort: Some(Effort::ALL[step]),
                    summary: user.clone(),
                    ..Reasoning::default()
                }),
                stream,
                choices: 1,
                verbosity: user.clone(),
                service_tier: user.clone(),
                prompt_cache_key: user.clone(),
                user,
                ..Request::default()
            }
        },
    )
}

#[test]
fn a_request_that_the_format_can_say_comes_back_as_it_was() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let holds = |request: Request| {
        prop_assert_eq!(Responses.losses(&request).unwrap(), Vec::<&str>::new());
        let body = Responses.write_request(&request, "up");
        let again = Responses.read_request(&body).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{request:?}"));
        let scanned = scan::scan(&body).unwrap();
        prop_assert_eq!(scanned.facts.stream, request.stream);
        Ok(())
    };
    runner.run(&request(), holds).unwrap();
    eprintln!("{CASES} requests");
}

fn piece() -> impl Strategy<Value = Event> {
    let choice = 0;
    let thought = (any::<bool>(), text(), any::<bool>(), 0..3_u8);
    let thought = thought.prop_map(move |(summary, text, encrypted, ends)| Event::Thought {
        choice,
        kind: match (summary, encrypted) {
            (_, true) => ThoughtKind::Encrypted,
            (true, false) => ThoughtKind::Summary,
            (false, false) => ThoughtKind::Text,
        },
        text,
        signature: (ends == 1 && !encrypted).then(|| "sig".to_owned()),
        id: (ends == 2).then(|| "t1".to_owned()),
        format: Some("anthropic-claude-v1"),
    });
    prop_oneof![
        text().prop_map(move |text| Event::Text { choice, text }),
        text().prop_map(move |text| Event::Refusal { choice, text }),
        text().prop_map(move |url| Event::Citation {
            choice,
            citation: crate::wire::hub::Citation {
                url,
                title: None,
                span: None
            },
        }),
        thought,
        (text(), text(), any::<bool>()).prop_map(move |(id, name, signed)| Event::ToolCall {
            choice,
            index: 0,
            id,
            name,
            signature: signed.then(|| "sig".to_owned()),
        }),
        (0..3_u32, text()).prop_map(move |(index, json)| Event::Arguments {
            choice,
            index,
            json,
        }),
    ]
}

/// Gives the calls their indices, and leaves out arguments of calls that are not open.
fn in_order(pieces: Vec<Event>) -> Vec<Event> {
    let mut calls = 0;
    let mut open: Vec<u32> = Vec::new();
    let mut kept = Vec::new();
    for piece in pieces {
        let piece = match piece {
            Event::ToolCall {
                choice,
                id,
                name,
                signature,
                ..
            } => {
                let index = calls;
                calls += 1;
                if signature.is_some() {
                    open.clear();
                }
                open.push(index);
                Event::ToolCall {
                    choice,
                    index,
                    id: format!("{id}{index}"),
                    name,
                    signature,
                }
            }
            Event::Arguments {
                choice,
                index,
                json,
            } if !open.is_empty() => {
                let index = open[index as usize % open.len()];
                Event::Arguments {
                    choice,
                    index,
                    json,
                }
            }
            Event::Arguments { .. } => continue,
            other => {
                open.clear();
                other
            }
        };
        kept.push(piece);
    }
    kept
}

#[test]
fn a_stream_is_in_order_and_says_what_it_was_given_however_it_is_cut() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let holds = |(pieces, chunk): (Vec<Event>, usize)| {
        let request = Bytes::from_static(b"{\"instructions\":\"i\",\"tools\":[]}");
        let pieces = in_order(pieces);
        let has = |is: fn(&Event) -> bool| pieces.iter().any(is);
        let finish = match (
            has(|piece| matches!(piece, Event::ToolCall { .. })),
            has(|piece| matches!(piece, Event::Refusal { .. })),
        ) {
            (true, _) => Finish::ToolCalls,
            (false, true) => Finish::Refused,
            (false, false) => Finish::STOP,
        };
        let start = Event::Start {
            id: "resp_1".to_owned(),
            created: 7,
        };
        let finish = Event::Finish { choice: 0, finish };
        let events = [vec![start], pieces, vec![finish]].concat();
        let out = written(Responses.writer(&reply(&request)), &events);
        let frames = framed(&out, chunk);
        check_order("any", &frames);
        let (read_as, again) = read(Responses.reader(), &frames);
        prop_assert!(
            read_as
                .iter()
                .all(|event| matches!(event, StreamEvent::Progress(_)))
        );
        let clear = |pieces: &[Event]| -> Vec<String> {
            let mut said = said(pieces);
            // Calls may take turns, and signatures come out in an item of their own.
            said.retain(|piece| !piece.starts_with("encrypted") && !piece.starts_with("arguments"));
            said
        };
        let joined = |pieces: &[Event], is: &str| -> String {
            let said = clear(pieces).into_iter();
            said.filter_map(|piece| piece.strip_prefix(is).map(str::to_owned))
                .collect()
        };
        for kind in [
            "text: ",
            "refusal: ",
            "thought: ",
            "call: ",
            "citation: ",
            "finish: ",
        ] {
            prop_assert_eq!(joined(&again, kind), joined(&events, kind));
        }
        for index in 0..4 {
            let arguments = |pieces: &[Event]| -> String {
                let json = pieces.iter().filter_map(|piece| match piece {
                    Event::Arguments {
                        index: found, json, ..
                    } if *found == index => Some(json.as_str()),
                    _ => None,
                });
                json.collect()
            };
            prop_assert_eq!(arguments(&again), arguments(&events));
        }
        // What the last event repeats is what was streamed.
        let last: serde_json::Value = serde_json::from_slice(frames.last().unwrap()).unwrap();
        let Whole::Good(answer) = Responses.read_answer(last["response"].to_string().as_bytes())
        else {
            panic!("{last}");
        };
        let whole: String = answer.choices[0]
            .parts
            .iter()
            .filter_map(Part::as_text)
            .collect();
        prop_assert_eq!(whole, joined(&events, "text: "));
        Ok(())
    };
    let streams = (proptest::collection::vec(piece(), 0..12), 1..60_usize);
    runner.run(&streams, holds).unwrap();
    eprintln!("{CASES} streams");
}

/// Bodies with everything that readers look at, to be spoilt.
const SAMPLES: [&[u8]; 4] = [
    br#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,AA"}]},
{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"s"}],"encrypted_content":"mainstay:v1:signature:f:1:as"},
{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"o"}],
"tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":{"type":"function","name":"f"},"text":{"format":{"type":"json_object"}},"provider":{},"stream":true}"#,
    br#"{"id":"r","object":"response","created_at":1,"status":"completed","error":null,"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"a","annotations":[{"type":"url_citation","url":"u","start_index":1,"end_index":2}]}]},
{"type":"reasoning","summary":[],"encrypted_content":"x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}],"usage":{"input_tokens":1,"output_tokens":2}}"#,
    br#"{"type":"response.output_item.done","output_index":0,"item":{"type":"reasoning","id":"r","summary":[],"encrypted_content":"x"},"delta":"a","text":"b"}"#,
    br#"{"type":"response.completed","response":{"id":"r","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":{"input_tokens":1,"output_tokens":2}}}"#,
];

#[test]
fn no_bytes_make_a_reader_panic() {
    let read = |bytes: &[u8]| {
        let mut reader = Responses.reader();
        let mut pieces = Vec::new();
        for _ in 0..2 {
            reader.read(frame(bytes), &mut pieces);
        }
        Responses.read_answer(bytes);
        let body = Bytes::copy_from_slice(bytes);
        scan::scan(&body).ok();
        if let Ok(request) = Responses.read_request(&body) {
            Responses.losses(&request).ok();
            Responses.write_request(&request, "m");
        }
    };
    check_spoilt(&SAMPLES, b"{\"input\":[{\"content\":", read);
}
