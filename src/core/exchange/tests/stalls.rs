//! Silence that several suffer at once.

use super::*;
use crate::core::health::Kind;

/// So many requests on one fleet at the same time, each as far as written.
struct Crowd {
    story: Story,
    exchanges: Vec<Exchange>,
    started: Vec<Vec<(Time, EndpointIx)>>,
}

impl Crowd {
    /// All are sent to the first endpoint now.
    fn waiting(story: Story, count: usize) -> Self {
        let mut crowd = Self {
            exchanges: (0..count).map(|_| story.exchange()).collect(),
            started: vec![Vec::new(); count],
            story,
        };
        for nth in 0..count {
            crowd.act(nth, Exchange::begin);
        }
        crowd
    }

    fn act(&mut self, nth: usize, act: impl FnOnce(&mut Exchange, &mut Scene<'_>)) {
        let now = self.story.now;
        let mut sent = Vec::new();
        self.with(nth, act);
        while let Some(action) = self.exchanges[nth].poll() {
            if let Action::Start { attempt, endpoint } = action {
                self.started[nth].push((now, endpoint));
                sent.push(attempt);
            }
        }
        for id in sent {
            self.with(nth, |exchange, scene| {
                exchange.on(Input::Connected(id), scene);
            });
            self.with(nth, |exchange, scene| {
                exchange.on(Input::Sent(id), scene);
            });
        }
    }

    fn with(&mut self, nth: usize, act: impl FnOnce(&mut Exchange, &mut Scene<'_>)) {
        let story = &mut self.story;
        let mut scene = Scene {
            catalog: &story.catalog,
            health: &story.health,
            rng: &mut story.rng,
            now: story.now,
        };
        act(&mut self.exchanges[nth], &mut scene);
    }

    /// Lets time pass, in the order of everybody's timers.
    fn pass(&mut self, time: Duration) {
        let end = self.story.now + time;
        loop {
            let due = |exchange: &Exchange| exchange.deadline();
            let next = self.exchanges.iter().enumerate();
            let next = next
                .filter_map(|(nth, exchange)| Some((due(exchange)?, nth)))
                .min();
            let Some((due, nth)) = next.filter(|(due, _)| *due <= end) else {
                break;
            };
            self.story.now = self.story.now.max(due);
            self.act(nth, |exchange, scene| exchange.on(Input::Timer, scene));
        }
        self.story.now = end;
    }

    /// How many requests were sent to the endpoint.
    fn sent_to(&self, endpoint: usize) -> usize {
        let all = self.started.iter().flatten();
        all.filter(|(_, to)| to.get() == endpoint).count()
    }
}

/// A pool whose first endpoint answered thirty requests within 300 ms each.
fn warm(models: &[(&str, &[&str])]) -> Story {
    let mut story = Story::of(models);
    for _ in 0..30 {
        story.pass(SECOND);
        let mut run = story.run();
        run.sent();
        run.story.pass(Duration::from_millis(300));
        run.content().progress(false, true);
        run.on(Input::Event(AttemptId(0), StreamEvent::Done));
    }
    story
}

#[test]
fn three_who_wait_in_vain_leave_long_before_their_deadline() {
    let mut crowd = Crowd::waiting(warm(PAIR), 4);
    crowd.pass(Duration::from_millis(900));
    assert_eq!(crowd.sent_to(1), 0);
    crowd.pass(Duration::from_millis(1100));
    assert_eq!(crowd.sent_to(1), 4);
    assert_eq!(crowd.story.state(0), State::Open);
    let moved = crowd.started.iter().map(|started| started[1].0);
    let spread = moved.clone().max().unwrap().since(moved.min().unwrap());
    assert!(spread > Duration::ZERO && spread <= Duration::from_millis(300));
    let classes = crowd
        .exchanges
        .iter()
        .map(|exchange| exchange.ended()[0].class);
    assert!(classes.clone().all(|class| class == Class::Stalled));
    let trips = crowd
        .exchanges
        .iter()
        .filter(|exchange| exchange.ended()[0].tripped);
    assert_eq!(trips.count(), 1, "told once");
}

#[test]
fn two_who_wait_are_no_company() {
    let mut crowd = Crowd::waiting(warm(PAIR), 2);
    crowd.pass(5 * SECOND);
    assert_eq!(crowd.sent_to(1), 0);
}

#[test]
fn a_first_token_for_one_of_them_starts_the_clock_anew() {
    let mut crowd = Crowd::waiting(warm(PAIR), 5);
    for nth in 0..2 {
        crowd.pass(Duration::from_millis(900));
        let content = Progress {
            content: true,
            ..Progress::default()
        };
        let event = StreamEvent::Progress(content);
        crowd.act(nth, |exchange, scene| {
            exchange.on(Input::Event(AttemptId(0), event), scene);
        });
    }
    crowd.pass(Duration::from_millis(900));
    assert_eq!(crowd.story.state(0), State::Closed);
    crowd.pass(Duration::from_millis(500));
    assert_eq!((crowd.sent_to(1), crowd.story.state(0)), (3, State::Open));
}

#[test]
fn those_who_have_nowhere_to_go_wait_on() {
    let mut crowd = Crowd::waiting(warm(ALONE), 4);
    crowd.pass(20 * SECOND);
    assert_eq!(crowd.sent_to(0), 4);
    assert!(
        crowd
            .exchanges
            .iter()
            .all(|exchange| exchange.ended().is_empty())
    );
}

#[test]
fn other_kinds_are_no_company() {
    let mut story = warm(PAIR);
    story.reasons = true;
    let mut crowd = Crowd::waiting(story, 2);
    crowd.story.reasons = false;
    let mut others = Crowd::waiting(crowd.story, 2);
    others.pass(4 * SECOND);
    assert_eq!(others.story.state(0), State::Closed);
}

#[test]
fn silence_shows_in_the_expected_latency_before_anybody_gives_up() {
    let mut crowd = Crowd::waiting(warm(PAIR), 2);
    crowd.pass(3 * SECOND);
    let (health, now) = (&crowd.story.health, crowd.story.now);
    let view = health.view(EndpointIx::new(0), Kind::Stream, now);
    assert!(view.latency.unwrap() >= 3.0);
}
