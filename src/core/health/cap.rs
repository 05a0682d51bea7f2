//! Owns the rate at which an endpoint seems to take requests, learnt from its 429s, and whose turn it is. Must
//! never take a 429 for ill health.

use std::time::Duration;

use crate::core::time::Time;

/// Time constant of the measured rate of answers (routing-algorithm 3.2).
const RATE_SECONDS: f32 = 3.0;
/// A cap is cut at most this often (3.2).
const CUT_EVERY: Duration = Duration::from_millis(500);
/// What is left of a rate, and of a cap, after a cut; after a second with `MANY` 429s (3.2).
const CUT: f32 = 0.8;
const DEEP_CUT: f32 = 0.5;
const MANY: u32 = 5;
/// A limit so many times what is answered was found far too high: it is cut deep, and does not grow beyond. Without
/// that a sudden overload took 25 s to learn (simulated), each cut at the price of a block.
const FAR_ABOVE: f32 = 2.0;
/// Never less, in requests a second (3.2).
const LEAST: f32 = 0.5;
/// Below this many answers nothing is known of the endpoint's rate (3.2).
const KNOWN: u32 = 16;
/// Growth a second: near the rate where it was cut, and below 0.8 of that or after `QUIET` without a 429 (3.2).
const CAREFUL: f32 = 1.02;
const QUICK: f32 = 1.5;
const QUIET: Duration = Duration::from_secs(15);
/// Without a 429 for so long the cap is forgotten (3.2).
const FORGOTTEN: Duration = Duration::from_secs(60);
/// A limit from here on, in requests a second, bounds nothing that a provider could: it grew without traffic to hold it
/// back, and nobody is told of it.
const TOLD_BELOW: f32 = 1000.0;
/// So much of a second's requests may go at once, at least one (3.3).
const BURST_SECONDS: f32 = 0.3;

/// What an endpoint's 429s have taught.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RateCap {
    /// Requests a second; `None` = no limit is known.
    pub(crate) limit: Option<f32>,
    /// The rate at which it was cut last: growth is careful near it. `None` = not known.
    most: Option<f32>,
    /// Answers a second.
    rate: f32,
    answers: u32,
    rated_at: Time,
    cut_at: Time,
    limited_at: Time,
    grown_at: Time,
    second: Time,
    in_second: u32,
}

impl RateCap {
    /// A request was let in.
    pub(crate) fn answered(&mut self, now: Time) {
        self.rate = self.rate(now) + 1.0 / RATE_SECONDS;
        self.rated_at = now;
        // What was under way when the limit was cut shows what could have been taken.
        self.most = self.most.map(|most| most.max(self.rate));
        self.answers = self.answers.saturating_add(1);
    }

    fn rate(&self, now: Time) -> f32 {
        self.rate * (-now.seconds_since(self.rated_at) / RATE_SECONDS).exp()
    }

    /// The limit as operators are told it, requests a second; `None` = none is known, or none that means anything.
    pub(crate) fn told(&self) -> Option<f32> {
        self.limit.filter(|limit| *limit < TOLD_BELOW)
    }

    /// A request was one too many.
    pub(crate) fn limited(&mut self, now: Time) {
        self.grow(now);
        self.limited_at = now;
        if now.since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.in_second = 0;
        }
        self.in_second += 1;
        let cut_lately = self.limit.is_some() && now.since(self.cut_at) < CUT_EVERY;
        if cut_lately {
            return;
        }
        let rate = self.rate(now);
        let cut = match self.limit {
            None => CUT * rate,
            Some(limit) if self.in_second >= MANY || limit > FAR_ABOVE * rate => {
                (CUT * rate).max(DEEP_CUT * limit)
            }
            Some(limit) => CUT * limit,
        };
        let known = rate >= LEAST && self.answers >= KNOWN;
        self.most = known.then(|| rate.max(self.limit.unwrap_or(0.0)));
        self.limit = Some(cut.max(LEAST));
        self.cut_at = now;
        self.grown_at = now;
    }

    /// Lets the limit grow with the time that has passed.
    pub(crate) fn grow(&mut self, now: Time) {
        let Some(limit) = self.limit else {
            return;
        };
        let quiet = now.since(self.limited_at);
        if quiet >= FORGOTTEN {
            self.limit = None;
            self.most = None;
            return;
        }
        let passed = now.seconds_since(self.grown_at);
        let near = self.most.map_or(f32::INFINITY, |most| CUT * most);
        self.limit = Some(match (limit < near, quiet >= QUIET) {
            (_, true) => {
                let enough = limit.max(FAR_ABOVE * self.rate(now));
                (limit * QUICK.powf(passed)).min(enough)
            }
            (true, false) => (limit * QUICK.powf(passed)).min(near),
            (false, false) => limit * CAREFUL.powf(passed),
        });
        self.grown_at = now;
    }
}

/// When the next request may go, given when its turn would be at an even pace: a little ahead of it.
pub(crate) fn ready(limit: f32, turn: Time) -> Time {
    turn - Duration::from_secs_f32((BURST_SECONDS - 1.0 / limit).max(0.0))
}

/// The even pace of a limit.
pub(crate) fn pace(limit: f32) -> Duration {
    Duration::from_secs_f32(1.0 / limit.max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    /// Twenty answers a second for ten seconds.
    fn busy() -> RateCap {
        let mut cap = RateCap::default();
        for nth in 0..200 {
            cap.answered(at(nth * 50));
        }
        cap
    }

    #[test]
    fn a_limit_that_has_grown_beyond_all_traffic_is_not_told() {
        let learnt = |limit| RateCap {
            limit,
            ..RateCap::default()
        };
        assert_eq!(learnt(None).told(), None);
        assert_eq!(learnt(Some(16.0)).told(), Some(16.0));
        assert_eq!(learnt(Some(3_103_284.0)).told(), None);
    }

    #[test]
    fn the_first_429_cuts_to_four_fifths_of_what_was_measured_and_once_per_half_second() {
        let mut cap = busy();
        cap.limited(at(10_000));
        let first = cap.limit.unwrap();
        assert!((14.0..17.0).contains(&first), "{first}");
        cap.limited(at(10_100));
        assert!(cap.limit.unwrap() >= first);
        cap.limited(at(10_600));
        assert!(cap.limit.unwrap() < 0.85 * first);
    }

    #[test]
    fn a_limit_grows_carefully_near_the_rate_where_it_was_cut_and_is_forgotten_in_the_end() {
        let mut cap = busy();
        cap.limited(at(10_000));
        let cut = cap.limit.unwrap();
        for second in 11..20 {
            cap.grow(at(second * 1000));
        }
        let later = cap.limit.unwrap();
        assert!(later > cut && later < 1.25 * cut, "{cut} {later}");
        for nth in 0..400 {
            cap.answered(at(20_000 + nth * 25));
            cap.grow(at(20_000 + nth * 25));
        }
        assert!(cap.limit.unwrap() > 3.0 * cut, "it takes forty a second");
        cap.grow(at(71_000));
        assert_eq!(cap.limit, None);
    }

    #[test]
    fn an_endpoint_of_which_nothing_is_known_keeps_half_a_request_a_second() {
        let mut cap = RateCap::default();
        cap.limited(at(1000));
        assert_eq!(cap.limit, Some(LEAST));
    }
}
