//! How a client's name finds a model: aliases and wildcards, what is sent and what the answer is called.

use mainstay::cmd::mock::{Fault, Kind, Mock, Script};

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{BOTH, Ended, Request};

const NAMES: &str = "aliases: { fast: acme/m-1, old-*: acme/m-1, newest: acme/m-9 }\n\
                     auth: { keys: [{ name: all, key: key-all-1 }, \
                     { name: some, key: key-some-1, models: [acme/m-9, beta/*] }] }";

async fn named(script: Script) -> (Mock, Proxy) {
    let mock = mock(script).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("acme/m-1", &["one"])
        .model("acme/*", &["one"])
        .top(NAMES)
        .start();
    (mock, proxy)
}

fn all(request: Request) -> Request {
    request.key("key-all-1")
}

fn some(request: Request) -> Request {
    request.key("key-some-1")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_sends_each_model_by_its_own_name() {
    let (mock, proxy) = named(fast()).await;
    let table = [
        ("acme/m-1", "m-1", "acme/m-1", "acme/m-1@one/default"),
        ("acme/m-7", "m-7", "acme/m-7", "acme/*@one/default"),
        (
            "acme/a/b:free",
            "a/b:free",
            "acme/a/b:free",
            "acme/*@one/default",
        ),
        ("newest", "m-9", "acme/m-9", "acme/*@one/default"),
        ("fast", "m-1", "acme/m-1", "acme/m-1@one/default"),
        ("old-3", "m-1", "acme/m-1", "acme/m-1@one/default"),
    ];
    for (asked, sent, name, endpoint) in table {
        for via in BOTH {
            for request in [Request::chat(asked), Request::stream(asked)] {
                let answer = proxy.call(via, &all(request)).await;
                assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{asked}");
                assert_eq!(answer.model(), name, "{asked}");
                assert_eq!(answer.header("x-mainstay-model"), Some(name));
                assert_eq!(answer.header("x-mainstay-endpoint"), Some(endpoint));
                let received = mock.received().pop().unwrap();
                assert_eq!(received.model.as_deref(), Some(sent), "{asked}");
            }
        }
    }
    // Labels come from the file, never from a client.
    let metrics = proxy.metrics().await.0;
    assert!(metrics.contains(r#"model="acme/*""#), "{metrics}");
    for clients in ["m-7", "a/b:free", "m-9", "fast", "old-3"] {
        assert!(!metrics.contains(clients), "{clients}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_wildcard_can_have_is_unknown() {
    let (mock, proxy) = named(fast()).await;
    for asked in [
        "other/m-1",
        "acme/",
        "acme/*",
        "*",
        "acme/a b",
        "acme/a@b",
        "fastest",
        "old",
    ] {
        let answer = proxy.send(&all(Request::chat(asked))).await;
        assert_eq!(answer.status, 404, "{asked}: {answer:?}");
    }
    assert_eq!(mock.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_held_to_the_name_that_was_asked_for() {
    let (_mock, proxy) = named(fast()).await;
    let table = [
        ("acme/m-9", 200),
        ("newest", 200),
        ("acme/m-7", 403),
        ("acme/m-1", 403),
        ("fast", 403),
    ];
    for (asked, status) in table {
        let answer = proxy.send(&some(Request::chat(asked))).await;
        assert_eq!(answer.status, status, "{asked}: {answer:?}");
        let path = format!("/v1/models/{asked}");
        let told = proxy.send(&some(Request::get(&path))).await;
        let expected = if status == 200 { 200 } else { 404 };
        assert_eq!(told.status, expected, "{asked}");
        if status == 200 {
            assert_eq!(told.json()["id"], "acme/m-9", "{asked}");
        }
    }
    let list = proxy.send(&all(Request::get("/v1/models"))).await.json();
    assert_eq!(
        list["total_count"], 1,
        "no wildcards and no aliases: {list}"
    );
    assert_eq!(list["data"][0]["id"], "acme/m-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_falls_over_and_back_by_each_models_own_name() {
    let bad = mock(failing(Kind::status(500))).await;
    let good = mock(fast()).await;
    let text = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("acme/*", &["bad", "good"])
        .model("beta/m", &["good"])
        .model_with("gone/*", &["bad"], "fallbacks: [beta/m]")
        .text();
    let proxy = Proxy::start(&text);
    let answer = proxy.send(&Request::stream("acme/m-7")).await;
    assert_eq!((answer.status, answer.model().as_str()), (200, "acme/m-7"));
    assert_eq!(answer.header("x-mainstay-attempts"), Some("2"));
    for mock in [&bad, &good] {
        assert_eq!(mock.received()[0].model.as_deref(), Some("m-7"));
    }
    let answer = proxy.send(&Request::chat("gone/x")).await;
    assert_eq!((answer.status, answer.model().as_str()), (200, "beta/m"));
    assert_eq!(answer.header("x-mainstay-model"), Some("beta/m"));
    assert_eq!(good.received().pop().unwrap().model.as_deref(), Some("m"));
}

/// One caller's invented names must not take a wildcard from the others, nor embeddings from a model that has
/// none take its chat.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_never_had_does_not_make_it_sick() {
    let mut script = fast();
    for model in ["gone-1", "m-1"] {
        let fault = Fault::always(Kind::status(404));
        script.models.insert(model.to_owned(), fault);
    }
    let (mock, proxy) = named(script).await;
    for _ in 0..6 {
        let answer = proxy.send(&all(Request::chat("acme/gone-1"))).await;
        assert_eq!(answer.status, 404, "{answer:?}");
        let body = r#"{"model":"acme/m-1","input":"a"}"#;
        let vectors = Request::post("/v1/embeddings", body);
        assert_eq!(proxy.send(&all(vectors)).await.status, 404);
    }
    mock.update(|script| script.models.clear());
    for asked in ["acme/m-7", "acme/m-1"] {
        let answer = proxy.send(&all(Request::chat(asked))).await;
        assert_eq!(answer.status, 200, "{asked}");
        assert_eq!(answer.header("x-mainstay-attempts"), Some("1"));
    }
    let metrics = proxy.metrics().await.0;
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    let mut trips =
        series.filter(|line| line.contains("transitions_total") && line.contains("to=\"open\""));
    assert!(trips.all(|line| line.ends_with(" 0")), "{metrics}");
}
