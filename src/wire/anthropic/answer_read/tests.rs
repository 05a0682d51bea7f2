use super::*;
use crate::core::exchange::Usage;
use crate::core::outcome::Hint;
use crate::wire::hub::Finish;

fn good(body: &str) -> Answer {
    match read(body.as_bytes()) {
        Whole::Good(answer) => answer,
        other => panic!("{body}: {other:?}"),
    }
}

fn choice(content: &str, reason: &str) -> Choice {
    let body = format!(r#"{{"type":"message","content":{content},"stop_reason":"{reason}"}}"#);
    good(&body).choices.remove(0)
}

#[test]
fn usage_counts_the_whole_prompt() {
    let answer = good(
        r#"{"type":"message","id":"msg_1","content":[],"stop_reason":"end_turn",
            "usage":{"input_tokens":3,"cache_read_input_tokens":4,"cache_creation_input_tokens":5,"output_tokens":9,
            "output_tokens_details":{"thinking_tokens":2},"service_tier":"standard"}}"#,
    );
    let usage = Usage {
        prompt_tokens: 12,
        completion_tokens: 9,
        cached_tokens: Some(4),
        cache_write_tokens: Some(5),
        reasoning_tokens: 2,
    };
    assert_eq!((answer.id.as_str(), answer.usage), ("msg_1", Some(usage)));
    assert_eq!(answer.service_tier.as_deref(), Some("standard"));
    assert_eq!(good(r#"{"content":[],"usage":"many"}"#).usage, None);
    assert!(good(r#"{"content":[],"stop_reason":"end_turn"}"#).is_empty());
}

#[test]
fn the_tool_that_stands_for_a_schema_is_text_again() {
    let answer = r#"{"type":"tool_use","id":"t","name":"mainstay_answer","input":{"a": 1.0}}"#;
    let words = r#"{"type":"text","text":"here it is"}"#;
    let found = choice(&format!("[{words},{answer},{words}]"), "tool_use");
    assert_eq!(found.parts, [Part::text(r#"{"a": 1.0}"#)]);
    assert_eq!(found.finish, Some(Finish::STOP));
    let call = r#"{"type":"tool_use","id":"u","name":"look","input":{}}"#;
    let found = choice(&format!("[{answer},{call}]"), "tool_use");
    assert_eq!(found.finish, Some(Finish::ToolCalls));
    assert_eq!(found.parts.len(), 2);
}

#[test]
fn a_refusal_tells_why() {
    let body = r#"{"content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"no"}}"#;
    let found = good(body).choices.remove(0);
    assert_eq!(found.parts, [Part::Refusal("no".to_owned())]);
    assert_eq!(found.finish, Some(Finish::Refused));
    assert!(!good(body).is_empty());
}

#[test]
fn blocks_of_the_providers_own_tools_are_passed_over() {
    let found = choice(
        r#"[{"type":"server_tool_use","id":"s","name":"web_search","input":{"q":1}},
            {"type":"web_search_tool_result","tool_use_id":"s","content":[{"a":1}]},
            {"type":"text","text":"so","citations":[{"type":"web_search_result_location","url":"u","title":"t"},
                {"type":"page_location","document_index":0},7]}]"#,
        "end_turn",
    );
    let [
        Part::Text {
            text, citations, ..
        },
    ] = &found.parts[..]
    else {
        panic!("{:?}", found.parts);
    };
    assert_eq!((text.as_str(), citations.len()), ("so", 1));
    assert_eq!(citations[0].url, "u");
}

#[test]
fn an_error_in_a_200_is_an_error_and_nonsense_is_none() {
    let error = |body: &str| match read(body.as_bytes()) {
        Whole::Error(facts) => facts,
        other => panic!("{body}: {other:?}"),
    };
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    assert_eq!(error(body).hint, Some(Hint::Overloaded));
    assert_eq!(error(r#"{"error":{"message":"boom"}}"#).message, "boom");
    assert_eq!(error(r#"{"message":"boom"}"#).message, "boom");
    for nonsense in [
        "",
        "{}",
        "[]",
        "<html>",
        r#"{"content":7}"#,
        r#"{"content":["a"]}"#,
        "{\"content\":[],\"a\":\"\u{0}",
    ] {
        assert!(
            matches!(read(nonsense.as_bytes()), Whole::Malformed),
            "{nonsense}"
        );
    }
}

#[test]
fn a_model_is_found_where_an_answer_or_an_event_names_it() {
    let named = |json: &'static str| model_in(json).map(RawValue::get);
    assert_eq!(
        named(r#"{"id":"x","model":"m","content":[]}"#),
        Some(r#""m""#)
    );
    assert_eq!(
        named(r#"{"type":"message_start","message":{"model":"m"}}"#),
        Some(r#""m""#)
    );
    for none in [
        r#"{"type":"ping"}"#,
        r#"{"delta":{"text":"\"model\""}}"#,
        r#"{"delta":{"model":"m"}}"#,
        r#"{"type":"error","message":"\"model\":1"}"#,
        r#"{"model":7}"#,
        r#"{"model""#,
    ] {
        assert_eq!(named(none), None, "{none}");
    }
}
