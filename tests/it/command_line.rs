//! The verbs of the command line by their exit codes and what they print.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use crate::harness::{Config, closed_port, fast, mock, run};

/// A verb run on a file with this text.
fn verb(arguments: &[&str], text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mainstay.yaml");
    std::fs::write(&path, text).unwrap();
    run(arguments, &path)
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn nowhere() -> SocketAddr {
    ([127, 0, 0, 1], 9).into()
}

fn good() -> Config {
    Config::new()
        .provider("one", nowhere())
        .model("t/m", &["one"])
}

#[test]
fn check_says_what_a_good_file_holds() {
    let output = verb(&["check"], &good().text());
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(stdout.contains("mainstay.yaml: ok"), "{stdout}");
    assert!(stdout.contains("t/m@one/default"), "{stdout}");
    assert!(!stdout.contains("sk-upstream"), "{stdout}");
}

#[test]
fn check_says_what_comes_from_the_catalogue() {
    let settings = |price: &str| {
        let text = format!(
            "providers: {{ openai: {{ preset: openai, keys: [{{ value: sk-test }}] }} }}\n\
             models: {{ openai/gpt-5-mini: {{ endpoints: [{{ provider: openai, {price} }}] }} }}\n"
        );
        texts(&verb(&["check"], &text)).0
    };
    let filled = settings("");
    assert!(
        filled.contains("per million tokens from the catalogue"),
        "{filled}"
    );
    assert!(filled.contains("supports [tools"), "{filled}");
    assert!(filled.contains("litellm"), "{filled}");
    let written = settings("price: { prompt: 1, completion: 2 }");
    assert!(
        written.contains("1 + 2 USD per million tokens;"),
        "{written}"
    );
}

#[test]
fn models_are_searched_and_presets_listed() {
    let listed = |arguments: &[&str], word: &str| {
        let output = run(arguments, Path::new(word));
        (output.status.code(), texts(&output).0)
    };
    let (code, text) = listed(&["models", "OpenAI"], "gpt-5-mini");
    assert!(code == Some(0) && text.contains("gpt-5-mini"), "{text}");
    assert!(!text.contains("claude"), "{text}");
    let (_, json) = listed(&["models", "--format", "json"], "gpt-5-mini");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["models"][0]["context_length"].is_u64() && json["date"].is_string());
    let (code, text) = listed(&["models", "--presets"], "anthropic");
    assert_eq!(code, Some(0));
    for told in ["x-api-key", "https://api.anthropic.com/v1", "https://docs."] {
        assert!(text.contains(told), "{text}");
    }
    assert_eq!(listed(&["models"], "no-such-model").0, Some(1));
}

/// A warning is an error where it is asked for, and programs get the same as people.
#[test]
fn check_is_strict_on_request_and_speaks_json() {
    let doubtful = good()
        .top("auth: { open: true, keys: [{ name: a, key: key-a-1 }] }")
        .text();
    assert_eq!(verb(&["check"], &doubtful).status.code(), Some(0));
    assert_eq!(
        verb(&["check", "--strict"], &doubtful).status.code(),
        Some(78)
    );
    assert_eq!(
        verb(&["check", "--strict"], &good().text()).status.code(),
        Some(0)
    );
    let json = |text: &str| {
        let output = verb(&["check", "--format", "json"], text);
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), answer)
    };
    let (code, answer) = json(&doubtful);
    assert_eq!((code, &answer["ok"]), (Some(0), &true.into()));
    assert_eq!(answer["findings"][0]["severity"], "warning");
    assert!(!answer.to_string().contains("key-a-1"), "{answer}");
    let items = answer["items"].as_array().unwrap();
    let endpoint = items
        .iter()
        .find(|item| item["kind"] == "endpoint")
        .unwrap();
    assert_eq!(endpoint["name"], "t/m@one/default");
    let (code, answer) = json(BROKEN);
    assert_eq!((code, &answer["ok"]), (Some(78), &false.into()));
    assert_eq!(answer["findings"].as_array().unwrap().len(), 4);
}

const BROKEN: &str = "server:\n  listen: [127.0.0.1:0]\nproviders:\n  one: { base_ulr: x }\n\
                      models:\n  t/m: { endpoints: [{ provider: two }] }\n";

#[test]
fn check_and_run_print_every_finding_with_its_place() {
    for verb_ in [&["check"][..], &["run", "-c"], &["healthcheck", "-c"]] {
        let output = verb(verb_, BROKEN);
        let (stdout, stderr) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(78),
            "{verb_:?}: {stdout}{stderr}"
        );
        assert!(stderr.contains("mainstay.yaml:4:10"), "{verb_:?}: {stderr}");
        assert!(stderr.contains("mainstay.yaml:6:"), "{verb_:?}: {stderr}");
        assert!(
            stderr.contains("base_ulr") && stderr.contains("two"),
            "{stderr}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_a_bad_configuration() {
    let missing = tempfile::tempdir().unwrap().path().join("none.yaml");
    let output = run(&["run", "-c"], &missing);
    assert_eq!(output.status.code(), Some(78));
    assert!(texts(&output).1.contains("none.yaml"));
}

#[test]
fn a_public_listener_without_keys_is_refused() {
    let public = |text: String| text.replace("listen: [127.0.0.1:0]", "listen: [0.0.0.0:0]");
    let output = verb(&["run", "-c"], &public(good().text()));
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(78), "{stderr}");
    assert!(stderr.contains("no keys are configured"), "{stderr}");
    for auth in [
        "auth: { open: true }",
        "auth: { keys: [{ name: a, key: key-a-1 }] }",
    ] {
        let output = verb(&["check"], &public(good().top(auth).text()));
        assert_eq!(
            output.status.code(),
            Some(0),
            "{auth}: {}",
            texts(&output).1
        );
    }
}

#[test]
fn an_occupied_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = good().text();
    for occupied in [
        text.replace("listen: [127.0.0.1:0]", &format!("listen: [\"{address}\"]")),
        text.replace("listen: 127.0.0.1:0", &format!("listen: \"{address}\"")),
    ] {
        let output = verb(&["run", "-c"], &occupied);
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains(&format!("cannot listen on {address}")),
            "{stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_file_that_the_configuration_names_must_be_there() {
    let fields = "dialects: [openai], base_url: \"https://127.0.0.1:9/v1\", keys: [{ value: k }], \
                  tls: { ca_file: /nowhere/ca.pem, server_name: a.test }";
    let text = Config::new()
        .raw_provider("one", fields)
        .model("t/m", &["one"])
        .text();
    let output = verb(&["run", "-c"], &text);
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("/nowhere/ca.pem"), "{stderr}");
}

#[test]
fn a_listener_whose_files_cannot_be_used_is_refused_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("not-a-certificate.pem");
    let tls = format!(
        "listen: [{{ address: \"127.0.0.1:0\", tls: {{ cert_file: {file}, key_file: {file} }} }}]",
        file = file.display()
    );
    let text = good().text().replacen("listen: [127.0.0.1:0]", &tls, 1);
    for content in [
        None,
        Some("nonsense"),
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let output = verb(&["run", "-c"], &text);
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("not-a-certificate.pem"), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

/// The text of a file whose admin port is this one.
fn with_admin(address: SocketAddr) -> String {
    good()
        .text()
        .replace("listen: 127.0.0.1:0", &format!("listen: \"{address}\""))
}

#[tokio::test(flavor = "multi_thread")]
async fn healthcheck_tells_a_ready_proxy_from_one_that_is_not() {
    let mock = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", mock.addr())
        .model("t/m", &["one"])
        .start();
    let output = verb(&["healthcheck", "-c"], &with_admin(proxy.admin));
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    let (_socket, nobody) = closed_port();
    let output = verb(&["healthcheck", "-c"], &with_admin(nobody));
    assert_eq!(output.status.code(), Some(1), "{}", texts(&output).1);
    // Something answers there, but it is not ready.
    let output = verb(&["healthcheck", "-c"], &with_admin(proxy.data));
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("404"), "{}", texts(&output).1);
}

#[test]
fn a_verb_that_does_not_exist_is_a_usage_error() {
    let output = crate::harness::command(&["fly"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn schema_is_one_json_document() {
    let output = crate::harness::command(&["schema"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    assert!(schema["properties"]["providers"]["description"].is_string());
}
