//! A changed file takes effect without a restart; one that cannot be used changes nothing and is named.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Script};

use crate::harness::{Config, Proxy, eventually, failing, fast, mock, run};
use crate::raw::{self, BOTH, Ended, H1, Request, Via};

const BROKEN: &str = "server: { listen: [127.0.0.1:0] }\nproviders: { one: { base_ulr: x } }\n";

/// Waits until the configuration's status satisfies `holds`.
async fn until(proxy: &Proxy, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
    let begun = Instant::now();
    loop {
        let status = proxy.status().await;
        if holds(&status["config"]) {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "never: {what}: {status}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn serves(proxy: &Proxy, model: &str) -> bool {
    proxy.send(&Request::chat(model)).await.status == 200
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_change_and_sighup_both_apply() {
    let mock = mock(fast()).await;
    let config = Config::new().provider("one", mock.addr());
    let old = config.clone().model("t/old", &["one"]).text();
    let new = config
        .model("t/old", &["one"])
        .model("t/new", &["one"])
        .text();
    for watched in [true, false] {
        let proxy = match watched {
            true => Proxy::start(&old),
            false => Proxy::start_unwatched(&old),
        };
        assert!(!serves(&proxy, "t/new").await);
        proxy.write_config(&new);
        if !watched {
            proxy.signal("HUP");
        }
        until(&proxy, "applied", |config| config["generation"] == 2).await;
        assert!(serves(&proxy, "t/new").await && serves(&proxy, "t/old").await);
        proxy.write_config(&old);
        if !watched {
            proxy.signal("HUP");
        }
        until(&proxy, "applied again", |config| config["generation"] == 3).await;
        assert!(!serves(&proxy, "t/new").await);
        let metrics = proxy.metrics().await;
        assert!((metrics.sum("mainstay_config_generation", &[]) - 3.0).abs() < 0.1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_until_it_is_mended() {
    let mock = mock(fast()).await;
    let config = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .text();
    let proxy = Proxy::start(&config);
    let good = |metrics: &crate::harness::Metrics| {
        metrics.sum("mainstay_config_last_reload_successful", &[])
    };
    assert!(good(&proxy.metrics().await) > 0.9);
    proxy.write_config(BROKEN);
    until(&proxy, "refused", |config| config["last_error"].is_string()).await;
    let status = proxy.status().await;
    assert_eq!(status["config"]["generation"], 1);
    let error = status["config"]["last_error"].as_str().unwrap();
    assert!(
        error.contains("base_ulr") && error.contains(":2:"),
        "{error}"
    );
    assert!(good(&proxy.metrics().await) < 0.1);
    assert_eq!(
        proxy.logged("configuration refused").len(),
        1,
        "{}",
        proxy.log()
    );
    assert!(serves(&proxy, "t/m").await);
    assert_eq!(proxy.admin_get("/readyz").await.status, 200);
    // The same file again says the same again, when it is asked for.
    proxy.signal("HUP");
    proxy
        .counts(
            "mainstay_config_reloads_total",
            &[("result", "refused")],
            2.0,
        )
        .await;
    proxy.write_config(&config);
    until(&proxy, "mended", |config| config["last_error"].is_null()).await;
    assert!(good(&proxy.metrics().await) > 0.9);
    assert_eq!(
        proxy.status().await["config"]["generation"],
        1,
        "nothing changed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_finish_on_their_own_generation() {
    let slow = Script {
        pace: Duration::from_millis(20),
        name: "slow".to_owned(),
        ..fast()
    };
    let (old, new) = (mock(slow).await, mock(fast()).await);
    let config = |at| {
        Config::new()
            .provider("one", at)
            .model("t/m", &["one"])
            .text()
    };
    let proxy = Proxy::start_unwatched(&config(old.addr()));
    let mut client = H1::connect(proxy.data).await;
    client.send(&Request::stream("t/m")).await;
    let mut under_way = client.head().await;
    assert!(client.chunk(&mut under_way).await);
    proxy.write_config(&config(new.addr()));
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    for via in BOTH {
        assert_eq!(
            proxy.call(via, &Request::stream("t/m")).await.end,
            Ended::Whole
        );
    }
    assert_eq!(new.received().len(), 2);
    client.body(&mut under_way).await;
    assert_eq!(under_way.end, Ended::Whole);
    assert_eq!(under_way.content(), Script::default().answer());
    let log = proxy.access_log(3).await;
    let generations: Vec<_> = log
        .iter()
        .map(|line| line["generation"].as_u64().unwrap())
        .collect();
    assert_eq!(generations, [2, 2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_process_cannot_change_is_said() {
    let mock = mock(fast()).await;
    let config = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"]);
    let proxy = Proxy::start_unwatched(&config.text());
    proxy.write_config(&config.clone().server("threads: 1").text());
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    let said = || {
        proxy
            .logged("~ server: threads 0 -> 1 (takes a restart)")
            .len()
            == 1
    };
    eventually("a word on the threads", Duration::from_secs(5), said).await;
    let pending = |status: &serde_json::Value| status["needs_restart"].as_array().unwrap().len();
    until(&proxy, "pending", |config| pending(config) == 1).await;
    // As long as the process runs with what it began with.
    proxy.write_config(
        &config
            .clone()
            .server("threads: 1")
            .server("max_body: 1MiB")
            .text(),
    );
    proxy.signal("HUP");
    until(&proxy, "applied again", |config| config["generation"] == 3).await;
    until(&proxy, "still pending", |config| pending(config) == 1).await;
    proxy.write_config(&config.text());
    proxy.signal("HUP");
    until(&proxy, "taken back", |config| pending(config) == 0).await;
}

fn post_reload() -> Request {
    Request::post("/api/reload", String::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_gets_the_changes_or_the_findings() {
    let mock = mock(fast()).await;
    let config = |more: &str| {
        let config = Config::new().provider("one", mock.addr());
        config.model("t/m", &["one"]).top(more).text()
    };
    let proxy = Proxy::start_unwatched(&config(""));
    let ask = async || raw::call(Via::H1, proxy.admin, &post_reload()).await;
    let unchanged = ask().await;
    assert_eq!(
        (unchanged.status, &unchanged.json()["result"]),
        (200, &"unchanged".into())
    );

    proxy.write_config(&config("health: { trip_after: 5 }"));
    let applied = ask().await;
    let expected = serde_json::json!({
        "result": "applied",
        "generation": 2,
        "changes": [{
            "change": "changed", "kind": "health", "name": "", "field": "trip_after",
            "from": "3", "to": "5", "needs_restart": false,
        }],
        "warnings": [],
    });
    assert_eq!((applied.status, applied.json()), (200, expected));
    let told = proxy.logged("configuration applied");
    assert_eq!(told[0]["changes"], "~ health: trip_after 3 -> 5");
    assert_eq!(told[0]["reason"], "operator");

    proxy.write_config(BROKEN);
    let refused = ask().await;
    let answer = refused.json();
    assert_eq!(
        (refused.status, &answer["result"]),
        (422, &"refused".into())
    );
    let findings = answer["findings"].as_array().unwrap();
    let misspelt = findings
        .iter()
        .find(|finding| finding["hint"] == "did you mean \"base_url\"?");
    let misspelt = misspelt.unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(misspelt["place"]["line"], 2);
    assert_eq!(misspelt["severity"], "error");

    let history = proxy.admin_get("/api/reloads").await.json();
    assert_eq!(history[0]["generation"], 2);
    assert!(history[0]["error"].as_str().unwrap().contains("base_ulr"));
    assert_eq!(history[1]["changes"][0]["field"], "trip_after");
    assert_eq!(proxy.admin_get("/api/reload").await.status, 405);
}

/// A key that is rotated where the orchestrator keeps it is in use at once, and nothing else has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_credential_file_is_used_without_a_restart() {
    let mock = mock(fast()).await;
    let secrets = tempfile::tempdir().unwrap();
    // As Kubernetes mounts them: the name is a link through `..data`, which is swapped.
    let store = |version: &str, text: &str| {
        let folder = secrets.path().join(version);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("key"), text).unwrap();
        let link = secrets.path().join("..next");
        std::os::unix::fs::symlink(version, &link).unwrap();
        std::fs::rename(link, secrets.path().join("..data")).unwrap();
    };
    store("..1", "sk-first\n");
    let key = secrets.path().join("key");
    std::os::unix::fs::symlink("..data/key", &key).unwrap();
    let from_file = format!("keys: [{{ value_file: {} }}]", key.display());
    let config = Config::new().provider_with("one", mock.addr(), &from_file);
    let config = config.model("t/m", &["one"]).text();
    let proxy = Proxy::start(&config);
    assert!(serves(&proxy, "t/m").await);
    let begun = Instant::now();
    store("..2", "sk-second\n");
    until(&proxy, "rotated", |config| config["generation"] == 2).await;
    // It takes a tenth of a second; two are promised, and a busy machine gets four. The poll would take ten.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(serves(&proxy, "t/m").await);
    let received = mock.received();
    let sent: Vec<_> = received
        .iter()
        .map(|request| request.header("authorization"))
        .collect();
    assert_eq!(sent, [Some("Bearer sk-first"), Some("Bearer sk-second")]);
    let told = proxy.logged("configuration applied");
    assert_eq!(told.len(), 1, "exactly once");
    assert_eq!(
        told[0]["changes"],
        "~ provider key one/default: value [redacted] -> [redacted]"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_a_file_would_change_in_a_running_process() {
    let config = |attempts: &str| {
        let config = Config::new().provider("one", ([127, 0, 0, 1], 9).into());
        let config = config.model("t/m", &["one"]).admin("token: op-token");
        config.policy(attempts).text()
    };
    let proxy = Proxy::start_unwatched(&config("attempts: 3"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("next.yaml");
    std::fs::write(&file, config("attempts: 2")).unwrap();
    let url = format!("http://{}", proxy.admin);
    let against = |token: &str, file: &std::path::Path| {
        let url = url.clone();
        let (token, file) = (token.to_owned(), file.to_owned());
        tokio::task::spawn_blocking(move || {
            run(&["check", "--against", &url, "--token", &token], &file)
        })
    };
    let output = against("op-token", &file).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.ends_with("~ policy default: attempts 3 -> 2\n"),
        "{text}"
    );
    let same = against("op-token", &proxy.path).await.unwrap();
    assert!(
        String::from_utf8(same.stdout)
            .unwrap()
            .contains("nothing would change")
    );
    let refused = against("wrong", &file).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8(refused.stderr)
            .unwrap()
            .contains("--token")
    );
}

/// Keys are read anew: a key that was taken out lets nobody in any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_key_is_refused_from_then_on() {
    let mock = mock(fast()).await;
    let config = |keys: &str| {
        let config = Config::new()
            .provider("one", mock.addr())
            .model("t/m", &["one"]);
        config.top(&format!("auth: {{ keys: [{keys}] }}")).text()
    };
    let both = config("{ name: a, key: key-a-1 }, { name: b, key: key-b-1 }");
    let proxy = Proxy::start_unwatched(&both);
    let ask = || Request::chat("t/m").key("key-b-1");
    assert_eq!(proxy.send(&ask()).await.status, 200);
    proxy.write_config(&config("{ name: a, key: key-a-1 }"));
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    assert_eq!(proxy.call(Via::H2, &ask()).await.status, 401);
}

/// The state and the failures of every endpoint, by its id.
async fn states(proxy: &Proxy) -> BTreeMap<String, (String, String)> {
    let shown = proxy.admin_get("/api/endpoints").await.json();
    let all = shown.as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|one| {
        (
            text(&one["id"]),
            (text(&one["state"]), one["failures"].to_string()),
        )
    })
    .collect()
}

/// A breaker that tripped belongs to its endpoint, host or key: prices and new keys are no reason to forget it.
#[tokio::test(flavor = "multi_thread")]
async fn a_price_and_a_new_key_leave_every_breaker_as_it_was() {
    let refusing = mock(failing(Kind::status(401))).await;
    let broken = mock(failing(Kind::status(503))).await;
    let good = mock(fast()).await;
    let config = |price: u8, keys: &str| {
        let model = format!(
            "endpoints: [{{ provider: refusing }}, {{ provider: broken }}, \
             {{ provider: good, price: {{ prompt: {price}, completion: 1 }} }}]"
        );
        Config::new()
            .provider_with("refusing", refusing.addr(), &format!("keys: [{keys}]"))
            .provider("broken", broken.addr())
            .provider("good", good.addr())
            .raw_model("t/m", &model)
            // It rests as long as this test takes.
            .top("health: { trip_after: 1, rest: { server_error: 1h }, probe_share: 0, probe_fast: { below: 0s } }")
            .text()
    };
    let one = "{ name: old, value: sk-old-1 }";
    let proxy = Proxy::start_unwatched(&config(1, one));
    for _ in 0..2 {
        assert!(serves(&proxy, "t/m").await);
    }
    let before = states(&proxy).await;
    assert_eq!(before["t/m@refusing/old"].0, "open", "{before:?}");
    assert_eq!(before["t/m@broken/default"].0, "open", "{before:?}");
    assert_eq!(before["t/m@good/default"].0, "closed", "{before:?}");
    proxy.write_config(&config(2, one));
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    assert_eq!(states(&proxy).await, before);

    proxy.write_config(&config(
        2,
        &format!("{one}, {{ name: new, value: sk-new-1 }}"),
    ));
    proxy.signal("HUP");
    until(&proxy, "a new key", |config| config["generation"] == 3).await;
    let mut after = states(&proxy).await;
    let new = after.remove("t/m@refusing/new").unwrap();
    assert_eq!((new.0.as_str(), new.1.as_str()), ("closed", "{}"));
    assert_eq!(after, before);
    let trips = [("endpoint", "t/m@broken/default"), ("to", "open")];
    let trips = proxy
        .metrics()
        .await
        .sum("mainstay_endpoint_transitions_total", &trips);
    assert!((trips - 1.0).abs() < 0.1, "{trips}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_endpoint_finishes_what_it_carries() {
    let slow = Script {
        pace: Duration::from_millis(20),
        ..fast()
    };
    let (goes, stays) = (mock(slow).await, mock(fast()).await);
    let config = Config::new().provider("stays", stays.addr());
    let both = config
        .clone()
        .provider("goes", goes.addr())
        .model("t/m", &["goes", "stays"]);
    let proxy = Proxy::start_unwatched(&both.text());
    let mut client = H1::connect(proxy.data).await;
    client.send(&Request::stream("t/m")).await;
    let mut under_way = client.head().await;
    assert!(client.chunk(&mut under_way).await);
    proxy.write_config(&config.model("t/m", &["stays"]).text());
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    assert!(serves(&proxy, "t/m").await);
    assert_eq!((goes.received().len(), stays.received().len()), (1, 1));
    client.body(&mut under_way).await;
    assert_eq!(under_way.end, Ended::Whole);
    assert_eq!(under_way.content(), Script::default().answer());
}
