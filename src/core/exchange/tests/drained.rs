//! What a drained endpoint gets: nothing new, whatever else fails.

use super::*;

fn ix(endpoint: usize) -> EndpointIx {
    EndpointIx::new(endpoint)
}

#[test]
fn traffic_leaves_a_drained_endpoint_and_comes_back_when_it_is_enabled() {
    let mut story = Story::of(PAIR);
    assert!(story.health.drain(ix(0)));
    assert!(!story.health.drain(ix(0)), "it is drained already");
    for _ in 0..50 {
        let mut run = story.run();
        run.answers();
        assert_eq!(run.asked(), ["q"]);
    }
    assert!(story.health.enable(ix(0)));
    story.health.drain(ix(1));
    assert_eq!(story.run().asked(), ["p"]);
}

#[test]
fn what_is_under_way_at_a_drained_endpoint_finishes_there() {
    let mut story = Story::of(ALONE);
    let mut run = story.run();
    run.sent().content();
    run.story.health.drain(ix(0));
    assert_eq!(run.story.health.endpoint(ix(0)).in_flight(), 1);
    run.progress(false, true);
    let id = run.latest();
    run.on(Input::Event(id, StreamEvent::Done));
    assert!(matches!(run.end(), End::Complete));
}

#[test]
fn neither_panic_nor_a_probe_nor_a_wait_reaches_a_drained_endpoint() {
    let mut story = Story::of(PAIR);
    story.health.drain(ix(0));
    // q fails, rests, and is all that is left to hope for.
    for _ in 0..20 {
        let mut run = story.run();
        while !matches!(run.done.last(), Some(Action::Finish(_))) {
            match run.exchange.deadline() {
                Some(_) if run.exchange.live.iter().flatten().next().is_none() => {
                    run.wait_for_deadline();
                }
                _ => {
                    run.status(503);
                }
            }
        }
        assert!(
            run.asked().iter().all(|provider| provider == "q"),
            "{:?}",
            run.asked()
        );
        story.pass(SECOND);
    }
    // It was rate-limited before: its Retry-After is nothing to wait for.
    let mut story = Story::of(ALONE);
    story.run().sent().fails(answer(429, None, Some(SECOND)));
    story.health.drain(ix(0));
    let run = story.run();
    assert_eq!(run.verdict().class, Class::Overloaded);
}

#[test]
fn a_model_that_is_drained_whole_is_refused_at_once_or_left_to_its_chain() {
    let mut story = Story::of(ALONE);
    story.health.drain(ix(0));
    let run = story.run();
    assert!(run.asked().is_empty());
    let verdict = run.verdict();
    assert_eq!((verdict.class, verdict.attempt), (Class::Overloaded, None));
    assert_eq!(verdict.retry_after, None);
    let mut story = Story::of(CHAIN);
    story.health.drain(ix(0));
    assert_eq!(story.run().asked(), ["r"]);
}

#[test]
fn a_retry_that_was_about_to_happen_does_not_after_a_drain() {
    let mut story = Story::of(ALONE);
    let mut run = story.run();
    run.status(500);
    assert_eq!(run.asked().len(), 1, "a pause before the same endpoint");
    run.story.health.drain(ix(0));
    run.wait_for_deadline();
    assert_eq!(run.asked().len(), 1);
    assert!(matches!(run.end(), End::Failed(_)));
}
