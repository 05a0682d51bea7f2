//! Whole runs: repeatable, and as a policy that is simple enough to reckon with behaves.

use super::with_incident;
use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::ledger::Ledger;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::scenario::tests::scenario;
use crate::cmd::simulate::world::run;
use crate::core::policy::Sort;

fn figures(scenario: &Scenario, sort: Sort) -> Figures {
    Figures::of(scenario, &run(scenario, sort, 1))
}

fn quiet(mut scenario: Scenario) -> Scenario {
    for endpoint in &mut scenario.fleet {
        endpoint.errors = 0.0;
    }
    scenario
}

fn asked(ledger: &Ledger, endpoint: usize) -> usize {
    let attempts = ledger.attempts.iter();
    attempts.filter(|sent| sent.endpoint == endpoint).count()
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_does_not() {
    let hole = with_incident(r#""hole""#);
    let one = run(&hole, Sort::Adaptive, 7);
    assert_eq!(one, run(&hole, Sort::Adaptive, 7));
    assert_ne!(one, run(&hole, Sort::Adaptive, 8));
    assert!(one.requests.len() > 800, "{}", one.requests.len());
}

#[test]
fn policies_meet_the_same_arrivals() {
    let steady = scenario(r#""rps": 10, "dur": 100"#);
    let arrivals = |sort| {
        let mut arrived: Vec<f64> = run(&steady, sort, 3)
            .requests
            .iter()
            .map(|one| one.arrived)
            .collect();
        arrived.sort_by(f64::total_cmp);
        arrived
    };
    assert_eq!(arrivals(Sort::Adaptive), arrivals(Sort::Ordered));
}

#[test]
fn in_file_order_everything_goes_to_the_first_and_is_as_fast_as_it() {
    let steady = quiet(scenario(r#""rps": 20, "dur": 200"#));
    let ledger = run(&steady, Sort::Ordered, 1);
    // Now and then a first token comes later than A is waited for.
    assert!(asked(&ledger, 1) <= 4, "{}", asked(&ledger, 1));
    let figures = Figures::of(&steady, &ledger);
    assert_eq!(figures.success, 1.0);
    assert!(
        figures.first > 0.998 && figures.extra < 0.002,
        "{figures:?}"
    );
    assert_eq!(figures.false_trips, 0.0);
    assert!((figures.cost - 1.0).abs() < 0.002, "{figures:?}");
    assert!((figures.p50 - 0.4).abs() < 0.02, "{figures:?}");
    assert!((3500..4500).contains(&ledger.requests.len()));
}

#[test]
fn a_refused_connection_is_answered_elsewhere_and_soon_not_tried_at_all() {
    let outage = quiet(with_incident(r#""refuse""#));
    let ledger = run(&outage, Sort::Ordered, 1);
    let figures = Figures::of(&outage, &ledger);
    assert_eq!(figures.success, 1.0);
    assert!(figures.hits >= 1.0 && figures.hits < 40.0, "{figures:?}");
    assert!(figures.first > 0.9 && figures.lost < 0.01, "{figures:?}");
    // A refused attempt costs nothing, and B is the cheapest while A is away.
    assert!(figures.cost < 1.2, "{figures:?}");
}

#[test]
fn with_every_endpoint_silent_nobody_is_answered_until_it_is_over() {
    let both = quiet(scenario(
        r#""rps": 2, "dur": 200, "window": [20, 30], "incidents": [
            {"ep": "A", "from": 20, "to": 130, "kind": "hole"},
            {"ep": "B", "from": 20, "to": 130, "kind": "hole"}]"#,
    ));
    let figures = figures(&both, Sort::Ordered);
    assert_eq!((figures.success, figures.first), (0.0, 0.0));
    assert!(figures.lost > 5.0, "{figures:?}");
}

#[test]
fn a_cut_stream_is_no_success_and_has_a_first_token() {
    let cut = quiet(with_incident(r#""cut", "p": 1.0"#));
    let ledger = run(&cut, Sort::Ordered, 1);
    let broken: Vec<_> = ledger.requests.iter().filter(|one| !one.answered).collect();
    assert!(!broken.is_empty());
    for one in broken {
        assert!(one.first_token.is_some() && one.price > 0.0, "{one:?}");
        // What had begun is not tried again; only a silence before it may have been.
        assert!(one.attempts == 1 || one.lost > 5.0, "{one:?}");
    }
}

#[test]
fn a_callers_errors_are_not_scored_and_not_tried_elsewhere() {
    let faulty = quiet(scenario(r#""rps": 10, "dur": 100, "client_err": 0.3"#));
    let ledger = run(&faulty, Sort::Adaptive, 1);
    let errors: Vec<_> = ledger.requests.iter().filter(|one| one.faulty).collect();
    let share = errors.len() as f64 / ledger.requests.len() as f64;
    assert!((share - 0.3).abs() < 0.05, "{share}");
    assert!(errors.iter().all(|one| one.attempts == 1 && !one.answered));
    assert_eq!(Figures::of(&faulty, &ledger).success, 1.0);
    assert!(ledger.trips.is_empty());
}

#[test]
fn clients_of_a_closed_loop_wait_for_their_answers() {
    let closed = quiet(scenario(r#""rps": 50, "dur": 200, "closed": 3"#));
    let ledger = run(&closed, Sort::Ordered, 1);
    // A turn is a first token (about 0.45 s in the mean), a stream (about 4 s) and 0.2 s of thought.
    let turns = ledger.requests.len() as f64 / 3.0;
    assert!((200.0 / turns - 4.9).abs() < 0.7, "{}", 200.0 / turns);
    assert_eq!(closed.clone().at(5.0), closed, "its rate is its own");
}

#[test]
fn a_slow_stream_lasts_as_long_as_its_tokens() {
    // Ten tokens a second: 300 of them take half a minute, which no limit on silence may end.
    let slow = quiet(with_incident(r#""tps", "k": 10"#));
    let figures = figures(&slow, Sort::Ordered);
    // `ordered` leaves a dripping endpoint for slower ones, whose rare late first tokens are tried elsewhere.
    assert!(
        figures.success >= 1.0 && figures.extra < 0.005,
        "{figures:?}"
    );
}

#[test]
fn the_scenarios_that_come_with_it_are_whole() {
    use crate::cmd::simulate::file::File;
    let files = [
        include_str!("../../../../conf/scenarios/tuned.json"),
        include_str!("../../../../conf/scenarios/low-traffic.json"),
        include_str!("../../../../conf/scenarios/realistic.json"),
        include_str!("../../../../conf/scenarios/random.json"),
    ];
    let counts = files.map(|text| Scenario::all(&File::parse(text).unwrap()).unwrap().len());
    assert_eq!(counts, [18, 5, 10, 50]);
}
