//! The files in `conf/`: each loads, and the reference holds every option with its default.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_yaml::Value;

use super::{BASE, load};
use crate::config::decode::{find_mut, known_fields};
use crate::config::trail::Trail;
use crate::config::{raw, value};
use crate::core::catalog::DataCollection;
use crate::core::catalog::EndpointIx;
use crate::core::names::PolicyName;
use crate::core::outcome::Class;
use crate::core::policy::Sort;

const MINIMAL: &str = include_str!("../../../conf/minimal.yaml");
const START: &str = include_str!("../../../conf/mainstay.yaml");
const COMPOSED: &str = include_str!("../../../conf/compose/config.yaml");
/// One file a use.
const BATCH: &str = include_str!("../../../conf/batch.yaml");
const CHAT: &str = include_str!("../../../conf/chat.yaml");
const OVERFLOW: &str = include_str!("../../../conf/overflow.yaml");
const EU: &str = include_str!("../../../conf/eu.yaml");
const CLAUDE_CODE: &str = include_str!("../../../conf/claude-code.yaml");
const FROM_NGINX: &str = include_str!("../../../conf/from-nginx.yaml");
const REFERENCE: &str = include_str!("../../../conf/reference.yaml");

#[test]
fn every_example_loads_without_a_doubt() {
    let composed = COMPOSED.replace("${MAINSTAY_ADMIN_TOKEN}", "set");
    let uses = [BATCH, CHAT, OVERFLOW, EU, CLAUDE_CODE, FROM_NGINX];
    for text in uses
        .into_iter()
        .chain([MINIMAL, START, &composed, REFERENCE])
    {
        assert!(text.starts_with("# "), "the first line says what it is for");
        assert_eq!(load(text).warnings, [], "{text}");
    }
}

/// The policy that decides for a model where its caller has none.
fn sort_of(text: &str, policy: &str) -> Sort {
    load(text).snapshot.policies[policy].sort
}

#[test]
fn each_use_has_the_policy_that_it_is_named_for() {
    assert_eq!(sort_of(BATCH, "thrifty"), Sort::Cost);
    let callers = load(BATCH).snapshot.callers;
    let nightly = callers
        .iter()
        .find(|caller| caller.name.as_str() == "nightly");
    let policy = nightly.and_then(|caller| caller.policy.as_ref());
    assert_eq!(policy.map(PolicyName::as_str), Some("thrifty"));
    assert_eq!(sort_of(CHAT, "default"), Sort::Latency);
    assert!(load(CHAT).snapshot.catalog.resolve("chat").is_some());
    assert_eq!(sort_of(OVERFLOW, "default"), Sort::Ordered);
    let own = &load(OVERFLOW).snapshot.providers["vllm"];
    assert!(own.addresses.len() == 2 && own.health_check.is_some());
    let eu = &load(EU).snapshot.policies["default"].require;
    assert_eq!((eu.region.len(), eu.region[0].as_str()), (1, "eu"));
    assert!(eu.zdr && eu.data_collection == DataCollection::Deny);
    let claude = load(CLAUDE_CODE).snapshot.catalog;
    let asked = claude
        .resolve("claude-haiku-4-5")
        .expect("an alias takes it");
    let model = claude.model(asked.model);
    let tongue = |ix: &EndpointIx| claude.endpoint(*ix).tongues.first();
    let spoken: HashSet<u8> = model.endpoints.iter().map(tongue).collect();
    assert!(spoken.len() > 1 && !model.fallbacks.is_empty());
}

#[test]
fn compose_mounts_its_configuration_and_publishes_on_loopback_only() {
    let text = include_str!("../../../compose.yaml");
    let compose: Value = serde_yaml::from_str(text).expect("YAML");
    let services = compose["services"].as_mapping().expect("services");
    for (name, service) in services {
        for port in service["ports"].as_sequence().expect("ports") {
            let port = port.as_str().expect("text");
            assert!(port.starts_with("127.0.0.1:"), "{name:?} {port}");
        }
    }
    let mounted = compose["services"]["mainstay"]["volumes"][0].as_str();
    assert_eq!(mounted, Some("./conf/compose:/etc/mainstay:ro"));
}

/// Each option that the guide names in full is one that the code knows.
#[test]
fn the_guide_from_nginx_names_options_that_exist() {
    let guide = include_str!("../../../docs/from-nginx.md");
    let whole = value::load(REFERENCE).unwrap();
    let sections = ["server", "auth", "health", "policies", "telemetry"];
    let mut named = 0;
    for code in guide.split('`').skip(1).step_by(2) {
        let path = code.split([':', ' ']).next().unwrap_or_default();
        let mut steps = path.split('.');
        if !path.contains('.') || !sections.contains(&steps.next().unwrap_or_default()) {
            continue;
        }
        let way = path
            .split('.')
            .fold(Trail::default(), |way, step| way.key(step));
        assert!(find_mut(&mut whole.clone(), &way).is_some(), "{path}");
        named += 1;
    }
    assert!(named > 12, "only {named} were found");
}

/// The words between `start` and the quote after it, wherever `start` is.
fn words_after<'a>(text: &'a str, start: &str) -> HashSet<&'a str> {
    text.split(start)
        .skip(1)
        .flat_map(|rest| rest.split(['"', ')']).next().unwrap_or("").split('|'))
        .collect()
}

#[test]
fn dashboard_and_alert_rules_know_the_outcome_classes() {
    let dashboard = include_str!("../../../conf/grafana/dashboards/upstream-health.json");
    let rules = include_str!("../../../conf/prometheus/rules/mainstay.yaml");
    let all: HashSet<&str> = Class::ALL.iter().map(|class| class.as_str()).collect();
    assert_eq!(
        words_after(dashboard, "\"/^("),
        all,
        "each class has a colour"
    );
    let mut named = words_after(rules, "outcome=~\"");
    named.extend(words_after(rules, "trigger!=\""));
    assert_eq!(named.len(), 7);
    assert!(named.is_subset(&all), "{named:?}");
}

#[test]
fn the_start_has_an_endpoint_for_each_key_and_a_chain() {
    let snapshot = load(START).snapshot;
    let ids: Vec<&str> = snapshot
        .catalog
        .endpoints()
        .iter()
        .map(|e| e.id.as_str())
        .collect();
    let expected = [
        "openai/gpt-5-mini@openai/main",
        "openai/gpt-5-mini@openai/spare",
        "openai/gpt-5-mini@openrouter/default",
        "anthropic/claude-haiku-4.5@openrouter/default",
    ];
    assert_eq!(ids, expected);
    let asked = &snapshot.catalog.models()[0];
    let fallback = snapshot.catalog.model(asked.fallbacks[0]);
    assert_eq!(fallback.name.as_str(), "anthropic/claude-haiku-4.5");
    assert_eq!(snapshot.catalog.hosts().len(), 2);
    assert_eq!(snapshot.catalog.credentials().len(), 3);
}

#[test]
fn the_reference_equals_the_defaults() {
    let (reference, plain) = (load(REFERENCE).snapshot, load(BASE).snapshot);
    assert_eq!(reference.server, plain.server);
    assert_eq!(reference.policies, plain.policies);
    assert_eq!(reference.health, plain.health);
    assert_eq!(reference.retry_budget, plain.retry_budget);
    assert_eq!(reference.telemetry, plain.telemetry);
    let (reference, plain) = (&reference.providers["openai"], &plain.providers["openai"]);
    assert_eq!(reference.dialects, plain.dialects);
    assert_eq!(reference.auth, plain.auth);
    assert_eq!(reference.tls, plain.tls);
    assert_eq!(reference.keys[0].0, plain.keys[0].0);
}

#[test]
fn the_reference_holds_every_field_of_the_code() {
    let mut reference = value::load(REFERENCE).unwrap();
    reference.as_mapping_mut().unwrap().remove("x-anything");
    let mut structs = HashMap::new();
    collect(&reference, &reference, &Trail::default(), &mut structs);
    let mut checked = 0;
    for (fields, present) in &structs {
        for field in fields {
            assert!(
                present.contains(field),
                "{field} is missing beside {present:?}"
            );
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} fields were checked");
}

/// The fields that the reference holds, by the fields that the code knows.
type Structs = HashMap<Vec<String>, HashSet<String>>;

/// Puts an unknown field into each map of the reference in turn: serde then lists the known ones.
fn collect(whole: &Value, part: &Value, way: &Trail, structs: &mut Structs) {
    match part {
        Value::Mapping(map) => {
            let names = map.keys().map(|key| key.as_str().unwrap().to_owned());
            structs
                .entry(fields_of(whole, way))
                .or_default()
                .extend(names);
            for (key, child) in map {
                collect(whole, child, &way.key(key.as_str().unwrap()), structs);
            }
        }
        Value::Sequence(list) => {
            for (index, child) in list.iter().enumerate() {
                collect(whole, child, &way.index(index), structs);
            }
        }
        _ => {}
    }
}

fn fields_of(whole: &Value, way: &Trail) -> Vec<String> {
    let mut whole = whole.clone();
    let map = find_mut(&mut whole, way)
        .and_then(Value::as_mapping_mut)
        .unwrap();
    map.insert("zzz".into(), Value::Null);
    let message = match raw::Config::deserialize(&whole) {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    };
    match message.contains("unknown field `zzz`") {
        true => known_fields(&message)
            .into_iter()
            .map(str::to_owned)
            .collect(),
        false => Vec::new(),
    }
}
