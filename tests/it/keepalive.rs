//! Connections are used again on both sides, and one that died meanwhile costs no client anything.

use std::collections::BTreeSet;
use std::time::Duration;

use mainstay::cmd::mock::{Fault, Kind, Mock, Script};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{Ended, H1, H2, Request, Via};

async fn behind(script: Script) -> (Mock, Proxy) {
    let mock = mock(script).await;
    let config = Config::new().provider("one", mock.addr());
    (mock, config.model("t/m", &["one"]).start())
}

fn connections(mock: &Mock) -> BTreeSet<u64> {
    let received = mock.received();
    received.iter().map(|request| request.connection).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_many_requests_both_ways() {
    let (mock, proxy) = behind(fast()).await;
    let mut client = H1::connect(proxy.data).await;
    let requests = [
        Request::stream("t/m"),
        Request::chat("t/m"),
        Request::chat("t/unknown"),
        Request::get("/v1/models"),
        Request::get("/v1/nowhere"),
        Request::stream("t/m"),
        Request::chat("t/m"),
    ];
    for (request, status) in requests.iter().zip([200, 200, 404, 200, 404, 200, 200]) {
        let answer = client.call(request).await;
        assert_eq!(
            (answer.status, answer.end),
            (status, Ended::Whole),
            "{request:?}"
        );
        assert_ne!(answer.header("connection"), Some("close"), "{request:?}");
        // The upstream's connection goes back to the pool just after the last byte has left.
        proxy.idle(Duration::from_secs(2)).await;
    }
    assert_eq!(connections(&mock).len(), 1, "{:?}", connections(&mock));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_answer_gives_its_connection_back() {
    let kind = Kind::status(500);
    let (mock, proxy) = behind(Script {
        fault: Some(Fault::first(1, kind)),
        ..fast()
    })
    .await;
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(answer.header("x-mainstay-attempts"), Some("2"));
    assert_eq!(connections(&mock).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_h2_connection_do_not_wait_for_each_other() {
    let (_mock, proxy) = behind(Script {
        first_token: Duration::from_millis(500),
        ..fast()
    })
    .await;
    let mut client = H2::connect(proxy.data).await;
    let begun = std::time::Instant::now();
    let mut responses = Vec::new();
    for _ in 0..20 {
        responses.push(client.begin(&Request::stream("t/m")).await);
    }
    for response in responses {
        assert_eq!(response.await.unwrap().status(), 200);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_died_while_idle_is_no_failure() {
    let idle = Some(Duration::from_millis(100));
    for (script, pause) in [
        (Script { idle, ..fast() }, Duration::from_millis(200)),
        (
            Script {
                fault: Some(Fault::always(Kind::StaleReuse)),
                ..fast()
            },
            Duration::ZERO,
        ),
    ] {
        let (mock, proxy) = behind(script).await;
        for number in 0..10 {
            let (request, via) = match number % 2 {
                0 => (Request::stream("t/m"), Via::H1),
                _ => (Request::chat("t/m"), Via::H2),
            };
            let answer = proxy.call(via, &request).await;
            assert_eq!((answer.status, answer.end), (200, Ended::Whole));
            assert_eq!(answer.content(), Script::default().answer());
            assert_eq!(answer.header("x-mainstay-attempts"), Some("1"), "{number}");
            proxy.idle(Duration::from_secs(2)).await;
            tokio::time::sleep(pause).await;
        }
        let outcome = [("outcome", "success")];
        proxy
            .counts("mainstay_attempts_total", &outcome, 10.0)
            .await;
        proxy.counts("mainstay_attempts_total", &[], 10.0).await;
        assert!(connections(&mock).len() >= 5);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_never_leaves_its_connection_to_another() {
    let cut = Kind::StallAfter {
        tokens: 5,
        lasts: Duration::from_millis(600),
        how: mainstay::cmd::mock::Cut::CleanEnd,
        resumes: true,
    };
    let mock = mock(Script {
        fault: Some(Fault::first(1, cut)),
        ..fast()
    })
    .await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .policy("timeouts: { idle: 200ms }")
        .start();
    assert_ne!(proxy.send(&Request::stream("t/m")).await.end, Ended::Whole);
    for _ in 0..3 {
        let answer = proxy.send(&Request::stream("t/m")).await;
        assert_eq!(answer.content(), Script::default().answer());
        assert_eq!(answer.text().matches("[DONE]").count(), 1);
    }
}

/// Two requests in one go: the first is answered whole; the second as well, or its connection is closed.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_is_not_taken_for_gone() {
    let (_mock, proxy) = behind(Script {
        first_token: Duration::from_millis(200),
        ..fast()
    })
    .await;
    for request in [Request::stream("t/m"), Request::chat("t/m")] {
        let mut client = H1::connect(proxy.data).await;
        client.send(&request).await;
        client.send(&request).await;
        let first = client.answer().await;
        assert_eq!((first.status, first.end), (200, Ended::Whole), "{first:?}");
        assert_eq!(first.content(), Script::default().answer());
        let second = client.answer().await;
        assert!([0, 200].contains(&second.status), "{second:?}");
        assert_eq!(second.end == Ended::Whole, second.status == 200);
    }
}
