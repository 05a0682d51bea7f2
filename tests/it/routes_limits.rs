//! A provider's `timeouts` on routes: each of them changes when a request ends.

use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::harness::{Config, Proxy, anywhere};
use crate::plain::{Manner, Plain};
use crate::raw::{BOTH, Ended, Request};

fn proxy(upstream: &Plain, timeouts: &str) -> Proxy {
    let fields = format!("keys: [{{ value: k }}], timeouts: {{ {timeouts} }}");
    Config::new()
        .provider_with("p", upstream.address, &fields)
        .model("a/b", &["p"])
        .top("routes: [{ path: /v1/x, provider: p }]")
        .start()
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_longer_of_answer_and_idle() {
    let upstream = Plain::start(Manner::Silent).await;
    for (timeouts, least) in [
        ("answer: 300ms", 300),
        ("idle: 300ms", 300),
        ("answer: 100ms, idle: 700ms", 700),
        ("total: 400ms", 400),
    ] {
        let proxy = proxy(&upstream, timeouts);
        let begun = Instant::now();
        let answer = proxy.send(&Request::get("/v1/x")).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 504, "{timeouts}: {}", answer.text());
        assert!(took >= Duration::from_millis(least), "{timeouts}: {took:?}");
        assert!(took < Duration::from_secs(10), "{timeouts}: {took:?}");
    }
}

#[tokio::test]
async fn an_answer_that_goes_on_for_ever_is_cut_at_total() {
    let upstream = Plain::start(Manner::Drip).await;
    let proxy = proxy(&upstream, "total: 500ms");
    for via in BOTH {
        let begun = Instant::now();
        let answer = proxy.call(via, &Request::get("/v1/x")).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 200, "{via:?}");
        assert_ne!(answer.end, Ended::Whole, "{via:?}");
        assert!(took >= Duration::from_millis(500), "{via:?}: {took:?}");
        assert!(took < Duration::from_secs(10), "{via:?}: {took:?}");
    }
}

/// It accepts, and says nothing to a TLS handshake.
#[tokio::test]
async fn a_handshake_takes_no_longer_than_connect() {
    let silent = TcpListener::bind(anywhere()).await.unwrap();
    let at = silent.local_addr().unwrap();
    let proxy = Config::new()
        .raw_provider(
            "p",
            &format!(
                "base_url: \"https://{at}/v1\", keys: [{{ value: k }}], \
                 tls: {{ server_name: upstream.test }}, timeouts: {{ connect: 300ms }}"
            ),
        )
        .model("a/b", &["p"])
        .top("routes: [{ path: /v1/x, provider: p }]")
        .start();
    let begun = Instant::now();
    let answer = proxy.send(&Request::get("/v1/x")).await;
    assert_eq!(answer.status, 504, "{}", answer.text());
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(4),
        "{took:?}"
    );
}
