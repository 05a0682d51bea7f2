//! What the format says of a hub's request, and what a request says to the hub.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::wire::client_error::RequestError;
use crate::wire::dialect::{Downstream, Upstream};
use crate::wire::hub::{
    Effort, Format, Message, Part, Reasoning, Request, Role, Sampling, Source, Thought,
    ThoughtKind, Tool, ToolCall, ToolChoice, ToolResult,
};
use crate::wire::responses::Responses;

/// Every field of a request that keeps nothing at the provider.
fn everything() -> Value {
    json!({
        "model": "author/slug",
        "instructions": "be brief",
        "input": [
            {"role": "developer", "content": "be kind"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "what is it?"},
                {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
            ]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
            {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": [
                {"type": "output_text", "text": "let me see", "annotations": [], "logprobs": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": "{\"at\":1}", "status": "completed"},
            {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        ],
        "tools": [
            {"type": "function", "name": "look", "description": "looks", "parameters": {"type": "object"}, "strict": true},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": false,
        "text": {"format": {"type": "json_schema", "name": "out", "schema": {"type": "object"}, "strict": true}, "verbosity": "low"},
        "reasoning": {"effort": "high", "summary": "auto"},
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "frequency_penalty": 0.1, "presence_penalty": 0.2,
        "max_output_tokens": 1000, "top_logprobs": 2,
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "stream": true, "stream_options": {"include_obfuscation": false},
        "user": "u1", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k",
        "store": true, "truncation": "auto", "max_tool_calls": 3, "background": false,
        "provider": {"order": ["x"]}, "models": ["a/b"],
    })
}

fn read(body: &Value) -> Request {
    Responses.read_request(&body.to_string().into()).unwrap()
}

fn refused(body: &Value) -> RequestError {
    Responses
        .read_request(&body.to_string().into())
        .unwrap_err()
}

fn written(request: &Request) -> Value {
    serde_json::from_slice(&Responses.write_request(request, "up")).unwrap()
}

#[test]
fn every_field_is_in_the_body_or_named() {
    let request = read(&everything());
    let named = [
        "max_tool_calls",
        "input.web_search_call",
        "tools.web_search",
        "store",
        "truncation",
        "include",
    ];
    assert_eq!(request.unknown, named);
    let losses = ["top_k", "frequency_penalty", "presence_penalty", "logprobs"];
    assert_eq!(Responses.losses(&request).unwrap(), losses);
    let expected = json!({
        "model": "up",
        "input": [
            {"role": "system", "content": "be brief"},
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": everything()["input"][1]["content"]},
            everything()["input"][2],
            {"role": "assistant", "content": [{"type": "output_text", "text": "let me see"}]},
            {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{\"at\":1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "a cat"},
        ],
        "tools": [everything()["tools"][0]],
        "tool_choice": {"type": "function", "name": "look"},
        "parallel_tool_calls": false,
        "text": everything()["text"],
        "reasoning": {"effort": "high", "summary": "auto"},
        "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 1000,
        "include": ["reasoning.encrypted_content"],
        "stream": true,
        "user": "u1", "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k",
        "store": false,
    });
    assert_eq!(written(&request), expected);
}

#[test]
fn every_field_of_the_hub_is_in_the_body_or_named() {
    let request = Request {
        sampling: Sampling {
            temperature: Some(1.0),
            top_p: Some(1.0),
            top_k: Some(1),
            min_p: Some(1.0),
            frequency_penalty: Some(1.0),
            presence_penalty: Some(1.0),
            repetition_penalty: Some(1.0),
            seed: Some(1),
            logit_bias: Some(serde_json::Map::new()),
        },
        reasoning: Some(Reasoning {
            effort: None,
            max_tokens: Some(500),
            hidden: true,
            summary: None,
        }),
        logprobs: Some(1),
        max_tokens: Some(1000),
        ..Request::default()
    };
    let losses = [
        "reasoning.max_tokens",
        "top_k",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "seed",
        "logit_bias",
        "logprobs",
    ];
    assert_eq!(Responses.losses(&request).unwrap(), losses);
    assert_eq!(written(&request)["reasoning"], json!({"effort": "medium"}));
}

#[test]
fn a_request_is_read_into_the_hubs_words() {
    let request = read(&everything());
    let roles: Vec<Role> = request
        .messages
        .iter()
        .map(|message| message.role)
        .collect();
    let assistant = Role::Assistant;
    assert_eq!(
        roles,
        [
            Role::System,
            Role::System,
            Role::User,
            assistant,
            assistant,
            assistant,
            Role::User
        ]
    );
    let Part::Thought(encrypted) = &request.messages[3].parts[1] else {
        panic!("no thought");
    };
    assert_eq!(encrypted.kind, ThoughtKind::Encrypted);
    assert_eq!(encrypted.format.as_deref(), Some("openai-responses-v1"));
    assert_eq!(encrypted.id.as_deref(), Some("rs_1"));
    assert_eq!(
        request.tool_choice,
        Some(ToolChoice::Named("look".to_owned()))
    );
    assert_eq!(
        (request.logprobs, request.max_tokens),
        (Some(2), Some(1000))
    );
    let reasoning = request.reasoning.unwrap();
    assert_eq!(
        (reasoning.effort, reasoning.summary.as_deref()),
        (Some(Effort::High), Some("auto"))
    );
    assert!(
        matches!(request.format, Format::Schema(schema) if schema.schema.get() == r#"{"type":"object"}"#)
    );
    let short = read(&json!({"model": "m", "input": "hi"}));
    assert_eq!(short.messages[0].parts, [Part::text("hi")]);
    assert_eq!(short.messages[0].role, Role::User);
}

#[test]
fn what_leans_on_an_earlier_answer_is_refused() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!({"id": "conv_1"})),
        ("background", json!(true)),
        ("prompt", json!({"id": "pmpt_1"})),
    ] {
        let mut body = json!({"model": "m", "input": "hi"});
        body[field] = value;
        let error = refused(&body);
        assert_eq!(error.param, Some(field));
        assert!(
            error.message.contains("keeps no responses"),
            "{}",
            error.message
        );
        body[field] = Value::Null;
        assert_eq!(read(&body).unknown, Vec::<String>::new());
    }
    let reference = json!({"input": [{"type": "item_reference", "id": "msg_1"}]});
    assert!(
        refused(&reference)
            .message
            .starts_with("input[0]: 'item_reference'")
    );
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let said = |item: Value| refused(&json!({"input": [item]})).message;
    assert_eq!(
        said(
            json!({"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_video"}]})
        ),
        "input[0]: content[1] is of the type 'input_video', which cannot be translated"
    );
    assert_eq!(
        said(json!({"role": "tool", "content": "a"})),
        "input[0]: 'tool' is no role that is supported"
    );
    assert_eq!(
        said(json!({"type": "function_call", "name": "f"})),
        "input[0]: it lacks 'call_id'"
    );
    assert_eq!(
        said(json!({"type": "local_shell_call", "name": "f"})),
        "input[0]: it is of the type 'local_shell_call', which cannot be translated"
    );
    assert_eq!(refused(&json!({"model": "m"})).param, Some("input"));
    assert_eq!(
        refused(&json!({"input": "a", "tool_choice": "some"})).param,
        Some("tool_choice")
    );
    assert_eq!(
        refused(&json!({"input": "a", "text": {"format": {"type": "grammar"}}})).param,
        Some("text")
    );
    assert_eq!(
        refused(&json!({"input": "a", "reasoning": {"effort": "lots"}})).param,
        Some("reasoning")
    );
    assert_eq!(
        refused(&json!({"input": "a", "instructions": [{}]})).param,
        Some("instructions")
    );
    assert_eq!(refused(&json!({"input": 7})).code, Some("invalid_json"));
    for body in ["", "[]", "7"] {
        assert!(
            Responses
                .read_request(&Bytes::from_static(body.as_bytes()))
                .is_err(),
            "{body}"
        );
    }
}

#[test]
fn a_choice_among_some_tools_is_named_and_its_mode_kept() {
    let body = json!({"input": "a", "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": []}});
    let request = read(&body);
    assert_eq!(request.tool_choice, Some(ToolChoice::Required));
    assert_eq!(request.unknown, ["tool_choice.allowed_tools"]);
}

#[test]
fn a_custom_tool_is_a_function_of_one_text_and_so_are_its_calls() {
    let format = json!({"type": "grammar", "syntax": "lark", "definition": "start: x"});
    let request = read(&json!({
        "tools": [
            {"type": "custom", "name": "patch", "description": "Edits.", "format": format},
            {"type": "namespace", "name": "agents", "tools": []},
        ],
        "tool_choice": {"type": "custom", "name": "patch"},
        "input": [
            {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c1", "name": "patch", "input": "+\"a\"\n", "status": "completed"},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
            {"type": "tool_search_call", "execution": "client", "arguments": {}},
        ],
    }));
    assert_eq!(
        request.unknown,
        ["input.tool_search_call", "tools.namespace"]
    );
    assert_eq!(
        request.tool_choice,
        Some(ToolChoice::Named("patch".to_owned()))
    );
    assert_eq!(request.tools.len(), 1);
    let schema: Value =
        serde_json::from_str(request.tools[0].parameters.as_ref().unwrap().get()).unwrap();
    assert_eq!(schema["required"], json!(["input"]));
    let [Part::ToolCall(call)] = &request.messages[0].parts[..] else {
        panic!("no call: {request:?}");
    };
    assert_eq!(call.arguments, r#"{"input":"+\"a\"\n"}"#);
    let [Part::ToolResult(result)] = &request.messages[1].parts[..] else {
        panic!("no result: {request:?}");
    };
    assert_eq!(
        (request.messages[1].role, result.id.as_str()),
        (Role::User, "c1")
    );
}

fn said(role: Role, parts: Vec<Part>) -> Request {
    Request {
        messages: vec![Message { role, parts }],
        ..Request::default()
    }
}

#[test]
fn what_the_format_cannot_carry_is_unsupported() {
    let losses = |request: &Request| Responses.losses(request).unwrap_err().0;
    let sound = Part::Audio {
        data: "AAAA".to_owned(),
        format: "wav".to_owned(),
    };
    assert_eq!(losses(&said(Role::User, vec![sound])), "input_audio");
    let image = Part::Image(crate::wire::hub::Image {
        source: Source::of_url("https://example.test/a.png"),
        detail: None,
        cache: None,
    });
    assert_eq!(
        losses(&said(Role::Assistant, vec![image.clone()])),
        "image_url"
    );
    assert_eq!(
        Responses.losses(&said(Role::User, vec![image])).unwrap(),
        Vec::<&str>::new()
    );
    assert_eq!(
        losses(&Request {
            choices: 2,
            ..Request::default()
        }),
        "n"
    );
    assert_eq!(
        losses(&Request {
            stop: vec!["x".to_owned()],
            ..Request::default()
        }),
        "stop"
    );
}

#[test]
fn only_thoughts_of_this_dialect_go_back() {
    let thought = |kind, format: &str, id: &str| {
        Part::Thought(Thought {
            kind,
            text: "x".to_owned(),
            signature: None,
            id: Some(id.to_owned()),
            format: Some(format.to_owned()),
        })
    };
    let (own, other) = ("openai-responses-v1", "anthropic-claude-v1");
    let request = said(
        Role::Assistant,
        vec![
            thought(ThoughtKind::Summary, own, "a"),
            thought(ThoughtKind::Encrypted, own, "a"),
            thought(ThoughtKind::Encrypted, other, "b"),
            thought(ThoughtKind::Summary, own, "c"),
            thought(ThoughtKind::Text, other, "d"),
        ],
    );
    assert_eq!(Responses.losses(&request).unwrap(), ["reasoning_details"]);
    let body = written(&request);
    let expected = json!([{"type": "reasoning", "id": "a", "summary": [{"type": "summary_text", "text": "x"}], "encrypted_content": "x"}]);
    assert_eq!(body["input"], expected);
    assert_eq!(body["include"], json!(["reasoning.encrypted_content"]));
    let plain = written(&said(Role::User, vec![Part::text("a")]));
    assert!(plain.get("include").is_none() && plain.get("reasoning").is_none());
}

#[test]
fn results_stand_before_what_is_said_with_them_and_a_tool_is_not_strict_unasked() {
    let result = Part::ToolResult(ToolResult {
        id: "c1".to_owned(),
        parts: vec![Part::text("a"), Part::text("b")],
        failed: true,
        ..ToolResult::default()
    });
    let request = Request {
        tools: vec![Tool {
            name: "f".to_owned(),
            description: None,
            parameters: None,
            strict: None,
            cache: None,
        }],
        ..said(Role::User, vec![Part::text("so?"), result])
    };
    let body = written(&request);
    let output = json!([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]);
    assert_eq!(
        body["input"],
        json!([{"type": "function_call_output", "call_id": "c1", "output": output}, {"role": "user", "content": "so?"}])
    );
    assert_eq!(
        body["tools"],
        json!([{"type": "function", "name": "f", "parameters": null, "strict": false}])
    );
    assert_eq!(Responses.losses(&request).unwrap(), ["messages.is_error"]);
    let signed = ToolCall {
        signature: Some("s".to_owned()),
        ..ToolCall::default()
    };
    let request = said(Role::Assistant, vec![Part::ToolCall(signed)]);
    assert_eq!(Responses.losses(&request).unwrap(), ["reasoning_details"]);
}
