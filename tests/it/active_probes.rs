//! Probes of our own: an endpoint that nobody asks comes back by them, and without the option nothing is ever sent.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock};

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::Request;

const FAST: &str = "health: { trip_after: 1, rest: { server_error: 100ms }, ramp: 100ms, probe_share: 0, \
                    probe_fast: { below: 0s, every: 60s }, active_probe: ";

/// A proxy whose first provider has failed and rests.
async fn resting(active_probe: &str) -> (Mock, Mock, Proxy) {
    let (first, second) = (mock(failing(Kind::status(503))).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("first", first.addr())
        .provider("second", second.addr())
        .model("t/m", &["first", "second"])
        .top(&format!("{FAST}{active_probe} }}"))
        .start();
    let begun = Instant::now();
    while state(&proxy).await != "open" {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never opened");
        assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    }
    (first, second, proxy)
}

async fn state(proxy: &Proxy) -> String {
    let shown = proxy.admin_get("/api/endpoints").await.json();
    let endpoints = shown.as_array().unwrap();
    let mut first = endpoints.iter().filter(|one| one["provider"] == "first");
    first.next().unwrap()["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_without_traffic_comes_back_by_probes_of_our_own() {
    let (first, _second, proxy) = resting("{ every: 200ms }").await;
    let family = "mainstay_probes_total";
    let begun = Instant::now();
    while proxy.metrics().await.sum(family, &[("result", "failed")]) < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no probe failed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The trip of a client's request, and that of the probe which found it still down.
    let open = [("provider", "first"), ("to", "open"), ("reason", "error")];
    let trips = "mainstay_endpoint_transitions_total";
    let begun = Instant::now();
    while proxy.metrics().await.sum(trips, &open) < 2.0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "a probe's trip is not told"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let attempts = "mainstay_attempts_total";
    let before = proxy.metrics().await.sum(attempts, &[]);
    first.set(fast());
    first.clear();
    let begun = Instant::now();
    while state(&proxy).await != "closed" {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never closed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let probes = first.received();
    assert!(probes.len() >= 4, "four in a row: {}", probes.len());
    for probe in &probes {
        let body: serde_json::Value = serde_json::from_slice(probe.body.as_ref().unwrap()).unwrap();
        assert_eq!(
            (&body["max_tokens"], &body["model"]),
            (&1.into(), &"m".into())
        );
    }
    let metrics = proxy.metrics().await;
    assert!(metrics.sum(family, &[("result", "passed")]) >= 4.0);
    // Nothing of it is a client's.
    let after = metrics.sum(attempts, &[]);
    assert!((after - before).abs() < 0.1, "{before} {after}");
    // Closed, it is left alone, and takes its traffic.
    first.clear();
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    assert_eq!(first.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_option_and_when_drained_nothing_is_sent() {
    let ((first, _, proxy), (drained, _, other)) =
        tokio::join!(resting("null"), resting("{ every: 100ms }"));
    let path = "/api/endpoints/t%2Fm@first%2Fdefault/drain";
    let answer = crate::raw::call(crate::raw::Via::H1, other.admin, &Request::post(path, "")).await;
    assert_eq!(answer.status, 200);
    // What was under way when it was drained may still arrive.
    tokio::time::sleep(Duration::from_millis(300)).await;
    first.clear();
    drained.clear();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!((first.received().len(), drained.received().len()), (0, 0));
    let family = "mainstay_probes_total";
    assert!(proxy.metrics().await.sum(family, &[]).abs() < 0.1);
}

/// Five models with one dead key: whoever asks, asks for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_key_is_asked_about_once_for_all_its_models() {
    let first = mock(failing(Kind::status(401))).await;
    let second = mock(fast()).await;
    let models = ["t/a", "t/b", "t/c", "t/d", "t/e"];
    let config = Config::new()
        .provider("first", first.addr())
        .provider("second", second.addr())
        .top("health: { rest: { auth: 250ms }, active_probe: { every: 250ms } }");
    let config = models.iter().fold(config, |config, model| {
        config.model(model, &["first", "second"])
    });
    let proxy = config.start();
    for model in models {
        assert_eq!(proxy.send(&Request::stream(model)).await.status, 200);
    }
    first.clear();
    let begun = Instant::now();
    while first.received().len() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(20), "too few probes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let at: Vec<Duration> = first.received().iter().map(|one| one.at).collect();
    for pair in at.windows(2) {
        let apart = pair[1].saturating_sub(pair[0]);
        assert!(apart >= Duration::from_millis(150), "{at:?}");
    }
    // The key is let in again: all five come back, by one probe after another.
    first.set(fast());
    let begun = Instant::now();
    loop {
        let shown = proxy.admin_get("/api/endpoints").await.json();
        let mut states = shown.as_array().unwrap().iter().map(|one| &one["state"]);
        if states.all(|state| state == "closed") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{shown}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
