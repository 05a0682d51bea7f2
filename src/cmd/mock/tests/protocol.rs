//! Owns the tests of the wire itself: framing in and out, keep-alive, refusals, leaving, wrapped streams.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::cmd::mock::http::Inbound;
use crate::cmd::mock::{Fate, Fault, Kind};

#[tokio::test]
async fn a_connection_carries_many_requests() {
    let mock = start(Script {
        name: "north".to_owned(),
        ..fast()
    })
    .await;
    let mut client = Client::connect(&mock).await;
    for request in [stream("m"), chat("m", ""), stream("s12"), stream("m")] {
        let answer = client.call(request).await;
        assert_eq!(
            (&answer.end, answer.header("x-mock")),
            (&Ended::Whole, Some("north"))
        );
    }
    let received = mock.received();
    assert_eq!(received.len(), 4);
    assert!(
        received
            .iter()
            .all(|request| request.connection == 0 && request.fate == Fate::Answered)
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let mock = start(fast()).await;
    let mut client = Client::connect(&mock).await;
    client
        .send(format!("{}{}", chat("one", ""), chat("two", "")))
        .await;
    assert_eq!(client.answer().await.json()["model"], "one");
    assert_eq!(client.answer().await.json()["model"], "two");
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    let mock = start(fast()).await;
    let mut client = Client::connect(&mock).await;
    client.send("POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n9;x=y\r\n{\"model\":\r\n").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let answer = client
        .call("4\r\n\"m\"}\r\n0\r\nx-trailer: 1\r\n\r\n")
        .await;
    assert_eq!(answer.json()["model"], "m");
    let received = &mock.received()[0];
    assert_eq!(
        (received.body_bytes, received.body.as_deref()),
        (13, Some(&b"{\"model\":\"m\"}"[..]))
    );
    assert_eq!(
        received.sha256,
        "548f58d1c36c715b44f0863472074a97c448d5b8d18164b92adf55592b127f86"
    );
}

#[tokio::test]
async fn a_large_body_is_kept_as_a_digest_only() {
    let mock = start(fast()).await;
    let answer = once(
        &mock,
        chat("m", &format!(r#","user":"{}""#, "x".repeat(3_000_000))),
    )
    .await;
    assert_eq!(answer.status(), 200);
    let received = &mock.received()[0];
    assert!(received.body_bytes > 3_000_000 && received.body.is_none());
    assert_eq!(
        (
            received.model.as_deref(),
            received.stream,
            received.sha256.len()
        ),
        (Some("m"), false, 64)
    );
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let mock = start(fast()).await;
    let mut client = Client::connect(&mock).await;
    let head =
        "POST /chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 13\r\n\r\n";
    assert_eq!(client.call(head).await.status(), 100);
    assert_eq!(client.call(r#"{"model":"m"}"#).await.status(), 200);
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let mock = start(fast()).await;
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000));
    let cases: &[(&[u8], u16)] = &[
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"\xff\xfe\0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
            413,
        ),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            400,
        ),
        (
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            413,
        ),
        (long.as_bytes(), 431),
    ];
    for (bytes, status) in cases {
        let answer = once(&mock, bytes).await;
        assert_eq!(
            answer.status(),
            *status,
            "{}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
        );
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn strange_requests_get_json_errors() {
    let mock = start(fast()).await;
    let cases = [
        (request("GET", "/nowhere", ""), 404),
        (request("GET", "/v1/chat/completions", ""), 404),
        (request("POST", "/v1/chat/completions", "{"), 400),
        (request("POST", "/v1/chat/completions", "{}"), 400),
        (
            request(
                "POST",
                "/v1/chat/completions",
                r#"{"model":"m","n":4000000000,"messages":[{}]}"#,
            ),
            200,
        ),
    ];
    for (request, status) in cases {
        let answer = once(&mock, &request).await;
        assert_eq!(answer.status(), status, "{request}");
        assert_eq!(answer.json()["error"].is_object(), status != 200);
    }
}

#[tokio::test]
async fn only_listed_keys_are_let_in() {
    let mock = start(Script {
        keys: vec!["sk-good".to_owned()],
        ..fast()
    })
    .await;
    let with = |header: &str| chat("m", "").replacen("host: mock", header, 1);
    for header in ["authorization: Bearer sk-bad", "host: none"] {
        let answer = once(&mock, with(header)).await;
        assert_eq!(
            (answer.status(), answer.json()["error"]["code"].as_str()),
            (401, Some("invalid_api_key"))
        );
        assert!(!answer.text().contains("sk-bad"));
    }
    for header in ["Authorization: Bearer sk-good", "api-key: sk-good"] {
        assert_eq!(once(&mock, with(header)).await.status(), 200);
    }
}

#[tokio::test]
async fn a_leaving_client_is_noticed_and_recorded() {
    let mock = start(Script {
        first_token: Duration::from_secs(60),
        ..fast()
    })
    .await;
    for request in [stream("m"), chat("m", ""), stream("s06")] {
        mock.clear();
        let mut client = Client::connect(&mock).await;
        client.send(request).await;
        eventually("the answer is under way", || mock.open_streams() == 1).await;
        assert_eq!(mock.received()[0].fate, Fate::UnderWay);
        drop(client);
        eventually("the client is missed", || mock.open_streams() == 0).await;
        let received = &mock.received()[0];
        assert_eq!(received.fate, Fate::ClientLeft);
        assert!(received.ended.unwrap() < received.at + Duration::from_secs(1));
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_its_own_body_is_recorded() {
    let mock = start(fast()).await;
    let mut client = Client::connect(&mock).await;
    client
        .send("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 10\r\n\r\n{")
        .await;
    drop(client);
    eventually("it is recorded", || mock.received().len() == 1).await;
    assert_eq!(mock.received()[0].fate, Fate::ClientLeft);
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mock = start(Script {
        idle: Some(Duration::from_millis(20)),
        ..fast()
    })
    .await;
    let mut client = Client::connect(&mock).await;
    assert_eq!(client.call(chat("m", "")).await.status(), 200);
    assert_eq!(client.answer().await.end, Ended::Closed);
}

#[tokio::test]
async fn an_old_client_gets_its_stream_until_the_close() {
    let mock = start(fast()).await;
    let mut client = Client::connect(&mock).await;
    client
        .send(stream("m").replacen("HTTP/1.1", "HTTP/1.0", 1))
        .await;
    let mut bytes = String::new();
    client.stream.read_to_string(&mut bytes).await.unwrap();
    assert!(bytes.ends_with("data: [DONE]\n\n") && !bytes.contains("chunked"));
}

#[tokio::test]
async fn a_split_body_comes_in_small_chunks_and_is_the_same() {
    let split = std::num::NonZeroUsize::new(7);
    let answer = once(&start(Script { split, ..fast() }).await, stream("m")).await;
    assert!(answer.chunks.iter().all(|size| *size <= 7));
    assert_eq!(answer.content(), fast().answer());
}

#[tokio::test]
async fn every_choice_and_a_required_tool_are_answered() {
    let mock = start(fast()).await;
    let two = once(&mock, chat("m", r#","n":2"#)).await.json();
    assert_eq!(two["choices"][1]["message"]["content"], fast().answer());
    let tool = r#","tools":[{"type":"function","function":{"name":"look","parameters":{}}}],"tool_choice":"required""#;
    let json = once(&mock, chat("m", tool)).await.json();
    let whole = json["choices"][0]["message"]["tool_calls"][0]["function"].clone();
    let streamed = once(&mock, chat("m", &format!(r#"{tool},"stream":true"#))).await;
    let calls: Vec<_> = streamed
        .events()
        .iter()
        .filter_map(|event| {
            event
                .pointer("/choices/0/delta/tool_calls/0/function")
                .cloned()
        })
        .collect();
    let arguments: String = calls
        .iter()
        .filter_map(|call| call["arguments"].as_str())
        .collect();
    assert_eq!(
        (&whole["name"], &calls[0]["name"]),
        (&"look".into(), &"look".into())
    );
    assert_eq!(whole["arguments"], arguments);
    assert!(serde_json::from_str::<serde_json::Value>(&arguments).unwrap()["query"].is_string());
    assert_eq!(json["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn stopping_ends_the_listener_and_the_connections() {
    let fault = Some(Fault::always(Kind::Silence {
        lasts: Duration::from_secs(60),
    }));
    let mock = start(Script { fault, ..fast() }).await;
    let addr = mock.addr();
    let mut client = Client::connect(&mock).await;
    client.send(chat("m", "")).await;
    eventually("the answer is under way", || mock.open_streams() == 1).await;
    mock.stop().await;
    assert_ne!(client.answer().await.end, Ended::Whole);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn a_wrapped_connection_speaks_tls_and_can_still_be_reset() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key =
        rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions();
    let server = server
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let wrap = move |stream| acceptor.clone().accept(stream);
    let mock = Mock::start_with(([127, 0, 0, 1], 0).into(), fast(), wrap)
        .await
        .unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let client =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let tcp = TcpStream::connect(mock.addr()).await.unwrap();
    let mut tls = connector
        .connect("localhost".try_into().unwrap(), tcp)
        .await
        .unwrap();

    tls.write_all(stream("m").as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"0\r\n\r\n") {
        assert_ne!(tls.read_buf(&mut bytes).await.unwrap(), 0);
    }
    tls.write_all(stream("s05").as_bytes()).await.unwrap();
    let error = tls.read_buf(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(head in "(GET|POST|.{0,4}) /.{0,9} HTTP/1.[01]\r\n(transfer-encoding: chunked|content-length: [0-9a]{1,20}|.{0,30})\r\n\r\n", rest: Vec<u8>) {
        let bytes = [head.as_bytes(), &rest].concat();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut inbound = Inbound::new(&bytes[..]);
            if let Ok(head) = inbound.head().await {
                let _ = (head.keeps_alive(), head.path(), inbound.body(&head).await);
            }
        });
    }
}
