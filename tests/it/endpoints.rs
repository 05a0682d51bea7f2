//! What operators see of endpoints, and that a drained one gets nothing until it is enabled again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Config, Proxy, failing, fast, for_model, mock};
use crate::raw::{self, Answer, Request, Via};
use mainstay::cmd::mock::Kind;

async fn list(proxy: &Proxy) -> Vec<Value> {
    let answer = proxy.admin_get("/api/endpoints").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json().as_array().unwrap().clone()
}

async fn one(proxy: &Proxy, id: &str) -> Value {
    let all = list(proxy).await;
    all.into_iter().find(|one| one["id"] == id).unwrap()
}

async fn post(proxy: &Proxy, path: &str) -> Answer {
    raw::call(Via::H1, proxy.admin, &Request::post(path, "")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_shown_with_what_it_did() {
    let (bad, good) = (mock(failing(Kind::status(401))).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .model("t/*", &["good"])
        .start();
    let fresh = one(&proxy, "t/m@bad/default").await;
    let mut fields: Vec<&str> = fresh
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    fields.sort_unstable();
    let mut contract = [
        "id",
        "model",
        "provider",
        "key",
        "state",
        "health",
        "share",
        "ttft_ms",
        "tokens_per_second",
        "in_flight",
        "rate_cap",
        "remaining",
        "blocked_until",
        "uptime",
        "failures",
        "last_failure",
    ];
    contract.sort_unstable();
    assert_eq!(fields, contract);
    assert_eq!(
        fresh["uptime"],
        json!({ "5m": null, "30m": null, "1d": null })
    );
    assert_eq!(
        (&fresh["ttft_ms"], &fresh["last_failure"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&fresh["state"], &fresh["share"]),
        (&json!("closed"), &json!(1.0))
    );
    for _ in 0..3 {
        assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    }
    proxy.counts("mainstay_requests_total", &[], 3.0).await;
    let bad = one(&proxy, "t/m@bad/default").await;
    assert_eq!(bad["failures"], json!({ "auth_rejected": 1 }));
    assert_eq!(bad["last_failure"]["class"], "auth_rejected");
    let at = bad["last_failure"]["at"].as_str().unwrap();
    let at = humantime_of(at);
    assert!(at < 60.0, "{at} s ago");
    assert_eq!(bad["uptime"], json!({ "5m": 0.0, "30m": 0.0, "1d": 0.0 }));
    assert_eq!(
        (&bad["state"], &bad["share"]),
        (&json!("open"), &json!(0.0))
    );
    let good = one(&proxy, "t/m@good/default").await;
    assert_eq!(good["uptime"], json!({ "5m": 1.0, "30m": 1.0, "1d": 1.0 }));
    assert_eq!(
        (&good["state"], &good["share"]),
        (&json!("closed"), &json!(1.0))
    );
    let (p50, p99) = (
        good["ttft_ms"]["p50"].as_f64(),
        good["ttft_ms"]["p99"].as_f64(),
    );
    assert!(p50 > Some(0.0) && p50 <= p99, "{good}");
    assert_eq!(good["failures"], json!({}));
    let wild = one(&proxy, "t/*@good/default").await;
    assert_eq!(wild["share"], 1.0, "a wildcard is nobody else's share");
}

/// Seconds since a date of the API.
fn humantime_of(date: &str) -> f64 {
    let at = humantime::parse_rfc3339(date).unwrap();
    at.elapsed().unwrap_or_default().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limited_endpoint_says_until_when() {
    let limited = mock(failing(Kind::retry_after(429, "30"))).await;
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("limited", limited.addr())
        .provider("good", good.addr())
        .model("t/m", &["limited", "good"])
        .start();
    proxy.send(&Request::chat("t/m")).await;
    let shown = one(&proxy, "t/m@limited/default").await;
    let until = humantime::parse_rfc3339(shown["blocked_until"].as_str().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the answer names a time of day")]
    let now = std::time::SystemTime::now();
    let left = until.duration_since(now).unwrap();
    assert!(
        (Duration::from_secs(20)..Duration::from_secs(31)).contains(&left),
        "{left:?}"
    );
    assert_eq!(shown["failures"], json!({ "rate_limited": 1 }));
    assert_eq!(shown["uptime"]["5m"], Value::Null, "no downtime");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_moves_traffic_and_enabling_brings_it_back() {
    let (one_mock, two) = (mock(fast()).await, mock(fast()).await);
    let config = Config::new()
        .provider("one", one_mock.addr())
        .provider("two", two.addr())
        .model("t/m", &["one", "two"]);
    let proxy = Proxy::start_unwatched(&config.text());
    let served = async || {
        let answer = proxy.send(&Request::chat("t/m")).await;
        answer
            .header("x-mainstay-endpoint")
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(served().await, "t/m@one/default");
    let drain = post(&proxy, "/api/endpoints/t%2Fm%40one%2Fdefault/drain").await;
    assert_eq!(drain.status, 200, "{drain:?}");
    let expected =
        json!({ "id": "t/m@one/default", "state": "drained", "changed": true, "in_flight": 0 });
    assert_eq!(drain.json(), expected);
    for _ in 0..5 {
        assert_eq!(served().await, "t/m@two/default");
    }
    let shown = one(&proxy, "t/m@one/default").await;
    assert_eq!(
        (&shown["state"], &shown["share"]),
        (&json!("drained"), &json!(0.0))
    );
    let labels = [("endpoint", "t/m@one/default"), ("state", "drained")];
    proxy.counts("mainstay_endpoint_state", &labels, 1.0).await;

    // It survives a reload that leaves it as it is.
    proxy.write_config(&config.clone().model("t/other", &["two"]).text());
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 2.0).await;
    assert_eq!(served().await, "t/m@two/default");

    // With the other one gone as well, nobody is left, and the answer says so at once.
    post(&proxy, "/api/endpoints/t%2Fm%40two%2Fdefault/drain").await;
    let begun = Instant::now();
    let refused = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(refused.status, 503);
    assert!(begun.elapsed() < Duration::from_secs(2));
    let message = refused.error()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("no endpoint of the model takes requests"),
        "{message}"
    );
    assert_eq!(for_model(&one_mock, "m").len(), 1, "not even then");

    let enabled = post(&proxy, "/api/endpoints/t%2Fm%40one%2Fdefault/enable").await;
    assert_eq!(enabled.json()["state"], "closed");
    assert_eq!(served().await, "t/m@one/default");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_told_so() {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .admin("token: op-token")
        .start();
    let ask =
        async |request: Request| raw::call(Via::H1, proxy.admin, &request.key("op-token")).await;
    let post = |path: &str| Request::post(path, "");
    let unknown = ask(post("/api/endpoints/t%2Fm%40on%2Fdefault/drain")).await;
    assert_eq!(unknown.status, 404);
    assert!(
        unknown.text().contains("did you mean \"t/m@one/default\"?"),
        "{unknown:?}"
    );
    for (request, status) in [
        (Request::get("/api/endpoints"), 200),
        (post("/api/endpoints"), 405),
        (
            Request::get("/api/endpoints/t%2Fm%40one%2Fdefault/drain"),
            405,
        ),
        (post("/api/endpoints/t%2Fm%40one%2Fdefault/burn"), 404),
        (post("/api/endpoints/%FF/drain"), 400),
        (post("/api/endpoints/drain"), 404),
        (Request::get("/api/endpointsx"), 404),
    ] {
        let path = format!("{request:?}");
        assert_eq!(ask(request).await.status, status, "{path}");
    }
    for request in [
        Request::get("/api/endpoints"),
        post("/api/endpoints/t%2Fm%40one%2Fdefault/drain"),
    ] {
        assert_eq!(raw::call(Via::H1, proxy.admin, &request).await.status, 401);
    }
    assert_eq!(
        proxy.send(&Request::chat("t/m")).await.status,
        200,
        "nothing was drained"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_endpoints_are_shown_quickly() {
    let mock = mock(fast()).await;
    let mut config = Config::new();
    let sellers: Vec<String> = (0..4).map(|seller| format!("s{seller}")).collect();
    for seller in &sellers {
        config = config.provider(seller, mock.addr());
    }
    let sellers: Vec<&str> = sellers.iter().map(String::as_str).collect();
    for model in 0..250 {
        config = config.model(&format!("t/m{model}"), &sellers);
    }
    let proxy = config.start();
    let begun = Instant::now();
    let shown = list(&proxy).await;
    let took = begun.elapsed();
    assert_eq!(shown.len(), 1_000);
    // A fraction of that on a machine that does nothing else, with optimisation.
    assert!(took < Duration::from_secs(5), "{took:?}");
}
