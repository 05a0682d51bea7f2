//! What routes must not pass on, or must not lose: from clients that try, and from servers that break.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncReadExt;

use crate::harness::{Config, provider_key};
use crate::plain::{Manner, Plain};
use crate::raw::{BOTH, Ended, Framing, H1, Request};
use crate::routes::{CLIENT_KEY, config, get, proxy, upload};

#[tokio::test]
async fn a_key_goes_upstream_in_no_header_and_in_no_query() {
    let upstream = Plain::start(Manner::Well).await;
    let proxy = proxy("{ path: /v1/x, provider: p }", &[("p", &upstream)]);
    let told = get("/v1/x")
        .header("x-custom", &format!("prefix-{CLIENT_KEY}"))
        .header("x-forwarded-port", "1")
        .header("x-mainstay-policy", "p")
        .header("x-kept", "yes");
    assert_eq!(proxy.send(&told).await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert!(!seen.head.contains(CLIENT_KEY), "{}", seen.head);
    for name in ["x-custom", "x-forwarded-port", "x-mainstay-policy"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-kept"), Some("yes"));
    let answer = proxy.send(&get(&format!("/v1/x?key={CLIENT_KEY}"))).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(!answer.text().contains(CLIENT_KEY));
    assert_eq!(upstream.seen().len(), 1);
}

/// Its answer would be what was sent, the provider's key included.
#[tokio::test]
async fn a_trace_is_refused() {
    let upstream = Plain::start(Manner::Well).await;
    let proxy = proxy("{ path: /v1/x, provider: p }", &[("p", &upstream)]);
    let mut trace = get("/v1/x");
    trace.method = "TRACE";
    for via in BOTH {
        assert_eq!(proxy.call(via, &trace).await.status, 405, "{via:?}");
    }
    assert_eq!(upstream.seen().len(), 0);
}

#[tokio::test]
async fn a_key_that_may_use_some_models_only_may_use_no_route() {
    let upstream = Plain::start(Manner::Well).await;
    let keys = "{ name: some, key: sk-some, models: [\"a/*\"] }, { name: all, key: sk-all, models: [\"*\"] }";
    let proxy = Config::new()
        .provider("p", upstream.address)
        .model("a/b", &["p"])
        .top(&format!("auth: {{ keys: [{keys}] }}"))
        .top("routes: [{ path: /v1/x, provider: p }]")
        .start();
    let status = async |key: &str| proxy.send(&Request::get("/v1/x").key(key)).await.status;
    assert_eq!(status("sk-some").await, 403);
    assert_eq!(upstream.seen().len(), 0);
    assert_eq!(status("sk-all").await, 200);
}

#[tokio::test]
async fn a_wish_to_upgrade_lifts_no_cap() {
    let upstream = Plain::start(Manner::Well).await;
    let config = config("{ path: /v1/x, provider: p }", &[("p", &upstream)]);
    let proxy = config.server("max_body: 1000").start();
    let long = upload("/v1/x", Bytes::from(vec![b'x'; 50_000]))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .framed(Framing::Chunked);
    assert_eq!(proxy.send(&long).await.status, 413);
    assert_eq!(upstream.seen().len(), 0);
    let line = &proxy.access_log(1).await[0];
    assert_eq!(line["result"], "failed", "the client is not gone: {line}");
}

#[tokio::test]
async fn who_only_listens_in_a_conversation_is_not_cut_off() {
    let upstream = Plain::start(Manner::Echo).await;
    let config = config("{ path: /v1/realtime, provider: p }", &[("p", &upstream)]);
    let proxy = config.server("body_timeout: 200ms").start();
    let mut client = H1::connect(proxy.data).await;
    let head = format!(
        "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CLIENT_KEY}\r\n\
         connection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    assert_eq!(client.head().await.status, 101);
    tokio::time::sleep(Duration::from_millis(800)).await;
    client.write(b"hello").await;
    let mut back = [0; 5];
    let reading = client.stream.read_exact(&mut back);
    let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
    read.unwrap().unwrap();
    assert_eq!(&back, b"hello");
}

/// A server closes an idle connection as the next request is on its way: nothing was worked on.
#[tokio::test]
async fn a_pooled_connection_that_was_dead_costs_nobody_an_answer() {
    let upstream = Plain::start(Manner::Once).await;
    let proxy = proxy("{ path: /v1/x, provider: p }", &[("p", &upstream)]);
    for nth in 0..6 {
        assert_eq!(proxy.send(&get("/v1/x")).await.status, 200, "{nth}");
        let body = upload("/v1/x", Bytes::from("body"));
        assert_eq!(proxy.send(&body).await.status, 200, "{nth}");
    }
    let sent_twice = upstream.seen().len();
    assert!(
        sent_twice > 12,
        "no pooled connection was met: {sent_twice}"
    );
    let bodies = upstream.seen();
    let bodies = bodies.iter().filter(|seen| seen.length > 0);
    assert_eq!(bodies.count(), 6, "a body is sent once");
}

#[tokio::test]
async fn an_answer_that_breaks_ends_broken() {
    let upstream = Plain::start(Manner::Cut).await;
    let proxy = proxy("{ path: /v1/x, provider: p }", &[("p", &upstream)]);
    for via in BOTH {
        let answer = proxy.call(via, &get("/v1/x")).await;
        assert_eq!((answer.status, answer.text()), (200, "data: 1\n\n"));
        assert_ne!(answer.end, Ended::Whole, "{via:?}");
    }
    let log = proxy.access_log(2).await;
    assert_eq!(
        (&log[0]["result"], &log[1]["result"]),
        (&"broken".into(), &"broken".into())
    );
}

#[tokio::test]
async fn a_key_that_its_provider_rejects_is_passed_over() {
    let (bad, good) = (
        Plain::start(Manner::Status(401)).await,
        Plain::start(Manner::Well).await,
    );
    let proxy = proxy(
        "{ path: /v1/x, providers: [bad, good] }",
        &[("bad", &bad), ("good", &good)],
    );
    for _ in 0..20 {
        assert_eq!(proxy.send(&get("/v1/x")).await.status, 200);
    }
    assert!(bad.seen().len() < 10, "it rests: {}", bad.seen().len());
}

/// What a model found out about a key is known to routes, which share it.
#[tokio::test]
async fn a_key_that_a_models_request_found_dead_is_avoided() {
    let (bad, good) = (
        Plain::start(Manner::Status(401)).await,
        Plain::start(Manner::Well).await,
    );
    let proxy = proxy(
        "{ path: /v1/x, providers: [bad, good] }",
        &[("bad", &bad), ("good", &good)],
    );
    let chat = Request::chat("a/b").key(CLIENT_KEY);
    assert_ne!(proxy.send(&chat).await.status, 200);
    let found_out = bad.seen().len();
    for _ in 0..30 {
        let sent = proxy.send(&upload("/v1/x", Bytes::from("x"))).await;
        assert_eq!(sent.status, 200);
    }
    assert_eq!(bad.seen().len(), found_out);
    let seen = good.seen().pop().unwrap();
    let bearer = format!("Bearer {}", provider_key("good"));
    assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
}
