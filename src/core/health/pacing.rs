//! Owns the pace that an upstream's own word on its limits asks for, and whether a request has room there, before any
//! 429. Must never refuse: it says who should be asked rather, and whoever has nobody else asks all the same.
//!
//! The sums. Of each limit the upstream told what remained (`remaining`) and when it is whole again; `since` is what
//! requests took that began after the one whose answer told it, as far as known. `left = remaining - since`. Where
//! `left < 2 * demand * span` (what is asked of it, averaged over 10 s, until the reset) the endpoint takes requests at
//! `left / span`. That fits both kinds of limits: a window that is whole again at its reset is used up evenly until
//! then; a bucket that is refilled all the time (OpenAI and Anthropic tell when it would be full) settles half full, where
//! `left / span` is the rate of its refill.

use std::time::Duration;

use crate::core::catalog::EndpointIx;
use crate::core::health::Health;
use crate::core::quota::{Need, QUANTITIES, Quantity, Quotas, Window};
use crate::core::time::Time;

/// Time constant of the measured demand: as a pool's.
const DEMAND_SECONDS: f32 = 10.0;
/// Short is what does not last for so many times the demand: paced, the demand is what is left, and stays short.
const SHORT: f32 = 2.0;
/// Taken where neither a reset nor a period is told: all limits seen without them are a minute's.
const PERIOD: Duration = Duration::from_mins(1);
/// A reset further away is paced as if it were so far: a day's budget is not spread over the day.
const FURTHEST: Duration = Duration::from_hours(1);
/// Where nothing is left nobody is sent for so long at most, as with a Retry-After.
pub(crate) const LONGEST_SPENT: Duration = Duration::from_secs(60);
/// A span is never taken for shorter: at its very end a window's rate means nothing.
const LEAST_SPAN: Duration = Duration::from_millis(20);
/// A limit is believed for so long without being told again.
const BELIEVED: Duration = Duration::from_mins(10);

/// What an endpoint had been sent when an attempt began, its own part included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark([u64; QUANTITIES]);

/// Whether a request has room at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// It is not its turn before then; sent at once, it would be taken.
    Paced(Time),
    /// Nothing is left until then, or too little for this request.
    Spent(Time),
    /// The limit of a whole period is below what it asks for.
    Never,
}

/// A limit as operators are shown it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    pub quantity: Quantity,
    pub limit: Option<u64>,
    pub left: u64,
    /// When it is whole again.
    pub resets_at: Time,
}

/// What was heard of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    remaining: u64,
    /// All that had been sent when the attempt began whose answer told it.
    mark: u64,
    resets_at: Time,
    heard_at: Time,
}

/// A limit, and when it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    most: u64,
    told_at: Time,
}

/// What follows for requests to come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Advice {
    /// Requests a second; `None`: as many as come.
    pub(crate) rate: Option<f32>,
    pub(crate) spent_until: Time,
    /// Tokens left: of prompt and completion, of prompts. `None`: not known.
    pub(crate) left: [Option<u64>; 2],
    pub(crate) left_until: Time,
    /// The same of a whole period.
    pub(crate) most: [Option<u64>; 2],
    pub(crate) most_until: Time,
}

/// The quantities that an advice has room for one by one.
const SIZED: [Quantity; 2] = [Quantity::Tokens, Quantity::InputTokens];

/// What is known of an endpoint's limits.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    held: [Option<Held>; QUANTITIES],
    limits: [Option<Limit>; QUANTITIES],
    sent: [u64; QUANTITIES],
    /// A second.
    demand: [f32; QUANTITIES],
    demand_at: Time,
}

impl Pacing {
    /// A request goes out.
    pub(crate) fn send(&mut self, need: &Need, now: Time) -> Mark {
        let decay = self.decay(now);
        for quantity in Quantity::ALL {
            let at = quantity as usize;
            let takes = need.of(quantity);
            self.sent[at] = self.sent[at].saturating_add(takes);
            self.demand[at] = self.demand[at] * decay + takes as f32 / DEMAND_SECONDS;
        }
        self.demand_at = now;
        Mark(self.sent)
    }

    fn decay(&self, now: Time) -> f32 {
        (-now.seconds_since(self.demand_at) / DEMAND_SECONDS).exp()
    }

    /// An answer told of its limits; `mark`: as its attempt began. The one that began last knows best.
    pub(crate) fn hear(&mut self, quotas: &Quotas, mark: Mark, now: Time) {
        for quantity in Quantity::ALL {
            let Some(window) = quotas.get(quantity) else {
                continue;
            };
            let at = quantity as usize;
            if let Some(most) = window.limit {
                self.limits[at] = Some(Limit { most, told_at: now });
            }
            let outdated = |held: &Held| held.mark > mark.0[at] && held.resets_at > now;
            if let Some(remaining) = window.remaining
                && !self.held[at].as_ref().is_some_and(outdated)
            {
                self.held[at] = Some(Held {
                    remaining,
                    mark: mark.0[at],
                    resets_at: self.reset(at, &window, remaining, now),
                    heard_at: now,
                });
            }
        }
    }

    /// A 429 said when there is something again: that is known better than from what was told before. A bucket that is
    /// refilled all the time has something long before it is whole.
    pub(crate) fn limited(&mut self) {
        for at in 0..QUANTITIES {
            if self.held[at].is_some_and(|held| self.left(at, &held) == 0) {
                self.held[at] = None;
            }
        }
    }

    /// Where no reset is told a period begins when more is left than before, and with the first word.
    fn reset(&self, at: usize, window: &Window, remaining: u64, now: Time) -> Time {
        let period = window.period.unwrap_or(PERIOD);
        let resets_in = match (window.resets_in, &self.held[at]) {
            (Some(told), _) => told,
            (None, Some(last)) if last.resets_at > now && remaining <= last.remaining => {
                last.resets_at.since(now)
            }
            (None, _) => period,
        };
        now + resets_in.min(FURTHEST)
    }

    fn left(&self, at: usize, held: &Held) -> u64 {
        let since = self.sent[at].saturating_sub(held.mark);
        held.remaining.saturating_sub(since)
    }

    /// What follows at `now`.
    pub(crate) fn advice(&self, now: Time) -> Advice {
        let mut advice = Advice::default();
        for quantity in Quantity::ALL {
            let at = quantity as usize;
            if let Some(held) = self.held[at].filter(|held| held.resets_at > now) {
                self.advise(at, &held, now, &mut advice);
            }
        }
        for (place, quantity) in SIZED.into_iter().enumerate() {
            let at = quantity as usize;
            if let Some(held) = self.held[at].filter(|held| held.resets_at > now) {
                advice.left[place] = Some(self.left(at, &held));
                let until = held.resets_at.min(held.heard_at + LONGEST_SPENT);
                advice.left_until = advice.left_until.max(until);
            }
            if let Some(limit) = self.limits[at] {
                advice.most[place] = Some(limit.most);
                advice.most_until = advice.most_until.max(limit.told_at + BELIEVED);
            }
        }
        advice
    }

    fn advise(&self, at: usize, held: &Held, now: Time, advice: &mut Advice) {
        let left = self.left(at, held);
        if left == 0 {
            let until = held.resets_at.min(held.heard_at + LONGEST_SPENT);
            advice.spent_until = advice.spent_until.max(until);
            return;
        }
        let span = held.resets_at.since(now).max(LEAST_SPAN).as_secs_f32();
        let requests = self.demand[Quantity::Requests as usize];
        let (left, demand) = (left as f32, self.demand[at]);
        if requests <= 0.0 || left >= SHORT * demand * self.decay(now) * span {
            return;
        }
        let rate = left / span * requests / demand;
        advice.rate = Some(advice.rate.map_or(rate, |other| other.min(rate)));
    }

    /// For operators: what is left of each limit that was told.
    pub(crate) fn show(&self, now: Time) -> Vec<Remaining> {
        let shown = |quantity: Quantity| {
            let at = quantity as usize;
            let held = self.held[at]?;
            let limit = self.limits[at].map(|limit| limit.most);
            let whole = limit.filter(|_| held.resets_at <= now);
            Some(Remaining {
                quantity,
                limit,
                left: whole.unwrap_or_else(|| self.left(at, &held)),
                resets_at: held.resets_at,
            })
        };
        Quantity::ALL.into_iter().filter_map(shown).collect()
    }
}

impl Health {
    /// An attempt begins, and is expected to take so much. Returns what `hear` is to be told with its answer.
    pub fn begin(&self, endpoint: EndpointIx, need: &Need, now: Time) -> Mark {
        self.slot(endpoint).own.enter(need, now)
    }

    /// The answer to an attempt told of the upstream's limits. They are the endpoint's alone: most vendors keep them a
    /// model and a key, and where one is shared each endpoint's next answer tells what the others took.
    pub fn hear(&self, endpoint: EndpointIx, quotas: &Quotas, mark: Mark, now: Time) {
        self.slot(endpoint).own.hear(quotas, mark, now);
    }

    /// Whether a request has room there, by what the upstream told of its limits. Takes no lock.
    pub fn room(&self, endpoint: EndpointIx, need: &Need, now: Time) -> Room {
        self.slot(endpoint).own.words.room(need, now)
    }
}

#[cfg(test)]
mod tests;
