//! Owns a run: virtual time, arrivals, and the events between requests and endpoints. Must never read a clock.

use std::sync::Arc;

use fastrand::Rng;

use crate::cmd::simulate::chance::{self, Subject, stream};
use crate::cmd::simulate::choice::Decides;
use crate::cmd::simulate::drive::{Drive, Due, Step, Wish, seconds, span};
use crate::cmd::simulate::fleet::Fleet;
use crate::cmd::simulate::ledger::{Ledger, Sent};
use crate::cmd::simulate::queue::Queue;
use crate::cmd::simulate::scenario::{Load, Scenario};
use crate::cmd::simulate::upstream::{Ask, Upstream};
use crate::core::catalog::ModelIx;
use crate::core::exchange::{AttemptId, Exchange, Scene};
use crate::core::plan::{Plan, RequestFacts};
use crate::core::time::Time;

/// Between an answer and a client's next request in a closed loop, in seconds.
const THINKING: f64 = 0.2;
/// Prompts where a scenario does not say, in tokens.
const USUAL_PROMPT: f64 = 500.0;
/// What a token takes in a request's body: English text has about four characters a token.
const BYTES_PER_TOKEN: f64 = 4.0;

/// Something that happens at an instant.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A request of the open loop.
    Arrival,
    /// A client of the closed loop asks.
    Client(usize),
    /// An endpoint goes on with an attempt.
    Step {
        at: Seat,
        attempt: AttemptId,
        step: Step,
    },
    /// A deadline may have passed.
    Timer(Seat),
}

/// Where a request sits while it is under way; who sat there before is not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seat {
    position: usize,
    request: u64,
}

/// One run of one scenario under one policy.
struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    fleet: Fleet,
    upstream: Upstream<'a>,
    queue: Queue<Event>,
    arrivals: Rng,
    routing: Rng,
    seats: Vec<Option<Drive>>,
    free: Vec<usize>,
    requests: u64,
    ledger: Ledger,
    now: Time,
}

/// Runs a scenario. The same arguments give the same ledger.
pub(super) fn run(scenario: &Scenario, decides: impl Into<Decides>, seed: u64) -> Ledger {
    let mut world = World {
        scenario,
        seed,
        fleet: Fleet::of(scenario, &decides.into()),
        upstream: Upstream::new(scenario),
        queue: Queue::new(),
        arrivals: stream(seed, Subject::Arrivals),
        routing: stream(seed, Subject::Routing),
        seats: Vec::new(),
        free: Vec::new(),
        requests: 0,
        ledger: Ledger::default(),
        now: Time::ZERO,
    };
    world.open();
    while let Some((at, event)) = world.queue.take() {
        world.now = at;
        world.happen(event);
    }
    world.ledger
}

impl World<'_> {
    fn open(&mut self) {
        match self.scenario.load {
            Load::Open => self.next_arrival(),
            Load::Closed { clients } => {
                for client in 0..clients {
                    let first = chance::uniform(&mut self.arrivals, 0.0, 1.0);
                    self.queue
                        .put(Time::ZERO + span(first), Event::Client(client));
                }
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival => {
                self.arrive(None);
                self.next_arrival();
            }
            Event::Client(client) => self.arrive(Some(client)),
            Event::Step { at, attempt, step } => {
                self.with(at, |drive, scene| drive.step(attempt, step, scene));
            }
            Event::Timer(at) => self.with(at, |drive, scene| {
                drive.look_at_clock(scene);
                None
            }),
        }
    }

    fn next_arrival(&mut self) {
        let gap = chance::gap(&mut self.arrivals, self.scenario.rps);
        self.put_arrival(span(gap), Event::Arrival);
    }

    fn put_arrival(&mut self, wait: std::time::Duration, event: Event) {
        let at = self.now + wait;
        if at < Time::ZERO + span(self.scenario.duration) {
            self.queue.put(at, event);
        }
    }

    fn arrive(&mut self, client: Option<usize>) {
        let number = self.requests;
        self.requests += 1;
        let mut ask = self.ask(number);
        let plan = self.plan(&ask);
        // The proxy refuses what no endpoint can take: like a caller's own error, it says nothing of routing.
        ask.faulty |= plan.is_empty();
        let exchange = Exchange::new(plan, self.now);
        let mut drive = Drive::new(number, ask, exchange, self.now);
        drive.client = client;
        let at = self.seat(drive);
        self.with(at, |drive, scene| {
            drive.begin(scene);
            None
        });
    }

    fn ask(&self, number: u64) -> Ask {
        let mut rng = stream(self.seed, Subject::Request(number));
        let (asked, models) = (&self.scenario.requests, &self.scenario.models);
        let tokens = chance::tokens(&mut rng);
        let faulty = chance::happens(&mut rng, asked.faulty);
        let json = chance::happens(&mut rng, asked.json);
        let reasons = chance::happens(&mut rng, asked.reasoning);
        let hidden = chance::hidden(&mut rng);
        let prompt = asked.prompt.map(|range| chance::prompt(&mut rng, range));
        Ask {
            tokens,
            faulty,
            json,
            hidden: if reasons { hidden } else { 0.0 },
            prompt: prompt.unwrap_or(USUAL_PROMPT),
            model: chance::weighted(&mut rng, models.iter().map(|model| model.weight)),
        }
    }

    fn plan(&self, ask: &Ask) -> Plan {
        let facts = RequestFacts {
            stream: !ask.json,
            body_bytes: bytes(ask.prompt),
            reasons: ask.hidden > 0.0,
            ..RequestFacts::default()
        };
        let policy = Arc::clone(&self.fleet.policy);
        let usual = |ix| self.fleet.health.pool(ix).usual();
        if let Some(own) = &self.scenario.own {
            return own.plan(facts, policy, usual);
        }
        let model = ModelIx::new(ask.model);
        Plan::new(&self.fleet.catalog, model, facts, policy, |_| true, usual)
    }

    fn seat(&mut self, drive: Drive) -> Seat {
        let request = drive.number;
        let position = self.free.pop().unwrap_or(self.seats.len());
        match self.seats.get_mut(position) {
            Some(seat) => *seat = Some(drive),
            None => self.seats.push(Some(drive)),
        }
        Seat { position, request }
    }

    /// Lets something happen to a request that is still under way, and does what follows from it.
    fn with(&mut self, at: Seat, act: impl FnOnce(&mut Drive, &mut Scene<'_>) -> Option<Due>) {
        let seat = &mut self.seats[at.position];
        let Some(mut drive) = seat.take_if(|drive| drive.number == at.request) else {
            return;
        };
        let mut scene = Scene {
            catalog: &self.fleet.catalog,
            health: &self.fleet.health,
            rng: &mut self.routing,
            now: self.now,
        };
        let mut due = act(&mut drive, &mut scene);
        loop {
            if let Some(Due {
                at: when,
                attempt,
                step,
            }) = due.take()
            {
                self.queue.put(when, Event::Step { at, attempt, step });
            }
            match drive.next_wish() {
                Some(Wish::Start { id, endpoint }) => {
                    let subject = Subject::Attempt {
                        request: drive.number,
                        number: id.0,
                    };
                    let (mut rng, at) = (stream(self.seed, subject), seconds(self.now));
                    let answer = self
                        .upstream
                        .answer(endpoint.get(), drive.ask, at, &mut rng);
                    self.ledger.attempts.push(Sent {
                        at,
                        endpoint: endpoint.get(),
                        limited: answer.is_limited(),
                    });
                    due = drive.start(id, answer, &mut scene);
                }
                Some(Wish::Finish { answered }) => return self.leave(at, &drive, answered),
                None => break,
            }
        }
        if let Some(when) = drive.set_timer() {
            self.queue.put(when, Event::Timer(at));
        }
        self.seats[at.position] = Some(drive);
    }

    fn leave(&mut self, at: Seat, drive: &Drive, answered: bool) {
        self.free.push(at.position);
        let request = drive.request(answered, &self.scenario.fleet, self.now);
        self.ledger.requests.push(request);
        self.ledger.trips.extend(drive.trips());
        self.ledger.evacuated += drive.evacuated();
        if let Some(client) = drive.client {
            self.put_arrival(span(THINKING), Event::Client(client));
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length of at most some million bytes"
)]
fn bytes(tokens: f64) -> u64 {
    (tokens * BYTES_PER_TOKEN) as u64
}
