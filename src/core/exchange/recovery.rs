//! Owns the search for the next candidate: the first one of a request, and the one after a failure.
//! Must never start anything once content has reached the client.

use std::time::Duration;

use crate::core::catalog::EndpointIx;
use crate::core::exchange::attempt::Attempt;
use crate::core::exchange::record::Result;
use crate::core::exchange::step::{self, Fallback, Step};
use crate::core::exchange::{
    AttemptId, End, Exchange, Failed, Remembered, Scene, Verdict, Wait, Why, verdict,
};
use crate::core::health::{BLOCK_MARGIN, Passage};
use crate::core::outcome::{Class, Evidence, Scope};
use crate::core::plan::{Draw, Pick, Reject};

/// Before the same endpoint is asked again: long enough for a crashed worker to be replaced, short beside
/// any first token. Drawn from half to one and a half of it.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// Spreads those who wait for the same Retry-After.
const WAIT_JITTER: Duration = Duration::from_millis(100);
/// An attempt that would have less than this until the policy's deadline is not worth its price.
const LEAST_TIME: Duration = Duration::from_secs(1);
/// Below this success of the pool's latest attempts a retry waits first, so long and then so long (3.3 c).
const HOPELESS: f32 = 0.25;
const LULLS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];
/// At most this many requests wait for one endpoint's Retry-After (design section 2).
const MOST_WAITERS: u32 = 64;
/// A closed endpoint that failed once may be asked again when it is at least this trusted (3.3 b).
const TRUSTED: f32 = 0.8;

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Start {
        pick: Pick,
        leg: usize,
        /// The endpoint's turn for it is taken already.
        turn: bool,
    },
    /// The same model, later.
    Wait(Wait),
}

impl Next {
    fn start(endpoint: EndpointIx, leg: usize) -> Self {
        let pick = Pick {
            endpoint,
            probe: false,
        };
        let turn = false;
        Next::Start { pick, leg, turn }
    }

    /// An attempt that had to wait for this.
    fn resume(wait: Wait, leg: usize) -> Self {
        let pick = Pick {
            endpoint: wait.endpoint,
            probe: false,
        };
        let turn = wait.why == Why::Block;
        Next::Start { pick, leg, turn }
    }

    fn is_lull(self) -> bool {
        matches!(self, Next::Wait(wait) if wait.why == Why::Lull)
    }

    fn target(self) -> EndpointIx {
        match self {
            Next::Start { pick, .. } => pick.endpoint,
            Next::Wait(wait) => wait.endpoint,
        }
    }
}

impl Exchange {
    /// Starts the first attempt, or ends the exchange where none can be made.
    pub fn begin(&mut self, scene: &mut Scene<'_>) {
        scene.health.count_request(self.asked(), scene.now);
        let next = self
            .draw_in(0, true, scene)
            .or_else(|| self.wait_for_block(scene))
            .or_else(|| self.fall_back(Fallback::Any, true, scene))
            .or_else(|| self.panic(scene));
        match next {
            Some(next) => {
                if self.leg_of(next) > 0 {
                    self.trigger = Some(self.why_skipped(scene));
                }
                self.take_step(next, scene);
            }
            None => self.refuse(scene),
        }
    }

    /// After a failure before commit: the next candidate, or the most useful error.
    pub(super) fn recover(&mut self, failed: &Failed, verdict: Verdict, scene: &mut Scene<'_>) {
        let step = step::after(failed.class);
        if !self.is_masked(failed, step) {
            self.remember(failed, verdict);
        }
        let next = match self.is_spent(failed.attempt.deadlines.total, scene) {
            true => None,
            false => self.next_after(failed, step, scene),
        };
        match next {
            Some(next) if next.is_lull() || self.can_pay(failed.class, next.target(), scene) => {
                if self.leg_of(next) > self.leg {
                    self.trigger = Some(failed.class);
                }
                self.take_step(next, scene);
            }
            Some(Next::Wait(wait)) => {
                self.give_place_back(wait, scene);
                self.give_up(failed.class, scene);
            }
            Some(Next::Start { .. }) | None => self.give_up(failed.class, scene),
        }
    }

    /// The endpoint is silent towards all. Who cannot be answered elsewhere, or cannot pay for it, waits on.
    pub(super) fn evacuate(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        let waits = |attempt: &&Attempt| attempt.first_content.is_none();
        let Some(attempt) = self.attempt(id).filter(waits) else {
            return;
        };
        if self.is_committed() || self.is_spent(attempt.deadlines.total, scene) {
            return;
        }
        let Some(next) = self.elsewhere(scene) else {
            return;
        };
        if !self.can_pay(Class::Stalled, next.target(), scene) {
            return;
        }
        // Health has heard of the silence already, once for all who waited.
        self.with(id, |attempt| attempt.blameless = true);
        let Some(failed) = self.end(id, &Evidence::Evacuated, scene) else {
            return;
        };
        let endpoint = failed.attempt.endpoint;
        scene.health.note_stalled(endpoint, scene.now);
        self.remember(&failed, verdict(&failed, Evidence::Evacuated, false));
        if self.leg_of(next) > self.leg {
            self.trigger = Some(failed.class);
        }
        self.take_step(next, scene);
    }

    /// A candidate that is open to traffic, of this model or of the chain.
    fn elsewhere(&self, scene: &mut Scene<'_>) -> Option<Next> {
        let here = match self.plan.policy.layers.failover {
            true => self.draw_in(self.leg, false, scene),
            false => None,
        };
        here.or_else(|| self.fall_back(step::after(Class::Stalled).fallback, false, scene))
    }

    /// A wait is over. What was waited for may have been blocked again meanwhile, or its host have failed.
    pub(super) fn wake(&mut self, wait: Wait, scene: &mut Scene<'_>) {
        if wait.why == Why::Lull {
            return self.go_on(wait, scene);
        }
        let pause = wait.why == Why::Pause && !scene.health.is_drained(wait.endpoint);
        if pause || scene.health.is_open(wait.endpoint, scene.now) {
            return self.take_step(Next::resume(wait, self.leg), scene);
        }
        let next = self
            .fall_back(Fallback::Any, false, scene)
            .or_else(|| self.panic(scene));
        match next {
            Some(next) => {
                let failed = self.ended.last().filter(|_| wait.why == Why::Pause);
                self.trigger = Some(failed.map_or(Class::RateLimited, |ended| ended.class));
                self.take_step(next, scene);
            }
            // The endpoint was drained during the pause after its failure.
            None if wait.why == Why::Pause => self.give_up(Class::Overloaded, scene),
            None => self.refuse(scene),
        }
    }

    /// After a lull: whoever is open now, else the likeliest.
    fn go_on(&mut self, wait: Wait, scene: &mut Scene<'_>) {
        let next = self
            .draw_in(self.leg, false, scene)
            .or_else(|| self.retry_trusted(scene))
            .or_else(|| self.fall_back(Fallback::Any, false, scene))
            .or_else(|| self.panic(scene));
        match next {
            Some(next) if self.can_pay(Class::ServerError, next.target(), scene) => {
                self.take_step(next, scene);
            }
            Some(_) | None => match self.lull(wait.endpoint, scene) {
                Some(lull) => self.take_step(lull, scene),
                None => self.give_up(Class::Overloaded, scene),
            },
        }
    }

    fn next_after(&self, failed: &Failed, step: Step, scene: &mut Scene<'_>) -> Option<Next> {
        let layers = self.plan.policy.layers;
        let failover = step.failover && layers.failover;
        let mut next = None;
        // A model that failed twice is likelier to fail again than its chain is.
        let doubted = step.transient && !step.wait && self.failed_here() >= 2;
        if doubted && self.chain_needs_the_last(scene) {
            next = self.fall_back(step.fallback, false, scene);
        }
        if failover {
            next = next.or_else(|| self.draw_in(self.leg, false, scene));
        }
        let lull = match step.transient && failover {
            true => self.lull(failed.attempt.endpoint, scene),
            false => None,
        };
        if step.retry && layers.retry && lull.is_none() {
            next = next.or_else(|| self.retry_here(failed, scene));
        }
        if step.wait && layers.retry {
            next = next.or_else(|| self.wait_for_block(scene));
        }
        next = next.or_else(|| self.fall_back(step.fallback, false, scene));
        if step.retry && layers.retry {
            next = next.or_else(|| self.retry_trusted(scene));
        }
        next = next.or(lull);
        if failover {
            next = next.or_else(|| self.panic(scene));
        }
        next
    }

    /// A candidate of one model that is open to traffic and untried.
    fn draw_in(&self, leg: usize, probe: bool, scene: &mut Scene<'_>) -> Option<Next> {
        let pick = self.draw(scene).pick(&self.plan, leg, probe, scene.rng)?;
        let turn = false;
        Some(Next::Start { pick, leg, turn })
    }

    /// The model's last endpoint, once more (amendment 2). The request's own failure does not gate it, a
    /// failed probe does; the last attempt is kept for the chain.
    fn retry_here(&self, failed: &Failed, scene: &mut Scene<'_>) -> Option<Next> {
        if self.retried || failed.attempt.probe || self.chain_needs_the_last(scene) {
            return None;
        }
        let endpoint = failed.attempt.endpoint;
        if !self.draw(scene).can_afford(&self.plan, endpoint) {
            return None;
        }
        Some(Next::Wait(Wait {
            until: scene.now + RETRY_PAUSE.mul_f32(0.5 + scene.rng.f32()),
            endpoint,
            why: Why::Pause,
        }))
    }

    /// The soonest of the model's rate-limited endpoints, where that is within `patience` (amendment 2) and
    /// the attempt would not begin too late. Takes one of the endpoint's waiting places.
    fn wait_for_block(&self, scene: &mut Scene<'_>) -> Option<Next> {
        if self.waited || self.chain_needs_the_last(scene) {
            return None;
        }
        let (free, endpoint) = self.draw(scene).unblocked_first(&self.plan, self.leg)?;
        // A block is kept a little longer than the upstream asked.
        let patience = self.plan.policy.patience.mul_f32(BLOCK_MARGIN);
        let latest = (scene.now + patience).min(self.started + self.plan.policy.deadline);
        if free > latest {
            return None;
        }
        let health = scene.health;
        let turn = health.begin_wait(endpoint, MOST_WAITERS, latest, scene.now)?;
        Some(Next::Wait(Wait {
            until: turn + WAIT_JITTER.mul_f32(scene.rng.f32()),
            endpoint,
            why: Why::Block,
        }))
    }

    /// The next model of the chain that has a candidate.
    fn fall_back(&self, rule: Fallback, probe: bool, scene: &mut Scene<'_>) -> Option<Next> {
        let window = self.plan.legs[self.leg].context_length;
        let larger = |leg: usize| match (window, self.plan.legs[leg].context_length) {
            (Some(now), Some(then)) => then > now,
            _ => true,
        };
        let mut legs = self.leg + 1..self.plan.legs.len();
        match rule {
            Fallback::No => None,
            Fallback::Any => legs.find_map(|leg| self.draw_in(leg, probe, scene)),
            Fallback::LargerWindow => legs
                .filter(|leg| larger(*leg))
                .find_map(|leg| self.draw_in(leg, probe, scene)),
        }
    }

    /// An endpoint of the pool that failed once and is trusted all the same (3.3 b).
    fn retry_trusted(&self, scene: &Scene<'_>) -> Option<Next> {
        let here = &self.plan.legs[self.leg].candidates;
        let once = |endpoint: EndpointIx| {
            let mut failures = self.ended.iter().filter(|ended| ended.endpoint == endpoint);
            let retriable = failures
                .next()
                .is_some_and(|ended| step::after(ended.class).retry && !ended.probe);
            retriable && failures.next().is_none()
        };
        let trusted = here.iter().find(|candidate| {
            let view = scene
                .health
                .view(candidate.endpoint, self.bucket, scene.now);
            candidate.reject.is_none()
                && here.len() > 1
                && once(candidate.endpoint)
                && view.passage == Passage::Free
                && view.expected >= TRUSTED
                && self.draw(scene).can_afford(&self.plan, candidate.endpoint)
        })?;
        Some(Next::start(trusted.endpoint, self.leg))
    }

    /// Where nearly everything fails, a moment's wait does more than another attempt at once (3.3 c). It is paid
    /// for when it is over: then others may have found the pool alive, and an attempt costs less.
    fn lull(&self, failed: EndpointIx, scene: &mut Scene<'_>) -> Option<Next> {
        let length = *LULLS.get(self.lulls)?;
        let pool = scene.health.pool(self.plan.legs[self.leg].model);
        let until = scene.now + length;
        let too_late = until >= self.started + self.plan.policy.deadline;
        let mut untried = || self.draw(scene).panic(&self.plan, self.leg, scene.rng);
        let waits = pool.success() < HOPELESS && !too_late && untried().is_some();
        waits.then_some(Next::Wait(Wait {
            until,
            endpoint: failed,
            why: Why::Lull,
        }))
    }

    /// With nothing open anywhere: the likeliest untried endpoint, of this model first (3.3 d).
    fn panic(&self, scene: &mut Scene<'_>) -> Option<Next> {
        (self.leg..self.plan.legs.len()).find_map(|leg| {
            let endpoint = self.draw(scene).panic(&self.plan, leg, scene.rng)?;
            Some(Next::start(endpoint, leg))
        })
    }

    fn take_step(&mut self, next: Next, scene: &mut Scene<'_>) {
        match next {
            Next::Start { pick, leg, turn } => {
                if leg != self.leg {
                    self.retried = false;
                    self.waited = false;
                }
                if !turn {
                    scene.health.spend(pick.endpoint, scene.now);
                }
                self.start(pick, leg, scene);
            }
            Next::Wait(wait) => {
                match wait.why {
                    Why::Pause => self.retried = true,
                    Why::Block => self.waited = true,
                    Why::Lull => self.lulls += 1,
                }
                self.wait = Some(wait);
            }
        }
    }

    fn give_place_back(&mut self, wait: Wait, scene: &Scene<'_>) {
        self.wait = Some(wait);
        self.leave_queue(scene);
    }

    /// Ends with the most useful error seen (surface, "When everything failed").
    fn give_up(&mut self, class: Class, scene: &mut Scene<'_>) {
        let verdict = self.worst.take().map_or_else(
            || Verdict {
                class,
                attempt: None,
                facts: None,
                retry_after: None,
            },
            |remembered| remembered.verdict,
        );
        self.finish(Result::Failed(verdict.class), End::Failed(verdict), scene);
    }

    /// No attempt could be made at all: rate-limited everywhere, or nobody is left.
    fn refuse(&mut self, scene: &mut Scene<'_>) {
        let blocked = self.draw(scene).unblocked_first(&self.plan, 0);
        let verdict = Verdict {
            class: match blocked {
                Some(_) => Class::RateLimited,
                None => Class::Overloaded,
            },
            attempt: None,
            facts: None,
            retry_after: blocked.map(|(free, _)| free.since(scene.now)),
        };
        self.finish(Result::Failed(verdict.class), End::Failed(verdict), scene);
    }

    // --- rules --------------------------------------------------------------------------------

    /// A fallback's own refusal is not shown after a transient failure of what was asked for.
    fn is_masked(&self, failed: &Failed, step: Step) -> bool {
        let refusal = !step.transient && failed.class.scope() == Scope::Request;
        refusal && failed.attempt.leg > 0 && self.worst.is_some()
    }

    fn remember(&mut self, failed: &Failed, verdict: Verdict) {
        let usefulness = step::usefulness(failed.class, failed.attempt.leg == 0);
        let returned = step::after(failed.class).fallback == Fallback::No;
        let better = self.worst.as_ref().is_none_or(|worst| {
            let sooner = usefulness == 0 && verdict.retry_after < worst.verdict.retry_after;
            usefulness < worst.usefulness || usefulness == worst.usefulness && sooner
        });
        if better || returned {
            self.worst = Some(Remembered {
                usefulness,
                verdict,
            });
        }
    }

    /// No attempt is left, or it would have hardly any time.
    fn is_spent(&self, total: Duration, scene: &Scene<'_>) -> bool {
        let deadline = self.plan.policy.deadline.min(total);
        let needed = LEAST_TIME.min(deadline / 10);
        let late = scene.now.since(self.started) + needed >= deadline;
        self.attempts() >= usize::from(self.plan.policy.attempts) || late
    }

    /// The pool pays for extra attempts, but not for those that the request itself made necessary.
    fn can_pay(&self, class: Class, target: EndpointIx, scene: &Scene<'_>) -> bool {
        let asked = self.asked();
        class.scope() == Scope::Request || scene.health.pay_for(asked, target, scene.now)
    }

    fn chain_needs_the_last(&self, scene: &Scene<'_>) -> bool {
        let left = usize::from(self.plan.policy.attempts).saturating_sub(self.attempts());
        left <= 1 && self.chain_could_answer(scene)
    }

    fn chain_could_answer(&self, scene: &Scene<'_>) -> bool {
        self.draw(scene).has_other(&self.plan, self.leg + 1, None)
    }

    /// Whether a deadline may be short because someone else could still answer.
    pub(super) fn has_alternative(
        &self,
        endpoint: EndpointIx,
        number: u8,
        scene: &Scene<'_>,
    ) -> bool {
        let last = number + 1 >= self.plan.policy.attempts;
        let from = match self.plan.policy.layers.failover {
            true => self.leg,
            false => self.leg + 1,
        };
        !last && self.draw(scene).has_other(&self.plan, from, Some(endpoint))
    }

    fn leg_of(&self, next: Next) -> usize {
        match next {
            Next::Start { leg, .. } => leg,
            Next::Wait(_) => self.leg,
        }
    }

    /// Why the model asked for was passed over without an attempt.
    fn why_skipped(&self, scene: &Scene<'_>) -> Class {
        if self.draw(scene).unblocked_first(&self.plan, 0).is_some() {
            return Class::RateLimited;
        }
        let asked = &self.plan.legs[0].candidates;
        let left_out = asked.iter().map(|candidate| candidate.reject);
        if let Some(rejects) = left_out.collect::<Option<Vec<Reject>>>()
            && let Some(first) = rejects.first()
        {
            return step::left_out(*first);
        }
        let mut candidates = asked.iter();
        candidates
            .find_map(|candidate| scene.health.kept_away_by(candidate.endpoint, scene.now))
            .unwrap_or(Class::Overloaded)
    }

    fn draw<'a>(&'a self, scene: &Scene<'a>) -> Draw<'a> {
        Draw {
            catalog: scene.catalog,
            health: scene.health,
            bucket: self.bucket,
            tried: &self.tried,
            now: scene.now,
        }
    }
}
