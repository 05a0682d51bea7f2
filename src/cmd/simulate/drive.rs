//! Owns one simulated request: it does for an exchange what `edge::proxy` does for a real one, in the same
//! order, with an endpoint's planned answer in place of a connection. Must never decide routing.

use std::time::Duration;

use crate::cmd::simulate::ledger::{Request, Trip};
use crate::cmd::simulate::scenario::Endpoint;
use crate::cmd::simulate::upstream::{Answer, Ask, Stream};
use crate::core::catalog::EndpointIx;
use crate::core::exchange::{
    Action, AnswerFacts, AttemptId, End, Exchange, Failure, Input, Progress, Scene, StreamEvent,
    Usage,
};
use crate::core::outcome::{Class, ConnectFault, ErrorFacts};
use crate::core::time::Time;

/// How far into a stream its speed is looked at for the first time (routing-algorithm 3.2).
const FIRST_LOOK: f64 = 2.0;
/// After that, how often contents are handed on: well below any limit on silence, and more often while there
/// are too few to tell a speed from.
const LATER_LOOKS: f64 = 5.0;
const LOOKS_WHILE_FEW: f64 = 1.0;
const FEW: u64 = 25;

/// One request under way.
#[derive(Debug)]
pub(super) struct Drive {
    pub(super) number: u64,
    pub(super) ask: Ask,
    /// Which client of a closed loop waits for it.
    pub(super) client: Option<usize>,
    arrived: Time,
    exchange: Exchange,
    flights: Vec<Flight>,
    first_token: Option<Time>,
    /// When the world will look at the exchange's deadline next.
    timer: Option<Time>,
}

/// An attempt whose connection has not been dropped.
#[derive(Debug)]
struct Flight {
    id: AttemptId,
    answer: Answer,
    began: Time,
    /// Contents handed on so far.
    told: u64,
}

/// What an endpoint does next for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The connection fails, or an error answer comes.
    Fail,
    /// Contents have come since the last look.
    Look,
    /// The last content and the end.
    End,
    /// The connection breaks amid the answer.
    Break,
}

/// When an attempt's next step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) at: Time,
    pub(super) attempt: AttemptId,
    pub(super) step: Step,
}

/// What a request wants of the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wish {
    /// An attempt begins: what becomes of it?
    Start { id: AttemptId, endpoint: EndpointIx },
    /// The request is over; `answered`: whole.
    Finish { answered: bool },
}

// === impl Drive ===

impl Drive {
    pub(super) fn new(number: u64, ask: Ask, exchange: Exchange, now: Time) -> Self {
        Self {
            number,
            ask,
            client: None,
            arrived: now,
            exchange,
            flights: Vec::new(),
            first_token: None,
            timer: None,
        }
    }

    /// Starts the exchange.
    pub(super) fn begin(&mut self, scene: &mut Scene<'_>) {
        self.exchange.begin(scene);
    }

    /// Does what the exchange asks, up to the next thing that needs the world.
    pub(super) fn next_wish(&mut self) -> Option<Wish> {
        while let Some(action) = self.exchange.poll() {
            match action {
                Action::Start { attempt, endpoint } => {
                    return Some(Wish::Start {
                        id: attempt,
                        endpoint,
                    });
                }
                Action::Cancel(id) => self.flights.retain(|flight| flight.id != id),
                Action::Finish(end) => {
                    return Some(Wish::Finish {
                        answered: end == End::Complete,
                    });
                }
                Action::Commit(_) | Action::Relay(_) | Action::Drop(_) => {}
            }
        }
        None
    }

    /// An attempt begins, with this for an answer. Returns when its first step is due.
    pub(super) fn start(
        &mut self,
        id: AttemptId,
        answer: Answer,
        scene: &mut Scene<'_>,
    ) -> Option<Due> {
        self.flights.push(Flight {
            id,
            answer,
            began: scene.now,
            told: 0,
        });
        if !matches!(answer, Answer::ConnectFails { .. }) {
            self.exchange.on(Input::Connected(id), scene);
            self.exchange.on(Input::Sent(id), scene);
        }
        let due = |at, step| Due {
            at,
            attempt: id,
            step,
        };
        match answer {
            Answer::ConnectFails { after } | Answer::Status { after, .. } => {
                Some(due(scene.now + span(after), Step::Fail))
            }
            Answer::Silence => None,
            Answer::Stream(stream) => Some(due(scene.now + span(stream.first), Step::Look)),
            Answer::Json { after, .. } => Some(due(scene.now + span(after), Step::End)),
            Answer::Lost { after } => Some(due(scene.now + span(after), Step::Break)),
        }
    }

    /// An attempt's step is due. Returns the step after it; a dropped attempt has none.
    pub(super) fn step(&mut self, id: AttemptId, step: Step, scene: &mut Scene<'_>) -> Option<Due> {
        let position = self.flights.iter().position(|flight| flight.id == id)?;
        let flight = &mut self.flights[position];
        match flight.answer {
            Answer::ConnectFails { .. } => {
                let failure = Failure::Connect(ConnectFault::Refused);
                self.exchange.on(Input::Failed(id, failure), scene);
                None
            }
            Answer::Status {
                status,
                retry_after,
                ..
            } => {
                let facts = ErrorFacts {
                    status,
                    retry_after: retry_after.map(span),
                    ..ErrorFacts::default()
                };
                let failure = Failure::Status(Box::new(facts));
                self.exchange.on(Input::Failed(id, failure), scene);
                None
            }
            Answer::Silence => None,
            Answer::Stream(stream) => self.stream_on(position, stream, step, scene),
            Answer::Json { tokens, .. } => {
                let facts = AnswerFacts {
                    usage: Some(self.usage(tokens)),
                    ..AnswerFacts::default()
                };
                self.exchange.on(Input::Head(id), scene);
                self.exchange.on(Input::Answer(id, facts), scene);
                None
            }
            Answer::Lost { .. } => {
                self.exchange.on(Input::Head(id), scene);
                self.exchange.on(Input::Failed(id, Failure::Lost), scene);
                None
            }
        }
    }

    /// What an endpoint counts. Reasoning is part of the completion.
    fn usage(&self, tokens: f64) -> Usage {
        Usage {
            prompt_tokens: whole(self.ask.prompt),
            completion_tokens: whole(tokens + self.ask.hidden),
            reasoning_tokens: whole(self.ask.hidden),
            ..Usage::default()
        }
    }

    /// Hands on the contents that have come, and what the step brings beyond them.
    fn stream_on(
        &mut self,
        position: usize,
        stream: Stream,
        step: Step,
        scene: &mut Scene<'_>,
    ) -> Option<Due> {
        let flight = &mut self.flights[position];
        let id = flight.id;
        let first = flight.began + span(stream.first);
        if flight.told == 0 {
            self.first_token.get_or_insert(scene.now);
            self.exchange.on(Input::Head(id), scene);
        }
        let streamed = seconds(scene.now) - seconds(first);
        let come = match step {
            Step::End => stream.tokens,
            Step::Fail | Step::Look | Step::Break => {
                (1.0 + streamed * stream.speed).floor().min(stream.tokens)
            }
        };
        let new = whole(come).saturating_sub(flight.told);
        flight.told += new;
        for _ in 0..new {
            let content = Progress {
                content: true,
                ..Progress::default()
            };
            let event = StreamEvent::Progress(content);
            self.exchange.on(Input::Event(id, event), scene);
        }
        let few = flight.told < FEW;
        match step {
            Step::Fail | Step::Look => {
                let (at, step) = next_look(stream, first, streamed, few);
                Some(Due {
                    at,
                    attempt: id,
                    step,
                })
            }
            Step::End => {
                self.end(id, stream, scene);
                None
            }
            Step::Break => {
                self.exchange.on(Input::Failed(id, Failure::Lost), scene);
                None
            }
        }
    }

    fn end(&mut self, id: AttemptId, stream: Stream, scene: &mut Scene<'_>) {
        let last = Progress {
            finished: true,
            usage: Some(self.usage(stream.tokens)),
            ..Progress::default()
        };
        let event = StreamEvent::Progress(last);
        self.exchange.on(Input::Event(id, event), scene);
        self.exchange.on(Input::Event(id, StreamEvent::Done), scene);
    }

    /// The world looks at the deadline. Only the look that was agreed on last counts.
    pub(super) fn look_at_clock(&mut self, scene: &mut Scene<'_>) {
        if self.timer != Some(scene.now) {
            return;
        }
        self.timer = None;
        let deadline = self.exchange.deadline();
        if deadline.is_some_and(|deadline| deadline <= scene.now) {
            self.exchange.on(Input::Timer, scene);
        }
    }

    /// When the world must look at the deadline, if that is sooner than agreed. A deadline that moves away
    /// with every content costs one look, not one a content.
    pub(super) fn set_timer(&mut self) -> Option<Time> {
        let deadline = self.exchange.deadline()?;
        if deadline == Time::NEVER || self.timer.is_some_and(|timer| timer <= deadline) {
            return None;
        }
        self.timer = Some(deadline);
        self.timer
    }

    // --- the end ------------------------------------------------------------------------------

    /// What the request came to.
    pub(super) fn request(&self, answered: bool, fleet: &[Endpoint], now: Time) -> Request {
        let attempts = self.exchange.ended();
        let failed = attempts.iter().filter(|attempt| is_failure(attempt.class));
        let billed = attempts.iter().filter(|attempt| is_billed(attempt.class));
        let first = self.first_token;
        Request {
            arrived: seconds(self.arrived),
            faulty: self.ask.faulty,
            answered,
            attempts: attempts.len(),
            model: self.ask.model,
            first_token: first.map(|first| first.since(self.arrived).as_secs_f64()),
            streamed: first.map_or(0.0, |first| now.since(first).as_secs_f64()),
            took: now.since(self.arrived).as_secs_f64(),
            lost: failed.map(|attempt| attempt.took.as_secs_f64()).sum(),
            price: billed
                .map(|attempt| fleet[attempt.endpoint.get()].price)
                .sum(),
        }
    }

    /// How many of its attempts left a silent endpoint.
    pub(super) fn evacuated(&self) -> usize {
        let ended = self.exchange.ended().iter();
        ended
            .filter(|attempt| attempt.class == Class::Stalled)
            .count()
    }

    /// What tripped by its attempts.
    pub(super) fn trips(&self) -> impl Iterator<Item = Trip> {
        let attempts = self.exchange.ended().iter();
        attempts
            .filter(|attempt| attempt.tripped)
            .map(|attempt| Trip {
                endpoint: attempt.endpoint.get(),
                attempt_began: seconds(attempt.started),
                at: seconds(attempt.started + attempt.took),
            })
    }
}

/// When contents are handed on next: at the first look, every so often after it, and at the stream's end.
fn next_look(stream: Stream, first: Time, streamed: f64, few: bool) -> (Time, Step) {
    let length = (stream.tokens - 1.0) / stream.speed;
    let (end, last) = match stream.cut {
        Some(share) => (length * share, Step::Break),
        None => (length, Step::End),
    };
    // A microsecond is lost to rounding: a look must not repeat itself.
    let look = match streamed + 1e-5 < FIRST_LOOK {
        true => FIRST_LOOK,
        false if few => streamed + LOOKS_WHILE_FEW,
        false => streamed + LATER_LOOKS,
    };
    match end <= look {
        true => (first + span(end.max(streamed)), last),
        false => (first + span(look), Step::Look),
    }
}

/// An attempt that ended without an answer, through no choice of ours.
fn is_failure(class: Class) -> bool {
    !matches!(
        class,
        Class::Success | Class::Superseded | Class::ClientGone
    )
}

/// Providers bill for what they have worked on: answers, and attempts that were given up while they worked.
/// Nobody bills for an error answer.
fn is_billed(class: Class) -> bool {
    matches!(
        class,
        Class::Success
            | Class::StreamBroken
            | Class::FirstTokenTimeout
            | Class::AnswerTimeout
            | Class::Stalled
            | Class::Superseded
    )
}

/// Seconds since the scenario's start.
pub(super) fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}

/// A span of so many seconds; none if that is negative.
pub(super) fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of tokens, from 0 to a few thousand"
)]
fn whole(tokens: f64) -> u64 {
    tokens as u64
}
