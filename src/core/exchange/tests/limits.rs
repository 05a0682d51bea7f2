//! What bounds recovery: deadlines, budgets, waiting places, and who may be blamed.

use super::*;
use crate::core::catalog::ModelIx;

fn first() -> EndpointIx {
    EndpointIx::new(0)
}

/// Spends the pool's retry budget.
fn bankrupt(story: &Story) {
    while story.health.pay_for(ModelIx::new(0), first(), story.now) {}
}

#[test]
fn an_unpaid_wait_gives_its_place_back() {
    let mut story = Story::of(ALONE);
    for _ in 0..70 {
        bankrupt(&story);
        let mut run = story.run();
        run.sent().fails(answer(429, None, Some(SECOND)));
        assert!(matches!(run.end(), End::Failed(_)));
        drop(run);
        story.pass(5 * SECOND);
    }
    let now = story.now;
    assert!(
        story
            .health
            .begin_wait(first(), 64, Time::NEVER, now)
            .is_some()
    );
}

#[test]
fn a_client_that_leaves_while_waiting_gives_its_place_back() {
    let mut story = Story::of(ALONE);
    for _ in 0..70 {
        let mut run = story.run();
        if run.asked().is_empty() {
            run.on(Input::ClientGone);
        } else {
            run.status(429).on(Input::ClientGone);
        }
    }
    story.pass(5 * SECOND);
    let now = story.now;
    assert!(
        story
            .health
            .begin_wait(first(), 1, Time::NEVER, now)
            .is_some()
    );
}

#[test]
fn no_wait_goes_beyond_the_policys_deadline() {
    let mut story = Story::of(ALONE);
    story.policy.deadline = SECOND;
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(2 * SECOND)));
    assert_eq!(run.verdict().retry_after, Some(2 * SECOND));
}

#[test]
fn what_was_waited_for_is_looked_at_again() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(SECOND)));
    // Meanwhile another request was told to wait much longer.
    let longer = Ended {
        endpoint: first(),
        class: Class::RateLimited,
        bucket: Kind::Stream.into(),
        probe: false,
        started: run.story.now,
        retry_after: Some(30 * SECOND),
    };
    run.story
        .health
        .fail(&longer, &mut fastrand::Rng::with_seed(1), run.story.now);
    run.wait_for_deadline();
    assert_eq!(run.asked(), ["p", "r"]);
    assert_eq!(run.exchange.fallback(), Some(Class::RateLimited));
}

#[test]
fn an_endpoint_is_not_blamed_for_the_requests_own_deadline() {
    let mut story = Story::of(PAIR);
    story.policy.deadline = Duration::from_secs(12);
    let mut run = story.run();
    run.sent().wait_for_deadline();
    assert_eq!(run.asked(), ["p", "q"], "p was silent for ten seconds");
    run.sent();
    assert_eq!(run.wait_for_deadline(), 2 * SECOND);
    assert_eq!(run.verdict().class, Class::FirstTokenTimeout);
    let trust = |endpoint| {
        let endpoint = EndpointIx::new(endpoint);
        story.health.endpoint(endpoint).expected_success(story.now)
    };
    assert!(trust(0) < 0.9);
    assert!(trust(1) > 0.97, "two seconds of silence are no proof");
}

#[test]
fn a_short_policy_deadline_does_not_hide_a_silent_endpoint() {
    let mut story = Story::of(ALONE);
    story.policy.deadline = Duration::from_secs(12);
    for _ in 0..2 {
        story.run().sent().wait_for_deadline();
    }
    assert_eq!(story.state(0), State::Open);
}

#[test]
fn no_attempt_begins_with_hardly_any_time_left() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.story.pass(Duration::from_millis(59_500));
    run.status(500);
    assert_eq!(run.asked(), ["p"]);
}

#[test]
fn bytes_that_keep_coming_do_not_stop_the_clock() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent();
    for _ in 0..11 {
        run.story.pass(SECOND);
        run.on(Input::Event(AttemptId(0), StreamEvent::Idle));
    }
    assert_eq!(run.asked(), ["p", "q"], "comments for ever are silence");
    run.sent().content();
    run.story.pass(Duration::from_secs(700));
    run.content();
    assert!(matches!(run.end(), End::Broken(_)), "the request's total");
}

#[test]
fn a_first_token_that_is_read_late_is_still_an_answer() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent();
    run.story.pass(Duration::from_secs(11));
    run.content();
    assert_eq!(run.asked(), ["p"]);
    assert!(run.exchange.is_committed());
}

#[test]
fn a_fallbacks_refusal_does_not_end_the_search_where_another_could_answer() {
    let mut story = Story::of(&[("a/one", &["p"]), ("b/two", &["r"]), ("c/three", &["s"])]);
    story.policy.attempts = 5;
    let mut run = story.run();
    run.status(503);
    run.wait_for_deadline();
    run.status(503);
    run.sent()
        .fails(answer(400, Some(Hint::ContextTooLong), None));
    assert_eq!(run.asked(), ["p", "p", "r", "s"]);
}

#[test]
fn a_429_that_names_no_time_hides_none_that_does() {
    let mut story = Story::of(PAIR);
    story.policy.layers.retry = false;
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(20 * SECOND)));
    run.sent().fails(answer(429, None, None));
    assert_eq!(
        run.verdict().retry_after,
        Some(SECOND),
        "a second if absent"
    );
}

#[test]
fn a_json_answer_is_awaited_as_long_as_its_like_took() {
    let mut story = Story::of(PAIR).json();
    for _ in 0..30 {
        let mut run = story.run();
        run.sent();
        run.story.pass(4 * SECOND);
        run.on(Input::Answer(AttemptId(0), AnswerFacts::default()));
    }
    let mut run = story.run();
    run.sent();
    let waited = run.wait_for_deadline();
    assert!(waited < 60 * SECOND && waited >= 30 * SECOND, "{waited:?}");
    assert_eq!(run.asked(), ["p", "q"], "the other provider still can");
}

#[test]
fn without_failover_nobody_else_shortens_a_deadline() {
    let mut story = Story::of(PAIR);
    story.policy.layers.failover = false;
    let mut run = story.run();
    run.sent();
    assert_eq!(run.wait_for_deadline(), Duration::from_secs(30));
}

#[test]
fn what_nobody_promised_does_not_trip_an_endpoint_that_lacks_it() {
    for (unproven, status, expected) in [
        (true, 404, State::Closed),
        (true, 403, State::Closed),
        (false, 404, State::Open),
        (true, 500, State::Open),
    ] {
        let mut story = Story::of(PAIR);
        story.unproven = unproven;
        for _ in 0..6 {
            let mut run = story.run();
            run.status(status).answers();
            assert_eq!(run.end(), &End::Complete, "the next provider answers");
        }
        assert_eq!(story.state(0), expected, "{unproven} {status}");
    }
}
