//! What an upstream tells of its limits: traffic goes elsewhere before its 429, and nobody is refused for it.

use std::time::Duration;

use mainstay::cmd::mock::{Limits, Mock, Script};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{Ended, Request, Via};

const LIMITED: &str = "t/m@first/default";

async fn limited(limits: Limits) -> Mock {
    mock(Script {
        limits: Some(limits),
        first_token: Duration::from_millis(50),
        ..fast()
    })
    .await
}

fn refused(mock: &Mock) -> usize {
    let received = mock.received();
    let refused = received.iter().filter(|one| one.status == Some(429));
    refused.count()
}

/// So many requests, one each `apart`. Returns how many were answered.
async fn load(proxy: &Proxy, requests: u32, apart: Duration) -> usize {
    let request = Request::stream("t/m");
    let mut begun = tokio::time::interval(apart);
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..requests {
        begun.tick().await;
        let (data, request) = (proxy.data, request.clone());
        under_way.spawn(async move { crate::raw::call(Via::H1, data, &request).await });
    }
    let answers = under_way.join_all().await;
    let whole = answers
        .iter()
        .filter(|it| (it.status, it.end) == (200, Ended::Whole));
    whole.count()
}

/// Half as much again as the first provider takes, for six of its windows. Returns its 429s and what it answered.
async fn overload(told: bool) -> (usize, usize) {
    let first = limited(Limits {
        requests: Some(20),
        window: Duration::from_secs(1),
        told,
        ..Limits::default()
    })
    .await;
    let second = mock(fast()).await;
    let proxy = Config::new()
        .provider("first", first.addr())
        .provider("second", second.addr())
        .model("t/m", &["first", "second"])
        .start();
    assert_eq!(load(&proxy, 180, Duration::from_millis(33)).await, 180);
    let refused = refused(&first);
    (refused, first.received().len() - refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_tells_its_limits_is_not_asked_beyond_them() {
    let (told, silent) = tokio::join!(overload(true), overload(false));
    eprintln!("429s and answers: told {told:?}, silent {silent:?}");
    assert!(told.0 <= 3, "{told:?}");
    assert!(
        silent.0 >= 1,
        "the same load meets 429s where nothing is told"
    );
    assert!(told.1 > silent.1, "{told:?} {silent:?}");
    assert!(told.1 >= 60, "of the 120 that it takes: {told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sole_upstream_is_asked_for_all_that_it_takes_and_waited_for_beyond() {
    let only = limited(Limits {
        requests: Some(20),
        window: Duration::from_secs(2),
        ..Limits::default()
    })
    .await;
    let proxy = Config::new()
        .provider("first", only.addr())
        .model("t/m", &["first"])
        .start();
    // Far beyond any even pace, and within the limit.
    assert_eq!(load(&proxy, 18, Duration::from_millis(5)).await, 18);
    assert_eq!(refused(&only), 0);
    // Beyond the limit: they wait for the next window, as after a 429.
    assert_eq!(load(&proxy, 12, Duration::from_millis(5)).await, 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_left_anywhere_the_upstream_itself_refuses() {
    let only = limited(Limits {
        requests: Some(2),
        ..Limits::default()
    })
    .await;
    let proxy = Config::new()
        .provider("first", only.addr())
        .model("t/m", &["first"])
        .start();
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(proxy.send(&Request::stream("t/m")).await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(only.received().len(), 3, "it was asked all the same");
}

/// X08, where the upstream has told how many tokens it takes in a minute.
#[tokio::test(flavor = "multi_thread")]
async fn x08_a_prompt_above_a_told_limit_of_tokens_goes_elsewhere_at_once() {
    let first = limited(Limits {
        tokens: Some(1000),
        ..Limits::default()
    })
    .await;
    let second = mock(fast()).await;
    let proxy = Config::new()
        .provider("first", first.addr())
        .provider("second", second.addr())
        .model("t/m", &["first", "second"])
        .start();
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    let long = "word ".repeat(2400);
    let long = Request::chat_with("t/m", &format!(r#","stream":true,"user":"{long}""#));
    let answer = proxy.send(&long).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
    // It is the prompt that does not fit, not the endpoint that is full.
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    assert_eq!((first.received().len(), second.received().len()), (2, 1));

    let shown = proxy.admin_get("/api/endpoints").await.json();
    let endpoints = shown.as_array().unwrap();
    let told = |id: &str| {
        let mut found = endpoints.iter().filter(|one| one["id"] == id);
        found.next().unwrap()["remaining"].clone()
    };
    let tokens = &told(LIMITED)["tokens"];
    assert_eq!(tokens["limit"], 1000);
    assert!(tokens["left"].as_u64().unwrap() < 900, "{tokens}");
    assert!(humantime::parse_rfc3339(tokens["resets_at"].as_str().unwrap()).is_ok());
    assert_eq!(told("t/m@second/default"), serde_json::json!({}));
    let metrics = proxy.metrics().await;
    let family = "mainstay_endpoint_ratelimit_remaining_ratio";
    let labels = [("provider", "first"), ("quantity", "tokens")];
    let ratio = metrics.sum(family, &labels);
    assert!(ratio > 0.0 && ratio < 0.9, "{ratio}");
    let other = metrics.sum(family, &[("provider", "second")]);
    assert!(other.abs() < f64::EPSILON);
}
