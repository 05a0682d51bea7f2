//! Access tokens of Google's at Vertex: fetched for a service account or from a metadata server, kept, renewed, and given up where
//! they cannot be had; and keys in the query. The mock checks each assertion and each token.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Fault, Kind, Mock, OAuth, Received, Script};
use serde_json::{Value, json};

use crate::harness::{Config, Proxy, closed_port, fast, mock};
use crate::raw::{BOTH, Request};

const KEYS: [&str; 2] = [
    include_str!("../keys/throwaway-one.pem"),
    include_str!("../keys/throwaway-two.pem"),
];
const PUBLIC: [&str; 2] = [
    include_str!("../keys/throwaway-one.public"),
    include_str!("../keys/throwaway-two.public"),
];
const EMAIL: &str = "mainstay@test-project.iam.gserviceaccount.com";
const CLAUDE: &str = "claude-sonnet-4-5@20250929";
/// Long enough for a loaded machine.
const SOON: Duration = Duration::from_secs(30);

/// A script that gives tokens for the key of this number, and lets nothing else in.
fn giving(key: usize, lifetime: Duration) -> Script {
    Script {
        oauth: Some(OAuth {
            public_key: PUBLIC[key].to_owned(),
            email: Some(EMAIL.to_owned()),
            lifetime,
        }),
        ..fast()
    }
}

/// The same, failing so at every request.
fn broken(kind: Kind) -> Script {
    Script {
        fault: Some(Fault::always(kind)),
        ..giving(0, Duration::from_secs(3600))
    }
}

/// A key file as Google writes it.
fn write_key_file(path: &Path, key: usize, tokens_at: SocketAddr) {
    let file = json!({
        "type": "service_account",
        "project_id": "test-project",
        "private_key_id": format!("key-{key}"),
        "private_key": KEYS[key],
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": format!("http://{tokens_at}/token"),
        "universe_domain": "googleapis.com",
    });
    std::fs::write(path, serde_json::to_string_pretty(&file).unwrap()).unwrap();
}

/// A folder with the key file of the first key.
fn key_file(tokens_at: SocketAddr) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    write_key_file(&path, 0, tokens_at);
    (folder, path)
}

fn of_file(path: &Path) -> String {
    format!(
        "credentials: {{ service_account_file: \"{}\" }}",
        path.display()
    )
}

/// Providers of both presets at an address, with a model each.
fn vertex(at: SocketAddr, credentials: &str) -> Config {
    let fields = |preset: &str| {
        format!("preset: {preset}, base_url: \"http://{at}/v1\", region: us-east5, {credentials}")
    };
    Config::new()
        .raw_provider("google", &fields("vertex"))
        .raw_provider("claude", &fields("vertex-anthropic"))
        .raw_model(
            "t/gemini",
            "endpoints: [{ provider: google, model: gemini-2.5-flash }]",
        )
        .raw_model(
            "t/claude",
            &format!("endpoints: [{{ provider: claude, model: \"{CLAUDE}\" }}]"),
        )
}

/// The requests for tokens.
fn asked(mock: &Mock) -> usize {
    let received = mock.received();
    let tokens = received
        .iter()
        .filter(|it| it.path == "/token" || it.path.ends_with("/default/token"));
    tokens.count()
}

/// The other requests.
fn paid(mock: &Mock) -> Vec<Received> {
    let mut received = mock.received();
    received.retain(|it| it.path != "/token" && !it.path.ends_with("/default/token"));
    received
}

fn token(request: &Received) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

fn body(request: &Received) -> Value {
    serde_json::from_slice(request.body.as_ref().unwrap()).unwrap()
}

/// A request of the Messages API.
fn message(path: &str, more: &str) -> Request {
    let text =
        format!(r#"{{"messages":[{{"role":"user","content":"hi"}}], "model" : "t/claude"{more}}}"#);
    Request::post(path, text).header("anthropic-version", "2023-06-01")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_pays_for_gemini_and_claude_at_vertex_with_one_token() {
    let mock = mock(giving(0, Duration::from_secs(3600))).await;
    let (_folder, path) = key_file(mock.addr());
    let proxy = vertex(mock.addr(), &of_file(&path)).start();
    for model in ["t/gemini", "t/claude"] {
        for request in [Request::chat(model), Request::stream(model)] {
            let answer = proxy.send(&request).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(!answer.content().is_empty());
        }
    }
    let answer = proxy
        .send(&message("/v1/messages", r#", "max_tokens": 9"#))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let streamed = message("/v1/messages", r#", "max_tokens": 9, "stream": true"#);
    let answer = proxy.send(&streamed).await;
    assert!(
        answer.status == 200 && answer.text().contains("message_stop"),
        "{answer:?}"
    );
    let counted = proxy.send(&message("/v1/messages/count_tokens", "")).await;
    assert!(
        counted.status == 200 && counted.json()["input_tokens"].is_u64(),
        "{counted:?}"
    );

    let requests = paid(&mock);
    let at = "/v1/projects/test-project/locations/us-east5/publishers";
    let gemini = format!("{at}/google/models/gemini-2.5-flash");
    let claude = format!("{at}/anthropic/models/{CLAUDE}");
    let paths: Vec<&str> = requests.iter().map(|it| it.path.as_str()).collect();
    let expected = [
        format!("{gemini}:generateContent"),
        format!("{gemini}:streamGenerateContent?alt=sse"),
        format!("{claude}:rawPredict"),
        format!("{claude}:streamRawPredict"),
        format!("{claude}:rawPredict"),
        format!("{claude}:streamRawPredict"),
        format!("{at}/anthropic/models/count-tokens:rawPredict"),
    ];
    assert_eq!(paths, expected);
    for request in &requests {
        assert_eq!(token(request), Some("ya29.mock-token-1"));
    }
    for request in &requests[2..6] {
        let body = body(request);
        assert_eq!(body["anthropic_version"], "vertex-2023-10-16");
        assert_eq!(body.get("model"), None);
    }
    // What passes untouched is the client's but for that one member.
    let untouched = requests[4].body.as_ref().unwrap();
    let expected = r#"{"messages":[{"role":"user","content":"hi"}], "anthropic_version":"vertex-2023-10-16", "max_tokens": 9}"#;
    assert_eq!(untouched, expected.as_bytes());
    assert_eq!(body(&requests[6])["model"], CLAUDE);
    assert_eq!(asked(&mock), 1, "both providers have the same credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_fetched_anew_before_it_ends() {
    let mock = mock(giving(0, Duration::from_secs(6))).await;
    let (_folder, path) = key_file(mock.addr());
    let proxy = vertex(mock.addr(), &of_file(&path)).start();
    let begun = Instant::now();
    loop {
        let answer = proxy.send(&Request::chat("t/gemini")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("x-mainstay-attempts"), Some("1"));
        let last = paid(&mock).pop().unwrap();
        if token(&last) == Some("ya29.mock-token-2") {
            break;
        }
        assert!(begun.elapsed() < SOON, "never a second token");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "the first would have held"
    );
    assert!(paid(&mock).iter().all(|it| it.status == Some(200)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_refused_is_replaced_once() {
    let upstream = mock(giving(0, Duration::from_secs(3600))).await;
    let other = mock(fast()).await;
    let (_folder, path) = key_file(upstream.addr());
    let config = vertex(upstream.addr(), &of_file(&path)).provider("other", other.addr());
    let endpoints =
        "endpoints: [{ provider: google, model: gemini-2.5-flash }, { provider: other }]";
    let proxy = config.raw_model("t/both", endpoints).start();
    assert_eq!(proxy.send(&Request::chat("t/both")).await.status, 200);

    upstream.revoke();
    let answer = proxy.send(&Request::chat("t/both")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.header("x-mainstay-attempts"),
        Some("1"),
        "the attempt went on with a new token"
    );
    assert_eq!(asked(&upstream), 2);
    assert_eq!(
        token(&paid(&upstream).pop().unwrap()),
        Some("ya29.mock-token-2")
    );
    assert_eq!(other.received().len(), 0);

    // A new token has just not helped: another one would not either.
    upstream.revoke();
    let answer = proxy.send(&Request::chat("t/both")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(other.received().len(), 1);
    assert_eq!(asked(&upstream), 2);
    proxy
        .counts(
            "mainstay_attempts_total",
            &[("outcome", "auth_rejected")],
            1.0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_token_can_be_had_the_next_provider_answers_soon() {
    let upstream = mock(giving(0, Duration::from_secs(3600))).await;
    let other = mock(fast()).await;
    let (_closed, refusing) = closed_port();
    let silent = mock(broken(Kind::Silence {
        lasts: Duration::from_secs(120),
    }))
    .await;
    let stranger = mock(giving(1, Duration::from_secs(3600))).await;
    let sources = [refusing, silent.addr(), stranger.addr()];
    for (nth, source) in sources.into_iter().enumerate() {
        let (_folder, path) = key_file(source);
        let config = vertex(upstream.addr(), &of_file(&path)).provider("other", other.addr());
        let endpoints =
            "endpoints: [{ provider: google, model: gemini-2.5-flash }, { provider: other }]";
        let proxy = config
            .raw_model("t/both", endpoints)
            .model("t/other", &["other"])
            .start();
        let begun = Instant::now();
        let answer = proxy.send(&Request::chat("t/both")).await;
        let took = begun.elapsed();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("x-mainstay-endpoint"),
            Some("t/both@other/default")
        );
        assert!(took < Duration::from_secs(5), "source {nth}: {took:?}");
        // Others do not wait at all.
        let answer = proxy.send(&Request::chat("t/other")).await;
        assert_eq!(
            (answer.status, answer.header("x-mainstay-recovery-ms")),
            (200, Some("0"))
        );
        proxy
            .counts(
                "mainstay_attempts_total",
                &[("outcome", "auth_rejected")],
                1.0,
            )
            .await;
        // Without anybody else it is the operator's trouble, not the client's.
        let answer = proxy.send(&Request::chat("t/gemini")).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(paid(&upstream).len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_comes_back_is_asked_again() {
    let mock = mock(broken(Kind::status(500))).await;
    let (_folder, path) = key_file(mock.addr());
    let proxy = vertex(mock.addr(), &of_file(&path))
        .top("health: { rest: { auth: 100ms } }")
        .start();
    assert_eq!(proxy.send(&Request::chat("t/gemini")).await.status, 503);
    mock.set(giving(0, Duration::from_secs(3600)));
    let begun = Instant::now();
    while proxy.send(&Request::chat("t/gemini")).await.status != 200 {
        assert!(begun.elapsed() < SOON, "never again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_server_gives_tokens_to_what_has_no_service_account() {
    let mock = mock(giving(0, Duration::from_secs(3600))).await;
    let credentials = format!(
        "project: p-1, credentials: {{ metadata_server: \"http://{}\" }}",
        mock.addr()
    );
    let proxy = vertex(mock.addr(), &credentials).start();
    let answer = proxy.send(&Request::chat("t/claude")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let path = &paid(&mock)[0].path;
    assert!(
        path.starts_with("/v1/projects/p-1/locations/us-east5/"),
        "{path}"
    );
    let question = &mock.received()[0];
    assert_eq!(question.method, "GET");
    assert_eq!(question.header("metadata-flavor"), Some("Google"));
}

/// Reloads the file, and waits for that generation.
async fn reload(proxy: &Proxy, text: &str, generation: u64) {
    proxy.write_config(text);
    proxy.signal("HUP");
    let begun = Instant::now();
    while proxy.status().await["config"]["generation"].as_u64() < Some(generation) {
        assert!(begun.elapsed() < SOON, "never applied: {}", proxy.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_the_token_and_a_rotated_key_gets_its_own() {
    let mock = mock(giving(0, Duration::from_secs(3600))).await;
    let (_folder, path) = key_file(mock.addr());
    let config = vertex(mock.addr(), &of_file(&path));
    let proxy = Proxy::start_unwatched(&config.text());
    assert_eq!(proxy.send(&Request::chat("t/gemini")).await.status, 200);
    let more = config.policy("attempts: 2").text();
    reload(&proxy, &more, 2).await;
    assert_eq!(proxy.send(&Request::chat("t/gemini")).await.status, 200);
    assert_eq!(asked(&mock), 1);

    write_key_file(&path, 1, mock.addr());
    mock.update(|script| script.oauth = giving(1, Duration::from_secs(3600)).oauth);
    reload(&proxy, &more, 3).await;
    let answer = proxy.send(&Request::chat("t/gemini")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        token(&paid(&mock).pop().unwrap()),
        Some("ya29.mock-token-2")
    );
    assert_eq!(asked(&mock), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_carries_the_token_and_neither_shows_in_what_is_told() {
    let mock = mock(giving(0, Duration::from_secs(3600))).await;
    let (_folder, path) = key_file(mock.addr());
    let config = vertex(mock.addr(), &of_file(&path))
        .top("routes: [{ path: \"/v1/operations*\", provider: google }]");
    let proxy = Proxy::start_verbose(&config.text());
    let request = Request::get("/v1/operations/1").header("authorization", "Bearer of-the-client");
    // The mock has no such path.
    assert_eq!(proxy.send(&request).await.status, 404);
    let last = paid(&mock).pop().unwrap();
    assert_eq!(last.path, "/v1/operations/1");
    assert_eq!(token(&last), Some("ya29.mock-token-1"));
    mock.revoke();
    assert_eq!(proxy.send(&Request::chat("t/gemini")).await.status, 200);
    let mut told = format!("{}\n{}", proxy.log(), proxy.output());
    for path in ["/api/status", "/api/endpoints", "/api/requests", "/metrics"] {
        write!(told, "\n{}", proxy.admin_get(path).await.text()).unwrap();
    }
    assert!(told.contains("serving"));
    let secret = KEYS[0].lines().nth(3).unwrap();
    for secret in [secret, "ya29", "BEGIN PRIVATE", "assertion="] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_the_query_is_sent_and_not_shown() {
    let script = Script {
        keys: vec!["k-71d0c5/+".to_owned(), "k-71d0c5%2F%2B".to_owned()],
        ..fast()
    };
    let mock = mock(script).await;
    let fields = format!(
        "preset: gemini, base_url: \"http://{}/v1beta\", auth: query key, keys: [{{ value: \"k-71d0c5/+\" }}]",
        mock.addr()
    );
    let config = Config::new()
        .raw_provider("gemini", &fields)
        .raw_model("t/m", "endpoints: [{ provider: gemini, model: g-1 }]")
        .raw_model("google/*", "endpoints: [{ provider: gemini }]")
        .top("routes: [{ path: \"/v1/files*\", provider: gemini }]");
    let proxy = Proxy::start_verbose(&config.text());
    for request in [
        Request::chat("t/m"),
        Request::stream("t/m"),
        Request::chat("google/g-2"),
    ] {
        let answer = proxy.send(&request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    proxy
        .send(&Request::get("/v1/files?key=theirs&page=2"))
        .await;
    let paths: Vec<String> = mock.received().into_iter().map(|it| it.path).collect();
    let expected = [
        "/v1beta/models/g-1:generateContent?key=k-71d0c5%2F%2B",
        "/v1beta/models/g-1:streamGenerateContent?alt=sse&key=k-71d0c5%2F%2B",
        "/v1beta/models/g-2:generateContent?key=k-71d0c5%2F%2B",
        "/v1beta/files?page=2&key=k-71d0c5%2F%2B",
    ];
    assert_eq!(paths, expected);
    let told = format!("{}\n{}", proxy.log(), proxy.output());
    assert!(!told.contains("71d0c5"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_may_send_its_key_as_other_clients_do() {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .top("auth: { keys: [{ name: web, key: client-key-4e1 }] }")
        .start();
    let headers = ["x-api-key", "x-goog-api-key", "api-key"];
    for via in BOTH {
        for header in headers {
            let right = Request::chat("t/m").header(header, "client-key-4e1");
            assert_eq!(proxy.call(via, &right).await.status, 200, "{header}");
            let wrong = Request::chat("t/m").header(header, "client-key-4e2");
            assert_eq!(proxy.call(via, &wrong).await.status, 401, "{header}");
        }
    }
    let received = mock.received();
    assert_eq!(received.len(), 6);
    for request in received {
        assert!(headers.iter().all(|name| request.header(name).is_none()));
        let mut values = request.headers.iter().map(|(_, value)| value.as_str());
        assert!(values.all(|value| !value.contains("client-key")));
    }
}
