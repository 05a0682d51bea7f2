//! Bars: what is missed is named with its figure, and nothing passes unseen.

use crate::cmd::simulate::bars::Bars;
use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::jobs::Row;
use crate::cmd::simulate::known::{Judged, Known};

fn row(scenario: &str) -> Row {
    Row {
        scenario: scenario.to_owned(),
        policy: "adaptive".to_owned(),
        figures: Figures {
            success: 0.999,
            p99: 3.0,
            divert: Some(2.0),
            capacity: Some(0.9),
            ..Figures::default()
        },
    }
}

fn bars(line: &str) -> Bars {
    Bars::parse(&format!(r#"{{"main_50rps": {{"one": {{{line}}}}}}}"#)).unwrap()
}

fn missed(line: &str) -> Vec<String> {
    let missed = bars(line).missed(&[row("one")], Some(50.0)).unwrap();
    missed.iter().map(ToString::to_string).collect()
}

#[test]
fn a_missed_bar_is_named_with_its_figure() {
    let none: [&str; 0] = [];
    assert_eq!(
        missed(r#""success": 99.9, "p99": 3.0, "divert": 2.0, "ret": 1"#),
        none
    );
    assert_eq!(
        missed(r#""success": 99.95, "p99": 2.9, "divert": null"#),
        [
            "missed at 50 rps: one adaptive: success 99.900, bar >= 99.95",
            "missed at 50 rps: one adaptive: p99 3.000, bar <= 2.9",
        ]
    );
    assert_eq!(missed(r#""capacity": 0.95, "divert": 1"#).len(), 2);
}

#[test]
fn a_scenario_or_a_rate_without_bars_is_an_error() {
    let bars = bars("");
    assert!(bars.missed(&[row("two")], Some(50.0)).is_err());
    assert!(bars.missed(&[row("one")], Some(5.0)).is_err());
    assert!(bars.missed(&[row("one")], None).is_err());
}

#[test]
fn a_misspelt_bar_or_a_set_without_a_rate_is_refused() {
    let error = |text: &str| Bars::parse(text).unwrap_err().to_string();
    let misspelt = error(r#"{"a_5rps": {"one": {"sucess": 1}}}"#);
    assert!(
        misspelt.contains("a_5rps.one") && misspelt.contains("sucess"),
        "{misspelt}"
    );
    assert!(error(r#"{"a": {}}"#).contains("rate"));
    assert!(error("{}").contains("no bars"));
}

#[test]
fn rates_come_highest_first() {
    let bars = Bars::parse(r#"{"a_0.5rps": {}, "b_50rps": {}, "c_5rps": {}}"#).unwrap();
    assert_eq!(bars.rates(), [50.0, 5.0, 0.5]);
}

#[test]
fn regret_is_held_against_the_best_other_policy() {
    let of = |policy: &str, regret| Row {
        policy: policy.to_owned(),
        figures: Figures {
            regret: Some(regret),
            ..Figures::default()
        },
        ..row("random_seed_7")
    };
    let bars = Bars::parse(r#"{"a_5rps": {"random_seed_*": {"regret_x": 1.2}}}"#).unwrap();
    let missed = |rows: &[Row]| bars.missed(rows, Some(5.0));
    let close = [of("adaptive", 0.6), of("ordered", 0.5)];
    assert!(missed(&close).unwrap().is_empty());
    let worse = [of("adaptive", 0.7), of("ordered", 0.5), of("third", 0.9)];
    let lines = missed(&worse).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0]
            .to_string()
            .contains("regret 0.700, bar <= 1.2 x 0.500"),
        "{lines:?}"
    );
    assert!(missed(&close[..1]).is_err(), "nothing to compare with");
}

#[test]
fn only_the_first_policy_is_judged() {
    let other = Row {
        policy: "ordered".to_owned(),
        figures: Figures::default(),
        ..row("one")
    };
    let bars = bars(r#""success": 99"#);
    assert!(
        bars.missed(&[row("one"), other], Some(50.0))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_scenario_file_may_hold_its_own_bars() {
    let text = include_str!("../../../../conf/scenarios/realistic.json");
    assert_eq!(Bars::parse(text).unwrap().rates(), [20.0]);
    let misspelt = r#"{"fleets": {}, "scenarios": [], "bars": {"a_5rps": {"one": {"sucess": 1}}}}"#;
    let error = Bars::parse(misspelt).unwrap_err().to_string();
    assert!(
        error.contains("a_5rps.one") && error.contains("sucess"),
        "{error}"
    );
}

/// Success of 99.9 % and a p99 of 3 s, both missed, judged by this line of known misses.
fn judged(known: &str) -> Judged {
    let rows = [row("one")];
    let missed = bars(r#""success": 99.95, "p99": 2.9, "divert": 2"#);
    let missed = missed.missed(&rows, Some(50.0)).unwrap();
    let known = Known::of(bars(known)).unwrap();
    known.judge(&missed, &rows, 50.0).unwrap()
}

#[test]
fn a_known_miss_passes_until_it_grows() {
    let all = judged(r#""success": 99.8, "p99": 3.1, "why": "slow""#);
    assert!(all.missed.is_empty() && all.over.is_empty(), "{all:?}");
    assert_eq!(all.known.len(), 2);
    assert!(all.known[0].ends_with("bar >= 99.95 (slow)"), "{all:?}");
    let grown = judged(r#""success": 99.8, "p99": 2.95, "why": "slow""#);
    assert_eq!(grown.missed.len(), 1, "{grown:?}");
    assert!(grown.missed[0].contains("p99 3.000, bar <= 2.95"));
}

#[test]
fn a_miss_that_nobody_knows_fails_and_one_that_is_over_is_told() {
    let all = judged(r#""success": 99.8, "divert": 3, "why": "slow""#);
    assert_eq!(
        all.missed,
        ["missed at 50 rps: one adaptive: p99 3.000, bar <= 2.9"]
    );
    assert_eq!(all.over, ["missed no more at 50 rps: one divert"]);
}

#[test]
fn a_known_miss_says_why() {
    let error = Known::of(bars(r#""success": 99.8"#))
        .unwrap_err()
        .to_string();
    assert!(error.contains("one") && error.contains("why"), "{error}");
}
