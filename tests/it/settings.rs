//! Settings whose effect no other test shows: each is changed, and what is seen from outside changes with it. The
//! table of all settings and their tests is `src/config/tests/observed.txt`.

use std::time::Duration;

use serde_json::Value;

use mainstay::cmd::mock::Kind;

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{self, Request, Via};

fn nowhere() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 9).into()
}

/// Threads of the process that carry requests, by their name.
fn threads(proxy: &Proxy) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", proxy.id())).unwrap();
    tasks.count()
}

#[test]
fn so_many_threads_serve_as_are_asked_for() {
    let with = |count: usize| {
        Config::new()
            .provider("one", nowhere())
            .model("t/m", &["one"])
            .server(&format!("threads: {count}"))
            .start()
    };
    let (few, many) = (with(1), with(9));
    let begun = std::time::Instant::now();
    // They begin one by one after the listeners.
    while threads(&many) < threads(&few) + 8 {
        let (few, many) = (threads(&few), threads(&many));
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{few} and {many}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_can_be_off() {
    let one = mock(fast()).await;
    for (log, lines) in [("json", 1), ("\"off\"", 0)] {
        let mut proxy = Config::new()
            .provider("one", one.addr())
            .model("t/m", &["one"])
            .top(&format!("telemetry: {{ access_log: {log} }}"))
            .start();
        assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
        proxy.counts("mainstay_requests_total", &[], 1.0).await;
        proxy.signal("TERM");
        proxy.ended(Duration::from_secs(20)).await;
        // What the process wrote last may still be on its way to the reader.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(proxy.output().lines().count(), lines, "{log}");
    }
}

/// The score's parts of the model's endpoints under a policy of this weights.
async fn parts(weights: &str) -> Vec<Vec<f64>> {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    two.update(|script| {
        script.first_token = Duration::from_millis(150);
        script.pace = Duration::from_millis(5);
    });
    let endpoint = |provider: &str, price: u8| {
        format!("{{ provider: {provider}, price: {{ prompt: {price}, completion: {price} }} }}")
    };
    let keys = "auth: { keys: [{ name: one, key: key-of-one, policy: one }, \
                { name: two, key: key-of-two, policy: two }, \
                { name: any, key: key-of-any, policy: any }] }";
    let proxy = Config::new()
        .provider("one", one.addr())
        .provider("two", two.addr())
        .raw_model(
            "t/m",
            &format!(
                "endpoints: [{}, {}]",
                endpoint("one", 1),
                endpoint("two", 3)
            ),
        )
        .policy_named("one", "require: { only: [one] }")
        .policy_named("two", "require: { only: [two] }")
        .policy_named("any", &format!("weights: {{ {weights} }}"))
        .top(keys)
        .start();
    for key in ["key-of-one", "key-of-two"].repeat(4) {
        let answer = proxy.send(&Request::stream("t/m").key(key)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let asked = "/api/explain?model=t/m&key=any&stream=true";
    let told = proxy.admin_get(asked).await.json();
    let endpoints = told["models"][0]["endpoints"].as_array().unwrap();
    let value = |part: &Value| part[1].as_f64().unwrap();
    let parts = |one: &Value| {
        one["score_parts"]
            .as_array()
            .unwrap()
            .iter()
            .map(value)
            .collect()
    };
    endpoints.iter().map(parts).collect()
}

/// The second endpoint is dearer and slower. A part of the score goes with its weight, and is gone without.
#[tokio::test(flavor = "multi_thread")]
async fn each_weight_weighs_its_part_of_the_score() {
    let of = ["price", "latency", "throughput", "uptime"];
    for (nth, name) in of.iter().enumerate() {
        let (zero, hundred) = (format!("{name}: 0"), format!("{name}: 100"));
        let (off, on) = tokio::join!(parts(&zero), parts(&hundred));
        for endpoint in &off {
            assert!(endpoint[nth].abs() < 1e-6, "{name}: {off:?}");
        }
        assert!(on[1][nth] > 0.1, "{name}: {on:?}");
        let score = |parts: &[f64]| parts.iter().sum::<f64>();
        assert!(score(&on[1]) > score(&off[1]), "{name}: {off:?} {on:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_told_in_the_list_of_models() {
    let priced = |price: &str| {
        let config = Config::new().provider("one", nowhere());
        let model = format!("endpoints: [{{ provider: one, price: {{ {price} }} }}]");
        config.raw_model("t/m", &model).start()
    };
    let told = async |price: &str| {
        let list = priced(price).send(&Request::get("/v1/models")).await.json();
        list["data"][0]["pricing"].clone()
    };
    let plain = told("prompt: 1, completion: 4").await;
    let dearer = told("prompt: 2, completion: 8").await;
    for part in ["prompt", "completion"] {
        assert!(plain[part].is_string(), "{plain}");
        assert_ne!(plain[part], dearer[part]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_models_tells_windows_and_longest_answers() {
    let proxy = Config::new()
        .provider("one", nowhere())
        .model_with("t/m", &["one"], "context_length: 54321, max_output: 4321")
        .start();
    let text = proxy.send(&Request::get("/v1/models")).await;
    for told in ["54321", "4321"] {
        assert!(text.text().contains(told), "{told} in {}", text.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_has_its_own_name_of_the_model_and_its_tag() {
    let one = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", one.addr())
        .raw_model(
            "t/m",
            "endpoints: [{ provider: one, model: its-own-name, tag: fast }]",
        )
        .start();
    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(
        answer.header("x-mainstay-endpoint"),
        Some("t/m@one/default:fast")
    );
    assert_eq!(one.received()[0].model.as_deref(), Some("its-own-name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_gets_its_key_as_its_auth_says_and_its_own_headers() {
    let one = mock(fast()).await;
    let table = [
        (
            "auth: bearer, keys: [{ name: main, value: k-1 }]",
            "authorization",
            "Bearer k-1",
        ),
        (
            "auth: header x-goog-key, keys: [{ name: main, value: k-1 }]",
            "x-goog-key",
            "k-1",
        ),
        ("auth: none, headers: { X-Team: blue }", "x-team", "blue"),
    ];
    for (fields, header, value) in table {
        let proxy = Config::new()
            .provider_with("one", one.addr(), fields)
            .model("t/m", &["one"])
            .start();
        one.clear();
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(one.received()[0].header(header), Some(value), "{fields}");
        let key = match fields.contains("main") {
            true => "t/m@one/main",
            false => "t/m@one/default",
        };
        assert_eq!(answer.header("x-mainstay-endpoint"), Some(key));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_say_what_may_stand_in() {
    let (bad, other, last) = (
        mock(failing(Kind::status(500))).await,
        mock(fast()).await,
        mock(fast()).await,
    );
    let table = [
        ("[]", 502, None),
        ("[retry, failover]", 200, Some("t/m@other/default")),
        ("[fallback]", 200, Some("t/last@last/default")),
    ];
    for (layers, status, endpoint) in table {
        let proxy = Config::new()
            .provider("bad", bad.addr())
            .provider("other", other.addr())
            .provider("last", last.addr())
            .model_with("t/m", &["bad", "other"], "fallbacks: [t/last]")
            .model("t/last", &["last"])
            .policy(&format!("layers: {layers}"))
            .start();
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(answer.status, status, "{layers}: {answer:?}");
        if endpoint.is_some() {
            assert_eq!(answer.header("x-mainstay-endpoint"), endpoint, "{layers}");
        }
    }
}

/// Credentials of clients, of operators and of what reads metrics, each in a file or in the configuration.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_may_stand_in_files() {
    let one = mock(fast()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let config = Config::new()
        .provider("one", one.addr())
        .model("t/m", &["one"]);
    let written = config
        .clone()
        .admin("token: op-token")
        .admin("metrics_token: read-token")
        .top("auth: { keys: [{ name: app, key: key-of-app }] }");
    let in_files = config
        .admin(&format!("token_file: {}", file("token", "op-token\n")))
        .admin(&format!(
            "metrics_token_file: {}",
            file("metrics", "read-token\n")
        ))
        .top(&format!(
            "auth: {{ keys: [{{ name: app, key_file: {} }}] }}",
            file("app", "key-of-app\n")
        ));
    for config in [written, in_files] {
        let proxy = config.start();
        let status = async |path: &str, key: &str| {
            let request = Request::get(path).key(key);
            raw::call(Via::H1, proxy.admin, &request).await.status
        };
        assert_eq!(status("/api/status", "op-token").await, 200);
        assert_eq!(status("/api/status", "read-token").await, 401);
        assert_eq!(status("/metrics", "read-token").await, 200);
        assert_eq!(status("/metrics", "another").await, 401);
        for (key, expected) in [("key-of-app", 200), ("another", 401)] {
            let answer = proxy.send(&Request::chat("t/m").key(key)).await;
            assert_eq!(answer.status, expected, "{key}");
        }
    }
}
