//! What a client may send at most, and how long it may take.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::Mock;

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{Answer, BOTH, Ended, Framing, H1, H2, Request, Via};

async fn limited(field: &str) -> (Mock, Proxy) {
    let mock = mock(fast()).await;
    let config = Config::new().server(field).provider("one", mock.addr());
    (mock, config.model("t/m", &["one"]).start())
}

fn of_size(size: usize, framing: Framing) -> Request {
    let mut body = br#"{"model":"t/m","messages":[]}"#.to_vec();
    body.resize(size, b' ');
    Request::post("/v1/chat/completions", body).framed(framing)
}

fn is_too_large(answer: &Answer, what: &str) {
    assert_eq!(
        (answer.status, answer.end),
        (413, Ended::Whole),
        "{what}: {answer:?}"
    );
    assert_eq!(answer.error()["type"], "invalid_request_error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_the_limit_passes_and_one_byte_more_does_not() {
    let (mock, proxy) = limited("max_body: 100KiB").await;
    for via in BOTH {
        for framing in [Framing::Length, Framing::Chunked, Framing::Expect] {
            let what = format!("{via:?} {framing:?}");
            let answer = proxy.call(via, &of_size(100 * 1024, framing)).await;
            assert_eq!(answer.status, 200, "{what}");
            let arrived = mock.received().len();
            let answer = proxy.call(via, &of_size(100 * 1024 + 1, framing)).await;
            is_too_large(&answer, &what);
            assert!(
                !answer.continued,
                "{what}: asked for a body that is refused"
            );
            assert_eq!(mock.received().len(), arrived, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_body_that_was_too_large_the_connection_works_or_is_closed() {
    let (_mock, proxy) = limited("max_body: 100KiB").await;
    for framing in [Framing::Length, Framing::Chunked] {
        let mut client = H1::connect(proxy.data).await;
        is_too_large(&client.call(&of_size(3_000_000, framing)).await, "h1");
        client.send(&of_size(1000, Framing::Length)).await;
        let next = client.answer().await;
        let closed = next.status == 0 && next.end == Ended::Cut;
        assert!(closed || next.status == 200, "{framing:?}: {next:?}");
    }
    let mut client = H2::connect(proxy.data).await;
    for framing in [Framing::Length, Framing::Chunked] {
        is_too_large(&client.call(&of_size(3_000_000, framing)).await, "h2");
        let next = client.call(&of_size(1000, Framing::Length)).await;
        assert_eq!(next.status, 200, "other streams of the connection go on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_beyond_the_budget_of_all_are_turned_away_for_a_moment() {
    let (_mock, proxy) = limited("max_body: 60KiB, max_inflight_bytes: 64KiB").await;
    let (held, mut first) = (
        of_size(40_000, Framing::Length),
        H1::connect(proxy.data).await,
    );
    let (most, rest) = held.body.split_at(39_000);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 40000\r\n\r\n";
    first.write(head.as_bytes()).await;
    first.write(most).await;
    while proxy.metrics().await.sum("mainstay_held_body_bytes", &[]) < 39_000.0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answer = proxy.send(&of_size(40_000, Framing::Length)).await;
    assert_eq!((answer.status, answer.end), (503, Ended::Whole));
    assert_eq!(answer.header("retry-after"), Some("1"));
    first.write(rest).await;
    assert_eq!(first.answer().await.status, 200);
    proxy.idle(Duration::from_secs(2)).await;
    let held = proxy.metrics().await.sum("mainstay_held_body_bytes", &[]);
    assert!(held.abs() < 0.1, "{held} bytes were not given back");
    let answer = proxy.send(&of_size(40_000, Framing::Length)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_too_slowly_is_given_up() {
    let (mock, proxy) = limited("body_timeout: 300ms").await;
    let mut client = H1::connect(proxy.data).await;
    let begun = Instant::now();
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{\"model\"";
    client.write(head.as_bytes()).await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, answer.end),
        (408, Ended::Whole),
        "{answer:?}"
    );
    assert_eq!(answer.error()["type"], "invalid_request_error");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(
        client.is_closed().await,
        "the rest of the body is not waited for"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    proxy.idle(Duration::from_secs(5)).await;
    assert_eq!(mock.received().len(), 0);
    let answer = proxy.call(Via::H2, &of_size(1000, Framing::Length)).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2_body_that_comes_too_slowly_is_given_up() {
    let (mock, proxy) = limited("body_timeout: 300ms").await;
    let mut client = H2::connect(proxy.data).await;
    let begun = Instant::now();
    let (response, mut rest) = client.open(&of_size(1000, Framing::Chunked)).await;
    rest.send_data("{\"model\"".into(), false).unwrap();
    let response = tokio::time::timeout(Duration::from_secs(5), response).await;
    assert_eq!(response.expect("an answer").unwrap().status(), 408);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let next = client.call(&of_size(1000, Framing::Length)).await;
    assert_eq!(next.status, 200, "other streams of the connection go on");
    proxy.idle(Duration::from_secs(5)).await;
    assert_eq!(mock.received().len(), 1);
}

/// An upload that its client gives up is no request, and nothing of it stays behind.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_leaves_nothing() {
    let (mock, proxy) = limited("max_body: 1MiB").await;
    let mut h1 = H1::connect(proxy.data).await;
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{";
    h1.write(head.as_bytes()).await;
    let mut h2 = H2::connect(proxy.data).await;
    let (response, mut rest) = h2.open(&of_size(1000, Framing::Chunked)).await;
    rest.send_data("{".into(), false).unwrap();
    proxy.counts("mainstay_held_body_bytes", &[], 2.0).await;
    drop(h1);
    rest.send_reset(h2::Reason::CANCEL);
    drop(response);
    proxy.idle(Duration::from_secs(2)).await;
    proxy.counts("mainstay_held_body_bytes", &[], 0.0).await;
    assert_eq!(mock.received().len(), 0);
    assert_eq!(h2.call(&of_size(1000, Framing::Length)).await.status, 200);
}
