//! Owns the tests of scripts as text, of the control plane, and of counts across changes.

use std::time::Duration;

use super::*;
use crate::cmd::mock::{Fault, Kind, MockArgs, Scenario, WORDS};

fn complaint(script: &str) -> String {
    Script::parse(script).expect_err(script).to_string()
}

#[test]
fn the_text_has_sixty_words() {
    assert_eq!(WORDS.split_whitespace().count(), 60);
}

#[test]
fn yaml_and_json_say_the_same() {
    let yaml = "name: n\nfirst_token: 1m 30s\nidle: 5s\nmodels:\n  m: { kind: silence, for: 2s, first: 3, within: 1s }\n";
    let json = r#"{"name":"n","first_token":"1m 30s","idle":"5s",
        "models":{"m":{"kind":"silence","for":"2s","first":3,"within":"1s"}}}"#;
    let script = Script::parse(yaml).unwrap();
    assert_eq!(script, Script::parse(json).unwrap());
    assert_eq!(
        (script.first_token, script.idle),
        (Duration::from_secs(90), Some(Duration::from_secs(5)))
    );
    let fault = &script.models["m"];
    assert_eq!(
        (fault.first, fault.within),
        (Some(3), Some(Duration::from_secs(1)))
    );
    assert_eq!(
        fault.kind,
        Kind::Silence {
            lasts: Duration::from_secs(2)
        }
    );
}

#[test]
fn an_empty_script_is_the_default() {
    assert_eq!(Script::parse(" \n").unwrap(), Script::default());
    assert_eq!(Script::parse("{}").unwrap(), Script::default());
}

#[test]
fn bare_words_are_kinds_and_scenarios() {
    assert_eq!(Fault::parse("reset").unwrap(), Fault::always(Kind::Reset));
    let id: Scenario = "S08".parse().unwrap();
    assert_eq!(
        Fault::parse("S08").unwrap(),
        Fault::always(Kind::Scenario { id })
    );
    assert_eq!(
        Fault::parse("cut_after").unwrap().kind,
        Fault::parse("{kind: cut_after, tokens: 40, how: close}")
            .unwrap()
            .kind
    );
}

#[test]
fn wrong_scripts_are_refused_with_the_reason() {
    for (script, reason) in [
        ("colour: red", "unknown field `colour`"),
        ("pace: fast", "pace: `fast` is not a duration"),
        ("pace: 5", "pace: "),
        ("pace: 9999years", "longer than a year"),
        ("tokens: 4000000000", "tokens must be at most"),
        ("jitter: 2", "jitter must be from 0 to 1"),
        ("fail: .nan", "fail must be from 0 to 1"),
        ("split: 0", "split"),
        ("fault: nonsense", "unknown variant `nonsense`"),
        ("fault: status", "missing field `status`"),
        (
            "fault: { kind: status, status: 99 }",
            "status must be from 200 to 599",
        ),
        (
            "fault: { kind: reset, tokens: 3 }",
            "fault: this kind takes no fields",
        ),
        (
            "fault: { kind: chatter, every: 0s }",
            "every must be at least 1ms",
        ),
        ("fault: { kind: scenario, id: s17 }", "s01 to s16"),
        ("fault: [reset]", "a fault is a word or a mapping"),
        ("[", ""),
    ] {
        let complaint = complaint(script);
        assert!(complaint.contains(reason), "{script}: {complaint}");
    }
}

#[tokio::test]
async fn the_control_plane_replaces_the_script() {
    let mock = start(fast()).await;
    let put = |body: &str| request("PUT", "/mock/script", body);
    assert_eq!(
        once(&mock, put("tokens: 3\nfirst_token: 0s"))
            .await
            .status(),
        200
    );
    assert_eq!(once(&mock, stream("m")).await.content(), "A harbour pilot ");
    let bad = once(&mock, put("tokens: many")).await;
    assert_eq!(bad.status(), 400);
    assert!(bad.json()["message"].as_str().unwrap().contains("tokens"));
    assert_eq!(once(&mock, stream("m")).await.content(), "A harbour pilot ");
    assert_eq!(
        once(&mock, request("PUT", "/mock/else", "")).await.status(),
        404
    );
}

#[tokio::test]
async fn the_control_plane_sets_and_lifts_the_overall_fault() {
    let mock = start(fast()).await;
    let post = request("POST", "/mock/fault", r#"{"kind":"status","status":503}"#);
    assert_eq!(once(&mock, post).await.status(), 200);
    assert_eq!(once(&mock, chat("m", "")).await.status(), 503);
    assert_eq!(
        once(&mock, request("DELETE", "/mock/fault", ""))
            .await
            .status(),
        200
    );
    assert_eq!(once(&mock, chat("m", "")).await.status(), 200);
    assert_eq!(
        once(&mock, request("POST", "/mock/fault", ""))
            .await
            .status(),
        400
    );
}

#[tokio::test]
async fn the_log_is_read_and_cleared() {
    let mock = start(fast()).await;
    once(&mock, stream("m")).await;
    let list = once(&mock, request("GET", "/mock/received", ""))
        .await
        .json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        (&list[0]["model"], &list[0]["stream"], &list[0]["fate"]),
        (&"m".into(), &true.into(), &"answered".into())
    );
    assert!(list[0]["at_ms"].is_f64() && list[0]["body"].as_str().unwrap().contains("\"m\""));
    once(&mock, request("DELETE", "/mock/received", "")).await;
    assert!(mock.received().is_empty());
}

#[tokio::test]
async fn counts_start_anew_with_a_script_and_with_a_changed_fault_only() {
    let mock = start(fast()).await;
    let burn = |status| Some(Fault::first(1, Kind::status(status)));
    mock.update(|script| script.fault = burn(500));
    assert_eq!(once(&mock, chat("m", "")).await.status(), 500);
    mock.update(|script| script.tokens = 5);
    assert_eq!(
        once(&mock, chat("m", "")).await.status(),
        200,
        "the fault is the same"
    );
    mock.update(|script| script.fault = burn(502));
    assert_eq!(once(&mock, chat("m", "")).await.status(), 502);
    mock.set(Script {
        fault: burn(502),
        ..fast()
    });
    assert_eq!(once(&mock, chat("m", "")).await.status(), 502);
}

#[tokio::test]
async fn the_model_list_names_the_scripted_models() {
    let script = Script::parse("models: { a/m: s08 }").unwrap();
    let list = once(&start(script).await, request("GET", "/v1/models", ""))
        .await
        .json();
    assert_eq!(
        (&list["data"][0]["id"], &list["data"][1]["id"]),
        (&"mock".into(), &"a/m".into())
    );
}

#[test]
fn the_command_takes_many_listeners_and_a_script() {
    let command = <MockArgs as clap::Args>::augment_args(clap::Command::new("mock"));
    let words = [
        "mock",
        "--listen",
        "127.0.0.1:1",
        "--listen",
        "[::1]:2",
        "--script",
        "s.yaml",
    ];
    let matches = command.try_get_matches_from(words).unwrap();
    let args = <MockArgs as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    assert_eq!((args.listen.len(), args.script), (2, Some("s.yaml".into())));
}
