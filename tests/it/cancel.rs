//! X15: a client that leaves takes its upstream along, and nothing of it stays behind.

use std::time::Duration;

use mainstay::cmd::mock::{Chatter, Fate, Fault, Kind, Mock, Script};

use crate::harness::{Config, Proxy, eventually, fast, mock};
use crate::raw::{BOTH, H1, H2, H2Body, Request, Via, h2_piece};

#[expect(
    dead_code,
    reason = "what a client holds is dropped when it leaves, and not before"
)]
/// A client in the middle of an exchange, whatever it speaks.
enum Client {
    H1(H1),
    H2(H2, Option<H2Body>),
    /// An answer that has not begun.
    H2Waiting(H2, h2::client::ResponseFuture),
}

/// How it leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    /// The connection ends; h2 resets the one stream.
    Politely,
    /// h2 ends the connection with all its streams.
    AtOnce,
}

async fn behind(kind: Option<Kind>) -> (Mock, Proxy) {
    let mock = mock(Script {
        fault: kind.map(Fault::always),
        pace: Duration::from_millis(50),
        tokens: 1000,
        ..fast()
    })
    .await;
    let config = Config::new().provider("one", mock.addr());
    (mock, config.model("t/m", &["one"]).start())
}

/// Sends a request and reads so many tokens of its answer; with none, nothing of it.
async fn begin(proxy: &Proxy, via: Via, request: &Request, tokens: usize) -> Client {
    match via {
        Via::H1 => {
            let mut client = H1::connect(proxy.data).await;
            client.send(request).await;
            if tokens > 0 {
                let mut answer = client.head().await;
                while answer.text().matches("content").count() <= tokens {
                    assert!(client.chunk(&mut answer).await);
                }
            }
            Client::H1(client)
        }
        Via::H2 if tokens == 0 => {
            let mut client = H2::connect(proxy.data).await;
            let response = client.begin(request).await;
            Client::H2Waiting(client, response)
        }
        Via::H2 => {
            let mut client = H2::connect(proxy.data).await;
            let (mut answer, mut body) = client.head(request).await;
            while answer.text().matches("content").count() <= tokens {
                assert!(h2_piece(&mut answer, body.as_mut().unwrap()).await);
            }
            Client::H2(client, body)
        }
    }
}

impl Client {
    /// Goes, and hands back what must outlive the going.
    fn leave(self, how: Leaves) -> Option<H2> {
        let client = match self {
            Client::H1(_) => return None,
            Client::H2(client, _) | Client::H2Waiting(client, _) => client,
        };
        match how {
            Leaves::Politely => Some(client),
            Leaves::AtOnce => {
                client.vanish();
                None
            }
        }
    }
}

/// The upstream is left within a second, and the proxy's own books are closed.
async fn is_cancelled(kind: Option<Kind>, request: &Request, tokens: usize) {
    let (mock, proxy) = behind(kind).await;
    let mut left = 0;
    for via in BOTH {
        for how in [Leaves::Politely, Leaves::AtOnce] {
            let client = begin(&proxy, via, request, tokens).await;
            eventually("upstream", Duration::from_secs(5), || {
                mock.open_streams() == 1
            })
            .await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert_eq!(mock.open_streams(), 1, "{via:?}: gone before the client");
            let _connection = client.leave(how);
            let what = format!("{via:?} {how:?}: the upstream is left");
            eventually(&what, Duration::from_secs(1), || mock.open_streams() == 0).await;
            left += 1;
            let fate = mock.received().pop().unwrap().fate;
            assert_eq!(fate, Fate::ClientLeft, "{via:?} {how:?}");
            let log = proxy.access_log(left).await;
            assert_eq!(log[left - 1]["result"], "client_gone", "{via:?} {how:?}");
            assert_eq!(log[left - 1]["attempts"][0]["outcome"], "client_gone");
            proxy.idle(Duration::from_secs(1)).await;
        }
    }
    assert_eq!(mock.received().len(), left, "nothing was tried again");
    let metrics = proxy.metrics().await;
    let gauge = |name: &str| metrics.sum(name, &[]);
    assert!(gauge("mainstay_held_body_bytes").abs() < 0.1);
    assert!(gauge("mainstay_endpoint_in_flight").abs() < 0.1);
    let trips = metrics.sum("mainstay_endpoint_transitions_total", &[("to", "open")]);
    assert!(
        trips.abs() < 0.1,
        "a client's leaving was held against the endpoint"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_before_the_head_cancels() {
    let lasts = Duration::from_secs(60);
    for request in [Request::stream("t/m"), Request::chat("t/m")] {
        is_cancelled(Some(Kind::Silence { lasts }), &request, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_hold_cancels() {
    let chatter = Kind::Chatter {
        what: Chatter::Role,
        every: Duration::from_millis(20),
        lasts: Duration::from_secs(60),
    };
    is_cancelled(Some(chatter), &Request::stream("t/m"), 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_in_the_stream_cancels() {
    is_cancelled(None, &Request::stream("t/m"), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_a_retry_after_is_waited_for_starts_nothing() {
    let (mock, proxy) = behind(Some(Kind::retry_after(429, "2"))).await;
    for via in BOTH {
        mock.clear();
        let client = begin(&proxy, via, &Request::stream("t/m"), 0).await;
        eventually("attempt", Duration::from_secs(5), || {
            mock.received().len() == 1
        })
        .await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _connection = client.leave(Leaves::Politely);
        proxy.idle(Duration::from_secs(1)).await;
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert_eq!(mock.received().len(), 1, "{via:?}");
    }
}
