//! Owns the run itself: the traffic, the incident, the moments that are drawn, and the end. Must never send
//! more requests at once than its bound, or end before each of them is over.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::cmd::client::Client;
use crate::cmd::demo::call::{Call, call};
use crate::cmd::demo::incident::Incident;
use crate::cmd::demo::recent::Recent;
use crate::cmd::demo::schedule::{PHASES, Schedule};
use crate::cmd::demo::screen::Screen;
use crate::cmd::demo::stage::{Sight, Stage};
use crate::cmd::demo::tally::Book;
use crate::cmd::demo::view::{self, Picture};

/// Requests a second: enough to see a trip within a second, few enough for any machine.
const RATE: u32 = 20;
/// Requests under way at once; beyond it the next one waits. Usually there are five.
const MOST: usize = 256;
/// How often the endpoints are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How often the view changes: in a terminal, and in a log.
const REDRAW: Duration = Duration::from_millis(200);
const RELINE: Duration = Duration::from_secs(1);

/// A run in progress.
pub(crate) struct Show<'a, W: Write> {
    stage: &'a Stage,
    schedule: Schedule,
    screen: &'a mut Screen<W>,
    started: Instant,
    phase: usize,
    drawn: Option<Instant>,
    recent: Recent,
    seen: Seen,
}

/// What the run leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) book: Book,
    /// The latest of each trouble, in order.
    pub(crate) incidents: Vec<Incident>,
}

/// The signals that end a run early.
pub(crate) struct Interrupts([Signal; 3]);

impl Interrupts {
    /// Arms them. Must be called on a runtime.
    ///
    /// # Errors
    /// A signal cannot be received.
    pub(crate) fn arm() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    /// Returns when one arrives.
    pub(crate) async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

impl<'a, W: Write> Show<'a, W> {
    pub(crate) fn new(stage: &'a Stage, schedule: Schedule, screen: &'a mut Screen<W>) -> Self {
        Self {
            stage,
            schedule,
            screen,
            started: Instant::now(),
            phase: 0,
            drawn: None,
            recent: Recent::default(),
            seen: Seen::default(),
        }
    }

    /// Runs to the schedule's end, or until told to stop; a second signal does not wait for what is under way.
    ///
    /// # Errors
    /// The view cannot be written.
    pub(crate) async fn run(mut self, interrupts: &mut Interrupts) -> io::Result<Seen> {
        let client = Arc::new(Client::of(self.stage.proxy.address));
        let mut calls: JoinSet<(usize, Call)> = JoinSet::new();
        let mut sending = interval(Duration::from_secs(1) / RATE);
        sending.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looking = interval(LOOK);
        looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sent = 0_u64;
        while !self.screen.is_closed() {
            tokio::select! {
                _ = sending.tick(), if calls.len() < MOST => {
                    let (client, phase, stream) = (client.clone(), self.phase, sent.is_multiple_of(2));
                    calls.spawn(async move { (phase, call(&client, stream).await) });
                    sent += 1;
                }
                Some(done) = calls.join_next() => self.count(done),
                _ = looking.tick() => if !self.look()? { break },
                () = interrupts.next() => break,
            }
        }
        self.repair();
        self.wind_down(calls, interrupts).await?;
        Ok(self.seen)
    }

    async fn wind_down(
        &mut self,
        mut calls: JoinSet<(usize, Call)>,
        interrupts: &mut Interrupts,
    ) -> io::Result<()> {
        loop {
            tokio::select! {
                done = calls.join_next() => match done {
                    Some(done) => self.count(done),
                    None => break,
                },
                () = interrupts.next() => break,
            }
        }
        let sights = self.stage.look();
        self.draw(&sights)?;
        self.screen.settle()
    }

    fn count(&mut self, done: Result<(usize, Call), tokio::task::JoinError>) {
        // A task that was cancelled has no client left to speak for.
        let Ok((phase, call)) = done else { return };
        for incident in &mut self.seen.incidents {
            incident.hear(&call);
        }
        self.seen.book.add(phase, &call);
    }

    /// Moves the incident on and draws. Returns whether the run goes on.
    fn look(&mut self) -> io::Result<bool> {
        let now = Instant::now();
        let sights = self.stage.look();
        self.recent.note(&sights, self.seen.book.all.total(), now);
        for incident in &mut self.seen.incidents {
            incident.watch(&sights, now);
        }
        let Some(phase) = self.schedule.phase_at(now - self.started) else {
            return Ok(false);
        };
        if phase != self.phase {
            self.enter(phase, &sights, now);
        }
        let pause = match self.screen.is_terminal() {
            true => REDRAW,
            false => RELINE,
        };
        if self.drawn.is_none_or(|drawn| now - drawn >= pause) {
            self.drawn = Some(now);
            self.draw(&sights)?;
        }
        Ok(true)
    }

    fn enter(&mut self, phase: usize, sights: &[Sight], now: Instant) {
        self.repair();
        self.phase = phase;
        let Some((provider, trouble)) = PHASES[phase].trouble else {
            return;
        };
        let past = &mut self.seen.incidents;
        past.retain(|incident| incident.trouble != trouble);
        past.push(Incident::begin(provider, trouble, &sights[provider], now));
        self.stage.set_trouble(provider, Some(trouble));
    }

    /// Ends the present trouble, if there is one.
    fn repair(&mut self) {
        let Some((provider, _)) = PHASES[self.phase].trouble else {
            return;
        };
        self.stage.set_trouble(provider, None);
        let sights = self.stage.look();
        if let Some(incident) = self.seen.incidents.last_mut() {
            incident.repair(&sights[provider], Instant::now());
        }
    }

    fn draw(&mut self, sights: &[Sight]) -> io::Result<()> {
        let picture = Picture {
            passed: self.started.elapsed(),
            length: (!self.schedule.repeats).then_some(self.schedule.length),
            phase: self.phase,
            sights,
            shares: self.recent.shares(),
            rate: self.recent.rate(),
            tally: &self.seen.book.all,
        };
        match self.screen.is_terminal() {
            true => self.screen.draw(&view::block(&picture)),
            false => self.screen.line(&view::plain(&picture).into()),
        }
    }
}
