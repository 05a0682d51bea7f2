//! A changed file takes effect without a restart; one that cannot be used changes nothing and is named.

use std::time::{Duration, Instant};

use mainstay::cmd::mock::Script;

use crate::harness::{Config, Proxy, eventually, fast, mock};
use crate::raw::{BOTH, Ended, H1, Request, Via};

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
    proxy.write_config(&config.server("threads: 1").text());
    proxy.signal("HUP");
    until(&proxy, "applied", |config| config["generation"] == 2).await;
    let said = || proxy.logged("`server.threads` has changed").len() == 1;
    eventually("a word on the threads", Duration::from_secs(5), said).await;
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
