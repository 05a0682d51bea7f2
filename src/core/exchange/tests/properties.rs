//! What holds whatever happens: random exchanges, many at once, against endpoints that do anything.

use super::*;
use crate::core::health::{Ended, Kind, Pool};
use crate::core::policy::{Share, Sort, Standing};

const QUAD: &[(&str, &[&str])] = &[("a/one", &["p", "q", "r", "s"]), ("b/two", &["p", "t"])];
const RUNS: u64 = 60;
const EXCHANGES: u64 = 150;

/// An exchange with what it has been told of its attempts.
struct Party {
    exchange: Exchange,
    live: Vec<AttemptId>,
    over: bool,
}

/// A pool under random traffic.
struct Chaos {
    story: Story,
    parties: Vec<Party>,
    rng: fastrand::Rng,
    attempts: usize,
}

impl Chaos {
    fn new(seed: u64) -> Self {
        let mut story = Story::of(QUAD);
        let mut rng = fastrand::Rng::with_seed(seed);
        story.policy.sort = Sort::ALL[rng.usize(..Sort::ALL.len())].1;
        story.rng = fastrand::Rng::with_seed(seed + 1);
        Self {
            story,
            parties: Vec::new(),
            rng,
            attempts: 0,
        }
    }

    fn act(&mut self, nth: usize, act: impl FnOnce(&mut Exchange, &mut Scene<'_>)) {
        let party = &mut self.parties[nth];
        let mut scene = Scene {
            catalog: &self.story.catalog,
            health: &self.story.health,
            rng: &mut self.story.rng,
            now: self.story.now,
        };
        act(&mut party.exchange, &mut scene);
        while let Some(action) = party.exchange.poll() {
            match action {
                Action::Start { attempt, .. } => {
                    self.attempts += 1;
                    party.live.push(attempt);
                }
                Action::Cancel(id) => party.live.retain(|live| *live != id),
                Action::Finish(_) => party.over = true,
                Action::Commit(_) | Action::Relay(_) | Action::Drop(_) => {}
            }
        }
    }

    fn on(&mut self, nth: usize, input: Input) {
        self.act(nth, |exchange, scene| exchange.on(input, scene));
    }

    fn begin(&mut self) {
        self.story.stream = self.rng.bool();
        self.story.reasons = self.rng.u8(..8) == 0;
        self.parties.push(Party {
            exchange: self.story.exchange(),
            live: Vec::new(),
            over: false,
        });
        self.act(self.parties.len() - 1, Exchange::begin);
    }

    /// Something happens to one of the exchanges, anything that a driver may say.
    fn step(&mut self) {
        self.story.pass(Duration::from_millis(self.rng.u64(0..400)));
        let nth = self.rng.usize(..self.parties.len());
        if self.parties[nth].over {
            return;
        }
        let Some(id) = self.parties[nth].live.last().copied() else {
            return self.on(nth, Input::Timer);
        };
        let content = StreamEvent::Progress(Progress {
            content: true,
            ..Progress::default()
        });
        let input = match self.rng.u8(..20) {
            0 | 1 => Input::Failed(id, Failure::Connect(ConnectFault::Refused)),
            2 => Input::Failed(id, answer(429, None, Some(SECOND))),
            3 | 4 => Input::Failed(id, answer(503, None, None)),
            5 => Input::Failed(id, answer(401, None, None)),
            6 => Input::Failed(id, Failure::Lost),
            7 => Input::ClientGone,
            8 => Input::Evacuate(id),
            9 => Input::Reconnecting(id),
            10 | 11 => Input::Sent(id),
            12 | 13 => Input::Timer,
            14 => Input::Answer(id, AnswerFacts::default()),
            15 => Input::Event(id, StreamEvent::Done),
            16 => Input::Eof(id),
            17 => Input::HoldFull(id),
            _ => Input::Event(id, content),
        };
        self.on(nth, input);
    }

    fn end(&mut self) {
        for nth in 0..self.parties.len() {
            self.on(nth, Input::ClientGone);
        }
    }
}

#[test]
fn nothing_is_left_behind_and_nobody_is_refused_while_somebody_could_be_asked() {
    let mut attempts = 0;
    for seed in 0..RUNS {
        let mut chaos = Chaos::new(seed);
        for _ in 0..EXCHANGES {
            chaos.begin();
            let newest = chaos.parties.last().unwrap();
            let health = &chaos.story.health;
            let now = chaos.story.now;
            let blocked = |ix: usize| {
                let view = health.view(EndpointIx::new(ix), Kind::Stream, now);
                view.blocked_until > now
            };
            let refused = newest.over && newest.exchange.ended().is_empty();
            assert!(
                !refused || (0..6).all(blocked),
                "seed {seed}: panic is the last resort"
            );
            for _ in 0..8 {
                chaos.step();
            }
        }
        chaos.end();
        for ix in 0..6 {
            let endpoint = chaos.story.health.endpoint(EndpointIx::new(ix));
            assert_eq!(endpoint.in_flight(), 0, "seed {seed}, endpoint {ix}");
            assert_eq!(
                endpoint.waiting_for_first_token(),
                0,
                "seed {seed}, endpoint {ix}"
            );
        }
        attempts += chaos.attempts;
    }
    println!(
        "{RUNS} runs, {} exchanges, {attempts} attempts",
        RUNS * EXCHANGES
    );
}

#[test]
fn every_policy_ranks_every_standing() {
    let mut rng = fastrand::Rng::with_seed(9);
    let maybe = |rng: &mut fastrand::Rng, most: f32| rng.bool().then(|| most * rng.f32());
    let cases = 20_000;
    for _ in 0..cases {
        let standing = Standing {
            position: rng.usize(..12),
            price: 100.0 * rng.f32() * f32::from(rng.u8(..2)),
            priced: rng.bool(),
            latency: maybe(&mut rng, 600.0),
            whole: rng.bool(),
            usual_latency: maybe(&mut rng, 600.0),
            throughput: maybe(&mut rng, 1000.0),
            usual_throughput: maybe(&mut rng, 1000.0),
            expected: rng.f32(),
        };
        let mut policy = Policy::built_in(PolicyName::new("any"));
        for (name, sort) in Sort::ALL {
            policy.sort = sort;
            for uniform in [0.0, rng.f32(), 1.0] {
                let key = policy.key(&standing, None, uniform);
                assert!(key.is_finite() && key >= 0.0, "{name} {standing:?} {key}");
                let percent = maybe(&mut rng, 100.0);
                let key = policy.key(&standing, Some(Share { percent }), uniform);
                assert!(key.is_finite(), "split {standing:?} {key}");
            }
        }
    }
    println!(
        "{cases} standings, {} policies and a split",
        Sort::ALL.len()
    );
}

#[test]
fn a_draw_among_healthy_endpoints_always_finds_one_and_shares_add_up() {
    let cases = 200;
    for seed in 0..cases {
        let mut chaos = Chaos::new(seed);
        for _ in 0..300 {
            let ix = EndpointIx::new(chaos.rng.usize(..4));
            let took = Duration::from_millis(chaos.rng.u64(1..5000));
            chaos
                .story
                .pass(Duration::from_millis(chaos.rng.u64(1..100)));
            let (health, now) = (&chaos.story.health, chaos.story.now);
            health.succeed(ix, ModelIx::new(0), Kind::Stream, now, took, now);
        }
        chaos.story.stream = true;
        let mut shares = [0.0_f32; 4];
        for _ in 0..100 {
            let mut run = chaos.story.run();
            run.on(Input::ClientGone);
            let Some(Action::Start { endpoint, .. }) = run.done.first() else {
                panic!("seed {seed}: a healthy pool has nobody");
            };
            shares[endpoint.get()] += 0.01;
        }
        let sum: f32 = shares.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3, "seed {seed}: {shares:?}");
    }
    println!("{cases} pools");
}

#[test]
fn the_retry_budget_pays_no_more_than_came_in() {
    let settings = BudgetSettings::default();
    let cases = 500;
    for seed in 0..cases {
        let mut rng = fastrand::Rng::with_seed(seed);
        let pool = Pool::default();
        let (mut now, mut paid) = (Time::ZERO, 0.0_f32);
        let mut came_in = pool.tokens(settings, now);
        for _ in 0..400 {
            let passed = Duration::from_millis(rng.u64(0..500));
            now = now + passed;
            came_in += passed.as_secs_f32() * settings.floor_per_second;
            if rng.bool() {
                pool.deposit(settings, now);
                came_in += settings.per_success;
            }
            let expected = rng.f32();
            let price = (0.1 + 2.5 * (1.0 - expected)).min(1.0);
            paid += f32::from(u8::from(pool.withdraw(settings, expected, now))) * price;
            let left = pool.tokens(settings, now);
            assert!((0.0..=came_in).contains(&left), "seed {seed}: {left}");
        }
        assert!(paid <= came_in + 0.01, "seed {seed}: {paid} of {came_in}");
    }
    println!("{cases} sequences of 400");
}

#[test]
fn a_closed_endpoint_that_failed_is_asked_again() {
    let cases = 200;
    for seed in 0..cases {
        let mut story = Story::of(PAIR);
        story.policy.sort = Sort::Adaptive;
        story.rng = fastrand::Rng::with_seed(seed);
        let mut rng = fastrand::Rng::with_seed(seed);
        let first = EndpointIx::new(0);
        let classes = [
            Class::ServerError,
            Class::FirstTokenTimeout,
            Class::StreamBroken,
        ];
        for _ in 0..rng.usize(1..3) {
            let ended = Ended {
                endpoint: first,
                class: classes[rng.usize(..classes.len())],
                bucket: Kind::Stream.into(),
                probe: false,
                started: story.now,
                retry_after: None,
            };
            story.health.fail(&ended, &mut rng, story.now);
        }
        let asked_within = (0..1000).find(|_| {
            story.pass(SECOND);
            let mut run = story.run();
            let asked = run.asked() == ["p"];
            run.answers();
            asked
        });
        let requests = asked_within.unwrap();
        assert!(requests <= 65, "seed {seed}: {requests} requests later");
    }
    println!("{cases} pools");
}
