//! What each policy promises beside `adaptive`, in the fleet and the incidents of `conf/scenarios/tuned.json`; and what a
//! dead key and a healthy pool may cost.

use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::file::File;
use crate::cmd::simulate::ledger::Ledger;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::world::run;
use crate::core::policy::Sort;

const TUNED: &str = include_str!("../../../../conf/scenarios/tuned.json");
const REALISTIC: &str = include_str!("../../../../conf/scenarios/realistic.json");

fn of(text: &str, id: &str) -> Scenario {
    let all = Scenario::all(&File::parse(text).unwrap()).unwrap();
    all.into_iter().find(|scenario| scenario.id == id).unwrap()
}

/// The calm of four endpoints at 20 requests a second, for three minutes.
fn calm(sort: Sort) -> Ledger {
    let mut steady = of(TUNED, "steady").at(20.0);
    steady.duration = 180.0;
    steady.window = (30.0, 180.0);
    run(&steady, sort, 1)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn each_policy_is_better_than_adaptive_at_what_it_is_for() {
    let price = |ledger: &Ledger| ledger.requests.iter().map(|one| one.price).sum::<f64>();
    let mean = |ledger: &Ledger| price(ledger) / ledger.requests.len() as f64;
    let first = |ledger: &Ledger| median(ledger.requests.iter().filter_map(|one| one.first_token));
    // The same requests have the same lengths under every policy: half the time is twice the speed.
    let stream = |ledger: &Ledger| median(ledger.requests.iter().map(|one| one.streamed));
    let adaptive = calm(Sort::Adaptive);
    let [cost, latency, throughput, ordered] =
        [Sort::Cost, Sort::Latency, Sort::Throughput, Sort::Ordered].map(calm);
    assert!(mean(&cost) < mean(&adaptive));
    assert!(first(&latency) < 0.95 * first(&adaptive));
    assert!(stream(&throughput) < 0.95 * stream(&adaptive));
    let on = |endpoint| {
        let attempts = ordered.attempts.iter();
        attempts.filter(|sent| sent.endpoint == endpoint).count()
    };
    assert!((1..4).all(|other| on(0) > on(other)));
}

#[test]
fn cost_and_ordered_leave_what_fails_as_fast_as_adaptive() {
    for id in [
        "hard_outage",
        "fast_5xx_sinkhole",
        "black_hole",
        "brownout60",
    ] {
        let scenario = of(TUNED, id).at(20.0);
        let diverts = |sort| {
            let runs = (1..=3).map(|seed| Figures::of(&scenario, &run(&scenario, sort, seed)));
            Figures::mean(&runs.collect::<Vec<_>>()).divert.unwrap()
        };
        let adaptive = diverts(Sort::Adaptive);
        for sort in [Sort::Cost, Sort::Ordered] {
            let its = diverts(sort);
            assert!(its <= adaptive + 1.0, "{id} {sort:?}: {its} {adaptive}");
        }
    }
}

#[test]
fn a_healthy_mixed_pool_trips_at_most_once_is_never_evacuated_and_seldom_tries_twice() {
    let mixed = of(REALISTIC, "mixed_steady");
    for seed in 1..=3 {
        let ledger = run(&mixed, Sort::Adaptive, seed);
        println!(
            "seed {seed}: {} trips, {} evacuated",
            ledger.trips.len(),
            ledger.evacuated
        );
        assert!(ledger.trips.len() <= 1, "seed {seed}: {:?}", ledger.trips);
        assert_eq!(ledger.evacuated, 0, "seed {seed}");
        let figures = Figures::of(&mixed, &ledger);
        // Half a percent fails at random, and some late first tokens pass their deadline.
        assert!(figures.extra < 0.015, "seed {seed}: {figures:?}");
    }
}

#[test]
fn a_dead_key_under_fifty_models_fails_three_attempts_in_all() {
    let endpoint = |model: usize, key: &str, price: f64| {
        format!(
            r#"{{"id": "{model}-{key}", "model": "m{model}", "host": "{key}", "key": "{key}", "price": {price}, "ttft": 0.4, "tps": 100}}"#
        )
    };
    let fleet =
        (0..50).flat_map(|model| [endpoint(model, "dead", 1.0), endpoint(model, "live", 1.5)]);
    let asks = (0..50).map(|model| format!(r#""m{model}": 1"#));
    let text = format!(
        r#"{{"fleets": {{"shop": [{}]}}, "scenarios": [{{"id": "one", "fleet": "shop", "rps": 10, "dur": 150, "asks": {{{}}},
            "incidents": [{{"key": "dead", "from": 60, "to": 120, "kind": "auth"}}]}}]}}"#,
        fleet.collect::<Vec<_>>().join(", "),
        asks.collect::<Vec<_>>().join(", "),
    );
    let scenario = of(&text, "one");
    for seed in 1..=5 {
        let ledger = run(&scenario, Sort::Adaptive, seed);
        let failed = ledger.attempts.iter().filter(|sent| {
            let is_dead = sent.endpoint % 2 == 0;
            is_dead && (60.0..120.0).contains(&sent.at)
        });
        assert!(failed.count() <= 3, "seed {seed}");
    }
}
