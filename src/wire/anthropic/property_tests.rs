//! What goes through the dialect comes back, and nothing that arrives brings a reader down.

use std::borrow::Cow;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::origin::FORMAT;
use super::scan::{Purpose, scan};
use super::shape::tool_id;
use super::thinking::is_sent;
use super::{Generation, Messages, request_write};
use crate::core::exchange::{StreamEvent, Usage};
use crate::wire::dialect::sample::reply;
use crate::wire::dialect::{Downstream, Frame, Upstream};
use crate::wire::hub::{
    Answer, Cache, Choice, Document, Event, Finish, Format, Image, Message, Part, Reasoning,
    Request, Role, Sampling, Schema, Source, Thought, ThoughtKind, Tool, ToolCall, ToolChoice,
    ToolResult,
};

const FORMATS: [&str; 3] = [
    "anthropic-claude-v1",
    "openai-responses-v1",
    "google-gemini-v1",
];
/// Of a generation with budgets and schemas of its own.
const MODEL: &str = "claude-sonnet-4-5";

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig::with_cases(cases))
}

// What parts are made of.

fn words() -> impl Strategy<Value = String> {
    "[a-zż\"\\\\{} \n🐢]{1,12}"
}

fn thought() -> impl Strategy<Value = Thought> {
    let signature = || prop::option::of("[a-zA-Z0-9+/=\":]{1,8}");
    let kind = prop_oneof![
        Just(ThoughtKind::Text),
        Just(ThoughtKind::Summary),
        Just(ThoughtKind::Encrypted)
    ];
    let id = prop::option::of("rs_[0-9]{1,3}");
    (kind, words(), signature(), id, prop::option::of(0..3_usize)).prop_map(
        |(kind, text, signature, id, format)| {
            let format = format.map(|at| FORMATS[at].to_owned());
            let own = format.as_deref() == Some(FORMAT);
            Thought {
                // Anthropic has no summaries, no ids, and no signature over what is encrypted.
                kind: match kind {
                    ThoughtKind::Summary if own => ThoughtKind::Text,
                    kind => kind,
                },
                signature: signature.filter(|_| !(own && kind == ThoughtKind::Encrypted)),
                id: id.filter(|_| !own),
                text,
                format,
            }
        },
    )
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        Just(r#"{"a": 1.0,"b":[{"c":"}{\"]["}]}"#.to_owned()),
        words().prop_map(|text| json!({ "q": text }).to_string()),
    ]
}

fn call() -> impl Strategy<Value = ToolCall> {
    let id = "[a-z0-9.:_-]{1,8}";
    let signature = prop::option::of("[a-z\"]{1,6}");
    (id, "[a-z]{1,4}", arguments(), signature).prop_map(|(id, name, arguments, signature)| {
        ToolCall {
            id,
            name,
            arguments,
            cache: None,
            signature,
        }
    })
}

/// What a model says: calls have ids of their own.
fn said() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        words().prop_map(Part::text),
        thought().prop_map(Part::Thought),
        call().prop_map(Part::ToolCall),
    ];
    prop::collection::vec(part, 0..6).prop_map(|mut parts| {
        for (at, part) in parts.iter_mut().enumerate() {
            if let Part::ToolCall(call) = part {
                call.id.push_str(&at.to_string());
            }
        }
        parts
    })
}

/// What the turn of the model's is that a client sends back.
fn replayed(content: &Value) -> Vec<Part> {
    let body = json!({"messages": [{"role": "assistant", "content": content}]});
    let request = Messages.read_request(&Bytes::from(body.to_string()));
    let mut request = request.unwrap();
    assert_eq!(request.unknown, [""; 0]);
    request.messages.remove(0).parts
}

fn with_ids_of_the_dialect(parts: &[Part]) -> Vec<Part> {
    let mut parts = parts.to_vec();
    for part in &mut parts {
        match part {
            Part::ToolCall(call) => call.id = tool_id(&call.id).into_owned(),
            Part::ToolResult(result) => result.id = tool_id(&result.id).into_owned(),
            _ => {}
        }
    }
    parts
}

/// What a client is told of: not what another provider encrypted behind the last text.
fn told(parts: &[Part]) -> Vec<Part> {
    let is_sealed = |part: &&Part| match part {
        Part::Thought(thought) => {
            thought.kind == ThoughtKind::Encrypted && thought.format.as_deref() != Some(FORMAT)
        }
        _ => false,
    };
    let sealed = parts.iter().rev().take_while(is_sealed).count();
    let (kept, _) = parts.split_at(parts.len() - sealed);
    match kept.last() {
        Some(Part::Text { .. }) => kept.to_vec(),
        _ => parts.to_vec(),
    }
}

#[test]
fn an_answer_comes_back_with_its_origins_in_the_next_turn() {
    const CASES: u32 = 2000;
    runner(CASES)
        .run(&said(), |parts| {
            let answer = Answer {
                choices: vec![Choice {
                    parts: parts.clone(),
                    finish: Some(Finish::STOP),
                }],
                ..Answer::default()
            };
            let body = Messages.write_answer(&answer, &reply(&Bytes::new()));
            let body: Value = serde_json::from_slice(&body).unwrap();
            let found = replayed(&body["content"]);
            // Arguments are compared as JSON: their blanks went through a client.
            let expected = with_ids_of_the_dialect(&told(&parts));
            prop_assert_eq!(as_json(&found), as_json(&expected));
            Ok(())
        })
        .unwrap();
    println!("{CASES} answers sent back");
}

/// Parts with their arguments in one form.
fn as_json(parts: &[Part]) -> Vec<Part> {
    let mut parts = parts.to_vec();
    for part in &mut parts {
        if let Part::ToolCall(call) = part {
            let json: Value = serde_json::from_str(&call.arguments).unwrap();
            call.arguments = json.to_string();
        }
    }
    parts
}

/// The events that say parts: arguments in pieces, those of neighbouring calls in turns as `turns` draws them.
fn events(parts: &[Part], mut turns: impl FnMut(usize) -> usize) -> Vec<Event> {
    let mut events = vec![Event::Start {
        id: "gen".to_owned(),
        created: 0,
    }];
    let mut index = 0;
    let together = |a: &Part, b: &Part| matches!((a, b), (Part::ToolCall(_), Part::ToolCall(_)));
    for run in parts.chunk_by(together) {
        let mut queues = Vec::new();
        for part in run {
            queues.push(pieces(part, &mut index, &mut turns));
        }
        while !queues.is_empty() {
            let drawn = turns(queues.len());
            let begins = |queue: &Vec<Event>| matches!(queue.first(), Some(Event::ToolCall { .. }));
            // Calls begin in their order, whatever turns they take then.
            let at = match begins(&queues[drawn]) {
                true => queues.iter().position(begins).unwrap_or(drawn),
                false => drawn,
            };
            events.push(queues[at].remove(0));
            queues.retain(|queue| !queue.is_empty());
        }
    }
    events
}

fn pieces(part: &Part, index: &mut u32, turns: &mut impl FnMut(usize) -> usize) -> Vec<Event> {
    let choice = 0;
    match part {
        Part::Text { text, .. } => vec![Event::Text {
            choice,
            text: text.clone(),
        }],
        Part::Thought(thought) => {
            let format = thought.format.as_deref();
            let format = format.map(|format| *FORMATS.iter().find(|it| **it == format).unwrap());
            vec![Event::Thought {
                choice,
                kind: thought.kind,
                text: thought.text.clone(),
                signature: thought.signature.clone(),
                id: thought.id.clone(),
                format,
            }]
        }
        Part::ToolCall(call) => {
            let this = *index;
            *index += 1;
            let mut events = vec![Event::ToolCall {
                choice,
                index: this,
                id: call.id.clone(),
                name: call.name.clone(),
                signature: call.signature.clone(),
            }];
            let mut rest = call.arguments.as_str();
            while !rest.is_empty() {
                let most = rest.chars().count();
                let (piece, behind) = rest.split_at(
                    rest.char_indices()
                        .nth(turns(most) + 1)
                        .map_or(rest.len(), |(at, _)| at),
                );
                events.push(Event::Arguments {
                    choice,
                    index: this,
                    json: piece.to_owned(),
                });
                rest = behind;
            }
            events
        }
        other => panic!("{other:?} is no part of an answer here"),
    }
}

/// What the hub says that events mean: a piece belongs to the part before it where it is of the same kind.
fn meant(parts: &[Part]) -> Vec<Part> {
    let mut meant: Vec<Part> = Vec::new();
    for part in parts {
        match (meant.last_mut(), part) {
            (Some(Part::Text { text, .. }), Part::Text { text: more, .. }) => text.push_str(more),
            (Some(Part::Thought(before)), Part::Thought(more))
                if before.kind == more.kind
                    && before.kind != ThoughtKind::Encrypted
                    && before.signature.is_none()
                    && before.id.is_none() =>
            {
                before.text.push_str(&more.text);
                before.signature.clone_from(&more.signature);
                before.id.clone_from(&more.id);
                before.format = before.format.take().or_else(|| more.format.clone());
            }
            (_, part) => meant.push(part.clone()),
        }
    }
    meant
}

/// The content that a client gathers from a stream, as the SDKs do, after checks on its order.
fn gathered(out: &[u8]) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in std::str::from_utf8(out).unwrap().split_terminator("\n\n") {
        let (_, data) = event.split_once("\ndata: ").unwrap();
        let event: Value = serde_json::from_str(data).unwrap();
        let last = blocks.len().saturating_sub(1);
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(event["index"], blocks.len());
                blocks.push(event["content_block"].clone());
                input.clear();
            }
            "content_block_delta" => {
                assert_eq!(event["index"], last);
                let delta = &event["delta"];
                for field in ["text", "thinking"] {
                    if let Some(more) = delta[field].as_str() {
                        let before = blocks[last][field].as_str().unwrap();
                        blocks[last][field] = json!([before, more].concat());
                    }
                }
                if delta["signature"].is_string() {
                    blocks[last]["signature"] = delta["signature"].clone();
                }
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
            }
            "content_block_stop" => {
                assert_eq!(event["index"], last);
                if !input.is_empty() {
                    blocks[last]["input"] = serde_json::from_str(&input).unwrap();
                }
            }
            _ => {}
        }
    }
    json!(blocks)
}

/// Draws as a small generator does, from a seed that is printed when a case fails.
fn drawing(seed: u64) -> impl FnMut(usize) -> usize {
    let mut rng = fastrand::Rng::with_seed(seed);
    move |most| rng.usize(..most)
}

#[test]
fn a_stream_comes_back_with_its_origins_in_the_next_turn() {
    const CASES: u32 = 2000;
    runner(CASES)
        .run(&(said(), any::<u64>()), |(mut parts, seed)| {
            // One upstream makes all the thoughts of a stream.
            let of = |part: &Part| match part {
                Part::Thought(thought) => Some(thought.format.clone()),
                _ => None,
            };
            let first = parts.iter().find_map(of);
            parts.retain(|part| of(part).is_none() || of(part) == first);
            let events = events(&parts, drawing(seed));
            let (mut writer, mut out) = (Messages.writer(&reply(&Bytes::new())), Vec::new());
            for event in &events {
                writer.write(event, &mut out);
            }
            writer.end(&mut out);
            let found = replayed(&gathered(&out));
            let expected = with_ids_of_the_dialect(&told(&meant(&parts)));
            prop_assert_eq!(as_json(&found), as_json(&expected));
            Ok(())
        })
        .unwrap();
    println!("{CASES} streams sent back");
}

#[test]
fn a_stream_is_read_as_it_was_written() {
    const CASES: u32 = 2000;
    runner(CASES)
        .run(&(said(), any::<u64>()), |(parts, seed)| {
            let own = |part: &Part| match part {
                Part::Thought(thought) => {
                    thought.format.as_deref() == Some(FORMAT)
                        && (thought.signature.is_some() || thought.kind == ThoughtKind::Encrypted)
                }
                Part::ToolCall(call) => call.signature.is_none(),
                _ => true,
            };
            let parts: Vec<_> = parts.into_iter().filter(own).collect();
            let usage = Usage {
                prompt_tokens: 9,
                completion_tokens: 3,
                cached_tokens: Some(4),
                cache_write_tokens: Some(0),
                reasoning_tokens: 1,
            };
            let mut events = events(&parts, drawing(seed));
            let finish = Finish::Length;
            events.push(Event::Finish { choice: 0, finish });
            events.push(Event::Usage(usage));
            let (mut writer, mut out) = (Messages.writer(&reply(&Bytes::new())), Vec::new());
            for event in &events {
                writer.write(event, &mut out);
            }
            writer.end(&mut out);
            let found = read_back(&out);
            // In the order of the calls, whatever turns they took.
            let mut expected = self::events(&with_ids_of_the_dialect(&parts), |_| 0);
            expected.extend(events.split_off(events.len() - 2));
            prop_assert_eq!(joined(&found), joined(&expected));
            Ok(())
        })
        .unwrap();
    println!("{CASES} streams read back");
}

fn read_back(out: &[u8]) -> Vec<Event> {
    let (mut reader, mut pieces) = (Messages.reader(), Vec::new());
    let mut done = false;
    for event in std::str::from_utf8(out).unwrap().split_terminator("\n\n") {
        assert!(!done);
        let (name, data) = event.split_once("\ndata: ").unwrap();
        let frame = Frame {
            name: name.strip_prefix("event: ").unwrap(),
            data: data.as_bytes(),
            is_error: false,
        };
        match reader.read(frame, &mut pieces) {
            StreamEvent::Progress(_) => {}
            StreamEvent::Done => done = true,
            other => panic!("{other:?}"),
        }
    }
    assert!(done);
    pieces
}

/// Neighbouring pieces of one part as one, for a part may be cut anywhere.
fn joined(events: &[Event]) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(Event::Text { text, .. }), Event::Text { text: more, .. }) => {
                text.push_str(more);
            }
            (
                Some(Event::Arguments { json, index, .. }),
                Event::Arguments {
                    json: more,
                    index: of,
                    ..
                },
            ) if index == of => json.push_str(more),
            (
                Some(Event::Thought {
                    text,
                    signature: before @ None,
                    kind: ThoughtKind::Text,
                    ..
                }),
                Event::Thought {
                    text: more,
                    signature,
                    kind: ThoughtKind::Text,
                    ..
                },
            ) => {
                text.push_str(more);
                before.clone_from(signature);
            }
            (_, Event::Start { .. }) => joined.push(Event::Start {
                id: String::new(),
                created: 0,
            }),
            (_, event) => joined.push(event.clone()),
        }
    }
    joined
}

// Requests.

fn cache() -> impl Strategy<Value = Option<Cache>> {
    let ttl = prop_oneof![Just(None), Just(Some("1h".to_owned()))];
    prop::option::of(ttl.prop_map(|ttl| Cache { ttl }))
}

fn asked() -> impl Strategy<Value = Part> {
    let base64 = |media_type: &str| Source::Base64 {
        media_type: media_type.to_owned(),
        data: "QUJD".to_owned(),
    };
    let url = || Just(Source::Url("https://example.test/x".to_owned()));
    let file = || Just(Source::File("file_1".to_owned()));
    let image = (
        prop_oneof![Just(base64("image/png")), url(), file()],
        cache(),
    );
    let document = prop_oneof![
        Just(base64("application/pdf")),
        url(),
        file(),
        words().prop_map(Source::Text)
    ];
    let named = (document, prop::option::of(words()), cache());
    let text = (words(), cache());
    prop_oneof![
        text.prop_map(|(text, cache)| Part::Text {
            text,
            cache,
            citations: Vec::new()
        }),
        image.prop_map(|(source, cache)| Part::Image(Image {
            source,
            detail: None,
            cache
        })),
        named.prop_map(|(source, name, cache)| Part::Document(Document {
            source,
            name,
            cache
        })),
    ]
}

fn result() -> impl Strategy<Value = Part> {
    let parts = prop::collection::vec(asked(), 0..3);
    ("[a-z.]{1,4}", parts, any::<bool>(), cache()).prop_map(|(id, parts, failed, cache)| {
        Part::ToolResult(ToolResult {
            id,
            name: None,
            parts,
            failed,
            cache,
        })
    })
}

fn message() -> impl Strategy<Value = Message> {
    let system = prop::collection::vec((words(), cache()), 1..3).prop_map(|texts| {
        let text = |(text, cache)| Part::Text {
            text,
            cache,
            citations: Vec::new(),
        };
        texts.into_iter().map(text).collect()
    });
    let user = prop::collection::vec(prop_oneof![asked(), result()], 0..4);
    let of = |role| move |parts: Vec<Part>| Message { role, parts };
    prop_oneof![
        system.prop_map(of(Role::System)),
        user.prop_map(of(Role::User)),
        said().prop_map(of(Role::Assistant)),
    ]
}

fn tool() -> impl Strategy<Value = Tool> {
    let schema =
        r#"{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false}"#;
    let strict = prop_oneof![Just(None), Just(Some(true))];
    ("[a-z]{1,6}", prop::option::of(words()), strict, cache()).prop_map(
        move |(name, description, strict, cache)| Tool {
            name,
            description,
            parameters: Some(RawValue::from_string(schema.to_owned()).unwrap()),
            strict,
            cache,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let choice = prop_oneof![
        Just(None),
        Just(Some(ToolChoice::Auto)),
        Just(Some(ToolChoice::None)),
        Just(Some(ToolChoice::Required)),
        Just(Some(ToolChoice::Named("look".to_owned()))),
    ];
    let said = (
        prop::collection::vec(message(), 1..6),
        prop::collection::vec(tool(), 1..3),
        choice,
        any::<bool>(),
    );
    let drawn = (
        prop::option::of(0..10_u32),
        prop::option::of(1..100_u64),
        prop::option::of(2_000..9_000_u64),
        any::<bool>(),
    );
    let rest = (
        any::<bool>(),
        prop::collection::vec("[A-Z]{1,4}", 0..2),
        prop::option::of(words()),
        any::<bool>(),
    );
    (said, drawn, rest).prop_map(|(said, drawn, rest)| {
        let (messages, tools, tool_choice, parallel) = said;
        let (temperature, top_k, budget, hidden) = drawn;
        let (schema, stop, user, stream) = rest;
        let forced = matches!(
            tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named(_))
        );
        let budget = budget.filter(|_| !forced);
        let drawn = budget.is_none();
        Request {
            messages,
            tools,
            // A word on parallel calls needs a choice that has room for it.
            parallel_tools: Some(false)
                .filter(|_| parallel && tool_choice != Some(ToolChoice::None)),
            tool_choice: tool_choice.or(Some(ToolChoice::Auto)),
            format: match schema {
                true => Format::Schema(Schema {
                    name: "answer".to_owned(),
                    description: None,
                    schema: RawValue::from_string(
                        r#"{"type":"object","properties":{},"additionalProperties":false}"#
                            .to_owned(),
                    )
                    .unwrap(),
                    strict: Some(true),
                }),
                false => Format::Text,
            },
            sampling: Sampling {
                temperature: temperature.map(|it| f64::from(it) / 10.0).filter(|_| drawn),
                top_k: top_k.filter(|_| drawn),
                ..Sampling::default()
            },
            stop,
            max_tokens: Some(10_000),
            reasoning: budget.map(|budget| Reasoning {
                max_tokens: Some(budget),
                hidden,
                ..Reasoning::default()
            }),
            stream,
            user,
            service_tier: Some("default".to_owned()),
            ..Request::default()
        }
    })
}

/// What of a request's turns the dialect says, in its order.
fn sayable(request: &Request) -> Vec<(Role, Vec<Part>)> {
    let kept = |part: &&Part| is_sent(part);
    let mut system: Vec<Part> = request.system().filter(kept).cloned().collect();
    let mut turns: Vec<(Role, Vec<Part>)> = Vec::new();
    for (role, parts) in request.turns() {
        let is_result = |part: &Part| matches!(part, Part::ToolResult(_));
        let parts = parts.into_iter().filter(kept);
        let (mut results, rest): (Vec<Part>, Vec<Part>) = parts.cloned().partition(is_result);
        results.extend(rest);
        match turns.last_mut() {
            _ if results.is_empty() => {}
            // A turn without words between two others is gone.
            Some((last, before)) if *last == role => before.extend(results),
            _ => turns.push((role, results)),
        }
    }
    if let Some((Role::Assistant, parts)) = turns.last_mut()
        && let Some(Part::Text { text, .. }) = parts.last_mut()
    {
        *text = text.trim_end().to_owned();
    }
    if turns.is_empty() && !system.is_empty() {
        turns.push((Role::User, std::mem::take(&mut system)));
    }
    if !system.is_empty() {
        turns.insert(0, (Role::System, system));
    }
    for (_, parts) in &mut turns {
        *parts = with_ids_of_the_dialect(parts);
        for part in parts {
            match part {
                Part::ToolCall(call) => call.signature = None,
                Part::ToolResult(result) => result.parts.retain(is_sent),
                _ => {}
            }
        }
    }
    turns
}

/// Neighbours of one role as one, results first.
fn merged(messages: Vec<Message>) -> Vec<(Role, Vec<Part>)> {
    let mut turns: Vec<(Role, Vec<Part>)> = Vec::new();
    for message in messages {
        match turns.last_mut() {
            Some((role, parts)) if *role == message.role => parts.extend(message.parts),
            _ => turns.push((message.role, message.parts)),
        }
    }
    turns
}

#[test]
fn a_request_comes_back_as_it_went() {
    const CASES: u32 = 1000;
    runner(CASES)
        .run(&request(), |request| {
            let lost = request_write::losses(&request, Generation::of(MODEL)).unwrap();
            let body = Messages.write_request(&request, MODEL);
            let found = Messages.read_request(&body).unwrap();
            prop_assert_eq!(&found.unknown, &[""; 0]);
            prop_assert_eq!(merged(found.messages), sayable(&request));
            prop_assert_eq!(&found.tools, &request.tools);
            prop_assert_eq!(&found.tool_choice, &request.tool_choice);
            let parallel = found.parallel_tools.filter(|several| !several);
            prop_assert_eq!(parallel, request.parallel_tools);
            prop_assert_eq!(&found.sampling, &request.sampling);
            prop_assert_eq!(&found.stop, &request.stop);
            prop_assert_eq!(found.max_tokens, request.max_tokens);
            prop_assert_eq!(found.stream, request.stream);
            prop_assert_eq!(&found.user, &request.user);
            prop_assert_eq!(&found.service_tier, &request.service_tier);
            if !lost.contains(&"reasoning") {
                prop_assert_eq!(&found.reasoning, &request.reasoning);
            }
            let schema = |format: &Format| match format {
                Format::Schema(schema) => Some(schema.schema.get().to_owned()),
                Format::Text | Format::Json => None,
            };
            prop_assert_eq!(schema(&found.format), schema(&request.format));
            let passed = scan(Purpose::Answer, &body).unwrap();
            prop_assert_eq!(passed.facts.stream, request.stream);
            Ok(())
        })
        .unwrap();
    println!("{CASES} requests read back");
}

// Nonsense.

/// Bodies and events to break: our own words, in every form that the readers know.
const SEEDS: [&str; 9] = [
    r#"{"model":"m","max_tokens":9,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"mainstay:{\"format\":\"x\"}"},{"type":"redacted_thinking","data":"mainstay:{\"call\":\"a\",\"signature\":\"s\"}"},{"type":"tool_use","id":"a","name":"n","input":{"q":[1]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"QQ=="}}]}]}],"tools":[{"name":"n","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"n"},"thinking":{"type":"enabled","budget_tokens":2000},"stream":true,"models":["x"],"session_id":"s"}"#,
    r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"a","citations":[{"type":"web_search_result_location","url":"u","title":null}]},{"type":"tool_use","id":"t","name":"mainstay_answer","input":{"a":1}},{"type":"thinking","thinking":"t","signature":"s"}],"stop_reason":"refusal","stop_sequence":null,"stop_details":{"explanation":"e"},"usage":{"input_tokens":1,"output_tokens":2,"cache_read_input_tokens":3}}"#,
    r#"{"type":"message_start","message":{"id":"msg_1","model":"m","usage":{"input_tokens":1,"output_tokens":1}}}"#,
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"t"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":9}}"#,
    r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
];

/// A seed with some of its bytes changed, cut out, doubled, or taken from another.
fn broken(seed: u64) -> Cow<'static, [u8]> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = SEEDS[rng.usize(..SEEDS.len())].as_bytes().to_vec();
    for _ in 0..rng.usize(1..4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.usize(..bytes.len());
        let until = (at + rng.usize(1..12)).min(bytes.len());
        match rng.u8(..5) {
            0 => bytes[at] = rng.u8(..),
            1 => drop(bytes.drain(at..until)),
            2 => {
                let piece = bytes[at..until].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            3 => {
                let other = SEEDS[rng.usize(..SEEDS.len())].as_bytes();
                let from = rng.usize(..other.len());
                let to = (from + rng.usize(1..40)).min(other.len());
                drop(bytes.splice(at..until, other[from..to].iter().copied()));
            }
            _ => {
                let words = [
                    "null", "7", "\"\"", "[]", "{}", "true", "-1e999", "[[", "\\u0000",
                ];
                let word = words[rng.usize(..words.len())].bytes();
                drop(bytes.splice(at..until, word));
            }
        }
    }
    bytes.into()
}

#[test]
fn nothing_that_arrives_brings_a_reader_down() {
    const CASES: u64 = 20_000;
    let mut reader = Messages.reader();
    let mut pieces = Vec::new();
    let (mut requests, mut answers, mut events) = (0, 0, 0);
    for seed in 0..CASES {
        let bytes = Bytes::from(broken(seed).into_owned());
        if let Ok(passed) = scan(Purpose::Answer, &bytes) {
            let out = passed.rewrite(&bytes, "up").segments().concat();
            assert!(serde_json::from_slice::<&RawValue>(&out).is_ok(), "{seed}");
            passed.hash_beginning(&bytes, &mut std::hash::DefaultHasher::new());
        }
        if let Ok(request) = Messages.read_request(&bytes) {
            requests += 1;
            if request_write::losses(&request, Generation::of(MODEL)).is_ok() {
                let body = Messages.write_request(&request, MODEL);
                assert!(Messages.read_request(&body).is_ok(), "{seed}");
            }
        }
        if let crate::wire::dialect::Whole::Good(answer) = Messages.read_answer(&bytes) {
            answers += 1;
            Messages.write_answer(&answer, &reply(&Bytes::new()));
        }
        let frame = Frame {
            name: "",
            data: &bytes,
            is_error: false,
        };
        let event = reader.read(frame, &mut pieces);
        events += u32::from(matches!(event, StreamEvent::Progress(_)));
        if seed % 7 == 0 {
            let mut writer = Messages.writer(&reply(&Bytes::new()));
            let mut out = Vec::new();
            pieces
                .drain(..)
                .for_each(|piece| writer.write(&piece, &mut out));
            writer.end(&mut out);
            reader = Messages.reader();
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            Messages.model_in(text);
        }
    }
    println!(
        "{CASES} broken bodies: {requests} requests, {answers} answers and {events} events among them"
    );
    assert!(requests > 100 && answers > 100 && events > 500);
}
