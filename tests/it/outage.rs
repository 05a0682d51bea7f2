//! X17: every endpoint of a model is bad. Extra attempts stay within the retry budget, and the client is told what
//! helps it most.

use std::sync::Arc;

use mainstay::cmd::mock::{Kind, Mock};
use tokio::task::JoinSet;

use crate::harness::{Config, Proxy, failing, mock};
use crate::raw::{Answer, Request};

const REQUESTS: usize = 240;

async fn all_bad(one: Kind, two: Kind, top: &str) -> (Mock, Mock, Arc<Proxy>) {
    let (one, two) = (mock(failing(one)).await, mock(failing(two)).await);
    let proxy = Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .model("t/m", &["one", "two"])
        .policy("patience: 0s")
        .top(top)
        .start();
    (one, two, Arc::new(proxy))
}

/// A burst of requests, eight at once.
async fn burst(proxy: &Arc<Proxy>) -> Vec<Answer> {
    let mut under_way = JoinSet::new();
    for _ in 0..8 {
        let proxy = proxy.clone();
        under_way.spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..REQUESTS / 8 {
                answers.push(proxy.send(&Request::chat("t/m")).await);
            }
            answers
        });
    }
    under_way.join_all().await.into_iter().flatten().collect()
}

fn attempts(one: &Mock, two: &Mock) -> usize {
    one.received().len() + two.received().len()
}

/// Endpoints that never rest, so that every request has its first attempt: only the budget holds back.
fn tireless(floor: u32) -> String {
    format!(
        "health: {{ trip_after: 1000000, min_success: 0 }}\n\
         retry_budget: {{ per_success: 0.5, floor_per_second: {floor} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_total_outage_is_not_answered_with_a_storm_of_retries() {
    let failure = || Kind::status(503);
    let (one, two, proxy) = all_bad(failure(), failure(), &tireless(0)).await;
    let answers = burst(&proxy).await;
    assert!(
        answers.iter().all(|answer| answer.status == 503),
        "{answers:?}"
    );
    let extra = attempts(&one, &two) - REQUESTS;
    // The bucket holds ten tokens; a retry costs a tenth of one while its target is believed in, and soon a whole.
    assert!((5..=40).contains(&extra), "{extra} extra attempts");
    let told: usize = answers
        .iter()
        .map(|answer| {
            answer
                .header("x-mainstay-attempts")
                .unwrap()
                .parse::<usize>()
                .unwrap()
        })
        .sum();
    assert_eq!(
        told,
        attempts(&one, &two),
        "what clients are told is what was sent"
    );

    let (one, two, proxy) = all_bad(failure(), failure(), &tireless(100_000)).await;
    burst(&proxy).await;
    let extra = attempts(&one, &two) - REQUESTS;
    assert!(
        extra >= REQUESTS,
        "only {extra} extra attempts: it was not the budget that held back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_everywhere_is_told_with_the_shortest_wait_and_asks_nobody_again() {
    let (one, two, proxy) = all_bad(
        Kind::retry_after(429, "300"),
        Kind::retry_after(429, "70"),
        "x-none: {}",
    )
    .await;
    // Both limits are known before the burst: one of its requests could else have met only the longer one.
    assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 429);
    let answers = burst(&proxy).await;
    for answer in &answers {
        assert_eq!(answer.status, 429, "{answer:?}");
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=70).contains(&wait), "{wait}");
        assert_eq!(answer.error()["code"], "rate_limit_exceeded");
    }
    // At most those that each of the eight had on its way.
    assert!(
        attempts(&one, &two) <= 32,
        "{} attempts",
        attempts(&one, &two)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_told_before_a_failure_and_kept() {
    let top = tireless(100_000);
    let (one, two, proxy) = all_bad(Kind::status(500), Kind::retry_after(429, "70"), &top).await;
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=70).contains(&wait), "{wait}");
    burst(&proxy).await;
    assert_eq!(two.received().len(), 1, "nobody comes back before the time");
    assert!(
        one.received().len() > REQUESTS,
        "the other is asked each time"
    );
}
