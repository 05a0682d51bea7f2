//! X06: tokens that come slowly. A stream is never cut while each token comes within `idle`, and an endpoint whose
//! tokens come a tenth as fast as usual loses its share.

use std::time::Duration;

use mainstay::cmd::mock::{Fault, Kind, Mock, Script};
use tokio::task::JoinSet;

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{BOTH, Ended, Request, Via};

/// One token every five seconds beside the default `idle` of 20 s, at a tenth of both.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_within_idle_keeps_a_stream_alive() {
    let pace = Duration::from_millis(500);
    let drip = mock(Script {
        tokens: 6,
        fault: Some(Fault::always(Kind::SlowDrip { pace })),
        ..fast()
    })
    .await;
    let spare = mock(fast()).await;
    let proxy = Config::new()
        .provider("drip", drip.addr())
        .provider("spare", spare.addr())
        .model("t/m", &["drip", "spare"])
        .policy("timeouts: { idle: 2s }")
        .start();
    let request = Request::stream("t/m");
    let (one, two) = tokio::join!(proxy.call(BOTH[0], &request), proxy.call(BOTH[1], &request));
    for answer in [one, two] {
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        let whole = Script {
            tokens: 6,
            ..fast()
        };
        assert_eq!(answer.content(), whole.answer());
        assert_eq!(answer.header("x-mainstay-attempts"), Some("1"));
    }
    assert_eq!((drip.arrivals(), spare.arrivals()), (2, 0));
}

/// Silence beyond `idle` is the end of it: the test above would pass with no limit at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_beyond_idle_ends_a_stream() {
    let drip = mock(Script {
        tokens: 6,
        pace: Duration::from_secs(20),
        ..fast()
    })
    .await;
    let proxy = Config::new()
        .provider("drip", drip.addr())
        .model("t/m", &["drip"])
        .policy("timeouts: { idle: 300ms }")
        .start();
    let answer = proxy.call(Via::H1, &Request::stream("t/m")).await;
    assert_ne!(answer.end, Ended::Whole);
}

fn at_pace(millis: u64) -> Script {
    Script {
        pace: Duration::from_millis(millis),
        tokens: 40,
        ..fast()
    }
}

/// So many streams, ten at a time, each of which must come whole.
async fn streams(proxy: &Proxy, count: usize) {
    for _ in 0..count / 10 {
        let mut under_way = JoinSet::new();
        for _ in 0..10 {
            let data = proxy.data;
            under_way.spawn(async move {
                crate::raw::call(Via::H1, data, &Request::stream("t/m")).await
            });
        }
        for answer in under_way.join_all().await {
            assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        }
    }
}

async fn share_of(slow: &Mock, other: &Mock, proxy: &Proxy, count: usize) -> f64 {
    let before = (slow.received().len(), other.received().len());
    streams(proxy, count).await;
    let slow = slow.received().len() - before.0;
    let other = other.received().len() - before.1;
    slow as f64 / (slow + other) as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_a_tenth_as_fast_lose_the_endpoint_its_share() {
    let (slow, other) = (mock(at_pace(8)).await, mock(at_pace(8)).await);
    let proxy = Config::new()
        .provider("slow", slow.addr())
        .provider("other", other.addr())
        .raw_model(
            "t/m",
            "endpoints: [{ provider: slow }, { provider: other }], policy: tried",
        )
        .policy_named("tried", "sort: adaptive")
        .start();
    let usual = share_of(&slow, &other, &proxy, 60).await;
    assert!(usual > 0.1, "{usual}");
    // The streams that find it out last three seconds, and are answered whole.
    slow.set(at_pace(80));
    streams(&proxy, 30).await;
    let left = share_of(&slow, &other, &proxy, 60).await;
    assert!(left < usual / 2.0, "{usual} before, {left} after");
}
