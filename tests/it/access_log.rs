//! The access log in an outage: it neither floods nor loses a count.

use std::time::Duration;

use mainstay::cmd::mock::Kind;
use serde_json::Value;

use crate::harness::{Config, eventually, failing, fast, mock};
use crate::raw::{PATIENCE, Request};

const REQUESTS: u64 = 120;

fn exchanges(lines: &[Value]) -> u64 {
    lines
        .iter()
        .map(|line| line["repeated"].as_u64().unwrap_or(1))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_and_again_is_counted_and_what_is_answered_is_told_each_time() {
    let (bad, good) = (mock(failing(Kind::status(400))).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/ill", &["bad"])
        .model("t/well", &["good"])
        .start();
    for _ in 0..REQUESTS {
        assert_eq!(proxy.send(&Request::chat("t/ill")).await.status, 400);
    }
    for _ in 0..40 {
        assert_eq!(proxy.send(&Request::chat("t/well")).await.status, 200);
    }
    let of = |model: &str| {
        let lines: Vec<Value> = proxy
            .output()
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        let of = lines.into_iter().filter(|line| line["model"] == model);
        of.collect::<Vec<Value>>()
    };
    let all = || exchanges(&of("t/ill")) >= REQUESTS && of("t/well").len() >= 40;
    eventually("all of them", PATIENCE, all).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        exchanges(&of("t/ill")),
        REQUESTS,
        "none is lost, none told twice"
    );
    assert_eq!(of("t/well").len(), 40);
    assert!(of("t/well").iter().all(|line| line["repeated"].is_null()));
    // On a slow machine they spread over many seconds, and fewer are folded.
    for line in of("t/ill") {
        assert_eq!(line["result"], "failed");
        assert!(line["request_id"].is_string() && line["attempts"][0]["start_ms"].is_u64());
    }
}
