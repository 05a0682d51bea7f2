//! That no attempt is beyond what a policy lets differ, requires and lets be spent: random fleets, limits and failures.

use super::*;
use crate::core::catalog::{DataCollection, Endpoint, Price, Quantization};
use crate::core::fixture::changed;
use crate::core::names::Region;
use crate::core::policy::{Degrade, Label, Otherwise, Require};

const FLEET: &[(&str, &[&str])] = &[
    ("a/one", &["p", "q", "r"]),
    ("b/two", &["p", "s"]),
    ("c/three", &["q", "t"]),
];
const RUNS: u64 = 4_000;

/// One of a few, or nothing.
fn maybe<T: Copy>(rng: &mut fastrand::Rng, all: &[T]) -> Option<T> {
    rng.bool().then(|| all[rng.usize(..all.len())])
}

fn random_fleet(rng: &mut fastrand::Rng) -> Catalog {
    changed(&catalog(FLEET), |_, endpoints| {
        for endpoint in endpoints {
            let price = maybe(rng, &[0.0, 1.0, 2.0, 5.0]);
            endpoint.price = Price {
                prompt: price,
                completion: price,
                cache_read: None,
            };
            let (_, quantization) = Quantization::ALL[rng.usize(..Quantization::ALL.len())];
            endpoint.labels.region = maybe(rng, &["eu", "us"]).map(Region::new);
            endpoint.labels.zdr = rng.bool();
            endpoint.labels.quantization = rng.bool().then_some(quantization);
            if rng.bool() {
                endpoint.labels.data_collection = DataCollection::Deny;
            }
        }
    })
}

fn random_limits(rng: &mut fastrand::Rng) -> Degrade {
    let mut labels = Label::ALL.map(|(_, label)| label).to_vec();
    labels.retain(|_| rng.bool());
    Degrade {
        max_price_ratio: maybe(rng, &[0.5, 1.0, 2.5]),
        max_added_latency: None,
        models: match rng.bool() {
            true => vec![["b/*", "c/three"][rng.usize(..2)].to_owned()],
            false => Vec::new(),
        },
        min_quantization: maybe(
            rng,
            &[Quantization::Fp6, Quantization::Fp8, Quantization::Bf16],
        ),
        labels,
        otherwise: Otherwise::Fail,
    }
}

/// The limits in the words of `docs/routing.md`, written down a second time.
fn is_within(catalog: &Catalog, limits: &Degrade, meant: &Endpoint, served: &Endpoint) -> bool {
    let (before, now) = (&meant.labels, &served.labels);
    let mut within = true;
    if served.model != meant.model {
        let name = catalog.model(served.model).name.as_str();
        within &= match limits.models.first().map(String::as_str) {
            None => true,
            Some("b/*") => name == "b/two",
            Some(exact) => name == exact,
        };
        within &= limits.max_price_ratio.is_none_or(|most| {
            let prices = meant.price.typical().zip(served.price.typical());
            prices.is_some_and(|(before, now)| match before > 0.0 {
                true => now / before <= most,
                false => now <= 0.0 && most >= 1.0,
            })
        });
    }
    if let Some(floor) = limits.min_quantization {
        let bits = |quantization: Option<Quantization>| quantization.map(Quantization::bits);
        within &= match (bits(before.quantization), bits(now.quantization)) {
            (Some(_), None) => false,
            (Some(before), Some(now)) => now >= floor.bits() || now >= before,
            (None, Some(now)) => now >= floor.bits(),
            (None, None) => true,
        };
    }
    for label in &limits.labels {
        within &= match label {
            Label::Region => before.region.is_none() || before.region == now.region,
            Label::Zdr => now.zdr || !before.zdr,
            Label::DataCollection => {
                now.data_collection == DataCollection::Deny
                    || before.data_collection == DataCollection::Allow
            }
        };
    }
    within
}

#[test]
fn no_attempt_is_beyond_the_limits() {
    let (mut fallbacks, mut failovers, mut kept_back) = (0, 0, 0);
    for seed in 0..RUNS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut story = Story::of(FLEET);
        story.catalog = random_fleet(&mut rng);
        story.rng = fastrand::Rng::with_seed(seed + 1);
        story.policy.sort = Sort::ALL[rng.usize(..Sort::ALL.len())].1;
        story.policy.attempts = 6;
        let limits = random_limits(&mut rng);
        story.policy.degrade = limits.clone();
        let zdr = rng.u8(..4) == 0;
        story.policy.require = Require {
            zdr,
            ..Require::default()
        };
        let begun = started(&mut story, &mut rng);
        let catalog = &story.catalog;
        let asked = ModelIx::new(0);
        let all: Vec<&Endpoint> = begun.iter().map(|ix| catalog.endpoint(*ix)).collect();
        assert!(
            all.iter().all(|endpoint| endpoint.labels.zdr || !zdr),
            "{seed}"
        );
        let Some(meant) = all.iter().find(|endpoint| endpoint.model == asked) else {
            continue;
        };
        for endpoint in &all {
            let within = is_within(catalog, &limits, meant, endpoint);
            assert!(within, "seed {seed}: {limits:?}\n{meant:?}\n{endpoint:?}");
            fallbacks += usize::from(endpoint.model != asked);
            failovers += usize::from(endpoint.model == asked && endpoint.id != meant.id);
        }
        let others = catalog.endpoints().iter().filter(|it| it.model != asked);
        kept_back += others
            .filter(|it| !is_within(catalog, &limits, meant, it))
            .count();
    }
    let seen = [fallbacks, failovers, kept_back];
    assert!(seen.iter().all(|count| *count > 500), "{seen:?}");
}

/// Who is asked in one exchange that fails in ever new ways.
fn started(story: &mut Story, rng: &mut fastrand::Rng) -> Vec<EndpointIx> {
    let mut run = story.run();
    for _ in 0..40 {
        if matches!(run.done.last(), Some(Action::Finish(_))) {
            break;
        }
        let waits = matches!(run.done.last(), Some(Action::Cancel(_)));
        if waits {
            run.wait_for_deadline();
        } else {
            let status = [500, 503, 429, 404, 401][rng.usize(..5)];
            run.status(status);
        }
    }
    let actions = run.done.iter();
    let begun = actions.filter_map(|action| match action {
        Action::Start { endpoint, .. } => Some(*endpoint),
        _ => None,
    });
    begun.collect()
}

#[test]
fn the_attempts_of_a_request_cost_no_more_than_they_may() {
    // A typical answer costs 0.0003 USD at `p`, half as much again at `q`, twice as much at `r`.
    let check = |max_cost: f64, expected: &[&str]| {
        let mut story = Story::of(&[("a/one", &["p", "q", "r"])]);
        story.policy.max_cost = Some(max_cost);
        story.policy.attempts = 6;
        let mut run = story.run();
        run.status(404);
        while !matches!(run.done.last(), Some(Action::Finish(_))) {
            run.status(404);
        }
        assert_eq!(run.asked(), expected, "{max_cost}");
        assert_eq!(run.verdict().class, Class::ModelUnavailable);
    };
    check(0.000_301, &["p"]);
    check(0.000_75, &["p", "q"]);
    check(0.000_91, &["p", "q"]);
    check(0.001_35, &["p", "q", "r"]);
}

#[test]
fn the_models_only_endpoint_is_not_asked_again_when_that_costs_too_much() {
    let mut story = Story::of(ALONE);
    story.policy.max_cost = Some(0.000_5);
    let mut run = story.run();
    run.status(500);
    assert!(matches!(run.end(), End::Failed(_)));
    assert_eq!(run.asked(), ["p"]);
}

#[test]
fn a_fallback_that_is_slower_than_allowed_is_not_taken() {
    let check = |most: Duration, expected: &[&str]| {
        let mut story = Story::of(CHAIN);
        story.policy.layers.retry = false;
        story.policy.degrade.max_added_latency = Some(most);
        for (endpoint, took) in [(0, SECOND), (1, 4 * SECOND)] {
            for _ in 0..30 {
                story.pass(SECOND);
                let (ix, asked) = (EndpointIx::new(endpoint), ModelIx::new(endpoint));
                let bucket = Kind::Stream;
                story
                    .health
                    .succeed(ix, asked, bucket, story.now, took, story.now);
            }
        }
        let mut run = story.run();
        run.status(404);
        assert_eq!(run.asked(), expected, "{most:?}");
    };
    check(4 * SECOND, &["p", "r"]);
    check(2 * SECOND, &["p"]);
}
