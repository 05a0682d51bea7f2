//! Requests written and answers read, by hand-made examples, and by broken ones.

use serde_json::{Value, json};

use super::Cohere;
use crate::core::exchange::Usage;
use crate::core::outcome::Hint;
use crate::wire::dialect::{Framing, Target, Unsupported, Upstream, Whole};
use crate::wire::hub::sample::{
    asks, call, check_kept, everything, picture, png, raw, result, said, schema,
};
use crate::wire::hub::{
    Citation, Document, Effort, Finish, Format, Image, Part, Reasoning, Request, Role, Source,
    Thought, Tool, ToolChoice,
};
use crate::wire::property::check_spoilt;

fn body(request: &Request) -> Value {
    serde_json::from_slice(&Cohere.write_request(request, "command-a")).expect("JSON")
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: None,
        parameters: None,
        strict: None,
        cache: None,
    }
}

/// The request without its PDF, which Cohere has no place for.
fn sayable() -> Request {
    let mut request = everything();
    for message in &mut request.messages {
        message
            .parts
            .retain(|part| !matches!(part, Part::Document(_)));
    }
    request
}

#[test]
fn a_path_is_the_same_for_every_model() {
    for stream in [true, false] {
        let target = Target {
            model: "a:b",
            stream,
        };
        assert_eq!(Cohere.path(&target), "/chat");
    }
    assert_eq!(Cohere.framing(), Framing::Sse);
}

#[test]
fn every_field_is_in_the_body_or_named() {
    assert_eq!(Cohere.losses(&everything()), Err(Unsupported("file")));
    let mut request = sayable();
    request.messages[1].parts.push(Part::Document(Document {
        source: Source::Text("keep-document".to_owned()),
        name: Some("a report.txt".to_owned()),
        cache: None,
    }));
    assert_eq!(
        Cohere.losses(&request).unwrap(),
        [
            "annotations",
            "cache_control",
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
            "service_tier",
            "strict",
            "user",
            "verbosity",
        ]
    );
    let text = body(&request).to_string();
    check_kept(
        &text,
        &[
            "\"low\"",
            "keep-document",
            "0.125",
            "0.25",
            "41",
            "0.5",
            "0.625",
            "4711",
            "error",
            "command-a",
            "true",
        ],
        &["foreign", "50256", "someone", "0.375", "1.5", "priority"],
    );
}

#[test]
fn what_would_make_another_answer_is_unsupported() {
    let refused = |request: &Request| Cohere.losses(request).unwrap_err();
    let with = |role, part| {
        let mut request = asks("x");
        request.messages.push(said(role, vec![part]));
        request
    };
    assert_eq!(
        refused(&with(Role::System, picture(png()))),
        Unsupported("image_url")
    );
    assert_eq!(
        refused(&with(Role::User, result("c", vec![picture(png())]))),
        Unsupported("image_url")
    );
    let file = picture(Source::File("f".to_owned()));
    assert_eq!(refused(&with(Role::User, file)), Unsupported("image_url"));
    let audio = Part::Audio {
        data: "AA".to_owned(),
        format: "mp3".to_owned(),
    };
    assert_eq!(
        refused(&with(Role::User, audio)),
        Unsupported("input_audio")
    );
    let mut request = asks("x");
    request.choices = 2;
    assert_eq!(refused(&request), Unsupported("n"));
    let mut request = asks("x");
    request.stop = vec!["s".to_owned(); 6];
    assert_eq!(refused(&request), Unsupported("stop"));
    let mut request = asks("x");
    request.format = Format::Json;
    assert_eq!(Cohere.losses(&request).unwrap(), [""; 0]);
    request.tools = vec![tool("f")];
    assert_eq!(refused(&request), Unsupported("response_format"));
}

#[test]
fn what_is_out_of_range_is_left_out_and_named() {
    let mut request = asks("x");
    request.sampling.frequency_penalty = Some(-1.0);
    request.sampling.presence_penalty = Some(1.5);
    request.sampling.top_k = Some(501);
    request.sampling.seed = Some(-1);
    request.sampling.top_p = Some(1.0);
    request.service_tier = Some("auto".to_owned());
    assert_eq!(
        Cohere.losses(&request).unwrap(),
        ["frequency_penalty", "presence_penalty", "seed", "top_k"]
    );
    let message = json!({"role": "user", "content": [{"type": "text", "text": "x"}]});
    assert_eq!(
        body(&request),
        json!({"model": "command-a", "stream": false, "messages": [message], "p": 0.99})
    );
}

#[test]
fn a_conversation_with_tools_is_written_as_cohere_has_it() {
    let mut request = asks("add");
    let image = Part::Image(Image {
        source: Source::Url("https://example.test/a.png".to_owned()),
        detail: Some("high".to_owned()),
        cache: None,
    });
    request.messages[0].parts.push(image);
    request.messages.extend([
        said(Role::System, vec![Part::text("be brief")]),
        said(
            Role::Assistant,
            vec![
                Part::text("I "),
                Part::text("add."),
                call("a", "add", "{broken"),
                call("b", "now", ""),
            ],
        ),
        said(
            Role::User,
            vec![
                Part::text("go on"),
                result("a", vec![Part::text("2"), Part::text("3")]),
                result("b", vec![]),
            ],
        ),
        said(Role::Assistant, vec![Part::text("")]),
    ]);
    request.tools = vec![
        Tool {
            parameters: Some(raw(r#"{"type":"object","x":1}"#)),
            ..tool("add")
        },
        tool("now"),
    ];
    request.tool_choice = Some(ToolChoice::Required);
    let text = |text: &str| json!({"type": "text", "text": text});
    let call = |id: &str, name: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
    let output = |id: &str, text: &str| {
        json!({"role": "tool", "tool_call_id": id,
            "content": [{"type": "document", "document": {"data": {"output": text}}}]})
    };
    let expected = json!({
        "model": "command-a",
        "stream": false,
        "messages": [
            {"role": "user", "content": [
                text("add"),
                {"type": "image_url", "image_url": {"url": "https://example.test/a.png", "detail": "high"}},
            ]},
            {"role": "system", "content": [text("be brief")]},
            {"role": "assistant", "tool_plan": "I add.", "tool_calls": [call("a", "add", "{broken"), call("b", "now", "{}")]},
            output("a", "2\n3"),
            output("b", ""),
            {"role": "user", "content": [text("go on")]},
        ],
        "tools": [
            {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "x": 1}}},
            {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
        ],
        "tool_choice": "REQUIRED",
    });
    assert_eq!(body(&request), expected);
    request.tool_choice = Some(ToolChoice::Named("now".to_owned()));
    let named = body(&request);
    assert_eq!(named["tool_choice"], "REQUIRED");
    assert_eq!(named["tools"], json!([expected["tools"][1]]));
    request.tool_choice = Some(ToolChoice::None);
    assert_eq!(body(&request)["tool_choice"], "NONE");
}

#[test]
fn a_form_of_the_answer_is_native() {
    let mut request = asks("x");
    request.format = Format::Json;
    assert_eq!(
        body(&request)["response_format"],
        json!({"type": "json_object"})
    );
    request.format = schema();
    let format = &body(&request)["response_format"];
    assert_eq!(format["json_schema"]["required"], json!(["keep-field"]));
}

#[test]
fn thinking_is_on_with_a_budget_or_off() {
    let thinking = |effort, max_tokens, room| {
        let mut request = asks("x");
        request.max_tokens = room;
        request.reasoning = Some(Reasoning {
            effort,
            max_tokens,
            ..Reasoning::default()
        });
        body(&request)["thinking"].clone()
    };
    assert_eq!(
        thinking(Some(Effort::None), None, None),
        json!({"type": "disabled"})
    );
    assert_eq!(thinking(None, None, None), json!({"type": "enabled"}));
    assert_eq!(
        thinking(Some(Effort::Low), Some(7), None),
        json!({"type": "enabled", "token_budget": 7})
    );
    assert_eq!(
        thinking(Some(Effort::High), None, Some(1000)),
        json!({"type": "enabled", "token_budget": 800})
    );
}

pub(super) const ANSWER: &str = r#"{"id":"i","message":{"role":"assistant","tool_plan":"I look.","content":[
    {"type":"thinking","thinking":"hm"},{"type":"text","text":"Well."}],
    "tool_calls":[{"id":"c","type":"function","function":{"name":"look","arguments":"{\"at\":\"é\"}"}},
        {"id":"d","type":"function","function":{"name":"now","arguments":"null"}}],
    "citations":[{"start":1,"end":3,"text":"el","sources":[{"type":"document","id":"doc:0",
        "document":{"url":"https://a.test","title":"A","x":1}},{"type":"tool","id":"c:0"}],"type":"TEXT_CONTENT"},
        {"start":0,"end":1,"sources":[{"id":"z"}],"type":"PLAN"}]},
    "finish_reason":"TOOL_CALL","usage":{"tokens":{"input_tokens":5,"output_tokens":7},"cached_tokens":3}}"#;

#[test]
fn an_answer_is_read_whole() {
    let Whole::Good(answer) = Cohere.read_answer(ANSWER.as_bytes()) else {
        panic!("an answer");
    };
    assert_eq!(answer.id, "i");
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 5,
            completion_tokens: 7,
            cached_tokens: Some(3),
            ..Usage::default()
        })
    );
    let cited = |url: &str, title: Option<&str>| Citation {
        url: url.to_owned(),
        title: title.map(str::to_owned),
        span: Some((1, 3)),
    };
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    assert_eq!(
        choice.parts,
        [
            Part::Thought(Thought {
                text: "hm".to_owned(),
                ..Thought::default()
            }),
            Part::text("Well."),
            Part::Text {
                text: "I look.".to_owned(),
                cache: None,
                citations: vec![cited("https://a.test", Some("A")), cited("c:0", None)],
            },
            call("c", "look", r#"{"at":"é"}"#),
            call("d", "now", "{}"),
        ]
    );
}

#[test]
fn what_is_no_answer_is_an_error_or_malformed() {
    let Whole::Error(facts) =
        Cohere.read_answer(br#"{"id":"i","message":"too many tokens: limit exceeded"}"#)
    else {
        panic!("an error");
    };
    assert_eq!(facts.hint, Some(Hint::ContextTooLong));
    let broken = r#"{"id":"i","message":{"content":[]},"finish_reason":"ERROR"}"#;
    assert!(matches!(
        Cohere.read_answer(broken.as_bytes()),
        Whole::Error(_)
    ));
    for json in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"message":7}"#,
        r#"{"message":null}"#,
    ] {
        assert!(
            matches!(Cohere.read_answer(json.as_bytes()), Whole::Malformed),
            "{json}"
        );
    }
}

#[test]
fn mutated_bytes_break_nothing() {
    check_spoilt(
        &[ANSWER.as_bytes()],
        br#"{"message":{"content":["#,
        |bytes| {
            Cohere.read_answer(bytes);
        },
    );
}
