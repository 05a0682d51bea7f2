//! Where a request would go, told by the running process and by the command line, as it then goes.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::harness::{Config, Proxy, failing, fast, mock, run};
use crate::raw::{self, Request, Via};
use mainstay::cmd::mock::Kind;

/// The endpoints of the first model by their ids.
fn endpoints(answer: &Value) -> HashMap<String, Value> {
    let all = answer["models"][0]["endpoints"].as_array().unwrap();
    let named = |one: &Value| (one["id"].as_str().unwrap().to_owned(), one.clone());
    all.iter().map(named).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_tells_what_it_would_do_and_does_it() {
    let (bad, good) = (mock(failing(Kind::status(401))).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/m", &["bad", "good"])
        .admin("token: op-token")
        .start();
    let ask =
        async |request: Request| raw::call(Via::H1, proxy.admin, &request.key("op-token")).await;
    let before = ask(Request::get("/api/explain?model=m")).await.json();
    let known = endpoints(&before);
    assert_eq!(known["t/m@bad/default"]["share"], 1.0, "{before}");
    let story = &before["if_first_fails"];
    assert_eq!(story["first"], "t/m@bad/default");
    assert_eq!(story["next"], "t/m@good/default");
    assert_eq!(story["drift"], "provider");
    assert!(
        bad.received().is_empty() && good.received().is_empty(),
        "nothing is sent"
    );

    let answer = proxy.send(&Request::chat("t/m")).await;
    assert_eq!(answer.header("x-mainstay-endpoint"), story["next"].as_str());
    let body =
        json!({ "model": "t/m", "messages": [{ "role": "user", "content": "x".repeat(4_000) }] });
    let after = ask(Request::post("/api/explain", body.to_string()))
        .await
        .json();
    let known = endpoints(&after);
    let rests = &known["t/m@bad/default"];
    assert_eq!(
        (&rests["verdict"], &rests["why"]),
        (&json!("resting"), &json!("auth_rejected"))
    );
    assert_eq!(known["t/m@good/default"]["share"], 1.0);
    assert!(after["request"]["prompt_tokens"].as_u64().unwrap() > 1_000);
    assert_eq!(after["if_first_fails"]["next"], Value::Null);

    for (request, status) in [
        (Request::get("/api/explain"), 400),
        (Request::get("/api/explain?model=t/unknown"), 404),
        (Request::get("/api/explain?model=t/m&key=nobody"), 404),
        (Request::post("/api/explain", "{".to_owned()), 400),
    ] {
        assert_eq!(ask(request).await.status, status);
    }
    let stranger = proxy.admin_get("/api/explain?model=t/m").await;
    assert_eq!(stranger.status, 401);

    let url = format!("http://{}", proxy.admin);
    let output = tokio::task::spawn_blocking(move || {
        let arguments = [
            "explain", "--model", "t/m", "--token", "op-token", "--admin",
        ];
        run(&arguments, std::path::Path::new(&url))
    });
    let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
    assert!(text.contains("resting: auth_rejected"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_any_dialect_is_explained_as_it_would_go() {
    let good = mock(fast()).await;
    let at = good.addr();
    let speaks =
        |dialect: &str| format!("base_url: \"http://{at}/v1\", auth: none, dialects: [{dialect}]");
    let proxy = Config::new()
        .raw_provider("one", &speaks("openai-responses"))
        .raw_provider("two", &speaks("anthropic"))
        .model("t/m", &["one", "two"])
        .start();
    let body = json!({
        "model": "t/m", "max_tokens": 10, "stop_sequences": ["X"],
        "messages": [{ "role": "user", "content": "hi" }],
    });
    let ask = async |path: &str| {
        let request = Request::post(&format!("/api/explain?path={path}"), body.to_string());
        raw::call(Via::H1, proxy.admin, &request).await
    };
    let told = ask("/v1/messages").await.json();
    let known = endpoints(&told);
    assert_eq!(
        known["t/m@one/default"]["why"], "its provider's dialect cannot carry 'stop'",
        "{told}"
    );
    assert_eq!(known["t/m@two/default"]["share"], 1.0, "{told}");
    let sent = Request::post("/v1/messages", body.to_string());
    let answer = proxy.send(&sent).await;
    assert_eq!(
        answer.header("x-mainstay-endpoint"),
        Some("t/m@two/default")
    );
    assert_eq!(ask("/v1/nothing").await.status, 400);
    let url = format!("http://{}", proxy.admin);
    let output = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("request.json");
        std::fs::write(&file, body.to_string()).unwrap();
        let file = file.to_str().unwrap();
        let arguments = [
            "explain",
            "--request",
            file,
            "--path",
            "/v1/messages",
            "--admin",
        ];
        run(&arguments, std::path::Path::new(&url))
    });
    let text = String::from_utf8(output.await.unwrap().stdout).unwrap();
    assert!(text.contains("cannot carry 'stop'"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_took_is_expected_of_the_next_one() {
    let good = mock(fast()).await;
    let proxy = Config::new()
        .provider("good", good.addr())
        .model("t/m", &["good"])
        .start();
    let expected = async || {
        let body = json!({ "model": "t/m", "messages": [{ "role": "user", "content": "x" }] });
        let request = Request::post("/api/explain", body.to_string());
        let told = raw::call(Via::H1, proxy.admin, &request).await.json();
        told["request"]["completion_tokens"].as_u64().unwrap()
    };
    assert_eq!(expected().await, 300);
    for _ in 0..20 {
        let answer = proxy.send(&Request::chat("t/m")).await;
        assert_eq!(answer.status, 200);
    }
    let learnt = expected().await;
    assert!((1..150).contains(&learnt), "{learnt}");
}

#[test]
fn a_file_alone_is_explained_without_anything_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mainstay.yaml");
    let nowhere = ([127, 0, 0, 1], 9).into();
    let config = Config::new()
        .provider("one", nowhere)
        .provider("two", nowhere);
    let config =
        config
            .model("t/m", &["one", "two"])
            .model_with("t/other", &["two"], "fallbacks: [t/m]");
    std::fs::write(&file, config.text()).unwrap();
    let output = run(&["explain", "--model", "t/other", "--stream", "-c"], &file);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("\nthen t/m\n"), "{text}");
    assert!(
        text.contains("if t/other@two/default fails: at most 10.0 s lost, then t/m@one/default"),
        "{text}"
    );
    let json = run(
        &["explain", "--model", "t/m", "--format", "json", "-c"],
        &file,
    );
    let answer: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(answer["policy"]["sort"], "ordered");
    let unknown = run(&["explain", "--model", "nobody", "-c"], &file);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(
        run(&["explain", "-c"], &file).status.code(),
        Some(1),
        "no model is named"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_for_the_key_that_is_named() {
    let mock = mock(fast()).await;
    let keys = "auth: { keys: [{ name: few, key: key-few-1, models: [t/m] }] }";
    let config = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"]);
    let proxy: Proxy = config.model("t/other", &["one"]).top(keys).start();
    let explain = async |query: &str| {
        proxy
            .admin_get(&format!("/api/explain?{query}"))
            .await
            .status
    };
    assert_eq!(explain("model=t/other").await, 200);
    assert_eq!(explain("model=t/other&key=few").await, 403);
    assert_eq!(explain("model=t/m&key=few").await, 200);
}
