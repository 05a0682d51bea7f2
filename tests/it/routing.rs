//! Who gets a request: the policies, and the way out of a silent endpoint.

use std::time::Duration;

use mainstay::cmd::mock::Kind;

use crate::harness::{Config, failing, fast, mock};
use crate::raw::{Ended, Request, Via};

/// Twenty-five streams teach the speed of the first provider; then it falls silent, and four clients wait.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_black_hole_are_answered_elsewhere_before_any_deadline() {
    let (dark, light) = (mock(fast()).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("dark", dark.addr())
        .provider("light", light.addr())
        .model("ref/hole", &["dark", "light"])
        .start();
    let request = Request::stream("ref/hole");
    for _ in 0..25 {
        assert_eq!(proxy.call(Via::H1, &request).await.status, 200);
    }
    assert_eq!((dark.arrivals(), light.arrivals()), (25, 0));
    dark.set(failing(Kind::Silence {
        lasts: Duration::from_secs(120),
    }));
    let ask = || proxy.call(Via::H1, &request);
    let answers: [_; 4] = tokio::join!(ask(), ask(), ask(), ask()).into();
    for answer in &answers {
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    }
    // The learnt deadline is six seconds and would be counted as a timeout.
    let family = "mainstay_attempts_total";
    let stalled = [("provider", "dark"), ("outcome", "stalled")];
    proxy.counts(family, &stalled, 4.0).await;
    let metrics = proxy.metrics().await;
    let late = [("outcome", "first_token_timeout")];
    assert!(metrics.sum(family, &late) < 0.5);
    let state = [("provider", "dark"), ("state", "closed")];
    assert!(metrics.sum("mainstay_endpoint_state", &state) < 0.5);
}

/// Who answered ten requests, of a model listed with the dearer provider first.
async fn answered(policy: &str) -> (u64, u64) {
    let (dear, cheap) = (mock(fast()).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("dear", dear.addr())
        .provider("cheap", cheap.addr())
        .raw_model(
            "ref/m",
            "endpoints: [{ provider: dear, price: { prompt: 9, completion: 9 } }, \
             { provider: cheap, price: { prompt: 1, completion: 1 } }], policy: tried",
        )
        .policy_named("tried", policy)
        .start();
    for _ in 0..10 {
        let answer = proxy.call(Via::H1, &Request::stream("ref/m")).await;
        assert_eq!(answer.status, 200);
    }
    (dear.arrivals(), cheap.arrivals())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_decides_who_answers() {
    assert_eq!(answered("sort: ordered").await, (10, 0));
    assert_eq!(answered("sort: cost").await, (0, 10));
    let split = "split: { ref/m@dear/default: 100, ref/m@cheap/default: 0 }";
    assert_eq!(answered(split).await.1, 0);
    let price = "weights: { latency: 0, throughput: 0, uptime: 0 }";
    assert_eq!(answered(price).await, (0, 10));
}
