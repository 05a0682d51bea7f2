//! Active checks: an address that fails them is left before any request is lost to it, and taken again afterwards.

use std::time::{Duration, Instant};

use crate::authority::Authority;
use crate::harness::{Config, Proxy, closed_port, eventually, fast, mock};
use crate::plain::{HEALTH, Manner, Plain};
use crate::raw::Request;

const CHECK: &str = "health_check: { path: /health, interval: 100ms }";

/// Waits until the gauge of an address says so.
async fn shows(proxy: &Proxy, address: &str, up: f64) {
    let begun = Instant::now();
    loop {
        let metrics = proxy.metrics().await;
        let labels = [("provider", "p"), ("address", address)];
        let is_there = metrics.0.contains(&format!("address=\"{address}\""));
        if is_there && (metrics.sum("mainstay_address_up", &labels) - up).abs() < 0.1 {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "never {up}:\n{}",
            metrics.0
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn replicas(one: &Plain, two: &Plain, more: &str) -> Config {
    let fields = format!(
        "keys: [{{ value: sk-secret }}], addresses: [\"{}\", \"{}\"], {more}",
        one.address, two.address
    );
    Config::new()
        .raw_provider(
            "p",
            &format!("base_url: \"http://vllm.internal:8000/v1\", {fields}"),
        )
        .model("a/b", &["p"])
        .top("routes: [{ path: /v1/x, provider: p }]")
}

async fn all_answered(proxy: &Proxy, requests: usize) {
    for _ in 0..requests {
        assert_eq!(proxy.send(&Request::get("/v1/x")).await.status, 200);
    }
}

#[tokio::test]
async fn a_replica_that_fails_its_check_is_left_and_comes_back() {
    let (one, two) = (
        Plain::start(Manner::Well).await,
        Plain::start(Manner::Well).await,
    );
    let proxy = replicas(&one, &two, CHECK).start();
    let address = one.address.to_string();
    shows(&proxy, &address, 1.0).await;
    all_answered(&proxy, 30).await;
    assert!(
        !one.seen().is_empty() && !two.seen().is_empty(),
        "both are used"
    );
    one.set_healthy(false);
    shows(&proxy, &address, 0.0).await;
    let before = one.seen().len();
    all_answered(&proxy, 30).await;
    assert_eq!(one.seen().len(), before, "it gets nothing");
    // Where all fail, all are used.
    two.set_healthy(false);
    shows(&proxy, &two.address.to_string(), 0.0).await;
    all_answered(&proxy, 30).await;
    assert!(one.seen().len() > before);
    one.set_healthy(true);
    shows(&proxy, &address, 1.0).await;
    let others = two.seen().len();
    all_answered(&proxy, 30).await;
    assert_eq!(two.seen().len(), others, "only the first passes its check");
    let failed = [("provider", "p"), ("result", "failed")];
    assert!(
        proxy
            .metrics()
            .await
            .sum("mainstay_health_checks_total", &failed)
            >= 2.0
    );
    // It costs nothing, and proves nothing.
    let check = one.checks().pop().unwrap();
    assert!(
        check.starts_with(&format!("GET {HEALTH} HTTP/1.1")),
        "{check}"
    );
    assert!(check.contains("host: vllm.internal:8000"), "{check}");
    assert!(
        !check.contains("sk-secret") && !check.contains("authorization"),
        "{check}"
    );
}

#[tokio::test]
async fn models_leave_a_replica_that_fails_its_check() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    // The mocks know no such path until they are told: a check by connecting passes at both.
    let (_socket, closed) = closed_port();
    let fields = format!(
        "keys: [{{ value: sk }}], addresses: [\"{}\", \"{}\", \"{closed}\"], health_check: {{ interval: 100ms }}",
        one.addr(),
        two.addr()
    );
    let proxy = Config::new()
        .raw_provider(
            "p",
            &format!("base_url: \"http://vllm.internal:8000/v1\", {fields}"),
        )
        .model("a/b", &["p"])
        .start();
    shows(&proxy, &closed.to_string(), 0.0).await;
    shows(&proxy, &one.addr().to_string(), 1.0).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(&Request::chat("a/b")).await.status, 200);
    }
    assert!(!one.received().is_empty() && !two.received().is_empty());
    let gone = one.addr().to_string();
    drop(one);
    shows(&proxy, &gone, 0.0).await;
    for _ in 0..20 {
        assert_eq!(proxy.send(&Request::chat("a/b")).await.status, 200);
    }
}

/// A base URL with a name, or with one address, is checked where it leads to.
#[tokio::test]
async fn a_provider_without_addresses_is_checked_too() {
    let (one, two) = (
        Plain::start(Manner::Well).await,
        Plain::start(Manner::Well).await,
    );
    let base = |host: &str, at: &Plain| {
        let port = at.address.port();
        format!("base_url: \"http://{host}:{port}/v1\", keys: [{{ value: k }}], {CHECK}")
    };
    let proxy = Config::new()
        .raw_provider("p", &base("127.0.0.1", &one))
        .raw_provider("named", &base("localhost", &two))
        .model("a/b", &["p"])
        .top("routes: [{ path: /v1/x, providers: [p, named] }]")
        .start();
    shows(&proxy, &one.address.to_string(), 1.0).await;
    one.set_healthy(false);
    shows(&proxy, &one.address.to_string(), 0.0).await;
    let before = one.seen().len();
    all_answered(&proxy, 20).await;
    assert_eq!(one.seen().len(), before);
    eventually("a check of the named one", Duration::from_secs(10), || {
        !two.checks().is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_reload_keeps_ends_and_begins_checks() {
    let (one, two) = (
        Plain::start(Manner::Well).await,
        Plain::start(Manner::Well).await,
    );
    let config = replicas(&one, &two, CHECK);
    let proxy = config.start();
    let address = one.address.to_string();
    one.set_healthy(false);
    shows(&proxy, &address, 0.0).await;
    // Something else changes: what is known stays known, without a moment of doubt.
    proxy.write_config(&config.clone().server("max_body: 1MiB").text());
    proxy.signal("HUP");
    proxy
        .counts(
            "mainstay_config_reloads_total",
            &[("result", "applied")],
            1.0,
        )
        .await;
    let before = one.seen().len();
    all_answered(&proxy, 20).await;
    assert_eq!(one.seen().len(), before);
    // No check any more: it counts as up, and is not asked.
    proxy.write_config(&replicas(&one, &two, "").text());
    proxy.signal("HUP");
    proxy
        .counts(
            "mainstay_config_reloads_total",
            &[("result", "applied")],
            2.0,
        )
        .await;
    let begun = Instant::now();
    while proxy.metrics().await.0.contains("mainstay_address_up{") {
        assert!(begun.elapsed() < Duration::from_secs(10), "its series end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let asked = one.checks().len();
    all_answered(&proxy, 40).await;
    assert!(one.seen().len() > before);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(one.checks().len(), asked, "nobody asks any more");
    proxy.write_config(&config.text());
    proxy.signal("HUP");
    shows(&proxy, &address, 0.0).await;
}

/// Its certificate is checked as for requests, and under the same name.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_over_tls_asks_for_the_right_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    for (signer, up) in [(&authority, 1.0), (&stranger, 0.0)] {
        let upstream = signer.provider("upstream.test", false).await;
        let fields = format!(
            "base_url: \"https://{0}/v1\", addresses: [\"{0}\"], keys: [{{ value: k }}], \
             health_check: {{ path: /v1/models, interval: 100ms }}, \
             tls: {{ ca_file: {1}, server_name: upstream.test }}",
            upstream.addr(),
            file.display()
        );
        let proxy = Config::new()
            .raw_provider("p", &fields)
            .model("a/b", &["p"])
            .start();
        shows(&proxy, &upstream.addr().to_string(), up).await;
        let result = if up > 0.5 { "passed" } else { "failed" };
        let labels = [("provider", "p"), ("result", result)];
        let begun = Instant::now();
        while proxy
            .metrics()
            .await
            .sum("mainstay_health_checks_total", &labels)
            < 1.0
        {
            assert!(begun.elapsed() < Duration::from_secs(10), "never {result}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
