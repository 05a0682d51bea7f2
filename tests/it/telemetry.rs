//! What an operator sees agrees with what the clients saw, and shows no secret.

use std::time::Duration;

use mainstay::cmd::mock::{Fault, Kind, Mock, Script};
use serde_json::Value;

use crate::harness::{Config, Proxy, fast, mock, provider_key};
use crate::raw::{BOTH, Request, Via};

const CLIENT_KEY: &str = "key-client-5b2e";
const TOKEN: &str = "token-admin-93ac";

/// Models that answer, recover, fall back, break off and fail.
async fn busy_config() -> (Vec<Mock>, String) {
    let faults = [
        ("recovers", Kind::status(500)),
        ("falls", Kind::status(503)),
        (
            "breaks",
            Kind::CutAfter {
                tokens: 5,
                how: mainstay::cmd::mock::Cut::Close,
            },
        ),
        ("fails", Kind::status(400)),
    ];
    let faults = faults.map(|(name, kind)| (name.to_owned(), Fault::always(kind)));
    let bad = mock(Script {
        models: faults.into(),
        ..fast()
    })
    .await;
    let good = mock(fast()).await;
    let price = "price: { prompt: 1.0, completion: 2.0 }";
    let proxy = Config::new()
        .admin(&format!("token: {TOKEN}"))
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/plain", &["good"])
        .model("t/recovers", &["bad", "good"])
        .model_with("t/falls", &["bad"], "fallbacks: [t/plain]")
        .model("t/breaks", &["bad"])
        .model("t/fails", &["bad"])
        .policy("layers: [failover, fallback]")
        .top(&format!(
            "auth: {{ keys: [{{ name: app, key: {CLIENT_KEY} }}] }}"
        ))
        .text()
        .replace(
            "[{ provider: good }]",
            &format!("[{{ provider: good, {price} }}]"),
        );
    (vec![bad, good], proxy)
}

async fn busy() -> (Vec<Mock>, Proxy) {
    let (mocks, config) = busy_config().await;
    (mocks, Proxy::start(&config))
}

const TABLE: [(&str, &str, u16); 5] = [
    ("t/plain", "answered", 200),
    ("t/recovers", "answered", 200),
    ("t/falls", "answered", 200),
    ("t/breaks", "broken", 200),
    ("t/fails", "failed", 400),
];

/// Every model twice, over both protocols; returns how many requests that were.
async fn work(proxy: &Proxy) -> usize {
    for (model, _, status) in TABLE {
        for via in BOTH {
            let request = Request::stream(model).key(CLIENT_KEY);
            let answer = proxy.call(via, &request).await;
            assert_eq!(answer.status, status, "{model}");
        }
    }
    TABLE.len() * 2
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_count_what_the_clients_saw() {
    let (mocks, proxy) = busy().await;
    let requests = work(&proxy).await;
    proxy
        .counts("mainstay_requests_total", &[], requests as f64)
        .await;
    for (model, result, _) in TABLE {
        let labels = [("model", model), ("result", result)];
        proxy.counts("mainstay_requests_total", &labels, 2.0).await;
    }
    let attempts: usize = mocks.iter().map(|mock| mock.received().len()).sum();
    proxy
        .counts("mainstay_attempts_total", &[], attempts as f64)
        .await;
    for (outcome, model, count) in [
        ("server_error", "t/recovers", 1.0),
        ("overloaded", "t/falls", 1.0),
        ("stream_broken", "t/breaks", 2.0),
        ("invalid_request", "t/fails", 2.0),
        ("success", "t/recovers", 2.0),
    ] {
        let labels = [("outcome", outcome), ("model", model)];
        let metrics = proxy.metrics().await;
        let sum = metrics.sum("mainstay_attempts_total", &labels);
        assert!(sum >= count, "{outcome} {model}: {sum}\n{}", metrics.0);
    }
    let fallback = [
        ("model", "t/falls"),
        ("served", "t/plain"),
        ("trigger", "overloaded"),
    ];
    proxy
        .counts("mainstay_fallbacks_total", &fallback, 2.0)
        .await;
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("mainstay_recovered_requests_total", &[]) >= 2.0);
    assert!(metrics.sum("mainstay_first_content_seconds_count", &[]) >= 6.0);
    assert!((metrics.sum("mainstay_build_info", &[]) - 1.0).abs() < 0.1);
    assert!(metrics.sum("process_resident_memory_bytes", &[]) > 1e6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_tells_each_exchange() {
    let (_mocks, proxy) = busy().await;
    let requests = work(&proxy).await;
    let log = proxy.access_log(requests).await;
    assert_eq!(log.len(), requests);
    for ((model, result, status), lines) in TABLE.iter().zip(log.chunks(2)) {
        for line in lines {
            has_the_fields(line);
            assert_eq!(line["model"], *model, "{line}");
            assert_eq!(line["result"], *result, "{line}");
            assert_eq!(line["status"], *status, "{line}");
            assert_eq!(line["key"], "app");
        }
    }
    let [plain, recovered, fallen, broken, failed] = [0, 2, 4, 6, 8].map(|index| &log[index]);
    assert_eq!(plain["completion_tokens"], 60);
    let prompt = plain["prompt_tokens"].as_f64().unwrap();
    let cost = (prompt + 2.0 * 60.0) / 1e6;
    assert!(
        (plain["cost_usd"].as_f64().unwrap() - cost).abs() < 1e-9,
        "{plain}"
    );
    assert!(plain["first_content_ms"].is_u64() && plain["recovery_ms"] == 0);
    assert_eq!(recovered["attempts"][0]["outcome"], "server_error");
    assert_eq!(recovered["attempts"][1]["outcome"], "success");
    assert_eq!(recovered["endpoint"], "t/recovers@good/default");
    assert_eq!(fallen["fallback"], "overloaded");
    assert_eq!(fallen["served_model"], "t/plain");
    assert_eq!(broken["attempts"][0]["outcome"], "stream_broken");
    assert_eq!(broken["served_model"], "t/breaks");
    assert_eq!(failed["error"], "invalid_request");
    assert!(failed.get("served_model").is_none());
}

fn has_the_fields(line: &Value) {
    for text in ["time", "request_id", "path", "model", "result"] {
        assert!(line[text].is_string(), "{text}: {line}");
    }
    for number in ["generation", "ms", "recovery_ms", "status"] {
        assert!(line[number].is_u64(), "{number}: {line}");
    }
    assert!(line["stream"].is_boolean());
    for attempt in line["attempts"].as_array().unwrap() {
        assert!(
            attempt["endpoint"].is_string() && attempt["ms"].is_u64(),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_shown_anywhere() {
    let (_mocks, config) = busy_config().await;
    let proxy = Proxy::start_verbose(&config);
    work(&proxy).await;
    let wrong = "key-wrong-77aa";
    proxy.send(&Request::chat("t/plain").key(wrong)).await;
    // A broken file is quoted in findings: its secrets must not be.
    let broken = std::fs::read_to_string(&proxy.path).unwrap();
    let broken = broken.replace("layers: [", "layers: [nonsense, ");
    let broken = broken.replace(&format!("token: {TOKEN}"), &format!("tokn: {TOKEN}"));
    proxy.write_config(&broken.replace("name: app", "nmae: app"));
    proxy
        .counts(
            "mainstay_config_reloads_total",
            &[("result", "refused")],
            1.0,
        )
        .await;
    let token = Request::get("/api/status").key(TOKEN);
    let status = crate::raw::call(Via::H1, proxy.admin, &token).await;
    assert!(status.json()["config"]["last_error"].is_string());
    let shown = [
        proxy.log(),
        proxy.output(),
        proxy.metrics().await.0,
        status.text().to_owned(),
    ]
    .join("\n");
    for secret in [
        CLIENT_KEY,
        TOKEN,
        wrong,
        &provider_key("good"),
        &provider_key("bad"),
    ] {
        let at = shown.find(secret);
        let around = at.and_then(|at| shown.get(at.saturating_sub(300)..at));
        assert!(at.is_none(), "shown: {secret} after {around:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_guards_the_status_and_the_probes_stay_open() {
    let (_mocks, proxy) = busy().await;
    for (path, status) in [
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/nowhere", 404),
    ] {
        assert_eq!(proxy.admin_get(path).await.status, status, "{path}");
    }
    let ask = |key: &'static str| {
        let request = Request::get("/api/status");
        if key.is_empty() {
            request
        } else {
            request.key(key)
        }
    };
    for (key, status) in [("", 401), ("wrong", 401), (CLIENT_KEY, 401), (TOKEN, 200)] {
        let answer = crate::raw::call(Via::H1, proxy.admin, &ask(key)).await;
        assert_eq!(answer.status, status, "{key}");
    }
    let status = crate::raw::call(Via::H1, proxy.admin, &ask(TOKEN))
        .await
        .json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["draining"], false);
    assert_eq!(status["config"]["hash"].as_str().unwrap().len(), 64);
    let post = Request::post("/healthz", "");
    assert_eq!(
        crate::raw::call(Via::H1, proxy.admin, &post).await.status,
        405
    );
    // The admin port is not the data port, nor the other way round.
    let chat = Request::chat("t/plain").key(CLIENT_KEY);
    assert_ne!(
        crate::raw::call(Via::H1, proxy.admin, &chat).await.status,
        200
    );
    assert_eq!(proxy.send(&Request::get("/metrics")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_a_token_of_their_own_where_one_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics-token");
    std::fs::write(&file, "scraper-1\n").unwrap();
    let one = mock(fast()).await;
    let config = Config::new()
        .provider("one", one.addr())
        .model("t/m", &["one"])
        .admin(&format!(
            "token: {TOKEN}, metrics_token_file: {}",
            file.display()
        ));
    let proxy = config.start();
    let status = async |path: &str, key: &str| {
        let request = Request::get(path).key(key);
        crate::raw::call(Via::H1, proxy.admin, &request)
            .await
            .status
    };
    for (key, expected) in [("wrong", 401), ("scraper-1", 200), (TOKEN, 200)] {
        assert_eq!(status("/metrics", key).await, expected, "{key}");
    }
    assert_eq!(proxy.admin_get("/metrics").await.status, 401);
    assert_eq!(proxy.admin_get("/healthz").await.status, 200);
    assert_eq!(status("/api/status", "scraper-1").await, 401);
    assert!(!proxy.log().contains("scraper-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_a_removed_endpoint_end() {
    let (one, two) = (mock(fast()).await, mock(fast()).await);
    let config = Config::new().provider("one", one.addr());
    let both = config
        .clone()
        .provider("two", two.addr())
        .model("t/stays", &["one"])
        .model("t/goes", &["two"]);
    let proxy = Proxy::start_unwatched(&both.text());
    for model in ["t/stays", "t/goes"] {
        assert_eq!(proxy.send(&Request::stream(model)).await.status, 200);
    }
    proxy.counts("mainstay_requests_total", &[], 2.0).await;
    proxy.write_config(&config.model("t/stays", &["one"]).text());
    proxy.signal("HUP");
    proxy.counts("mainstay_config_generation", &[], 2.0).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let metrics = proxy.metrics().await.0;
    assert!(metrics.contains("t/stays@one/default"));
    let gauges = metrics.lines().filter(|line| line.contains("t/goes@two"));
    assert_eq!(gauges.collect::<Vec<_>>(), Vec::<&str>::new());
    let pool = "mainstay_retry_budget_tokens{model=\"t/goes\"}";
    assert!(
        !metrics.contains(pool),
        "the pool of a removed model is still shown"
    );
}
