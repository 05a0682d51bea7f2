use super::*;
use crate::core::catalog::Price;
use crate::core::fixture::{catalog, changed};
use crate::core::health::{BudgetSettings, Ended, Health, HealthSettings, Kind, Usual};
use crate::core::names::PolicyName;
use crate::core::outcome::Class;
use crate::core::policy::Sort;
use crate::core::time::Time;
use std::time::Duration;

pub(super) struct Pool {
    pub(super) catalog: Catalog,
    pub(super) health: Health,
    pub(super) plan: Plan,
    pub(super) rng: fastrand::Rng,
    pub(super) now: Time,
}

impl Pool {
    pub(super) fn of(sort: Sort, models: &[(&str, &[&str])]) -> Self {
        let catalog = catalog(models);
        let health = Health::new(
            &catalog,
            HealthSettings::default(),
            BudgetSettings::default(),
            None,
        );
        let mut policy = Policy::built_in(PolicyName::new("default"));
        policy.sort = sort;
        let facts = RequestFacts::default();
        let plan = Plan::new(
            &catalog,
            ModelIx::new(0),
            facts,
            Arc::new(policy),
            |_| true,
            |_| Usual::default(),
        );
        Self {
            catalog,
            health,
            plan,
            rng: fastrand::Rng::with_seed(11),
            now: Time::from_micros(1_000_000),
        }
    }

    pub(super) fn learn(&mut self, endpoint: usize, took: Duration, times: usize) {
        let ix = EndpointIx::new(endpoint);
        for _ in 0..times {
            self.now = self.now + Duration::from_millis(100);
            self.health
                .succeed(ix, ModelIx::new(0), Kind::Stream, self.now, took, self.now);
        }
    }

    pub(super) fn fail(&mut self, endpoint: usize, class: Class) {
        let ended = Ended {
            endpoint: EndpointIx::new(endpoint),
            class,
            bucket: Kind::Stream.into(),
            probe: false,
            started: self.now,
            retry_after: Some(Duration::from_secs(5)),
        };
        self.health.fail(&ended, &mut self.rng, self.now);
    }

    fn at(&self, now: Time) -> Draw<'_> {
        Draw {
            catalog: &self.catalog,
            health: &self.health,
            bucket: Kind::Stream.into(),
            tried: &[],
            now,
        }
    }

    pub(super) fn draw(&mut self, tried: &[EndpointIx]) -> Option<Pick> {
        let draw = Draw {
            catalog: &self.catalog,
            health: &self.health,
            bucket: Kind::Stream.into(),
            tried,
            now: self.now,
        };
        draw.pick(&self.plan, 0, true, &mut self.rng)
    }

    /// Shares of 2,000 draws, by endpoint.
    pub(super) fn shares(&mut self) -> Vec<f32> {
        let mut counts = vec![0.0_f32; self.catalog.endpoints().len()];
        for _ in 0..2000 {
            if let Some(pick) = self.draw(&[]) {
                counts[pick.endpoint.get()] += 1.0 / 2000.0;
            }
        }
        counts
    }
}

pub(super) const TRIO: &[(&str, &[&str])] = &[("a/one", &["p", "q", "r"])];

#[test]
fn ordered_takes_the_first_of_the_file() {
    let mut pool = Pool::of(Sort::Ordered, TRIO);
    assert!(pool.shares()[0] > 0.999);
}

#[test]
fn adaptive_prefers_the_cheap_and_moves_away_from_the_slow() {
    let mut pool = Pool::of(Sort::Adaptive, TRIO);
    let fast = Duration::from_millis(300);
    for endpoint in 0..3 {
        pool.learn(endpoint, fast, 30);
    }
    let before = pool.shares();
    assert!(before[0] > 0.8 && before[0] > before[1], "{before:?}");
    pool.learn(0, Duration::from_secs(6), 20);
    let after = pool.shares();
    assert!(after[0] < 0.1, "{after:?}");
}

#[test]
fn adaptive_moves_away_from_what_fails_now_and_then() {
    let mut pool = Pool::of(Sort::Adaptive, TRIO);
    for endpoint in 0..3 {
        pool.learn(endpoint, Duration::from_millis(300), 30);
    }
    for _ in 0..5 {
        pool.learn(0, Duration::from_millis(300), 2);
        pool.fail(0, Class::ServerError);
    }
    let shares = pool.shares();
    assert!(shares[0] < 0.2, "{shares:?}");
}

#[test]
fn tried_and_rate_limited_endpoints_are_not_drawn() {
    let mut pool = Pool::of(Sort::Ordered, TRIO);
    pool.fail(1, Class::RateLimited);
    let tried = [EndpointIx::new(0)];
    assert_eq!(pool.draw(&tried).unwrap().endpoint, EndpointIx::new(2));
    pool.now = pool.now + Duration::from_secs(6);
    assert_eq!(pool.draw(&tried).unwrap().endpoint, EndpointIx::new(1));
}

#[test]
fn prices_become_ratios_to_the_cheapest_that_is_not_free() {
    let check = |prices: &[Option<f64>], expected: &[f32]| {
        let prices: Vec<_> = prices.iter().map(|price| (*price, true)).collect();
        assert_eq!(price_ratios(&prices), expected);
    };
    check(&[Some(2.0), Some(1.0)], &[2.0, 1.0]);
    check(&[Some(0.0), Some(4.0)], &[0.0, 1.0]);
    let some = [None, Some(1.0), Some(3.0), Some(5.0)];
    check(&some, &[3.0, 1.0, 3.0, 5.0]);
    check(&[None, None], &[1.0, 1.0]);
    check(&[Some(0.0), None], &[0.0, 0.0]);
    let cheapest_left_out = [(Some(1.0), false), (Some(2.0), true), (Some(4.0), true)];
    assert_eq!(price_ratios(&cheapest_left_out), [0.5, 1.0, 2.0]);
}

#[test]
fn a_model_that_the_key_may_not_use_is_never_a_fallback() {
    let catalog = catalog(&[("a/one", &["p"]), ("b/two", &["q"])]);
    let policy = Arc::new(Policy::built_in(PolicyName::new("default")));
    let asked = ModelIx::new(0);
    let facts = RequestFacts::default();
    let only = |ix| ix == asked;
    let plan = Plan::new(&catalog, asked, facts, policy, only, |_| Usual::default());
    assert_eq!(plan.legs[0].candidates[0].reject, None);
    assert_eq!(
        plan.legs[1].candidates[0].reject,
        Some(Reject::ModelNotAllowed)
    );
}

#[test]
fn who_is_cheapest_is_a_matter_of_the_request() {
    let price = |prompt, completion| Price {
        prompt: Some(prompt),
        completion: Some(completion),
        cache_read: None,
    };
    let catalog = changed(&catalog(&[("a/one", &["p", "q"])]), |_, endpoints| {
        endpoints[0].price = price(1.0, 10.0);
        endpoints[1].price = price(2.0, 2.0);
    });
    let ratios = |body_bytes, usual: Usual| {
        let facts = RequestFacts {
            body_bytes,
            ..RequestFacts::default()
        };
        let (asked, policy) = (
            ModelIx::new(0),
            Policy::built_in(PolicyName::new("default")),
        );
        let plan = Plan::new(
            &catalog,
            asked,
            facts,
            Arc::new(policy),
            |_| true,
            |_| usual,
        );
        let candidates = plan.legs[0].candidates.iter();
        candidates.map(|it| it.price).collect::<Vec<_>>()
    };
    // Tokens of prompt and answer: 1,000 and 300, then 100,000 and 300, then 1,000 and 10.
    let usual = Usual::default();
    let brief = Usual {
        completion: 10,
        ..usual
    };
    assert_eq!(ratios(4_000, usual), [4_000.0 / 2_600.0, 1.0]);
    assert_eq!(ratios(400_000, usual), [1.0, 200_600.0 / 103_000.0]);
    assert_eq!(ratios(4_000, brief), [1.0, 2_020.0 / 1_100.0]);
}

#[test]
fn each_policy_prefers_what_it_is_named_after() {
    let mut pool = Pool::of(Sort::Adaptive, TRIO);
    for endpoint in 0..3 {
        pool.learn(
            endpoint,
            Duration::from_millis(900 - 400 * endpoint as u64),
            30,
        );
        let rate = [100.0, 20.0, 50.0][endpoint];
        pool.health
            .stream_at(EndpointIx::new(endpoint), rate, pool.now);
    }
    let mut favourite = |sort| {
        let mut policy = Policy::clone(&pool.plan.policy);
        policy.sort = sort;
        pool.plan.policy = Arc::new(policy);
        let shares = pool.shares();
        let most = shares.iter().position(|share| *share > 0.9);
        assert!(most.is_some(), "{sort:?} {shares:?}");
        most
    };
    assert_eq!(favourite(Sort::Cost), Some(0));
    assert_eq!(favourite(Sort::Latency), Some(2));
    assert_eq!(favourite(Sort::Throughput), Some(0));
    assert_eq!(favourite(Sort::Ordered), Some(0));
}

#[test]
fn a_split_gives_its_shares_and_the_rest_stand_in() {
    let mut pool = Pool::of(Sort::Ordered, TRIO);
    let id = |ix| pool.catalog.endpoint(EndpointIx::new(ix)).id.clone();
    let mut policy = Policy::clone(&pool.plan.policy);
    policy.split = vec![(id(1), 95.0), (id(2), 5.0)];
    let facts = RequestFacts::default();
    let asked = ModelIx::new(0);
    pool.plan = Plan::new(
        &pool.catalog,
        asked,
        facts,
        Arc::new(policy),
        |_| true,
        |_| Usual::default(),
    );
    let shares = pool.shares();
    assert!(
        shares[0] == 0.0 && (0.03..0.07).contains(&shares[2]),
        "{shares:?}"
    );
    let both = [EndpointIx::new(1), EndpointIx::new(2)];
    assert_eq!(pool.draw(&both).unwrap().endpoint, EndpointIx::new(0));
}

/// Twelve endpoints that have answered, one of them rate-limited, one ramping up and one that failed last.
fn dozen(sort: Sort) -> Pool {
    const DOZEN: &[&str] = &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut pool = Pool::of(sort, &[("a/one", DOZEN)]);
    for endpoint in 0..DOZEN.len() {
        pool.learn(endpoint, Duration::from_millis(300), 30);
    }
    pool.fail(0, Class::RateLimited);
    for _ in 0..3 {
        pool.fail(1, Class::ServerError);
    }
    pool.fail(2, Class::ServerError);
    pool
}

#[test]
fn a_pick_allocates_nothing() {
    for (name, sort) in Sort::ALL {
        let mut pool = dozen(sort);
        let mut rng = pool.rng.fork();
        let now = pool.now;
        let draw = pool.at(now);
        let counted = allocation_counter::measure(|| {
            for _ in 0..1000 {
                draw.pick(&pool.plan, 0, true, &mut rng);
            }
        });
        assert_eq!(counted.count_total, 0, "{name}");
    }
}

#[test]
fn a_pick_takes_no_lock() {
    for (name, sort) in Sort::ALL {
        let mut pool = dozen(sort);
        let mut rng = pool.rng.fork();
        let (pool, now) = (&pool, pool.now);
        let picked = std::thread::scope(|scope| {
            let (tell, told) = std::sync::mpsc::channel();
            let waited = pool.health.while_locked(|| {
                scope.spawn(move || {
                    let draw = pool.at(now);
                    let picks = (0..1000).filter_map(|_| draw.pick(&pool.plan, 0, true, &mut rng));
                    tell.send(picks.count()).ok();
                });
                told.recv_timeout(Duration::from_secs(20))
            });
            waited.unwrap_or(0)
        });
        assert_eq!(picked, 1000, "{name}");
    }
}
