//! A configuration's own fleet under a scenario's incidents: who plays whom, what is struck, and that its settings
//! decide.

use std::path::PathBuf;
use std::sync::Arc;

use super::with_incident;
use crate::cmd::simulate::choice::{Choice, Decides};
use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::speeds::{Source, Speeds};
use crate::cmd::simulate::world::run;
use crate::config::snapshot::Snapshot;
use crate::config::{self};
use crate::core::policy::Sort;

/// Two vendors, one of them with two keys, and a model to fall back to.
const SHOP: &str = "\
providers:
  near: { base_url: http://near.example/v1, keys: [{ name: one, value: a }, { name: two, value: b }] }
  far: { base_url: http://far.example/v1, keys: [{ value: c }] }
models:
  t/small: { endpoints: [{ provider: near, price: { prompt: 2, completion: 2 } }, { provider: far, price: { prompt: 1, completion: 1 } }], fallbacks: [t/spare] }
  t/spare: { endpoints: [{ provider: near }] }
  far/*: { endpoints: [{ provider: far }] }
";

fn snapshot(more: &str) -> Arc<Snapshot> {
    let source = config::Source {
        path: PathBuf::from("mainstay.yaml"),
        text: format!("{SHOP}{more}"),
    };
    Arc::new(config::parse(&source, &|_| None).unwrap().snapshot)
}

fn staged(more: &str, scenario: &Scenario, first: &Decides) -> Scenario {
    let own = Own::of(&snapshot(more), None).unwrap();
    own.stage(scenario, &Speeds::default(), first).unwrap()
}

/// Who plays whom, as `role=endpoint`.
fn cast(scenario: &Scenario) -> Vec<String> {
    let cast = &scenario.own.as_ref().unwrap().cast;
    let name = |at: usize| scenario.fleet[at].id.clone();
    let line = |(plays, at): (&String, usize)| format!("{plays}={}", name(at));
    cast.iter()
        .map(|part| line((&part.plays, part.endpoint)))
        .collect()
}

/// The endpoints that the incidents are at.
fn struck(scenario: &Scenario) -> Vec<&str> {
    let incidents = scenario.incidents.iter();
    incidents
        .map(|incident| scenario.fleet[incident.endpoint].id.as_str())
        .collect()
}

#[test]
fn who_the_policy_prefers_plays_the_first_and_who_is_left_over_the_last() {
    let hole = with_incident(r#""hole""#);
    let cheapest = staged("", &hole, &Decides::Sort(Sort::Cost));
    let expected = [
        "A=t/small@far/default",
        "B=t/small@near/one",
        "B=t/small@near/two",
    ];
    assert_eq!(cast(&cheapest), expected);
    assert_eq!(struck(&cheapest), ["t/small@far/default"]);
    let written = staged("", &hole, &Decides::Sort(Sort::Ordered));
    let expected = [
        "A=t/small@near/one",
        "B=t/small@near/two",
        "B=t/small@far/default",
    ];
    assert_eq!(cast(&written), expected);
    let split = "policies: { default: { split: { t/small@near/two: 90, t/small@near/one: 10 } } }";
    assert_eq!(
        cast(&staged(split, &hole, &Decides::Own))[0],
        "A=t/small@near/two"
    );
    let sorted = staged(split, &hole, &Decides::Sort(Sort::Cost));
    assert_eq!(
        cast(&sorted)[0],
        "A=t/small@far/default",
        "a sort ends a split"
    );
}

#[test]
fn prices_are_those_of_the_file_and_speeds_the_mean_of_the_scenario() {
    let own = staged("", &with_incident(r#""hole""#), &Decides::Own);
    let of = |id: &str| own.fleet.iter().find(|endpoint| endpoint.id == id).unwrap();
    assert_eq!(of("t/small@near/one").price, 2.0);
    assert_eq!(of("t/small@far/default").price, 1.0);
    assert_eq!(of("t/small@near/one").first_token, 0.5);
    assert_eq!(of("t/small@near/one").speed, 90.0);
    let cast = &own.own.as_ref().unwrap().cast;
    assert!(cast.iter().all(|part| part.source == Source::Assumed));
}

#[test]
fn a_given_speed_changes_who_is_preferred() {
    let snapshot = snapshot("");
    let slow = r#"{"t/small@far/default": {"ttft": 9, "tps": 5}}"#;
    let speeds = Speeds::parse(slow, &snapshot.catalog).unwrap();
    let own = Own::of(&snapshot, None).unwrap();
    let scenario = with_incident(r#""hole""#);
    let scenario = own.stage(&scenario, &speeds, &Decides::Own).unwrap();
    assert_eq!(cast(&scenario)[2], "B=t/small@far/default");
    for wrong in [
        r#"{"t/small@far": {}}"#,
        r#"{"t/small@far/default": {"ttft": 0}}"#,
        r#"{"t/small@far/default": {"ttfb": 1}}"#,
        "[]",
    ] {
        assert!(Speeds::parse(wrong, &snapshot.catalog).is_err(), "{wrong}");
    }
}

#[test]
fn a_refused_connection_is_the_hosts_and_a_refused_key_the_keys() {
    let ordered = Decides::Sort(Sort::Ordered);
    let near = [
        "t/small@near/one",
        "t/small@near/two",
        "t/spare@near/one",
        "t/spare@near/two",
    ];
    let refused = staged("", &with_incident(r#""refuse""#), &ordered);
    assert_eq!(struck(&refused), near);
    let unpaid = staged("", &with_incident(r#""auth""#), &ordered);
    assert_eq!(struck(&unpaid), ["t/small@near/one", "t/spare@near/one"]);
}

#[test]
fn whom_the_policy_leaves_out_plays_nobody_and_sets_no_price() {
    let only = "policies: { default: { require: { ignore: [far] } } }";
    let own = staged(only, &with_incident(r#""hole""#), &Decides::Own);
    assert_eq!(cast(&own), ["A=t/small@near/one", "B=t/small@near/two"]);
    let figures = Figures::of(&own, &run(&own, Decides::Own, 1));
    assert!((figures.cost - 1.0).abs() < 0.05, "{figures:?}");
    let nobody = "policies: { default: { max_cost: 0.0000001 } }";
    let own = Own::of(&snapshot(nobody), None).unwrap();
    let scenario = with_incident(r#""hole""#);
    let error = own.stage(&scenario, &Speeds::default(), &Decides::Own);
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("nobody may be asked")
    );
}

#[test]
fn the_configurations_own_settings_decide() {
    let scenario = with_incident(r#""err", "p": 1"#);
    let success = |more: &str| {
        let own = staged(more, &scenario, &Decides::Own);
        Figures::of(&own, &run(&own, Decides::Own, 1))
    };
    assert_eq!(success("").success, 1.0);
    let once = success("policies: { default: { attempts: 1 } }");
    assert!(once.success < 0.995, "{once:?}");
    let patient = success("health: { trip_after: 50, min_success: 0 }");
    let hits = |figures: Figures| figures.hits;
    assert!(hits(patient) > hits(success("")) + 1.0, "{patient:?}");
}

#[test]
fn models_are_found_as_the_proxy_finds_them() {
    let snapshot = snapshot("aliases: { quick: t/spare }");
    assert!(Own::of(&snapshot, Some("quick")).is_ok());
    let wild = Own::of(&snapshot, Some("far/anything")).unwrap();
    let scenario = with_incident(r#""hole""#);
    let wild = wild.stage(&scenario, &Speeds::default(), &Decides::Own);
    assert_eq!(cast(&wild.unwrap()), ["A=far/*@far/default"]);
    let error = Own::of(&snapshot, Some("t/smal")).unwrap_err();
    assert!(error.contains("did you mean \"t/small\"?"), "{error}");
}

#[test]
fn a_policy_is_the_configurations_before_it_is_a_sort() {
    let snapshot = snapshot("policies: { cost: { sort: ordered }, mine: { sort: latency } }");
    let of = |name: &str| Choice::all(&[name.to_owned()], Some(&snapshot));
    let sort = |name: &str| of(name).unwrap()[0].decides.policy(None).sort;
    assert_eq!(sort("cost"), Sort::Ordered);
    assert_eq!(sort("mine"), Sort::Latency);
    assert_eq!(sort("throughput"), Sort::Throughput);
    assert_eq!(
        of("own").unwrap(),
        Choice::all(&[], Some(&snapshot)).unwrap()
    );
    assert!(of("min").unwrap_err().contains("adaptive"));
}
