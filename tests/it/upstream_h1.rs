//! Providers that speak HTTP/1.1 in ways that could be read in two, that end in the middle, or that answer
//! before they have read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Mock, Script};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::harness::{Config, Proxy, anywhere, fast, for_model, mock};
use crate::raw::{BOTH, Ended, Request};
use crate::upstream::Literal;

/// Longer than what two sockets hold between them.
const LONG: usize = 12 << 20;

/// Answers each connection at once, and reads not a byte.
struct Deaf {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Deaf {
    fn saying(answer: &'static str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.bind(anywhere()).unwrap();
        let listener = socket.listen(64).unwrap();
        let address = listener.local_addr().unwrap();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                // The request's head is on its way by then, its body can never be.
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                held.push(stream);
            }
        });
        Self {
            address,
            _accepting: accepting,
        }
    }
}

/// A model of two providers: one that misbehaves, and a good one.
async fn beside_good(bad: SocketAddr) -> (Mock, Proxy) {
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("bad", bad)
        .provider("good", good.addr())
        .top("retry_budget: { floor_per_second: 1000 }")
        .model("t/m", &["bad", "good"])
        .start();
    (good, proxy)
}

fn long() -> Request {
    Request::chat_with("t/m", &format!(r#","user":"{}""#, "x".repeat(LONG)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_reads_nothing_is_heard_at_once() {
    let deaf = Deaf::saying(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 60\r\ncontent-length: 2\r\n\r\n{}",
    );
    let (good, proxy) = beside_good(deaf.address).await;
    let begun = Instant::now();
    let answer = proxy.send(&long()).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!(answer.content(), Script::default().answer());
    // A write may wait for 20 s.
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(for_model(&good, "m")[0].body_bytes > LONG);
    let log = proxy.access_log(1).await;
    assert_eq!(
        log[0]["attempts"][0]["outcome"], "rate_limited",
        "{}",
        log[0]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_request_that_is_too_long_reaches_the_client_at_once() {
    let deaf = Deaf::saying("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\n{}");
    let (good, proxy) = beside_good(deaf.address).await;
    let begun = Instant::now();
    let answer = proxy.send(&long()).await;
    assert_eq!(
        (answer.status, answer.end),
        (413, Ended::Whole),
        "{answer:?}"
    );
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(good.received().is_empty(), "it would be as long there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_can_be_read_in_two_ways_is_malformed() {
    let body = r#"{"choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#;
    let length = body.len();
    for head in [
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n"
        ),
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ncontent-length: 1\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\nfolded: a\r\n content-length: {length}\r\n\r\n"),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
        "220 mail.test ESMTP\r\n".to_owned(),
    ] {
        let bad = Literal::saying(format!("{head}{body}")).await;
        let (_good, proxy) = beside_good(bad.address).await;
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(answer.content(), Script::default().answer(), "{head}");
        let log = proxy.access_log(1).await;
        let first = &log[0]["attempts"][0];
        assert_eq!(first["outcome"], "malformed_response", "{head}{}", log[0]);
    }
}

const CHUNK: &str = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}"#;

/// The framing breaks after content has reached the client: whatever the bytes say, that is no end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_framing_breaks_is_never_ended_cleanly() {
    let event = format!("data: {CHUNK}\n\n");
    let begun = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{event}\r\n",
        event.len()
    );
    for rest in ["", "\r\n0\r\n\r\n", "5\r\ndata", "zz\r\n", "0\r\n"] {
        let bad = Literal::saying(format!("{begun}{rest}")).await;
        let config = Config::new().provider("bad", bad.address);
        let proxy = config.model("t/m", &["bad"]).start();
        for via in BOTH {
            let answer = proxy.call(via, &Request::stream("t/m")).await;
            assert_eq!(answer.content(), "hi", "{rest:?}: {answer:?}");
            assert_ne!(answer.end, Ended::Whole, "{rest:?}");
        }
    }
}
