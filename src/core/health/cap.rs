//! Owns the rate at which an endpoint seems to take requests, learnt from its 429s, and whose turn it is. Must
//! never take a 429 for ill health.
//!
//! **What a 429 tells.** Between two 429s `n` requests were taken; for the length of the first one's block none were
//! sent. So the limit is at least `n / (block + time sending)`, and at most `n / time sending`: in between lies how much
//! of the block's time the upstream saved up for us (a bucket of a second's requests saves a second; a window that begins
//! anew saves all of it). The geometric mean of both is what is sent next: the longer is sent without a
//! 429, the closer the two are.
//!
//! **The plateau.** That rate is held. It is left upwards by a *probe*: growth until the next 429. A probe that ends
//! within a couple of seconds' worth of requests beyond the plateau met the same limit again: back to the plateau, and
//! it is held longer. One that gets further has found another limit, which is learnt from what it took.

use std::time::Duration;

use crate::core::time::Time;

/// Time constants of the measured rates: of answers (routing-algorithm 3.2), and of what is asked for, in seconds.
const RATE_SECONDS: f32 = 3.0;
const DEMAND_SECONDS: f32 = 1.0;
/// What is left of the measured rate after the first 429 (3.2).
const FIRST_CUT: f32 = 0.8;
/// Below this many answers nothing is known of the rate that an endpoint takes (3.2).
const KNOWN: u32 = 16;
/// A rate at which a 429 came was too high, whatever is counted.
const TOO_HIGH: f32 = 0.98;
/// Never less, in requests a second (3.2).
const LEAST: f32 = 0.5;
/// From one 429 to the next probe, in seconds: at least, at most, and how many times longer once a probe has met the
/// same limit again. Each probe costs a block, each second that a raised limit is not noticed what it would have let
/// through; four endpoints at 7.5 a second: within 0.5 points from 16 to 40 s (simulated, 2026-11-23).
/// 20 s are ten blocks of two seconds; it grows with longer ones, to two minutes.
const HELD: f32 = 7.0;
const HELD_AT_MOST: [f32; 2] = [20.0, 120.0];
const BLOCKS: f32 = 10.0;
const LONGER: f32 = 4.0;
/// A plateau that was too high by less than this met the same limit again all the same.
const NEARLY: f32 = 0.9;
/// By how much of it the time differs between endpoints, so that they do not probe all at once.
const SPREAD: f32 = 0.5;
/// Where nobody had to wait for so many seconds a block costs little, as others take what it keeps away: then no
/// plateau is held beyond `HELD`, and a probe grows quickly.
const SCARCE_SECONDS: f32 = 5.0;
/// Growth a second of a probe where requests wait for their turn, and where others take them.
const CAREFUL: f32 = 2.0;
const QUICK: f32 = 4.0;
/// A limit that let through so many seconds' worth beyond the plateau, and a few, is another one. An assumption: of
/// token buckets the scenarios hold a second's, and whatever a longer one lets through is learnt as a higher limit.
const SAVED_SECONDS: f32 = 2.0;
const A_FEW: f32 = 3.0;
/// A plateau that was held in peace moves up by a hundredth, and up to a quarter where the probe shows more. One that was
/// not held for long may have lived on what was saved up, and gives up to a tenth.
const PROVEN: f32 = 1.01;
const UP_TO: f32 = 1.25;
const UNPROVEN: f32 = 0.9;
/// A probe gets no further than so many times what is asked for: beyond that it would find nothing out.
const FAR_ABOVE: f32 = 2.0;
/// A limit that is nearly that far above all traffic bounds nothing: it is forgotten so long after the last 429 (3.2).
const BINDS_BELOW: f32 = 1.9;
const FORGOTTEN: Duration = Duration::from_secs(60);
/// In seconds: what was taken in less says nothing of a rate.
const SHORTEST: f32 = 0.05;
/// So much of a second's requests may go at once, at least one (3.3).
const BURST_SECONDS: f32 = 0.3;

/// What an endpoint's 429s have taught.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RateCap {
    /// Requests a second; `None` = no limit is known.
    pub(crate) limit: Option<f32>,
    /// What it is held at, and where it goes back to.
    plateau: f32,
    /// From the last 429 that counted to the next probe, in seconds: where requests wait, and shared out.
    held: f32,
    spread: f32,
    /// When growth began, and what had been sent then.
    probe: Option<(Time, u64)>,
    /// The last 429 that counted, what had been sent then, and the end of its block.
    cut_at: Time,
    cut_sent: u64,
    resumed_at: Time,
    /// The last 429.
    limited_at: Time,
    grown_at: Time,
    /// Answers a second.
    rate: f32,
    rated_at: Time,
    answers: u32,
    /// Requests a second that were sent or waited for their turn.
    demand: f32,
    asked_at: Time,
    /// When a request had to wait last.
    waited_at: Option<Time>,
}

/// A 429.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limited {
    /// All attempts that have begun so far, this one among them.
    pub(crate) sent: u64,
    /// When this one began.
    pub(crate) started: Time,
    /// Nobody is sent before then.
    pub(crate) blocked_until: Time,
    /// 0..1.
    pub(crate) jitter: f32,
    pub(crate) now: Time,
}

impl RateCap {
    /// A request was let in.
    pub(crate) fn answered(&mut self, now: Time) {
        self.rate = self.rate(now) + 1.0 / RATE_SECONDS;
        self.rated_at = now;
        self.answers = self.answers.saturating_add(1);
    }

    fn rate(&self, now: Time) -> f32 {
        faded(self.rate, self.rated_at, RATE_SECONDS, now)
    }

    /// A request is to be sent, now or at its turn. `sent`: all attempts that have begun.
    pub(crate) fn asked(&mut self, sent: u64, now: Time) {
        self.demand = self.demand(now) + 1.0 / DEMAND_SECONDS;
        self.asked_at = now;
        self.grow(sent, now);
    }

    fn demand(&self, now: Time) -> f32 {
        faded(self.demand, self.asked_at, DEMAND_SECONDS, now)
    }

    /// A request has nobody else to go to, and waits.
    pub(crate) fn waited(&mut self, now: Time) {
        self.waited_at = Some(now);
    }

    fn is_scarce(&self, now: Time) -> bool {
        self.waited_at
            .is_some_and(|at| now.seconds_since(at) < SCARCE_SECONDS)
    }

    /// The limit as operators are told it, requests a second; `None` = none is known, or none that binds.
    pub(crate) fn told(&self, now: Time) -> Option<f32> {
        self.limit.filter(|limit| !self.is_outlived(*limit, now))
    }

    /// No 429 came for long, and the limit is far above the traffic.
    fn is_outlived(&self, limit: f32, now: Time) -> bool {
        now.since(self.limited_at) >= FORGOTTEN && limit >= BINDS_BELOW * self.rate(now)
    }

    /// A request was one too many.
    pub(crate) fn limited(&mut self, limited: &Limited) {
        let now = limited.now;
        self.grow(limited.sent, now);
        self.limited_at = now;
        // What was sent before the last cut has nothing new to tell.
        if self.limit.is_some() && limited.started < self.cut_at {
            return;
        }
        let held = self.held;
        self.held = HELD;
        let plateau = match (self.limit, self.probe) {
            (None, _) => FIRST_CUT * self.measured(now),
            (Some(limit), None) => {
                let taken = self.taken(limited).min(TOO_HIGH * limit);
                if taken >= NEARLY * self.plateau {
                    self.held = held;
                }
                taken
            }
            (Some(limit), Some(probe)) => {
                let taken = taken_by(probe, limited);
                if self.is_passed(probe, limited) {
                    taken.min(TOO_HIGH * limit)
                } else {
                    self.meet_again(held, limited);
                    let least = if held > HELD { PROVEN } else { UNPROVEN };
                    taken.clamp(least * self.plateau, UP_TO * self.plateau)
                }
            }
        };
        self.plateau = plateau.max(LEAST);
        self.limit = Some(self.plateau);
        self.probe = None;
        self.spread = 1.0 + SPREAD * (limited.jitter - 0.5);
        self.cut_at = now;
        self.cut_sent = limited.sent;
        self.resumed_at = limited.blocked_until;
        self.grown_at = now;
    }

    /// A probe met the same limit: the next one comes later than after what was `held`.
    fn meet_again(&mut self, held: f32, limited: &Limited) {
        let blocked = limited.blocked_until.since(limited.now).as_secs_f32();
        let [least, most] = HELD_AT_MOST;
        self.held = (LONGER * held).min((BLOCKS * blocked).clamp(least, most));
    }

    /// What an endpoint takes of which no limit is known: what it answered, or where that was little, what it was sent.
    fn measured(&self, now: Time) -> f32 {
        let rate = self.rate(now);
        match rate >= LEAST && self.answers >= KNOWN {
            true => rate,
            false => self.demand(now),
        }
    }

    /// What was taken a second since the last 429 that counted.
    fn taken(&self, limited: &Limited) -> f32 {
        let now = limited.now;
        let sending = now.seconds_since(self.resumed_at);
        let blocked = self.resumed_at.since(self.cut_at).as_secs_f32();
        let taken = taken(self.cut_sent, limited);
        // Less may have been asked for at first than now.
        let lately = match sending > RATE_SECONDS {
            true => self.rate(now) * sending,
            false => 0.0,
        };
        middle(taken, sending, blocked).max((taken / (sending + blocked) * lately / sending).sqrt())
    }

    /// Whether a probe took more than the plateau's limit can have saved up.
    fn is_passed(&self, (began, sent): (Time, u64), limited: &Limited) -> bool {
        let usual = self.plateau * limited.now.seconds_since(began);
        taken(sent, limited) - usual > SAVED_SECONDS * self.plateau + A_FEW
    }

    /// Lets the limit grow with the time that has passed.
    fn grow(&mut self, sent: u64, now: Time) {
        let Some(limit) = self.limit else {
            return;
        };
        if self.is_outlived(limit, now) {
            self.limit = None;
            self.probe = None;
            return;
        }
        let (held, growth) = match self.is_scarce(now) {
            true => (self.held, CAREFUL),
            false => (HELD, QUICK),
        };
        let due = now.seconds_since(self.cut_at) - held * self.spread;
        if now < self.resumed_at || due < 0.0 {
            self.grown_at = now;
            return;
        }
        let since = now.seconds_since(self.grown_at.max(self.resumed_at));
        let enough = FAR_ABOVE * self.rate(now).max(self.demand(now));
        self.limit = Some((limit * growth.powf(since.min(due))).min(enough.max(limit)));
        self.probe.get_or_insert((now, sent));
        self.grown_at = now;
    }
}

fn faded(rate: f32, at: Time, seconds: f32, now: Time) -> f32 {
    rate * (-now.seconds_since(at) / seconds).exp()
}

/// How many were taken since `sent` had begun; the one that was not counts for half, so that none is some.
fn taken(sent: u64, limited: &Limited) -> f32 {
    limited.sent.saturating_sub(sent + 1) as f32 + 0.5
}

/// What a probe shows: it may have begun with as much saved up as a block lets through, a long one aside.
fn taken_by((began, sent): (Time, u64), limited: &Limited) -> f32 {
    let blocked = limited.blocked_until.since(limited.now).as_secs_f32();
    let blocked = blocked.min(SAVED_SECONDS);
    let probed = limited.now.seconds_since(began);
    middle(taken(sent, limited), probed, blocked)
}

/// The geometric mean of the least and the most a second that explain `taken` requests.
fn middle(taken: f32, sending: f32, blocked: f32) -> f32 {
    let sending = sending.max(SHORTEST);
    taken / (sending * (sending + blocked)).sqrt()
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
mod tests;
