//! Probes of our own, under virtual time.

use super::*;
use crate::core::catalog::ModelIx;
use crate::core::fixture::catalog;
use crate::core::health::State;
use crate::core::health::{ActiveProbe, BudgetSettings, Ended, HealthSettings};

struct Fleet {
    health: Health,
}

fn at(seconds: u64) -> Time {
    Time::ZERO + Duration::from_secs(seconds)
}

fn first() -> EndpointIx {
    EndpointIx::new(0)
}

impl Fleet {
    fn new(active_probe: Option<ActiveProbe>) -> Self {
        let catalog = catalog(&[("t/m", &["one", "two"])]);
        let settings = HealthSettings {
            active_probe,
            ..HealthSettings::default()
        };
        let health = Health::new(&catalog, settings, BudgetSettings::default(), None);
        Self { health }
    }

    fn probing() -> Self {
        Self::new(Some(ActiveProbe::default()))
    }

    fn fail(&self, endpoint: EndpointIx, class: Class, now: Time) {
        let ended = Ended {
            endpoint,
            class,
            bucket: Bucket::from(Kind::Stream),
            probe: false,
            started: now,
            retry_after: None,
        };
        self.health
            .fail(&ended, &mut fastrand::Rng::with_seed(7), now);
    }

    fn open(&self, endpoint: EndpointIx, now: Time) {
        for _ in 0..3 {
            self.fail(endpoint, Class::ServerError, now);
        }
        assert_eq!(self.health.state(endpoint, now), State::Open);
    }

    fn end(&self, errand: ActiveErrand, class: Class, now: Time) {
        let end = ActiveEnd {
            errand,
            class,
            retry_after: None,
            started: now,
            jitter: 0.5,
        };
        self.health.end_active_probe(first(), &end, now);
    }
}

#[test]
fn nothing_is_sent_unasked_or_to_closed_and_drained_endpoints() {
    let silent = Fleet::new(None);
    silent.open(first(), at(0));
    assert_eq!(silent.health.begin_active_probe(first(), at(60)), None);
    let fleet = Fleet::probing();
    assert_eq!(fleet.health.begin_active_probe(first(), at(60)), None);
    fleet.open(first(), at(60));
    fleet.health.drain(first());
    assert_eq!(fleet.health.begin_active_probe(first(), at(90)), None);
    fleet.health.enable(first());
    let begun = fleet.health.begin_active_probe(first(), at(90));
    assert_eq!(begun, Some(ActiveErrand::Ask));
}

#[test]
fn four_in_a_row_bring_it_back_and_never_two_at_once_or_too_soon() {
    let fleet = Fleet::probing();
    fleet.open(first(), at(0));
    assert_eq!(
        fleet.health.begin_active_probe(first(), at(0)),
        None,
        "it rests"
    );
    for nth in 0..4 {
        let now = at(3 + nth * 10);
        let early = now - Duration::from_secs(3);
        let begun = fleet.health.begin_active_probe(first(), early);
        assert_eq!(begun, None, "too soon");
        let errand = fleet.health.begin_active_probe(first(), now).unwrap();
        assert_eq!(
            fleet.health.begin_active_probe(first(), at(300)),
            None,
            "one is under way"
        );
        assert_ne!(fleet.health.state(first(), now), State::Ramp, "after {nth}");
        fleet.end(errand, Class::Success, now);
    }
    assert_eq!(fleet.health.state(first(), at(35)), State::Ramp);
}

#[test]
fn a_probe_that_fails_opens_it_again_and_one_with_a_fault_of_its_own_does_not() {
    let fleet = Fleet::probing();
    fleet.open(first(), at(0));
    let errand = fleet.health.begin_active_probe(first(), at(20)).unwrap();
    fleet.end(errand, Class::InvalidRequest, at(20));
    assert_eq!(fleet.health.state(first(), at(20)), State::HalfOpen);
    let errand = fleet.health.begin_active_probe(first(), at(40)).unwrap();
    fleet.end(errand, Class::ServerError, at(40));
    assert_eq!(fleet.health.state(first(), at(40)), State::Open);
}

#[test]
fn one_that_was_cut_short_gives_its_place_back() {
    let fleet = Fleet::probing();
    fleet.open(first(), at(0));
    let errand = fleet.health.begin_active_probe(first(), at(20)).unwrap();
    fleet.end(errand, Class::Superseded, at(21));
    assert!(fleet.health.begin_active_probe(first(), at(40)).is_some());
}

#[test]
fn a_busy_pool_finds_out_by_itself_and_a_quiet_one_leaves_it_to_us() {
    let fleet = Fleet::probing();
    fleet.open(first(), at(0));
    assert!(!fleet.health.try_probe(first(), at(20)), "we do");
    let asked = ModelIx::new(0);
    for nth in 0..1000_u64 {
        fleet
            .health
            .count_request(asked, at(20) + Duration::from_millis(nth * 10));
    }
    assert_eq!(fleet.health.begin_active_probe(first(), at(30)), None);
    assert!(fleet.health.try_probe(first(), at(30)));
}

#[test]
fn where_nobody_runs_the_probes_real_traffic_does() {
    let fleet = Fleet::probing();
    fleet.open(first(), at(0));
    for _ in 0..100 {
        fleet.health.count_request(ModelIx::new(0), at(1));
    }
    assert!(!fleet.health.try_probe(first(), at(60)));
    assert!(fleet.health.try_probe(first(), at(230)));
}

#[test]
fn a_host_that_is_away_is_asked_for_a_connection_alone() {
    let fleet = Fleet::probing();
    fleet.fail(first(), Class::ConnectFailed, at(0));
    let begun = fleet.health.begin_active_probe(first(), at(20));
    assert_eq!(begun, Some(ActiveErrand::Connect));
    fleet.end(ActiveErrand::Connect, Class::Success, at(20));
    assert_eq!(fleet.health.state(first(), at(20)), State::HalfOpen);
    for second in [30, 40, 50] {
        let errand = fleet
            .health
            .begin_active_probe(first(), at(second))
            .unwrap();
        fleet.end(errand, Class::Success, at(second));
    }
    assert_eq!(fleet.health.state(first(), at(50)), State::Ramp);
}

#[test]
fn a_dead_key_of_many_endpoints_is_asked_about_once() {
    let fleet = Fleet::probing();
    fleet.fail(first(), Class::AuthRejected, at(0));
    let slot = &fleet.health.slots[0];
    assert!(fleet.health.begin_active_probe(first(), at(60)).is_some());
    // Whoever shares the key finds it being probed.
    assert!(!slot.key.breaker().awaits_probe(at(60)));
    fleet.end(ActiveErrand::Ask, Class::AuthRejected, at(61));
    assert!(!slot.key.breaker().awaits_probe(at(70)), "it rests again");
}
