//! Requests of several kinds, endpoints that share hosts and keys, models that fall back, and the oracle.

use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::file::File;
use crate::cmd::simulate::ledger::{Ledger, Request};
use crate::cmd::simulate::oracle;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::scenario::tests::scenario;
use crate::cmd::simulate::world::run;
use crate::core::policy::Sort;

/// Two models, each at hosts one and two, with more fields; nothing fails at random.
fn shop(fields: &str) -> Scenario {
    let endpoint = |model: &str, host: &str, price: f64| {
        format!(
            r#"{{"id": "{model}-{host}", "model": "{model}", "host": "{host}", "key": "{host}", "price": {price},
                "ttft": 0.4, "tps": 100, "base_err": 0, "per_1k": 0.1}}"#
        )
    };
    let fleet = [
        endpoint("big", "one", 1.0),
        endpoint("big", "two", 1.5),
        endpoint("small", "one", 0.1),
        endpoint("small", "two", 0.2),
    ];
    let text = format!(
        r#"{{"fleets": {{"shop": [{}]}}, "scenarios": [{{"id": "one", "fleet": "shop", "rps": 10, "dur": 100, {fields}}}]}}"#,
        fleet.join(",")
    );
    let mut all = Scenario::all(&File::parse(&text).unwrap()).unwrap();
    all.remove(0)
}

fn asked(ledger: &Ledger, endpoint: usize) -> usize {
    let attempts = ledger.attempts.iter();
    attempts.filter(|sent| sent.endpoint == endpoint).count()
}

#[test]
fn an_incident_of_a_key_is_at_all_its_endpoints() {
    let dead = shop(r#""incidents": [{"key": "one", "from": 20, "to": 60, "kind": "auth"}]"#);
    let places: Vec<usize> = dead.incidents.iter().map(|one| one.endpoint).collect();
    assert_eq!(places, [0, 2]);
}

#[test]
fn what_one_model_finds_out_about_a_key_the_others_need_not() {
    let dead = shop(
        r#""asks": {"big": 1, "small": 1}, "incidents": [{"key": "one", "from": 20, "to": 60, "kind": "auth"}]"#,
    );
    let ledger = run(&dead, Sort::Ordered, 1);
    let during = ledger
        .attempts
        .iter()
        .filter(|sent| (20.0..50.0).contains(&sent.at));
    let hits = during
        .filter(|sent| [0, 2].contains(&sent.endpoint))
        .count();
    assert!((1..=4).contains(&hits), "{hits}");
    assert_eq!(Figures::of(&dead, &ledger).success, 1.0);
}

#[test]
fn a_model_without_endpoints_falls_back_along_the_chain_only() {
    let both = r#""incidents": [{"ep": "big-one", "from": 20, "to": 60, "kind": "err", "p": 1},
        {"ep": "big-two", "from": 20, "to": 60, "kind": "err", "p": 1}], "window": [20, 60]"#;
    let alone = run(&shop(both), Sort::Ordered, 1);
    assert_eq!(asked(&alone, 2) + asked(&alone, 3), 0);
    let chained = shop(&format!(r#""chain": ["big", "small"], {both}"#));
    let ledger = run(&chained, Sort::Ordered, 1);
    let figures = Figures::of(&chained, &ledger);
    assert_eq!(figures.success, 1.0);
    // What answers costs a tenth, and so does the cheapest healthy choice: the chain's.
    assert!((0.9..1.5).contains(&figures.cost), "{figures:?}");
    assert!(figures.regret.unwrap().abs() < 0.5, "{figures:?}");
    assert!(Figures::of(&shop(both), &alone).success < 0.1);
}

#[test]
fn models_are_asked_for_by_their_weights() {
    let ledger = run(
        &shop(r#""asks": {"big": 1, "small": 3}, "incidents": []"#),
        Sort::Ordered,
        1,
    );
    let small = ledger.requests.iter().filter(|one| one.model == 1).count();
    let share = small as f64 / ledger.requests.len() as f64;
    assert!((share - 0.75).abs() < 0.05, "{share}");
}

#[test]
fn json_answers_come_whole_and_have_no_first_token() {
    let json = shop(r#""json": 1, "incidents": []"#);
    let ledger = run(&json, Sort::Ordered, 1);
    assert!(
        ledger
            .requests
            .iter()
            .all(|one| one.answered && one.first_token.is_none())
    );
    let took = ledger.requests.iter().map(|one| one.took).sum::<f64>();
    // About 0.5 s to the first token, and 413 tokens at 100 a second.
    let mean = took / ledger.requests.len() as f64;
    assert!((mean - 4.8).abs() < 0.5, "{mean}");
    let figures = Figures::of(&json, &ledger);
    assert_eq!((figures.p99, figures.regret), (0.0, None));
}

#[test]
fn a_json_answer_that_is_cut_is_tried_elsewhere() {
    let cut = shop(
        r#""json": 1, "incidents": [{"ep": "big-one", "from": 20, "to": 60, "kind": "cut", "p": 1}]"#,
    );
    let ledger = run(&cut, Sort::Ordered, 1);
    let figures = Figures::of(&cut, &ledger);
    assert!(figures.success > 0.99 && figures.extra > 0.0, "{figures:?}");
}

#[test]
fn long_prompts_and_hidden_reasoning_delay_the_first_token() {
    let median = |fields: &str| {
        let one = shop(&format!(r#"{fields}, "incidents": []"#));
        Figures::of(&one, &run(&one, Sort::Ordered, 1)).p50
    };
    let plain = median(r#""prompt": [1, 1]"#);
    assert!((plain - 0.4).abs() < 0.03, "{plain}");
    let long = median(r#""prompt": [20000, 20000]"#);
    assert!((long - 2.4).abs() < 0.2, "{long}");
    // 600 tokens in the median at 100 a second.
    let hidden = median(r#""prompt": [1, 1], "reasoning": 1"#);
    assert!((5.0..7.5).contains(&hidden), "{hidden}");
}

#[test]
fn models_and_incidents_that_are_not_there_are_refused() {
    let error = |fields: &str| {
        let text = format!(
            r#"{{"fleets": {{"f": [{{"id": "A", "price": 1, "ttft": 1, "tps": 1}}]}},
            "scenarios": [{{"id": "one", "fleet": "f", "rps": 1, "dur": 10, "incidents": [], {fields}}}]}}"#
        );
        format!(
            "{:#}",
            Scenario::all(&File::parse(&text).unwrap()).unwrap_err()
        )
    };
    assert!(
        error(r#""chain": ["model", "other"]"#).contains("chain: the fleet has no model other")
    );
    assert!(error(r#""asks": {"other": 1}"#).contains("asks: the fleet has no model other"));
    assert!(error(r#""asks": {"model": 0}"#).contains("nothing is asked for"));
    assert!(error(r#""prompt": [100, 10]"#).contains("prompt"));
}

#[test]
fn the_oracle_takes_the_least_loss_that_is_left() {
    // A: 1 + 0.5 * 0.481 + 0.05 * 4.26 = 1.454; B: 1.5 + 0.5 * 0.722 + 0.05 * 5.33 = 2.127.
    let with = |incidents: &str| {
        let mut one = scenario(&format!(
            r#""rps": 10, "dur": 100, "incidents": [{incidents}]"#
        ));
        for endpoint in &mut one.fleet {
            endpoint.errors = 0.0;
        }
        oracle::expected(&one, 0, 30.0).unwrap()
    };
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.01, "{found}");
    near(with(""), 1.454);
    near(
        with(r#"{"ep": "A", "from": 20, "to": 60, "kind": "hole"}"#),
        2.127,
    );
    near(
        with(r#"{"ep": "A", "from": 40, "to": 60, "kind": "hole"}"#),
        1.454,
    );
    // Half of all requests fit; the others go to B.
    let half =
        r#"{"ep": "A", "from": 20, "to": 60, "kind": "rate", "rate_x": 0.5, "retry_after": 1}"#;
    near(with(half), f64::midpoint(1.454, 2.127));
    // One attempt in ten fails and is answered by B.
    let tenth = r#"{"ep": "A", "from": 20, "to": 60, "kind": "err", "p": 0.1}"#;
    near(with(tenth), 0.9 * 1.454 + 0.1 * 2.127);
}

#[test]
fn a_loss_is_price_and_waiting_and_twenty_for_a_failure() {
    let one = scenario(r#""rps": 10, "dur": 100"#);
    let answered = Request {
        arrived: 1.0,
        model: 0,
        faulty: false,
        answered: true,
        attempts: 1,
        first_token: Some(0.6),
        streamed: 4.0,
        took: 4.6,
        lost: 0.0,
        price: 1.5,
    };
    assert!((oracle::loss(&one, &answered) - (1.5 + 0.3 + 0.2)).abs() < 1e-9);
    let failed = Request {
        answered: false,
        ..answered
    };
    assert!((oracle::loss(&one, &failed) - 20.0).abs() < 1e-9);
}
