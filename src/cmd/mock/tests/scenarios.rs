//! Owns one story for each of S01 to S16, on the wire. Durations are scaled to 1/200 but for one.

use std::time::{Duration, Instant};

use super::*;
use crate::cmd::mock::Fate;

async fn stream_of(model: &str) -> Answer {
    once(&start(fast()).await, stream(model)).await
}

async fn json_of(model: &str) -> Answer {
    once(&start(fast()).await, chat(model, "")).await
}

async fn statuses(mock: &Mock, model: &str, count: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..count {
        statuses.push(once(mock, stream(model)).await.status());
    }
    statuses
}

fn is_whole(answer: &Answer) -> bool {
    answer.end == Ended::Whole
        && answer.content() == fast().answer()
        && answer.data().last() == Some(&"[DONE]")
}

#[tokio::test]
async fn healthy_stream_is_the_sixty_words_with_usage_and_done() {
    let answer = stream_of("any").await;
    assert!(is_whole(&answer), "{answer:?}");
    assert_eq!(answer.content().split_whitespace().count(), 60);
    let events = answer.events();
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(
        events[..62]
            .iter()
            .all(|event| event["usage"].is_null() && event["model"] == "any")
    );
    assert_eq!(events[61]["choices"][0]["finish_reason"], "stop");
    assert_eq!(events[62]["choices"], serde_json::json!([]));
    assert_eq!(events[62]["usage"]["completion_tokens"], 60);
}

#[tokio::test]
async fn s01_is_rate_limited_once_per_model() {
    let mock = start(fast()).await;
    let first = once(&mock, stream("x/gpt-S01")).await;
    assert_eq!(
        (first.status(), first.header("retry-after")),
        (429, Some("2"))
    );
    assert_eq!(first.json()["error"]["code"], "rate_limit_exceeded");
    assert!(is_whole(&once(&mock, stream("x/gpt-S01")).await));
    assert_eq!(once(&mock, stream("s01")).await.status(), 429);
}

#[tokio::test]
async fn s02_is_rate_limited_for_ever_without_retry_after() {
    let mock = start(fast()).await;
    assert_eq!(once(&mock, stream("s02")).await.header("retry-after"), None);
    assert_eq!(statuses(&mock, "s02", 3).await, [429, 429, 429]);
}

#[tokio::test]
async fn s03_fails_once() {
    assert_eq!(
        statuses(&start(fast()).await, "s03", 3).await,
        [500, 200, 200]
    );
}

#[tokio::test]
async fn s04_and_s16_fail_for_ever() {
    let mock = start(fast()).await;
    assert_eq!(statuses(&mock, "s04", 3).await, [503; 3]);
    assert_eq!(statuses(&mock, "s16", 3).await, [503; 3]);
}

#[tokio::test]
async fn s05_resets_the_first_connection_before_any_byte() {
    let mock = start(fast()).await;
    let first = once(&mock, stream("s05")).await;
    assert_eq!((first.head.as_str(), first.end), ("", Ended::Reset));
    assert!(is_whole(&once(&mock, stream("s05")).await));
    assert_eq!(mock.received()[0].fate, Fate::Cut);
}

#[tokio::test]
async fn s06_is_silent_and_then_closes() {
    let begun = Instant::now();
    let answer = stream_of("s06").await;
    assert_eq!((answer.head.as_str(), &answer.end), ("", &Ended::Closed));
    assert!(
        begun.elapsed() >= Duration::from_millis(600),
        "120 s at 1/200"
    );
}

#[tokio::test]
async fn s07_sends_its_head_long_before_its_first_token() {
    let mock = start(Script {
        scale: 0.02,
        ..fast()
    })
    .await;
    let mut client = Client::connect(&mock).await;
    let begun = Instant::now();
    client.send(stream("s07")).await;
    client
        .until(b"\r\n\r\n", &mut Answer::default())
        .await
        .unwrap();
    assert!(
        begun.elapsed() < Duration::from_millis(300),
        "the head is not held back"
    );
    let mut answer = Answer::default();
    client.chunked(&mut answer).await;
    assert!(is_whole(&answer));
    assert!(
        begun.elapsed() >= Duration::from_millis(400),
        "20 s at 1/50"
    );
}

#[tokio::test]
async fn s07_as_json_comes_late_and_whole() {
    let begun = Instant::now();
    assert_eq!(
        json_of("s07").await.json()["choices"][0]["message"]["content"],
        fast().answer()
    );
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn s08_and_s14_die_after_forty_tokens_without_a_last_chunk() {
    for model in ["s08", "s14"] {
        let answer = stream_of(model).await;
        assert_eq!(answer.end, Ended::Closed);
        assert_eq!(answer.content().split_whitespace().count(), 40);
    }
}

#[tokio::test]
async fn s08_as_json_is_shorter_than_its_length_says() {
    let answer = json_of("s08").await;
    let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(
        (answer.end, answer.body.len()),
        (Ended::Closed, promised * 40 / 60)
    );
}

#[tokio::test]
async fn s09_stalls_after_twenty_tokens_and_closes() {
    for request in [stream("s09"), chat("s09", "")] {
        let mock = start(fast()).await;
        let begun = Instant::now();
        let answer = once(&mock, &request).await;
        assert_eq!(answer.end, Ended::Closed);
        assert!(
            begun.elapsed() >= Duration::from_millis(150),
            "30 s at 1/200"
        );
        let is_stream = answer.header("content-length").is_none();
        assert!(!is_stream || answer.content().split_whitespace().count() == 20);
    }
}

#[tokio::test]
async fn s10_has_an_invalid_tenth_event_and_is_whole_without_it() {
    let answer = stream_of("s10").await;
    assert!(is_whole(&answer));
    let valid: Vec<_> = answer
        .data()
        .iter()
        .map(|data| serde_json::from_str::<serde_json::Value>(data).is_ok())
        .collect();
    assert_eq!(valid.iter().position(|valid| !valid), Some(9));
}

#[tokio::test]
async fn s11_is_whole_but_for_done() {
    let answer = stream_of("s11").await;
    assert_eq!(
        (&answer.end, answer.content()),
        (&Ended::Whole, fast().answer())
    );
    assert!(!answer.text().contains("[DONE]"));
    assert!(answer.events().last().unwrap()["usage"].is_object());
}

#[tokio::test]
async fn s10_and_s11_as_json_are_healthy() {
    for model in ["s10", "s11"] {
        let answer = json_of(model).await;
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            fast().answer()
        );
    }
}

#[tokio::test]
async fn s12_and_s13_refuse_the_request() {
    let mock = start(fast()).await;
    let (context, policy) = (
        once(&mock, stream("s12")).await,
        once(&mock, chat("s13", "")).await,
    );
    assert_eq!((context.status(), policy.status()), (400, 400));
    let error = &context.json()["error"];
    assert_eq!(error["code"], "context_length_exceeded");
    assert_eq!(
        (&error["type"], &error["param"]),
        (&"invalid_request_error".into(), &"messages".into())
    );
    assert_eq!(policy.json()["error"]["code"], "content_policy_violation");
}

#[tokio::test]
async fn s15_recovers_when_its_minute_is_over() {
    let mock = start(fast()).await;
    assert_eq!(statuses(&mock, "s15", 2).await, [503, 503]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(statuses(&mock, "s15", 1).await, [200]);
}

#[tokio::test]
async fn a_name_that_only_resembles_a_scenario_is_healthy() {
    let mock = start(fast()).await;
    for model in ["opus16", "s17", "s4", "s04-mini", "é04", ""] {
        assert_eq!(statuses(&mock, model, 1).await, [200], "{model}");
    }
}
