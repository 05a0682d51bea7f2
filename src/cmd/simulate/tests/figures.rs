//! Each figure by hand, from ledgers small enough to count.

use super::with_incident;
use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::ledger::{Ledger, Request, Sent, Trip};
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::scenario::tests::scenario;

/// A request that was answered at its first attempt by an endpoint of price 1.
fn request(arrived: f64) -> Request {
    Request {
        arrived,
        model: 0,
        faulty: false,
        answered: true,
        attempts: 1,
        first_token: Some(0.5),
        streamed: 4.0,
        took: 4.5,
        lost: 0.0,
        price: 1.0,
    }
}

fn of_requests(scenario: &Scenario, requests: Vec<Request>) -> Figures {
    let ledger = Ledger {
        requests,
        ..Ledger::default()
    };
    Figures::of(scenario, &ledger)
}

/// One attempt a second over the whole scenario; `endpoint` says on which.
fn of_attempts(scenario: &Scenario, endpoint: impl Fn(u32) -> usize) -> Figures {
    let sent = |second: u32| Sent {
        at: f64::from(second),
        endpoint: endpoint(second),
        limited: false,
    };
    let ledger = Ledger {
        attempts: (0..100).map(sent).collect(),
        ..Ledger::default()
    };
    Figures::of(scenario, &ledger)
}

fn near(figure: f64, expected: f64) {
    assert!((figure - expected).abs() < 1e-9, "{figure}, not {expected}");
}

#[test]
fn success_first_extra_and_lost_are_shares_of_the_scored_requests() {
    // The window is 20 to 90 s.
    let hole = with_incident(r#""hole""#);
    let figures = of_requests(
        &hole,
        vec![
            Request {
                answered: false,
                ..request(19.9)
            }, // before the window
            Request {
                answered: false,
                ..request(90.0)
            }, // after it
            Request {
                answered: false,
                faulty: true,
                ..request(30.0)
            }, // the caller's error
            request(20.0),
            request(89.9),
            Request {
                attempts: 2,
                lost: 0.6,
                ..request(40.0)
            },
            Request {
                attempts: 3,
                lost: 1.4,
                answered: false,
                first_token: None,
                ..request(50.0)
            },
        ],
    );
    near(figures.success, 0.75);
    near(figures.first, 0.5);
    near(figures.extra, 0.75);
    near(figures.lost, 0.5);
}

#[test]
fn quantiles_are_of_those_that_got_a_first_token() {
    let steady = scenario(r#""rps": 10, "dur": 100"#);
    let mut requests: Vec<Request> = (1..=100_u32)
        .map(|nth| Request {
            first_token: Some(f64::from(nth) / 100.0),
            ..request(f64::from(nth) / 2.0)
        })
        .collect();
    requests.push(Request {
        first_token: None,
        answered: false,
        ..request(60.0)
    });
    let figures = of_requests(&steady, requests);
    near(figures.p50, 0.50);
    near(figures.p95, 0.95);
    near(figures.p99, 0.99);
}

#[test]
fn cost_is_in_prices_of_the_cheapest_healthy_endpoint_of_the_moment() {
    // A costs 1, B 1.5; A is away from 20 to 60 s, scored are 20 to 90 s.
    let hole = with_incident(r#""hole""#);
    let at_b = |arrived| Request {
        price: 1.5,
        ..request(arrived)
    };
    near(
        of_requests(&hole, vec![at_b(30.0), request(70.0)]).cost,
        1.0,
    );
    near(
        of_requests(&hole, vec![at_b(30.0), at_b(70.0)]).cost,
        3.0 / 2.5,
    );
    let retried = Request {
        price: 2.5,
        ..request(30.0)
    };
    near(
        of_requests(&hole, vec![retried, request(70.0)]).cost,
        3.5 / 2.5,
    );
}

#[test]
fn between_two_bad_moments_an_endpoint_is_healthy_and_with_none_healthy_the_cheapest_counts() {
    let flapping = with_incident(r#""refuse", "period": 20, "on": 10"#);
    near(of_requests(&flapping, vec![request(35.0)]).cost, 1.0);
    near(of_requests(&flapping, vec![request(25.0)]).cost, 1.0 / 1.5);
    let both = scenario(
        r#""rps": 1, "dur": 100, "incidents": [{"ep": "A", "from": 20, "to": 60, "kind": "hole"},
            {"ep": "B", "from": 20, "to": 60, "kind": "hole"}]"#,
    );
    near(of_requests(&both, vec![request(30.0)]).cost, 1.0);
}

#[test]
fn traffic_has_moved_away_when_a_look_ahead_finds_less_than_a_twentieth() {
    // At 10 a second a look is 5 s wide. A is asked until 27 s and again from 70 s on.
    let hole = with_incident(r#""hole""#);
    let figures = of_attempts(&hole, |second| usize::from((28..70).contains(&second)));
    // From 27.5 s on, the next five attempts are B's.
    assert_eq!(figures.divert, Some(7.5));
    near(figures.hits, 8.0);
    // From 67.5 s on, the next five (68 to 72) hold three of A's, of a usual share of one.
    assert_eq!(figures.ret, Some(7.5));
}

#[test]
fn what_never_moves_away_or_never_comes_back_counts_to_the_end() {
    let hole = with_incident(r#""hole""#);
    let stays = of_attempts(&hole, |_| 0);
    assert_eq!((stays.divert, stays.ret), (Some(40.0), Some(0.0)));
    near(stays.hits, 40.0);
    let gone = of_attempts(&hole, |second| usize::from(second >= 20));
    assert_eq!((gone.divert, gone.ret), (Some(0.0), Some(40.0)));
    near(gone.hits, 0.0);
}

#[test]
fn what_had_no_share_has_none_to_get_back() {
    let hole = with_incident(r#""hole""#);
    assert_eq!(of_attempts(&hole, |_| 1).ret, None);
    let from_the_start = scenario(
        r#""rps": 10, "dur": 100, "incidents": [{"ep": "A", "from": 0, "to": 60, "kind": "hole"}]"#,
    );
    assert_eq!(of_attempts(&from_the_start, |_| 0).ret, None);
    let steady = of_attempts(&scenario(r#""rps": 10, "dur": 100"#), |_| 0);
    assert_eq!((steady.divert, steady.ret), (None, None));
}

#[test]
fn a_look_is_wide_enough_for_twenty_arrivals() {
    // At one a second a look is 20 s wide: A, asked until 27 s, has 1 of 20 at 27 s and none at 27.5 s.
    let slow = scenario(
        r#""rps": 1, "dur": 100, "incidents": [{"ep": "A", "from": 20, "to": 60, "kind": "hole"}]"#,
    );
    let figures = of_attempts(&slow, |second| usize::from(second >= 28));
    assert_eq!(figures.divert, Some(7.5));
    // A client of a closed loop makes its own rate: 100 requests in 100 s.
    let closed = scenario(
        r#""rps": 50, "dur": 100, "closed": 3, "incidents": [{"ep": "A", "from": 20, "to": 60, "kind": "hole"}]"#,
    );
    let sent = |second: u32| Sent {
        at: f64::from(second),
        endpoint: usize::from(second >= 28 && !second.is_multiple_of(15)),
        limited: false,
    };
    let ledger = Ledger {
        attempts: (0..100).map(sent).collect(),
        requests: (0..100).map(|second| request(f64::from(second))).collect(),
        ..Ledger::default()
    };
    // One of A's in every 15: each look of 20 s holds one or two, a twentieth or more.
    assert_eq!(Figures::of(&closed, &ledger).divert, Some(40.0));
}

#[test]
fn a_trip_is_false_where_no_incident_can_have_caused_it() {
    let hole = with_incident(r#""hole""#);
    let trip = |endpoint, attempt_began, at| Trip {
        endpoint,
        attempt_began,
        at,
    };
    let trips = vec![
        trip(0, 30.0, 36.0), // during it
        trip(0, 59.0, 65.0), // begun during it
        trip(0, 60.5, 61.0), // after it
        trip(0, 5.0, 5.1),   // before it
        trip(1, 30.0, 36.0), // elsewhere
    ];
    let ledger = Ledger {
        trips,
        ..Ledger::default()
    };
    near(Figures::of(&hole, &ledger).false_trips, 3.0);
}

#[test]
fn the_capacity_used_is_what_a_limit_let_through() {
    // 0.5 times 10 a second over 40 s: 200.
    let limited = with_incident(r#""rate", "rate_x": 0.5, "retry_after": 1"#);
    let sent = |nth: u32| Sent {
        at: 20.0 + f64::from(nth) / 10.0,
        endpoint: 0,
        limited: nth.is_multiple_of(4),
    };
    let ledger = Ledger {
        attempts: (0..200).map(sent).collect(),
        ..Ledger::default()
    };
    assert_eq!(Figures::of(&limited, &ledger).capacity, Some(0.75));
    assert_eq!(
        of_attempts(&with_incident(r#""hole""#), |_| 0).capacity,
        None
    );
}

#[test]
fn the_mean_of_runs_is_over_those_that_have_the_figure() {
    let runs = [(1.0, Some(2.0)), (0.5, None), (0.0, Some(4.0))];
    let runs = runs.map(|(success, ret)| Figures {
        success,
        ret,
        ..Figures::default()
    });
    let mean = Figures::mean(&runs);
    assert_eq!(
        (mean.success, mean.ret, mean.divert),
        (0.5, Some(3.0), None)
    );
}
