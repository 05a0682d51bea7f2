//! What is said about a change from one file to another.

use super::{BASE, load, with};
use crate::config::diff::Diff;
use crate::config::facts::Facts;

fn facts(text: &str) -> Facts {
    let loaded = load(text);
    Facts::of(&loaded.snapshot, &loaded.files, "salt")
}

fn between(from: &str, to: &str) -> Vec<String> {
    let diff = Diff::between(&facts(from), &facts(to));
    diff.changes.iter().map(ToString::to_string).collect()
}

/// From the base to the base with these lines.
fn check(lines: &str, expected: &[&str]) {
    assert_eq!(between(BASE, &with(lines)), expected, "{lines}");
}

#[test]
fn what_is_added_and_what_changes_is_told_by_kind_and_name() {
    check("", &[]);
    check("health: { trip_after: 3 }\n", &[]); // the default, written out
    check(
        "server: { drain: 10s, max_body: 1MiB }\n",
        &[
            "~ server: drain 5m 30s -> 10s",
            "~ server: max_body 32.0 MiB -> 1.0 MiB",
        ],
    );
    check(
        "server: { threads: 3 }\n",
        &["~ server: threads 0 -> 3 (takes a restart)"],
    );
    check(
        "server: { upgrade_socket: /run/u }\n",
        &["~ server: upgrade_socket none -> /run/u (takes a restart)"],
    );
    check(
        "server: { listen: [\"127.0.0.1:1234\"] }\n",
        &[
            "+ listener 127.0.0.1:1234 (takes a restart)",
            "- listener 127.0.0.1:8080 (takes a restart)",
        ],
    );
    check(
        "aliases: { fast: openai/gpt-5-mini, f*: openai/gpt-5-mini }\n",
        &["+ alias f*", "+ alias fast"],
    );
    check(
        "policies: { default: { attempts: 2, sort: ordered }, p: {} }\n",
        &[
            "~ policy default: attempts 3 -> 2",
            "~ policy default: sort adaptive -> ordered",
            "+ policy p",
        ],
    );
    check(
        "policies: { default: { sticky: { key: [user], ttl: 1h } } }\n",
        &[
            "~ policy default: sticky.key [session_id, x-session-id, prompt_cache_key, conversation] -> [user]",
            "~ policy default: sticky.ttl 10m -> 1h",
        ],
    );
    check(
        "routes: [{ path: /v1/files*, provider: openai }]\n",
        &["+ route /v1/files*"],
    );
    check(
        "retry_budget: { per_success: 0.25 }\n",
        &["~ retry budget: per_success 0.5 -> 0.25"],
    );
    check(
        "health: { rest: { auth: 5m } }\n",
        &["~ health: rest.auth 1m -> 5m"],
    );
    check(
        "health: { active_probe: {} }\n",
        &["~ health: active_probe.every none -> 30s"],
    );
    check(
        "telemetry: { access_log: \"off\" }\n",
        &["~ telemetry: access_log json -> off"],
    );
    check(
        "telemetry: { requests: 0, otlp: \"http://c:4318/\", trace_ratio: 0.5 }\n",
        &[
            "~ telemetry: otlp none -> http://c:4318",
            "~ telemetry: requests 1000 -> 0",
            "~ telemetry: trace_ratio 1 -> 0.5",
        ],
    );
}

#[test]
fn a_price_is_one_change_and_a_credential_is_never_shown() {
    let with_price = |price: &str| {
        BASE.replace(
            "provider: openai }",
            &format!("provider: openai, price: {price} }}"),
        )
    };
    assert_eq!(
        between(&with_price("{ prompt: 1 }"), &with_price("{ prompt: 2 }")),
        ["~ endpoint openai/gpt-5-mini@openai/default: price.prompt 1 -> 2"]
    );
    assert_eq!(
        between(BASE, &BASE.replace("sk-test", "sk-other")),
        ["~ provider key openai/default: value [redacted] -> [redacted]"]
    );
    let shown = serde_json::to_string(&facts(BASE)).unwrap();
    assert!(!shown.contains("sk-test"), "{shown}");
    let headers = BASE.replace("keys:", "headers: { X-Team: blue }, keys:");
    assert_eq!(
        between(BASE, &headers),
        ["~ provider openai: headers.X-Team none -> [redacted]"]
    );
}

#[test]
fn a_second_key_is_a_key_and_an_endpoint_more() {
    let two = BASE.replace(
        "{ value: sk-test }",
        "{ value: sk-test }, { name: spare, value: sk-2 }",
    );
    assert_eq!(
        between(BASE, &two),
        [
            "+ provider key openai/spare",
            "~ model openai/gpt-5-mini: endpoints [openai/gpt-5-mini@openai/default] -> \
         [openai/gpt-5-mini@openai/default, openai/gpt-5-mini@openai/spare]",
            "+ endpoint openai/gpt-5-mini@openai/spare",
        ]
    );
}

#[test]
fn facts_survive_json() {
    let facts = facts(include_str!("../../../conf/reference.yaml"));
    assert!(facts.items.len() > 10);
    let text = serde_json::to_string(&facts).unwrap();
    let again: Facts = serde_json::from_str(&text).unwrap();
    assert_eq!(again, facts);
}
