//! X10: answers that a provider compresses although it was asked not to.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use mainstay::cmd::mock::Script;

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{BOTH, Ended, Request};
use crate::upstream::Literal;

const STREAM: &str = "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},\"finish_reason\":null}]}\n\n\
    data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\
    \"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const JSON: &str = "{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,\
    \"message\":{\"role\":\"assistant\",\"content\":\"hello\"},\"finish_reason\":\"stop\"}]}";

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn upstream(status: &str, kind: &str, coding: &str, body: &[u8]) -> Literal {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Literal::saying([head.as_bytes(), body].concat()).await
}

async fn with_spare(upstream: &Literal) -> (Proxy, mainstay::cmd::mock::Mock) {
    let spare = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", upstream.address)
        .provider("spare", spare.addr())
        .model("t/m", &["one", "spare"])
        .start();
    (proxy, spare)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_arrives_plain() {
    for (coding, code) in [("gzip", gzip as fn(&str) -> Vec<u8>), ("deflate", deflate)] {
        let stream = upstream("200 OK", "text/event-stream", coding, &code(STREAM)).await;
        let json = upstream("200 OK", "application/json", coding, &code(JSON)).await;
        for (upstream, request) in [
            (stream, Request::stream("t/m")),
            (json, Request::chat("t/m")),
        ] {
            let (proxy, spare) = with_spare(&upstream).await;
            for via in BOTH {
                let answer = proxy.call(via, &request).await;
                assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{coding}");
                assert_eq!(answer.content(), "hello", "{coding}");
                assert_eq!(answer.header("content-encoding"), None);
            }
            assert_eq!(spare.received().len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_is_answered_by_the_next_endpoint() {
    let coded = gzip(JSON);
    let mut spoilt = coded.clone();
    let last = spoilt.len() - 6;
    spoilt[last] ^= 0x55;
    for (coding, body) in [
        ("gzip", &coded[..coded.len() / 2]),
        ("gzip", &coded[..coded.len() - 4]),
        ("gzip", &spoilt[..]),
        ("gzip", JSON.as_bytes()),
        ("br", JSON.as_bytes()),
    ] {
        let upstream = upstream("200 OK", "application/json", coding, body).await;
        let (proxy, _spare) = with_spare(&upstream).await;
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{coding}");
        assert_eq!(answer.content(), Script::default().answer(), "{coding}");
    }
}

/// A stream that inflates beyond every bound is given up before it costs memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_is_answered_by_the_next_endpoint() {
    let bomb = gzip(&format!("data: {}", " ".repeat(200 << 20)));
    for kind in ["text/event-stream", "application/json"] {
        let upstream = upstream("200 OK", kind, "gzip", &bomb).await;
        let (proxy, _spare) = with_spare(&upstream).await;
        let before = proxy.memory();
        let answer = proxy.send(&Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{kind}");
        assert_eq!(answer.content(), Script::default().answer(), "{kind}");
        let grown = proxy.memory().saturating_sub(before) >> 20;
        assert!(grown < 100, "{grown} MiB more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_error_is_understood() {
    let error = "{\"error\":{\"message\":\"too long\",\"type\":\"invalid_request_error\",\
        \"param\":\"messages\",\"code\":\"context_length_exceeded\"}}";
    let upstream = upstream("400 Bad Request", "application/json", "gzip", &gzip(error)).await;
    let (proxy, _spare) = with_spare(&upstream).await;
    proxy.send(&Request::chat("t/m")).await;
    let log = proxy.access_log(1).await;
    assert_eq!(
        log[0]["attempts"][0]["outcome"], "context_too_long",
        "{}",
        log[0]
    );
}
