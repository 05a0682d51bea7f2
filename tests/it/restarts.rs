//! What is known of endpoints outlives the process that learnt it, and nothing that is not ours is believed.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Config, Proxy, failing, fast, for_model, mock, provider_key};
use crate::raw::{self, Request, Via};
use mainstay::cmd::mock::{Kind, Mock};

const END: Duration = Duration::from_secs(20);

async fn pair() -> (Mock, Mock) {
    (mock(failing(Kind::status(401))).await, mock(fast()).await)
}

fn config(bad: &Mock, good: &Mock, file: &Path) -> String {
    Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .top(&format!("store: {{ health: \"{}\" }}", file.display()))
        .text()
}

async fn state(proxy: &Proxy, id: &str) -> String {
    let all = proxy.admin_get("/api/endpoints").await.json();
    let mut all = all.as_array().unwrap().iter();
    let found = all.find(|one| one["id"] == id).unwrap();
    found["state"].as_str().unwrap().to_owned()
}

/// Serves one request, drains the good endpoint if asked to, and ends as an operator ends it.
async fn live_once(config: &str, drains: bool) {
    let mut proxy = Proxy::start(config);
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    if drains {
        let path = "/api/endpoints/t%2Fm%40good%2Fdefault/drain";
        let drained = raw::call(Via::H1, proxy.admin, &Request::post(path, "")).await;
        assert_eq!(drained.status, 200);
    }
    proxy.signal("TERM");
    assert!(proxy.ended(END).await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_refused_still_rests_after_a_restart() {
    let (bad, good) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.json");
    let config = config(&bad, &good, &file);
    live_once(&config, false).await;
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(&provider_key("bad")), "{text}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing beside it is left"
    );
    let proxy = Proxy::start(&config);
    assert_eq!(state(&proxy, "t/m@bad/default").await, "open");
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    assert_eq!(
        for_model(&bad, "m").len(),
        1,
        "asked once, by the process before"
    );
    let salted = |text: &str| serde_json::from_str::<Value>(text).unwrap()["salt"].clone();
    proxy.signal("TERM");
    drop(proxy);
    assert!(salted(&text).is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_is_another_one_and_a_drained_endpoint_stays_drained() {
    let (bad, good) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.json");
    let config = config(&bad, &good, &file);
    live_once(&config, true).await;
    let replaced = config.replace(&provider_key("bad"), "sk-another");
    let proxy = Proxy::start(&replaced);
    assert_eq!(state(&proxy, "t/m@bad/default").await, "closed");
    assert_eq!(state(&proxy, "t/m@good/default").await, "drained");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_old_broken_or_foreign_is_ignored() {
    let (bad, good) = pair().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("health.json");
    let config = config(&bad, &good, &file);
    live_once(&config, true).await;
    let written = std::fs::read_to_string(&file).unwrap();
    let edit = |field: &str, value: Value| {
        let mut stored: Value = serde_json::from_str(&written).unwrap();
        stored[field] = value;
        stored.to_string()
    };
    let begun = serde_json::from_str::<Value>(&written).unwrap()["saved_at"]
        .as_f64()
        .unwrap();
    let good_id = "t/m@good/default";
    for (text, warns, drained) in [
        (edit("saved_at", (begun - 400.0).into()), false, true),
        (edit("saved_at", (begun + 9_999.0).into()), true, false),
        (edit("format", 99.into()), true, false),
        (edit("surprise", 1.into()), true, false),
        (
            written.chars().take(written.len() / 2).collect(),
            true,
            false,
        ),
        ("{}".to_owned(), true, false),
        (String::new(), true, false),
    ] {
        std::fs::write(&file, &text).unwrap();
        let proxy = Proxy::start(&config);
        assert_eq!(state(&proxy, "t/m@bad/default").await, "closed", "{text}");
        let expected = if drained { "drained" } else { "closed" };
        assert_eq!(state(&proxy, good_id).await, expected, "{text}");
        let warned = !proxy.logged("the file is ignored").is_empty();
        assert_eq!(warned, warns, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_written_is_told_and_changes_nothing() {
    let (bad, good) = pair().await;
    let file = Path::new("/nowhere/at/all/health.json");
    let config = config(&bad, &good, file);
    let mut proxy = Proxy::start(&config);
    assert_eq!(proxy.send(&Request::stream("t/m")).await.status, 200);
    proxy.signal("TERM");
    assert!(proxy.ended(END).await.success());
    assert!(!proxy.logged("health could not be written").is_empty());
}
