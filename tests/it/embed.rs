//! Mainstay inside another proxy: the host's routes and errors stay the host's, ours stay ours, and a broken
//! stream is cut there too.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Mock, Script};
use mainstay::{Mainstay, config};

use crate::harness::{Config, closed_port, fast, mock};
use crate::raw::{Ended, H1, H2, Request, Via, call};

#[path = "../../examples/embed.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod example;

/// The example's host, serving in a thread of this process until it ends.
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    /// Keeps the port of the host's own upstream closed.
    _nobody: socket2::Socket,
}

pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn start(mock: &Mock) -> Host {
    let text = Config::new().provider("one", mock.addr());
    let text = text.model("t/m", &["one"]).model("t/s08", &["one"]);
    let text = text
        .top("routes: [{ path: /v1/files*, provider: one }]")
        .text();
    let source = config::Source {
        path: "mainstay.yaml".into(),
        text,
    };
    host(Mainstay::new(config::parse(&source, &|_| None).unwrap()).unwrap()).await
}

/// The example's host with this in it.
pub(crate) async fn host(mainstay: Mainstay) -> Host {
    let address = free_address();
    let (nobody, upstream) = closed_port();
    std::thread::spawn(move || {
        example::serve(mainstay, &address.to_string(), upstream.to_string()).unwrap();
    });
    serving(address).await;
    Host {
        address,
        _nobody: nobody,
    }
}

/// Waits until someone listens there.
pub(crate) async fn serving(address: SocketAddr) {
    let begun = Instant::now();
    while tokio::net::TcpStream::connect(address).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "the host serves");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_a_host_may_speak_h2() {
    let mock = mock(fast()).await;
    let host = start(&mock).await;
    let mut client = H2::connect(host.address).await;
    let hello = client.call(&Request::get("/hello")).await;
    assert_eq!((hello.status, hello.text()), (200, "hello\n"));
    let answer = client.call(&Request::chat("t/m")).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    let stream = client.call(&Request::stream("t/m")).await;
    assert_eq!((stream.status, stream.end), (200, Ended::Whole));
    assert_eq!(stream.content(), Script::default().answer());
    let long = format!(r#","user":"{}""#, "x".repeat(1 << 20));
    let uploaded = client.call(&Request::chat_with("t/m", &long)).await;
    assert_eq!(uploaded.status, 200);
    let broken = client.call(&Request::stream("t/s08")).await;
    assert_eq!((broken.status, broken.end), (200, Ended::Reset));
    assert!(broken.text().contains(r#""finish_reason":"error""#));
    let elsewhere = client.call(&Request::get("/elsewhere")).await;
    assert_eq!(
        (elsewhere.status, elsewhere.text()),
        (502, "the host's own error\n")
    );
    let healthy = client.call(&Request::chat("t/m")).await;
    assert_eq!(healthy.status, 200, "the connection serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_keeps_its_own_routes_and_its_own_errors() {
    let mock = mock(fast()).await;
    let host = start(&mock).await;
    let mut client = H1::connect(host.address).await;
    let hello = client.call(&Request::get("/hello")).await;
    assert_eq!((hello.status, hello.text()), (200, "hello\n"));
    let answer = client.call(&Request::chat("t/m")).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!(answer.header("x-mainstay-attempts"), Some("1"));
    let unknown = client.call(&Request::chat("t/unknown")).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("model_not_found"));
    // What `routes` would take is the host's, too.
    for path in ["/elsewhere", "/v1/files/f-1"] {
        let elsewhere = call(Via::H1, host.address, &Request::get(path)).await;
        assert_eq!(elsewhere.status, 502, "{path}");
        assert_eq!(elsewhere.text(), "the host's own error\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_cut_without_the_hosts_error() {
    let mock = mock(fast()).await;
    let host = start(&mock).await;
    let answer = call(Via::H1, host.address, &Request::stream("t/s08")).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.end, Ended::Whole, "no clean end");
    assert!(answer.text().contains(r#""finish_reason":"error""#));
    assert!(!answer.text().contains("the host's own error"));
    let healthy = call(Via::H1, host.address, &Request::chat("t/m")).await;
    assert_eq!(healthy.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_compresses_does_not_hold_events_back() {
    let slow = Script {
        pace: Duration::from_millis(40),
        tokens: 25,
        ..fast()
    };
    let mock = mock(slow).await;
    let host = start(&mock).await;
    let mut client = H1::connect(host.address).await;
    let request = Request::stream("t/m").header("accept-encoding", "gzip");
    client.send(&request).await;
    let begun = Instant::now();
    let mut answer = client.head().await;
    assert!(client.chunk(&mut answer).await);
    let first = begun.elapsed();
    assert_eq!(answer.header("content-encoding"), None);
    client.body(&mut answer).await;
    assert_eq!(answer.end, Ended::Whole);
    let whole = begun.elapsed();
    assert!(first * 3 < whole, "first after {first:?} of {whole:?}");
}
