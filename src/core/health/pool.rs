//! Owns what the endpoints of one model share: the count of its requests, what they usually take, and the budget for
//! extra attempts. Must never decide whether an attempt is worth making.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::core::health::settings::BudgetSettings;
use crate::core::health::usual::{Counted, Learnt, Usual};
use crate::core::time::Time;

/// The smallest cap of a pool's retry tokens (routing-algorithm 3.4: `max(10, 5 s of traffic)`).
const LEAST_CAP: f32 = 10.0;
const CAP_SECONDS: f32 = 5.0;
/// Attempts that the pool's success is taken over (3.1: `pp`, N = 32).
const WINDOW: f32 = 32.0;
/// Time constant of the measured request rate.
const RATE_SECONDS: f32 = 10.0;

/// What a model's endpoints share.
#[derive(Debug)]
pub struct Pool {
    requests: AtomicU64,
    /// The success of its latest attempts, the bits of an `f32` from 0 to 1.
    success: AtomicU32,
    learnt: Learnt,
    budget: Mutex<Budget>,
}

#[derive(Debug, Clone, Copy)]
struct Budget {
    tokens: f32,
    /// Requests a second.
    rate: f32,
    updated: Time,
}

impl Default for Pool {
    /// A full bucket (amendment 2).
    fn default() -> Self {
        Self {
            requests: AtomicU64::new(0),
            success: AtomicU32::new(1.0_f32.to_bits()),
            learnt: Learnt::default(),
            budget: Mutex::new(Budget {
                tokens: LEAST_CAP,
                rate: 0.0,
                updated: Time::ZERO,
            }),
        }
    }
}

impl Pool {
    /// Counts a request of the pool.
    pub(crate) fn count_request(&self, settings: BudgetSettings, now: Time) {
        self.requests.fetch_add(1, Relaxed);
        self.with(settings, now, |budget| budget.rate += 1.0 / RATE_SECONDS);
    }

    /// How many requests the pool has had.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// An attempt succeeded or failed. A lost race loses one sample.
    pub(crate) fn note(&self, succeeded: bool) {
        let before = self.success();
        let sample = f32::from(u8::from(succeeded));
        let after = before + (sample - before) / WINDOW;
        self.success.store(after.to_bits(), Relaxed);
    }

    /// The success of about the latest 32 attempts, 0 to 1.
    pub(crate) fn success(&self) -> f32 {
        f32::from_bits(self.success.load(Relaxed))
    }

    /// An answer of the model was counted by its upstream.
    pub(crate) fn learn(&self, counted: Counted) {
        self.learnt.note(counted);
    }

    /// What requests of the model usually take.
    pub fn usual(&self) -> Usual {
        self.learnt.usual()
    }

    /// A success funds later retries.
    pub(crate) fn deposit(&self, settings: BudgetSettings, now: Time) {
        self.with(settings, now, |budget| {
            budget.tokens += settings.per_success;
        });
    }

    /// Takes the price of an extra attempt, `min(1, 0.1 + 2.5*(1 - p))` of its target's expected success
    /// (3.4). Returns whether the pool could pay.
    pub(crate) fn withdraw(&self, settings: BudgetSettings, expected: f32, now: Time) -> bool {
        let price = (0.1 + 2.5 * (1.0 - expected)).min(1.0);
        let mut paid = false;
        self.with(settings, now, |budget| {
            paid = budget.tokens >= price;
            if paid {
                budget.tokens -= price;
            }
        });
        paid
    }

    /// Requests a second, lately.
    pub(crate) fn rate(&self, now: Time) -> f32 {
        let budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        budget.rate * (-now.seconds_since(budget.updated) / RATE_SECONDS).exp()
    }

    /// Retry tokens left, for metrics.
    pub fn tokens(&self, settings: BudgetSettings, now: Time) -> f32 {
        let mut left = 0.0;
        self.with(settings, now, |budget| left = budget.tokens);
        left
    }

    #[cfg(test)]
    pub(crate) fn guards(&self) -> impl Sized {
        self.budget.lock()
    }

    fn with(&self, settings: BudgetSettings, now: Time, change: impl FnOnce(&mut Budget)) {
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.seconds_since(budget.updated);
        budget.rate *= (-passed / RATE_SECONDS).exp();
        budget.tokens += passed * settings.floor_per_second;
        budget.updated = budget.updated.max(now);
        change(&mut budget);
        let cap = LEAST_CAP.max(CAP_SECONDS * budget.rate);
        budget.tokens = budget.tokens.min(cap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_total_outage_is_retried_only_as_often_as_the_bucket_and_its_floor_allow() {
        let settings = BudgetSettings::default();
        let pool = Pool::default();
        let paid = (0..1000)
            .filter(|_| pool.withdraw(settings, 0.0, at(0)))
            .count();
        assert_eq!(paid, 10);
        let later = (0..1000)
            .filter(|_| pool.withdraw(settings, 0.0, at(4)))
            .count();
        assert_eq!(later, 2);
    }

    #[test]
    fn successes_fund_retries() {
        let settings = BudgetSettings::default();
        let pool = Pool::default();
        while pool.withdraw(settings, 0.0, at(0)) {}
        for _ in 0..4 {
            pool.deposit(settings, at(0));
        }
        assert!(pool.withdraw(settings, 0.0, at(0)));
        assert!(pool.withdraw(settings, 0.0, at(0)));
        assert!(!pool.withdraw(settings, 0.0, at(0)));
    }

    #[test]
    fn a_retry_on_a_healthy_target_is_cheap() {
        let settings = BudgetSettings::default();
        let pool = Pool::default();
        let paid = (0..1000)
            .filter(|_| pool.withdraw(settings, 1.0, at(0)))
            .count();
        assert!((95..=101).contains(&paid), "{paid}");
    }
}
