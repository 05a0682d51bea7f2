//! X07: every way in which a provider says when to come back, felt by a model with one endpoint: a wait within
//! patience is waited for, one beyond it is told at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use mainstay::cmd::mock::{ErrorBody, Fault, Kind, Script};

use crate::harness::{Config, fast, mock};
use crate::raw::{Answer, Request};

/// What the provider sends with its 429.
#[derive(Default)]
struct Told<'a> {
    headers: &'a [(&'a str, String)],
    text: Option<&'a str>,
}

/// A provider that refuses its first request: what the client gets, after how long, and how often it was asked.
async fn refused_once(told: Told<'_>) -> (Answer, Duration, usize) {
    let headers = told.headers.iter();
    let headers: BTreeMap<String, String> = headers
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    let kind = Kind::Status {
        status: 429,
        retry_after: None,
        headers,
        body: ErrorBody::Auto,
        text: told.text.map(str::to_owned),
        delay: Duration::ZERO,
    };
    let mock = mock(Script {
        fault: Some(Fault::first(1, kind)),
        ..fast()
    })
    .await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .policy("patience: 4s")
        .start();
    let begun = Instant::now();
    let answer = proxy.send(&Request::chat("t/m")).await;
    (answer, begun.elapsed(), mock.received().len())
}

fn header(name: &str, value: impl Into<String>) -> [(&str, String); 1] {
    [(name, value.into())]
}

async fn waits(what: &str, told: Told<'_>, least: f64, most: f64) {
    let (answer, took, asked) = refused_once(told).await;
    assert_eq!((answer.status, asked), (200, 2), "{what}: {answer:?}");
    let took = took.as_secs_f64();
    // The jitter of those who leave, and a busy machine, come on top.
    assert!(took >= least && took < most + 2.5, "{what}: {took} s");
}

#[expect(clippy::disallowed_methods, reason = "a provider's own clock")]
fn date_in(seconds: u64) -> String {
    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_a_wait_within_patience_is_waited_for_however_it_is_said() {
    let in_three = date_in(3);
    let both = [
        ("retry-after", "1".to_owned()),
        ("retry-after-ms", "0".to_owned()),
    ];
    let (finer, date) = (
        header("retry-after-ms", "400"),
        header("retry-after", in_three),
    );
    let prose = r#"{"error":{"message":"Rate limit reached. Please try again in 1.2s.","type":"requests","code":"rate_limit_exceeded"}}"#;
    let of = |headers| Told {
        headers,
        text: None,
    };
    let said = Told {
        headers: &[],
        text: Some(prose),
    };
    tokio::join!(
        waits("a second, and no milliseconds", of(&both), 0.95, 1.0),
        waits("milliseconds", of(&finer), 0.35, 0.4),
        waits("a date", of(&date), 1.0, 3.0),
        waits("prose", said, 1.15, 1.2),
        waits("nothing", Told::default(), 0.95, 1.0),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x07_a_wait_beyond_patience_is_told_at_once() {
    let late = date_in(3600);
    for (what, value) in [("seconds", "3600".to_owned()), ("a date", late)] {
        let headers = header("retry-after", value);
        let (answer, took, asked) = refused_once(Told {
            headers: &headers,
            text: None,
        })
        .await;
        assert_eq!((answer.status, asked), (429, 1), "{what}: {answer:?}");
        let told: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        // Nobody is sent away for longer than a block is believed.
        assert!((30..=3600).contains(&told), "{what}: {told}");
        assert!(took < Duration::from_secs(2), "{what}: {took:?}");
    }
}
