//! What each kind of failure leads to.

use super::*;

#[test]
fn a_healthy_answer_is_relayed_from_its_first_content_on() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().progress(false, false);
    assert!(!run.exchange.is_committed(), "a role delta is held back");
    run.answers();
    assert_eq!(run.asked(), ["p"]);
    assert_eq!(run.end(), &End::Complete);
    let id = AttemptId(0);
    let commits = run.done.iter().filter(|act| **act == Action::Commit(id));
    assert_eq!(commits.count(), 1);
    assert_eq!(run.exchange.record().result, Result::Answered);
}

#[test]
fn what_an_upstream_counts_is_expected_of_the_next_request() {
    let mut story = Story::of(PAIR);
    story.body_bytes = 8_000;
    assert_eq!(story.exchange().record().prompt_estimate, 2_000);
    for _ in 0..50 {
        let mut run = story.run();
        let usage = Usage {
            prompt_tokens: 4_000,
            completion_tokens: 900,
            ..Usage::default()
        };
        let counted = Progress {
            content: true,
            finished: true,
            last: true,
            usage: Some(usage),
        };
        run.sent()
            .on(Input::Event(AttemptId(0), StreamEvent::Progress(counted)));
        assert_eq!(run.end(), &End::Complete);
    }
    let exchange = story.exchange();
    let facts = &exchange.plan.facts;
    assert!((3_800..=4_000).contains(&facts.prompt_tokens()));
    assert!((750..=900).contains(&facts.completion_tokens()));
    assert_eq!(facts.least_prompt_tokens(), 1_000, "what is sure stays so");
}

#[test]
fn a_server_error_moves_on_to_the_next_provider() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.status(500).answers();
    assert_eq!(run.asked(), ["p", "q"]);
    assert_eq!(run.end(), &End::Complete);
    assert_eq!(run.exchange.record().attempts.len(), 2);
}

#[test]
fn a_models_only_endpoint_is_asked_once_more_before_the_model_changes() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.status(500);
    assert_eq!(run.asked(), ["p"]);
    assert!(run.wait_for_deadline() < SECOND);
    run.answers();
    assert_eq!(run.asked(), ["p", "p"]);
    assert_eq!(run.exchange.fallback(), None);
}

#[test]
fn when_the_second_try_fails_too_the_chain_answers() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.status(503);
    run.wait_for_deadline();
    run.status(503).answers();
    assert_eq!(run.asked(), ["p", "p", "r"]);
    assert_eq!(run.exchange.fallback(), Some(Class::Overloaded));
}

#[test]
fn the_last_attempt_is_kept_for_the_chain() {
    let mut story = Story::of(CHAIN);
    story.policy.attempts = 2;
    let mut run = story.run();
    run.status(500).answers();
    assert_eq!(run.asked(), ["p", "r"]);
}

#[test]
fn silence_is_not_repeated_on_the_same_endpoint() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.sent();
    assert_eq!(run.wait_for_deadline(), Duration::from_secs(10), "cold");
    assert_eq!(run.asked(), ["p", "r"]);
    assert_eq!(
        run.exchange.record().attempts[0].class,
        Class::FirstTokenTimeout
    );
}

#[test]
fn without_an_alternative_a_first_token_is_waited_for_longer() {
    let mut story = Story::of(ALONE);
    let mut run = story.run();
    run.sent();
    assert_eq!(run.wait_for_deadline(), Duration::from_secs(30));
    assert_eq!(run.verdict().class, Class::FirstTokenTimeout);
}

#[test]
fn role_deltas_and_comments_do_not_move_the_first_token_deadline() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.sent();
    let due = run.exchange.deadline();
    run.story.pass(SECOND);
    run.progress(false, false);
    run.on(Input::Event(AttemptId(0), StreamEvent::Idle));
    assert_eq!(run.exchange.deadline(), due);
}

#[test]
fn a_short_retry_after_is_waited_for_on_the_only_endpoint() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(2 * SECOND)));
    let waited = run.wait_for_deadline();
    assert!(waited >= 2 * SECOND && waited < 3 * SECOND, "{waited:?}");
    run.answers();
    assert_eq!(run.asked(), ["p", "p"]);
}

#[test]
fn a_rate_limit_that_lasts_is_waited_for_only_once() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.status(429);
    run.wait_for_deadline();
    run.status(429).answers();
    assert_eq!(run.asked(), ["p", "p", "r"]);
    assert_eq!(run.exchange.fallback(), Some(Class::RateLimited));
}

#[test]
fn a_retry_after_beyond_patience_goes_to_the_chain_at_once() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(30 * SECOND)));
    assert_eq!(run.asked(), ["p", "r"]);
}

#[test]
fn a_rate_limited_pool_without_a_chain_answers_429_with_the_shortest_wait() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().fails(answer(429, None, Some(40 * SECOND)));
    run.sent().fails(answer(429, None, Some(20 * SECOND)));
    assert_eq!(run.verdict().class, Class::RateLimited);
    assert_eq!(run.verdict().retry_after, Some(20 * SECOND));
    drop(run);
    let run = story.run();
    assert_eq!(
        run.asked(),
        Vec::<String>::new(),
        "blocked: nobody is asked"
    );
    assert!(run.verdict().retry_after.is_some());
}

#[test]
fn a_rate_limit_is_no_sign_of_bad_health() {
    let mut story = Story::of(PAIR);
    for _ in 0..20 {
        story.pass(70 * SECOND);
        story.run().status(429).answers();
    }
    assert_eq!(story.state(0), State::Closed);
}

#[test]
fn what_the_caller_did_wrong_is_returned_at_once() {
    for (status, hint) in [(400, None), (422, None), (400, Some(Hint::ContentFiltered))] {
        let mut story = Story::of(CHAIN);
        let mut run = story.run();
        run.sent().fails(answer(status, hint, None));
        assert_eq!(run.asked(), ["p"]);
        assert_eq!(run.verdict().attempt, Some(AttemptId(0)));
        assert!(run.verdict().facts.is_some());
    }
}

#[test]
fn a_prompt_too_long_goes_to_a_larger_window_only() {
    for (window, asked) in [
        (Some(8), vec!["p"]),
        (Some(99), vec!["p", "r"]),
        (None, vec!["p", "r"]),
    ] {
        let mut story = Story::of(CHAIN);
        let mut run = story.run();
        run.exchange.plan.legs[0].context_length = Some(16);
        run.exchange.plan.legs[1].context_length = window;
        run.sent()
            .fails(answer(400, Some(Hint::ContextTooLong), None));
        assert_eq!(run.asked(), asked, "{window:?}");
    }
}

#[test]
fn a_fallbacks_refusal_is_not_shown_after_a_transient_failure() {
    let mut story = Story::of(CHAIN);
    let mut run = story.run();
    run.status(500);
    run.wait_for_deadline();
    run.status(502).status(400);
    assert_eq!(run.asked(), ["p", "p", "r"]);
    assert_eq!(run.verdict().class, Class::ServerError);
}

#[test]
fn a_cut_before_the_first_content_is_recovered_and_one_after_it_is_not() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().progress(false, false);
    run.on(Input::Eof(AttemptId(0)));
    assert_eq!(run.asked(), ["p", "q"]);
    run.sent().content().fails(Failure::Lost);
    assert_eq!(run.asked(), ["p", "q"]);
    assert!(matches!(run.end(), End::Broken(_)));
    assert_eq!(run.exchange.record().result, Result::Broken);
}

#[test]
fn a_clean_end_without_the_terminal_event_is_broken_all_the_same() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().content().on(Input::Eof(AttemptId(0)));
    assert!(matches!(run.end(), End::Broken(_)));
}

#[test]
fn a_finished_stream_needs_no_end_marker() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().content().progress(false, true);
    run.on(Input::Eof(AttemptId(0)));
    assert_eq!(run.end(), &End::Complete);
    drop(run);
    let mut run = story.run();
    run.sent().content().progress(false, true);
    assert_eq!(run.wait_for_deadline(), 5 * SECOND);
    assert_eq!(run.end(), &End::Complete);
}

#[test]
fn silence_between_contents_breaks_the_stream_after_idle() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().content();
    assert_eq!(run.wait_for_deadline(), 20 * SECOND);
    assert!(matches!(run.end(), End::Broken(_)));
}

#[test]
fn a_malformed_event_is_dropped_in_text_and_fatal_in_a_tool_call() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    let malformed = |fatal| Input::Event(AttemptId(0), StreamEvent::Malformed { fatal });
    run.sent().content().on(malformed(false));
    assert_eq!(run.done.last(), Some(&Action::Drop(AttemptId(0))));
    run.on(malformed(true));
    assert!(matches!(run.end(), End::Broken(_)));
    assert_eq!(run.exchange.record().malformed, 1);
}

#[test]
fn an_empty_completion_is_no_answer() {
    let mut story = Story::of(PAIR).json();
    let mut run = story.run();
    let empty = AnswerFacts {
        empty: true,
        usage: None,
    };
    run.sent().on(Input::Answer(AttemptId(0), empty));
    assert_eq!(run.asked(), ["p", "q"]);
    let whole = AnswerFacts::default();
    run.sent().on(Input::Answer(AttemptId(1), whole));
    assert_eq!(run.end(), &End::Complete);
}

#[test]
fn a_json_answer_has_its_own_deadline() {
    let mut alone = Story::of(ALONE).json();
    let mut run = alone.run();
    run.sent();
    assert_eq!(run.wait_for_deadline(), Duration::from_secs(120));
    assert_eq!(run.verdict().class, Class::AnswerTimeout);
    drop(run);
    let mut story = Story::of(CHAIN).json();
    let mut run = story.run();
    run.sent();
    let cold = run.wait_for_deadline();
    assert_eq!(cold, 40 * SECOND, "the chain may still begin within 60 s");
    assert_eq!(run.asked(), ["p", "r"]);
    drop(run);
    story.policy.timeouts.answer = Some(5 * SECOND);
    let mut run = story.run();
    run.sent();
    run.wait_for_deadline();
    assert_eq!(run.asked(), ["p", "r"]);
}

#[test]
fn a_client_that_leaves_ends_everything() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().on(Input::ClientGone);
    assert_eq!(run.end(), &End::ClientGone);
    assert!(run.done.contains(&Action::Cancel(AttemptId(0))));
    assert_eq!(story.health.endpoint(EndpointIx::new(0)).in_flight(), 0);
    assert_eq!(story.state(0), State::Closed);
}

#[test]
fn three_failures_in_a_row_trip_and_later_requests_go_elsewhere_at_once() {
    let mut story = Story::of(CHAIN);
    story.policy.layers.retry = false;
    for _ in 0..3 {
        let mut run = story.run();
        run.status(500).answers();
        assert_eq!(run.asked(), ["p", "r"]);
    }
    assert_eq!(story.state(0), State::Open);
    let mut run = story.run();
    run.answers();
    assert_eq!(run.asked(), ["r"]);
}

#[test]
fn a_refused_connection_trips_the_host_for_all_its_endpoints_at_once() {
    let mut story = Story::of(&[("a/one", &["p", "q"]), ("b/two", &["p"])]);
    let mut run = story.run();
    run.fails(Failure::Connect(ConnectFault::Refused)).answers();
    assert_eq!(run.asked(), ["p", "q"]);
    assert_eq!(story.state(0), State::Open);
    assert_eq!(story.state(2), State::Open, "the other model on that host");
}

#[test]
fn a_rejected_key_rests_every_endpoint_that_uses_it() {
    let mut story = Story::of(&[("a/one", &["p", "q"]), ("b/two", &["p"])]);
    story.run().status(401).answers();
    assert_eq!(story.state(2), State::Open);
}

#[test]
fn a_fast_failure_is_probed_at_most_every_ten_seconds_and_comes_back_by_two_successes() {
    let mut story = Story::of(CHAIN);
    let mut asked = Vec::new();
    // One request every four seconds; the provider is down for sixty.
    for tick in 0..25_u64 {
        let mut run = story.run();
        let down = tick * 4 < 60;
        while !matches!(run.done.last(), Some(Action::Finish(_))) {
            let primary = run.asked().last().map(String::as_str) == Some("p");
            match run.exchange.live.iter().flatten().next() {
                None => drop(run.wait_for_deadline()),
                Some(_) if primary && down => drop(run.status(503)),
                Some(_) => drop(run.answers()),
            }
        }
        asked.push(run.asked());
        story.pass(4 * SECOND);
    }
    let on_primary: usize = asked[..15]
        .iter()
        .map(|providers| providers.iter().filter(|name| *name == "p").count())
        .sum();
    assert!(on_primary <= 10, "{on_primary} attempts on a dead provider");
    let back = asked[15..].iter().position(|providers| *providers == ["p"]);
    assert!(back.is_some_and(|requests| requests <= 6), "{asked:?}");
    assert_eq!(asked.last().unwrap(), &["p"]);
}

#[test]
fn a_slow_failure_is_not_probed_without_traffic_that_pays_for_it() {
    let mut story = Story::of(CHAIN);
    story.policy.timeouts.first_token = Some(SECOND);
    for _ in 0..2 {
        let mut run = story.run();
        run.sent();
        run.wait_for_deadline();
        run.answers();
    }
    assert_eq!(story.state(0), State::Open);
    story.pass(60 * SECOND);
    for _ in 0..10 {
        let mut run = story.run();
        run.answers();
        assert_eq!(run.asked(), ["r"]);
    }
}

#[test]
fn with_everything_open_and_no_chain_the_request_is_tried_all_the_same() {
    let mut story = Story::of(ALONE);
    for _ in 0..4 {
        let mut run = story.run();
        run.status(500);
        while run.exchange.deadline().is_some() {
            run.wait_for_deadline();
            run.status(500);
        }
    }
    assert_eq!(story.state(0), State::Open);
    let mut run = story.run();
    run.answers();
    assert_eq!(run.asked(), ["p"]);
}

#[test]
fn a_total_outage_is_not_met_with_a_storm_of_retries() {
    let mut story = Story::of(PAIR);
    let begun = story.now;
    let mut attempts = 0;
    for _ in 0..200 {
        let mut run = story.run();
        while !matches!(run.done.last(), Some(Action::Finish(_))) {
            match run.exchange.live.iter().flatten().next() {
                None => drop(run.wait_for_deadline()),
                Some(_) => drop(run.status(500)),
            }
        }
        attempts += run.asked().len();
        story.pass(Duration::from_millis(20));
    }
    // The bucket, what has come into it, and nothing else: waiting for better times takes time.
    let paid = 10.0 + 0.5 * story.now.since(begun).as_secs_f64();
    let extra = (attempts - 200) as f64;
    assert!(extra <= paid + 2.0, "{extra} extra attempts, {paid} paid");
}

#[test]
fn layers_that_are_off_are_not_used() {
    let mut story = Story::of(CHAIN);
    story.policy.layers.fallback = false;
    story.policy.layers.retry = false;
    let mut run = story.run();
    run.status(500);
    assert_eq!(run.asked(), ["p"]);
    drop(run);
    let mut story = Story::of(PAIR);
    story.policy.layers.failover = false;
    story.policy.layers.retry = false;
    let mut run = story.run();
    run.status(500);
    assert_eq!(run.asked(), ["p"]);
}

#[test]
fn no_attempt_starts_after_the_policys_deadline() {
    let mut story = Story::of(PAIR);
    story.policy.deadline = 5 * SECOND;
    let mut run = story.run();
    run.story.pass(6 * SECOND);
    run.status(500);
    assert_eq!(run.asked(), ["p"]);
}

#[test]
fn a_held_answer_that_reaches_the_cap_is_released() {
    let mut story = Story::of(PAIR).json();
    let mut run = story.run();
    run.sent().on(Input::HoldFull(AttemptId(0)));
    assert!(run.exchange.is_committed());
    run.on(Input::Eof(AttemptId(0)));
    assert_eq!(run.end(), &End::Complete);
}

#[test]
fn a_model_that_is_passed_over_says_whose_fault_it_was() {
    for (status, times, class) in [(401, 1, Class::AuthRejected), (503, 3, Class::Overloaded)] {
        let mut story = Story::of(CHAIN);
        story.policy.layers.retry = false;
        for _ in 0..times {
            story.run().status(status).answers();
        }
        let mut run = story.run();
        run.answers();
        assert_eq!(run.asked(), ["r"]);
        assert_eq!(run.exchange.fallback(), Some(class));
    }
}

#[test]
fn a_stream_that_falls_silent_is_told_as_a_stall() {
    let mut story = Story::of(PAIR);
    let mut run = story.run();
    run.sent().content().wait_for_deadline();
    assert_eq!(run.verdict().class, Class::Stalled);
    assert_eq!(run.exchange.record().attempts[0].class, Class::StreamBroken);
}

/// Ten minutes of one request every four seconds; the preferred endpoint answers 503 for a minute.
#[test]
fn a_fast_failure_trips_and_comes_back_however_little_traffic_there_is() {
    let mut story = Story::of(PAIR);
    story.policy.sort = Sort::Adaptive;
    let mut share_before = 0.0;
    let mut tripped = false;
    for nth in 0..150 {
        let down = (60..75).contains(&nth);
        let mut run = story.run();
        let preferred = run.asked() == ["p"];
        if down && preferred {
            run.status(503);
        }
        run.answers();
        drop(run);
        tripped |= down && story.state(0) != State::Closed;
        match nth {
            40..60 => share_before += f32::from(u8::from(preferred)) / 20.0,
            83..90 => assert_eq!(story.state(0), State::Closed, "30 s after the end"),
            _ => {}
        }
        story.pass(4 * SECOND);
    }
    assert!(tripped && share_before > 0.5, "{share_before}");
}
