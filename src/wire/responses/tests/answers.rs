//! What a response says to the hub, and how an answer of the hub is written.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::exchange::Usage;
use crate::wire::dialect::sample::reply;
use crate::wire::dialect::{Downstream, Upstream, Whole};
use crate::wire::hub::{Answer, Choice, Citation, Finish, Part, Thought, ThoughtKind, ToolCall};
use crate::wire::responses::Responses;

fn whole(body: &Value) -> Answer {
    match Responses.read_answer(body.to_string().as_bytes()) {
        Whole::Good(answer) => answer,
        other => panic!("not good: {other:?}"),
    }
}

fn written(answer: &Answer, request: &'static str) -> Value {
    let request = Bytes::from_static(request.as_bytes());
    serde_json::from_slice(&Responses.write_answer(answer, &reply(&request))).unwrap()
}

fn answered(parts: Vec<Part>, finish: Finish) -> Answer {
    Answer {
        id: "up-1".to_owned(),
        created: 7,
        choices: vec![Choice {
            parts,
            finish: Some(finish),
        }],
        ..Answer::default()
    }
}

#[test]
fn an_answer_is_written_with_every_field_that_clients_require() {
    let citation = Citation {
        url: "https://example.test".to_owned(),
        title: Some("t".to_owned()),
        span: Some((0, 2)),
    };
    let text = Part::Text {
        text: "żó".to_owned(),
        cache: None,
        citations: vec![citation],
    };
    let call = ToolCall {
        id: "c1".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"at\":1}".to_owned(),
        ..ToolCall::default()
    };
    let answer = Answer {
        usage: Some(Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
            cached_tokens: Some(4),
            cache_write_tokens: Some(0),
            reasoning_tokens: 3,
        }),
        service_tier: Some("flex".to_owned()),
        ..answered(vec![text, Part::ToolCall(call)], Finish::ToolCalls)
    };
    let request = r#"{"model":"m","input":"hi","instructions":"i","tools":[{"type":"function","name":"look","parameters":{}}],
        "tool_choice":"required","temperature":0.5,"metadata":{"a":"b"},"parallel_tool_calls":false,"text":{"verbosity":"low"},
        "reasoning":{"effort":"low"},"max_output_tokens":9,"user":"u","prompt_cache_key":null}"#;
    let body = written(&answer, request);
    let expected = json!({
        "id": "up-1", "object": "response", "created_at": 7, "status": "completed", "background": false, "completed_at": 99,
        "error": null, "frequency_penalty": 0.0, "incomplete_details": null, "instructions": "i", "max_output_tokens": 9,
        "max_tool_calls": null, "metadata": {"a": "b"}, "model": "author/slug",
        "output": [
            {"type": "message", "id": "msg_up-1_0", "status": "completed", "role": "assistant", "content": [
                {"type": "output_text", "text": "żó", "logprobs": [],
                    "annotations": [{"type": "url_citation", "url": "https://example.test", "title": "t", "start_index": 0, "end_index": 2}]}]},
            {"type": "function_call", "id": "fc_up-1_1", "status": "completed", "call_id": "c1", "name": "look", "arguments": "{\"at\":1}"},
        ],
        "parallel_tool_calls": false, "presence_penalty": 0.0, "previous_response_id": null, "prompt_cache_key": null,
        "reasoning": {"effort": "low", "summary": null}, "safety_identifier": null, "service_tier": "flex", "store": false,
        "temperature": 0.5, "text": {"format": {"type": "text"}, "verbosity": "low"}, "tool_choice": "required",
        "tools": [{"type": "function", "name": "look", "parameters": {}}], "top_logprobs": 0, "top_p": 1.0,
        "truncation": "disabled",
        "usage": {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0}, "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 15},
        "user": "u",
    });
    assert_eq!(body, expected);
    assert_eq!(whole(&body), answer);
}

#[test]
fn an_answer_that_ends_short_says_why() {
    let end = |parts, finish| {
        let body = written(&answered(parts, finish), "{}");
        (
            body["status"].clone(),
            body["incomplete_details"]["reason"].clone(),
        )
    };
    let text = || vec![Part::text("a")];
    let done = (json!("completed"), Value::Null);
    let filtered = (json!("incomplete"), json!("content_filter"));
    assert_eq!(end(text(), Finish::STOP), done);
    assert_eq!(
        end(text(), Finish::Length),
        (json!("incomplete"), json!("max_output_tokens"))
    );
    assert_eq!(end(text(), Finish::Filtered), filtered);
    assert_eq!(end(text(), Finish::Refused), filtered);
    assert_eq!(
        end(vec![Part::Refusal("no".to_owned())], Finish::Refused),
        done
    );
    assert_eq!(end(text(), Finish::Other("odd".to_owned())), done);
    let cut = written(&answered(text(), Finish::Length), "{}");
    assert_eq!(cut["output"][0]["status"], "incomplete");
    for (finish, parts) in [
        (Finish::Length, text()),
        (Finish::Filtered, text()),
        (Finish::Refused, vec![Part::Refusal("no".to_owned())]),
    ] {
        let answer = answered(parts, finish);
        assert_eq!(whole(&written(&answer, "{}")), answer);
    }
}

#[test]
fn what_proves_the_origin_of_thoughts_comes_back_as_it_was() {
    let thought = |kind, text: &str, signature: Option<&str>, id: Option<&str>, format: &str| {
        Part::Thought(Thought {
            kind,
            text: text.to_owned(),
            signature: signature.map(str::to_owned),
            id: id.map(str::to_owned),
            format: Some(format.to_owned()),
        })
    };
    let call = ToolCall {
        id: "c:1".to_owned(),
        name: "f".to_owned(),
        arguments: "{}".to_owned(),
        cache: None,
        signature: Some("g".to_owned()),
    };
    let (anthropic, own) = ("anthropic-claude-v1", "openai-responses-v1");
    let parts = vec![
        thought(ThoughtKind::Text, "a", Some("s1"), None, anthropic),
        thought(ThoughtKind::Text, "b", Some("s2"), None, anthropic),
        thought(ThoughtKind::Encrypted, "redacted", None, None, anthropic),
        thought(ThoughtKind::Summary, "c", None, Some("rs_9"), own),
        thought(ThoughtKind::Encrypted, "gAAA", None, Some("rs_9"), own),
        Part::ToolCall(call),
    ];
    let answer = answered(parts, Finish::ToolCalls);
    let body = written(&answer, "{}");
    assert_eq!(whole(&body), answer);
    let output = body["output"].as_array().unwrap();
    assert_eq!(output.len(), 6);
    let own = json!({"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "c"}], "encrypted_content": "gAAA"});
    assert_eq!(output[3], own);
    // The client sends them back.
    let replay = json!({"input": output});
    let request = Responses.read_request(&replay.to_string().into()).unwrap();
    let parts: Vec<Part> = request
        .messages
        .into_iter()
        .flat_map(|message| message.parts)
        .collect();
    assert_eq!(parts, answer.choices[0].parts);
}

#[test]
fn a_thought_in_words_alone_is_marked_unless_it_is_openais() {
    let thought = |id: Option<&str>, format: Option<&str>| {
        vec![Part::Thought(Thought {
            kind: ThoughtKind::Summary,
            text: "hm".to_owned(),
            signature: None,
            id: id.map(str::to_owned),
            format: format.map(str::to_owned),
        })]
    };
    let item = |parts| written(&answered(parts, Finish::STOP), "{}")["output"][0].clone();
    let foreign = item(thought(None, None));
    assert_eq!(foreign["encrypted_content"], "mainstay:v1:words::0:");
    let own = item(thought(Some("rs_9"), Some("openai-responses-v1")));
    assert_eq!(
        (&own["id"], own.get("encrypted_content")),
        (&json!("rs_9"), None)
    );
    // The client sends it back: its words are still a thought, with nothing that would prove it.
    let replay = json!({"input": [foreign]});
    let request = Responses.read_request(&replay.to_string().into()).unwrap();
    assert_eq!(request.messages[0].parts.len(), 1);
    let Part::Thought(thought) = &request.messages[0].parts[0] else {
        panic!("no thought: {request:?}");
    };
    assert_eq!((thought.text.as_str(), &thought.signature), ("hm", &None));
}

#[test]
fn a_tier_is_told_in_openais_words_or_not_at_all() {
    for (said, told) in [
        ("standard", json!("default")),
        ("priority", json!("priority")),
        ("batch", Value::Null),
    ] {
        let answer = Answer {
            service_tier: Some(said.to_owned()),
            ..answered(vec![Part::text("a")], Finish::STOP)
        };
        assert_eq!(written(&answer, "{}")["service_tier"], told, "{said}");
    }
}

#[test]
fn what_a_providers_own_tools_did_is_not_said() {
    let body = json!({"id": "r", "status": "completed", "output": [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": [{"type": "file_citation", "file_id": "f"}]}]},
    ]});
    assert_eq!(whole(&body).choices[0].parts, [Part::text("a")]);
}

#[test]
fn what_is_no_answer_is_an_error_or_malformed() {
    for body in [
        "",
        "{}",
        "<html>",
        "{\"output\":7}",
        "{\"output\":[]}",
        "{\"output\":[],\"status\":\"in_progress\"}",
        "{\"output\":[{\"type\":\"computer_call\"}],\"status\":\"completed\"}",
    ] {
        assert!(
            matches!(Responses.read_answer(body.as_bytes()), Whole::Malformed),
            "{body}"
        );
    }
    assert!(matches!(
        Responses.read_answer(b"{\"output\":[],\"id\":\"\xff\"}"),
        Whole::Malformed
    ));
    for body in [
        json!({"error": {"message": "m", "code": "rate_limit_exceeded"}}),
        json!({"status": "failed", "error": {"message": "m", "code": "server_error"}, "output": []}),
        json!({"message": "m"}),
        json!({"object": "error", "message": "m"}),
    ] {
        let Whole::Error(facts) = Responses.read_answer(body.to_string().as_bytes()) else {
            panic!("no error: {body}");
        };
        assert_eq!(facts.message, "m");
    }
}

#[test]
fn the_model_is_found_in_answers_and_events() {
    let found = |json: &str| Responses.model_in(json).map(|model| model.get().to_owned());
    assert_eq!(found(r#"{"id":"r","model":"m"}"#).as_deref(), Some("\"m\""));
    assert_eq!(
        found(r#"{"type":"response.created","response":{"model":"m"}}"#).as_deref(),
        Some("\"m\"")
    );
    assert_eq!(
        found(r#"{"type":"response.output_text.delta","delta":"model"}"#),
        None
    );
    assert_eq!(found("nonsense"), None);
}
