//! Requests written and answers read, by hand-made examples, and by broken ones.

use serde_json::{Value, json};

use super::Gemini;
use crate::core::exchange::{Progress, StreamEvent, Usage};
use crate::core::outcome::{Class, Evidence, Hint, classify};
use crate::wire::dialect::sample::frame;
use crate::wire::dialect::{Target, Unsupported, Upstream, Whole};
use crate::wire::hub::sample::{
    asks, call, check_kept, everything, picture, png, raw, result, said, schema,
};
use crate::wire::hub::{
    Citation, Event, Finish, Format, Message, Part, Request, Role, Source, Thought, ThoughtKind,
    Tool, ToolChoice,
};
use crate::wire::property::check_spoilt;

fn body(request: &Request, model: &str) -> Value {
    serde_json::from_slice(&Gemini.write_request(request, model)).expect("JSON")
}

fn stream(chunks: &[&str]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Gemini.reader();
    let mut pieces = Vec::new();
    let verdicts = chunks
        .iter()
        .map(|chunk| reader.read(frame(chunk.as_bytes()), &mut pieces))
        .collect();
    (verdicts, pieces)
}

#[test]
fn a_path_names_the_model_and_the_way() {
    let path = |model, stream| Gemini.path(&Target { model, stream });
    assert_eq!(
        path("gemini-2.5-pro", false),
        "/models/gemini-2.5-pro:generateContent"
    );
    assert_eq!(
        path("my/model", true),
        "/models/my%2Fmodel:streamGenerateContent?alt=sse"
    );
}

#[test]
fn every_field_is_in_the_body_or_named() {
    let request = everything();
    let lost = Gemini.losses(&request).unwrap();
    assert_eq!(
        lost,
        [
            "annotations",
            "cache_control",
            "detail",
            "filename",
            "logit_bias",
            "logprobs",
            "metadata",
            "min_p",
            "parallel_tool_calls",
            "prompt_cache_key",
            "reasoning.summary",
            "reasoning_details",
            "repetition_penalty",
            "strict",
            "user",
            "verbosity",
        ]
    );
    let text = body(&request, "gemini-2.5-flash").to_string();
    check_kept(
        &text,
        &[
            "JVBERi0x", "0.125", "0.25", "41", "0.5", "0.625", "4711", "priority", "AUTO",
        ],
        &["foreign", "50256", "someone", "0.375", "1.5"],
    );
}

#[test]
fn what_would_make_another_answer_is_unsupported() {
    let refused = |request: &Request| Gemini.losses(request).unwrap_err();
    let mut request = asks("x");
    request.stop = vec!["s".to_owned(); 6];
    assert_eq!(refused(&request), Unsupported("stop"));
    let mut request = asks("x");
    request.choices = 9;
    assert_eq!(refused(&request), Unsupported("n"));
    let file = picture(Source::File("file-abc".to_owned()));
    let mut request = asks("x");
    request.messages.push(said(Role::User, vec![file.clone()]));
    assert_eq!(refused(&request), Unsupported("image_url"));
    let mut request = asks("x");
    request
        .messages
        .push(said(Role::System, vec![picture(png())]));
    assert_eq!(refused(&request), Unsupported("image_url"));
    let mut request = asks("x");
    request
        .messages
        .push(said(Role::User, vec![result("c", vec![file])]));
    assert_eq!(refused(&request), Unsupported("image_url"));
}

#[test]
fn losses_come_only_where_something_is_lost() {
    let mut request = asks("x");
    request.sampling.seed = Some(7);
    request.parallel_tools = Some(true);
    request.service_tier = Some("auto".to_owned());
    assert_eq!(Gemini.losses(&request).unwrap(), [""; 0]);
    assert_eq!(body(&request, "m")["generationConfig"]["seed"], 7);
    request.sampling.seed = Some(i64::MAX);
    request.service_tier = Some("scale".to_owned());
    assert_eq!(Gemini.losses(&request).unwrap(), ["seed", "service_tier"]);
    let written = body(&request, "m");
    assert!(written["generationConfig"].get("seed").is_none());
    assert!(written.get("serviceTier").is_none());
}

#[test]
fn a_conversation_with_tools_is_written_as_google_has_it() {
    let parameters = r#"{"type":"object","properties":{"n":{"type":"number"}}}"#;
    let mut request = asks("add");
    request.messages.extend([
        said(Role::System, vec![Part::text("be brief")]),
        said(
            Role::Assistant,
            vec![
                call("a", "add", r#"{"n":1}"#),
                call("b", "add", "{broken"),
                call("c", "now", ""),
            ],
        ),
        said(Role::User, vec![Part::text("go on")]),
        said(
            Role::User,
            vec![result("a", vec![Part::text("2"), picture(png())])],
        ),
    ]);
    request.tools = vec![
        Tool {
            name: "add".to_owned(),
            description: None,
            parameters: Some(raw(parameters)),
            strict: None,
            cache: None,
        },
        Tool {
            name: "now".to_owned(),
            description: Some("the time".to_owned()),
            parameters: None,
            strict: None,
            cache: None,
        },
    ];
    request.tool_choice = Some(ToolChoice::Named("add".to_owned()));
    let blob = json!({"inlineData": {"mimeType": "image/png", "data": "iVBORw0K"}});
    let expected = json!({
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "contents": [
            {"role": "user", "parts": [{"text": "add"}]},
            {"role": "model", "parts": [
                {"functionCall": {"id": "a", "name": "add", "args": {"n": 1}}},
                {"functionCall": {"id": "b", "name": "add", "args": {"arguments": "{broken"}}},
                {"functionCall": {"id": "c", "name": "now", "args": {}}},
            ]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "a", "name": "add", "response": {"output": "2"}}},
                {"text": "go on"},
                blob,
            ]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "add", "parametersJsonSchema": serde_json::from_str::<Value>(parameters).unwrap()},
            {"name": "now", "description": "the time"},
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["add"]}},
        "generationConfig": {},
    });
    assert_eq!(body(&request, "gemini-2.5-flash"), expected);
    // From generation 3 on media stand within the response, and a step's first call has a signature.
    let newer = body(&request, "gemini-3-pro");
    let calls = &newer["contents"][1]["parts"];
    assert_eq!(
        calls[0]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
    assert!(calls[1].get("thoughtSignature").is_none());
    let within = &newer["contents"][2]["parts"][0]["functionResponse"]["parts"];
    assert_eq!(within, &json!([blob]));
}

#[test]
fn thoughts_go_back_only_to_those_who_had_them() {
    let thought = |kind, text: &str, signature: Option<&str>, id: Option<&str>, format: &str| {
        Part::Thought(Thought {
            kind,
            text: text.to_owned(),
            signature: signature.map(str::to_owned),
            id: id.map(str::to_owned),
            format: Some(format.to_owned()),
        })
    };
    let own = "google-gemini-v1";
    let mut request = asks("x");
    request.messages.push(said(
        Role::Assistant,
        vec![
            thought(ThoughtKind::Text, "hm", Some("s1"), None, own),
            thought(
                ThoughtKind::Text,
                "theirs",
                Some("s2"),
                None,
                "anthropic-claude-v1",
            ),
            Part::text("well"),
            thought(ThoughtKind::Encrypted, "s3", None, None, own),
            thought(ThoughtKind::Encrypted, "s4", None, Some("c"), own),
            call("c", "f", "{}"),
        ],
    ));
    assert_eq!(Gemini.losses(&request).unwrap(), ["reasoning_details"]);
    assert_eq!(
        body(&request, "gemini-3-pro")["contents"][1]["parts"],
        json!([
            {"text": "hm", "thought": true, "thoughtSignature": "s1"},
            {"text": "well"},
            {"text": "", "thoughtSignature": "s3"},
            {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "s4"},
        ])
    );
}

#[test]
fn media_are_inline_or_by_their_address() {
    let mut request = asks("x");
    request.messages = vec![Message {
        role: Role::User,
        parts: vec![
            picture(Source::Url("https://example.test/a.JPG?x=.png".to_owned())),
            picture(Source::Url("https://example.test/picture".to_owned())),
            picture(Source::File("gs://bucket/a.webp".to_owned())),
            Part::Audio {
                data: "AAAA".to_owned(),
                format: "wav".to_owned(),
            },
        ],
    }];
    assert_eq!(
        body(&request, "m")["contents"][0]["parts"],
        json!([
            {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://example.test/a.JPG?x=.png"}},
            {"fileData": {"fileUri": "https://example.test/picture"}},
            {"fileData": {"mimeType": "image/webp", "fileUri": "gs://bucket/a.webp"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ])
    );
    assert_eq!(Gemini.losses(&request).unwrap(), [""; 0]);
}

#[test]
fn a_form_of_the_answer_is_native() {
    let mut request = asks("x");
    request.format = Format::Json;
    let config = body(&request, "m")["generationConfig"].clone();
    assert_eq!(config, json!({"responseMimeType": "application/json"}));
    request.format = schema();
    request.choices = 2;
    let config = body(&request, "m")["generationConfig"].clone();
    assert_eq!(config["candidateCount"], 2);
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(
        config["responseJsonSchema"]["required"],
        json!(["keep-field"])
    );
}

#[test]
fn a_system_alone_is_the_users_turn() {
    let mut request = asks("");
    request.messages = vec![said(Role::System, vec![Part::text("s")])];
    let written = body(&request, "m");
    assert_eq!(
        written["contents"],
        json!([{"role": "user", "parts": [{"text": "s"}]}])
    );
    assert!(written.get("systemInstruction").is_none());
}

const CALLS: &str = r#"{"candidates":[{"content":{"role":"model","parts":[
    {"text":"let me see","thought":true},
    {"text":"I look."},
    {"functionCall":{"name":"look","args":{"at":"é"}},"thoughtSignature":"sig"},
    {"functionCall":{"name":"look","id":"own"}}]},
    "finishReason":"STOP"}],
    "usageMetadata":{"promptTokenCount":10,"cachedContentTokenCount":4,"candidatesTokenCount":5,"thoughtsTokenCount":7,
    "toolUsePromptTokenCount":2,"totalTokenCount":24,"serviceTier":"flex"},"responseId":"r+1_x"}"#;

const CALLS_USAGE: Usage = Usage {
    prompt_tokens: 12,
    completion_tokens: 12,
    cached_tokens: Some(4),
    cache_write_tokens: None,
    reasoning_tokens: 7,
};

#[test]
fn an_answer_is_read_whole() {
    let Whole::Good(answer) = Gemini.read_answer(CALLS.as_bytes()) else {
        panic!("an answer");
    };
    assert_eq!(answer.usage, Some(CALLS_USAGE));
    assert_eq!(answer.service_tier.as_deref(), Some("flex"));
    let [choice] = &answer.choices[..] else {
        panic!("one choice");
    };
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let [
        Part::Thought(thought),
        text,
        Part::ToolCall(first),
        Part::ToolCall(second),
    ] = &choice.parts[..]
    else {
        panic!("{:?}", choice.parts);
    };
    assert_eq!(
        (thought.text.as_str(), thought.format.as_deref()),
        ("let me see", Some("google-gemini-v1"))
    );
    assert_eq!(text, &Part::text("I look."));
    assert_eq!(
        (first.id.as_str(), first.signature.as_deref()),
        ("call_r1_x_0", Some("sig"))
    );
    assert_eq!(first.arguments, r#"{"at":"é"}"#);
    assert_eq!(
        (second.id.as_str(), second.arguments.as_str()),
        ("own", "{}")
    );
}

#[test]
fn a_stream_has_the_same_pieces_as_the_answer() {
    let (verdicts, pieces) = stream(&[CALLS]);
    assert_eq!(
        verdicts,
        [StreamEvent::Progress(Progress {
            content: true,
            finished: true,
            last: false,
            usage: Some(CALLS_USAGE),
        })]
    );
    let names: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Event::ToolCall { index, id, .. } => Some((*index, id.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(names, [(0, "call_r1_x_0"), (1, "own")]);
    let finish = Event::Finish {
        choice: 0,
        finish: Finish::ToolCalls,
    };
    assert_eq!(
        pieces[pieces.len() - 2..],
        [finish, Event::Usage(CALLS_USAGE)]
    );
}

#[test]
fn candidates_end_each_on_its_own_and_usage_comes_once() {
    let (verdicts, pieces) = stream(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"index":1,"content":{"parts":[{"text":"b"}]}}],
            "usageMetadata":{"promptTokenCount":3}}"#,
        r#"{"candidates":[{"finishReason":"STOP"}]}"#,
        r#"{"candidates":[{"index":1,"content":{},"finishReason":"MAX_TOKENS"}]}"#,
        r#"{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
        r#"{"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2}}"#,
        "",
    ]);
    let finished: Vec<_> = verdicts
        .iter()
        .map(|verdict| matches!(verdict, StreamEvent::Progress(progress) if progress.finished))
        .collect();
    assert_eq!(finished, [false, false, true, true, true, false]);
    assert_eq!(verdicts[5], StreamEvent::Idle);
    let text = |choice, text: &str| Event::Text {
        choice,
        text: text.to_owned(),
    };
    let finish = |choice, finish| Event::Finish { choice, finish };
    let usage = Usage {
        prompt_tokens: 3,
        completion_tokens: 2,
        ..Usage::default()
    };
    let start = Event::Start {
        id: String::new(),
        created: 0,
    };
    assert_eq!(
        pieces,
        [
            start,
            text(0, "a"),
            text(1, "b"),
            finish(0, Finish::STOP),
            finish(1, Finish::Length),
            Event::Usage(usage),
        ]
    );
}

#[test]
fn a_signature_beside_text_is_a_sealed_thought() {
    let (_, pieces) = stream(&[
        r#"{"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s"}]}}],"responseId":"r"}"#,
    ]);
    let sealed = Event::Thought {
        choice: 0,
        kind: ThoughtKind::Encrypted,
        text: "s".to_owned(),
        signature: None,
        id: None,
        format: Some("google-gemini-v1"),
    };
    assert_eq!(pieces[1..], [sealed]);
}

#[test]
fn sources_are_named_once_at_the_end() {
    let chunk = |finish: &str| {
        format!(
            r#"{{"candidates":[{{"content":{{"parts":[{{"text":"a"}}]}}{finish},
            "groundingMetadata":{{"groundingChunks":[{{"web":{{"uri":"https://a.test","title":"A"}}}},{{}}]}}}}]}}"#
        )
    };
    let quoted = r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"citationMetadata":{"citationSources":[
        {"startIndex":1,"endIndex":9,"uri":"https://b.test","license":""}]}}]}"#;
    let (_, pieces) = stream(&[&chunk(""), quoted, &chunk(r#","finishReason":"STOP""#)]);
    let urls: Vec<_> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Event::Citation { citation, .. } => Some(citation.url.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(urls, ["https://b.test", "https://a.test"]);
    let whole = chunk(r#","finishReason":"STOP""#);
    let Whole::Good(answer) = Gemini.read_answer(whole.as_bytes()) else {
        panic!("an answer");
    };
    let Part::Text { citations, .. } = &answer.choices[0].parts[0] else {
        panic!("text");
    };
    let expected = Citation {
        url: "https://a.test".to_owned(),
        title: Some("A".to_owned()),
        span: None,
    };
    assert_eq!(citations, &[expected]);
}

#[test]
fn a_blocked_prompt_is_an_error_of_its_content() {
    let blocked = r#"{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":3}}"#;
    let Whole::Error(facts) = Gemini.read_answer(blocked.as_bytes()) else {
        panic!("no error");
    };
    assert_eq!(facts.hint, Some(Hint::ContentFiltered));
    assert_eq!(
        classify(&Evidence::InAnswer(*facts.clone()), false),
        Class::ContentFiltered
    );
    assert_eq!(stream(&[blocked]).0, [StreamEvent::Error(facts)]);
}

#[test]
fn errors_inside_are_errors() {
    let overloaded =
        r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let listed = format!("[{overloaded}]");
    let limited =
        r#"{"error":{"code":429,"message":"Please retry in 2s.","status":"RESOURCE_EXHAUSTED"}}"#;
    for (json, hint) in [
        (overloaded, Hint::Overloaded),
        (&listed, Hint::Overloaded),
        (limited, Hint::RateLimited),
    ] {
        let Whole::Error(facts) = Gemini.read_answer(json.as_bytes()) else {
            panic!("no error: {json}");
        };
        assert_eq!(facts.hint, Some(hint), "{json}");
        let first = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
        let (verdicts, pieces) = stream(&[first, json]);
        assert_eq!(verdicts[1], StreamEvent::Error(facts));
        assert_eq!(pieces.len(), 2);
    }
    let broken = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"MALFORMED_FUNCTION_CALL"}]}"#;
    assert!(matches!(
        Gemini.read_answer(broken.as_bytes()),
        Whole::Error(_)
    ));
    let (verdicts, pieces) = stream(&[broken]);
    assert!(matches!(verdicts[..], [StreamEvent::Error(_)]));
    assert_eq!(pieces, []);
}

#[test]
fn what_cannot_be_carried_is_malformed() {
    let part = |part: &str| format!(r#"{{"candidates":[{{"content":{{"parts":[{part}]}}}}]}}"#);
    let broken = [
        "<html>".to_owned(),
        "[]".to_owned(),
        "[DONE]".to_owned(),
        r#"{"candidates":7}"#.to_owned(),
        part(r#"{"functionCall":{}}"#),
        part(r#"{"functionCall":{"name":"f","willContinue":true}}"#),
    ];
    let only_in_streams = part(r#"{"inlineData":{"mimeType":"image/png","data":"AAAA"}}"#);
    for json in &broken {
        assert!(
            matches!(Gemini.read_answer(json.as_bytes()), Whole::Malformed),
            "{json}"
        );
    }
    for json in broken.iter().chain([&only_in_streams]) {
        assert_eq!(
            stream(&[json]).0,
            [StreamEvent::Malformed { fatal: true }],
            "{json}"
        );
    }
    let Whole::Good(answer) = Gemini.read_answer(only_in_streams.as_bytes()) else {
        panic!("an answer");
    };
    assert!(matches!(answer.choices[0].parts[..], [Part::Image(_)]));
}

/// A chunk of the dialect's future is no reason to break off; as a whole answer it is none.
#[test]
fn a_chunk_that_says_nothing_known_is_passed_over() {
    let text = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}]}"#;
    for unknown in [
        "{}",
        r#"{"modelVersion":"m"}"#,
        r#"{"promptFeedback":{"safetyRatings":[]}}"#,
        r#"{"weather":7}"#,
    ] {
        assert!(
            matches!(Gemini.read_answer(unknown.as_bytes()), Whole::Malformed),
            "{unknown}"
        );
        let (verdicts, pieces) = stream(&[unknown, text, unknown]);
        assert_eq!(verdicts[0], StreamEvent::Idle, "{unknown}");
        assert_eq!(verdicts[2], StreamEvent::Idle, "{unknown}");
        assert_eq!(pieces, stream(&[text]).1, "{unknown}");
    }
}

#[test]
fn many_candidates_do_not_grow_the_reader() {
    let chunk = |index: u32| {
        format!(r#"{{"candidates":[{{"index":{index},"content":{{"parts":[{{"text":"a"}}]}}}}]}}"#)
    };
    let mut reader = Gemini.reader();
    let mut refused = 0;
    for index in 0..1000 {
        let verdict = reader.read(frame(chunk(index).as_bytes()), &mut Vec::new());
        refused += u32::from(verdict == StreamEvent::Malformed { fatal: true });
    }
    assert_eq!(refused, 1000 - 64);
}

#[test]
fn mutated_bytes_break_nothing() {
    let deep = br#"{"candidates":[{"content":"#;
    check_spoilt(&[CALLS.as_bytes()], deep, |bytes| {
        Gemini.read_answer(bytes);
        Gemini.reader().read(frame(bytes), &mut Vec::new());
    });
    let deep = format!("{}{}", r#"{"candidates":["#, "[".repeat(100_000));
    assert!(matches!(
        Gemini.read_answer(deep.as_bytes()),
        Whole::Malformed
    ));
}
