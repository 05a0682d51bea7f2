//! Owns the requests of one bucket that wait for their first token at one endpoint, and when their common
//! silence is a stall. Must never judge a request that waits alone: it may be unlucky.

use std::time::Duration;

use crate::core::health::bucket::{Bucket, Kind, PromptSize};
use crate::core::health::latency::Latency;
use crate::core::time::Time;

/// So many must wait before silence is the endpoint's (routing-algorithm 3.2).
const COMPANY: u32 = 3;
/// The shortest silence that is a stall: `max(1 s, T_long + 4 * dev)` (3.2).
const SHORTEST: Duration = Duration::from_secs(1);
/// The same for streams of which too few were seen to know: half the deadline that cold requests get.
const COLD: Duration = Duration::from_secs(5);

/// The requests that wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    count: u32,
    /// When the second and the third of those present came. The clock starts with the third: with an earlier
    /// one replicas at 3 requests a second tripped falsely (section 0).
    second: Time,
    third: Time,
    /// When the last first token came.
    progress: Time,
    /// When the endpoint was last found to have stalled.
    stalled: Option<Time>,
}

impl Waiting {
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn enter(&mut self, now: Time) {
        self.count += 1;
        match self.count {
            2 => self.second = now,
            COMPANY => self.third = now,
            _ => {}
        }
    }

    /// One waits no more; `answered`: because its first token came.
    pub(crate) fn leave(&mut self, answered: bool, now: Time) {
        self.count = self.count.saturating_sub(1);
        if answered {
            self.progress = self.progress.max(now);
        }
    }

    /// Since when nobody got a first token while at least two waited.
    pub(crate) fn silent_since(&self) -> Option<Time> {
        (self.count >= 2).then_some(self.progress.max(self.second))
    }

    /// When the silence becomes a stall, with company enough.
    pub(crate) fn due(&self, patience: Duration) -> Option<Time> {
        (self.count >= COMPANY).then_some(self.progress.max(self.third) + patience)
    }

    /// Since when the present company waits in silence.
    pub(crate) fn company_since(&self) -> Time {
        self.third
    }

    pub(crate) fn stall(&mut self, now: Time) {
        self.stalled = Some(now);
    }

    /// Whether the endpoint stalled since a request was sent.
    pub(crate) fn stalled_since(&self, sent: Time) -> bool {
        self.stalled.is_some_and(|stalled| stalled >= sent)
    }
}

/// How long silence may last before it is a stall; `None` where nothing is known to judge by.
pub(crate) fn patience(bucket: Bucket, latency: &Latency) -> Option<Duration> {
    if !latency.is_cold() {
        let usual = latency.long + 4.0 * latency.deviation;
        return Duration::try_from_secs_f32(usual)
            .ok()
            .map(|usual| usual.max(SHORTEST));
    }
    let quick = bucket.kind == Kind::Stream && !bucket.reasons && bucket.size != PromptSize::Long;
    quick.then_some(COLD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn the_clock_starts_with_the_third_and_anew_with_every_first_token() {
        let mut waiting = Waiting::default();
        let second = Duration::from_secs(1);
        waiting.enter(at(0));
        waiting.enter(at(100));
        assert_eq!(
            (waiting.due(second), waiting.silent_since()),
            (None, Some(at(100)))
        );
        waiting.enter(at(200));
        assert_eq!(waiting.due(second), Some(at(1200)));
        waiting.enter(at(300));
        waiting.leave(true, at(400));
        assert_eq!(waiting.due(second), Some(at(1400)));
        waiting.leave(false, at(500));
        assert_eq!(waiting.due(second), None);
    }

    #[test]
    fn a_cold_bucket_is_judged_late_or_not_at_all() {
        let cold = Latency::default();
        let stream = Bucket::from(Kind::Stream);
        assert_eq!(patience(stream, &cold), Some(COLD));
        let reasons = true;
        assert_eq!(patience(Bucket { reasons, ..stream }, &cold), None);
        assert_eq!(patience(Kind::Json.into(), &cold), None);
    }
}
