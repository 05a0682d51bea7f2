use super::*;
use crate::core::catalog::{Fingerprint, KeyIx};
use crate::core::fixture::catalog;

const FLEET: &[(&str, &[&str])] = &[("a/one", &["p", "q"]), ("b/two", &["p"])];

struct Fleet {
    health: Health,
    /// The attempts that end now are probes.
    probing: bool,
    rng: fastrand::Rng,
    now: Time,
}

impl Fleet {
    fn new() -> Self {
        Self::with(HealthSettings::default())
    }

    fn with(settings: HealthSettings) -> Self {
        Self {
            health: Health::new(&catalog(FLEET), settings, BudgetSettings::default(), None),
            probing: false,
            rng: fastrand::Rng::with_seed(3),
            now: Time::from_micros(5_000_000),
        }
    }

    fn pass(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self
    }

    fn fail(&mut self, endpoint: usize, class: Class) -> Trips {
        self.fail_after(endpoint, class, Duration::ZERO)
    }

    fn fail_after(&mut self, endpoint: usize, class: Class, took: Duration) -> Trips {
        let ended = Ended {
            endpoint: EndpointIx::new(endpoint),
            class,
            bucket: Kind::Stream.into(),
            probe: self.probing,
            started: self.now - took,
            retry_after: None,
        };
        self.health.fail(&ended, &mut self.rng, self.now)
    }

    /// A stream that begins now came whole.
    fn complete(&self, endpoint: usize) {
        let endpoint = EndpointIx::new(endpoint);
        self.health.complete(endpoint, self.now, None, self.now);
    }

    fn succeed(&mut self, endpoint: usize) -> &mut Self {
        let took = Duration::from_millis(300);
        self.health.succeed(
            EndpointIx::new(endpoint),
            ModelIx::new(0),
            Kind::Stream,
            self.now,
            took,
            self.now,
        );
        self
    }

    fn view(&self, endpoint: usize) -> View {
        self.health
            .view(EndpointIx::new(endpoint), Kind::Stream, self.now)
    }

    fn probes(&self, endpoint: usize) -> bool {
        self.health.try_probe(EndpointIx::new(endpoint), self.now)
    }

    fn state(&self, endpoint: usize) -> State {
        self.health.state(EndpointIx::new(endpoint), self.now)
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_success_share_below_half_trips_even_without_three_in_a_row() {
    let mut fleet = Fleet::new();
    for _ in 0..6 {
        fleet.succeed(0);
        fleet.fail(0, Class::StreamBroken);
    }
    assert_eq!(fleet.state(0), State::Open);
}

#[test]
fn a_straggler_does_not_trip() {
    let mut fleet = Fleet::new();
    for _ in 0..10 {
        fleet.pass(SECOND).succeed(0);
        fleet.fail_after(0, Class::FirstTokenTimeout, Duration::from_secs(10));
    }
    assert_eq!(fleet.state(0), State::Closed);
}

#[test]
fn timeouts_without_any_later_success_trip_on_the_second() {
    let mut fleet = Fleet::new();
    let took = Duration::from_secs(10);
    assert!(!fleet.fail_after(0, Class::FirstTokenTimeout, took).endpoint);
    assert!(fleet.fail_after(0, Class::FirstTokenTimeout, took).endpoint);
}

#[test]
fn the_speed_of_kinds_is_kept_apart() {
    let mut fleet = Fleet::new();
    fleet.succeed(0);
    let json = fleet.health.view(EndpointIx::new(0), Kind::Json, fleet.now);
    assert_eq!(json.latency, None);
    assert!(fleet.view(0).latency.is_some());
}

#[test]
fn a_host_that_answers_again_frees_all_its_endpoints() {
    let mut fleet = Fleet::new();
    fleet.fail(0, Class::ConnectFailed);
    assert_eq!(fleet.state(2), State::Open, "shares the host");
    assert_eq!(fleet.state(1), State::Closed, "another host");
    for _ in 0..2 {
        fleet.pass(11 * SECOND);
        assert!(fleet.probes(2));
        fleet.succeed(2);
    }
    fleet.pass(6 * SECOND);
    assert_eq!(fleet.state(0), State::Closed);
}

#[test]
fn a_server_error_answer_shows_that_the_host_is_back() {
    let mut fleet = Fleet::new();
    fleet.fail(0, Class::ConnectFailed);
    for _ in 0..2 {
        fleet.pass(11 * SECOND);
        assert!(fleet.probes(0));
        fleet.fail(0, Class::ServerError);
    }
    fleet.pass(6 * SECOND);
    assert_eq!(fleet.state(2), State::Closed);
}

#[test]
fn a_probe_that_says_nothing_about_a_gate_is_given_back() {
    let mut fleet = Fleet::new();
    fleet.fail(0, Class::AuthRejected);
    fleet.pass(61 * SECOND);
    assert!(fleet.probes(0));
    assert!(!fleet.probes(0), "one at a time");
    fleet.fail(0, Class::ClientGone);
    assert!(
        !fleet.probes(0),
        "another attempt's end says nothing about it"
    );
    fleet.probing = true;
    fleet.fail(0, Class::ClientGone);
    assert!(fleet.probes(0));
}

#[test]
fn a_slow_failure_is_probed_when_the_pool_has_traffic_enough() {
    let mut fleet = Fleet::new();
    for _ in 0..2 {
        fleet.fail_after(0, Class::FirstTokenTimeout, 10 * SECOND);
    }
    fleet.pass(60 * SECOND);
    for _ in 0..49 {
        fleet.health.count_request(ModelIx::new(0), fleet.now);
        assert!(!fleet.probes(0));
    }
    fleet.health.count_request(ModelIx::new(0), fleet.now);
    assert!(fleet.probes(0));
}

#[test]
fn with_a_probe_share_of_one_any_request_may_probe() {
    let mut fleet = Fleet::with(HealthSettings {
        probe_share: 1.0,
        ..HealthSettings::default()
    });
    for _ in 0..2 {
        fleet.fail_after(0, Class::FirstTokenTimeout, 10 * SECOND);
    }
    fleet.pass(60 * SECOND);
    fleet.health.count_request(ModelIx::new(0), fleet.now);
    assert!(fleet.probes(0));
}

#[test]
fn a_rate_limited_probe_opens_the_ramp() {
    let mut fleet = Fleet::new();
    for _ in 0..3 {
        fleet.fail(0, Class::ServerError);
    }
    fleet.pass(11 * SECOND);
    assert!(fleet.probes(0));
    fleet.fail_after(0, Class::RateLimited, 20 * SECOND);
    assert_eq!(fleet.state(0), State::HalfOpen, "from before the trip");
    fleet.probing = true;
    fleet.fail(0, Class::RateLimited);
    assert_eq!(fleet.state(0), State::Ramp);
    assert!(fleet.view(0).blocked_until > fleet.now);
}

#[test]
fn settings_scale_every_duration() {
    let mut settings = HealthSettings {
        trip_after: 1.0,
        probes_to_close: 1,
        ramp: Duration::from_millis(100),
        ..HealthSettings::default()
    };
    settings.rest.server_error = Duration::from_millis(50);
    settings.probe_fast.every = Duration::from_millis(10);
    let mut fleet = Fleet::with(settings);
    fleet.fail(0, Class::ServerError);
    assert_eq!(fleet.state(0), State::Open);
    fleet.pass(Duration::from_millis(60));
    assert!(fleet.probes(0));
    fleet.succeed(0);
    assert_eq!(fleet.state(0), State::Ramp);
    fleet.pass(Duration::from_millis(100));
    assert_eq!(fleet.state(0), State::Closed);
}

#[test]
fn health_outlives_a_new_catalogue_where_the_endpoint_stays() {
    let old_catalog = catalog(FLEET);
    let mut fleet = Fleet::new();
    for _ in 0..3 {
        fleet.fail(1, Class::ServerError);
    }
    fleet.fail(0, Class::AuthRejected);
    let next_catalog = catalog(&[("c/new", &["q"]), ("a/one", &["q", "z"]), ("b/two", &["p"])]);
    let next = Health::new(
        &next_catalog,
        HealthSettings::default(),
        BudgetSettings::default(),
        Some((&old_catalog, &fleet.health)),
    );
    let state = |ix| next.state(EndpointIx::new(ix), fleet.now);
    assert_eq!(state(0), State::Closed, "another model at q");
    assert_eq!(state(1), State::Open, "a/one at q, under its new index");
    assert_eq!(state(2), State::Closed, "a new endpoint");
    assert_eq!(state(3), State::Open, "the key of p");
}

#[test]
fn only_so_many_wait_for_one_endpoint() {
    let fleet = Fleet::new();
    let endpoint = EndpointIx::new(0);
    let wait = || fleet.health.begin_wait(endpoint, 2, Time::NEVER, fleet.now);
    assert!(wait().is_some() && wait().is_some());
    assert_eq!(wait(), None);
    fleet.health.end_wait(endpoint);
    assert!(wait().is_some());
}

#[test]
fn those_who_wait_for_a_block_are_let_out_at_the_learnt_pace_and_few_queue() {
    let mut fleet = Fleet::new();
    for _ in 0..100 {
        fleet.pass(Duration::from_millis(100)).succeed(0);
    }
    fleet.fail(0, Class::RateLimited);
    let endpoint = EndpointIx::new(0);
    let latest = fleet.now + 3 * SECOND;
    let wait = || fleet.health.begin_wait(endpoint, 64, latest, fleet.now);
    let turns: Vec<_> = std::iter::from_fn(wait).collect();
    assert!(
        (4..=6).contains(&turns.len()),
        "half a second of eight: {turns:?}"
    );
    assert!(turns[0] >= fleet.now + SECOND, "after the block");
    assert!(
        turns
            .windows(2)
            .all(|pair| pair[1].since(pair[0]) > Duration::from_millis(100))
    );
}

#[test]
fn the_first_failure_after_a_ramp_counts() {
    let mut fleet = Fleet::new();
    fleet.fail(0, Class::ConnectFailed);
    for _ in 0..2 {
        fleet.pass(11 * SECOND);
        assert!(fleet.probes(0));
        fleet.succeed(0);
    }
    fleet.pass(60 * SECOND);
    fleet.fail_after(0, Class::ConnectFailed, Duration::from_millis(5));
    assert_eq!(fleet.state(0), State::Open);
}

#[test]
fn an_endpoint_behind_a_host_that_fails_slowly_is_no_cheap_probe() {
    let mut fleet = Fleet::new();
    fleet.fail_after(0, Class::ConnectFailed, 2 * SECOND);
    fleet.pass(11 * SECOND);
    assert!(!fleet.probes(0));
    assert!(!fleet.probes(2), "it never failed itself, its host did");
}

#[test]
fn a_timeout_shows_in_the_expected_latency() {
    let mut fleet = Fleet::new();
    for _ in 0..30 {
        fleet.pass(SECOND).succeed(0);
    }
    let before = fleet.view(0).latency.unwrap();
    fleet.fail_after(0, Class::FirstTokenTimeout, 10 * SECOND);
    assert!(fleet.view(0).latency.unwrap() > before);
}

#[test]
fn what_was_learnt_of_a_replaced_key_or_server_is_forgotten() {
    let catalogue = |fingerprint: &str| {
        let mut endpoints = catalog(FLEET).endpoints().to_vec();
        endpoints[0].fingerprint = Fingerprint::of(&fingerprint);
        let mut credentials = catalog(FLEET).credentials().to_vec();
        credentials[0].fingerprint = Fingerprint::of(&fingerprint);
        let models = catalog(FLEET).models().to_vec();
        let hosts = catalog(FLEET).hosts().to_vec();
        Catalog::new(models, endpoints, hosts, credentials)
    };
    let mut fleet = Fleet::new();
    fleet.health = fleet.health.next(&catalog(FLEET), &catalogue("one"));
    for _ in 0..3 {
        fleet.fail(0, Class::ServerError);
    }
    fleet.fail(2, Class::AuthRejected);
    fleet.health = fleet.health.next(&catalogue("one"), &catalogue("one"));
    assert_eq!((fleet.state(0), fleet.state(2)), (State::Open, State::Open));
    fleet.health = fleet.health.next(&catalogue("one"), &catalogue("two"));
    assert_eq!(
        (fleet.state(0), fleet.state(2)),
        (State::Closed, State::Closed)
    );
}

impl Health {
    /// Does something while every lock of health is taken.
    pub(crate) fn while_locked<R>(&self, act: impl FnOnce() -> R) -> R {
        let _endpoints: Vec<_> = self.slots.iter().map(|slot| slot.own.guards()).collect();
        let gates = self.hosts.iter().chain(&self.keys);
        let _gates: Vec<_> = gates.map(|gate| gate.guards()).collect();
        let _pools: Vec<_> = self.pools.iter().map(|pool| pool.guards()).collect();
        act()
    }

    /// The health of the next catalogue, with the same settings.
    fn next(&self, last: &Catalog, next: &Catalog) -> Health {
        Health::new(next, self.settings, self.budget, Some((last, self)))
    }
}

#[test]
fn a_stream_that_always_breaks_trips_although_its_first_token_came() {
    let mut fleet = Fleet::new();
    for _ in 0..40 {
        fleet.succeed(0);
        fleet.complete(0);
    }
    for _ in 0..2 {
        fleet.succeed(0);
        assert!(!fleet.fail(0, Class::StreamBroken).endpoint);
    }
    fleet.succeed(0);
    assert!(fleet.fail(0, Class::StreamBroken).endpoint);
}

#[test]
fn what_rests_for_broken_streams_is_probed_by_whole_ones() {
    let mut fleet = Fleet::new();
    for _ in 0..3 {
        fleet.succeed(0);
        fleet.fail(0, Class::StreamBroken);
    }
    assert_eq!(fleet.state(0), State::Open);
    fleet.pass(400 * SECOND);
    for _ in 0..2 {
        assert!(fleet.probes(0));
        fleet.succeed(0);
        assert_eq!(fleet.state(0), State::HalfOpen, "a first token came before");
        assert!(!fleet.probes(0), "the first is under way");
        fleet.complete(0);
    }
    assert_eq!(fleet.state(0), State::Ramp);
}

#[test]
fn what_a_host_did_is_held_against_none_of_its_endpoints_once_it_is_back() {
    let mut fleet = Fleet::new();
    for _ in 0..40 {
        fleet.succeed(0).succeed(2);
    }
    fleet.fail(0, Class::ConnectFailed);
    fleet.fail(2, Class::ConnectFailed);
    assert!(fleet.view(0).expected < 0.95 && fleet.view(2).expected < 0.95);
    fleet.pass(400 * SECOND);
    assert!(fleet.probes(0));
    fleet.succeed(0).succeed(0);
    let expected = [fleet.view(0).expected, fleet.view(2).expected];
    assert!(expected.iter().all(|one| *one > 0.98), "{expected:?}");
}

#[test]
fn whole_streams_between_broken_ones_keep_an_endpoint_closed() {
    let mut fleet = Fleet::new();
    for _ in 0..10 {
        for _ in 0..8 {
            fleet.succeed(0);
            fleet.complete(0);
        }
        assert!(!fleet.fail(0, Class::StreamBroken).endpoint);
    }
}

#[test]
fn an_endpoint_that_failed_fast_and_is_not_asked_again_is_verified() {
    let mut fleet = Fleet::new();
    let first = EndpointIx::new(0);
    fleet.fail(0, Class::ServerError);
    assert_eq!(
        fleet.health.errand(first, fleet.now),
        None,
        "its traffic may tell"
    );
    fleet.pass(9 * SECOND);
    assert_eq!(fleet.health.errand(first, fleet.now), Some(Errand::Verify));
    assert!(!fleet.health.try_verify(first, fleet.now), "too early");
    fleet.pass(SECOND);
    assert!(fleet.health.try_verify(first, fleet.now));
    assert!(!fleet.health.try_verify(first, fleet.now), "once");
    fleet.pass(SECOND).succeed(0);
    assert_eq!(fleet.health.errand(first, fleet.now), None);
}

#[test]
fn an_endpoint_that_failed_slowly_is_verified_by_a_share_of_the_traffic() {
    let mut fleet = Fleet::new();
    let first = EndpointIx::new(0);
    fleet.fail_after(0, Class::FirstTokenTimeout, 10 * SECOND);
    fleet.pass(20 * SECOND);
    for _ in 0..49 {
        fleet.health.count_request(ModelIx::new(0), fleet.now);
        assert!(!fleet.health.try_verify(first, fleet.now));
    }
    fleet.health.count_request(ModelIx::new(0), fleet.now);
    assert!(fleet.health.try_verify(first, fleet.now));
}

#[test]
fn what_began_since_the_trip_shows_that_an_endpoint_recovers_even_where_others_answered_first() {
    let mut fleet = Fleet::new();
    for _ in 0..3 {
        fleet.fail(0, Class::ServerError);
    }
    fleet.pass(SECOND);
    let begun = fleet.now;
    for _ in 0..2 {
        fleet.pass(SECOND);
        let took = fleet.now.since(begun);
        let (ix, pool, now) = (EndpointIx::new(0), ModelIx::new(0), fleet.now);
        fleet
            .health
            .succeed(ix, pool, Kind::Stream, begun, took, now);
    }
    assert_eq!(fleet.state(0), State::Ramp);
}

#[test]
fn a_turn_that_nobody_used_makes_nobody_wait() {
    let mut fleet = Fleet::new();
    fleet.fail(0, Class::RateLimited);
    let endpoint = EndpointIx::new(0);
    let wait = |fleet: &Fleet| {
        fleet
            .health
            .begin_wait(endpoint, 64, Time::NEVER, fleet.now)
    };
    assert!(wait(&fleet).is_some());
    fleet.health.give_turn_back(endpoint);
    fleet.health.end_wait(endpoint);
    fleet.pass(2 * SECOND);
    assert!(fleet.view(0).blocked_until <= fleet.now);
}

#[test]
fn what_is_remembered_goes_on_in_another_process() {
    let mut fleet = Fleet::new();
    for _ in 0..30 {
        fleet.pass(SECOND).succeed(0);
        fleet.succeed(1);
    }
    for _ in 0..3 {
        fleet.fail(0, Class::ServerError);
    }
    fleet.fail(1, Class::RateLimited);
    fleet.fail(2, Class::AuthRejected);
    assert_eq!((fleet.state(0), fleet.state(2)), (State::Open, State::Open));
    let next = Fleet::new();
    let (now, away) = (next.now, Duration::from_millis(500));
    for ix in (0..3).map(EndpointIx::new) {
        next.health
            .recall(ix, &fleet.health.remember(ix, fleet.now), away, now);
    }
    for ix in (0..2).map(KeyIx::new) {
        next.health
            .recall_key(ix, &fleet.health.remember_key(ix, fleet.now), away, now);
    }
    let (then, there) = (fleet.view(0), next.view(0));
    assert_eq!(next.state(0), State::Open);
    assert!(
        (there.expected - then.expected).abs() < 0.01,
        "{there:?} {then:?}"
    );
    assert_eq!(there.usual_latency, then.usual_latency);
    let latency = next.health.latency(EndpointIx::new(0), Kind::Stream.into());
    assert!(!latency.is_cold(), "twenty answers are still known");
    assert_eq!(next.state(2), State::Open, "the key rests");
    let blocked = next.view(1).blocked_until.since(now);
    let left = Duration::from_millis(400)..Duration::from_millis(600);
    assert!(left.contains(&blocked), "{blocked:?}");
    assert_eq!(
        next.state(1),
        State::Closed,
        "a rate limit is no ill health"
    );
}

#[test]
fn a_memory_that_makes_no_sense_does_no_harm() {
    let fleet = Fleet::new();
    let speed = SpeedMemory {
        bucket: 99,
        short: f32::NAN,
        long: -1.0,
        deviation: f32::INFINITY,
        samples: u32::MAX,
    };
    let memory = EndpointMemory {
        drained: false,
        breaker: BreakerMemory {
            rests_for: Some(f32::INFINITY),
            level: u32::MAX,
            failed_in: f32::NAN,
        },
        blocked_for: f32::MAX,
        success: f32::NAN,
        failure: f32::INFINITY,
        slow: -7.0,
        speeds: vec![speed, SpeedMemory { bucket: 0, ..speed }],
    };
    let first = EndpointIx::new(0);
    fleet
        .health
        .recall(first, &memory, Duration::ZERO, fleet.now);
    let view = fleet.view(0);
    assert!((0.0..=1.0).contains(&view.expected), "{view:?}");
    assert!(view.blocked_until.since(fleet.now) <= Duration::from_secs(600));
    assert!(view.latency.is_none_or(f32::is_finite));
}

#[test]
fn the_mark_changes_with_what_would_be_remembered() {
    let mut fleet = Fleet::new();
    let mut marks = vec![fleet.health.mark()];
    assert_eq!(fleet.health.mark(), marks[0]);
    fleet.pass(SECOND).succeed(0);
    marks.push(fleet.health.mark());
    fleet.fail(1, Class::RateLimited);
    marks.push(fleet.health.mark());
    fleet.fail(2, Class::AuthRejected);
    marks.push(fleet.health.mark());
    fleet.health.drain(EndpointIx::new(0));
    marks.push(fleet.health.mark());
    marks.sort_unstable();
    marks.dedup();
    assert_eq!(marks.len(), 5);
}
