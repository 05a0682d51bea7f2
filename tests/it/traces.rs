//! Traces: what a collector gets, whose trace it is, and that no collector can slow a request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::harness::{Config, Proxy, anywhere, closed_port, eventually, failing, fast, mock};
use crate::raw::{BOTH, H1, PATIENCE, Request};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// The heads and bodies of what came.
type Taken = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector that takes what it is sent, or never answers.
struct Collector {
    address: SocketAddr,
    taken: Taken,
    _accepting: JoinSet<()>,
}

impl Collector {
    async fn start(answers: bool) -> Self {
        let listener = TcpListener::bind(anywhere()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let (mut accepting, shared) = (JoinSet::new(), taken.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, shared.clone(), answers));
            }
        });
        Self {
            address,
            taken,
            _accepting: accepting,
        }
    }

    fn posts(&self) -> usize {
        self.taken.lock().unwrap().len()
    }

    /// Everything taken so far; each post is OTLP's.
    fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for (head, body) in self.taken.lock().unwrap().iter() {
            assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
            assert!(
                head.contains("content-type: application/x-protobuf"),
                "{head}"
            );
            let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            for resource in request.resource_spans {
                let about = resource.resource.unwrap().attributes;
                let named = about.iter().any(|one| {
                    let value = one.value.as_ref().and_then(|value| value.value.clone());
                    one.key == "service.name"
                        && value == Some(Value::StringValue("mainstay".to_owned()))
                });
                assert!(named, "{about:?}");
                let scopes = resource.scope_spans.into_iter();
                spans.extend(scopes.flat_map(|scope| scope.spans));
            }
        }
        spans
    }

    async fn spans_once(&self, count: usize) -> Vec<Span> {
        eventually("the spans", PATIENCE, || self.spans().len() >= count).await;
        self.spans()
    }
}

async fn serve(mut stream: TcpStream, taken: Taken, answers: bool) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if bytes.len() < end + 4 + length {
                break;
            }
            let body = bytes[end + 4..end + 4 + length].to_vec();
            bytes.drain(..end + 4 + length);
            taken.lock().unwrap().push((head, body));
            if answers {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            }
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

fn about(span: &Span) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let attributes = span.attributes.iter();
    attributes
        .filter_map(|one| Some((one.key.as_str(), text(one.value.as_ref()?.value.as_ref()?))))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap();
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(digit).collect()
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

/// A provider that fails and one that answers, and a collector at an address.
async fn config(collector: SocketAddr, more: &str) -> (Vec<Mock>, Config) {
    let (bad, good) = (mock(failing(Kind::status(500))).await, mock(fast()).await);
    let config = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .model("t/well", &["good"])
        .policy("layers: [failover, fallback]")
        .top(&format!(
            "telemetry: {{ otlp: \"http://{collector}\"{more} }}"
        ));
    (vec![bad, good], config)
}

fn told(mock: &Mock, name: &str) -> Option<String> {
    let received = mock.received().pop().unwrap();
    let header = received
        .headers
        .into_iter()
        .find(|(known, _)| known == name);
    header.map(|(_, value)| value)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_a_span_and_each_attempt_one_below_it() {
    let collector = Collector::start(true).await;
    let (mocks, config) = config(collector.address, "").await;
    let proxy = config.start();
    let request = Request::stream("t/m")
        .header("traceparent", &parent("01"))
        .header("tracestate", "vendor=1")
        .header("x-request-id", "traced-1");
    assert_eq!(proxy.send(&request).await.status, 200);
    let spans = collector.spans_once(3).await;
    assert_eq!(spans.len(), 3);
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
    let own = spans
        .iter()
        .find(|span| span.kind == SpanKind::Server as i32)
        .unwrap();
    assert_eq!(hex(&own.parent_span_id), PARENT);
    assert_eq!(own.name, "chat t/m");
    let said = about(own);
    let expected = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "good"),
        ("gen_ai.request.model", "t/m"),
        ("gen_ai.response.model", "t/m"),
        ("gen_ai.usage.output_tokens", "60"),
        ("http.response.status_code", "200"),
        ("url.path", "/v1/chat/completions"),
        ("mainstay.request_id", "traced-1"),
        ("mainstay.attempts", "2"),
        ("mainstay.drift", "provider"),
    ];
    for (name, value) in expected {
        assert_eq!(
            said.get(name).map(String::as_str),
            Some(value),
            "{name}: {said:?}"
        );
    }
    assert!(!said.contains_key("error.type"), "it was answered");
    let attempts = spans
        .iter()
        .filter(|span| span.kind == SpanKind::Client as i32);
    let attempts: Vec<&Span> = attempts.collect();
    let of = |provider: &str| {
        let mut all = attempts.iter();
        *all.find(|span| about(span)["gen_ai.provider.name"] == provider)
            .unwrap()
    };
    let (failed, answered) = (of("bad"), of("good"));
    for attempt in &attempts {
        assert_eq!(attempt.parent_span_id, own.span_id);
        assert!(attempt.start_time_unix_nano >= own.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= own.end_time_unix_nano + 1_000_000);
        assert_eq!(attempt.name, "chat m");
        assert!(about(attempt).contains_key("server.address"));
    }
    assert_eq!(about(failed)["error.type"], "server_error");
    assert_eq!(about(failed)["http.response.status_code"], "500");
    assert_eq!(about(answered)["gen_ai.usage.output_tokens"], "60");
    assert!(!about(answered).contains_key("error.type"));
    // Each upstream was told of its own attempt, and of what the client said.
    for (mock, span) in mocks.iter().zip([failed, answered]) {
        let expected = format!("00-{TRACE}-{}-01", hex(&span.span_id));
        assert_eq!(
            told(mock, "traceparent").as_deref(),
            Some(expected.as_str())
        );
        assert_eq!(told(mock, "tracestate").as_deref(), Some("vendor=1"));
    }
    let text = format!("{spans:?}");
    assert!(
        !text.contains("sk-upstream") && !text.contains("\"hi\""),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clients_decision_holds_and_a_wrong_name_is_ignored() {
    let collector = Collector::start(true).await;
    let (mocks, config) = config(collector.address, ", trace_ratio: 0").await;
    let proxy = config.start();
    let good = &mocks[1];
    // Not recorded: by the client's word, and by the ratio.
    let asked = Request::chat("t/well").header("traceparent", &parent("00"));
    proxy.send(&asked).await;
    let on = told(good, "traceparent").unwrap();
    assert!(
        on.starts_with(&format!("00-{TRACE}-")) && on.ends_with("-00"),
        "{on}"
    );
    let wrong = Request::chat("t/well")
        .header("traceparent", "00-zz-1-01")
        .header("tracestate", "vendor=1");
    proxy.send(&wrong).await;
    let own = told(good, "traceparent").unwrap();
    assert!(
        own.len() == 55 && own.ends_with("-00") && !own.contains(TRACE),
        "{own}"
    );
    assert_eq!(
        told(good, "tracestate"),
        None,
        "it goes with a name that holds"
    );
    // Recorded, whatever the ratio.
    for via in BOTH {
        let asked = Request::chat("t/well").header("traceparent", &parent("01"));
        proxy.call(via, &asked).await;
    }
    let spans = collector.spans_once(4).await;
    assert_eq!(
        spans.len(),
        4,
        "the exchange and its attempt, over both protocols"
    );
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_turns_traces_on_and_off() {
    let collector = Collector::start(true).await;
    let (mocks, on) = config(collector.address, "").await;
    let off = on.text().replace("telemetry:", "x-telemetry:");
    let proxy = Proxy::start_unwatched(&off);
    proxy.send(&Request::chat("t/well")).await;
    assert_eq!(
        told(&mocks[1], "traceparent"),
        None,
        "off, and the client sent none"
    );
    let given = parent("01");
    proxy
        .send(&Request::chat("t/well").header("traceparent", &given))
        .await;
    assert_eq!(
        told(&mocks[1], "traceparent"),
        Some(given),
        "it is passed on as it is"
    );
    proxy.write_config(&on.text());
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 2.0).await;
    proxy.send(&Request::chat("t/well")).await;
    let spans = collector.spans_once(2).await;
    assert_eq!(spans.len(), 2, "only what came since");
    proxy.write_config(&off);
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 3.0).await;
    proxy.send(&Request::chat("t/well")).await;
    assert_eq!(told(&mocks[1], "traceparent"), None);
    proxy.counts("mainstay_spans_dropped_total", &[], 0.0).await;
}

/// Requests that are answered while nobody takes their spans.
async fn goes_on(proxy: &Proxy, requests: usize) {
    let begun = Instant::now();
    for _ in 0..requests {
        assert_eq!(proxy.send(&Request::chat("t/well")).await.status, 200);
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{requests} took {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_its_spans_and_no_more() {
    let (_held, dead) = closed_port();
    let (_mocks, config) = config(dead, "").await;
    let proxy = config.start();
    goes_on(&proxy, 20).await;
    let begun = Instant::now();
    while proxy
        .metrics()
        .await
        .sum("mainstay_spans_dropped_total", &[])
        < 2.0
    {
        assert!(begun.elapsed() < PATIENCE, "{}", proxy.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let warned = proxy.logged("spans are not taken");
    assert_eq!(warned.len(), 1, "it is said once: {warned:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_nobody_up() {
    let collector = Collector::start(false).await;
    let (_mocks, config) = config(collector.address, "").await;
    let mut proxy = config.start();
    goes_on(&proxy, 5).await;
    eventually("a batch", PATIENCE, || collector.posts() > 0).await;
    goes_on(&proxy, 50).await;
    proxy.signal("TERM");
    assert!(
        proxy.ended(Duration::from_secs(10)).await.success(),
        "it ends in time"
    );
}

/// More than wait in memory and in a batch (2048 and 256).
const TOO_MANY: usize = 2_600;

#[tokio::test(flavor = "multi_thread")]
async fn spans_that_find_no_room_are_dropped_and_counted_and_requests_are_answered() {
    let silent = Collector::start(false).await;
    let (_mocks, traced) = config(silent.address, "").await;
    let untraced = traced.text().replace("telemetry:", "x-telemetry:");
    let (traced, untraced) = (traced.start(), Proxy::start(&untraced));
    let (with, without) = (many(&traced).await, many(&untraced).await);
    // The last hundredth is compared: a queue that blocks would show in the last hundreds.
    let last = |took: &[Duration]| took[took.len() * 99 / 100];
    assert!(
        last(&with) < last(&without) * 5 + Duration::from_millis(250),
        "{:?} instead of {:?}",
        last(&with),
        last(&without)
    );
    // Of each exchange its own and that of its attempt; batches that time out are counted later.
    let dropped = traced.metrics().await;
    let dropped = dropped.sum("mainstay_spans_dropped_total", &[]);
    assert!(
        dropped >= 2.0 * (2_600.0 - 2_048.0 - 2.0 * 256.0),
        "{dropped}"
    );
}

/// Asks so often, a few at a time. Returns how long each took, in order of time.
async fn many(proxy: &Proxy) -> Vec<Duration> {
    let mut clients = JoinSet::new();
    let at = proxy.data;
    for _ in 0..8 {
        clients.spawn(async move {
            let (mut client, mut took) = (H1::connect(at).await, Vec::new());
            for _ in 0..TOO_MANY / 8 {
                let begun = Instant::now();
                assert_eq!(client.call(&Request::chat("t/well")).await.status, 200);
                took.push(begun.elapsed());
            }
            took
        });
    }
    let mut took = clients.join_all().await.concat();
    took.sort_unstable();
    took
}
