//! Where conversations stay and when they leave, drawn with live health.

use super::tests::{Pool, TRIO};
use super::*;
use crate::core::catalog::Tongues;
use crate::core::fixture::changed;
use crate::core::health::{Errand, Passage};
use crate::core::names::{EndpointId, ProviderName};
use crate::core::outcome::Class;
use crate::core::policy::{Pull, Sort};
use std::time::Duration;

const NAMED: Pull = Pull {
    money: 0.0,
    seconds: 0.0,
    named: true,
};

fn worth(money: f32) -> Pull {
    Pull { money, ..NAMED }
}

fn quick(sort: Sort) -> Pool {
    let mut pool = Pool::of(sort, TRIO);
    for endpoint in 0..3 {
        pool.learn(endpoint, Duration::from_millis(300), 30);
    }
    pool
}

fn hold(pool: &mut Pool, endpoint: usize, pull: Pull) {
    let endpoint = EndpointIx::new(endpoint);
    let hold = Hold { endpoint, pull };
    pool.plan.hold(&pool.catalog, hold);
}

/// The one that takes everything.
fn only(pool: &mut Pool) -> Option<usize> {
    pool.shares().iter().position(|share| *share > 0.999)
}

#[test]
fn every_order_keeps_a_conversation_and_leaves_a_sick_endpoint() {
    for (name, sort) in Sort::ALL {
        let mut pool = quick(sort);
        hold(&mut pool, 1, worth(0.6));
        assert_eq!(only(&mut pool), Some(1), "{name}");
        for _ in 0..3 {
            pool.fail(1, Class::ServerError);
        }
        let shares = pool.shares();
        assert!(shares[1] < 1e-3, "{name}: it rests {shares:?}");
        // The way back is open, and the conversation goes on where it went.
        hold(&mut pool, 2, worth(1.1));
        assert_eq!(only(&mut pool), Some(2), "{name}");
    }
}

#[test]
fn a_price_gap_outweighs_a_small_loss_and_not_a_large_one() {
    for sort in [Sort::Adaptive, Sort::Cost] {
        let mut pool = quick(sort);
        hold(&mut pool, 1, NAMED);
        assert!(
            pool.shares()[1] < 0.2,
            "half a price more than the cheapest"
        );
        hold(&mut pool, 1, worth(0.6));
        assert_eq!(only(&mut pool), Some(1));
        hold(&mut pool, 2, worth(0.6));
        assert!(pool.shares()[2] < 0.2, "it costs twice as much");
    }
}

#[test]
fn latency_moves_a_conversation_for_half_a_second() {
    let mut pool = quick(Sort::Latency);
    pool.learn(1, Duration::from_millis(400), 60);
    hold(&mut pool, 1, NAMED);
    assert_eq!(only(&mut pool), Some(1));
    pool.learn(1, Duration::from_millis(900), 60);
    assert!(pool.shares()[1] < 0.1);
}

#[test]
fn a_split_keeps_a_conversation_until_its_endpoint_has_no_share() {
    let mut pool = quick(Sort::Adaptive);
    let mut split = |percents: [f32; 3]| {
        for (candidate, percent) in pool.plan.legs[0].candidates.iter_mut().zip(percents) {
            candidate.share = Some(Share {
                percent: (percent > 0.0).then_some(percent),
            });
        }
        hold(&mut pool, 1, NAMED);
        pool.shares()
    };
    assert!(split([95.0, 5.0, 0.0])[1] > 0.999);
    assert!(split([100.0, 0.0, 0.0])[0] > 0.999);
}

#[test]
fn nothing_to_lose_changes_no_draw() {
    for (name, sort) in Sort::ALL {
        let (mut pool, mut held) = (quick(sort), quick(sort));
        hold(&mut held, 2, Pull::default());
        assert_eq!(pool.shares(), held.shares(), "{name}");
    }
}

#[test]
fn a_conversation_is_no_probe_unless_nobody_came_for_long() {
    let mut pool = quick(Sort::Ordered);
    for _ in 0..3 {
        pool.fail(0, Class::ServerError);
    }
    for _ in 0..200 {
        pool.health.count_request(ModelIx::new(0), pool.now);
    }
    pool.now = pool.now + Duration::from_secs(30);
    let first = EndpointIx::new(0);
    assert_eq!(pool.health.errand(first, pool.now), Some(Errand::Probe));
    hold(&mut pool, 1, NAMED);
    let held = pool.draw(&[]).unwrap();
    assert_eq!((held.endpoint, held.probe), (EndpointIx::new(1), false));
    pool.now = pool.now + Duration::from_secs(31);
    let probe = pool.draw(&[]).unwrap();
    assert_eq!((probe.endpoint, probe.probe), (first, true));
}

#[test]
fn others_are_probes_at_once() {
    let mut pool = quick(Sort::Ordered);
    for _ in 0..3 {
        pool.fail(0, Class::ServerError);
    }
    for _ in 0..200 {
        pool.health.count_request(ModelIx::new(0), pool.now);
    }
    pool.now = pool.now + Duration::from_secs(30);
    assert!(pool.draw(&[]).unwrap().probe);
}

#[test]
fn signed_reasoning_goes_to_the_provider_that_signed_it() {
    let models: &[(&str, &[&str])] = &[("a/m", &["p", "q", "r"]), ("b/m", &["q", "r"])];
    let mut pool = Pool::of(Sort::Ordered, models);
    // A second key of the first provider.
    pool.catalog = changed(&pool.catalog, |_, endpoints| {
        endpoints[2].provider = ProviderName::new("p");
        endpoints[2].id = EndpointId::read("a/m@p/second");
    });
    pool.plan.facts.signed = true;
    hold(&mut pool, 0, NAMED);
    assert!(pool.plan.is_pinned(&pool.catalog));
    let rejects: Vec<bool> = pool
        .plan
        .legs
        .iter()
        .flat_map(|leg| &leg.candidates)
        .map(|one| one.reject == Some(Reject::PinnedElsewhere))
        .collect();
    assert_eq!(rejects, [false, true, false, true, true]);
    assert_eq!(only(&mut pool), Some(0));
    pool.fail(0, Class::RateLimited);
    assert_eq!(only(&mut pool), Some(2), "its other key");
    pool.health.drain(EndpointIx::new(2));
    assert_eq!(pool.draw(&[]), None, "and nobody else");
}

#[test]
fn nothing_is_pinned_where_nobody_knows_who_signed_or_nothing_is_signed() {
    let mut pool = Pool::of(Sort::Ordered, TRIO);
    hold(&mut pool, 1, NAMED);
    assert!(!pool.plan.is_pinned(&pool.catalog));
    let admitted = |pool: &Pool| pool.plan.legs[0].admitted().count();
    assert_eq!(admitted(&pool), 3);
    let mut pool = Pool::of(Sort::Ordered, TRIO);
    pool.plan.facts.signed = true;
    assert!(!pool.plan.is_pinned(&pool.catalog));
    assert_eq!(admitted(&pool), 3);
}

#[test]
fn what_leans_on_an_earlier_answer_goes_to_the_provider_that_keeps_it() {
    let admitted = |tongues: Tongues| {
        let mut pool = Pool::of(Sort::Ordered, TRIO);
        pool.catalog = changed(&pool.catalog, |_, endpoints| {
            endpoints[1].tongues = tongues;
        });
        pool.plan.facts.leans_on = Some("previous_response_id");
        hold(&mut pool, 1, NAMED);
        let candidates = pool.plan.legs[0].candidates.iter();
        let rejects: Vec<_> = candidates.map(|one| one.reject).collect();
        (rejects, pool.plan.is_pinned(&pool.catalog))
    };
    let elsewhere = Some(Reject::KeptElsewhere("previous_response_id"));
    assert_eq!(
        admitted(Tongues::default()),
        (vec![elsewhere, None, elsewhere], true)
    );
    // Its answers are translated: whoever the request leans on, it is not that one.
    assert_eq!(admitted(Tongues::of([3])), (vec![None; 3], false));
}

/// Whatever happens to a pool, and wherever a conversation was: it goes only where any request might go.
#[test]
fn a_conversation_is_never_drawn_where_nobody_may_go() {
    let classes = [
        Class::ServerError,
        Class::RateLimited,
        Class::ConnectFailed,
        Class::AuthRejected,
        Class::Stalled,
    ];
    let mut kept = 0;
    for seed in 0..300 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pool = Pool::of(Sort::ALL[rng.usize(..Sort::ALL.len())].1, TRIO);
        let held = rng.usize(..3);
        hold(&mut pool, held, worth(3.0 * rng.f32()));
        for _ in 0..60 {
            let ix = rng.usize(..3);
            match rng.u8(..10) {
                0..6 => pool.learn(ix, Duration::from_millis(rng.u64(1..4_000)), 1),
                6 => pool.fail(ix, classes[rng.usize(..classes.len())]),
                7 => _ = pool.health.drain(EndpointIx::new(ix)),
                8 => _ = pool.health.enable(EndpointIx::new(ix)),
                _ => {
                    let reject = rng.bool().then_some(Reject::PriceUnknown);
                    pool.plan.legs[0].candidates[ix].reject = reject;
                }
            }
            pool.now = pool.now + Duration::from_millis(rng.u64(0..800));
            let tried: Vec<EndpointIx> = (0..3)
                .filter(|_| rng.u8(..5) == 0)
                .map(EndpointIx::new)
                .collect();
            let Some(pick) = pool.draw(&tried) else {
                continue;
            };
            let at = pick.endpoint;
            let view = pool
                .health
                .view(at, crate::core::health::Kind::Stream, pool.now);
            let open = matches!(view.passage, Passage::Free | Passage::Share(_));
            let candidate = pool.plan.legs[0].candidates[at.get()];
            assert!(open || pick.probe, "seed {seed}: {pick:?} {view:?}");
            assert!(view.blocked_until <= pool.now, "seed {seed}: {pick:?}");
            assert_eq!(candidate.reject, None, "seed {seed}: {pick:?}");
            assert!(!tried.contains(&at), "seed {seed}: {pick:?}");
            kept += usize::from(at.get() == held);
        }
    }
    assert!(kept > 1_000, "{kept}: too few to show anything");
}
