//! Owns what the clients counted, in all and by phase. Must never be told anything by the proxy but what its
//! answers' headers say, and must never grow with the length of a run.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cmd::demo::call::{Call, Ending};
use crate::cmd::demo::schedule::PHASES;

/// Measurements kept for percentiles; the oldest leave first.
const KEPT: usize = 4096;
/// Failures whose reason is kept.
const KEPT_REASONS: usize = 5;

/// The clients' counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) cut: u64,
    pub(crate) recovered: u64,
    /// What the recovered lost to failed attempts.
    pub(crate) lost: Samples,
    /// As the clients of streams saw it.
    pub(crate) first_tokens: Samples,
    pub(crate) reasons: Vec<String>,
}

/// The latest measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(VecDeque<Duration>);

/// The counters in all and by phase; a request belongs to the phase it began in.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) all: Tally,
    pub(crate) phases: [Tally; PHASES.len()],
}

impl Tally {
    fn add(&mut self, call: &Call) {
        match &call.ending {
            Ending::Answered => self.answered += 1,
            Ending::Cut => self.cut += 1,
            Ending::Failed(why) => {
                self.failed += 1;
                if self.reasons.len() < KEPT_REASONS {
                    self.reasons.push(why.clone());
                }
            }
        }
        if call.is_recovered() {
            self.recovered += 1;
            self.lost.add(call.lost);
        }
        if let Some(took) = call.first_token {
            self.first_tokens.add(took);
        }
    }

    /// Requests that are over.
    pub(crate) fn total(&self) -> u64 {
        self.answered + self.failed + self.cut
    }
}

impl Samples {
    fn add(&mut self, sample: Duration) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// The smallest sample that at least `percent` of all do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Option<Duration> {
        let mut sorted: Vec<Duration> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    }
}

impl Book {
    pub(crate) fn add(&mut self, phase: usize, call: &Call) {
        self.all.add(call);
        if let Some(tally) = self.phases.get_mut(phase) {
            tally.add(call);
        }
    }
}

impl Default for Book {
    fn default() -> Self {
        Self {
            all: Tally::default(),
            phases: std::array::from_fn(|_| Tally::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn call(ending: Ending, attempts: u32) -> Call {
        let now = Instant::now();
        Call {
            began: now,
            ended: now,
            ending,
            first_token: Some(Duration::from_millis(70)),
            endpoint: None,
            attempts,
            lost: Duration::from_millis(30),
        }
    }

    #[test]
    fn a_cut_stream_is_neither_answered_nor_failed_nor_recovered() {
        let mut book = Book::default();
        book.add(0, &call(Ending::Answered, 1));
        book.add(1, &call(Ending::Answered, 2));
        book.add(1, &call(Ending::Cut, 2));
        book.add(1, &call(Ending::Failed("503".to_owned()), 3));
        let all = &book.all;
        assert_eq!((all.answered, all.cut, all.failed), (2, 1, 1));
        assert_eq!((all.recovered, all.total()), (1, 4));
        assert_eq!(book.phases[1].answered, 1);
        assert_eq!(all.reasons, ["503"]);
    }

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentile(50), None);
        for millis in [5, 1, 4, 2, 3] {
            samples.add(Duration::from_millis(millis));
        }
        assert_eq!(samples.percentile(50), Some(Duration::from_millis(3)));
        assert_eq!(samples.percentile(95), Some(Duration::from_millis(5)));
    }
}
