//! Requests written and answers read, by hand-made examples, and by broken ones.

use serde_json::{Value, json};

use super::Bedrock;
use crate::core::exchange::Usage;
use crate::core::outcome::Hint;
use crate::wire::dialect::{Framing, Target, Unsupported, Upstream, Whole};
use crate::wire::hub::sample::{
    asks, call, check_kept, everything, picture, png, raw, result, said, schema,
};
use crate::wire::hub::{
    Cache, Document, Finish, Format, Part, Reasoning, Request, Role, Source, Thought, ThoughtKind,
    Tool, ToolChoice,
};
use crate::wire::property::check_spoilt;

const CLAUDE: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

fn body(request: &Request, model: &str) -> Value {
    serde_json::from_slice(&Bedrock.write_request(request, model)).expect("JSON")
}

fn tool(name: &str) -> Tool {
    Tool {
        name: name.to_owned(),
        description: Some(String::new()),
        parameters: None,
        strict: None,
        cache: None,
    }
}

#[test]
fn a_path_has_the_model_as_one_segment() {
    let path = |model, stream| Bedrock.path(&Target { model, stream });
    assert_eq!(
        path(CLAUDE, false),
        "/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    );
    assert_eq!(
        path(
            "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x-v1:0",
            true
        ),
        "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x-v1%3A0/converse-stream"
    );
    assert_eq!(Bedrock.framing(), Framing::EventStream);
}

#[test]
fn every_field_is_in_the_body_or_named() {
    let request = everything();
    let mut expected = vec![
        "annotations",
        "detail",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "metadata",
        "min_p",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning.summary",
        "reasoning_details",
        "repetition_penalty",
        "seed",
        "strict",
        "temperature",
        "top_k",
        "top_p",
        "user",
        "verbosity",
    ];
    assert_eq!(Bedrock.losses(&request).unwrap(), expected);
    let text = body(&request, CLAUDE).to_string();
    check_kept(
        &text,
        &[
            "JVBERi0x",
            "a report pdf",
            "priority",
            "auto",
            "cachePoint",
            "error",
        ],
        &[
            "foreign", "50256", "someone", "0.375", "1.5", "4711", "0.125", "0.25", "41",
        ],
    );
    // Without thinking, sampling is said.
    let request = Request {
        reasoning: None,
        ..everything()
    };
    let sampling = ["temperature", "top_p", "top_k", "reasoning.summary"];
    expected.retain(|field| !sampling.contains(field));
    assert_eq!(Bedrock.losses(&request).unwrap(), expected);
    let written = body(&request, CLAUDE);
    assert_eq!(written["inferenceConfig"]["temperature"], 0.125);
    assert_eq!(written["inferenceConfig"]["topP"], 0.25);
    assert_eq!(
        written["additionalModelRequestFields"],
        json!({"top_k": 41})
    );
}

#[test]
fn what_would_make_another_answer_is_unsupported() {
    let refused = |request: &Request| Bedrock.losses(request).unwrap_err();
    let with = |role, part| {
        let mut request = asks("x");
        request.messages.push(said(role, vec![part]));
        request
    };
    let url = picture(Source::Url("https://example.test/a.png".to_owned()));
    assert_eq!(
        refused(&with(Role::User, url.clone())),
        Unsupported("image_url")
    );
    assert_eq!(
        refused(&with(Role::User, result("c", vec![url]))),
        Unsupported("image_url")
    );
    assert_eq!(
        refused(&with(Role::Assistant, picture(png()))),
        Unsupported("image_url")
    );
    let svg = picture(Source::of_url("data:image/svg+xml;base64,AAAA"));
    assert_eq!(refused(&with(Role::User, svg)), Unsupported("image_url"));
    let file = Part::Document(Document {
        source: Source::File("file-1".to_owned()),
        name: Some("a.pdf".to_owned()),
        cache: None,
    });
    assert_eq!(refused(&with(Role::User, file)), Unsupported("file"));
    let mut request = asks("x");
    request.choices = 2;
    assert_eq!(refused(&request), Unsupported("n"));
    let mut request = asks("x");
    request.format = Format::Json;
    request.tools = vec![tool("f")];
    assert_eq!(refused(&request), Unsupported("response_format"));
    let mut request = with(Role::Assistant, call("c", "f", "{}"));
    request.tool_choice = Some(ToolChoice::None);
    assert_eq!(refused(&request), Unsupported("tool_choice"));
    let mut request = asks("x");
    request
        .messages
        .insert(0, said(Role::Assistant, vec![Part::text("hello")]));
    assert_eq!(refused(&request), Unsupported("messages"));
}

#[test]
fn a_conversation_with_tools_is_written_as_converse_has_it() {
    let mut request = asks("add");
    request.messages.extend([
        said(Role::System, vec![Part::text("be brief")]),
        said(
            Role::Assistant,
            vec![
                Part::text(" "),
                call("a/1", "add", r#"{"n":1}"#),
                call("b", "add", "{broken"),
            ],
        ),
        said(Role::User, vec![Part::text("go on")]),
        said(
            Role::User,
            vec![
                result("a/1", vec![Part::text("2"), picture(png())]),
                result("b", vec![]),
            ],
        ),
    ]);
    request.tools = vec![Tool {
        parameters: Some(raw(r#"{"type":"object","x":1}"#)),
        cache: Some(Cache {
            ttl: Some("1h".to_owned()),
        }),
        ..tool("add")
    }];
    request.tool_choice = Some(ToolChoice::Required);
    request.max_tokens = Some(9);
    let expected = json!({
        "system": [{"text": "be brief"}],
        "messages": [
            {"role": "user", "content": [{"text": "add"}]},
            {"role": "assistant", "content": [
                {"toolUse": {"toolUseId": "a_1", "name": "add", "input": {"n": 1}}},
                {"toolUse": {"toolUseId": "b", "name": "add", "input": {"arguments": "{broken"}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "a_1", "content": [
                    {"text": "2"},
                    {"image": {"format": "png", "source": {"bytes": "iVBORw0K"}}},
                ]}},
                {"toolResult": {"toolUseId": "b", "content": []}},
                {"text": "go on"},
            ]},
        ],
        "inferenceConfig": {"maxTokens": 9},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "add", "inputSchema": {"json": {"type": "object", "x": 1}}}},
                {"cachePoint": {"type": "default", "ttl": "1h"}},
            ],
            "toolChoice": {"any": {}},
        },
    });
    assert_eq!(body(&request, CLAUDE), expected);
    let other = body(&request, "meta.llama3");
    assert_eq!(other["toolConfig"]["tools"].as_array().unwrap().len(), 1);
}

#[test]
fn tools_that_were_called_stay_declared() {
    let mut request = asks("x");
    request.messages.extend([
        said(
            Role::Assistant,
            vec![call("c", "f", "{}"), call("d", "f", "{}")],
        ),
        said(Role::User, vec![result("c", vec![])]),
    ]);
    let spec = json!({"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}});
    assert_eq!(
        body(&request, CLAUDE)["toolConfig"],
        json!({"tools": [spec]})
    );
    let mut request = asks("x");
    request.tools = vec![tool("f")];
    request.tool_choice = Some(ToolChoice::None);
    assert_eq!(Bedrock.losses(&request).unwrap(), [""; 0]);
    assert!(body(&request, CLAUDE).get("toolConfig").is_none());
    request.tool_choice = Some(ToolChoice::Named("f".to_owned()));
    let choice = &body(&request, CLAUDE)["toolConfig"]["toolChoice"];
    assert_eq!(choice, &json!({"tool": {"name": "f"}}));
}

#[test]
fn a_form_of_the_answer_is_native_or_a_forced_tool() {
    let mut request = asks("x");
    request.format = schema();
    let format = &body(&request, CLAUDE)["outputConfig"]["textFormat"];
    assert_eq!(format["type"], "json_schema");
    let definition = &format["structure"]["jsonSchema"];
    assert_eq!(definition["name"], "keep_form");
    let text: Value = serde_json::from_str(definition["schema"].as_str().unwrap()).unwrap();
    assert_eq!(text["required"], json!(["keep-field"]));
    request.format = Format::Json;
    let config = &body(&request, CLAUDE)["toolConfig"];
    let name = "mainstay_answer_as_json";
    assert_eq!(config["toolChoice"], json!({"tool": {"name": name}}));
    assert_eq!(config["tools"][0]["toolSpec"]["name"], name);
    let answer = format!(
        r#"{{"output":{{"message":{{"role":"assistant","content":[
            {{"toolUse":{{"toolUseId":"t","name":"{name}","input":{{"a":1}}}}}}]}}}},"stopReason":"tool_use"}}"#
    );
    let Whole::Good(answer) = Bedrock.read_answer(answer.as_bytes()) else {
        panic!("an answer");
    };
    assert_eq!(answer.choices[0].parts, [Part::text(r#"{"a":1}"#)]);
    assert_eq!(answer.choices[0].finish, Some(Finish::STOP));
}

#[test]
fn thoughts_go_back_only_to_those_who_had_them() {
    let thought = |kind, text: &str, signature: Option<&str>, format: Option<&str>| {
        Part::Thought(Thought {
            kind,
            text: text.to_owned(),
            signature: signature.map(str::to_owned),
            id: None,
            format: format.map(str::to_owned),
        })
    };
    let own = Some("anthropic-claude-v1");
    let mut request = asks("x");
    request.messages.push(said(
        Role::Assistant,
        vec![
            thought(ThoughtKind::Text, "hm", Some("s"), own),
            thought(ThoughtKind::Encrypted, "sealed", None, own),
            Part::text("well"),
        ],
    ));
    assert_eq!(Bedrock.losses(&request).unwrap(), [""; 0]);
    let written =
        |request: &Request, model: &str| body(request, model)["messages"][1]["content"].clone();
    assert_eq!(
        written(&request, CLAUDE),
        json!([
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "c2VhbGVk"}},
            {"text": "well"},
        ])
    );
    assert_eq!(
        written(&request, "amazon.nova-pro-v1:0"),
        json!([{"text": "well"}])
    );
    for strange in [
        thought(ThoughtKind::Text, "unsigned", None, own),
        thought(
            ThoughtKind::Text,
            "theirs",
            Some("s"),
            Some("google-gemini-v1"),
        ),
        thought(ThoughtKind::Text, "nobody's", Some("s"), None),
    ] {
        request.messages[1].parts[0] = strange;
        assert_eq!(Bedrock.losses(&request).unwrap(), ["reasoning_details"]);
        assert_eq!(written(&request, CLAUDE).as_array().unwrap().len(), 2);
    }
}

#[test]
fn thinking_takes_the_place_of_sampling() {
    let mut request = asks("x");
    request.sampling.temperature = Some(0.5);
    request.reasoning = Some(Reasoning {
        max_tokens: Some(2000),
        hidden: true,
        ..Reasoning::default()
    });
    assert_eq!(
        Bedrock.losses(&request).unwrap(),
        ["reasoning.exclude", "temperature"]
    );
    let written = body(&request, CLAUDE);
    assert_eq!(written["inferenceConfig"], json!({}));
    assert_eq!(
        written["additionalModelRequestFields"],
        json!({"thinking": {"type": "enabled", "budget_tokens": 2000}})
    );
    request.tools = vec![tool("f")];
    request.tool_choice = Some(ToolChoice::Required);
    assert_eq!(Bedrock.losses(&request).unwrap(), ["reasoning"]);
    let written = body(&request, CLAUDE);
    assert_eq!(written["inferenceConfig"], json!({"temperature": 0.5}));
    assert!(written.get("additionalModelRequestFields").is_none());
}

#[test]
fn documents_have_plain_names_once_and_a_text_beside_them() {
    let document = |name: &str| {
        Part::Document(Document {
            source: Source::of_url("data:application/pdf;base64,AAAA"),
            name: Some(name.to_owned()),
            cache: Some(Cache::default()),
        })
    };
    let mut request = asks("");
    request.messages = vec![said(
        Role::User,
        vec![document("a_b.pdf"), document("a b.pdf")],
    )];
    let block = |name: &str| json!({"document": {"format": "pdf", "name": name, "source": {"bytes": "AAAA"}}});
    let point = json!({"cachePoint": {"type": "default"}});
    assert_eq!(
        body(&request, CLAUDE)["messages"][0]["content"],
        json!([block("a b pdf"), point, block("a b pdf 2"), point, {"text": "a b pdf"}])
    );
    let at = |source: Source| {
        Part::Document(Document {
            source,
            name: None,
            cache: None,
        })
    };
    request.messages[0].parts = vec![
        at(Source::Url("s3://bucket/a.DOCX".to_owned())),
        at(Source::Text("words".to_owned())),
        Part::Audio {
            data: "AA".to_owned(),
            format: "mp3".to_owned(),
        },
    ];
    assert_eq!(Bedrock.losses(&request).unwrap(), [""; 0]);
    assert_eq!(
        body(&request, CLAUDE)["messages"][0]["content"],
        json!([
            {"document": {"format": "docx", "name": "document", "source": {"s3Location": {"uri": "s3://bucket/a.DOCX"}}}},
            {"text": "words"},
            {"audio": {"format": "mp3", "source": {"bytes": "AA"}}},
        ])
    );
}

#[test]
fn a_tier_is_said_in_amazons_words() {
    let mut request = asks("x");
    request.service_tier = Some("standard".to_owned());
    assert_eq!(
        body(&request, CLAUDE)["serviceTier"],
        json!({"type": "default"})
    );
    request.service_tier = Some("scale".to_owned());
    assert_eq!(Bedrock.losses(&request).unwrap(), ["service_tier"]);
    assert!(body(&request, CLAUDE).get("serviceTier").is_none());
}

#[test]
fn a_system_alone_is_the_users_message() {
    let mut request = asks("");
    request.messages = vec![said(Role::System, vec![Part::text("s")])];
    let written = body(&request, CLAUDE);
    assert_eq!(
        written["messages"],
        json!([{"role": "user", "content": [{"text": "s"}]}])
    );
    assert!(written.get("system").is_none());
}

pub(super) const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[
    {"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}},
    {"reasoningContent":{"redactedContent":"c2VhbGVk"}},
    {"text":"I look."},
    {"citationsContent":{"content":[{"text":"It "},{"text":"is."}],"citations":[
        {"title":"T","location":{"web":{"url":"https://a.test"}}},{"source":"doc"}]}},
    {"toolUse":{"toolUseId":"t1","name":"look","input":{"at":"é"}}},
    {"toolUse":{"toolUseId":"t2","name":"search","input":{},"type":"server_tool_use"}}]}},
    "stopReason":"tool_use","usage":{"inputTokens":5,"outputTokens":7,"totalTokens":15,"cacheReadInputTokens":3},
    "metrics":{"latencyMs":1},"serviceTier":{"type":"flex"}}"#;

#[test]
fn an_answer_is_read_whole() {
    let Whole::Good(answer) = Bedrock.read_answer(ANSWER.as_bytes()) else {
        panic!("an answer");
    };
    assert_eq!(
        answer.usage,
        Some(Usage {
            prompt_tokens: 8,
            completion_tokens: 7,
            cached_tokens: Some(3),
            ..Usage::default()
        })
    );
    assert_eq!(answer.service_tier.as_deref(), Some("flex"));
    let choice = &answer.choices[0];
    assert_eq!(choice.finish, Some(Finish::ToolCalls));
    let [
        Part::Thought(signed),
        Part::Thought(sealed),
        text,
        Part::Text {
            text: cited,
            citations,
            ..
        },
        tool,
    ] = &choice.parts[..]
    else {
        panic!("{:?}", choice.parts);
    };
    assert_eq!(
        (signed.text.as_str(), signed.signature.as_deref()),
        ("hm", Some("s"))
    );
    assert_eq!(
        (sealed.kind, sealed.text.as_str()),
        (ThoughtKind::Encrypted, "sealed")
    );
    assert_eq!(text, &Part::text("I look."));
    assert_eq!(cited, "It is.");
    let urls: Vec<_> = citations
        .iter()
        .map(|citation| citation.url.as_str())
        .collect();
    assert_eq!(urls, ["https://a.test", "doc"]);
    assert_eq!(tool, &call("t1", "look", r#"{"at":"é"}"#));
}

#[test]
fn what_is_no_answer_is_an_error_or_malformed() {
    let Whole::Error(facts) =
        Bedrock.read_answer(br#"{"message":"Input is too long for requested model."}"#)
    else {
        panic!("an error");
    };
    assert_eq!(facts.hint, Some(Hint::ContextTooLong));
    let broken = r#"{"output":{"message":{"content":[]}},"stopReason":"malformed_model_output"}"#;
    assert!(matches!(
        Bedrock.read_answer(broken.as_bytes()),
        Whole::Error(_)
    ));
    for json in ["", "{}", "[]", "<html>", r#"{"output":7}"#] {
        assert!(
            matches!(Bedrock.read_answer(json.as_bytes()), Whole::Malformed),
            "{json}"
        );
    }
}

#[test]
fn mutated_bytes_break_nothing() {
    check_spoilt(
        &[ANSWER.as_bytes()],
        br#"{"output":{"message":{"content":["#,
        |bytes| {
            Bedrock.read_answer(bytes);
        },
    );
}
