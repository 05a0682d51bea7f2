//! What each setting of `health` and `retry_budget` changes. Two proxies that differ in one setting meet the same
//! failures, side by side.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock, Script};

use crate::harness::{Config, Proxy, closed_port, failing, fast, mock};
use crate::raw::Request;

/// Nothing of these tests takes longer.
const LONG: Duration = Duration::from_secs(25);

/// A proxy with one endpoint and these lines at the top; each request is one attempt.
fn alone(at: SocketAddr, top: &str) -> Proxy {
    Config::new()
        .provider("one", at)
        .model("t/m", &["one"])
        .policy("attempts: 1, patience: 0s")
        .policy("timeouts: { first_token: 100ms, answer: 100ms }")
        .top(top)
        .start()
}

async fn state(proxy: &Proxy) -> String {
    let shown = proxy.admin_get("/api/endpoints").await.json();
    shown[0]["state"].as_str().unwrap().to_owned()
}

async fn attempts(proxy: &Proxy) -> f64 {
    let labels = [("provider", "one")];
    let metrics = proxy.metrics().await;
    metrics.sum("mainstay_attempts_total", &labels)
}

/// Sends requests until the endpoint is in this state. Returns how many.
async fn until_state(proxy: &Proxy, wanted: &str) -> usize {
    let begun = Instant::now();
    let mut sent = 0;
    while state(proxy).await != wanted {
        assert!(begun.elapsed() < LONG, "never {wanted}");
        proxy.send(&Request::chat("t/m")).await;
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn trip_after_and_min_success_say_when_an_endpoint_trips() {
    let bad = mock(failing(Kind::status(503))).await;
    for failures in [1, 2, 6] {
        let top = format!("health: {{ trip_after: {failures}, min_success: 0 }}");
        let proxy = alone(bad.addr(), &top);
        assert_eq!(until_state(&proxy, "open").await, failures);
    }
    let never = "health: { trip_after: 1000000, min_success: 0 }";
    let proxy = alone(bad.addr(), never);
    for _ in 0..30 {
        proxy.send(&Request::chat("t/m")).await;
    }
    assert_eq!(state(&proxy).await, "closed");
    let worn = alone(
        bad.addr(),
        "health: { trip_after: 1000000, min_success: 0.9 }",
    );
    assert!(until_state(&worn, "open").await < 30);
}

/// The same beside an endpoint that works, which answers while the other rests.
fn beside(good: &Mock, at: SocketAddr, top: &str) -> Proxy {
    Config::new()
        .provider("one", at)
        .provider("good", good.addr())
        .model("t/m", &["one", "good"])
        .policy("timeouts: { first_token: 100ms, answer: 100ms }")
        .top(top)
        .start()
}

/// One kind of failure meets a short rest of its kind and, beside it, the rest that is built in, which begins at a
/// second (thirty for keys) and doubles: in the time in which the one was asked again five times, the other was not.
async fn rests(kind: &str, at: SocketAddr) {
    let health =
        |rest: &str| format!("health: {{ trip_after: 1, probe_share: 1, rest: {{ {rest} }} }}");
    let good = mock(fast()).await;
    let short = beside(&good, at, &health(&format!("{kind}: 1ms")));
    let built_in = beside(&good, at, &health(""));
    let begun = Instant::now();
    while attempts(&short).await < 6.0 {
        assert!(begun.elapsed() < LONG, "{kind}: it rests on");
        for proxy in [&short, &built_in] {
            assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
        }
    }
    let asked = attempts(&built_in).await;
    assert!((1.0..6.0).contains(&asked), "{kind}: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_failure_has_its_own_rest() {
    let (_socket, closed) = closed_port();
    let broken = mock(failing(Kind::status(503))).await;
    let refusing = mock(failing(Kind::status(401))).await;
    let silent = Kind::Silence {
        lasts: Duration::from_secs(60),
    };
    let silent = mock(failing(silent)).await;
    tokio::join!(
        rests("connect", closed),
        rests("server_error", broken.addr()),
        rests("timeout", silent.addr()),
        rests("auth", refusing.addr()),
    );
}

/// Lets an endpoint trip and recover. Returns the requests that it answered until it was let in again.
async fn recovered(mock: &Mock, more: &str) -> (usize, Proxy) {
    mock.set(failing(Kind::status(503)));
    let health = format!(
        "health: {{ trip_after: 1, probe_share: 1, rest: {{ server_error: 1ms }}, {more} }}"
    );
    let proxy = alone(mock.addr(), &health);
    until_state(&proxy, "open").await;
    mock.set(fast());
    mock.clear();
    until_state(&proxy, "ramp").await;
    (mock.received().len(), proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_to_close_and_ramp_say_how_an_endpoint_comes_back() {
    let mock = mock(fast()).await;
    for probes in [1, 4] {
        let more = format!("probes_to_close: {probes}, ramp: 1h");
        assert_eq!(recovered(&mock, &more).await.0, probes);
    }
    let (_, slow) = recovered(&mock, "ramp: 1h").await;
    // Long enough for `ramp` to be seen, and over while somebody watches.
    let (_, quick) = recovered(&mock, "ramp: 3s").await;
    let begun = Instant::now();
    while state(&quick).await != "closed" {
        assert!(begun.elapsed() < LONG, "it ramps for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state(&slow).await, "ramp");
}

/// The attempts that a hundred requests make on a failing endpoint beside a healthy one.
async fn probed(health: &str) -> usize {
    let (bad, good) = (mock(failing(Kind::status(503))).await, mock(fast()).await);
    let rest = "trip_after: 1, rest: { server_error: 1ms }";
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .top(&format!("health: {{ {rest}, {health} }}"))
        .start();
    for _ in 0..100 {
        assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    bad.received().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_keep_to_their_share_and_to_their_time() {
    let (none, some, all) = tokio::join!(
        probed("probe_share: 0, probe_fast: { below: 0s }"),
        probed("probe_share: 0.1, probe_fast: { below: 0s }"),
        probed("probe_share: 1, probe_fast: { below: 0s }"),
    );
    assert_eq!(none, 1, "what tripped it");
    assert!((5..=12).contains(&some), "{some}");
    assert!(all > 2 * some, "{some} and {all}");
    let (slow, often, once) = tokio::join!(
        probed("probe_share: 0, probe_fast: { below: 0s, every: 1ms }"),
        probed("probe_share: 0, probe_fast: { below: 10s, every: 1ms }"),
        probed("probe_share: 0, probe_fast: { below: 10s, every: 1h }"),
    );
    assert_eq!(slow, 1, "nothing counts as fast");
    assert_eq!(once, 2, "what tripped it, and one probe");
    assert!(often > 10, "{often}");
}

/// What is left of the budget after requests of which each second attempt fails.
async fn left(budget: &str) -> f64 {
    let half = Script {
        fail: 0.5,
        status: 503,
        seed: Some(7),
        ..fast()
    };
    let (one, two) = (mock(half.clone()).await, mock(half).await);
    let proxy = Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .model("t/m", &["one", "two"])
        .policy("patience: 0s")
        .top("health: { trip_after: 1000000, min_success: 0 }")
        .top(&format!("retry_budget: {{ {budget} }}"))
        .start();
    for _ in 0..40 {
        proxy.send(&Request::chat("t/m")).await;
    }
    let metrics = proxy.metrics().await;
    metrics.sum("mainstay_retry_budget_tokens", &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_retry_budget_is_fed_by_successes_and_by_time() {
    let (dry, earned, given) = tokio::join!(
        left("per_success: 0, floor_per_second: 0"),
        left("per_success: 100, floor_per_second: 0"),
        left("per_success: 0, floor_per_second: 100000"),
    );
    assert!(dry + 1.0 < earned, "{dry} and {earned}");
    assert!(dry + 1.0 < given, "{dry} and {given}");
}
