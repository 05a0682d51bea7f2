use serde_json::{Value, json};

use super::*;
use crate::wire::anthropic::origin::FORMAT;
use crate::wire::anthropic::shape::ANSWER_TOOL;
use crate::wire::hub::{
    Cache, Document, Effort, Image, Message, Part, Reasoning, Role, Sampling as Drawing, Source,
    Thought, ThoughtKind, ToolCall, ToolResult,
};

const FOUR_FIVE: &str = "claude-sonnet-4-5";
const NEWEST: &str = "claude-opus-4-8";
const OTHER: &str = "some-model";

fn body(request: &Request, model: &str) -> Value {
    serde_json::from_slice(&write(request, model)).unwrap()
}

fn lost(request: &Request, model: &str) -> Vec<&'static str> {
    losses(request, Generation::of(model)).unwrap()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn said(role: Role, text: &str) -> Message {
    message(role, vec![Part::text(text)])
}

fn asked() -> Request {
    Request {
        messages: vec![said(Role::User, "hi")],
        ..Request::default()
    }
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
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

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "look".to_owned(),
        arguments: arguments.to_owned(),
        ..ToolCall::default()
    })
}

fn result(id: &str, text: &str) -> Part {
    Part::ToolResult(ToolResult {
        id: id.to_owned(),
        parts: vec![Part::text(text)],
        ..ToolResult::default()
    })
}

fn thought(kind: ThoughtKind, text: &str, signature: Option<&str>, format: &str) -> Part {
    Part::Thought(Thought {
        kind,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
        id: None,
        format: Some(format.to_owned()),
    })
}

fn schema(json: &str) -> Format {
    Format::Schema(Schema {
        name: "s".to_owned(),
        description: None,
        schema: raw(json),
        strict: Some(true),
    })
}

#[test]
fn the_least_request_has_the_limit_that_the_dialect_demands() {
    let expected = json!({
        "model": OTHER, "max_tokens": 8192,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    });
    assert_eq!(body(&asked(), OTHER), expected);
    assert_eq!(body(&asked(), NEWEST)["max_tokens"], 64_000);
    let request = Request {
        max_tokens: Some(5),
        ..asked()
    };
    assert_eq!(body(&request, NEWEST)["max_tokens"], 5);
    assert_eq!(lost(&request, NEWEST), [""; 0]);
}

#[test]
fn turns_have_the_systems_words_apart_and_results_first() {
    let image = Part::Image(Image {
        source: Source::Base64 {
            media_type: "image/png".to_owned(),
            data: "AAAA".to_owned(),
        },
        detail: None,
        cache: None,
    });
    let document = Part::Document(Document {
        source: Source::Url("https://example.test/a.pdf".to_owned()),
        name: Some("a".to_owned()),
        cache: Some(Cache {
            ttl: Some("1h".to_owned()),
        }),
    });
    let request = Request {
        messages: vec![
            said(Role::System, "s"),
            message(Role::User, vec![image, document, Part::text("  ")]),
            message(
                Role::Assistant,
                vec![
                    thought(ThoughtKind::Text, "own", Some("sig"), FORMAT),
                    thought(ThoughtKind::Text, "other", Some("sig"), "google-gemini-v1"),
                    thought(ThoughtKind::Text, "unsigned", None, FORMAT),
                    thought(ThoughtKind::Encrypted, "ZW5j", None, FORMAT),
                    call("call.1", r#"{"q": 1.0}"#),
                    call("b", "oops"),
                ],
            ),
            message(Role::User, vec![Part::text("and"), result("call.1", "x")]),
            message(Role::User, vec![result("b", "")]),
            said(Role::System, "t"),
        ],
        tools: vec![tool("look")],
        ..Request::default()
    };
    let body = body(&request, OTHER);
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "s"}, {"type": "text", "text": "t"}])
    );
    let expected = json!([
        {"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {"type": "document", "source": {"type": "url", "url": "https://example.test/a.pdf"}, "title": "a",
             "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ]},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "own", "signature": "sig"},
            {"type": "redacted_thinking", "data": "ZW5j"},
            {"type": "tool_use", "id": "call_call_2e1", "name": "look", "input": {"q": 1.0}},
            {"type": "tool_use", "id": "b", "name": "look", "input": {"unreadable_arguments": "oops"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "call_call_2e1", "content": [{"type": "text", "text": "x"}]},
            {"type": "tool_result", "tool_use_id": "b"},
            {"type": "text", "text": "and"},
        ]},
    ]);
    assert_eq!(body["messages"], expected);
    assert_eq!(
        body["tools"],
        json!([{"name": "look", "input_schema": {"type": "object", "properties": {}}}])
    );
    assert_eq!(lost(&request, OTHER), ["reasoning_details"]);
}

#[test]
fn words_of_the_system_alone_are_the_users() {
    let request = Request {
        messages: vec![said(Role::System, "s")],
        ..Request::default()
    };
    let body = body(&request, OTHER);
    assert_eq!(body["messages"][0]["role"], "user");
    assert_eq!(body.get("system"), None);
}

#[test]
fn an_answer_begun_for_the_model_ends_in_no_white_space() {
    let request = Request {
        messages: vec![said(Role::User, "a "), said(Role::Assistant, "b \n")],
        ..Request::default()
    };
    let body = body(&request, OTHER);
    let text = |turn: usize| body["messages"][turn]["content"][0]["text"].clone();
    assert_eq!((text(0), text(1)), (json!("a "), json!("b")));
}

#[test]
fn choices_of_tools_are_said_in_the_dialects_words() {
    let chosen = |choice: Option<ToolChoice>, parallel| {
        let request = Request {
            tools: vec![tool("look")],
            tool_choice: choice,
            parallel_tools: parallel,
            ..asked()
        };
        body(&request, OTHER)["tool_choice"].clone()
    };
    assert_eq!(chosen(None, None), Value::Null);
    assert_eq!(
        chosen(None, Some(false)),
        json!({"type": "auto", "disable_parallel_tool_use": true})
    );
    assert_eq!(
        chosen(Some(ToolChoice::Auto), Some(true)),
        json!({"type": "auto"})
    );
    assert_eq!(
        chosen(Some(ToolChoice::None), Some(false)),
        json!({"type": "none"})
    );
    assert_eq!(
        chosen(Some(ToolChoice::Required), None),
        json!({"type": "any"})
    );
    assert_eq!(
        chosen(Some(ToolChoice::Named("look".to_owned())), Some(false)),
        json!({"type": "tool", "name": "look", "disable_parallel_tool_use": true})
    );
}

#[test]
fn tools_of_the_past_are_declared_and_not_offered() {
    let request = Request {
        messages: vec![
            said(Role::User, "hi"),
            message(Role::Assistant, vec![call("a", "{}"), call("b", "")]),
            message(Role::User, vec![result("a", "x"), result("b", "y")]),
        ],
        ..Request::default()
    };
    let body = body(&request, NEWEST);
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tools"][0]["name"], "look");
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

fn reasoning(effort: Option<Effort>, max_tokens: Option<u64>) -> Reasoning {
    Reasoning {
        effort,
        max_tokens,
        ..Reasoning::default()
    }
}

#[test]
fn budgets_stay_between_the_least_and_the_limit() {
    let budget = |effort, asked_for, max_tokens| {
        let request = Request {
            reasoning: Some(reasoning(effort, asked_for)),
            max_tokens,
            ..asked()
        };
        let body = body(&request, FOUR_FIVE);
        let dropped = lost(&request, FOUR_FIVE).contains(&"reasoning");
        assert_eq!(body.get("thinking").is_none(), dropped);
        (
            body["thinking"]["budget_tokens"].as_u64(),
            body["max_tokens"].as_u64().unwrap(),
        )
    };
    assert_eq!(
        budget(Some(Effort::High), None, Some(10_000)),
        (Some(8_000), 10_000)
    );
    assert_eq!(
        budget(Some(Effort::Low), None, Some(2_000)),
        (Some(1_024), 2_000)
    );
    assert_eq!(
        budget(Some(Effort::Low), None, Some(1_025)),
        (Some(1_024), 1_025)
    );
    assert_eq!(budget(Some(Effort::Low), None, Some(1_024)), (None, 1_024));
    assert_eq!(
        budget(None, Some(3_000), Some(10_000)),
        (Some(3_000), 10_000)
    );
    assert_eq!(
        budget(None, Some(30_000), Some(10_000)),
        (Some(9_999), 10_000)
    );
    assert_eq!(budget(None, Some(70_000), None), (Some(70_000), 134_000));
}

#[test]
fn newer_models_are_told_how_hard_to_try() {
    let told = |effort, asked_for, model| {
        let request = Request {
            reasoning: Some(reasoning(effort, asked_for)),
            max_tokens: Some(10_000),
            ..asked()
        };
        let body = body(&request, model);
        (
            body["thinking"].clone(),
            body["output_config"]["effort"].clone(),
        )
    };
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let disabled = json!({"type": "disabled"});
    let told_newest = |effort, asked_for| told(effort, asked_for, NEWEST);
    assert_eq!(
        told_newest(Some(Effort::Minimal), None),
        (adaptive.clone(), json!("low"))
    );
    assert_eq!(
        told_newest(Some(Effort::XHigh), None),
        (adaptive.clone(), json!("xhigh"))
    );
    assert_eq!(
        told_newest(None, Some(5_000)),
        (adaptive.clone(), json!("medium"))
    );
    assert_eq!(told_newest(None, None), (Value::Null, Value::Null));
    assert_eq!(
        told_newest(Some(Effort::None), None),
        (disabled, Value::Null)
    );
    let older = told(Some(Effort::XHigh), None, "claude-opus-4-6");
    assert_eq!(older, (adaptive, json!("max")));
    let restless = told(Some(Effort::None), None, "claude-fable-5");
    assert_eq!(restless, (Value::Null, json!("low")));
}

#[test]
fn a_tool_that_must_be_called_leaves_no_thinking_but_on_the_newest() {
    let request = Request {
        tools: vec![tool("look")],
        tool_choice: Some(ToolChoice::Required),
        reasoning: Some(reasoning(Some(Effort::High), None)),
        ..asked()
    };
    for (model, thinks) in [
        (OTHER, false),
        (FOUR_FIVE, false),
        ("claude-opus-4-7", false),
        (NEWEST, true),
    ] {
        let body = body(&request, model);
        assert_eq!(body.get("thinking").is_some(), thinks, "{model}");
        assert_eq!(
            lost(&request, model).contains(&"reasoning"),
            !thinks,
            "{model}"
        );
    }
}

#[test]
fn a_turn_that_another_began_goes_on_without_a_budget() {
    let in_use = |first: Part| Request {
        messages: vec![
            said(Role::User, "hi"),
            message(Role::Assistant, vec![first, call("a", "{}")]),
            message(Role::User, vec![result("a", "x")]),
        ],
        tools: vec![tool("look")],
        reasoning: Some(reasoning(Some(Effort::High), None)),
        ..Request::default()
    };
    let own = in_use(thought(ThoughtKind::Text, "so", Some("sig"), FORMAT));
    let other = in_use(thought(
        ThoughtKind::Text,
        "so",
        Some("sig"),
        "google-gemini-v1",
    ));
    let thinks = |request: &Request, model| body(request, model).get("thinking").is_some();
    assert!(thinks(&own, FOUR_FIVE) && !thinks(&other, FOUR_FIVE));
    assert!(lost(&other, FOUR_FIVE).contains(&"reasoning"));
    assert!(thinks(&other, NEWEST), "what adapts takes any turn");
}

#[test]
fn sampling_is_sent_as_far_as_a_model_takes_it() {
    let sent = |sampling: Drawing, model, thinks: bool| {
        let request = Request {
            sampling,
            reasoning: thinks.then(|| reasoning(Some(Effort::Low), None)),
            ..asked()
        };
        let body = body(&request, model);
        let field = |name: &str| body.get(name).cloned().unwrap_or_default();
        let sent = [field("temperature"), field("top_p"), field("top_k")];
        (sent, lost(&request, model))
    };
    let all = || Drawing {
        temperature: Some(1.5),
        top_p: Some(0.9),
        top_k: Some(40),
        ..Drawing::default()
    };
    let none = || [Value::Null, Value::Null, Value::Null];
    let found = sent(all(), OTHER, false);
    assert_eq!(
        found,
        ([json!(1.0), json!(0.9), json!(40)], vec!["temperature"])
    );
    let found = sent(all(), FOUR_FIVE, false);
    let expected = [json!(1.0), Value::Null, json!(40)];
    assert_eq!(found, (expected, vec!["temperature", "top_p"]));
    let lost = vec!["temperature", "top_p", "top_k"];
    assert_eq!(sent(all(), NEWEST, false), (none(), lost.clone()));
    assert_eq!(sent(all(), FOUR_FIVE, true), (none(), lost));
    let defaults = Drawing {
        temperature: Some(1.0),
        top_p: Some(1.0),
        ..Drawing::default()
    };
    assert_eq!(sent(defaults, NEWEST, true), (none(), vec![]));
    let narrow = Drawing {
        top_p: Some(0.96),
        ..Drawing::default()
    };
    let found = sent(narrow, FOUR_FIVE, true);
    assert_eq!(found, ([Value::Null, json!(0.96), Value::Null], vec![]));
}

const CLOSED: &str = r#"{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}"#;

#[test]
fn a_schema_is_native_where_a_model_has_them() {
    let request = Request {
        format: schema(CLOSED),
        ..asked()
    };
    let found = body(&request, NEWEST);
    let expected: Value = serde_json::from_str(CLOSED).unwrap();
    assert_eq!(
        found["output_config"]["format"],
        json!({"type": "json_schema", "schema": expected})
    );
    assert_eq!((found.get("tools"), found.get("tool_choice")), (None, None));
}

#[test]
fn elsewhere_a_schema_is_a_tool_that_must_be_called() {
    let of = |format: Format, tools: Vec<Tool>, tool_choice, model| {
        let request = Request {
            tools,
            tool_choice,
            format,
            ..asked()
        };
        let body = body(&request, model);
        assert_eq!(body.get("output_config"), None);
        let names = body["tools"].as_array().cloned().unwrap_or_default();
        let names: Vec<_> = names
            .iter()
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect();
        (names, body["tool_choice"].clone())
    };
    let forced = json!({"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": true});
    let any = json!({"type": "any", "disable_parallel_tool_use": true});
    let answer = vec![ANSWER_TOOL.to_owned()];
    assert_eq!(
        of(schema(CLOSED), vec![], None, OTHER),
        (answer.clone(), forced.clone())
    );
    assert_eq!(
        of(Format::Json, vec![], None, NEWEST),
        (answer.clone(), forced.clone())
    );
    let open = r#"{"type":"object","properties":{},"additionalProperties":{"type":"string"}}"#;
    assert_eq!(
        of(schema(open), vec![], None, NEWEST),
        (answer, forced.clone())
    );
    let both = vec!["look".to_owned(), ANSWER_TOOL.to_owned()];
    assert_eq!(
        of(schema(CLOSED), vec![tool("look")], None, OTHER),
        (both.clone(), any)
    );
    let none = Some(ToolChoice::None);
    assert_eq!(
        of(schema(CLOSED), vec![tool("look")], none, OTHER),
        (both, forced)
    );
    let required = Some(ToolChoice::Required);
    assert_eq!(
        of(schema(CLOSED), vec![tool("look")], required, OTHER),
        (vec!["look".to_owned()], json!({"type": "any"}))
    );
}

#[test]
fn a_schema_that_is_not_enforced_is_a_loss() {
    let lost = |json: &str, model| {
        let request = Request {
            format: schema(json),
            ..asked()
        };
        lost(&request, model).contains(&"response_format.strict")
    };
    let limited = CLOSED.replace(r#""string""#, r#""string","maxLength":3"#);
    assert!(!lost(CLOSED, NEWEST) && lost(CLOSED, OTHER) && lost(&limited, NEWEST));
}

#[test]
fn what_cannot_be_said_is_refused() {
    let refused = |parts: Vec<Part>| {
        let request = Request {
            messages: vec![message(Role::User, parts)],
            ..Request::default()
        };
        losses(&request, Generation::UNKNOWN).unwrap_err().0
    };
    let audio = || Part::Audio {
        data: "AA".to_owned(),
        format: "wav".to_owned(),
    };
    let document = |source| {
        Part::Document(Document {
            source,
            name: None,
            cache: None,
        })
    };
    assert_eq!(refused(vec![audio()]), "input_audio");
    assert_eq!(
        refused(vec![document(Source::File("file-abc".to_owned()))]),
        "file"
    );
    let word = Source::Base64 {
        media_type: "application/msword".to_owned(),
        data: "AA".to_owned(),
    };
    assert_eq!(refused(vec![document(word)]), "file");
    let nested = Part::ToolResult(ToolResult {
        parts: vec![audio()],
        ..ToolResult::default()
    });
    assert_eq!(refused(vec![nested]), "input_audio");
    let either = Request {
        tools: vec![Tool {
            parameters: Some(raw(r#"{"type":"object","anyOf":[]}"#)),
            ..tool("look")
        }],
        ..asked()
    };
    assert_eq!(
        losses(&either, Generation::of(NEWEST)),
        Err(Unsupported("tools"))
    );
    assert!(losses(&either, Generation::UNKNOWN).is_ok());
    let several = Request {
        choices: 2,
        ..asked()
    };
    assert_eq!(losses(&several, Generation::UNKNOWN), Err(Unsupported("n")));
    let drawn = Request {
        messages: vec![message(
            Role::Assistant,
            vec![Part::Image(Image {
                source: Source::Url("https://example.test/a.png".to_owned()),
                detail: None,
                cache: None,
            })],
        )],
        ..Request::default()
    };
    assert_eq!(
        losses(&drawn, Generation::UNKNOWN),
        Err(Unsupported("image_url"))
    );
}

/// Each field of a request, set, with where it must be found: in the body, or by its name among the losses.
#[test]
fn every_field_is_in_the_body_or_named() {
    let mut request = Request {
        messages: vec![
            said(Role::System, "s"),
            message(
                Role::User,
                vec![
                    Part::text("hi"),
                    Part::Image(Image {
                        source: Source::Url("https://example.test/a.png".to_owned()),
                        detail: Some("high".to_owned()),
                        cache: None,
                    }),
                ],
            ),
        ],
        tools: vec![Tool {
            description: Some("d".to_owned()),
            parameters: Some(raw(CLOSED)),
            strict: Some(true),
            cache: Some(Cache::default()),
            ..tool("look")
        }],
        tool_choice: Some(ToolChoice::Auto),
        parallel_tools: Some(false),
        format: schema(CLOSED),
        sampling: Drawing {
            temperature: Some(0.5),
            top_p: Some(0.9),
            top_k: Some(40),
            min_p: Some(0.1),
            frequency_penalty: Some(0.1),
            presence_penalty: Some(0.1),
            repetition_penalty: Some(1.1),
            seed: Some(7),
            logit_bias: Some(serde_json::Map::new()),
        },
        stop: vec!["END".to_owned(), " ".to_owned()],
        max_tokens: Some(5_000),
        reasoning: Some(Reasoning {
            effort: Some(Effort::Low),
            summary: Some("auto".to_owned()),
            ..Reasoning::default()
        }),
        stream: true,
        choices: 1,
        user: Some("u".to_owned()),
        metadata: Some(serde_json::Map::new()),
        service_tier: Some("flex".to_owned()),
        prompt_cache_key: Some("k".to_owned()),
        verbosity: Some("low".to_owned()),
        logprobs: Some(2),
        unknown: vec!["their_field".to_owned()],
    };
    let sent = body(&request, NEWEST);
    let fields: Vec<_> = sent.as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        fields,
        [
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "output_config",
            "stop_sequences",
            "stream",
            "system",
            "thinking",
            "tool_choice",
            "tools"
        ]
    );
    assert_eq!(sent["metadata"]["user_id"], "u");
    assert_eq!(sent["stop_sequences"], json!(["END"]));
    assert_eq!(sent["tools"][0]["strict"], true);
    assert_eq!(
        lost(&request, NEWEST),
        [
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "seed",
            "logit_bias",
            "stop",
            "reasoning.summary",
            "metadata",
            "service_tier",
            "prompt_cache_key",
            "verbosity",
            "logprobs",
            "image_url.detail",
        ]
    );
    request.user = Some("ż".repeat(257));
    assert!(lost(&request, NEWEST).contains(&"user"));
    assert_eq!(body(&request, NEWEST).get("metadata"), None);
    request.reasoning = None;
    request.service_tier = Some("default".to_owned());
    let sent = body(&request, NEWEST);
    assert_eq!(
        sent["output_config"]["effort"], "low",
        "verbosity is effort"
    );
    assert_eq!(sent["service_tier"], "standard_only");
    let sent = body(&request, OTHER);
    let field = |name: &str| sent.get(name).cloned().unwrap_or_default();
    let drawn = [field("temperature"), field("top_p"), field("top_k")];
    assert_eq!(drawn, [json!(0.5), json!(0.9), json!(40)]);
    assert!(lost(&request, OTHER).contains(&"tools.strict"));
}
