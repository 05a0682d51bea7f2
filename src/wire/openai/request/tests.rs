use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn scanned(body: &str) -> (Bytes, ClientRequest) {
    let body = Bytes::copy_from_slice(body.as_bytes());
    let request = scan(Operation::Chat, &body).unwrap_or_else(|error| panic!("{error}"));
    (body, request)
}

fn rewritten(body: &str) -> String {
    let (body, request) = scanned(body);
    let rope = request.rewrite(&body, "up");
    String::from_utf8(rope.segments().concat()).unwrap()
}

#[test]
fn the_model_is_replaced_and_every_other_byte_kept() {
    let table = [
        (r#"{"model":"m"}"#, r#"{"model":"up"}"#),
        (
            " { \"messages\" : [ ] ,\n\"model\" :\t\"m\" , \"user\":\"u\" } \n",
            " { \"messages\" : [ ] ,\n\"model\" :\t\"up\" , \"user\":\"u\" } \n",
        ),
        (
            r#"{"mod\u0065l":"m","n":1}"#,
            r#"{"mod\u0065l":"up","n":1}"#,
        ),
        (
            r#"{"model":"m","stream":false,"stream_options":null}"#,
            r#"{"model":"up","stream":false,"stream_options":null}"#,
        ),
    ];
    for (body, expected) in table {
        assert_eq!(rewritten(body), expected);
    }
}

#[test]
fn streams_ask_for_usage() {
    let table = [
        (
            r#"{"model":"m","stream":true}"#,
            r#"{"model":"up","stream_options":{"include_usage":true},"stream":true}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{},"model":"m"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"up"}"#,
        ),
        (
            r#"{"stream":true,"stream_options":{ "x":1},"model":"m"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true, "x":1},"model":"up"}"#,
        ),
        (
            r#"{"stream":true,"model":"m","stream_options":{"include_usage": false}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage": true}}"#,
        ),
        (
            r#"{"stream":true,"model":"m","stream_options":{"include_usage":null}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"model":"m","stream_options":null}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"model":"m","stream_options":{"include_usage":true}}"#,
            r#"{"stream":true,"model":"up","stream_options":{"include_usage":true}}"#,
        ),
        (
            r#"{"stream":true,"model":"m","stream_options":7}"#,
            r#"{"stream":true,"model":"up","stream_options":7}"#,
        ),
    ];
    for (body, expected) in table {
        assert_eq!(rewritten(body), expected);
        let asked = body.contains(r#""include_usage":true"#);
        assert_eq!(scanned(body).1.expects.usage, asked, "{body}");
    }
}

#[test]
fn router_only_fields_leave_no_stray_comma() {
    let table = [
        (r#"{"models":["a"],"model":"m"}"#, r#"{"model":"up"}"#),
        (r#"{"model":"m","route":"fallback"}"#, r#"{"model":"up"}"#),
        (
            r#"{ "models":[] , "provider" : {} , "model":"m", "usage":{"include":true}, "user":"u", "plugins":[] }"#,
            r#"{ "model":"up", "user":"u" }"#,
        ),
        (
            r#"{"preset":1,"transforms":[],"session_id":"s","model":"m","metadata":{}}"#,
            r#"{"model":"up","metadata":{}}"#,
        ),
        (
            r#"{"provider":{},"stream":true,"stream_options":{},"models":[],"model":"m"}"#,
            r#"{"stream":true,"stream_options":{"include_usage":true},"model":"up"}"#,
        ),
    ];
    for (body, expected) in table {
        assert_eq!(rewritten(body), expected);
    }
}

#[test]
fn facts_are_read() {
    let (_, request) = scanned(
        r#"{"model":"a/b","stream":true,"tools":[{}],"max_tokens":5,"n":2,
            "response_format":{"type":"json_schema"},
            "messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}"#,
    );
    let facts = &request.facts;
    assert_eq!(facts.model, "a/b");
    assert!(facts.stream && facts.tools && facts.images && facts.json_schema && !facts.files);
    assert_eq!(facts.max_tokens, Some(5));
    assert_eq!(request.expects.choices, 2);
    assert!(request.expects.structured && !request.expects.usage);

    let (body, request) = scanned(
        r#"{"model":"m","max_tokens":5,"max_completion_tokens":9,"tools":[],"response_format":{"type":"text"},
            "messages":[{"content":"the text \"image_url\" alone"}]}"#,
    );
    let facts = &request.facts;
    assert!(!facts.stream && !facts.tools && !facts.images && !request.expects.structured);
    assert!(!facts.files && !facts.json_schema);
    assert_eq!(facts.max_tokens, Some(9));
    assert_eq!(facts.body_bytes, body.len() as u64);

    for part in [
        r#"{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}"#,
        r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AA=="}}"#,
    ] {
        let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{part}]}}]}}"#);
        assert!(scanned(&body).1.facts.files, "{part}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let deep = "[".repeat(1 << 20);
    let table = [
        (r#"{"model":"m","model":"n"}"#, Some("model")),
        (r#"{"model":"m","mod\u0065l":"n"}"#, Some("model")),
        (
            r#"{"model":"m","stream":true,"stream":true}"#,
            Some("stream"),
        ),
        (
            r#"{"model":"m","messages":[],"messages":[]}"#,
            Some("messages"),
        ),
        (
            r#"{"model":"m","stream_options":{},"stream_options":{}}"#,
            Some("stream_options"),
        ),
        (
            r#"{"model":"m","stream_options":{"include_usage":true,"include_usage":false}}"#,
            Some("stream_options"),
        ),
        (r#"{"messages":[]}"#, Some("model")),
        (r#"{"model":""}"#, Some("model")),
        (r#"{"model":null}"#, Some("model")),
        (r#"{"model":7}"#, Some("model")),
        (r#"{"model":"m","stream":"yes"}"#, Some("stream")),
        (r#"{"model":"m"} x"#, None),
        (r#"{"model":"m","messages":[{]}"#, None),
        (r#"{"model":"m","x":nul}"#, None),
        (r#"{"model":"m""#, None),
        (r#"["model"]"#, None),
        ("", None),
        ("null", None),
        (&deep, None),
    ];
    for (body, param) in table {
        let error =
            scan(Operation::Chat, &Bytes::copy_from_slice(body.as_bytes())).expect_err(body);
        assert_eq!(error.param, param, "{error}");
    }
    assert!(
        scan(
            Operation::Chat,
            &Bytes::from_static(b"{\"model\":\"\xff\"}")
        )
        .is_err()
    );
}

#[test]
fn depth_does_not_cost_the_stack() {
    let open = "[".repeat(1 << 20);
    let close = "]".repeat(1 << 20);
    let unclosed = format!(r#"{{"model":"m","messages":{open}"#);
    assert!(scan(Operation::Chat, &Bytes::from(unclosed)).is_err());
    let (body, request) = scanned(&format!(r#"{{"model":"m","messages":{open}{close}}}"#));
    assert_eq!(request.rewrite(&body, "m").len(), body.len());
}

#[test]
fn a_large_body_is_shared_not_copied() {
    let (body, request) = scanned(&format!(
        r#"{{"model":"m","messages":"{}"}}"#,
        "x".repeat(200_000)
    ));
    let rope = request.rewrite(&body, "up");
    let last = rope.segments().last().unwrap();
    assert_eq!(last.as_ptr_range().end, body.as_ptr_range().end);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"]{0,6}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

const FIELDS: [&str; 12] = [
    "models",
    "route",
    "provider",
    "preset",
    "transforms",
    "plugins",
    "session_id",
    "usage",
    "user",
    "metadata",
    "tools",
    "n",
];

/// Fields in any order, with any blanks: `model` among them, and perhaps stream and its options.
fn body() -> impl Strategy<Value = String> {
    let others =
        prop::sample::subsequence(FIELDS.to_vec(), 0..FIELDS.len()).prop_flat_map(|names| {
            let values = prop::collection::vec(value(), names.len());
            values.prop_map(move |values| names.clone().into_iter().zip(values).collect::<Vec<_>>())
        });
    let options = prop_oneof![
        Just(None),
        Just(Some(json!(null))),
        Just(Some(json!({}))),
        Just(Some(json!({"include_usage": false}))),
        Just(Some(json!({"include_usage": true, "x": 1}))),
        Just(Some(json!({"include_obfuscation": false}))),
    ];
    let fields = (others, options, prop::option::of(any::<bool>()));
    let fields = fields.prop_flat_map(|(mut fields, options, stream)| {
        fields.push(("model", json!("the/model")));
        fields.extend(options.map(|options| ("stream_options", options)));
        fields.extend(stream.map(|stream| ("stream", json!(stream))));
        (Just(fields).prop_shuffle(), "[ \n\t]{0,3}")
    });
    fields.prop_map(|(fields, blank)| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| format!("{blank}\"{name}\"{blank}:{blank}{value}{blank}"))
            .collect();
        format!("{blank}{{{}}}{blank}", fields.join(","))
    })
}

/// What a rewrite must mean, done the slow way.
fn expected(body: &str) -> Value {
    let mut value: Value = serde_json::from_str(body).unwrap();
    let object = value.as_object_mut().unwrap();
    object.insert("model".to_owned(), json!("up"));
    for field in FIELDS.iter().take(8) {
        object.remove(*field);
    }
    if object.get("stream") == Some(&json!(true)) {
        let options = object.entry("stream_options").or_insert(Value::Null);
        if options.is_null() {
            *options = json!({});
        }
        options["include_usage"] = json!(true);
    }
    value
}

/// Whether `part` is `whole` with some bytes left out.
fn is_subsequence(part: &str, whole: &str) -> bool {
    let mut bytes = whole.bytes();
    part.bytes().all(|byte| bytes.any(|other| other == byte))
}

#[test]
fn rewriting_changes_only_what_the_rules_name() {
    const CASES: u32 = 2000;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(CASES));
    runner
        .run(&body(), |body| {
            let out = rewritten(&body);
            let value: Value = serde_json::from_str(&out).unwrap();
            prop_assert_eq!(value, expected(&body));
            let kept = out
                .replace("\"up\"", "")
                .replace(r#","stream_options":{"include_usage":true}"#, "")
                .replace(r#"{"include_usage":true}"#, "")
                .replace(r#""include_usage":true,"#, "")
                .replace("true", "");
            prop_assert!(is_subsequence(&kept, &body), "{} is not {}", out, body);
            Ok(())
        })
        .unwrap();
    println!("{CASES} bodies rewritten");
}

#[test]
fn completions_and_embeddings_are_read_by_their_own_fields() {
    let scan = |operation, body: &str| scan(operation, &Bytes::copy_from_slice(body.as_bytes()));
    let body = r#"{"model":"m","prompt":["a","b"],"n":3,"stream":true}"#;
    let request = scan(Operation::Completions, body).unwrap();
    assert_eq!((request.expects.choices, request.facts.stream), (6, true));
    let body = Bytes::copy_from_slice(body.as_bytes());
    let out = request.rewrite(&body, "up").segments().concat();
    let asked = br#"{"model":"up","stream_options":{"include_usage":true},"prompt":["a","b"],"n":3,"stream":true}"#;
    assert_eq!(out, asked);
    // Embeddings never stream: the field is the upstream's to judge.
    for stream in ["true", r#""yes""#, r#"true,"stream":1,"Stream":2"#] {
        let body = format!(
            r#"{{"model":"m","input":"a","encoding_format":"base64","stream":{stream},"stream_options":7}}"#
        );
        let request = scan(Operation::Embeddings, &body).unwrap();
        assert!(!request.facts.stream);
        let out = request.rewrite(&Bytes::copy_from_slice(body.as_bytes()), "up");
        let expected = body.replace(r#":"m""#, r#":"up""#);
        assert_eq!(out.segments().concat(), expected.as_bytes());
    }
    let refused = |operation, body: &str| scan(operation, body).unwrap_err().param;
    for (operation, field) in [
        (Operation::Completions, "prompt"),
        (Operation::Embeddings, "input"),
    ] {
        assert_eq!(refused(operation, r#"{"model":"m"}"#), Some(field));
        let twice = format!(r#"{{"model":"m","{field}":"a","{field}":"b"}}"#);
        assert_eq!(refused(operation, &twice), Some(field));
    }
}

#[test]
fn what_is_to_be_embedded_may_hold_an_image_too() {
    let of = |input: &str| {
        let body = Bytes::from(format!(r#"{{"model":"m","input":{input}}}"#));
        scan(Operation::Embeddings, &body).unwrap().facts
    };
    assert!(of(r#"[{"type":"image_url","image_url":{"url":"x"}}]"#).images);
    assert!(!of(r#"["the text \"image_url\" alone"]"#).images);
}
