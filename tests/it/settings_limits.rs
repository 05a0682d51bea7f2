//! What each time limit changes, written at a provider and in a policy: the same silence ends sooner or later by it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Cut, Kind, Script};

use crate::harness::{Config, failing, fast, mock};
use crate::raw::Request;

const SHORT: Duration = Duration::from_millis(100);
/// Apart enough from the other that a busy machine confuses neither.
const LATE: Duration = Duration::from_secs(4);

/// Who has the limit.
#[derive(Clone, Copy, Debug)]
enum Written {
    Provider,
    Policy,
}

/// How long a request takes whose only provider is at `base`, with this limit.
async fn took(
    written: Written,
    limit: &str,
    of: Duration,
    base: &str,
    request: &Request,
) -> Duration {
    let limits = format!("timeouts: {{ {limit}: {}ms }}", of.as_millis());
    let plain = "attempts: 1, patience: 0s".to_owned();
    let (policy, provider) = match written {
        Written::Provider => (plain, limits),
        Written::Policy => (format!("{plain}, {limits}"), String::new()),
    };
    let tls = match base.starts_with("https") {
        true => "tls: { server_name: upstream.test },",
        false => "",
    };
    let fields = format!("base_url: \"{base}\", keys: [{{ value: k }}], {tls} {provider}");
    let proxy = Config::new()
        .raw_provider("one", &fields)
        .model("t/m", &["one"])
        .policy(&policy)
        .start();
    let begun = Instant::now();
    proxy.send(request).await;
    begun.elapsed()
}

async fn holds(limit: &str, base: String, request: Request) {
    for written in [Written::Provider, Written::Policy] {
        let (short, late) = tokio::join!(
            took(written, limit, SHORT, &base, &request),
            took(written, limit, LATE, &base, &request),
        );
        assert!(
            short >= SHORT && short < LATE,
            "{written:?} {limit}: {short:?}"
        );
        assert!(late >= LATE, "{written:?} {limit}: {late:?}");
    }
}

fn at(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_limits_of_a_provider_and_of_a_policy_hold() {
    let long = Duration::from_secs(60);
    // It takes connections and never greets.
    let deaf = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let deaf = format!("https://{}/v1", deaf_address(&deaf));
    let silent = mock(failing(Kind::Silence { lasts: long })).await;
    let stalling = mock(failing(Kind::StallAfter {
        tokens: 5,
        lasts: long,
        how: Cut::Close,
        resumes: false,
    }))
    .await;
    let endless = mock(Script {
        tokens: 100_000,
        pace: Duration::from_millis(20),
        ..fast()
    })
    .await;
    let (json, stream) = (Request::chat("t/m"), Request::stream("t/m"));
    tokio::join!(
        holds("connect", deaf, json.clone()),
        holds("first_token", at(silent.addr()), stream.clone()),
        holds("answer", at(silent.addr()), json),
        holds("idle", at(stalling.addr()), stream.clone()),
        holds("total", at(endless.addr()), stream),
    );
}

fn deaf_address(listener: &std::net::TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

/// A provider that fails after a while, beside a good one: who begins no attempt after the deadline fails.
#[tokio::test(flavor = "multi_thread")]
async fn no_attempt_begins_after_the_deadline() {
    let late = Kind::Status {
        status: 500,
        retry_after: None,
        headers: std::collections::BTreeMap::new(),
        body: mainstay::cmd::mock::ErrorBody::default(),
        text: None,
        delay: Duration::from_millis(400),
    };
    let (bad, good) = (mock(failing(late)).await, mock(fast()).await);
    for (deadline, status) in [("100ms", 502), ("60s", 200)] {
        let proxy = Config::new()
            .provider("bad", bad.addr())
            .provider("good", good.addr())
            .model("t/m", &["bad", "good"])
            .policy(&format!("deadline: {deadline}"))
            .start();
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(answer.status, status, "{deadline}: {answer:?}");
    }
}

/// The model's only provider asks for a second of patience, and a fallback is there.
#[tokio::test(flavor = "multi_thread")]
async fn patience_waits_for_the_same_model() {
    for (patience, served) in [("0s", "t/other"), ("20s", "t/m")] {
        let limited = mock(Script {
            fault: Some(mainstay::cmd::mock::Fault {
                first: Some(1),
                within: None,
                kind: Kind::retry_after(429, "1"),
            }),
            ..fast()
        })
        .await;
        let other = mock(fast()).await;
        let proxy = Config::new()
            .provider("limited", limited.addr())
            .provider("other", other.addr())
            .model_with("t/m", &["limited"], "fallbacks: [t/other]")
            .model("t/other", &["other"])
            .policy(&format!("patience: {patience}"))
            .start();
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(
            answer.header("x-mainstay-model"),
            Some(served),
            "{patience}"
        );
    }
}

/// A fallback that is a second slower than what the model's users are used to.
#[tokio::test(flavor = "multi_thread")]
async fn a_fallback_that_takes_too_long_is_not_asked() {
    let (first, slow) = (mock(fast()).await, mock(fast()).await);
    slow.update(|script| script.first_token = Duration::from_millis(700));
    for (most, status) in [("50ms", 502), ("60s", 200)] {
        first.set(fast());
        let proxy = Config::new()
            .provider("first", first.addr())
            .provider("slow", slow.addr())
            .model_with("t/m", &["first"], "fallbacks: [u/slow]")
            .model("u/slow", &["slow"])
            .policy(&format!(
                "patience: 0s, degrade: {{ max_added_latency: {most} }}"
            ))
            .start();
        for _ in 0..5 {
            for model in ["t/m", "u/slow"] {
                assert_eq!(proxy.send(&Request::stream(model)).await.status, 200);
            }
        }
        first.set(failing(Kind::status(500)));
        let answer = proxy.send(&Request::stream("t/m")).await;
        assert_eq!(answer.status, status, "{most}: {answer:?}");
    }
}

/// How many active checks came, and what they found of a server that answers after a while.
async fn checked(check: &str) -> (usize, f64) {
    let slow = mock(failing(Kind::Status {
        status: 200,
        retry_after: None,
        headers: std::collections::BTreeMap::new(),
        body: mainstay::cmd::mock::ErrorBody::default(),
        text: None,
        delay: Duration::from_millis(500),
    }))
    .await;
    let fields = format!("keys: [{{ value: k }}], health_check: {{ path: /health, {check} }}");
    let proxy = Config::new()
        .provider_with("one", slow.addr(), &fields)
        .model("t/m", &["one"])
        .start();
    let begun = Instant::now();
    let checks = async || {
        let labels = [("provider", "one")];
        proxy
            .metrics()
            .await
            .sum("mainstay_health_checks_total", &labels)
    };
    while checks().await < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no check ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let passed = [("provider", "one"), ("result", "passed")];
    let passed = proxy
        .metrics()
        .await
        .sum("mainstay_health_checks_total", &passed);
    (slow.received().len(), passed)
}

#[tokio::test(flavor = "multi_thread")]
async fn active_checks_keep_to_their_interval_and_their_timeout() {
    let (rare, often, hasty) = tokio::join!(
        checked("interval: 1h, timeout: 20s"),
        checked("interval: 100ms, timeout: 20s"),
        checked("interval: 100ms, timeout: 50ms"),
    );
    assert_eq!(rare.0, 1);
    assert!(often.0 >= 2, "{often:?}");
    assert!(often.1 >= 1.0, "{often:?}");
    assert!(hasty.1 < 0.1, "nothing passes within 50ms: {hasty:?}");
}
