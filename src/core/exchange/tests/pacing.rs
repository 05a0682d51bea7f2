//! What an upstream tells of its limits: others of the model first, then all the same.

use super::*;
use crate::core::quota::{Quantity, Quotas, Window};

/// `p` answers, and tells that so much of 100 requests a minute is left.
fn told(story: &mut Story, remaining: u64) {
    let mut quotas = Quotas::default();
    let window = Window {
        limit: Some(100),
        remaining: Some(remaining),
        resets_in: Some(60 * SECOND),
        period: None,
    };
    quotas.set(Quantity::Requests, window);
    let mut run = story.run();
    assert_eq!(run.asked(), ["p"]);
    let id = run.latest();
    run.sent().on(Input::Limits(id, Box::new(quotas)));
    run.content().progress(false, true);
    run.on(Input::Event(id, StreamEvent::Done));
}

/// Who is asked first, where `p` is listed first.
fn first_asked(story: &mut Story) -> Vec<String> {
    let mut run = story.run();
    let asked = run.asked();
    if !asked.is_empty() {
        run.answers();
    }
    asked
}

#[test]
fn who_has_nothing_left_is_passed_over_until_the_reset() {
    let mut story = Story::of(PAIR);
    story.policy.sort = Sort::Ordered;
    told(&mut story, 0);
    assert_eq!(first_asked(&mut story), ["q"]);
    story.pass(59 * SECOND);
    assert_eq!(first_asked(&mut story), ["q"]);
    story.pass(2 * SECOND);
    assert_eq!(first_asked(&mut story), ["p"]);
}

#[test]
fn who_runs_short_gets_its_part_and_others_the_rest() {
    let mut story = Story::of(PAIR);
    story.policy.sort = Sort::Ordered;
    told(&mut story, 99);
    let mut by_p = 0;
    // Ten a second, of which not two are left.
    for _ in 0..300 {
        story.pass(SECOND / 10);
        by_p += usize::from(first_asked(&mut story) == ["p"]);
    }
    assert!((30..=99).contains(&by_p), "{by_p} in half a minute");
}

#[test]
fn a_sole_endpoint_is_asked_whatever_its_pace() {
    let mut story = Story::of(ALONE);
    told(&mut story, 30);
    for _ in 0..29 {
        assert_eq!(first_asked(&mut story), ["p"], "thirty at once");
    }
}

/// A bucket tells when it would be full; its 429 tells when there is something in it again.
#[test]
fn with_nothing_left_anywhere_it_is_asked_and_its_own_429_counts() {
    let mut story = Story::of(ALONE);
    told(&mut story, 0);
    let mut run = story.run();
    assert_eq!(run.asked(), ["p"]);
    run.sent().fails(answer(429, None, Some(SECOND)));
    let waited = run.wait_for_deadline();
    assert!(waited < 2 * SECOND, "{waited:?}");
    assert_eq!(run.asked(), ["p", "p"]);
}

#[test]
fn a_chain_comes_before_an_endpoint_with_nothing_left_and_after_one_that_is_paced() {
    let mut story = Story::of(CHAIN);
    told(&mut story, 0);
    assert_eq!(first_asked(&mut story), ["r"]);
    let mut story = Story::of(CHAIN);
    told(&mut story, 20);
    for _ in 0..19 {
        assert_eq!(first_asked(&mut story), ["p"]);
    }
}

/// What is told is the endpoint's, and outlives a reload.
#[test]
fn a_reload_keeps_what_was_told() {
    let mut story = Story::of(PAIR);
    story.policy.sort = Sort::Ordered;
    told(&mut story, 0);
    let (settings, budget) = (*story.health.settings(), BudgetSettings::default());
    let previous = Some((&story.catalog, &story.health));
    let next = Health::new(&story.catalog, settings, budget, previous);
    story.health = next;
    assert_eq!(first_asked(&mut story), ["q"]);
}
