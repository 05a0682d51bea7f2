use std::hash::DefaultHasher;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::wire::client_request::operation::Operation;
use crate::wire::dialects::Ask;

const CHAT: Ask = Ask::OpenAi(Operation::Chat);

fn request(ask: Ask, body: &str) -> (ClientRequest, Bytes) {
    let body = Bytes::from(body.to_owned());
    (ask.scan(&body).unwrap(), body)
}

/// The session, the key of the cache and the user that a body with these fields names.
fn names(ask: Ask, more: &str) -> [Option<String>; 3] {
    let (request, body) = request(
        ask,
        &format!(r#"{{{more}"model":"m","messages":[],"input":[]}}"#),
    );
    [
        request.session_id(&body),
        request.prompt_cache_key(&body),
        request.user(&body),
    ]
    .map(|name| name.map(Cow::into_owned))
}

fn beginning(ask: Ask, body: &str) -> Option<u64> {
    let (request, body) = request(ask, body);
    let mut hasher = DefaultHasher::new();
    request.hash_beginning(&body, &mut hasher);
    request.has_beginning().then(|| hasher.finish())
}

fn chat(messages: &str) -> Option<u64> {
    beginning(CHAT, &format!(r#"{{"model":"m","messages":{messages}}}"#))
}

fn messages(system: &Value, messages: &Value) -> Option<u64> {
    let body = json!({"model": "m", "system": system, "messages": messages});
    beginning(Ask::Messages, &body.to_string())
}

fn responses(more: &str) -> Option<u64> {
    beginning(Ask::Responses, &format!(r#"{{"model":"m",{more}}}"#))
}

#[test]
fn names_are_texts_that_are_not_empty() {
    for ask in [CHAT, Ask::Responses] {
        assert_eq!(names(ask, ""), [None, None, None]);
        assert_eq!(
            names(
                ask,
                r#""user":"u","session_id":"s\u0031","prompt_cache_key":"p","#
            ),
            [
                Some("s1".to_owned()),
                Some("p".to_owned()),
                Some("u".to_owned())
            ]
        );
        assert_eq!(
            names(ask, r#""user":null,"session_id":"","prompt_cache_key":7,"#),
            [None, None, None]
        );
    }
    let of = |more: &str| names(Ask::Messages, more);
    assert_eq!(
        of(r#""session_id":"s\n","metadata":{"user_id":"u"},"#),
        [Some("s\n".to_owned()), None, Some("u".to_owned())]
    );
    assert_eq!(
        of(r#""session_id":7,"metadata":{"user_id":""},"#),
        [None, None, None]
    );
    assert_eq!(of(r#""metadata":7,"#), [None, None, None]);
}

#[test]
fn a_user_of_messages_that_names_a_session_is_one() {
    let of = |user: &str| {
        let user = serde_json::to_string(user).unwrap();
        let [session, _, _] = names(
            Ask::Messages,
            &format!(r#""metadata":{{"user_id":{user}}},"#),
        );
        session
    };
    let older = "user_ab12_account_cd34_session_57a1";
    let newer = r#"{"device_id":"ab12","account_uuid":"","session_id":"54c1"}"#;
    for user in [older, newer] {
        assert_eq!(of(user).as_deref(), Some(user));
    }
    assert_eq!(of("ab12"), None, "one user has many conversations");
    let named = format!(r#""session_id":"s","metadata":{{"user_id":"{older}"}},"#);
    assert_eq!(names(Ask::Messages, &named)[0], Some("s".to_owned()));
}

#[test]
fn a_name_with_escapes_is_the_same_name() {
    let list = r#" [ {"role":"user" , "content":"hi"} , 7 ] "#;
    let plain = beginning(CHAT, &format!(r#"{{"messages":{list},"model":"m"}}"#));
    let escaped = format!(r#"{{"mess\u0061ges" : {list} , "model":"m"}}"#);
    assert!(plain.is_some());
    assert_eq!(beginning(CHAT, &escaped), plain);
}

#[test]
fn a_chat_begins_the_same_in_every_turn() {
    let system = r#"{"role":"system","content":"be brief"}"#;
    let user = r#"{"role":"user","content":"hi"}"#;
    let first = chat(&format!("[{system},{user}]"));
    assert!(first.is_some());
    let later = format!(r#"[{system},{user},{{"role":"assistant","content":"yes"}},{user}]"#);
    assert_eq!(chat(&later), first);
    let second_instruction = format!(r#"[{system},{{"role":"developer","content":"now"}},{user}]"#);
    assert_eq!(chat(&second_instruction), first);
    for other in [
        format!("[{user}]"),
        format!(r#"[{system},{{"role":"user","content":"ho"}}]"#),
        r#"[{"role":"system","content":"be brie"},{"role":"user","content":"fhi"}]"#.to_owned(),
    ] {
        assert_ne!(chat(&other), first, "{other}");
        assert!(chat(&other).is_some());
    }
    for none in ["[]", &format!("[{system}]"), "[7]", "null", r#"{"a":1}"#] {
        assert_eq!(chat(none), None, "{none}");
    }
}

#[test]
fn marks_of_what_to_cache_do_not_tell_turns_apart_and_images_do() {
    let with = |part: &str| chat(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
    let plain = with(r#"{"type":"text","text":"hi"}"#);
    assert!(plain.is_some());
    let marked = with(r#"{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}"#);
    assert_eq!(marked, plain);
    let image = |url: &str| {
        with(&format!(
            r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#
        ))
    };
    assert_ne!(image("a"), image("b"));
}

#[test]
fn messages_begin_with_their_system_and_the_same_in_every_turn() {
    let system = json!("be brief");
    let user = json!({"role": "user", "content": "hi"});
    let first = messages(&system, &json!([user]));
    assert!(first.is_some());
    let later = json!([user, {"role": "assistant", "content": "yes"}, user]);
    assert_eq!(messages(&system, &later), first);
    let marked =
        json!([{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}]);
    let block =
        json!([{"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {}}]}]);
    assert_eq!(messages(&marked, &block), first);
    let said = |content: Value| json!([{"role": "user", "content": content}]);
    let image = |url: &str| said(json!([{"type": "image", "source": {"url": url}}]));
    for (system, turns) in [
        (json!(null), json!([user])),
        (json!("be brie"), said(json!("fhi"))),
        (json!("be brief"), said(json!("ho"))),
        (json!("be brief"), image("a")),
    ] {
        let other = messages(&system, &turns);
        assert!(other.is_some() && other != first, "{turns}");
    }
    assert_ne!(
        messages(&system, &image("a")),
        messages(&system, &image("b"))
    );
    for none in [json!([]), json!([7]), json!({"a": 1})] {
        assert_eq!(messages(&system, &none), None, "{none}");
    }
}

#[test]
fn responses_begin_with_their_instructions_and_the_same_in_every_turn() {
    let first = responses(r#""instructions":"i","input":[{"role":"user","content":"hi"}]"#);
    assert!(first.is_some());
    for same in [
        r#""instructions":"i","input":"hi""#,
        r#""instructions":"i","input":[{"role":"developer","content":"x"},{"role":"user","content":"hi"},{"role":"assistant","content":"yes"}]"#,
        r#""instructions":"i","input":[{"type":"reasoning","summary":[]},{"role":"user","content":[{"type":"input_text","text":"hi"}]}]"#,
    ] {
        assert_eq!(responses(same), first, "{same}");
    }
    for other in [
        r#""instructions":"j","input":[{"role":"user","content":"hi"}]"#,
        r#""input":"hi""#,
        r#""instructions":"i","input":[{"role":"user","content":[{"type":"input_file","file_id":"f"}]}]"#,
    ] {
        let found = responses(other);
        assert!(found.is_some() && found != first, "{other}");
    }
    for none in ["[]", "7", r#"[{"type":"function_call_output"}]"#] {
        assert_eq!(responses(&format!(r#""input":{none}"#)), None, "{none}");
    }
}

#[test]
fn only_responses_go_on_with_an_answer_that_its_provider_keeps() {
    let earlier = |ask: Ask, more: &str| {
        let body = format!(r#"{{{more}"model":"m","messages":[],"input":[]}}"#);
        let (request, body) = request(ask, &body);
        request.earlier_answer(&body).map(Cow::into_owned)
    };
    let named = r#""previous_response_id":"resp_1","#;
    assert_eq!(earlier(Ask::Responses, named), Some("resp_1".to_owned()));
    for none in [
        "",
        r#""previous_response_id":null,"#,
        r#""conversation":"c","#,
    ] {
        assert_eq!(earlier(Ask::Responses, none), None, "{none}");
    }
    assert_eq!(earlier(CHAT, named), None);
}

#[test]
fn long_texts_are_told_apart_by_their_length_and_both_ends() {
    let said = |text: &str| chat(&format!(r#"[{{"role":"user","content":"{text}"}}]"#));
    let filler = "x".repeat(5_000);
    let text = format!("a{filler}z");
    assert_eq!(said(&text), said(&text));
    for other in [
        format!("b{filler}z"),
        format!("a{filler}y"),
        format!("a{filler}xz"),
    ] {
        assert_ne!(said(&other), said(&text));
    }
    // As many bytes as both ends, and one more: each counts.
    for length in [1_022, 1_023] {
        let with = |at: usize| format!("{}y{}", "x".repeat(at), "x".repeat(length - at - 1));
        assert_ne!(said(&with(510)), said(&with(0)), "{length}");
    }
}
