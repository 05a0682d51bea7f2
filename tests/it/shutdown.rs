//! The end of the process: readiness first, then what is under way, then the exit.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Mock, Script};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{Answer, BOTH, Ended, H1, H2, H2Body, Request, Via, h2_piece};

async fn behind(pace: Duration, drain: &str) -> (Mock, Proxy) {
    let mock = mock(Script { pace, ..fast() }).await;
    let config = Config::new()
        .server(&format!("drain: {drain}"))
        .provider("one", mock.addr())
        .model("t/m", &["one"]);
    (mock, config.start())
}

/// Streams that have begun, one of each protocol.
struct Streams {
    h1: (H1, Answer),
    h2: (H2, Answer, H2Body),
}

impl Streams {
    async fn begin(proxy: &Proxy) -> Self {
        let mut h1 = H1::connect(proxy.data).await;
        h1.send(&Request::stream("t/m")).await;
        let mut first = h1.head().await;
        assert!(h1.chunk(&mut first).await);
        let mut h2 = H2::connect(proxy.data).await;
        let (mut second, body) = h2.head(&Request::stream("t/m")).await;
        let mut body = body.unwrap();
        assert!(h2_piece(&mut second, &mut body).await);
        Self {
            h1: (h1, first),
            h2: (h2, second, body),
        }
    }

    async fn end(self) -> [Answer; 2] {
        let (mut h1, mut first) = self.h1;
        let (_h2, mut second, mut body) = self.h2;
        h1.body(&mut first).await;
        while h2_piece(&mut second, &mut body).await {}
        [first, second]
    }
}

async fn until_unready(proxy: &Proxy) {
    let begun = Instant::now();
    while proxy.admin_get("/readyz").await.status != 503 {
        assert!(begun.elapsed() < Duration::from_secs(2), "still ready");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_streams_finish_and_the_process_ends() {
    let (_mock, mut proxy) = behind(Duration::from_millis(25), "30s").await;
    let streams = Streams::begin(&proxy).await;
    assert_eq!(proxy.admin_get("/readyz").await.status, 200);
    proxy.signal("TERM");
    until_unready(&proxy).await;
    assert_eq!(proxy.admin_get("/healthz").await.status, 200);
    assert_eq!(proxy.status().await["draining"], true);
    // Who comes late is served, and told not to come again on this connection.
    let late = proxy.send(&Request::chat("t/unknown")).await;
    assert_eq!(
        (late.status, late.header("connection")),
        (404, Some("close"))
    );
    for answer in streams.end().await {
        assert_eq!(answer.end, Ended::Whole);
        assert_eq!(answer.content(), Script::default().answer());
    }
    let status = proxy.ended(Duration::from_secs(3)).await;
    assert_eq!(status.code(), Some(0));
    let log = proxy.access_log(2).await;
    assert!(log.iter().all(|line| line["result"] == "answered"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_ends_at_once() {
    for signal in ["TERM", "INT"] {
        let (_mock, mut proxy) = behind(Duration::ZERO, "30s").await;
        for via in BOTH {
            assert_eq!(proxy.call(via, &Request::stream("t/m")).await.status, 200);
        }
        let mut idle = H1::connect(proxy.data).await;
        assert_eq!(idle.call(&Request::chat("t/m")).await.status, 200);
        proxy.signal(signal);
        let status = proxy.ended(Duration::from_secs(4)).await;
        assert_eq!(status.code(), Some(0), "{signal}: {}", proxy.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_drain_limit_cuts_what_is_left() {
    let (_mock, mut proxy) = behind(Duration::from_millis(500), "600ms").await;
    let streams = Streams::begin(&proxy).await;
    proxy.signal("TERM");
    let begun = Instant::now();
    for answer in streams.end().await {
        assert_ne!(answer.end, Ended::Whole, "a cut answer ended cleanly");
        assert!(!answer.text().contains("[DONE]"));
    }
    assert!(begun.elapsed() >= Duration::from_millis(500));
    let status = proxy.ended(Duration::from_secs(5)).await;
    assert_eq!(status.code(), Some(0), "{}", proxy.log());
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(proxy.logged("the drain limit is over").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigint_ends_at_once() {
    let (_mock, mut proxy) = behind(Duration::from_millis(500), "30s").await;
    let streams = Streams::begin(&proxy).await;
    proxy.signal("INT");
    until_unready(&proxy).await;
    proxy.signal("INT");
    proxy.ended(Duration::from_secs(4)).await;
    for answer in streams.end().await {
        assert_ne!(answer.end, Ended::Whole);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_is_finished_too() {
    let mock = mock(Script {
        first_token: Duration::from_millis(800),
        ..fast()
    })
    .await;
    let mut proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .start();
    let request = Request::chat("t/m");
    let (answer, ()) = tokio::join!(proxy.call(Via::H1, &request), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        proxy.signal("TERM");
    });
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(proxy.ended(Duration::from_secs(3)).await.code(), Some(0));
}
