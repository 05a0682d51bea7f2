//! What passes between a client and an upstream of the same dialect stays as it was written, apart from the
//! model's name and what the router itself asked for.

use std::num::NonZeroUsize;

use mainstay::cmd::mock::{Fault, Kind, Mock, Script};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{self, Answer, BOTH, Ended, Request, Via};
use crate::upstream::Literal;

async fn behind(script: Script) -> (Mock, Proxy) {
    let mock = mock(script).await;
    let config = Config::new().provider("one", mock.addr());
    (mock, config.model("acme/m-1", &["one"]).start())
}

/// The number after `"created":`, and the text of `"id":`.
fn changing(text: &str) -> (&str, &str) {
    let after = |mark: &str| text.split_once(mark).unwrap().1;
    let id = after(r#""id":""#).split_once('"').unwrap().0;
    let created = after(r#""created":"#).split_once(',').unwrap().0;
    (id, created)
}

/// What the provider says to the same request, with the id and time of `like` and the catalogue's name.
async fn direct(mock: &Mock, more: &str, like: &Answer) -> String {
    let answer = raw::call(Via::H1, mock.addr(), &Request::chat_with("m-1", more)).await;
    let text = answer.text().to_owned();
    let ((id, created), (like_id, like_created)) = (changing(&text), changing(like.text()));
    text.replace(id, like_id)
        .replace(&format!(":{created},"), &format!(":{like_created},"))
        .replace(r#""model":"m-1""#, r#""model":"acme/m-1""#)
}

const ASKED: &str = r#","stream":true,"stream_options":{"include_usage":true}"#;
const NOT_ASKED: &str = r#","stream":true"#;

/// The text without its usage chunk.
fn without_usage_chunk(text: &str) -> String {
    let events = text.split_inclusive("\n\n");
    events
        .filter(|event| !event.contains(r#""choices":[]"#))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_arrives_byte_for_byte_with_the_catalogues_name() {
    for split in [None, NonZeroUsize::new(1), NonZeroUsize::new(7)] {
        let (mock, proxy) = behind(Script { split, ..fast() }).await;
        for via in BOTH {
            let request = Request::chat_with("acme/m-1", ASKED);
            let answer = proxy.call(via, &request).await;
            assert_eq!(answer.end, Ended::Whole);
            let expected = direct(&mock, ASKED, &answer).await;
            assert_eq!(answer.text(), expected, "split {split:?}");
            assert!(answer.usage().is_some(), "usage was asked for");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_usage_chunk_that_only_the_router_asked_for_is_left_out() {
    let (mock, proxy) = behind(fast()).await;
    let answer = proxy.send(&Request::chat_with("acme/m-1", NOT_ASKED)).await;
    let expected = direct(&mock, ASKED, &answer).await;
    assert_eq!(answer.text(), without_usage_chunk(&expected));
    assert!(answer.usage().is_none());
    assert_eq!(answer.content(), Script::default().answer());
    // The router learns of the tokens all the same.
    let log = proxy.access_log(1).await;
    assert_eq!(log[0]["completion_tokens"], 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_answer_arrives_byte_for_byte_with_the_catalogues_name() {
    for split in [None, NonZeroUsize::new(1), NonZeroUsize::new(7)] {
        let (mock, proxy) = behind(Script { split, ..fast() }).await;
        for via in BOTH {
            let answer = proxy.call(via, &Request::chat("acme/m-1")).await;
            assert_eq!(answer.end, Ended::Whole);
            assert_eq!(answer.text(), direct(&mock, "", &answer).await);
        }
    }
}

/// What the upstream gets for what a client writes.
async fn sent_for(body: &str) -> String {
    let (mock, proxy) = behind(fast()).await;
    let answer = proxy
        .send(&Request::post("/v1/chat/completions", body.to_owned()))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let received = mock.received().pop().unwrap();
    String::from_utf8(received.body.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_keeps_its_spelling() {
    let body = "{ \"x_unknown\" : {\"a\":[1e5, 1.0, 18446744073709551616]},\n\t\"temperature\": 0.70, \
                \"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9 \u{e9}\"}] , \"model\" : \"acme/m-1\",\
                \"seed\":9007199254740993,\"stream\" : false}\n";
    assert_eq!(sent_for(body).await, body.replace("acme/m-1", "m-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_for_a_router_stay_with_the_router() {
    let body = r#"{"models":["a/b"],"model":"acme/m-1","route":"fallback","messages":[],"provider":{"order":["x"]},
        "transforms":[],"plugins":[],"preset":"p","session_id":"s","usage":{"include":true},"user":"u"}"#;
    let sent: serde_json::Value = serde_json::from_str(&sent_for(body).await).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({"model": "m-1", "messages": [], "user": "u"})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_asked_for_in_streams_only() {
    let message = r#""messages":[{"role":"user","content":"hi"}]"#;
    let table = [
        (
            format!(r#"{{"model":"acme/m-1",{message},"stream":true}}"#),
            format!(
                r#"{{"model":"m-1","stream_options":{{"include_usage":true}},{message},"stream":true}}"#
            ),
        ),
        (
            format!(
                r#"{{"model":"acme/m-1",{message},"stream":true,"stream_options":{{"include_usage":false}}}}"#
            ),
            format!(
                r#"{{"model":"m-1",{message},"stream":true,"stream_options":{{"include_usage":true}}}}"#
            ),
        ),
        (
            format!(r#"{{"model":"acme/m-1",{message}}}"#),
            format!(r#"{{"model":"m-1",{message}}}"#),
        ),
    ];
    for (body, expected) in table {
        assert_eq!(sent_for(&body).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_its_own_key_and_none_of_the_clients_headers() {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("acme/m-1", &["one"])
        .top("auth: { keys: [{ name: app, key: client-key-9e1 }] }")
        .start();
    let request = Request::stream("acme/m-1")
        .key("client-key-9e1")
        .header("cookie", "session=1")
        .header("x-api-key", "client-key-9e1")
        .header("user-agent", "tests/1")
        .header("traceparent", "00-1-2-01");
    assert_eq!(proxy.send(&request).await.status, 200);
    let received = mock.received().pop().unwrap();
    let key = format!("Bearer {}", crate::harness::provider_key("one"));
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.header("authorization"), Some(key.as_str()));
    assert_eq!(received.header("accept"), Some("text/event-stream"));
    assert_eq!(received.header("user-agent"), Some("tests/1"));
    assert_eq!(received.header("traceparent"), Some("00-1-2-01"));
    assert_eq!(received.header("cookie"), None);
    assert_eq!(received.header("x-api-key"), None);
    assert_eq!(
        received.header("host"),
        Some(mock.addr().to_string().as_str())
    );
}

async fn relayed(content_type: &str, body: &str) -> Answer {
    let upstream = Literal::of(content_type, body).await;
    let proxy = Config::new()
        .provider("one", upstream.address)
        .model("acme/m-1", &["one"])
        .start();
    let answer = proxy.send(&Request::stream("acme/m-1")).await;
    assert_eq!(
        (answer.status, answer.end),
        (200, Ended::Whole),
        "{answer:?}"
    );
    answer
}

const CHUNK: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"acme/m-1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}"#;

#[tokio::test(flavor = "multi_thread")]
async fn comments_and_unknown_fields_of_events_pass() {
    let whole = [
        format!(
            ": hello\n\n: PROCESSING\n\nevent: message\nid: 7\nretry: 10\ndata: {CHUNK}\n\ndata: [DONE]\n\n"
        ),
        format!("data:{CHUNK}\r\n\r\n: between\r\n\r\ndata: [DONE]\r\n\r\n"),
        format!(": before\ndata: {CHUNK}\n: behind\n\ndata: [DONE]\n\n"),
    ];
    for body in whole {
        assert_eq!(relayed("text/event-stream", &body).await.text(), body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lacks_its_marker_or_last_blank_line_gets_them() {
    let marked = format!("data: {CHUNK}\n\ndata: [DONE]\n\n");
    for body in [
        format!("data: {CHUNK}\n\n"),
        format!("data: {CHUNK}\n\ndata: [DONE]"),
    ] {
        let answer = relayed("text/event-stream", &body).await;
        let text = answer.text().replace("[DONE]\n\n\n", "[DONE]\n\n");
        assert_eq!(text, marked, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_choices_and_tool_calls_arrive_whole() {
    let (mock, proxy) = behind(fast()).await;
    let tools =
        r#","tools":[{"type":"function","function":{"name":"find"}}],"tool_choice":"required""#;
    for more in [r#","n":3"#, tools] {
        let asked = format!("{ASKED}{more}");
        let answer = proxy.send(&Request::chat_with("acme/m-1", &asked)).await;
        assert_eq!(answer.text(), direct(&mock, &asked, &answer).await);
        let answer = proxy.send(&Request::chat_with("acme/m-1", more)).await;
        assert_eq!(answer.text(), direct(&mock, more, &answer).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_its_finish_is_never_ended_cleanly() {
    let (_mock, proxy) = behind(Script {
        fault: Some(Fault::always(Kind::NoFinish)),
        ..fast()
    })
    .await;
    for via in BOTH {
        let answer = proxy.call(via, &Request::stream("acme/m-1")).await;
        assert_eq!(answer.content(), Script::default().answer());
        assert_ne!(answer.end, Ended::Whole);
        assert!(!answer.is_done());
    }
}

/// Longer than what is held back: the answer passes as it comes, without a length, and still whole.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_long_to_hold_passes_whole_with_the_catalogues_name() {
    let words = "long ".repeat(1000).replace(' ', "") + " " + &"er".repeat(4000);
    let (mock, proxy) = behind(Script { words, ..fast() }).await;
    for via in BOTH {
        let answer = proxy.call(via, &Request::chat("acme/m-1")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert!(answer.body.len() > 300_000);
        let expected = direct(&mock, "", &answer).await;
        assert!(answer.text() == expected, "{:.300}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_too_long_to_hold_that_breaks_off_is_never_ended_cleanly() {
    let cut = Kind::CutAfter {
        tokens: 40,
        how: mainstay::cmd::mock::Cut::Close,
    };
    let fault = Some(Fault::always(cut));
    let (_mock, proxy) = behind(Script {
        words: "er".repeat(4000),
        fault,
        ..fast()
    })
    .await;
    for via in BOTH {
        let answer = proxy.call(via, &Request::chat("acme/m-1")).await;
        assert_ne!(answer.end, Ended::Whole);
    }
}

/// A client of HTTP/1.0 knows neither chunks nor kept connections.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_http_1_0_is_served() {
    let (_mock, proxy) = behind(fast()).await;
    let mut client = raw::H1::connect(proxy.data).await;
    let body = r#"{"model":"acme/m-1","messages":[],"stream":true}"#;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write(head.as_bytes()).await;
    client.write(body.as_bytes()).await;
    let mut answer = client.head().await;
    assert_eq!(
        (answer.status, answer.header("transfer-encoding")),
        (200, None),
        "{answer:?}"
    );
    client.read_out(&mut answer).await;
    assert!(answer.is_done(), "{answer:?}");
    assert_eq!(answer.content(), Script::default().answer());
}
