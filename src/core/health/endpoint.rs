//! Owns the health of one endpoint: beliefs, speed, breaker, the rate-limit block. Outcomes take a short
//! lock; picks read the published words. Must never hold the lock while picking. Beside it: `paced` (the
//! upstream's own limits), `probed`, `told` (what others are told), `trusted` (what makes it trusted again).

mod paced;
mod probed;
mod told;
mod trusted;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::core::health::breaker::{Breaker, Cause, PROBE_AT_LATEST, State};
use crate::core::health::bucket::{Bucket, Kind};
use crate::core::health::cap::{Limited, RateCap};
use crate::core::health::effect::{self, Effect};
use crate::core::health::latency::Latency;
use crate::core::health::pacing::Pacing;
use crate::core::health::posterior::Posterior;
use crate::core::health::settings::HealthSettings;
use crate::core::health::throughput::Throughput;
use crate::core::health::waiting::{Waiting, patience};
use crate::core::health::windows::Windows;
use crate::core::health::words::Words;
use crate::core::outcome::{Class, Scope};
use crate::core::time::Time;

/// A Retry-After longer than this is not believed in full (routing-algorithm 3.2).
const LONGEST_BLOCK: Duration = Duration::from_secs(60);
/// Taken where a 429 names no time (3.2).
pub(crate) const BLOCK_IF_ABSENT: Duration = Duration::from_secs(1);
/// A block is kept a little longer than asked, so that the first request does not come too early (3.2).
pub(crate) const BLOCK_MARGIN: f32 = 1.02;

/// Behind a block, and at a learnt limit, no longer queue than this (or than one request) forms: where more come than are taken it would only
/// make everybody late.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);
/// Those who wait alone, or for somebody else to notice a stall, look again so often.
const LISTEN_AGAIN: Duration = Duration::from_millis(250);

/// What those who wait for a first token hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nothing yet; listen again then.
    Until(Time),
    /// The endpoint is silent towards all: go elsewhere. `tripped`: it was found out just now.
    Stalled { tripped: bool },
    /// Too little is known of its speed to judge.
    Unknown,
}

/// An attempt, as health sees its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verdict {
    pub(crate) class: Class,
    /// When the attempt began.
    pub(crate) started: Time,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) bucket: Bucket,
    /// The attempt was a probe: its end, whatever it is, ends the probe.
    pub(crate) probe: bool,
    /// 0..1, for the jitter of a back-off.
    pub(crate) jitter: f32,
    pub(crate) now: Time,
}

impl Verdict {
    pub(crate) fn cause(&self) -> Cause {
        Cause {
            started: self.started,
            jitter: self.jitter,
            now: self.now,
        }
    }
}

/// The health of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointHealth {
    pub(crate) words: Words,
    in_flight: AtomicU32,
    /// Attempts that began since the endpoint is known.
    sent: AtomicU64,
    waiting: AtomicU32,
    /// What was asked of it last, as the edge counts operations.
    asked: AtomicU8,
    inner: Mutex<Inner>,
    /// For operators; a lock of its own, so that whoever looks keeps no outcome waiting.
    past: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Inner {
    posterior: Posterior,
    latency: [Latency; Bucket::COUNT],
    waiting: [Waiting; Bucket::COUNT],
    throughput: Throughput,
    cap: RateCap,
    pacing: Pacing,
    /// Tokens in an event with content: some send several at once. 0 = not known, taken for 1.
    per_event: f32,
    breaker: Breaker,
    consecutive: f32,
    /// Latest start of an attempt that succeeded: earlier starts that time out are stragglers.
    ok_start: [Option<Time>; Bucket::COUNT],
    /// The pool's request count at the last probe.
    probed_at: u64,
    /// The same at the last failure or verification of a closed endpoint.
    doubted_at: u64,
    /// Streams in a row that broke; a first token alone does not end the row.
    broken: f32,
    /// It rests for streams that broke: whether it is well again shows at a stream's end.
    breaks: bool,
    /// The belief before the first failure that its host or key is to blame for, which they may take back.
    before_gate: Option<Posterior>,
}

impl EndpointHealth {
    /// Attempts under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that wait for their first token, for an operator.
    pub fn waiting_for_first_token(&self) -> u32 {
        self.lock().waiting.iter().map(Waiting::count).sum()
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// A request goes out: the next turn is its.
    pub(crate) fn spend(&self, now: Time) {
        self.words.take_turn(now, Time::NEVER);
        self.renew_limit(now);
    }

    fn renew_limit(&self, now: Time) {
        let mut inner = self.lock();
        let limited = inner.cap.limit.is_some();
        inner.cap.asked(self.sent.load(Relaxed), now);
        if limited {
            self.words.store_limit(inner.cap.limit);
        }
    }

    /// Takes one of `most` places to wait, and a turn at `latest`. Returns when that is.
    pub(crate) fn begin_wait(&self, most: u32, latest: Time, now: Time) -> Option<Time> {
        self.renew_limit(now);
        let blocked = self.words.blocked_until();
        let free = blocked.max(self.words.spent_until()).max(now);
        if !self.take_place(most) {
            return None;
        }
        let queue = free + LONGEST_QUEUE.max(self.words.pace());
        self.lock().cap.waited(now);
        let turn = self.words.take_turn(free, latest.min(queue));
        if turn.is_none() {
            self.end_wait();
        }
        turn
    }

    fn take_place(&self, most: u32) -> bool {
        self.waiting
            .fetch_update(Relaxed, Relaxed, |waiting| {
                (waiting < most).then_some(waiting + 1)
            })
            .is_ok()
    }

    pub(crate) fn end_wait(&self) {
        self.waiting.fetch_sub(1, Relaxed);
    }

    /// The first content came, or a JSON answer is whole: a success (3.2).
    pub(crate) fn succeed(
        &self,
        settings: &HealthSettings,
        bucket: Bucket,
        started: Time,
        took: Duration,
        now: Time,
    ) {
        let mut inner = self.lock();
        inner.breaker.settle(settings, now);
        let at = bucket.position();
        inner.latency[at].observe(took, now);
        inner.consecutive = 0.0;
        inner.cap.answered(now);
        inner.ok_start[at] = inner.ok_start[at].max(Some(started));
        let told = !(inner.breaks && bucket.kind == Kind::Stream && inner.breaker.is_barring());
        let counts = told && started >= inner.breaker.tripped;
        if counts && inner.breaker.succeed(settings, now) {
            inner.posterior = inner.posterior.recovered(now);
        } else {
            inner.posterior.observe(1.0, 0.0, now);
        }
        self.words.store_latency(bucket, &inner.latency[at]);
        self.publish(&inner);
        drop(inner);
        if bucket.kind == Kind::Stream {
            self.past().first_content(took, now);
        }
    }

    /// One more waits for its first token. Returns when to `listen`.
    pub(crate) fn await_first(&self, bucket: Bucket, now: Time) -> Option<Time> {
        let mut inner = self.lock();
        let at = bucket.position();
        inner.waiting[at].enter(now);
        let waiting = inner.waiting[at];
        self.words.store_silence(bucket, waiting.silent_since());
        let patience = patience(bucket, &inner.latency[at])?;
        Some(waiting.due(patience).unwrap_or(now + patience))
    }

    pub(crate) fn end_await(&self, bucket: Bucket, answered: bool, now: Time) {
        let mut inner = self.lock();
        let waiting = &mut inner.waiting[bucket.position()];
        waiting.leave(answered, now);
        self.words.store_silence(bucket, waiting.silent_since());
    }

    /// Whether all who wait wait in vain.
    pub(crate) fn listen(
        &self,
        settings: &HealthSettings,
        bucket: Bucket,
        sent: Time,
        jitter: f32,
        now: Time,
    ) -> Silence {
        let mut inner = self.lock();
        let at = bucket.position();
        if inner.waiting[at].stalled_since(sent) {
            return Silence::Stalled { tripped: false };
        }
        let Some(patience) = patience(bucket, &inner.latency[at]) else {
            return Silence::Unknown;
        };
        match inner.waiting[at].due(patience) {
            Some(due) if due <= now => {
                let tripped = inner.stall(settings, at, jitter, now);
                self.publish(&inner);
                Silence::Stalled { tripped }
            }
            Some(due) => Silence::Until(due),
            None => Silence::Until(now + LISTEN_AGAIN),
        }
    }

    /// An attempt ended otherwise than by success. Returns whether the endpoint tripped by it.
    /// `requests`: how many the pool has had.
    pub(crate) fn fail(&self, settings: &HealthSettings, requests: u64, verdict: &Verdict) -> bool {
        let mut inner = self.lock();
        inner.breaker.settle(settings, verdict.now);
        inner.doubted_at = requests;
        let tripped = match verdict.class {
            Class::RateLimited => {
                self.block(verdict);
                inner.cap.limited(&Limited {
                    sent: self.sent.load(Relaxed),
                    started: verdict.started,
                    blocked_until: self.words.blocked_until(),
                    jitter: verdict.jitter,
                    now: verdict.now,
                });
                self.words.store_limit(inner.cap.limit);
                inner.rate_limited(verdict);
                false
            }
            _ => inner.count(settings, verdict),
        };
        let latency = &inner.latency[verdict.bucket.position()];
        self.words.store_latency(verdict.bucket, latency);
        self.publish(&inner);
        drop(inner);
        if verdict.class == Class::RateLimited {
            self.forget_spent(verdict.now);
        }
        self.past().failed(verdict.class, verdict.now);
        tripped
    }

    /// An attempt ended so for its operator, and without blame for the endpoint, which has had it.
    pub(crate) fn note(&self, class: Class, now: Time) {
        self.past().failed(class, now);
    }

    fn block(&self, verdict: &Verdict) {
        let asked = verdict.retry_after.unwrap_or(BLOCK_IF_ABSENT);
        let until = verdict.now + asked.min(LONGEST_BLOCK).mul_f32(BLOCK_MARGIN);
        self.words
            .store_blocked(until.max(self.words.blocked_until()));
    }

    /// A stream brought events at this rate.
    pub(crate) fn stream_at(&self, events: f32, now: Time) {
        let mut inner = self.lock();
        let per_event = match inner.per_event > 0.0 {
            true => inner.per_event,
            false => 1.0,
        };
        inner.throughput.observe(events * per_event, now);
        self.words.store_throughput(&inner.throughput);
    }

    /// Takes a request to find out how a doubted endpoint is: one that fails fast may be asked as often as
    /// `probe_fast` allows, any other as often as `probe_share` does.
    pub(crate) fn verify(&self, settings: &HealthSettings, requests: u64, now: Time) -> bool {
        let mut inner = self.lock();
        let Some(doubted) = inner.breaker.doubted else {
            return false;
        };
        let fast = settings.probe_fast;
        let rest = now.since(doubted);
        let passed = requests.saturating_sub(inner.doubted_at) as f32;
        let due = passed * settings.probe_share >= 1.0
            || rest >= PROBE_AT_LATEST
            || inner.breaker.failed_in < fast.below && rest >= fast.every;
        if due {
            inner.breaker.doubted = Some(now);
            inner.doubted_at = requests;
            self.publish(&inner);
        }
        due
    }

    pub(crate) fn breaker(&self) -> Breaker {
        self.lock().breaker
    }

    /// Takes it out of all traffic, or lets it in again as it was. Returns whether that changed anything.
    pub(crate) fn set_drained(&self, drained: bool) -> bool {
        let mut inner = self.lock();
        let changes = inner.breaker.drained != drained;
        inner.breaker.drained = drained;
        self.publish(&inner);
        changes
    }

    /// Whether an operator has taken it out. Takes no lock.
    pub fn is_drained(&self) -> bool {
        self.words.gate.is_drained()
    }

    /// Where the endpoint's own breaker stands at `now`.
    pub fn state(&self, settings: &HealthSettings, now: Time) -> State {
        let mut breaker = self.lock().breaker;
        breaker.settle(settings, now);
        breaker.state
    }

    pub(crate) fn latency(&self, bucket: Bucket) -> Latency {
        self.lock().latency[bucket.position()]
    }

    /// At which request of the pool the last probe went out.
    pub(crate) fn probed_at(&self) -> u64 {
        self.lock().probed_at
    }

    /// Begins a probe of the endpoint's own breaker, if it awaits one, and notes when the pool last probed.
    pub(crate) fn begin_probe(&self, pool_requests: u64, now: Time, actively: bool) -> bool {
        let mut inner = self.lock();
        inner.probed_at = pool_requests;
        let begins = inner.breaker.awaits_probe(now);
        if begins {
            inner.breaker.begin_probe(now, actively);
        }
        self.publish(&inner);
        begins
    }

    fn publish(&self, inner: &Inner) {
        self.words.store_posterior(&inner.posterior);
        self.words.gate.store(&inner.breaker);
    }

    fn past(&self) -> MutexGuard<'_, Windows> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Both locks, for a test of who needs neither.
    #[cfg(test)]
    pub(crate) fn guards(&self) -> impl Sized {
        (self.lock(), self.past())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A 429 says nothing about health, but a probe that gets one shows that the endpoint answers (3.2).
    fn rate_limited(&mut self, verdict: &Verdict) {
        if verdict.probe && self.breaker.answer_probe(verdict.now) {
            self.posterior = self.posterior.recovered(verdict.now);
        }
    }

    /// The endpoint is silent towards everybody: as much as two failures, and a trip (3.2).
    fn stall(&mut self, settings: &HealthSettings, at: usize, jitter: f32, now: Time) -> bool {
        self.breaker.settle(settings, now);
        self.waiting[at].stall(now);
        let effect = effect::of(Class::Stalled);
        self.posterior.observe(0.0, effect.failure, now);
        let started = self.waiting[at].company_since();
        let trips = self.breaker.trips_on(effect.rest, true, started);
        if trips {
            let cause = Cause {
                started,
                jitter,
                now,
            };
            self.breaker.trip(effect.rest, settings, &cause);
            self.breaks = false;
            self.consecutive = 0.0;
        }
        trips
    }

    fn count(&mut self, settings: &HealthSettings, verdict: &Verdict) -> bool {
        let effect = effect::of(verdict.class);
        let tripped = effect.failure > 0.0 && self.count_failure(settings, effect, verdict);
        if verdict.probe && !tripped {
            self.breaker.release_probe();
        }
        tripped
    }

    fn count_failure(
        &mut self,
        settings: &HealthSettings,
        effect: Effect,
        verdict: &Verdict,
    ) -> bool {
        if is_timeout(verdict.class) {
            let waited = verdict.now.since(verdict.started);
            self.latency[verdict.bucket.position()].observe(waited, verdict.now);
        }
        if self.is_straggler(verdict) {
            // Something that started later succeeded: the endpoint lives, this one was unlucky (3.2).
            self.posterior.observe(0.0, 0.25, verdict.now);
            return false;
        }
        if verdict.class.scope() != Scope::Endpoint {
            self.before_gate.get_or_insert(self.posterior);
        }
        self.posterior.observe(0.0, effect.failure, verdict.now);
        self.consecutive += effect.consecutive;
        if verdict.class == Class::StreamBroken {
            self.broken += 1.0;
        }
        let tripped = self.trip_if_due(settings, effect, verdict);
        let is_own = verdict.class.scope() == Scope::Endpoint;
        if is_own && !tripped && self.breaker.state == State::Closed {
            self.breaker.doubted = Some(verdict.now);
            self.breaker.failed_in = verdict.now.since(verdict.started);
        }
        tripped
    }

    fn is_straggler(&self, verdict: &Verdict) -> bool {
        let answered = self.ok_start[verdict.bucket.position()];
        is_timeout(verdict.class) && answered.is_some_and(|start| start > verdict.started)
    }

    /// Host and key failures trip those gates, not this breaker; a probe of this one is then undecided.
    fn trip_if_due(
        &mut self,
        settings: &HealthSettings,
        effect: Effect,
        verdict: &Verdict,
    ) -> bool {
        if verdict.class.scope() != Scope::Endpoint {
            return false;
        }
        let worn = effect.at_once
            || self.consecutive.max(self.broken) >= settings.trip_after
            || self
                .posterior
                .share()
                .is_some_and(|share| share < settings.min_success);
        let trips = self.breaker.trips_on(effect.rest, worn, verdict.started);
        if trips {
            self.breaker.trip(effect.rest, settings, &verdict.cause());
            self.breaks = verdict.class == Class::StreamBroken;
            self.consecutive = 0.0;
            self.broken = 0.0;
        }
        trips
    }
}

fn is_timeout(class: Class) -> bool {
    matches!(class, Class::FirstTokenTimeout | Class::AnswerTimeout)
}
