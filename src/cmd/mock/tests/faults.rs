//! Owns the tests of the fault kinds that no scenario uses, and of their composition by script.

use std::time::Duration;

use super::*;
use crate::cmd::mock::{Chatter, Cut, ErrorBody, Fate, Fault, Kind};

async fn under(kind: Kind, request: impl AsRef<[u8]>) -> Answer {
    let fault = Some(Fault::always(kind));
    once(&start(Script { fault, ..fast() }).await, request).await
}

fn words(answer: &Answer) -> usize {
    answer.content().split_whitespace().count()
}

#[tokio::test]
async fn a_cut_ends_as_it_is_told() {
    for (how, end) in [
        (Cut::Close, Ended::Closed),
        (Cut::Reset, Ended::Reset),
        (Cut::CleanEnd, Ended::Whole),
    ] {
        let answer = under(Kind::CutAfter { tokens: 3, how }, stream("m")).await;
        assert_eq!(answer.end, end);
        assert!(
            how == Cut::Reset || words(&answer) == 3,
            "{how:?}: {answer:?}"
        );
        assert!(!answer.text().contains("finish_reason\":\"stop"));
    }
}

#[tokio::test]
async fn a_cut_before_the_first_token_leaves_the_role() {
    let answer = under(
        Kind::CutAfter {
            tokens: 0,
            how: Cut::Close,
        },
        stream("m"),
    )
    .await;
    assert_eq!((answer.events().len(), answer.end), (1, Ended::Closed));
}

#[tokio::test]
async fn a_stall_that_resumes_is_whole() {
    let kind = Fault::parse("{kind: stall_after, tokens: 2, for: 5ms, resumes: true}")
        .unwrap()
        .kind;
    let answer = under(kind, stream("m")).await;
    assert_eq!((words(&answer), answer.end), (60, Ended::Whole));
}

#[tokio::test]
async fn an_error_event_is_the_last_one() {
    let kind = Kind::ErrorEvent {
        at: 4,
        body: ErrorBody::Overloaded,
    };
    let answer = under(kind.clone(), stream("m")).await;
    assert_eq!(
        (answer.data().len(), words(&answer), &answer.end),
        (4, 2, &Ended::Whole)
    );
    assert!(answer.events()[3]["error"]["message"].is_string());
    let json = under(kind, chat("m", "")).await;
    assert_eq!(
        (json.status(), json.json()["error"]["type"].as_str()),
        (200, Some("server_error"))
    );
}

#[tokio::test]
async fn a_stream_may_lack_its_finish_reason() {
    let answer = under(Kind::NoFinish, stream("m")).await;
    assert_eq!((words(&answer), &answer.end), (60, &Ended::Whole));
    assert!(
        answer
            .events()
            .iter()
            .all(|event| event["choices"][0]["finish_reason"].is_null())
    );
}

#[tokio::test]
async fn an_empty_answer_is_null_with_zero_tokens() {
    let json = under(Kind::Empty, chat("m", "")).await.json();
    assert!(json["choices"][0]["message"]["content"].is_null());
    assert_eq!(json["usage"]["completion_tokens"], 0);
    assert_eq!(words(&under(Kind::Empty, stream("m")).await), 0);
}

#[tokio::test]
async fn broken_bodies_keep_their_framing() {
    for kind in [
        Kind::TruncatedJson,
        Kind::TruncatedGzip,
        Kind::Html { status: 200 },
    ] {
        let answer = under(kind.clone(), chat("m", "")).await;
        assert_eq!(
            (answer.status(), &answer.end),
            (200, &Ended::Whole),
            "{kind:?}"
        );
        assert!(
            serde_json::from_slice::<serde_json::Value>(&answer.body).is_err(),
            "{kind:?}"
        );
    }
    let answer = under(Kind::TruncatedJson, stream("m")).await;
    assert_eq!((words(&answer), &answer.end), (30, &Ended::Whole));
    assert!(!answer.text().ends_with("\n\n"));
}

#[tokio::test]
async fn chatter_never_holds_a_token() {
    for what in [Chatter::Comment, Chatter::Role] {
        let (every, lasts) = (Duration::from_millis(1), Duration::from_millis(5));
        let answer = under(Kind::Chatter { what, every, lasts }, stream("m")).await;
        assert_eq!(
            (words(&answer), answer.chunks.len(), &answer.end),
            (0, 5, &Ended::Closed)
        );
    }
}

#[tokio::test]
async fn a_slow_drip_paces_every_token() {
    let script = Script {
        tokens: 5,
        ..fast()
    };
    let fault = Some(Fault::always(Kind::SlowDrip {
        pace: Duration::from_millis(10),
    }));
    let begun = std::time::Instant::now();
    let answer = once(&start(Script { fault, ..script }).await, stream("m")).await;
    assert_eq!(words(&answer), 5);
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_reused_connection_is_stale_and_a_fresh_one_is_not() {
    let fault = Some(Fault::always(Kind::StaleReuse));
    let mock = start(Script { fault, ..fast() }).await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(client.call(chat("m", "")).await.status(), 200);
    let second = client.call(chat("m", "")).await;
    assert_eq!((second.head.as_str(), second.end), ("", Ended::Closed));
    assert_eq!(mock.received()[1].fate, Fate::Cut);
}

#[tokio::test]
async fn prefill_is_refused_or_continued() {
    let body = r#"{"model":"m","messages":[{"role":"assistant","content":"A harbour "}]}"#;
    let prefilled = request("POST", "/v1/chat/completions", body);
    let refused = under(Kind::RejectPrefill, &prefilled).await;
    assert_eq!(refused.status(), 400);
    assert_eq!(
        under(Kind::RejectPrefill, chat("m", "")).await.status(),
        200
    );
    let continued = once(
        &start(Script {
            continues: true,
            ..fast()
        })
        .await,
        &prefilled,
    )
    .await;
    let content = continued.json()["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(format!("A harbour {content}"), fast().answer());
}

#[tokio::test]
async fn a_status_brings_its_headers_and_text() {
    let text = r#"{"kind":"status","status":429,"retry_after":"1","headers":{"retry-after-ms":"0"},"text":"{}","first":1}"#;
    let mock = start(Script {
        fault: Some(Fault::parse(text).unwrap()),
        ..fast()
    })
    .await;
    let answer = once(&mock, chat("m", "")).await;
    assert_eq!((answer.status(), answer.text()), (429, "{}"));
    assert_eq!(
        (
            answer.header("retry-after"),
            answer.header("retry-after-ms")
        ),
        (Some("1"), Some("0"))
    );
    assert_eq!(once(&mock, chat("m", "")).await.status(), 200);
}

#[tokio::test]
async fn the_overall_fault_comes_before_the_models_and_spoils_health() {
    let fault = Some(Fault::always(Kind::status(502)));
    let mock = start(Script { fault, ..fast() }).await;
    assert_eq!(once(&mock, stream("s12")).await.status(), 502);
    assert_eq!(
        once(&mock, request("GET", "/health", "")).await.status(),
        502
    );
    mock.update(|script| script.fault = None);
    assert_eq!(once(&mock, stream("s12")).await.status(), 400);
    assert_eq!(
        once(&mock, request("GET", "/health", "")).await.status(),
        200
    );
}

#[tokio::test]
async fn scripted_models_go_by_full_name_slug_and_scenario() {
    let script =
        Script::parse("models: { a/m: s12, n: s13, s01: reset }\nfirst_token: 0s\npace: 0s")
            .unwrap();
    let mock = start(script).await;
    assert_eq!(once(&mock, chat("a/m", "")).await.status(), 400);
    assert_eq!(once(&mock, chat("b/m", "")).await.status(), 200);
    assert_eq!(once(&mock, chat("any/n", "")).await.status(), 400);
    assert_eq!(once(&mock, chat("gpt-s01", "")).await.end, Ended::Reset);
}

#[tokio::test]
async fn a_share_of_requests_fails() {
    let mock = start(Script {
        fail: 0.5,
        status: 500,
        seed: Some(7),
        ..fast()
    })
    .await;
    let mut client = Client::connect(&mock).await;
    let mut failed = 0;
    for _ in 0..100 {
        failed += u32::from(client.call(chat("m", "")).await.status() == 500);
    }
    assert!((30..70).contains(&failed), "{failed}");
}

#[tokio::test]
async fn refused_connections_are_reset() {
    let mock = start(Script {
        refuse: true,
        ..fast()
    })
    .await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(client.answer().await.end, Ended::Reset);
    mock.update(|script| script.refuse = false);
    assert_eq!(once(&mock, chat("m", "")).await.status(), 200);
}
