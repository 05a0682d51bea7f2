//! Routes for clients that speak HTTP/2, without TLS and with it: the provider still speaks HTTP/1.1.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::authority::Authority;
use crate::downstream_tls::connect;
use crate::harness::{Proxy, provider_key};
use crate::plain::{Manner, Plain};
use crate::raw::{Ended, Framing, H2, Request, Via, dial, h2_piece};
use crate::routes::{CLIENT_KEY, config, get, upload};

/// A proxy with a listener of each kind, and how to reach them.
struct Both {
    proxy: Proxy,
    authority: Authority,
    _folder: tempfile::TempDir,
}

async fn clients(routes: &str, providers: &[(&str, &Plain)], secure: bool) -> (Both, H2) {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    let signed = authority.sign("mainstay.test");
    signed.write(folder.path(), "server");
    let mut text = config(routes, providers).text();
    if secure {
        let file = |name: &str| folder.path().join(name).display().to_string();
        let tls = format!(
            "listen: [{{ address: \"127.0.0.1:0\", tls: {{ cert_file: {}, key_file: {} }} }}]",
            file("server.pem"),
            file("server.key")
        );
        text = text.replacen("listen: [127.0.0.1:0]", &tls, 1);
    }
    let both = Both {
        proxy: Proxy::start(&text),
        authority,
        _folder: folder,
    };
    let client = match secure {
        true => {
            let stream = connect(&both.proxy, &both.authority, Via::H2, None).await;
            H2::over(stream.unwrap()).await
        }
        false => H2::over(dial(both.proxy.data).await).await,
    };
    (both, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_uploads_are_passed_on_whole() {
    let body: Bytes = (0..3_000_000_u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<u8>>()
        .into();
    for secure in [false, true] {
        let upstream = Plain::start(Manner::Well).await;
        let (_both, mut client) = clients(
            "{ path: /v1/files*, provider: p }",
            &[("p", &upstream)],
            secure,
        )
        .await;
        let answer = client
            .call(&get("/v1/files/1?x=y").header("cookie", CLIENT_KEY))
            .await;
        assert_eq!((answer.status, answer.text()), (200, "ok"));
        assert_eq!(answer.header("set-cookie"), None);
        for framing in [Framing::Length, Framing::Chunked] {
            let answer = client
                .call(&upload("/v1/files", body.clone()).framed(framing))
                .await;
            assert_eq!(
                (answer.status, answer.end),
                (200, Ended::Whole),
                "{framing:?}"
            );
        }
        let seen = upstream.seen();
        assert!(
            seen[0].head.starts_with("GET /v1/files/1?x=y HTTP/1.1"),
            "{}",
            seen[0].head
        );
        for seen in &seen {
            assert!(!seen.head.contains(CLIENT_KEY), "{}", seen.head);
            let bearer = format!("Bearer {}", provider_key("p"));
            assert_eq!(seen.header("authorization"), Some(bearer.as_str()));
            assert_eq!(
                seen.header("host"),
                Some(upstream.address.to_string().as_str())
            );
            assert_eq!(seen.head.matches("host: ").count(), 1, "{}", seen.head);
        }
        for seen in &seen[1..] {
            assert_eq!(seen.hash, Sha256::digest(&body).to_vec());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_passed_on_as_they_come() {
    for secure in [false, true] {
        let upstream = Plain::start(Manner::Events(Duration::from_millis(400))).await;
        let (_both, mut client) = clients(
            "{ path: /v1/events, provider: p }",
            &[("p", &upstream)],
            secure,
        )
        .await;
        let begun = std::time::Instant::now();
        let (mut answer, body) = client.head(&get("/v1/events")).await;
        let mut body = body.unwrap();
        assert!(h2_piece(&mut answer, &mut body).await);
        assert_eq!(answer.text(), "data: 1\n\n");
        let first = begun.elapsed();
        while h2_piece(&mut answer, &mut body).await {}
        assert!(first * 2 < begun.elapsed(), "held back for {first:?}");
        assert_eq!(
            (answer.text(), answer.end),
            ("data: 1\n\ndata: 2\n\ndata: 3\n\n", Ended::Whole)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_goes_on_and_a_body_does_not() {
    for secure in [false, true] {
        let (bad, good) = (
            Plain::start(Manner::Status(503)).await,
            Plain::start(Manner::Well).await,
        );
        let (_both, mut client) = clients(
            "{ path: /v1/x, providers: [bad, good] }",
            &[("bad", &bad), ("good", &good)],
            secure,
        )
        .await;
        for _ in 0..10 {
            assert_eq!(client.call(&get("/v1/x")).await.status, 200);
        }
        assert_eq!(good.seen().len(), 10);
    }
    let (one, two) = (
        Plain::start(Manner::Break).await,
        Plain::start(Manner::Break).await,
    );
    let (_both, mut client) = clients(
        "{ path: /v1/x, providers: [one, two] }",
        &[("one", &one), ("two", &two)],
        true,
    )
    .await;
    for framing in [Framing::Length, Framing::Chunked] {
        let before = one.seen().len() + two.seen().len();
        let request: Request = upload("/v1/x", Bytes::from("once")).framed(framing);
        let answer = client.call(&request).await;
        assert_eq!(answer.status, 502, "{framing:?}: {answer:?}");
        assert_eq!(
            one.seen().len() + two.seen().len(),
            before + 1,
            "{framing:?}"
        );
    }
}
