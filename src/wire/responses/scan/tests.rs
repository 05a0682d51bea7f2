use super::*;
use crate::wire::splice::splice;

fn scanned(body: &str) -> ClientRequest {
    scan(&Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn refused(body: &str) -> RequestError {
    scan(&Bytes::copy_from_slice(body.as_bytes())).unwrap_err()
}

/// The body without its cuts.
fn cut(body: &str) -> String {
    let edits = scanned(body).edits;
    let body = Bytes::copy_from_slice(body.as_bytes());
    String::from_utf8(splice(&body, &edits).segments().concat()).unwrap()
}

#[test]
fn routing_learns_what_it_needs() {
    let body = r#"{"model":"a/m","stream":true,"input":[{"role":"user","content":[{"type":"input_image"},{"type":"input_file"}]}],
        "tools":[{"type":"function"}],"text":{"format":{"type":"json_schema"}},"reasoning":{"effort":"low"},"max_output_tokens":9,
        "prompt_cache_key":"k","user":"u"}"#;
    let found = scanned(body);
    let expected = RequestFacts {
        model: "a/m".to_owned(),
        stream: true,
        reasons: true,
        tools: true,
        images: true,
        files: true,
        json_schema: true,
        body_bytes: body.len() as u64,
        max_tokens: Some(9),
        ..RequestFacts::default()
    };
    assert_eq!(found.facts, expected);
    assert!(found.expects.structured);
    assert_eq!(body.get(found.model), Some("\"a/m\""));
    assert_eq!(
        body.get(found.spoken.prompt_cache_key.unwrap()),
        Some("\"k\"")
    );
    let plain = scanned(
        r#"{"model":"m","input":"\"input_image\"","tools":[],"reasoning":{"effort":"none"},"text":{"format":{"type":"text"}}}"#,
    );
    assert!(
        !plain.facts.images
            && !plain.facts.tools
            && !plain.facts.reasons
            && !plain.expects.structured
    );
}

#[test]
fn what_is_for_the_router_is_cut() {
    let body = r#"{"provider":{"order":["x"]} , "model":"m","models":["a"],"input":"hi","session_id":"s"}"#;
    assert_eq!(cut(body), r#"{ "model":"m","input":"hi"}"#);
    assert_eq!(
        body.get(scanned(body).spoken.session_id.unwrap()),
        Some("\"s\"")
    );
}

#[test]
fn reasoning_of_another_dialect_is_cut_and_encrypted_reasoning_is_signed() {
    let ours = r#"{"type":"reasoning","summary":[],"encrypted_content":"mainstay:v1:data:f:0:x"}"#;
    let words = r#"{"type":"reasoning","summary":[],"encrypted_content":"mainstay:v1:words::0:"}"#;
    let own = r#"{"type":"reasoning","summary":[],"encrypted_content":"gAAA"}"#;
    let bare = r#"{"type":"reasoning","summary":[],"encrypted_content":null}"#;
    let user = r#"{"role":"user","content":"hi"}"#;
    let body = |items: &[&str]| {
        format!(
            r#"{{"model":"m","input":[{}],"user":"u"}}"#,
            items.join(" , ")
        )
    };
    let signed = |items: &[&str]| scanned(&body(items)).facts.signed;
    assert_eq!(
        cut(&body(&[ours, user, ours, own, ours])),
        r#"{"model":"m","input":[ {"role":"user","content":"hi"} , {"type":"reasoning","summary":[],"encrypted_content":"gAAA"}],"user":"u"}"#
    );
    assert_eq!(
        cut(&body(&[ours])),
        r#"{"model":"m","input":[],"user":"u"}"#
    );
    assert_eq!(
        cut(&body(&[words])),
        r#"{"model":"m","input":[],"user":"u"}"#
    );
    assert!(signed(&[user, own]) && signed(&[ours]));
    assert!(!signed(&[user, bare]) && !signed(&[words]));
    let quoted = r#"{"role":"user","content":"\"encrypted_content\":\"x\""}"#;
    assert!(!signed(&[quoted]));
}

#[test]
fn what_leans_on_a_provider_is_named() {
    let leans_on = |more: &str| {
        scanned(&format!(r#"{{"model":"m","input":"hi"{more}}}"#))
            .facts
            .leans_on
    };
    assert_eq!(leans_on(""), None);
    assert_eq!(
        leans_on(r#","previous_response_id":null,"background":false"#),
        None
    );
    assert_eq!(
        leans_on(r#","previous_response_id":"resp_1""#),
        Some("previous_response_id")
    );
    assert_eq!(
        leans_on(r#","conversation":{"id":"conv_1"}"#),
        Some("conversation")
    );
    assert_eq!(
        leans_on(r#","background":true"#),
        None,
        "that leans on no earlier answer"
    );
    let of_input = |input: &str| {
        scanned(&format!(r#"{{"model":"m","input":{input}}}"#))
            .facts
            .leans_on
    };
    let reference = r#"[{"type":"item_reference","id":"msg_1"}]"#;
    assert_eq!(of_input(reference), Some("item_reference"));
    assert_eq!(of_input(r#""\"item_reference\"""#), None);
}

#[test]
fn what_routing_cannot_rely_on_is_refused() {
    for (body, param) in [
        (r#"{"model":"a","model":"b","input":"x"}"#, Some("model")),
        (
            r#"{"model":"a","mod\u0065l":"b","input":"x"}"#,
            Some("model"),
        ),
        (r#"{"model":"a","Model":"b","input":"x"}"#, Some("model")),
        (
            r#"{"model":"a","stream":true,"stream":false,"input":"x"}"#,
            Some("stream"),
        ),
        (r#"{"input":"x"}"#, Some("model")),
        (r#"{"model":"","input":"x"}"#, Some("model")),
        (r#"{"model":7,"input":"x"}"#, Some("model")),
        (
            r#"{"model":"m","input":"x","stream":"yes"}"#,
            Some("stream"),
        ),
        (r#"{"model":"m"}"#, Some("input")),
        (r#"{"model":"m","input":"x"} x"#, None),
        ("[]", None),
        ("", None),
    ] {
        assert_eq!(refused(body).param, param, "{body}");
    }
}
