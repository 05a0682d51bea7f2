//! The surface that clients see around an exchange: keys, models, paths, error shapes, the headers of answers.

use mainstay::cmd::mock::{Kind, Mock};
use serde_json::{Value, json};

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{Answer, BOTH, Ended, Request, Via};

const KEYS: &str = "auth:\n  keys:\n\
                    \x20   - { name: all, key: key-all-1 }\n\
                    \x20   - { name: some, key: key-some-1, models: [acme/m-1, beta/*] }\n\
                    \x20   - { name: pinned, key: key-pinned-1, policy: pinned }";

async fn guarded() -> (Mock, Proxy) {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model_with("acme/m-1", &["one"], "context_length: 1000")
        .model("acme/m-2", &["one"])
        .model("beta/m-3", &["one"])
        .policy_named("pinned", "sort: ordered, attempts: 1")
        .top(KEYS)
        .start();
    (mock, proxy)
}

/// Every answer has a JSON body in the shape of its path, and a clean end.
fn is_error(answer: &Answer, status: u16, path: &str) -> Value {
    assert_eq!(
        (answer.status, answer.end),
        (status, Ended::Whole),
        "{path}: {answer:?}"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-request-id").is_some());
    let error = answer.error();
    assert!(
        error["message"].is_string() && error["type"].is_string(),
        "{error}"
    );
    if path.starts_with("/api/") {
        assert_eq!(error["code"], status, "{error}");
        assert!(error["metadata"]["error_type"].is_string(), "{error}");
    } else {
        assert!(error.get("metadata").is_none(), "{error}");
        assert!(error.get("param").is_some(), "{error}");
    }
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn only_known_keys_are_let_in() {
    let (mock, proxy) = guarded().await;
    let chat = || Request::chat("acme/m-1");
    for via in BOTH {
        for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
            for request in [
                chat(),
                chat().key("key-wrong"),
                chat().header("x-api-key", "key"),
            ] {
                let answer = proxy.call(via, &request.at(path)).await;
                let error = is_error(&answer, 401, path);
                assert!(!error.to_string().contains("key-wrong"));
            }
        }
        for request in [
            chat().key("key-all-1"),
            chat().header("x-api-key", "key-all-1"),
        ] {
            assert_eq!(proxy.call(via, &request).await.status, 200);
        }
    }
    assert_eq!(mock.received().len(), 4, "nobody else reached the provider");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_reaches_its_models_only() {
    let (_mock, proxy) = guarded().await;
    for (model, status) in [("acme/m-1", 200), ("beta/m-3", 200), ("acme/m-2", 403)] {
        let answer = proxy.send(&Request::chat(model).key("key-some-1")).await;
        assert_eq!(answer.status, status, "{model}");
    }
    let answer = proxy
        .send(&Request::chat("acme/m-2").key("key-some-1"))
        .await;
    let error = is_error(&answer, 403, "/v1");
    assert_eq!(error["code"], "model_not_allowed");
    let listed = |answer: Answer| -> Vec<String> {
        let models = answer.json()["data"].as_array().unwrap().clone();
        models
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    for path in ["/v1/models", "/api/v1/models"] {
        let some = proxy.send(&Request::get(path).key("key-some-1")).await;
        assert_eq!(listed(some), ["acme/m-1", "beta/m-3"]);
        let all = proxy.send(&Request::get(path).key("key-all-1")).await;
        assert_eq!(all.json()["total_count"], 3);
        assert_eq!(all.json()["data"][0]["context_length"], 1000);
        assert_eq!(listed(all), ["acme/m-1", "acme/m-2", "beta/m-3"]);
        is_error(&proxy.send(&Request::get(path)).await, 401, path);
    }
    // What Anthropic's clients read of the same, and their own errors.
    let theirs = |path: &str| Request::get(path).header("anthropic-version", "2023-06-01");
    let list = proxy.send(&theirs("/v1/models").key("key-some-1")).await;
    let list = list.json();
    assert_eq!(list["has_more"], false);
    assert_eq!(
        (&list["first_id"], &list["last_id"]),
        (&json!("acme/m-1"), &json!("beta/m-3"))
    );
    let entry = &list["data"][0];
    assert_eq!(
        (&entry["type"], &entry["display_name"]),
        (&json!("model"), &json!("acme/m-1"))
    );
    assert_eq!(entry["created_at"], "1970-01-01T00:00:00Z");
    for (path, key, status, kind) in [
        ("/v1/models", "nobody", 401, "authentication_error"),
        ("/v1/models/acme/m-2", "key-some-1", 404, "not_found_error"),
    ] {
        let answer = proxy.send(&theirs(path).key(key)).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]["type"]),
            (status, &json!(kind))
        );
    }
    // A name that the key may not use is not offered as a near one either.
    let answer = proxy
        .send(&Request::chat("acme/m-22").key("key-some-1"))
        .await;
    assert!(!answer.text().contains("acme/m-2?"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_model_is_told_to_those_who_may_use_it() {
    let (mock, proxy) = guarded().await;
    let some = |path: &str| Request::get(path).key("key-some-1");
    for via in BOTH {
        for root in ["/v1/models", "/api/v1/models"] {
            let list = proxy.call(via, &some(root)).await.json();
            for name in ["acme/m-1", "acme%2Fm-1", "acme%2fm%2D1?x=1"] {
                let answer = proxy.call(via, &some(&format!("{root}/{name}"))).await;
                assert_eq!((answer.status, answer.end), (200, Ended::Whole), "{name}");
                assert_eq!(answer.json(), list["data"][0], "{name}");
            }
            for name in ["acme/m-2", "acme/m-11", "acme%2Fm-2"] {
                let path = format!("{root}/{name}");
                let error = is_error(&proxy.call(via, &some(&path)).await, 404, root);
                let message = error["message"].as_str().unwrap();
                assert!(message.contains("acme/m-1"), "{error}");
                is_error(&proxy.call(via, &Request::get(&path)).await, 401, root);
            }
            let post = Request::post(&format!("{root}/acme/m-1"), "{}");
            let answer = proxy.call(via, &post).await;
            is_error(&answer, 405, root);
            assert_eq!(answer.header("allow"), Some("GET"));
        }
    }
    assert_eq!(mock.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_root_says_what_answers_and_no_more() {
    let (_mock, proxy) = guarded().await;
    for via in BOTH {
        let answer = proxy.call(via, &Request::get("/")).await;
        assert_eq!((answer.status, answer.end), (200, Ended::Whole));
        assert_eq!(
            answer.json(),
            json!({"name": "mainstay", "version": env!("CARGO_PKG_VERSION")})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keys_policy_wins() {
    let bad = mock(failing(Kind::status(500))).await;
    let good = mock(fast()).await;
    let config = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("acme/m-1", &["bad", "good"])
        .model("acme/m-2", &["bad", "good"])
        .policy_named("pinned", "sort: ordered, attempts: 1")
        .top(
            KEYS.replace("models: [acme/m-1, beta/*]", "models: [acme/*]")
                .as_str(),
        );
    let proxy = config.start();
    let answer = proxy
        .send(&Request::chat("acme/m-1").key("key-pinned-1"))
        .await;
    assert_eq!(answer.status, 502, "one attempt, on the first endpoint");
    assert_eq!(good.received().len(), 0);
    let answer = proxy
        .send(&Request::chat("acme/m-2").key("key-all-1"))
        .await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_model_is_told_with_its_neighbours() {
    let (_mock, proxy) = guarded().await;
    for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
        let request = Request::chat("acme/m-4").key("key-all-1").at(path);
        let error = is_error(&proxy.send(&request).await, 404, path);
        assert!(
            error["message"].as_str().unwrap().contains("acme/m-1"),
            "{error}"
        );
        assert_eq!(error["param"], "model");
    }
    let bare = proxy.send(&Request::chat("m-3").key("key-all-1")).await;
    assert_eq!(bare.model(), "beta/m-3", "a bare slug finds its one author");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_of_ours_is_refused() {
    let (mock, proxy) = guarded().await;
    let key = |request: Request| request.key("key-all-1");
    for via in BOTH {
        for path in ["/v1/chat/completions", "/api/v1/chat/completions"] {
            let answer = proxy.call(via, &key(Request::get(path))).await;
            is_error(&answer, 405, path);
            assert_eq!(answer.header("allow"), Some("POST"));
            let table = [
                (
                    r#"{"model":"acme/m-1","model":"acme/m-2","messages":[]}"#,
                    "model",
                ),
                (r#"{"model":"acme/m-1","messages":["#, ""),
                (r#"{"messages":[]}"#, "model"),
                (r#"{"model":7,"messages":[]}"#, "model"),
                (
                    r#"{"model":"acme/m-1","messages":[],"stream":"yes"}"#,
                    "stream",
                ),
                ("[]", ""),
                ("", ""),
                ("{\"model\":\"acme/m-1\",\"a\":\"\u{0}\"}", ""),
            ];
            for (body, param) in table {
                let answer = proxy.call(via, &key(Request::post(path, body))).await;
                let error = is_error(&answer, 400, path);
                assert_eq!(
                    error["param"].as_str().unwrap_or(""),
                    param,
                    "{body}: {error}"
                );
            }
        }
        for path in ["/v1/nowhere", "/", "/v2/chat/completions"] {
            let answer = proxy.call(via, &key(Request::post(path, "{}"))).await;
            is_error(&answer, 404, "/v1");
        }
    }
    assert_eq!(mock.received().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_request_gets_no_body() {
    let (_mock, proxy) = guarded().await;
    for (path, status) in [
        ("/", 200),
        ("/v1/models", 200),
        ("/v1/models/acme/m-1", 200),
        ("/v1/models/acme/m-9", 404),
        ("/v1/nowhere", 404),
        ("/v1/chat/completions", 405),
    ] {
        let mut client = crate::raw::H1::connect(proxy.data).await;
        let head = Request {
            method: "HEAD",
            ..Request::get(path).key("key-all-1")
        };
        client.send(&head).await;
        assert_eq!(client.head().await.status, status, "{path}");
        // Bytes of a body would be taken for the next answer's head.
        let next = client
            .call(&Request::get("/v1/models").key("key-all-1"))
            .await;
        assert_eq!(next.status, 200, "{path}");
        assert_eq!(next.json()["total_count"], 3, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_says_how_it_came_to_be() {
    let bad = mock(failing(Kind::status(500))).await;
    let good = mock(fast()).await;
    let price = |provider: &str, prompt: f64| {
        format!("{{ provider: {provider}, price: {{ prompt: {prompt}, completion: {prompt} }} }}")
    };
    let (dear, cheap) = (price("good", 2.0), price("bad", 1.0));
    let models = format!(
        "models:\n  acme/plain: {{ endpoints: [{dear}] }}\n  \
         acme/moved: {{ endpoints: [{cheap}], fallbacks: [acme/plain] }}"
    );
    let text = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .text()
        .replace("models:\n  ", &models);
    let proxy = Proxy::start(&text);
    for via in BOTH {
        for request in [Request::chat("acme/plain"), Request::stream("acme/plain")] {
            let answer = proxy
                .call(via, &request.header("x-request-id", "req-1.A_z"))
                .await;
            let header = |name| answer.header(name);
            assert_eq!(header("x-request-id"), Some("req-1.A_z"));
            assert!(header("x-generation-id").unwrap().starts_with("gen-"));
            assert_eq!(
                header("x-mainstay-endpoint"),
                Some("acme/plain@good/default")
            );
            assert_eq!(header("x-mainstay-model"), Some("acme/plain"));
            assert_eq!(header("x-mainstay-attempts"), Some("1"));
            assert_eq!(header("x-mainstay-recovery-ms"), Some("0"));
            for absent in [
                "x-mainstay-fallback",
                "x-mainstay-drift",
                "retry-after",
                "server",
            ] {
                assert_eq!(header(absent), None, "{absent}");
            }
        }
    }
    let answer = proxy.send(&Request::stream("acme/moved")).await;
    let header = |name| answer.header(name);
    assert_eq!(
        header("x-mainstay-endpoint"),
        Some("acme/plain@good/default")
    );
    assert_eq!(header("x-mainstay-model"), Some("acme/plain"));
    assert_eq!(header("x-mainstay-fallback"), Some("server_error"));
    assert_eq!(
        header("x-mainstay-drift"),
        Some("provider model price=2.00")
    );
    assert_ne!(header("x-mainstay-recovery-ms"), Some("0"));
    let ours = header("x-request-id").unwrap();
    assert_eq!(ours.len(), 32);
    for bad in ["", "a b", "a/b", &"x".repeat(129)] {
        let answer = proxy
            .send(&Request::chat("acme/plain").header("x-request-id", bad))
            .await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32, "{bad}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_the_shape_of_their_path() {
    let bad = mock(failing(Kind::status(500))).await;
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .model("t/m", &["bad"])
        .start();
    let openai = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(openai.status, 502);
    assert_eq!(
        openai.json(),
        json!({"error": {"message": "the model's provider failed", "type": "server_error", "param": null,
                         "code": "server_error"}})
    );
    let request = Request::chat("t/m").at("/api/v1/chat/completions");
    let openrouter = proxy.call(Via::H2, &request).await;
    let error = is_error(&openrouter, openrouter.status, "/api/v1");
    assert_eq!(error["metadata"]["error_type"], "provider_unavailable");
}
