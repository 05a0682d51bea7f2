//! What a chat answer says to the hub, and how one of the hub is written.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::core::exchange::Usage;
use crate::wire::dialect::sample::reply;
use crate::wire::dialect::{Downstream, Upstream, Whole};
use crate::wire::hub::{Answer, Choice, Citation, Finish, Part};
use crate::wire::openai::hub::Chat;

fn whole(body: &Value) -> Answer {
    match Chat.read_answer(body.to_string().as_bytes()) {
        Whole::Good(answer) => answer,
        other => panic!("not good: {other:?}"),
    }
}

fn answer() -> Answer {
    let thought = crate::wire::hub::Thought {
        text: "hm".to_owned(),
        signature: Some("s".to_owned()),
        format: Some("anthropic-claude-v1".to_owned()),
        ..Default::default()
    };
    let call = crate::wire::hub::ToolCall {
        id: "c1".to_owned(),
        name: "look".to_owned(),
        arguments: "{\"at\":1}".to_owned(),
        signature: Some("g".to_owned()),
        ..Default::default()
    };
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
    Answer {
        id: "up-1".to_owned(),
        created: 7,
        choices: vec![Choice {
            parts: vec![Part::Thought(thought), text, Part::ToolCall(call)],
            finish: Some(Finish::ToolCalls),
        }],
        usage: Some(Usage {
            prompt_tokens: 10,
            completion_tokens: 5,
            cached_tokens: Some(4),
            cache_write_tokens: Some(2),
            reasoning_tokens: 3,
        }),
        service_tier: Some("flex".to_owned()),
    }
}

#[test]
fn an_answer_is_written_as_openrouter_writes_it_and_read_again() {
    let request = Bytes::new();
    let body: Value =
        serde_json::from_slice(&Chat.write_answer(&answer(), &reply(&request))).unwrap();
    let expected = json!({
        "id": "up-1", "object": "chat.completion", "created": 7, "model": "author/slug",
        "choices": [{"index": 0, "logprobs": null, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": "żó", "refusal": null, "reasoning": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "g", "id": "c1", "format": "google-gemini-v1", "index": 1},
            ],
            "annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.test", "title": "t", "start_index": 0, "end_index": 2}}],
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{\"at\":1}"}}],
        }}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3}},
        "service_tier": "flex", "system_fingerprint": null,
    });
    assert_eq!(body, expected);
    assert_eq!(whole(&body), answer());
}

#[test]
fn a_tier_is_told_in_openais_words() {
    let answer = Answer {
        service_tier: Some("standard".to_owned()),
        ..answer()
    };
    let body = Chat.write_answer(&answer, &reply(&Bytes::new()));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["service_tier"], "default");
}

#[test]
fn what_is_no_answer_is_an_error_or_malformed() {
    for body in [
        "",
        "{}",
        "<html>",
        "{\"choices\":7}",
        "{\"choices\":[{\"message\":{\"content\":[{\"type\":\"x\"}]}}]}",
    ] {
        assert!(
            matches!(Chat.read_answer(body.as_bytes()), Whole::Malformed),
            "{body}"
        );
    }
    assert!(matches!(
        Chat.read_answer(b"{\"choices\":[],\"id\":\"\xff\"}"),
        Whole::Malformed
    ));
    for body in [
        json!({"error": {"message": "m", "code": 429}}),
        json!({"message": "m"}),
        json!({"choices": [{"message": {}, "finish_reason": "error", "error": {"message": "m"}}]}),
    ] {
        let Whole::Error(facts) = Chat.read_answer(body.to_string().as_bytes()) else {
            panic!("no error: {body}");
        };
        assert_eq!(facts.message, "m");
    }
}

#[test]
fn a_refusal_and_an_end_without_a_word_of_chat_are_told_apart() {
    let request = Bytes::new();
    let end = |parts, finish| {
        let choices = vec![Choice {
            parts,
            finish: Some(finish),
        }];
        let answer = Answer {
            choices,
            ..Answer::default()
        };
        let body: Value =
            serde_json::from_slice(&Chat.write_answer(&answer, &reply(&request))).unwrap();
        assert_eq!(
            (&body["id"], &body["created"]),
            (&json!("chatcmpl-own"), &json!(99))
        );
        let choice = &body["choices"][0];
        (
            choice["finish_reason"].clone(),
            choice.get("native_finish_reason").cloned(),
        )
    };
    let no = || vec![Part::Refusal("no".to_owned())];
    assert_eq!(end(no(), Finish::Refused), (json!("stop"), None));
    assert_eq!(
        end(Vec::new(), Finish::Refused),
        (json!("content_filter"), Some(json!("refusal")))
    );
    assert_eq!(
        end(Vec::new(), Finish::Paused),
        (json!("stop"), Some(json!("pause_turn")))
    );
    assert_eq!(
        end(Vec::new(), Finish::Other("odd".to_owned())),
        (json!("stop"), Some(json!("odd")))
    );
    let read =
        whole(&json!({"choices": [{"message": {"refusal": "no"}, "finish_reason": "stop"}]}));
    assert_eq!(read.choices[0].finish, Some(Finish::Refused));
}

#[test]
fn thoughts_that_nobody_wants_to_see_are_left_out() {
    let request = Bytes::from_static(br#"{"reasoning":{"exclude":true}}"#);
    let body: Value =
        serde_json::from_slice(&Chat.write_answer(&answer(), &reply(&request))).unwrap();
    let message = &body["choices"][0]["message"];
    assert!(message.get("reasoning").is_none());
    // What a call needs to be sent back stays.
    assert_eq!(message["reasoning_details"].as_array().unwrap().len(), 1);
}
