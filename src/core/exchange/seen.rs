//! Owns what each thing seen does to the exchange. Must never choose the next candidate.

use std::time::Duration;

use crate::core::exchange::attempt::{Attempt, Due, Watch};
use crate::core::exchange::{
    Action, AnswerFacts, AttemptId, End, Exchange, LIVE, Progress, Result, Scene, StreamEvent,
};
use crate::core::health::{Kind, Silence};
use crate::core::outcome::Evidence;
use crate::core::quota::Quotas;

/// A stream's speed is looked at so long after its first content (3.2: 2 s), a moment later so that what came
/// just then is counted, and again while there is too little to tell.
const MEASURE_AFTER: Duration = Duration::from_millis(2050);
const MEASURE_AGAIN: Duration = Duration::from_secs(1);
/// Those who leave a stalled endpoint spread over this (routing-algorithm 3.2).
const EVACUATION: Duration = Duration::from_millis(300);

impl Exchange {
    pub(super) fn on_event(&mut self, id: AttemptId, event: StreamEvent, scene: &mut Scene<'_>) {
        let content = matches!(&event, StreamEvent::Progress(progress) if progress.content);
        let waits = self
            .attempt(id)
            .is_some_and(|attempt| attempt.first_content.is_none());
        if !(content && waits) && self.is_overdue(id, scene) {
            return;
        }
        match event {
            StreamEvent::Idle => self.actions.push_back(Action::Relay(id)),
            StreamEvent::Progress(progress) => {
                self.on_progress(id, progress, scene);
                if progress.last {
                    self.complete(id, scene);
                }
            }
            StreamEvent::Done => {
                self.actions.push_back(Action::Relay(id));
                self.complete(id, scene);
            }
            StreamEvent::Error(facts) => self.fail(id, Evidence::InAnswer(*facts), scene),
            StreamEvent::Malformed { fatal: true } => self.fail(id, Evidence::Malformed, scene),
            StreamEvent::Malformed { fatal: false } => {
                self.malformed += 1;
                self.actions.push_back(Action::Drop(id));
            }
        }
    }

    pub(super) fn on_progress(&mut self, id: AttemptId, progress: Progress, scene: &mut Scene<'_>) {
        let now = scene.now;
        let mut first = false;
        self.with(id, |attempt| {
            if progress.content {
                first = attempt.first_content.is_none();
                if !first {
                    attempt.gaps.note(now.since(attempt.last_content));
                }
                attempt.first_content.get_or_insert(now);
                attempt.last_content = now;
                attempt.contents = attempt.contents.saturating_add(1);
            }
            if progress.finished {
                attempt.finished.get_or_insert(now);
            }
            attempt.usage = progress.usage.or(attempt.usage);
        });
        if first {
            self.credit(id, scene);
            self.commit(id);
            self.with(id, |attempt| {
                attempt.watch = Watch::Measure(now + MEASURE_AFTER);
            });
        }
        self.actions.push_back(Action::Relay(id));
    }

    pub(super) fn on_answer(&mut self, id: AttemptId, facts: AnswerFacts, scene: &mut Scene<'_>) {
        if facts.empty {
            return self.fail(id, Evidence::Empty, scene);
        }
        let now = scene.now;
        self.with(id, |attempt| {
            attempt.usage = facts.usage;
            attempt.first_content = Some(now);
        });
        self.credit(id, scene);
        self.commit(id);
        self.actions.push_back(Action::Relay(id));
        self.finish_answered(id, scene);
    }

    pub(super) fn on_eof(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        let Some(attempt) = self.attempt(id) else {
            return;
        };
        let whole = match self.bucket.kind {
            Kind::Stream => attempt.finished.is_some(),
            // Only an answer too long to hold gets here: its framing says that it is whole.
            Kind::Json => self.committed == Some(id),
        };
        match whole {
            true => self.complete(id, scene),
            false => self.fail(id, Evidence::Lost, scene),
        }
    }

    /// The whole request is written: it waits for its first token, with others perhaps.
    pub(super) fn on_sent(&mut self, id: AttemptId, scene: &mut Scene<'_>) {
        let (bucket, now) = (self.bucket, scene.now);
        self.with(id, |attempt| {
            attempt.sent = Some(now);
            if !attempt.awaiting && attempt.first_content.is_none() {
                attempt.awaiting = true;
                let listen = scene.health.await_first(attempt.endpoint, bucket, now);
                attempt.watch = listen.map_or(Watch::Off, Watch::Listen);
            }
        });
    }

    /// The answer's head tells of the upstream's limits.
    pub(super) fn on_limits(&mut self, id: AttemptId, quotas: &Quotas, scene: &Scene<'_>) {
        if let Some(attempt) = self.attempt(id) {
            let health = scene.health;
            health.hear(attempt.endpoint, quotas, attempt.mark, scene.now);
        }
    }

    /// Silence that others suffer too is not waited out. All who wait hear of it by their own timers and
    /// leave spread over a moment.
    fn on_watch(&mut self, slot: usize, scene: &mut Scene<'_>) {
        let bucket = self.bucket;
        let due = |attempt: &&mut Attempt| attempt.watch.at() <= scene.now;
        let Some(attempt) = self.live[slot].as_mut().filter(due) else {
            return;
        };
        let (id, sent) = (attempt.id, attempt.sent.unwrap_or(attempt.started));
        if let Watch::Leave(_) = attempt.watch {
            attempt.watch = Watch::Off;
            return self.evacuate(id, scene);
        }
        let (health, now) = (scene.health, scene.now);
        if let Watch::Measure(_) = attempt.watch {
            attempt.watch = Watch::Measure(now + MEASURE_AGAIN);
            if let Some(rate) = attempt.rate() {
                attempt.watch = Watch::Off;
                attempt.measured = true;
                health.stream_at(attempt.endpoint, rate, now);
            }
            return;
        }
        attempt.watch = match health.listen(attempt.endpoint, bucket, sent, scene.rng, now) {
            Silence::Until(then) => Watch::Listen(then),
            Silence::Unknown => Watch::Off,
            Silence::Stalled { tripped } => {
                attempt.tripped |= tripped;
                Watch::Leave(now + EVACUATION.mul_f32(scene.rng.f32()))
            }
        };
    }

    pub(super) fn on_timer(&mut self, scene: &mut Scene<'_>) {
        if let Some(wait) = self.wait.filter(|wait| wait.until <= scene.now) {
            self.end_wait(scene);
            self.wake(wait, scene);
        }
        for slot in 0..LIVE {
            self.on_watch(slot, scene);
            let Some(attempt) = &self.live[slot] else {
                continue;
            };
            let due = self.due(attempt);
            let id = attempt.id;
            if due.at > scene.now {
                continue;
            }
            match attempt.finished.is_some() {
                true => self.complete(id, scene),
                false => self.run_out(id, due, scene),
            }
        }
    }

    /// A deadline passed. One that only the request had is nobody's failure.
    pub(super) fn run_out(&mut self, id: AttemptId, due: Due, scene: &mut Scene<'_>) {
        if due.of_request {
            self.with(id, |attempt| attempt.blameless = true);
        }
        self.fail(id, Evidence::Late(due.late), scene);
    }

    /// Bytes that keep coming must not keep a deadline from passing: the driver looks at the clock only
    /// when nothing is there to read. Returns whether the attempt is over.
    pub(super) fn is_overdue(&mut self, id: AttemptId, scene: &mut Scene<'_>) -> bool {
        let limits = self.limits();
        let Some(attempt) = self.attempt(id) else {
            return true;
        };
        let due = attempt.hard_due(self.bucket.kind, limits);
        let overdue = due.at <= scene.now;
        if overdue {
            self.run_out(id, due, scene);
        }
        overdue
    }

    pub(super) fn on_client_gone(&mut self, scene: &mut Scene<'_>) {
        self.leave_queue(scene);
        for slot in 0..LIVE {
            if let Some(id) = self.live[slot].as_ref().map(|attempt| attempt.id) {
                self.end(id, &Evidence::ClientGone, scene);
            }
        }
        self.finish(Result::ClientGone, End::ClientGone, scene);
    }
}
