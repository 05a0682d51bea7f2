//! Who asks: the client behind trusted proxies, and pages in browsers.

use mainstay::cmd::mock::{Kind, Mock};
use serde_json::Value;

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::plain::{Manner, Plain};
use crate::raw::{Answer, BOTH, Ended, Request, Via};

const PAGE: &str = "https://app.example.com";
const KEY: &str = "sk-client-77aa";

async fn last_line(proxy: &Proxy, lines: usize) -> Value {
    proxy.access_log(lines).await.swap_remove(lines - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_names_the_client_that_a_trusted_proxy_names_and_providers_never_see_it() {
    let upstream = mock(fast()).await;
    let other = Plain::start(Manner::Well).await;
    let config = Config::new()
        .provider("one", upstream.addr())
        .provider("other", other.address)
        .model("t/m", &["one"])
        .top("routes: [{ path: /v1/x, provider: other }]");
    let trusting = config
        .clone()
        .server("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]");
    let forwarded = "198.51.100.7, 203.0.113.5, 10.1.1.1";
    for (config, expected) in [(trusting, "203.0.113.5"), (config, "127.0.0.1")] {
        let proxy = config.start();
        let mut lines = 0;
        for via in BOTH {
            for request in [
                Request::chat("t/m"),
                Request::stream("t/m"),
                Request::get("/v1/x"),
            ] {
                let request = request
                    .header("x-forwarded-for", forwarded)
                    .header("forwarded", "for=198.51.100.7")
                    .header("x-real-ip", "198.51.100.7");
                assert_eq!(proxy.call(via, &request).await.status, 200);
                lines += 1;
                let line = last_line(&proxy, lines).await;
                assert_eq!(line["client"], expected, "{via:?} {line}");
            }
        }
    }
    let of_models = upstream.received().into_iter();
    let of_models = of_models.map(|request| format!("{:?}", request.headers));
    let of_routes = other.seen().into_iter().map(|seen| seen.head);
    let heads: Vec<String> = of_models.chain(of_routes).collect();
    assert_eq!(heads.len(), 12);
    for head in heads {
        for address in ["198.51.100.7", "203.0.113.5", "forwarded"] {
            assert!(!head.contains(address), "{head}");
        }
    }
}

fn preflight(path: &str, origin: &str) -> Request {
    Request {
        method: "OPTIONS",
        ..Request::get(path)
    }
    .header("origin", origin)
    .header("access-control-request-method", "POST")
    .header(
        "access-control-request-headers",
        "authorization,x-stainless-os",
    )
}

fn values<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let found = answer.headers.iter().filter(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).collect()
}

/// The answer may be read by this page, and says so once; or by none.
fn is_readable(answer: &Answer, origin: Option<&str>, what: &str) {
    let expected: Vec<&str> = origin.into_iter().collect();
    let found = values(answer, "access-control-allow-origin");
    assert_eq!(found, expected, "{what}: {answer:?}");
    let others = ["credentials", "methods", "headers"];
    if origin.is_none() {
        for name in others {
            assert!(
                values(answer, &format!("access-control-allow-{name}")).is_empty(),
                "{what}"
            );
        }
        assert!(
            values(answer, "access-control-expose-headers").is_empty(),
            "{what}"
        );
    }
}

async fn shared(origins: &str) -> (Mock, Mock, Plain, Proxy) {
    let (good, bad) = (mock(fast()).await, mock(failing(Kind::status(400))).await);
    let files = Plain::start(Manner::Well).await;
    let proxy = Config::new()
        .server(&format!("cors: {{ origins: [{origins}] }}"))
        .provider("one", good.addr())
        .provider("bad", bad.addr())
        .provider("files", files.address)
        .model("t/m", &["one"])
        .model("t/bad", &["bad"])
        .top("routes: [{ path: /v1/files*, provider: files }]")
        .top(&format!("auth: {{ keys: [{{ name: web, key: {KEY} }}] }}"))
        .start();
    (good, bad, files, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_without_a_key() {
    let (good, _bad, files, proxy) = shared(PAGE).await;
    for via in BOTH {
        for path in [
            "/v1/chat/completions",
            "/api/v1/embeddings",
            "/v1/models",
            "/v1/files/f-1",
        ] {
            let answer = proxy.call(via, &preflight(path, PAGE)).await;
            assert_eq!(
                (answer.status, answer.body.len()),
                (204, 0),
                "{path}: {answer:?}"
            );
            is_readable(&answer, Some(PAGE), path);
            let methods = answer.header("access-control-allow-methods").unwrap();
            assert!(methods.contains(if path == "/v1/models" { "GET" } else { "POST" }));
            let headers = answer.header("access-control-allow-headers");
            assert_eq!(headers, Some("authorization,x-stainless-os"));
            assert_eq!(answer.header("access-control-max-age"), Some("7200"));
            assert!(values(&answer, "vary").contains(&"Origin"), "{answer:?}");
            let answer = proxy.call(via, &preflight(path, "https://evil.test")).await;
            assert_eq!(answer.status, 204);
            is_readable(&answer, None, path);
        }
        let nowhere = proxy.call(via, &preflight("/v1/nothing", PAGE)).await;
        assert_eq!(nowhere.status, 404, "{nowhere:?}");
    }
    assert!(good.received().is_empty() && files.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_an_allowed_page_may_be_read_by_it() {
    let (_good, _bad, _files, proxy) = shared(PAGE).await;
    let requests = [
        (200, Request::chat("t/m").key(KEY)),
        (200, Request::stream("t/m").key(KEY)),
        (200, Request::get("/v1/models").key(KEY)),
        (200, Request::get("/v1/files/f-1").key(KEY)),
        (200, Request::get("/")),
        (400, Request::chat("t/bad").key(KEY)),
        (400, Request::post("/v1/chat/completions", "{").key(KEY)),
        (401, Request::chat("t/m")),
        (401, Request::get("/v1/files/f-1")),
        (404, Request::chat("t/none").key(KEY)),
        (404, Request::get("/v1/nothing").key(KEY)),
        (405, Request::get("/v1/chat/completions").key(KEY)),
    ];
    for via in BOTH {
        for (status, request) in &requests {
            let what = format!("{via:?} {} {status}", request.path);
            let asked = |origin: &str| request.clone().header("origin", origin);
            let answer = proxy.call(via, &asked(PAGE)).await;
            assert_eq!(answer.status, *status, "{what}: {answer:?}");
            is_readable(&answer, Some(PAGE), &what);
            let exposed = answer.header("access-control-expose-headers").unwrap();
            for name in ["x-request-id", "x-mainstay-endpoint", "retry-after"] {
                assert!(exposed.contains(name), "{what}: {exposed}");
            }
            assert!(
                values(&answer, "vary").contains(&"Origin"),
                "{what}: {answer:?}"
            );
            let answer = proxy.call(via, &asked("https://evil.test")).await;
            assert_eq!(
                answer.status, *status,
                "{what}: nothing but the headers changes"
            );
            is_readable(&answer, None, &what);
            is_readable(&proxy.call(via, request).await, None, &what);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_own_header_of_an_answer_is_exposed() {
    let (_good, _bad, _files, proxy) = shared(PAGE).await;
    let answer = proxy
        .send(&Request::chat("t/m").key(KEY).header("origin", PAGE))
        .await;
    let exposed = answer.header("access-control-expose-headers").unwrap();
    let own = answer
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("x-"));
    for (name, _) in own {
        assert!(
            exposed.contains(name.as_str()),
            "{name} is not in {exposed}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_page_and_sub_domains_can_be_allowed() {
    let (_good, _bad, _files, proxy) = shared("\"*\"").await;
    for request in [
        Request::chat("t/m").key(KEY),
        preflight("/v1/chat/completions", PAGE),
    ] {
        let answer = proxy.send(&request.header("origin", PAGE)).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert!(!values(&answer, "vary").contains(&"Origin"));
    }
    let (_good, _bad, _files, proxy) = shared("\"https://*.example.com\"").await;
    let answer = proxy
        .send(&Request::chat("t/m").key(KEY).header("origin", PAGE))
        .await;
    is_readable(&answer, Some(PAGE), "a sub-domain");
    let close = "https://app.example.com.evil.test";
    let answer = proxy
        .send(&Request::chat("t/m").key(KEY).header("origin", close))
        .await;
    is_readable(&answer, None, "a name that only begins so");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_cors_options_says_what_is_taken_and_nothing_of_origins() {
    let upstream = mock(fast()).await;
    let files = Plain::start(Manner::Sharing).await;
    let proxy = Config::new()
        .provider("one", upstream.addr())
        .provider("files", files.address)
        .model("t/m", &["one"])
        .top("routes: [{ path: /v1/files*, provider: files }]")
        .start();
    for via in BOTH {
        let answer = proxy
            .call(via, &preflight("/v1/chat/completions", PAGE))
            .await;
        assert_eq!((answer.status, answer.end), (204, Ended::Whole));
        is_readable(&answer, None, "preflight");
        let plain = Request {
            method: "OPTIONS",
            ..Request::get("/v1/chat/completions")
        };
        let answer = proxy.call(via, &plain).await;
        assert_eq!((answer.status, answer.header("allow")), (204, Some("POST")));
        let answer = proxy
            .call(via, &Request::get("/v1/files").header("origin", PAGE))
            .await;
        assert_eq!(answer.status, 200);
        is_readable(
            &answer,
            None,
            "what a provider says of origins stays with it",
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_of_origins_is_replaced() {
    let files = Plain::start(Manner::Sharing).await;
    let proxy = Config::new()
        .server(&format!("cors: {{ origins: [{PAGE}] }}"))
        .provider("files", files.address)
        .model("t/m", &["files"])
        .top("routes: [{ path: /v1/files*, provider: files }]")
        .start();
    for via in [Via::H1, Via::H2] {
        let answer = proxy
            .call(via, &Request::get("/v1/files").header("origin", PAGE))
            .await;
        is_readable(&answer, Some(PAGE), "replaced");
        assert!(values(&answer, "access-control-allow-credentials").is_empty());
    }
}
