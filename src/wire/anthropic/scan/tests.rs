use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::wire::anthropic::origin::MARK;
use crate::wire::client_request::top_level::ROUTER_ONLY;

fn scanned(body: &str) -> Result<ClientRequest, RequestError> {
    scan(Purpose::Answer, &Bytes::copy_from_slice(body.as_bytes()))
}

fn facts(body: &Value) -> RequestFacts {
    scanned(&body.to_string()).unwrap().facts
}

fn rewritten(body: &str) -> String {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let out = scanned(body).unwrap().rewrite(&bytes, "up");
    String::from_utf8(out.segments().concat()).unwrap()
}

/// A body with these blocks in the model's last turn, which the results of tools follow.
fn in_use(blocks: &Value, more: &str) -> String {
    let turns = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": blocks},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a"}]},
    ]);
    format!(r#"{{"model":"m",{more}"messages":{turns}}}"#)
}

fn thinking(signature: &str) -> Value {
    json!({"type": "thinking", "thinking": "so", "signature": signature})
}

fn tool_use() -> Value {
    json!({"type": "tool_use", "id": "a", "name": "look", "input": {}})
}

#[test]
fn a_bare_request_needs_nothing() {
    let body = r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#;
    let expected = RequestFacts {
        model: "m".to_owned(),
        max_tokens: Some(5),
        body_bytes: body.len() as u64,
        ..RequestFacts::default()
    };
    assert_eq!(scanned(body).unwrap().facts, expected);
    assert_eq!(rewritten(body), body.replace(r#""m""#, r#""up""#));
}

#[test]
fn facts_are_read_from_the_fields_that_say_so() {
    let with = |field: &str, value: Value| {
        let mut body = json!({"model": "m", "messages": []});
        body[field] = value;
        facts(&body)
    };
    assert!(with("stream", json!(true)).stream);
    assert!(with("tools", json!([{}])).tools && !with("tools", json!([])).tools);
    for (kind, reasons) in [("enabled", true), ("adaptive", true), ("disabled", false)] {
        assert_eq!(with("thinking", json!({"type": kind})).reasons, reasons);
    }
    let schema = json!({"type": "json_schema", "schema": {}});
    assert!(with("output_config", json!({"format": schema})).json_schema);
    assert!(with("output_format", schema).json_schema);
    assert!(!with("output_config", json!({"effort": "low"})).json_schema);
    let counted = Bytes::from_static(br#"{"model":"m","messages":[],"stream":true}"#);
    let counted = scan(Purpose::Count, &counted).unwrap().facts;
    assert!(counted.unproven && !counted.stream);
}

#[test]
fn images_and_files_are_found_in_results_too_and_not_in_words() {
    let of = |content: Value| {
        let found =
            facts(&json!({"model": "m", "messages": [{"role": "user", "content": content}]}));
        (found.images, found.files)
    };
    let image = || json!({"type": "image", "source": {"type": "url", "url": "u"}});
    let pdf = || json!({"type": "document", "source": {"type": "base64", "data": "AA"}});
    assert_eq!(of(json!([image()])), (true, false));
    assert_eq!(of(json!([pdf()])), (false, true));
    let result = json!([{"type": "tool_result", "tool_use_id": "a", "content": [image(), pdf()]}]);
    assert_eq!(of(result), (true, true));
    let plain = json!([{"type": "document", "source": {"type": "text", "data": "words"}}]);
    assert_eq!(of(plain), (false, false));
    assert_eq!(of(json!(r#"{"type":"image"} "document""#)), (false, false));
    assert_eq!(
        of(json!([{"type": "tool_use", "input": {"image": "x"}}])),
        (false, false)
    );
}

#[test]
fn thoughts_bind_while_their_turn_goes_on() {
    let signed = |blocks: Value| scanned(&in_use(&blocks, "")).unwrap().facts.signed;
    assert!(signed(json!([thinking("c2ln"), tool_use()])));
    assert!(signed(
        json!([{"type": "redacted_thinking", "data": "ZW5j"}, tool_use()])
    ));
    let theirs = format!(r#"{MARK}{{"format":"google-gemini-v1","signature":"s"}}"#);
    assert!(signed(json!([thinking(&theirs), tool_use()])));
    assert!(!signed(json!([
        thinking(&format!("{MARK}{{}}")),
        tool_use()
    ])));
    assert!(!signed(json!([thinking(""), tool_use()])));
    let mut body: Value =
        serde_json::from_str(&in_use(&json!([thinking("c2ln"), tool_use()]), "")).unwrap();
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": "done"}));
    turns.push(json!({"role": "user", "content": "something new"}));
    assert!(!facts(&body).signed, "the next turn binds nobody");
}

#[test]
fn blocks_of_other_origins_are_left_out() {
    let theirs = thinking(&format!(r#"{MARK}{{"format":"google-gemini-v1"}}"#));
    let data = format!(r#"{MARK}{{"call":"a","signature":"s"}}"#);
    let redacted = json!({"type": "redacted_thinking", "data": data});
    let kept = |blocks: Value, more: &str| {
        let out: Value = serde_json::from_str(&rewritten(&in_use(&blocks, more))).unwrap();
        (
            out["messages"][1]["content"].clone(),
            out["thinking"].clone(),
        )
    };
    let budget = r#""thinking":{"type":"enabled","budget_tokens":2000},"#;
    let disabled = json!({"type": "disabled"});
    let found = kept(json!([theirs, redacted, tool_use()]), budget);
    assert_eq!(found, (json!([tool_use()]), disabled));
    let found = kept(
        json!([theirs, redacted, tool_use()]),
        r#""thinking":{"type":"adaptive"},"#,
    );
    assert_eq!(found, (json!([tool_use()]), json!({"type": "adaptive"})));
    let own = thinking("c2ln");
    let (blocks, thinks) = kept(json!([own, redacted, tool_use(), theirs]), budget);
    assert_eq!(blocks, json!([own, tool_use()]));
    assert_eq!(thinks["type"], "enabled");
    let (blocks, _) = kept(json!([theirs, redacted]), budget);
    assert_eq!(blocks, json!([{"type": "text", "text": "(no words)"}]));
    let text = json!({"type": "text", "text": "a", "citations": [{"encrypted_index": MARK}]});
    let (blocks, _) = kept(json!([text]), budget);
    assert_eq!(
        blocks,
        json!([{"type": "text", "text": "a", "citations": null}])
    );
}

#[test]
fn a_result_with_a_word_behind_it_still_goes_on_with_the_turn() {
    let theirs = thinking(&format!(r#"{MARK}{{"format":"google-gemini-v1"}}"#));
    let budget = r#""thinking":{"type":"enabled","budget_tokens":2000},"#;
    let mut body: Value =
        serde_json::from_str(&in_use(&json!([theirs, tool_use()]), budget)).unwrap();
    let kind_of = |body: &Value| {
        let out: Value = serde_json::from_str(&rewritten(&body.to_string())).unwrap();
        out["thinking"]["type"].clone()
    };
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "user", "content": "and?"}));
    assert_eq!(kind_of(&body), "disabled", "two turns of the user are one");
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": "done"}));
    turns.push(json!({"role": "user", "content": "something new"}));
    assert_eq!(kind_of(&body), "enabled");
}

#[test]
fn what_speaks_to_the_router_is_left_out() {
    let body = r#"{ "provider" : {"order":[]} , "model" : "m", "models":["x"],"messages":[], "session_id":"s" }"#;
    assert_eq!(rewritten(body), r#"{ "model" : "up","messages":[] }"#);
    let passed = scanned(body).unwrap();
    assert_eq!(passed.edits.len(), 3);
    assert_eq!(body.get(passed.model).unwrap(), r#""m""#);
}

#[test]
fn what_routing_needs_must_be_there_once() {
    let refused = |body: &str| scanned(body).unwrap_err();
    assert_eq!(refused(r#"{"messages":[]}"#).param, Some("model"));
    assert_eq!(
        refused(r#"{"model":"","messages":[]}"#).param,
        Some("model")
    );
    assert_eq!(refused(r#"{"model":"m"}"#).param, Some("messages"));
    assert_eq!(
        refused(r#"{"model":"m","messages":[],"stream":1}"#).param,
        Some("stream")
    );
    for (twice, field) in [
        (r#"{"model":"a","messages":[],"mod\u0065l":"b"}"#, "model"),
        (r#"{"model":"a","messages":[],"Model":"b"}"#, "model"),
        (
            r#"{"model":"a","messages":[],"stream":true,"stream":false}"#,
            "stream",
        ),
        (r#"{"model":"a","messages":[],"messages":[]}"#, "messages"),
        (
            r#"{"model":"a","thinking":{},"messages":[],"thinking":{}}"#,
            "thinking",
        ),
    ] {
        let found = refused(twice);
        assert_eq!(found.param, Some(field), "{twice}");
        assert!(found.message.contains("more than once"));
    }
    for broken in ["", "[]", "{", r#"{"model":"m","messages":[]} x"#] {
        assert_eq!(refused(broken).code, Some("invalid_json"), "{broken}");
    }
}

fn block() -> impl Strategy<Value = Value> {
    let mark = format!(r#"{MARK}{{"signature":"s"}}"#);
    prop_oneof![
        "[a-z\"\\\\]{0,6}".prop_map(|text| json!({"type": "text", "text": text})),
        Just(thinking("c2ln")),
        Just(thinking(&mark)),
        Just(json!({"type": "redacted_thinking", "data": mark})),
        Just(tool_use()),
        Just(json!({"type": "text", "text": "a", "citations": [{"encrypted_index": MARK}]})),
        Just(json!({"type": "tool_result", "tool_use_id": "a"})),
        Just(json!(7)),
    ]
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let blocks = || prop::collection::vec(block(), 0..5);
    let role = || prop_oneof![Just("user"), Just("assistant")];
    let turns = prop::collection::vec((role(), blocks()), 0..5);
    prop_oneof![
        turns.prop_map(|turns| {
            let turn =
                |(role, content): (&str, Vec<Value>)| json!({"role": role, "content": content});
            let turns: Vec<_> = turns.into_iter().map(turn).collect();
            ("messages".to_owned(), json!(turns))
        }),
        Just(("provider".to_owned(), json!({"a": [1]}))),
        Just(("models".to_owned(), json!(["x"]))),
        Just(("session_id".to_owned(), json!("s"))),
        Just(("thinking".to_owned(), json!({"type": "enabled"}))),
        Just(("their".to_owned(), json!([1, {"model": 2}]))),
    ]
}

/// What a body must be after its rewriting, by brute force.
fn expected(mut body: Value) -> Value {
    body["model"] = json!("up");
    let fields = body.as_object_mut().unwrap();
    for field in ROUTER_ONLY {
        fields.remove(field);
    }
    let foreign = |block: &Value| {
        let kind = block["type"].as_str().unwrap_or_default();
        let field = match kind {
            "thinking" => &block["signature"],
            "redacted_thinking" => &block["data"],
            _ => return false,
        };
        field.as_str().is_some_and(|field| field.starts_with(MARK))
    };
    for turn in body["messages"].as_array_mut().unwrap() {
        let model = turn["role"] == "assistant";
        let blocks = turn["content"].as_array_mut().unwrap();
        for block in blocks.iter_mut() {
            if block.get("citations").is_some() {
                block["citations"] = Value::Null;
            }
        }
        let any = blocks.iter().any(foreign);
        if model && any {
            blocks.retain(|block| !foreign(block));
            if blocks.is_empty() {
                blocks.push(json!({"type": "text", "text": "(no words)"}));
            }
        }
    }
    body
}

#[test]
fn rewriting_changes_only_what_the_rules_name() {
    const CASES: u32 = 2000;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(CASES));
    let bodies = (
        prop::collection::vec(field(), 0..6),
        0..6_usize,
        any::<bool>(),
    );
    runner
        .run(&bodies, |(mut fields, at, wide)| {
            let mut names = std::collections::HashSet::new();
            fields.retain(|(name, _)| names.insert(name.clone()));
            if !names.contains("messages") {
                fields.push(("messages".to_owned(), json!([])));
            }
            fields.insert(at.min(fields.len()), ("model".to_owned(), json!("m")));
            let gap = if wide { " \n" } else { "" };
            let written: Vec<_> = fields
                .iter()
                .map(|(name, value)| match wide {
                    true => format!("\"{name}\" : {value:#}"),
                    false => format!("\"{name}\":{value}"),
                })
                .collect();
            let body = format!("{{{gap}{}{gap}}}", written.join(&format!("{gap},{gap}")));
            let mut out: Value = serde_json::from_str(&rewritten(&body)).unwrap();
            let mut wanted = expected(serde_json::from_str(&body).unwrap());
            // Thinking is switched off where its turn lost it: that has a test of its own.
            for value in [&mut out, &mut wanted] {
                value.as_object_mut().unwrap().remove("thinking");
            }
            prop_assert_eq!(out, wanted);
            Ok(())
        })
        .unwrap();
    println!("{CASES} bodies rewritten");
}
