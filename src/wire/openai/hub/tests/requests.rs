//! What chat says of a hub's request, and what a request says to the hub.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::wire::client_error::RequestError;
use crate::wire::dialect::{Downstream, Upstream};
use crate::wire::hub::{Cache, Effort, Format, Part, Request, Role, Source, ToolChoice};
use crate::wire::openai::hub::Chat;

/// Every field of a chat request that OpenRouter names, but those for routers.
fn everything() -> Value {
    json!({
        "model": "author/slug",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            {"role": "developer", "content": "be kind"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
                {"type": "input_audio", "input_audio": {"data": "CCCC", "format": "wav"}},
            ]},
            {"role": "assistant", "content": "let me see", "reasoning": "hm",
                "reasoning_details": [{"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0}],
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "name": "look", "content": "a cat"},
        ],
        "tools": [{"type": "function", "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}, "strict": true}}],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": false,
        "response_format": {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}, "strict": true}},
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1,
        "frequency_penalty": 0.1, "presence_penalty": 0.2, "repetition_penalty": 1.1,
        "seed": -7, "logit_bias": {"50256": -100}, "stop": ["END"],
        "max_completion_tokens": 1000,
        "reasoning": {"effort": "high", "exclude": true, "summary": "auto"},
        "stream": true, "stream_options": {"include_usage": true},
        "user": "u1", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k", "verbosity": "low",
        "logprobs": true, "top_logprobs": 3,
        "provider": {"order": ["x"]}, "models": ["a/b"],
        "prediction": {"type": "content", "content": "x"},
    })
}

fn read(body: &Value) -> Request {
    Chat.read_request(&body.to_string().into()).unwrap()
}

fn refused(body: &Value) -> RequestError {
    Chat.read_request(&body.to_string().into()).unwrap_err()
}

fn written(request: &Request) -> Value {
    serde_json::from_slice(&Chat.write_request(request, "up")).unwrap()
}

fn user(content: &Value) -> Value {
    json!({"messages": [{"role": "user", "content": content}]})
}

#[test]
fn every_field_is_in_the_body_or_named() {
    let request = read(&everything());
    let mut losses = Chat.losses(&request).unwrap();
    losses.sort_unstable();
    let named = [
        "cache_control",
        "logprobs",
        "min_p",
        "reasoning.summary",
        "reasoning_details",
        "repetition_penalty",
        "top_k",
    ];
    assert_eq!(losses, named);
    assert_eq!(request.unknown, ["prediction"]);
    let mut expected = everything();
    let body = expected.as_object_mut().unwrap();
    for gone in [
        "top_k",
        "min_p",
        "repetition_penalty",
        "logprobs",
        "top_logprobs",
        "reasoning",
        "provider",
        "models",
        "prediction",
    ] {
        body.remove(gone);
    }
    body["model"] = json!("up");
    body.insert("reasoning_effort".to_owned(), json!("high"));
    body["messages"] = json!([
        {"role": "system", "content": "be brief"},
        {"role": "system", "content": "be kind"},
        everything()["messages"][2],
        {"role": "assistant", "content": "let me see", "tool_calls": everything()["messages"][3]["tool_calls"]},
        {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
    ]);
    assert_eq!(written(&request), expected);
}

#[test]
fn a_request_is_read_into_the_hubs_words() {
    let request = read(&everything());
    let roles: Vec<Role> = request
        .messages
        .iter()
        .map(|message| message.role)
        .collect();
    assert_eq!(
        roles,
        [
            Role::System,
            Role::System,
            Role::User,
            Role::Assistant,
            Role::User
        ]
    );
    let first = &request.messages[0].parts[0];
    let ttl = Some("1h".to_owned());
    assert!(matches!(first, Part::Text { cache: Some(Cache { ttl: found }), .. } if *found == ttl));
    let Part::Thought(thought) = &request.messages[3].parts[0] else {
        panic!("no thought");
    };
    assert_eq!(thought.format.as_deref(), Some("anthropic-claude-v1"));
    assert_eq!(thought.signature.as_deref(), Some("s"));
    let Part::ToolResult(result) = &request.messages[4].parts[0] else {
        panic!("no result");
    };
    assert_eq!(
        (result.id.as_str(), request.tool_named(result)),
        ("c1", Some("look"))
    );
    assert_eq!(
        request.tool_choice,
        Some(ToolChoice::Named("look".to_owned()))
    );
    assert_eq!(request.logprobs, Some(3));
    assert_eq!(request.max_tokens, Some(1000));
    let reasoning = request.reasoning.unwrap();
    assert_eq!(
        (reasoning.effort, reasoning.hidden),
        (Some(Effort::High), true)
    );
    assert!(
        matches!(request.format, Format::Schema(schema) if schema.schema.get() == r#"{"type":"object"}"#)
    );
}

#[test]
fn reasoning_is_asked_for_in_several_ways() {
    let asked = |more: Value| {
        let mut body = user(&json!("hi"));
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let reasoning = read(&body).reasoning;
        reasoning.map(|asked| (asked.effort, asked.max_tokens, asked.hidden))
    };
    assert_eq!(asked(json!({})), None);
    let low = Some((Some(Effort::Low), None, false));
    assert_eq!(asked(json!({"reasoning_effort": "low"})), low);
    assert_eq!(
        asked(json!({"reasoning_effort": "low", "reasoning": {"effort": "low"}})),
        low
    );
    assert_eq!(
        asked(json!({"reasoning": {"enabled": true}})),
        Some((Some(Effort::Medium), None, false))
    );
    assert_eq!(
        asked(json!({"reasoning": {"enabled": false}})),
        Some((Some(Effort::None), None, false))
    );
    assert_eq!(
        asked(json!({"reasoning": {"max_tokens": 7, "enabled": true}})),
        Some((None, Some(7), false))
    );
    assert_eq!(
        asked(json!({"reasoning": {"effort": "max"}})),
        Some((Some(Effort::XHigh), None, false))
    );
    assert_eq!(
        asked(json!({"include_reasoning": false})),
        Some((None, None, true))
    );
    let differ =
        json!({"messages": [], "reasoning_effort": "low", "reasoning": {"effort": "high"}});
    assert_eq!(refused(&differ).param, Some("reasoning"));
    let odd = json!({"messages": [], "reasoning_effort": "lots"});
    assert!(refused(&odd).message.contains("minimal, low, medium"));
}

#[test]
fn a_budget_becomes_the_nearest_effort() {
    let effort = |budget: u64, room: Option<u64>| {
        let body = json!({"messages": [], "reasoning": {"max_tokens": budget}, "max_tokens": room});
        written(&read(&body))["reasoning_effort"].clone()
    };
    assert_eq!(effort(500, Some(1000)), "medium");
    assert_eq!(effort(190, Some(1000)), "low");
    assert_eq!(effort(5000, Some(1000)), "xhigh");
    assert_eq!(effort(1024, None), "minimal");
    assert_eq!(effort(0, Some(0)), "none");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let part = user(
        &json!([{"type": "text", "text": "a"}, {"type": "video_url", "video_url": {"url": "x"}}]),
    );
    let error = refused(&part);
    assert_eq!(
        (error.message.as_str(), error.param),
        (
            "messages[0]: content[1] is of the type 'video_url', which cannot be translated",
            Some("messages")
        )
    );
    let error = refused(&json!({"messages": [{"role": "function", "content": "a"}]}));
    assert_eq!(
        error.message,
        "messages[0]: 'function' is no role that is supported"
    );
    let error = refused(&json!({"messages": [{"role": "tool", "content": "a"}]}));
    assert!(error.message.contains("'tool_call_id'"));
    let error = refused(&json!({"messages": [], "functions": []}));
    assert_eq!(error.param, Some("functions"));
    let error = refused(&json!({"messages": [], "response_format": {"type": "grammar"}}));
    assert_eq!(error.param, Some("response_format"));
    let error = refused(&json!({"messages": [], "temperature": "hot"}));
    assert_eq!(error.code, Some("invalid_json"));
    assert!(error.message.contains("line 1 column"), "{}", error.message);
    for body in [
        "",
        "[]",
        "{}",
        "7",
        "{\"messages\":[{\"role\":\"user\",\"content\":{}}]}",
    ] {
        assert!(
            Chat.read_request(&Bytes::from_static(body.as_bytes()))
                .is_err(),
            "{body}"
        );
    }
}

#[test]
fn a_tool_of_the_providers_own_is_named() {
    let body = json!({"messages": [], "tools": [{"type": "openrouter:web_search"}, {"type": "function", "function": {"name": "f"}}]});
    let request = read(&body);
    assert_eq!(request.unknown, ["tools.openrouter:web_search"]);
    assert_eq!(request.tools.len(), 1);
}

#[test]
fn what_chat_cannot_carry_is_unsupported() {
    let losses = |request: &Request| Chat.losses(request).unwrap_err().0;
    let said = |role, part| Request {
        messages: vec![crate::wire::hub::Message {
            role,
            parts: vec![part],
        }],
        ..Request::default()
    };
    let document = Part::Document(crate::wire::hub::Document {
        source: Source::Url("https://example.test/a.pdf".to_owned()),
        name: None,
        cache: None,
    });
    assert_eq!(losses(&said(Role::User, document)), "file");
    let image = Part::Image(crate::wire::hub::Image {
        source: Source::File("f1".to_owned()),
        detail: None,
        cache: None,
    });
    assert_eq!(losses(&said(Role::User, image)), "image_url");
    assert_eq!(
        losses(&Request {
            choices: 2,
            ..Request::default()
        }),
        "n"
    );
}

#[test]
fn calls_of_one_turn_stay_together_and_what_tools_show_follows_their_results() {
    let call = |id: &str| json!({"role": "assistant", "tool_calls": [{"id": id, "function": {"name": "f", "arguments": "{}"}}]});
    let image = json!({"type": "image_url", "image_url": {"url": "https://example.test/a.png"}});
    let shown = json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, image]);
    let body = json!({"messages": [
        call("c1"), call("c2"),
        {"role": "tool", "tool_call_id": "c1", "content": shown},
        {"role": "tool", "tool_call_id": "c2", "content": "d"},
        {"role": "user", "content": "so?"},
    ]});
    let messages = written(&read(&body))["messages"].clone();
    assert_eq!(messages[0]["tool_calls"].as_array().unwrap().len(), 2);
    assert_eq!(messages[0]["content"], Value::Null);
    assert_eq!(
        messages[1],
        json!({"role": "tool", "tool_call_id": "c1", "content": "a\nb"})
    );
    assert_eq!(
        messages[2],
        json!({"role": "tool", "tool_call_id": "c2", "content": "d"})
    );
    assert_eq!(
        messages[3],
        json!({"role": "user", "content": [image, {"type": "text", "text": "so?"}]})
    );
    assert_eq!(messages.as_array().unwrap().len(), 4);
}

#[test]
fn a_mark_for_the_whole_prompt_is_put_on_its_last_part() {
    let body = json!({"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "cache_control": {"type": "ephemeral"}});
    let request = read(&body);
    let marked = |at: usize| {
        matches!(
            &request.messages[at].parts[0],
            Part::Text { cache: Some(_), .. }
        )
    };
    assert_eq!((marked(0), marked(1)), (false, true));
}
