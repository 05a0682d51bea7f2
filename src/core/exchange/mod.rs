//! Owns one request with all its attempts, sans I/O: it is told what was seen, says what to do, and names the
//! next deadline. In reading order: `input`, `evidence`, `step` (what may follow a failure), `deadlines`, `attempt`, `seen`
//! (what each input does), `recovery` (the next candidate), `record`. Must never start an attempt after commit.

mod input;
mod evidence;
mod step;
mod deadlines;
mod attempt;
mod seen;
mod recovery;
mod record;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::catalog::{Catalog, EndpointIx, ModelIx};
use crate::core::exchange::attempt::{Attempt, Due, RequestLimits, Watch};
use crate::core::exchange::deadlines::Circumstances;
use crate::core::health::{Bucket, Ended, Health};
use crate::core::names::PolicyName;
use crate::core::outcome::{Class, Evidence, classify};
use crate::core::plan::{Beyond, Draw, Pick, Plan};
use crate::core::time::Time;

pub use deadlines::longest_wait;
use evidence::{asked_to_wait, evidence, facts, verdict};
pub use input::{
    Action, AnswerFacts, AttemptId, End, Failure, Input, Progress, Scene, StreamEvent, Usage,
    Verdict,
};
pub use record::{AttemptRecord, GAP_BOUNDS, Gaps, Record, Result, UnderWay};

/// At most this many attempts of one request are under way at once.
const LIVE: usize = 2;

/// One downstream request with all its attempts.
#[derive(Debug)]
pub struct Exchange {
    plan: Plan,
    bucket: Bucket,
    started: Time,
    live: [Option<Attempt>; LIVE],
    tried: Vec<EndpointIx>,
    ended: Vec<AttemptRecord>,
    /// The model of the plan that is being tried.
    leg: usize,
    wait: Option<Wait>,
    /// The model's only endpoint had its second chance.
    retried: bool,
    /// A Retry-After of this model was waited for.
    waited: bool,
    /// How often it waited because nearly everything failed.
    lulls: usize,
    worst: Option<Remembered>,
    trigger: Option<Class>,
    committed: Option<AttemptId>,
    served: Option<EndpointIx>,
    served_since: Time,
    usage: Option<Usage>,
    malformed: u32,
    result: Option<Result>,
    finished_at: Time,
    actions: VecDeque<Action>,
}

/// An attempt that begins when its time has come.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Wait {
    until: Time,
    endpoint: EndpointIx,
    why: Why,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// A moment, before the model's only endpoint is asked once more.
    Pause,
    /// The end of a Retry-After, or a turn; one of the endpoint's waiting places is held.
    Block,
    /// A moment while nearly everything fails.
    Lull,
}

/// The most useful failure so far.
#[derive(Clone, Debug, PartialEq)]
struct Remembered {
    usefulness: u8,
    verdict: Verdict,
}

impl Exchange {
    /// An exchange for a plan; `begin` starts its first attempt.
    pub fn new(plan: Plan, now: Time) -> Self {
        Self {
            bucket: plan.facts.bucket(),
            plan,
            started: now,
            live: [None, None],
            tried: Vec::with_capacity(4),
            ended: Vec::with_capacity(4),
            leg: 0,
            wait: None,
            retried: false,
            waited: false,
            lulls: 0,
            worst: None,
            trigger: None,
            committed: None,
            served: None,
            served_since: now,
            usage: None,
            malformed: 0,
            result: None,
            finished_at: now,
            actions: VecDeque::with_capacity(4),
        }
    }

    /// Takes in what was seen.
    pub fn on(&mut self, input: Input, scene: &mut Scene<'_>) {
        if self.result.is_some() {
            return;
        }
        match input {
            Input::Connected(id) => self.note(id, scene.now, |attempt| &mut attempt.connected),
            Input::Reconnecting(id) => {
                self.end_await(id, false, scene);
                let now = scene.now;
                self.with(id, |attempt| attempt.reconnect(now));
            }
            Input::Sent(id) => self.on_sent(id, scene),
            Input::Head(id) => self.note(id, scene.now, |attempt| &mut attempt.head),
            Input::Limits(id, quotas) => self.on_limits(id, &quotas, scene),
            Input::Event(id, event) => self.on_event(id, event, scene),
            Input::Answer(id, facts) => self.on_answer(id, facts, scene),
            Input::HoldFull(id) => self.commit(id),
            Input::Eof(id) => self.on_eof(id, scene),
            Input::Failed(id, failure) => self.fail(id, evidence(failure), scene),
            Input::Resumed(id) => {
                let now = scene.now;
                self.with(id, |attempt| attempt.last_content = now);
            }
            Input::Timer => self.on_timer(scene),
            Input::Evacuate(id) => self.evacuate(id, scene),
            Input::ClientGone => self.on_client_gone(scene),
        }
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether `poll` has something. An attempt that waits may hear `Input::Timer` often before it does.
    pub fn asks(&self) -> bool {
        !self.actions.is_empty()
    }

    /// When `Input::Timer` is due.
    pub fn deadline(&self) -> Option<Time> {
        let attempts = self.live.iter().flatten();
        let running = attempts.map(|attempt| self.due(attempt).at.min(attempt.watch.at()));
        let waiting = self.wait.map(|wait| wait.until);
        running.chain(waiting).min()
    }

    /// Whether anything has been sent to the client.
    pub fn is_committed(&self) -> bool {
        self.committed.is_some()
    }

    /// Attempts begun so far.
    pub fn attempts(&self) -> usize {
        self.ended.len() + self.live.iter().flatten().count()
    }

    /// Time lost to failed attempts before the one that answers.
    pub fn recovery(&self) -> Duration {
        self.served_since.since(self.started)
    }

    /// The class that moved the request to another model, if one did.
    pub fn fallback(&self) -> Option<Class> {
        self.trigger.filter(|_| self.leg > 0)
    }

    /// The policy that decides.
    pub fn policy(&self) -> &PolicyName {
        &self.plan.policy.name
    }

    /// The model asked for.
    pub fn asked(&self) -> ModelIx {
        self.plan.legs[0].model
    }

    /// The endpoint that the answer is compared with: the first one tried of the model asked for, else its first.
    pub fn meant(&self, catalog: &Catalog) -> Option<EndpointIx> {
        self.plan.meant(catalog, &self.tried)
    }

    /// In what the endpoint that serves is beyond the limits of `degrade`; something only where those warn.
    pub fn beyond(
        &self,
        served: EndpointIx,
        catalog: &Catalog,
        health: &Health,
        now: Time,
    ) -> Vec<Beyond> {
        if self.plan.policy.degrade.is_boundless() || self.plan.policy.degrade.forbids() {
            return Vec::new();
        }
        let draw = Draw {
            catalog,
            health,
            bucket: self.bucket,
            tried: &self.tried,
            now,
        };
        draw.beyond(&self.plan, served).collect()
    }

    /// The attempts that are over.
    pub fn ended(&self) -> &[AttemptRecord] {
        &self.ended
    }

    /// How often the present model has failed the request otherwise than by its limits.
    fn failed_here(&self) -> usize {
        let here = &self.plan.legs[self.leg].candidates;
        let of_leg = |ended: &&AttemptRecord| here.iter().any(|it| it.endpoint == ended.endpoint);
        let its = self.ended.iter().filter(of_leg);
        its.filter(|it| it.class != Class::RateLimited).count()
    }

    // --- what follows -------------------------------------------------------------------------

    /// Every choice is finished, or the end marker came.
    fn complete(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        let Some(attempt) = self.attempt(id) else {
            return;
        };
        let silent = attempt.first_content.is_none();
        let hidden = attempt
            .usage
            .is_some_and(|usage| usage.completion_tokens > 0);
        if silent && self.committed.is_none() && !hidden {
            return self.fail(id, Evidence::Empty, scene);
        }
        if silent {
            self.with(id, |attempt| attempt.first_content = Some(scene.now));
            self.credit(id, scene);
        }
        self.commit(id);
        self.finish_answered(id, scene);
    }

    fn finish_answered(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        if let Some(attempt) = self.take(id) {
            self.usage = attempt.usage;
            // One that was silent for long may have tripped its endpoint, and answered after all.
            let tripped = attempt.tripped;
            self.log(&attempt, (Class::Success, None), tripped, scene.now);
            if let Some(rate) = attempt.rate().filter(|_| !attempt.measured) {
                scene.health.stream_at(attempt.endpoint, rate, scene.now);
            }
            let health = scene.health;
            let per_event = attempt.per_event();
            health.complete(attempt.endpoint, attempt.started, per_event, scene.now);
            if let Some(usage) = attempt.usage {
                let (prompt, completion) = (usage.prompt_tokens, usage.completion_tokens);
                let counted = self.plan.facts.counted(prompt, completion);
                let model = scene.catalog.endpoint(attempt.endpoint).model;
                health.pool(model).learn(counted);
            }
            scene.health.leave(attempt.endpoint);
        }
        self.finish(Result::Answered, End::Complete, scene);
    }

    /// The first content came: health learns of the success.
    fn credit(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        self.end_await(id, true, scene);
        let Some(attempt) = self.attempt(id) else {
            return;
        };
        let sent = attempt.sent.unwrap_or(attempt.started);
        scene.health.succeed(
            attempt.endpoint,
            self.asked(),
            self.bucket,
            attempt.started,
            scene.now.since(sent),
            scene.now,
        );
    }

    fn commit(&mut self, id: AttemptId) {
        if self.committed.is_some() {
            return;
        }
        let Some((endpoint, started)) = self.attempt(id).map(|at| (at.endpoint, at.started)) else {
            return;
        };
        self.served = Some(endpoint);
        if !self.ended.is_empty() {
            self.served_since = started;
        }
        self.committed = Some(id);
        self.actions.push_back(Action::Commit(id));
    }

    /// An attempt failed: health learns of it, and the next step is taken.
    fn fail(&mut self, id: AttemptId, evidence: Evidence, scene: &mut Scene<'_>) {
        let Some(failed) = self.end(id, &evidence, scene) else {
            return;
        };
        let verdict = verdict(&failed, evidence, self.committed == Some(id));
        if self.committed == Some(id) {
            self.usage = failed.attempt.usage;
            return self.finish(Result::Broken, End::Broken(verdict), scene);
        }
        if self.live.iter().flatten().next().is_none() {
            self.recover(&failed, verdict, scene);
        }
    }

    /// Takes an attempt out, tells health, and asks the driver to drop it.
    fn end(&mut self, id: AttemptId, evidence: &Evidence, scene: &mut Scene<'_>) -> Option<Failed> {
        self.end_await(id, false, scene);
        let attempt = self.take(id)?;
        let class = classify(evidence, self.committed == Some(id));
        scene.health.leave(attempt.endpoint);
        let ended = Ended {
            endpoint: attempt.endpoint,
            class: match attempt.blameless || self.is_not_there(class) {
                true => Class::Superseded,
                false => class,
            },
            bucket: self.bucket,
            probe: attempt.probe && attempt.first_content.is_none(),
            started: attempt.started,
            retry_after: asked_to_wait(evidence),
        };
        let trips = scene.health.fail(&ended, scene.rng, scene.now);
        let tripped = attempt.tripped || trips.endpoint || trips.host || trips.key;
        let told = facts(evidence).cloned().map(Box::new);
        self.log(&attempt, (class, told), tripped, scene.now);
        self.actions.push_back(Action::Cancel(id));
        Some(Failed { attempt, class })
    }

    /// The endpoint does not have what was asked for, which nobody said it had.
    fn is_not_there(&self, class: Class) -> bool {
        let missing = matches!(class, Class::ModelUnavailable | Class::Forbidden);
        missing && self.plan.facts.unproven
    }

    fn start(&mut self, pick: Pick, leg: usize, scene: &mut Scene<'_>) {
        let number = u8::try_from(self.attempts()).unwrap_or(u8::MAX);
        let id = AttemptId(number);
        if leg != self.leg {
            self.leg = leg;
            scene
                .health
                .count_request(self.plan.legs[leg].model, scene.now);
        }
        self.tried.push(pick.endpoint);
        let circumstances = Circumstances {
            bucket: self.bucket,
            probe: pick.probe,
            alternative: self.has_alternative(pick.endpoint, number, scene),
            left: self.limits().latest_first.since(scene.now),
        };
        let need = self.plan.facts.takes();
        let attempt = Attempt {
            id,
            endpoint: pick.endpoint,
            leg,
            probe: pick.probe,
            mark: scene.health.begin(pick.endpoint, &need, scene.now),
            deadlines: deadlines::resolve(
                &self.plan.policy,
                scene.catalog,
                scene.health,
                pick.endpoint,
                circumstances,
            ),
            started: scene.now,
            connecting: scene.now,
            connected: None,
            sent: None,
            head: None,
            blameless: false,
            contents: 0,
            measured: false,
            awaiting: false,
            watch: Watch::Off,
            tripped: false,
            first_content: None,
            last_content: scene.now,
            gaps: Gaps::default(),
            finished: None,
            usage: None,
        };
        if let Some(slot) = self.live.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(attempt);
            self.actions.push_back(Action::Start {
                attempt: id,
                endpoint: pick.endpoint,
            });
        }
    }

    fn finish(&mut self, result: Result, end: End, scene: &mut Scene<'_>) {
        self.result = Some(result);
        self.finished_at = scene.now;
        self.actions.push_back(Action::Finish(end));
    }

    // --- bookkeeping --------------------------------------------------------------------------

    fn due(&self, attempt: &Attempt) -> Due {
        attempt.due(self.bucket.kind, self.limits())
    }

    fn limits(&self) -> RequestLimits {
        RequestLimits {
            started: self.started,
            latest_first: self.started + self.plan.policy.deadline,
        }
    }

    fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.live.iter().flatten().find(|attempt| attempt.id == id)
    }

    fn with(&mut self, id: AttemptId, change: impl FnOnce(&mut Attempt)) {
        let mut live = self.live.iter_mut().flatten();
        if let Some(attempt) = live.find(|attempt| attempt.id == id) {
            change(attempt);
        }
    }

    /// Notes when something was seen first.
    fn note(&mut self, id: AttemptId, now: Time, when: fn(&mut Attempt) -> &mut Option<Time>) {
        self.with(id, |attempt| {
            when(attempt).get_or_insert(now);
        });
    }

    fn take(&mut self, id: AttemptId) -> Option<Attempt> {
        let is_it =
            |slot: &&mut Option<Attempt>| slot.as_ref().is_some_and(|attempt| attempt.id == id);
        self.live.iter_mut().find(is_it).and_then(Option::take)
    }

    /// The attempt waits for its first token no more.
    fn end_await(&mut self, id: AttemptId, answered: bool, scene: &Scene<'_>) {
        let mut endpoint = None;
        self.with(id, |attempt| {
            endpoint = attempt.awaiting.then_some(attempt.endpoint);
            attempt.awaiting = false;
            attempt.watch = Watch::Off;
        });
        if let Some(endpoint) = endpoint {
            let health = scene.health;
            health.end_await(endpoint, self.bucket, answered, scene.now);
        }
    }

    /// Ends a wait before it is over: the turn goes back with the place.
    fn leave_queue(&mut self, scene: &Scene<'_>) {
        let queued = |wait: &Wait| wait.why == Why::Block;
        if let Some(wait) = self.wait.filter(queued) {
            scene.health.give_turn_back(wait.endpoint);
        }
        self.end_wait(scene);
    }

    fn end_wait(&mut self, scene: &Scene<'_>) {
        if let Some(wait) = self.wait.take()
            && wait.why == Why::Block
        {
            scene.health.end_wait(wait.endpoint);
        }
    }
}

/// An attempt that failed, and how.
#[derive(Debug)]
struct Failed {
    attempt: Attempt,
    class: Class,
}
