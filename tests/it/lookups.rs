//! X13: DNS that fails, changes, or holds one dead address of two. The resolver is the test's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mainstay::cmd::mock::Mock;
use mainstay::edge::dns::{Lookup, Resolver, Unresolved};
use mainstay::edge::telemetry::{AccessLog, Telemetry};
use mainstay::{Mainstay, config};

use crate::embed::{Host, host};
use crate::harness::{Config, closed_port, eventually, fast, mock};
use crate::raw::{Answer, BOTH, Request, call};

/// Says what it is told, for every host.
#[derive(Debug)]
struct Told(Mutex<Result<Vec<SocketAddr>, Unresolved>>);

#[async_trait]
impl Lookup for Told {
    async fn lookup(&self, _host: &str, _port: u16) -> Result<Vec<SocketAddr>, Unresolved> {
        self.0.lock().unwrap().clone()
    }
}

impl Told {
    fn say(&self, answer: Result<Vec<SocketAddr>, Unresolved>) {
        *self.0.lock().unwrap() = answer;
    }
}

/// A host whose only provider is a name that DNS answers for as told.
async fn start(first: Result<Vec<SocketAddr>, Unresolved>) -> (Host, Arc<Told>) {
    let told = Arc::new(Told(Mutex::new(first)));
    let text = Config::new()
        .raw_provider(
            "p",
            "base_url: \"http://models.test:8000/v1\", keys: [{ value: k }]",
        )
        .model("t/m", &["p"])
        .text();
    let source = config::Source {
        path: "mainstay.yaml".into(),
        text,
    };
    let loaded = config::parse(&source, &|_| None).unwrap();
    let resolver = Arc::new(Resolver::new(told.clone(), Duration::from_millis(50)));
    let telemetry = Telemetry::new(AccessLog::nowhere());
    let mainstay = Mainstay::with_resolver(loaded, telemetry, resolver).unwrap();
    (host(mainstay).await, told)
}

async fn ask(host: &Host) -> Answer {
    call(BOTH[0], host.address, &Request::chat("t/m")).await
}

/// Asks until `mock` has got a request; nothing may be lost meanwhile.
async fn until_reached(host: &Host, mock: &Mock) {
    let begun = Instant::now();
    while mock.received().is_empty() {
        assert_eq!(ask(host).await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "never");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_live_one_of_two_addresses_answers() {
    let live = mock(fast()).await;
    let (_socket, dead) = closed_port();
    for addresses in [[dead, live.addr()], [live.addr(), dead]] {
        let (host, _told) = start(Ok(addresses.to_vec())).await;
        for _ in 0..10 {
            assert_eq!(ask(&host).await.status, 200);
        }
    }
    assert_eq!(live.received().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_is_followed_and_one_that_is_lost_is_kept() {
    let (old, new) = (mock(fast()).await, mock(fast()).await);
    let (host, told) = start(Ok(vec![old.addr()])).await;
    assert_eq!(ask(&host).await.status, 200);
    told.say(Ok(vec![new.addr()]));
    until_reached(&host, &new).await;
    drop(old);
    for failure in [Unresolved::ResolverDown, Unresolved::NoSuchHost] {
        told.say(Err(failure));
        for _ in 0..5 {
            assert_eq!(
                ask(&host).await.status,
                200,
                "the last good answer serves on"
            );
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_found_is_found_once_dns_is_back() {
    let mock = mock(fast()).await;
    for failure in [Unresolved::NoSuchHost, Unresolved::ResolverDown] {
        let (host, told) = start(Err(failure)).await;
        let refused = ask(&host).await;
        assert!(refused.status >= 500, "{}", refused.text());
        assert!(refused.json()["error"]["message"].is_string());
        told.say(Ok(vec![mock.addr()]));
        let begun = Instant::now();
        while ask(&host).await.status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(20), "never");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    eventually("both hosts ask", Duration::from_secs(1), || {
        mock.received().len() >= 2
    })
    .await;
}
