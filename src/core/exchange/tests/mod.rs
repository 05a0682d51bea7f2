//! Failover stories under virtual time. This file holds the storyteller; each other one a subject.

mod stories;
mod drained;
mod limits;
mod pacing;
mod stalls;
mod properties;
mod degrade;

use super::*;
use crate::core::fixture::catalog;
use crate::core::health::{BudgetSettings, HealthSettings, Kind, State};
use crate::core::names::PolicyName;
use crate::core::outcome::{ConnectFault, ErrorFacts, Hint};
use crate::core::plan::RequestFacts;
use crate::core::policy::{Policy, Sort};
use std::sync::Arc;

/// A fleet under virtual time, and one exchange at a time on it.
struct Story {
    catalog: Catalog,
    health: Health,
    policy: Policy,
    rng: fastrand::Rng,
    now: Time,
    stream: bool,
    unproven: bool,
    reasons: bool,
    body_bytes: u64,
}

/// What an exchange under test has been asked to do.
struct Run<'a> {
    story: &'a mut Story,
    exchange: Exchange,
    done: Vec<Action>,
}

impl Story {
    /// Models with their providers; the first falls back to the others. In file order, so that stories are certain.
    fn of(models: &[(&str, &[&str])]) -> Self {
        let catalog = catalog(models);
        let health = Health::new(
            &catalog,
            HealthSettings::default(),
            BudgetSettings::default(),
            None,
        );
        let mut policy = Policy::built_in(PolicyName::new("default"));
        policy.sort = Sort::Ordered;
        Self {
            catalog,
            health,
            policy,
            rng: fastrand::Rng::with_seed(1),
            now: Time::from_micros(1_000_000),
            stream: true,
            unproven: false,
            reasons: false,
            body_bytes: 0,
        }
    }

    fn json(mut self) -> Self {
        self.stream = false;
        self
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// One that has not begun.
    fn exchange(&self) -> Exchange {
        let facts = RequestFacts {
            stream: self.stream,
            unproven: self.unproven,
            reasons: self.reasons,
            body_bytes: self.body_bytes,
            ..RequestFacts::default()
        };
        let asked = ModelIx::new(0);
        let plan = Plan::new(
            &self.catalog,
            asked,
            facts,
            Arc::new(self.policy.clone()),
            |_| true,
            |ix| self.health.pool(ix).usual(),
        );
        Exchange::new(plan, self.now)
    }

    fn run(&mut self) -> Run<'_> {
        let exchange = self.exchange();
        let mut run = Run {
            story: self,
            exchange,
            done: Vec::new(),
        };
        run.act(Exchange::begin);
        run
    }

    fn state(&self, endpoint: usize) -> State {
        self.health.state(EndpointIx::new(endpoint), self.now)
    }
}

impl Run<'_> {
    fn act(&mut self, act: impl FnOnce(&mut Exchange, &mut Scene<'_>)) {
        let story = &mut *self.story;
        let mut scene = Scene {
            catalog: &story.catalog,
            health: &story.health,
            rng: &mut story.rng,
            now: story.now,
        };
        act(&mut self.exchange, &mut scene);
        while let Some(action) = self.exchange.poll() {
            self.done.push(action);
        }
    }

    fn on(&mut self, input: Input) -> &mut Self {
        self.act(|exchange, scene| exchange.on(input, scene));
        self
    }

    /// Providers asked so far, in order.
    fn asked(&self) -> Vec<String> {
        let started = self.done.iter().filter_map(|action| match action {
            Action::Start { endpoint, .. } => Some(*endpoint),
            _ => None,
        });
        let provider = |ix| self.story.catalog.endpoint(ix).provider.to_string();
        started.map(provider).collect()
    }

    fn latest(&self) -> AttemptId {
        AttemptId(u8::try_from(self.asked().len()).unwrap() - 1)
    }

    fn sent(&mut self) -> &mut Self {
        let id = self.latest();
        self.on(Input::Connected(id)).on(Input::Sent(id))
    }

    fn fails(&mut self, failure: Failure) -> &mut Self {
        let id = self.latest();
        self.on(Input::Failed(id, failure))
    }

    fn status(&mut self, status: u16) -> &mut Self {
        self.sent().fails(answer(status, None, None))
    }

    fn content(&mut self) -> &mut Self {
        self.progress(true, false)
    }

    fn progress(&mut self, content: bool, finished: bool) -> &mut Self {
        let id = self.latest();
        let progress = Progress {
            content,
            finished,
            last: false,
            usage: None,
        };
        self.on(Input::Event(id, StreamEvent::Progress(progress)))
    }

    fn answers(&mut self) -> &mut Self {
        self.sent().content().progress(false, true);
        let id = self.latest();
        self.on(Input::Event(id, StreamEvent::Done))
    }

    /// Lets time pass until a deadline has done something, and reports how long that took.
    fn wait_for_deadline(&mut self) -> Duration {
        let (begun, done) = (self.story.now, self.done.len());
        while self.done.len() == done {
            let due = self.exchange.deadline().expect("something to wait for");
            self.story.now = self.story.now.max(due);
            self.on(Input::Timer);
        }
        self.story.now.since(begun)
    }

    fn end(&self) -> &End {
        match self.done.last() {
            Some(Action::Finish(end)) => end,
            other => panic!("not at its end: {other:?}"),
        }
    }

    fn verdict(&self) -> &Verdict {
        match self.end() {
            End::Failed(verdict) | End::Broken(verdict) => verdict,
            other => panic!("no failure: {other:?}"),
        }
    }
}

fn answer(status: u16, hint: Option<Hint>, retry_after: Option<Duration>) -> Failure {
    Failure::Status(Box::new(ErrorFacts {
        status,
        hint,
        retry_after,
        ..ErrorFacts::default()
    }))
}

const SECOND: Duration = Duration::from_secs(1);
const PAIR: &[(&str, &[&str])] = &[("a/one", &["p", "q"])];
const CHAIN: &[(&str, &[&str])] = &[("a/one", &["p"]), ("b/two", &["r"])];
const ALONE: &[(&str, &[&str])] = &[("a/one", &["p"])];
