//! Owns the few words of an endpoint that every pick reads: one cache line, without a lock.
//! Must never be written but under the endpoint's own lock, so that readers see only whole verdicts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::core::health::breaker::{Breaker, State};
use crate::core::health::bucket::Bucket;
use crate::core::health::cap;
use crate::core::health::latency::Latency;
use crate::core::health::pacing::{Advice, Room};
use crate::core::health::posterior::Posterior;
use crate::core::health::settings::HealthSettings;
use crate::core::health::throughput::Throughput;
use crate::core::quota::{Need, Quantity};
use crate::core::time::Time;

/// A breaker as a pick reads it: two bits of state, one for an endpoint that was drained by hand, the rest the time
/// that matters in it (closed: since when its endpoint is doubted, 0 = it is not).
#[derive(Debug, Default)]
pub(crate) struct GateWord(AtomicU64);

const STATE_SHIFT: u32 = 62;
const DRAINED: u64 = 1 << 61;
const TIME_MASK: u64 = DRAINED - 1;
/// Two thousand years of microseconds leave a byte.
const CAUTION_SHIFT: u32 = 56;
const UPDATED_MASK: u64 = (1 << CAUTION_SHIFT) - 1;
/// Above the bits of a limit.
const TOLD: u64 = 1 << 32;
/// No turn lies further away than this, or than one request's pace: as at a learnt limit.
const FURTHEST_TURN: Duration = Duration::from_millis(500);

impl GateWord {
    pub(crate) fn store(&self, breaker: &Breaker) {
        let (bits, time) = match breaker.state {
            State::Closed => (0, breaker.doubted.unwrap_or_default()),
            State::Open => (1, breaker.until),
            State::HalfOpen => (2, breaker.since),
            State::Ramp => (3, breaker.since),
        };
        let drained = if breaker.drained { DRAINED } else { 0 };
        let word = (bits << STATE_SHIFT) | drained | (time.as_micros() & TIME_MASK);
        self.0.store(word, Relaxed);
    }

    /// Differs after every transition.
    pub(crate) fn mark(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Whether it was taken out by hand.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.load(Relaxed) & DRAINED != 0
    }

    /// Whether the breaker stood closed when last written.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.load(Relaxed) >> STATE_SHIFT == 0
    }

    /// Since when a closed gate's endpoint is doubted.
    pub(crate) fn doubted(&self) -> Option<Time> {
        let word = self.0.load(Relaxed);
        let since = word & TIME_MASK;
        let is_doubted = since != 0 && word >> STATE_SHIFT == 0;
        is_doubted.then_some(Time::from_micros(since))
    }

    /// What the gate lets through at `now`.
    pub(crate) fn read(&self, settings: &HealthSettings, now: Time) -> Passage {
        let word = self.0.load(Relaxed);
        let time = Time::from_micros(word & TIME_MASK);
        if word & DRAINED != 0 {
            return Passage::Drained;
        }
        match word >> STATE_SHIFT {
            0 => Passage::Free,
            1 if now < time => Passage::Shut,
            1 | 2 => Passage::Probe,
            _ => ramp(settings, now.seconds_since(time)),
        }
    }
}

/// Admitted with probability `max(0.1, t / ramp)` (routing-algorithm 3.2).
fn ramp(settings: &HealthSettings, passed: f32) -> Passage {
    let whole = settings.ramp.as_secs_f32();
    if passed >= whole {
        return Passage::Free;
    }
    Passage::Share((passed / whole).max(0.1))
}

/// What a gate lets through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passage {
    Free,
    /// Each request with this probability.
    Share(f32),
    /// Only a probe.
    Probe,
    Shut,
    /// Nothing at all, whatever else fails: an operator said so.
    Drained,
}

impl Passage {
    /// What is left when both gates stand in the way.
    #[must_use]
    pub fn and(self, other: Passage) -> Passage {
        match (self, other) {
            (Passage::Drained, _) | (_, Passage::Drained) => Passage::Drained,
            (Passage::Shut, _) | (_, Passage::Shut) => Passage::Shut,
            (Passage::Probe, _) | (_, Passage::Probe) => Passage::Probe,
            (Passage::Share(one), Passage::Share(two)) => Passage::Share(one.min(two)),
            (Passage::Share(share), Passage::Free) | (Passage::Free, Passage::Share(share)) => {
                Passage::Share(share)
            }
            (Passage::Free, Passage::Free) => Passage::Free,
        }
    }
}

/// The words of one endpoint: a cache line that every pick reads, and of the rest the half line of the request's
/// bucket.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Words {
    pub(crate) gate: GateWord,
    blocked: AtomicU64,
    masses: AtomicU64,
    /// When the masses were updated, and in the highest byte how far the prior is lowered.
    masses_at: AtomicU64,
    tokens: AtomicU64,
    tokens_at: AtomicU64,
    /// The learnt limit on requests a second; 0 = none. Above it a bit for an upstream that has told its limits.
    limit: AtomicU64,
    /// When the next request's turn is at the pace of that limit.
    turn: AtomicU64,
    buckets: Buckets,
    told: ToldWords,
}

/// Begins on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Buckets([BucketWords; Bucket::COUNT]);

/// What an upstream's own word on its limits leads to. Read only where there is one.
#[derive(Debug, Default)]
#[repr(align(64))]
struct ToldWords {
    /// Requests a second; 0 = as many as come.
    rate: AtomicU64,
    /// When the next request's turn is at that rate.
    turn: AtomicU64,
    /// Nothing is left until then.
    spent: AtomicU64,
    /// Tokens left of prompt and completion, and of prompts, until then.
    left: AtomicU64,
    left_until: AtomicU64,
    /// The same of a whole period, and how long that is believed.
    most: AtomicU64,
    most_until: AtomicU64,
}

/// The speed of one bucket.
#[derive(Debug, Default)]
#[repr(align(32))]
struct BucketWords {
    pace: AtomicU64,
    paced_at: AtomicU64,
    /// Since when those who wait get nothing; 0 = they do.
    silent: AtomicU64,
}

impl Words {
    /// Differs after every outcome, block, trip, drain.
    pub(crate) fn mark(&self) -> [u64; 3] {
        let blocked = self.blocked.load(Relaxed);
        [self.gate.mark(), blocked, self.masses_at.load(Relaxed)]
    }

    pub(crate) fn store_blocked(&self, until: Time) {
        self.blocked.store(until.as_micros(), Relaxed);
    }

    pub(crate) fn blocked_until(&self) -> Time {
        Time::from_micros(self.blocked.load(Relaxed))
    }

    pub(crate) fn store_limit(&self, limit: Option<f32>) {
        let bits = limit.map_or(0, f32::to_bits);
        let told = self.limit.load(Relaxed) & TOLD;
        self.limit.store(told | u64::from(bits), Relaxed);
    }

    fn limit(&self) -> Option<f32> {
        match self.limit.load(Relaxed) & !TOLD {
            0 => None,
            bits => Some(f32::from_bits(u32::try_from(bits).unwrap_or_default())),
        }
    }

    /// Whether the upstream has told its limits.
    pub(crate) fn is_told(&self) -> bool {
        self.limit.load(Relaxed) & TOLD != 0
    }

    /// What the upstream's word on its limits leads to.
    pub(crate) fn store_advice(&self, advice: &Advice) {
        let told = &self.told;
        let rate = advice.rate.map_or(0, f32::to_bits);
        told.rate.store(u64::from(rate), Relaxed);
        told.spent.store(advice.spent_until.as_micros(), Relaxed);
        told.left.store(counts(advice.left), Relaxed);
        let until = advice.left_until.as_micros();
        told.left_until.store(until, Relaxed);
        told.most.store(counts(advice.most), Relaxed);
        let until = advice.most_until.as_micros();
        told.most_until.store(until, Relaxed);
        self.limit.fetch_or(TOLD, Relaxed);
    }

    /// A request goes out: the next one's turn is a pace later, and never far away, as those that nobody else takes
    /// do not wait for theirs.
    pub(crate) fn spend_told(&self, now: Time) {
        if let Some(rate) = self.told_rate() {
            let pace = cap::pace(rate);
            let turn = Time::from_micros(self.told.turn.load(Relaxed)).max(now);
            let next = (turn + pace).min(now + pace.max(FURTHEST_TURN));
            self.told.turn.store(next.as_micros(), Relaxed);
        }
    }

    fn told_rate(&self) -> Option<f32> {
        match self.told.rate.load(Relaxed) {
            0 => None,
            bits => Some(f32::from_bits(u32::try_from(bits).unwrap_or_default())),
        }
    }

    /// Until when nothing is left, by the upstream's own word.
    pub(crate) fn spent_until(&self) -> Time {
        Time::from_micros(self.told.spent.load(Relaxed))
    }

    /// Whether a request has room, by the upstream's own word.
    pub(crate) fn room(&self, need: &Need, now: Time) -> Room {
        if !self.is_told() {
            return Room::Free;
        }
        let told = &self.told;
        let takes = [need.of(Quantity::Tokens), need.of(Quantity::InputTokens)];
        let later = |word: &AtomicU64| Time::from_micros(word.load(Relaxed)) > now;
        let exceed = |takes: [u64; 2], word: &AtomicU64| {
            let have = halves(word.load(Relaxed));
            let mut pairs = takes.into_iter().zip(have);
            pairs.any(|(takes, have)| takes > u64::from(have))
        };
        if later(&told.most_until) && exceed([need.least; 2], &told.most) {
            return Room::Never;
        }
        let spent = self.spent_until();
        if spent > now {
            return Room::Spent(spent);
        }
        if later(&told.left_until) {
            let until = Time::from_micros(told.left_until.load(Relaxed));
            if exceed([need.least; 2], &told.left) {
                return Room::Spent(until);
            }
            if exceed(takes, &told.left) {
                return Room::Paced(until);
            }
        }
        let turn = Time::from_micros(told.turn.load(Relaxed));
        match self.told_rate().map(|rate| cap::ready(rate, turn)) {
            Some(ready) if ready > now => Room::Paced(ready),
            Some(_) | None => Room::Free,
        }
    }

    /// How long one request in a queue lasts.
    pub(crate) fn pace(&self) -> Duration {
        self.limit().map_or(Duration::ZERO, cap::pace)
    }

    /// When the endpoint takes another request: no block holds, and it is the next one's turn.
    pub(crate) fn free_at(&self) -> Time {
        let blocked = self.blocked_until();
        match self.limit() {
            None => blocked,
            Some(limit) => {
                let turn = Time::from_micros(self.turn.load(Relaxed));
                blocked.max(cap::ready(limit, turn))
            }
        }
    }

    /// Gives back a turn that nobody used: those to come need not wait for it.
    pub(crate) fn give_turn_back(&self) {
        let pace = self.pace();
        let earlier = |turn| Some((Time::from_micros(turn) - pace).as_micros());
        self.turn.fetch_update(Relaxed, Relaxed, earlier).ok();
    }

    /// Takes the next turn, at `earliest` or later, unless it is after `latest`. Returns when it is.
    pub(crate) fn take_turn(&self, earliest: Time, latest: Time) -> Option<Time> {
        let Some(limit) = self.limit() else {
            return (earliest <= latest).then_some(earliest);
        };
        let next = |turn: u64| earliest.max(Time::from_micros(turn));
        let taken = self.turn.fetch_update(Relaxed, Relaxed, |turn| {
            let mine = next(turn);
            (mine <= latest).then(|| (mine + cap::pace(limit)).as_micros())
        });
        taken.ok().map(next)
    }

    pub(crate) fn store_posterior(&self, posterior: &Posterior) {
        self.masses
            .store(pack(posterior.success, posterior.failure), Relaxed);
        let caution = u64::from(posterior.caution()) << CAUTION_SHIFT;
        let updated = posterior.updated.as_micros() & UPDATED_MASK;
        self.masses_at.store(caution | updated, Relaxed);
    }

    pub(crate) fn posterior(&self) -> Posterior {
        let (success, failure) = unpack(self.masses.load(Relaxed));
        let at = self.masses_at.load(Relaxed);
        let caution = u8::try_from(at >> CAUTION_SHIFT).unwrap_or_default();
        Posterior {
            success,
            failure,
            updated: Time::from_micros(at & UPDATED_MASK),
            slow: Posterior::slow_of(caution),
        }
    }

    pub(crate) fn store_throughput(&self, tokens: &Throughput) {
        self.tokens.store(pack(tokens.short, tokens.long), Relaxed);
        self.tokens_at.store(tokens.updated.as_micros(), Relaxed);
    }

    pub(crate) fn throughput(&self) -> Throughput {
        let (short, long) = unpack(self.tokens.load(Relaxed));
        let updated = Time::from_micros(self.tokens_at.load(Relaxed));
        Throughput::published(short, long, updated)
    }

    pub(crate) fn store_latency(&self, bucket: Bucket, latency: &Latency) {
        let words = self.bucket(bucket);
        words.pace.store(pack(latency.short, latency.long), Relaxed);
        let relapses = u64::from(latency.relapses) << CAUTION_SHIFT;
        let updated = latency.updated.as_micros() & UPDATED_MASK;
        words.paced_at.store(relapses | updated, Relaxed);
    }

    /// The averages alone; `samples` is 0 or 1, for "unknown" or "known".
    pub(crate) fn latency(&self, bucket: Bucket) -> Latency {
        let words = self.bucket(bucket);
        let (short, long) = unpack(words.pace.load(Relaxed));
        let at = words.paced_at.load(Relaxed);
        Latency {
            short,
            long,
            deviation: 0.0,
            samples: u32::from(long > 0.0),
            updated: Time::from_micros(at & UPDATED_MASK),
            relapses: u8::try_from(at >> CAUTION_SHIFT).unwrap_or_default(),
        }
    }

    pub(crate) fn store_silence(&self, bucket: Bucket, since: Option<Time>) {
        let since = since.unwrap_or_default().as_micros();
        self.bucket(bucket).silent.store(since, Relaxed);
    }

    /// How long those who wait have got nothing, in seconds.
    pub(crate) fn silence(&self, bucket: Bucket, now: Time) -> f32 {
        match self.bucket(bucket).silent.load(Relaxed) {
            0 => 0.0,
            since => now.seconds_since(Time::from_micros(since)),
        }
    }

    fn bucket(&self, bucket: Bucket) -> &BucketWords {
        &self.buckets.0[bucket.position()]
    }
}

/// Two counts in a word, each as high as one that is not known where it does not fit.
fn counts([one, two]: [Option<u64>; 2]) -> u64 {
    let half = |count: Option<u64>| {
        let known = count.and_then(|count| u32::try_from(count).ok());
        u64::from(known.unwrap_or(u32::MAX))
    };
    half(one) << 32 | half(two)
}

fn halves(word: u64) -> [u32; 2] {
    let high = u32::try_from(word >> 32).unwrap_or_default();
    let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or_default();
    [high, low]
}

fn pack(one: f32, two: f32) -> u64 {
    u64::from(one.to_bits()) << 32 | u64::from(two.to_bits())
}

fn unpack(word: u64) -> (f32, f32) {
    let [high, low] = halves(word);
    (f32::from_bits(high), f32::from_bits(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pick_reads_a_cache_line_and_a_half_of_an_endpoint() {
        assert_eq!(std::mem::offset_of!(Words, buckets), 64);
        assert_eq!(size_of::<BucketWords>(), 32);
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let words = Words::default();
        let mut posterior = Posterior::default();
        posterior.observe(3.0, 1.5, Time::from_micros(7));
        words.store_posterior(&posterior);
        assert_eq!(words.posterior(), posterior);
    }

    #[test]
    fn a_drained_gate_lets_nothing_through_and_forgets_nothing() {
        let settings = HealthSettings::default();
        let mut breaker = Breaker::default();
        breaker.doubted = Some(Time::from_micros(9));
        breaker.drained = true;
        let gate = GateWord::default();
        gate.store(&breaker);
        assert!(gate.is_drained());
        assert_eq!(gate.read(&settings, Time::NEVER), Passage::Drained);
        assert_eq!(gate.doubted(), Some(Time::from_micros(9)));
        breaker.drained = false;
        gate.store(&breaker);
        assert_eq!(gate.read(&settings, Time::NEVER), Passage::Free);
    }

    #[test]
    fn a_ramp_lets_a_growing_share_through() {
        let settings = HealthSettings::default();
        let mut breaker = Breaker::default();
        breaker.state = State::Ramp;
        let gate = GateWord::default();
        gate.store(&breaker);
        let at = |millis| gate.read(&settings, Time::ZERO + Duration::from_millis(millis));
        assert_eq!(at(0), Passage::Share(0.1));
        assert_eq!(at(2500), Passage::Share(0.5));
        assert_eq!(at(5000), Passage::Free);
    }
}
