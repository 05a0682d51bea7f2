//! Failures before the first content: what another provider of the model answers instead, and what is given
//! back at once. Each case has a model, and with it a health, of its own.

use std::time::Duration;

use mainstay::cmd::mock::{Cut, ErrorBody, Fault, Kind, Mock, Script};

use crate::harness::{Config, Proxy, closed_port, failing, fast, for_model, mock, provider_key};
use crate::raw::{BOTH, Ended, Request, Via};

/// A provider that fails in the way that each model's name says, beside a healthy one.
struct Pool {
    bad: Mock,
    good: Mock,
    proxy: Proxy,
}

impl Pool {
    async fn new(kinds: &[(&str, Kind)], more: &str) -> Self {
        let models = kinds.iter().flat_map(|(name, kind)| {
            let fault = Fault::always(kind.clone());
            ["h1", "h2", "json"].map(|form| (format!("{form}-{name}"), fault.clone()))
        });
        let script = Script {
            models: models.collect(),
            ..fast()
        };
        let bad = mock(script.clone()).await;
        let good = mock(fast()).await;
        let mut config = Config::new()
            .provider("bad", bad.addr())
            .provider("good", good.addr())
            .policy("timeouts: { first_token: 600ms, answer: 600ms }")
            .top("retry_budget: { floor_per_second: 1000 }")
            .top(more);
        for name in script.models.keys() {
            config = config.model(&format!("t/{name}"), &["bad", "good"]);
        }
        Self {
            proxy: config.start(),
            bad,
            good,
        }
    }

    /// The healthy provider answers, whole and in the model's name, after one attempt on the other.
    async fn is_rescued(&self, name: &str, class: &str) {
        for (form, via) in [("h1", Via::H1), ("h2", Via::H2), ("json", Via::H1)] {
            let slug = format!("{form}-{name}");
            let model = format!("t/{slug}");
            let request = match form {
                "json" => Request::chat(&model),
                _ => Request::stream(&model),
            };
            let answer = self.proxy.call(via, &request).await;
            assert_eq!(
                (answer.status, answer.end),
                (200, Ended::Whole),
                "{slug}: {answer:?}"
            );
            assert_eq!(answer.content(), Script::default().answer(), "{slug}");
            assert_eq!(answer.model(), model);
            assert_eq!(
                for_model(&self.bad, &slug).len(),
                1,
                "{slug}: attempts on the bad one"
            );
            assert_eq!(for_model(&self.good, &slug).len(), 1, "{slug}");
            assert_eq!(answer.header("x-mainstay-attempts"), Some("2"), "{slug}");
            assert_eq!(
                answer.header("x-mainstay-drift"),
                Some("provider"),
                "{slug}"
            );
            assert_eq!(answer.header("x-mainstay-fallback"), None, "{slug}");
            let endpoint = format!("{model}@bad/default");
            let labels = [("endpoint", endpoint.as_str()), ("outcome", class)];
            let family = "mainstay_attempts_total";
            self.proxy.counts(family, &labels, 1.0).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_status_says_moves_the_request_to_the_next_provider() {
    let table = [
        ("500", 500, "server_error"),
        ("502", 502, "server_error"),
        ("503", 503, "overloaded"),
        ("529", 529, "overloaded"),
        ("404", 404, "model_unavailable"),
        ("429", 429, "rate_limited"),
        ("402", 402, "quota_exhausted"),
        ("302", 302, "malformed_response"),
    ];
    let kinds: Vec<_> = table
        .map(|(name, status, _)| (name, Kind::status(status)))
        .into();
    let pool = Pool::new(&kinds, "").await;
    // A failed key rests with all its endpoints: that case comes last.
    let (keys, others): (Vec<_>, Vec<_>) = table.iter().partition(|case| case.1 == 402);
    for (name, _, class) in others {
        pool.is_rescued(name, class).await;
    }
    for (name, _, class) in keys {
        let request = Request::chat(&format!("t/json-{name}"));
        let answer = pool.proxy.send(&request).await;
        assert_eq!(answer.content(), Script::default().answer());
        let labels = [("outcome", class)];
        pool.proxy
            .counts("mainstay_attempts_total", &labels, 1.0)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_answer_moves_the_request_to_the_next_provider() {
    let table = [
        ("reset", Kind::Reset, "connection_lost"),
        ("close", Kind::Close, "connection_lost"),
        ("empty", Kind::Empty, "empty_completion"),
        ("html", Kind::Html { status: 200 }, "malformed_response"),
        ("html-500", Kind::Html { status: 500 }, "server_error"),
        (
            "error-in-200",
            Kind::ErrorIn200 {
                body: ErrorBody::Server,
            },
            "error_in_200",
        ),
        ("gzip", Kind::TruncatedGzip, "malformed_response"),
    ];
    let kinds: Vec<_> = table
        .iter()
        .map(|(name, kind, _)| (*name, kind.clone()))
        .collect();
    let pool = Pool::new(&kinds, "").await;
    for (name, _, class) in &table {
        pool.is_rescued(name, class).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stops_before_its_content_moves_on() {
    let cut = |how| Kind::CutAfter { tokens: 0, how };
    let chatter = Kind::Chatter {
        what: mainstay::cmd::mock::Chatter::Role,
        every: Duration::from_millis(20),
        lasts: Duration::from_secs(60),
    };
    let error = Kind::ErrorEvent {
        at: 1,
        body: ErrorBody::Overloaded,
    };
    let late = Kind::ErrorEvent {
        at: 2,
        body: ErrorBody::Server,
    };
    let kinds = [
        ("closed", cut(Cut::Close)),
        ("reset", cut(Cut::Reset)),
        ("ended", cut(Cut::CleanEnd)),
        ("chatter", chatter),
        ("error", error),
        ("late-error", late),
    ];
    let pool = Pool::new(&kinds, "").await;
    for (name, _) in &kinds {
        for via in BOTH {
            let slug = format!("{}-{name}", if via == Via::H1 { "h1" } else { "h2" });
            let request = Request::stream(&format!("t/{slug}"));
            let answer = pool.proxy.call(via, &request).await;
            assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{slug}");
            assert_eq!(answer.content(), Script::default().answer(), "{slug}");
            assert!(answer.is_done(), "{slug}");
            assert_eq!(for_model(&pool.bad, &slug).len(), 1, "{slug}");
            let roles = answer.text().matches(r#""role":"assistant""#).count();
            assert_eq!(
                roles, 1,
                "{slug}: something of the first attempt got through"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_json_moves_on() {
    let pool = Pool::new(&[("cut", Kind::TruncatedJson)], "").await;
    let answer = pool.proxy.send(&Request::chat("t/json-cut")).await;
    assert_eq!(answer.content(), Script::default().answer());
    assert_eq!(for_model(&pool.bad, "json-cut").len(), 1);
    assert_eq!(for_model(&pool.good, "json-cut").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn json_where_events_were_asked_for_moves_on() {
    let json = Kind::WrongContentType {
        content_type: "application/json".to_owned(),
    };
    let pool = Pool::new(&[("typed", json)], "").await;
    let answer = pool.proxy.send(&Request::stream("t/h1-typed")).await;
    assert_eq!((answer.status, answer.end), (200, Ended::Whole));
    assert_eq!(answer.content(), Script::default().answer());
    assert_eq!(for_model(&pool.good, "h1-typed").len(), 1);
}

/// A right answer under a wrong name is still the answer: the client gets it, whole, under the right one.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_content_type_never_reaches_the_client() {
    let text = Kind::WrongContentType {
        content_type: "text/plain".to_owned(),
    };
    let pool = Pool::new(&[("typed", text)], "").await;
    let answer = pool.proxy.send(&Request::stream("t/h1-typed")).await;
    assert!(answer.is_stream() && answer.is_done());
    assert_eq!(answer.content(), Script::default().answer());
    let answer = pool.proxy.send(&Request::chat("t/json-typed")).await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.content(), Script::default().answer());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_moves_on() {
    let (_socket, nobody) = closed_port();
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("bad", nobody)
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .start();
    for via in BOTH {
        let answer = proxy.call(via, &Request::stream("t/m")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert_eq!(answer.content(), Script::default().answer());
    }
    let outcome = [("outcome", "connect_failed")];
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("mainstay_attempts_total", &outcome) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_an_address_moves_on() {
    let good = mock(fast()).await;
    let fields = "dialects: [openai], base_url: \"http://nobody.invalid/v1\", keys: [{ value: k }]";
    let named = format!(
        "dialects: [openai], base_url: \"http://localhost:{}/v1\", keys: [{{ value: k }}]",
        good.addr().port()
    );
    let proxy = Config::new()
        .raw_provider("bad", fields)
        .raw_provider("good", &named)
        .model("t/m", &["bad", "good"])
        .start();
    let answer = proxy.send(&Request::stream("t/m")).await;
    assert_eq!(answer.content(), Script::default().answer());
    let outcome = [("outcome", "dns_failed")];
    proxy.counts("mainstay_attempts_total", &outcome, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_key_rests_and_the_other_one_answers() {
    let mock = mock(Script {
        keys: vec!["sk-right-4f".to_owned()],
        ..fast()
    })
    .await;
    let keys = "keys: [{ name: one, value: sk-wrong-8a }, { name: two, value: sk-right-4f }]";
    let proxy = Config::new()
        .provider_with("p", mock.addr(), keys)
        .model("t/m", &["p"])
        .model("t/n", &["p"])
        .start();
    for (model, attempts) in [("t/m", "2"), ("t/m", "1"), ("t/n", "1")] {
        let answer = proxy.send(&Request::chat(model)).await;
        assert_eq!(answer.content(), Script::default().answer());
        assert_eq!(
            answer.header("x-mainstay-attempts"),
            Some(attempts),
            "{model}"
        );
        let endpoint = format!("{model}@p/two");
        assert_eq!(
            answer.header("x-mainstay-endpoint"),
            Some(endpoint.as_str())
        );
    }
    assert_eq!(mock.received().len(), 4, "the wrong key was tried once");
}

/// X09: what ends a key ends it for all models that it serves, and the requests go on elsewhere.
async fn a_key_rests(kind: Kind, class: &str) {
    let (broke, rich) = (mock(failing(kind)).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("broke", broke.addr())
        .provider("rich", rich.addr())
        .model("t/m", &["broke", "rich"])
        .model("t/n", &["broke", "rich"])
        .start();
    for (model, attempts) in [("t/m", "2"), ("t/m", "1"), ("t/n", "1")] {
        let answer = proxy.send(&Request::chat(model)).await;
        assert_eq!(answer.status, 200, "{class}");
        let told = answer.header("x-mainstay-attempts");
        assert_eq!(told, Some(attempts), "{class}: {model}");
    }
    assert_eq!(broke.received().len(), 1, "{class}: asked once");
    let outcome = [("provider", "broke"), ("outcome", class)];
    proxy.counts("mainstay_attempts_total", &outcome, 1.0).await;
    // The operator sees that both of its endpoints are away.
    let closed = [("provider", "broke"), ("state", "closed")];
    let metrics = proxy.metrics().await;
    assert!(
        metrics.sum("mainstay_endpoint_state", &closed) < 0.5,
        "{class}"
    );
    let closed = [("provider", "rich"), ("state", "closed")];
    assert!(
        metrics.sum("mainstay_endpoint_state", &closed) > 1.5,
        "{class}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn x09_a_key_without_money_or_with_a_disabled_account_rests_for_all_models() {
    let with_text = |status, text: &str| match Kind::status(status) {
        Kind::Status {
            retry_after,
            headers,
            body,
            delay,
            ..
        } => Kind::Status {
            status,
            retry_after,
            headers,
            body,
            delay,
            text: Some(text.to_owned()),
        },
        other => other,
    };
    let disabled =
        r#"{"error":{"message":"The account has been deactivated.","code":"account_deactivated"}}"#;
    a_key_rests(Kind::status(401), "auth_rejected").await;
    a_key_rests(with_text(402, "{}"), "payment_required").await;
    a_key_rests(Kind::error(429, ErrorBody::Quota), "quota_exhausted").await;
    a_key_rests(with_text(403, disabled), "auth_rejected").await;
}

/// X08: a limit a minute that is smaller than the prompt. To wait for it would be in vain.
#[tokio::test(flavor = "multi_thread")]
async fn x08_a_prompt_that_never_fits_goes_to_a_larger_window_and_blocks_nobody() {
    let never = Kind::Status {
        status: 429,
        retry_after: Some("30".to_owned()),
        headers: std::collections::BTreeMap::default(),
        body: ErrorBody::Auto,
        text: Some(
            r#"{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 30500.","type":"tokens","code":"rate_limit_exceeded"}}"#
                .to_owned(),
        ),
        delay: Duration::ZERO,
    };
    for via in BOTH {
        let small = mock(Script {
            fault: Some(Fault::first(1, never.clone())),
            ..fast()
        })
        .await;
        let large = mock(fast()).await;
        let proxy = Config::new()
            .provider("small", small.addr())
            .provider("large", large.addr())
            .model_with("t/large", &["large"], "context_length: 128000")
            .model_with(
                "t/small",
                &["small"],
                "fallbacks: [t/large], context_length: 8000",
            )
            .start();
        let request = Request::stream("t/small");
        let rescued = proxy.call(via, &request).await;
        assert_eq!((rescued.status, rescued.end), (200, Ended::Whole));
        assert_eq!(rescued.model(), "t/large");
        assert_eq!(
            rescued.header("x-mainstay-fallback"),
            Some("context_too_long")
        );
        assert_eq!(small.received().len(), 1, "it is not asked again");
        // No rate limit was met: the next request need not wait for half a minute.
        assert_eq!(proxy.call(via, &request).await.model(), "t/small");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_caller_got_wrong_is_returned_at_once() {
    for status in [400, 422] {
        let first = mock(failing(Kind::status(status))).await;
        let second = mock(fast()).await;
        let proxy = Config::new()
            .provider("first", first.addr())
            .provider("second", second.addr())
            .model("t/m", &["first", "second"])
            .start();
        for (count, via) in BOTH.into_iter().enumerate() {
            let answer = proxy.call(via, &Request::stream("t/m")).await;
            assert_eq!((answer.status, answer.end), (status, Ended::Whole));
            let message = "This mock was told to refuse the request.";
            assert_eq!(answer.error()["message"], message);
            assert_eq!(answer.header("x-mainstay-attempts"), Some("1"));
            assert_eq!(first.received().len(), count + 1);
        }
        assert_eq!(second.received().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_everything_is_rate_limited_the_client_learns_when_to_come_back() {
    let first = mock(failing(Kind::retry_after(429, "30"))).await;
    let second = mock(failing(Kind::retry_after(429, "7"))).await;
    let proxy = Config::new()
        .provider("first", first.addr())
        .provider("second", second.addr())
        .model("t/m", &["first", "second"])
        .start();
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("7"));
    assert_eq!(answer.error()["code"], "rate_limit_exceeded");
    assert_eq!((first.received().len(), second.received().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_of_a_provider_about_keys_reaches_the_client() {
    let mock = mock(Script {
        keys: vec!["another".to_owned()],
        ..fast()
    })
    .await;
    let proxy = Config::new()
        .provider("p", mock.addr())
        .model("t/m", &["p"])
        .start();
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(answer.status, 503);
    let text = answer.text();
    assert!(
        !text.contains("sk-") && !text.contains(&provider_key("p")),
        "{text}"
    );
    assert!(!text.contains("Incorrect"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_attempts_stay_within_the_policy() {
    let mocks = [
        mock(failing(Kind::status(500))).await,
        mock(failing(Kind::status(500))).await,
    ];
    let backup = mock(failing(Kind::error(400, ErrorBody::Auto))).await;
    let proxy = Config::new()
        .provider("a", mocks[0].addr())
        .provider("b", mocks[1].addr())
        .provider("c", backup.addr())
        .model("t/last", &["c"])
        .model_with("t/m", &["a", "b"], "fallbacks: [t/last]")
        .start();
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(
        answer.status, 502,
        "the fallback's own refusal is not shown: {answer:?}"
    );
    let attempts: usize = mocks.iter().map(|mock| mock.received().len()).sum();
    assert_eq!(attempts + backup.received().len(), 3);
    assert_eq!(answer.header("x-mainstay-attempts"), Some("3"));
}
