//! The status page's own doors: files, login, events, and what strangers' pages may not do. A real browser tries the
//! page itself (`make page-test`).

use std::time::Duration;

use mainstay::cmd::mock::{Kind, Mock};
use serde_json::Value;

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{self, Answer, H1, Request, Via};

const TOKEN: &str = "the-operators-token";

async fn page(admin: &str) -> (Mock, Mock, Proxy) {
    let (bad, good) = (mock(failing(Kind::status(503))).await, mock(fast()).await);
    let proxy = Config::new()
        .admin(admin)
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .top("health: { trip_after: 1 }")
        .start();
    (bad, good, proxy)
}

async fn ask(proxy: &Proxy, request: &Request) -> Answer {
    raw::call(Via::H1, proxy.admin, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_names_only_files_that_are_here() {
    let (_bad, _good, proxy) = page("").await;
    let index = proxy.admin_get("/").await;
    assert_eq!(index.status, 200);
    let policy = index.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let text = index.text().to_owned();
    let names = text
        .split('"')
        .filter(|part| part.starts_with('/') && part.contains('.'));
    let names: Vec<&str> = names.collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let file = proxy.admin_get(name).await;
        assert_eq!(file.status, 200, "{name}");
        let fetched = file.text().replace("http://www.w3.org/2000/svg", "");
        let fetches = ["fetch(\"http", "url(http", "src=\"http", "import "];
        assert!(!fetches.iter().any(|way| fetched.contains(way)), "{name}");
    }
    assert!(!text.contains("{{"), "{text}");
}

/// The events that came until one satisfies `holds`.
async fn until(events: &mut H1, answer: &mut Answer, name: &str, holds: impl Fn(&Value) -> bool) {
    let begun = std::time::Instant::now();
    loop {
        let text = answer.text();
        // The last piece may still be under way.
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        let found = whole.split("\n\n").any(|event| {
            let data = event.strip_prefix(&format!("event: {name}\ndata: "));
            data.is_some_and(|data| holds(&serde_json::from_str(data).unwrap()))
        });
        if found {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "never: {name}: {text}"
        );
        assert!(
            events.chunk(answer).await,
            "the events ended: {}",
            answer.text()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_told_of_a_trip_and_of_a_reload() {
    let (_bad, _good, proxy) = page("").await;
    let mut events = H1::connect(proxy.admin).await;
    events.send(&Request::get("/api/events")).await;
    let mut told = events.head().await;
    assert_eq!(told.header("content-type"), Some("text/event-stream"));
    let state = |wanted: &'static str| move |all: &Value| all[0]["state"] == wanted;
    until(&mut events, &mut told, "endpoints", state("closed")).await;
    assert_eq!(proxy.send(&Request::chat("t/m")).await.status, 200);
    until(&mut events, &mut told, "endpoints", state("open")).await;
    until(&mut events, &mut told, "status", |status| {
        status["config"]["generation"] == 1
    })
    .await;
    proxy.write_config("models: nonsense\n");
    until(&mut events, &mut told, "reloads", |all| {
        all[0]["error"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_typed_once_and_a_cookie_stands_for_it() {
    let (_bad, _good, proxy) = page(&format!("token: {TOKEN}")).await;
    let form = proxy.admin_get("/").await;
    assert!(form.text().contains("id=\"token\"") && !form.text().contains("id=\"rows\""));
    assert_eq!(proxy.admin_get("/api/events").await.status, 401);
    let wrong = ask(&proxy, &Request::post("/login", "token=guess")).await;
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let right = ask(&proxy, &Request::post("/login", format!("token={TOKEN}"))).await;
    assert_eq!((right.status, right.header("location")), (303, Some("/")));
    let cookie = right.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let (cookie, _) = cookie.split_once(';').unwrap();
    assert!(!cookie.contains(TOKEN));
    let with = |path: &str| Request::get(path).header("cookie", cookie);
    assert!(ask(&proxy, &with("/")).await.text().contains("id=\"rows\""));
    assert_eq!(ask(&proxy, &with("/api/status")).await.status, 200);
    let out = ask(
        &proxy,
        &Request::post("/logout", "").header("cookie", cookie),
    )
    .await;
    assert_eq!(out.status, 303);
    assert_eq!(ask(&proxy, &with("/api/status")).await.status, 401);
    assert!(!proxy.log().contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_page_moves_nothing() {
    let (_bad, _good, open) = page("").await;
    let drain = Request::post("/api/endpoints/t%2Fm%40good%2Fdefault/drain", "");
    let from = |origin: &str| drain.clone().header("origin", origin);
    // The tests' requests name a host that a stranger could have: where no token guards, browsers are refused.
    assert_eq!(ask(&open, &from("https://evil.example")).await.status, 403);
    assert_eq!(ask(&open, &from("http://mainstay.test")).await.status, 403);
    let rebound = Request::get("/api/status").header("sec-fetch-site", "same-origin");
    assert_eq!(ask(&open, &rebound).await.status, 403);
    assert_eq!(ask(&open, &Request::get("/api/status")).await.status, 200);
    let (_bad, _good, guarded) = page(&format!("token: {TOKEN}")).await;
    let asks = async |request: Request| ask(&guarded, &request.key(TOKEN)).await.status;
    assert_eq!(asks(rebound.clone()).await, 200);
    assert_eq!(asks(from("https://evil.example")).await, 403);
    assert_eq!(asks(from("http://mainstay.test")).await, 200);
}
