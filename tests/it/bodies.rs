//! X12: request bodies around the sizes where buffers end arrive whole at the second provider, however they
//! were framed and however the first one failed.

use bytes::Bytes;
use mainstay::cmd::mock::{ErrorBody, Fate, Fault, Kind, Mock, Script};
use sha2::{Digest, Sha256};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{BOTH, Ended, Framing, Request, Via};

const FRAMINGS: [Framing; 3] = [Framing::Length, Framing::Chunked, Framing::Expect];
const KIB_64: usize = 64 * 1024;

/// A chat body of exactly this size.
fn body(model: &str, size: usize) -> Bytes {
    let open = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":""#);
    let close = r#""}],"temperature":0.70}"#;
    let mut text = open.into_bytes();
    let mut rng = fastrand::Rng::with_seed(size as u64);
    while text.len() < size - close.len() {
        text.push(rng.alphanumeric() as u8);
    }
    text.extend_from_slice(close.as_bytes());
    text.into()
}

/// Two providers; the first fails every request in one way.
struct Pair {
    first: Mock,
    second: Mock,
    proxy: Proxy,
}

impl Pair {
    /// `cases` models, so that no case meets another's health.
    async fn new(kind: Kind, cases: usize) -> Self {
        let fault = Some(Fault::always(kind));
        let first = mock(Script { fault, ..fast() }).await;
        let second = mock(fast()).await;
        let mut config = Config::new()
            .provider("first", first.addr())
            .provider("second", second.addr())
            .top("retry_budget: { floor_per_second: 1000 }");
        for case in 0..cases {
            config = config.model(&format!("t/case-{case}"), &["first", "second"]);
        }
        Self {
            proxy: config.start(),
            first,
            second,
        }
    }

    async fn passes(&self, case: usize, size: usize, framing: Framing, via: Via) {
        let name = format!("t/case-{case}");
        let body = body(&name, size);
        let request = Request::post("/v1/chat/completions", body.clone()).framed(framing);
        let answer = self.proxy.call(via, &request).await;
        let what = format!("{size} bytes, {framing:?}, {via:?}: {answer:?}");
        assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{what}");
        assert_eq!(answer.content(), Script::default().answer(), "{what}");
        if via == Via::H1 {
            assert_eq!(answer.continued, framing == Framing::Expect, "{what}");
        }
        let expected = rewritten(&body, &name);
        for (place, mock) in [("first", &self.first), ("second", &self.second)] {
            let received = mock.received().pop().unwrap();
            assert_eq!(received.body_bytes, expected.len(), "{place}: {what}");
            let digest = format!("{:x}", Sha256::digest(&expected));
            assert_eq!(received.sha256, digest, "{place}: {what}");
            assert_eq!(received.header("transfer-encoding"), None, "{place}");
            assert_eq!(received.header("expect"), None, "{place}");
        }
        assert_eq!(self.first.received().pop().unwrap().fate, self.fate());
    }

    fn fate(&self) -> Fate {
        match self.first.received()[0].status {
            Some(_) => Fate::Answered,
            None => Fate::Cut,
        }
    }
}

/// The body as an upstream is to get it.
fn rewritten(body: &Bytes, name: &str) -> Vec<u8> {
    let slug = name.trim_start_matches("t/");
    let (from, to) = (format!(r#""{name}""#), format!(r#""{slug}""#));
    let at = memchr::memmem::find(body, from.as_bytes()).unwrap();
    [&body[..at], to.as_bytes(), &body[at + from.len()..]].concat()
}

async fn all_pass(kind: Kind, sizes: &[usize]) {
    let pair = Pair::new(kind, sizes.len() * 6).await;
    let mut case = 0;
    for size in sizes {
        for framing in FRAMINGS {
            for via in BOTH {
                pair.passes(case, *size, framing, via).await;
                case += 1;
            }
        }
    }
}

const SMALLER: [usize; 4] = [KIB_64 - 1, KIB_64, KIB_64 + 1, 200_000];
const LARGE: [usize; 1] = [20_000_000];

#[tokio::test(flavor = "multi_thread")]
async fn bodies_reach_the_second_provider_whole_after_an_error_answer() {
    all_pass(Kind::error(503, ErrorBody::Auto), &SMALLER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_reach_the_second_provider_whole_after_a_reset() {
    all_pass(Kind::Reset, &SMALLER).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_20_megabytes_reach_the_second_provider_whole() {
    all_pass(Kind::status(503), &LARGE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_20_megabytes_survives_a_reset() {
    let pair = Pair::new(Kind::Reset, 1).await;
    pair.passes(0, LARGE[0], Framing::Length, Via::H1).await;
}
