//! What no model answers: files, audio, realtime sessions, passed on as they are.

use std::time::{Duration, Instant};

use bytes::Bytes;
use mainstay::cmd::mock::Script;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;

use crate::harness::{Config, Proxy, closed_port, eventually, fast, mock, provider_key};
use crate::plain::{Manner, Plain};
use crate::raw::{Ended, Framing, H1, PATIENCE, Request, Via, call};

pub(crate) const CLIENT_KEY: &str = "sk-client-5d3a";

/// A proxy with a key of its own, and these routes to these providers.
pub(crate) fn proxy(routes: &str, providers: &[(&str, &Plain)]) -> Proxy {
    config(routes, providers).start()
}

pub(crate) fn config(routes: &str, providers: &[(&str, &Plain)]) -> Config {
    let mut config = Config::new();
    for (name, at) in providers {
        config = config.provider(name, at.address);
    }
    config
        .model("a/b", &[providers[0].0])
        .top(&format!(
            "auth: {{ keys: [{{ name: web, key: {CLIENT_KEY} }}] }}"
        ))
        .top(&format!("routes: [{routes}]"))
}

pub(crate) fn upload(path: &str, body: Bytes) -> Request {
    let mut request = Request::post(path, body).key(CLIENT_KEY);
    request.headers.retain(|(name, _)| name != "content-type");
    request.header("content-type", "multipart/form-data; boundary=xyz")
}

pub(crate) fn get(path: &str) -> Request {
    Request::get(path).key(CLIENT_KEY)
}

#[tokio::test]
async fn an_upload_is_passed_on_whole_with_the_providers_key_only() {
    let upstream = Plain::start(Manner::Well).await;
    let proxy = proxy(
        "{ path: /v1/files*, provider: p, pin: true }",
        &[("p", &upstream)],
    );
    let body: Bytes = (0..5_000_000_u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    for framing in [Framing::Length, Framing::Chunked, Framing::Expect] {
        let request = upload("/v1/files?purpose=batch", body.clone())
            .header("x-api-key", CLIENT_KEY)
            .header("cookie", CLIENT_KEY)
            .framed(framing);
        let answer = proxy.send(&request).await;
        assert_eq!((answer.status, answer.text()), (200, "ok"), "{framing:?}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    for seen in upstream.seen() {
        assert_eq!(seen.hash, Sha256::digest(&body).to_vec());
        assert!(
            seen.head
                .starts_with("POST /v1/files?purpose=batch HTTP/1.1"),
            "{}",
            seen.head
        );
        assert!(!seen.head.contains(CLIENT_KEY), "{}", seen.head);
        let bearer = format!("Bearer {}", provider_key("p"));
        assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
        assert_eq!(
            seen.header("host"),
            Some(upstream.address.to_string().as_str())
        );
        assert_eq!(
            seen.header("content-type"),
            Some("multipart/form-data; boundary=xyz")
        );
    }
    assert_eq!(upstream.seen().len(), 3);
    let labels = [
        ("route", "/v1/files*"),
        ("provider", "p"),
        ("status", "2xx"),
    ];
    proxy
        .counts("mainstay_route_requests_total", &labels, 3.0)
        .await;
    let line = &proxy.access_log(3).await[0];
    assert_eq!(
        (&line["route"], &line["key"], &line["status"]),
        (&"/v1/files*".into(), &"web".into(), &200.into())
    );
}

#[tokio::test]
async fn who_has_no_key_or_no_route_is_refused() {
    let upstream = Plain::start(Manner::Well).await;
    let config = config("{ path: /v1/audio/*, provider: p }", &[("p", &upstream)]);
    let proxy = config.server("max_body: 1000").start();
    let status = async |request: &Request| proxy.send(request).await.status;
    assert_eq!(status(&Request::get("/v1/audio/x")).await, 401);
    assert_eq!(status(&get("/v1/files")).await, 404);
    assert_eq!(status(&get("/v1/audio/../models")).await, 404);
    let long = Bytes::from(vec![b'x'; 5000]);
    assert_eq!(status(&upload("/v1/audio/x", long.clone())).await, 413);
    assert_eq!(upstream.seen().len(), 0);
    let chunked = upload("/v1/audio/x", long).framed(Framing::Chunked);
    assert_eq!(status(&chunked).await, 413);
    assert_eq!(
        status(&upload("/v1/audio/transcriptions", Bytes::from("--xyz--"))).await,
        200
    );
}

#[tokio::test]
async fn a_websocket_is_carried_both_ways() {
    let upstream = Plain::start(Manner::Echo).await;
    let proxy = proxy("{ path: /v1/realtime, provider: p }", &[("p", &upstream)]);
    let mut client = H1::connect(proxy.data).await;
    let head = format!(
        "GET /v1/realtime?model=m HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {CLIENT_KEY}\r\nconnection: Upgrade\r\n\
         upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: realtime, openai-insecure-api-key.{CLIENT_KEY}\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    assert_eq!(client.head().await.status, 101);
    for frame in [&b"\x81\x85abcdHELLO"[..], &[0x82; 3000], b"\x88\x80zzzz"] {
        client.write(frame).await;
        let mut back = vec![0; frame.len()];
        let reading = client.stream.read_exact(&mut back);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(back, frame);
    }
    let seen = &upstream.seen()[0];
    assert_eq!(seen.header("sec-websocket-protocol"), Some("realtime"));
    assert!(!seen.head.contains(CLIENT_KEY), "{}", seen.head);
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let upstream = Plain::start(Manner::Events(Duration::from_millis(400))).await;
    let proxy = proxy("{ path: /v1/events, provider: p }", &[("p", &upstream)]);
    let mut client = H1::connect(proxy.data).await;
    let begun = Instant::now();
    client.send(&get("/v1/events")).await;
    let mut answer = client.head().await;
    assert!(client.chunk(&mut answer).await);
    assert_eq!(answer.text(), "data: 1\n\n");
    assert!(begun.elapsed() < Duration::from_millis(390), "held back");
    while client.chunk(&mut answer).await {}
    assert_eq!(
        (answer.text(), answer.end),
        ("data: 1\n\ndata: 2\n\ndata: 3\n\n", Ended::Whole)
    );
}

#[tokio::test]
async fn a_get_that_is_refused_for_a_time_goes_to_the_next_provider() {
    let (bad, good) = (
        Plain::start(Manner::Status(503)).await,
        Plain::start(Manner::Well).await,
    );
    let proxy = proxy(
        "{ path: /v1/x, providers: [bad, good] }",
        &[("bad", &bad), ("good", &good)],
    );
    for _ in 0..20 {
        assert_eq!(proxy.send(&get("/v1/x")).await.status, 200);
    }
    assert_eq!(good.seen().len(), 20);
    assert!(bad.seen().len() < 10, "it rests: {}", bad.seen().len());
}

#[tokio::test]
async fn a_body_is_never_sent_twice() {
    let (one, two) = (
        Plain::start(Manner::Break).await,
        Plain::start(Manner::Break).await,
    );
    let proxy = proxy(
        "{ path: /v1/x, providers: [one, two] }",
        &[("one", &one), ("two", &two)],
    );
    let answer = proxy.send(&upload("/v1/x", Bytes::from("once"))).await;
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(answer.json()["error"]["message"].is_string());
    assert_eq!(one.seen().len() + two.seen().len(), 1);
    assert_eq!(proxy.send(&get("/v1/x")).await.status, 502);
    assert_eq!(
        one.seen().len() + two.seen().len(),
        3,
        "a GET is tried at both"
    );
}

#[tokio::test]
async fn what_could_not_connect_goes_on_even_with_a_body() {
    let (_socket, closed) = closed_port();
    let good = Plain::start(Manner::Well).await;
    let proxy = config(
        "{ path: /v1/x, providers: [dead, good] }",
        &[("good", &good)],
    )
    .provider("dead", closed)
    .start();
    for _ in 0..10 {
        assert_eq!(
            proxy
                .send(&upload("/v1/x", Bytes::from("body")))
                .await
                .status,
            200
        );
    }
    assert_eq!(good.seen().len(), 10);
}

#[tokio::test]
async fn a_pinned_route_stays_on_the_first_key_and_others_use_all() {
    let upstream = Plain::start(Manner::Well).await;
    let keys = "keys: [{ name: a, value: sk-a }, { name: b, value: sk-b }]";
    let proxy = Config::new()
        .provider_with("p", upstream.address, keys)
        .model("a/b", &["p"])
        .top("routes: [{ path: /v1/files*, provider: p, pin: true }, { path: /v1/audio, provider: p }]")
        .start();
    let used = |key: &str| {
        let bearer = format!("Bearer {key}");
        let seen = upstream.seen();
        seen.iter()
            .filter(|seen| seen.header("authorization") == Some(&bearer))
            .count()
    };
    for _ in 0..20 {
        assert_eq!(proxy.send(&Request::get("/v1/files/1")).await.status, 200);
    }
    assert_eq!((used("sk-a"), used("sk-b")), (20, 0));
    for _ in 0..40 {
        assert_eq!(proxy.send(&Request::get("/v1/audio")).await.status, 200);
    }
    assert!(
        used("sk-a") > 22 && used("sk-b") > 2,
        "{} {}",
        used("sk-a"),
        used("sk-b")
    );
}

#[tokio::test]
async fn killing_one_of_two_addresses_under_load_loses_no_ai_request() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let addresses = format!(
        "keys: [{{ value: sk }}], addresses: [\"{}\", \"{}\"]",
        one.addr(),
        two.addr()
    );
    let proxy = Config::new()
        .provider_with("p", "127.0.0.1:1".parse().unwrap(), &addresses)
        .model("a/b", &["p"])
        .start();
    let mut one = Some(one);
    for nth in 0..200 {
        if nth == 100 {
            assert!(
                !one.as_ref().unwrap().received().is_empty(),
                "both are used"
            );
            one = None;
        }
        let answer = proxy.send(&Request::chat("a/b")).await;
        assert_eq!(answer.status, 200, "{nth}: {}", answer.text());
    }
    assert!(two.received().len() >= 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_one_of_two_addresses_among_many_requests_loses_none() {
    let slow = Script {
        first_token: Duration::from_millis(20),
        ..fast()
    };
    let (one, two) = (mock(slow.clone()).await, mock(slow).await);
    let addresses = format!(
        "keys: [{{ value: sk }}], addresses: [\"{}\", \"{}\"]",
        one.addr(),
        two.addr()
    );
    let proxy = Config::new()
        .provider_with("p", "127.0.0.1:1".parse().unwrap(), &addresses)
        .model("a/b", &["p"])
        .start();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let at = proxy.data;
        clients.spawn(async move {
            for nth in 0..60 {
                let answer = call(Via::H1, at, &Request::chat("a/b")).await;
                assert_eq!(answer.status, 200, "{nth}: {}", answer.text());
            }
        });
    }
    // It dies with requests under way.
    eventually("a share of the requests", PATIENCE, || {
        one.received().len() >= 60
    })
    .await;
    drop(one);
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(two.received().len() > 100);
}
