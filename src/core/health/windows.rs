//! Owns what operators are shown of an endpoint's past: quantiles of the time to first content, uptime, failures by
//! class. Bounded memory; must never be read by a pick, or be judged by anything that routes.

use std::time::Duration;

use crate::core::outcome::{Class, Scope};
use crate::core::time::Time;

/// A bin of the histogram reaches so far: a quarter of an octave, 19 %.
const BINS_AN_OCTAVE: f32 = 4.0;
/// Where the first bin ends and the last begins: 1 ms and 2^17 ms, about two minutes.
const OCTAVES: usize = 17;
const BINS: usize = OCTAVES * 4 + 2;
/// Slots of a minute that quantiles are taken over: the present one and two before it.
const SPEED_SLOTS: usize = 3;
const MINUTE: Duration = Duration::from_secs(60);

/// The past of one endpoint: about 1.3 KB, whatever its traffic.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    speed: Ring<Histogram, SPEED_SLOTS>,
    five_minutes: Ring<Tally, 6>,
    half_hour: Ring<Tally, 7>,
    day: Ring<Tally, 25>,
    /// Since the process began, by the place in `Class::ALL`.
    failures: [u32; Class::ALL.len()],
    last_failure: Option<(Class, Time)>,
}

/// What operators are shown of an endpoint's past.
#[derive(Clone, Debug, PartialEq)]
pub struct Past {
    /// From the request's last byte to a stream's first content, over the last two to three minutes; `None` without any.
    pub first_content: Option<Quantiles>,
    pub uptime: Uptime,
    /// Attempts that failed since the process began, by class, those that did.
    pub failures: Vec<(Class, u32)>,
    pub last_failure: Option<(Class, Time)>,
}

/// Quantiles; each is off by at most 9 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    pub p50: Duration,
    pub p95: Duration,
    pub p99: Duration,
}

/// Shares of attempts that succeeded, 0 to 1, each over the time in its name and up to a fifth (a minute, five
/// minutes, an hour) more; `None` without any attempt that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uptime {
    pub five_minutes: Option<f32>,
    pub half_hour: Option<f32>,
    pub day: Option<f32>,
}

/// Whether an attempt that ended so is shown among an endpoint's failures: what the caller or this process caused
/// is not.
fn is_failure(class: Class) -> bool {
    let of_upstream = matches!(class.scope(), Scope::Endpoint | Scope::Host | Scope::Key);
    of_upstream && class != Class::Success
}

/// Whether it was not up: a rate limit is a failure of the attempt and no downtime.
fn is_downtime(class: Class) -> bool {
    is_failure(class) && class != Class::RateLimited
}

// === impl Windows ===

impl Default for Windows {
    fn default() -> Self {
        Self {
            speed: Ring::new(MINUTE),
            five_minutes: Ring::new(MINUTE),
            half_hour: Ring::new(5 * MINUTE),
            day: Ring::new(60 * MINUTE),
            failures: [0; Class::ALL.len()],
            last_failure: None,
        }
    }
}

impl Windows {
    /// A stream's first content came so long after its request was sent.
    pub(crate) fn first_content(&mut self, took: Duration, now: Time) {
        if let Some(slot) = self.speed.slot(now) {
            let bin = &mut slot.0[bin_of(took)];
            *bin = bin.saturating_add(1);
        }
    }

    /// An answer came to its whole end.
    pub(crate) fn succeeded(&mut self, now: Time) {
        self.tally(true, now);
    }

    /// An attempt ended so.
    pub(crate) fn failed(&mut self, class: Class, now: Time) {
        if !is_failure(class) {
            return;
        }
        let count = Class::ALL.iter().position(|known| *known == class);
        if let Some(count) = count.and_then(|at| self.failures.get_mut(at)) {
            *count = count.saturating_add(1);
        }
        self.last_failure = Some((class, now));
        if is_downtime(class) {
            self.tally(false, now);
        }
    }

    /// What there is to show at `now`.
    pub(crate) fn show(&self, now: Time) -> Past {
        let failures = Class::ALL.into_iter().zip(self.failures);
        Past {
            first_content: quantiles(self.speed.present(now)),
            uptime: Uptime {
                five_minutes: share(self.five_minutes.present(now)),
                half_hour: share(self.half_hour.present(now)),
                day: share(self.day.present(now)),
            },
            failures: failures.filter(|(_, count)| *count > 0).collect(),
            last_failure: self.last_failure,
        }
    }

    fn tally(&mut self, succeeded: bool, now: Time) {
        let slots = [
            self.five_minutes.slot(now),
            self.half_hour.slot(now),
            self.day.slot(now),
        ];
        for slot in slots.into_iter().flatten() {
            let count = match succeeded {
                true => &mut slot.succeeded,
                false => &mut slot.failed,
            };
            *count = count.saturating_add(1);
        }
    }
}

/// Slots of equal length that take turns.
#[derive(Clone, Debug)]
struct Ring<T, const N: usize> {
    length: Duration,
    /// The number, counted from the origin of time, of the slot that is filled.
    newest: u64,
    slots: [T; N],
}

impl<T: Copy + Default, const N: usize> Ring<T, N> {
    fn new(length: Duration) -> Self {
        Self {
            length,
            newest: 0,
            slots: [T::default(); N],
        }
    }

    fn number(&self, now: Time) -> u64 {
        let length = u64::try_from(self.length.as_micros()).unwrap_or(u64::MAX);
        now.as_micros() / length.max(1)
    }

    fn place(number: u64) -> usize {
        usize::try_from(number % N as u64).unwrap_or_default()
    }

    /// The slot to fill at `now`, emptied if it held an earlier turn. `None`: `now` lies too far back.
    fn slot(&mut self, now: Time) -> Option<&mut T> {
        let number = self.number(now);
        if number + (N as u64) <= self.newest {
            return None;
        }
        let gone = number.saturating_sub(self.newest).min(N as u64);
        for step in 0..gone {
            self.slots[Self::place(number - step)] = T::default();
        }
        self.newest = self.newest.max(number);
        self.slots.get_mut(Self::place(number))
    }

    /// The slots that are not too old at `now`.
    fn present(&self, now: Time) -> impl Iterator<Item = &T> {
        let oldest = (self.number(now) + 1).saturating_sub(N as u64);
        let first = oldest.max((self.newest + 1).saturating_sub(N as u64));
        (first..=self.newest).filter_map(|number| self.slots.get(Self::place(number)))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    succeeded: u32,
    failed: u32,
}

fn share<'a>(slots: impl Iterator<Item = &'a Tally>) -> Option<f32> {
    let add = |(up, all): (u64, u64), slot: &Tally| {
        let succeeded = u64::from(slot.succeeded);
        (up + succeeded, all + succeeded + u64::from(slot.failed))
    };
    let (up, all) = slots.fold((0, 0), add);
    (all > 0).then(|| up as f32 / all as f32)
}

/// How many fell into each bin.
#[derive(Clone, Copy, Debug)]
struct Histogram([u32; BINS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BINS])
    }
}

fn bin_of(took: Duration) -> usize {
    let millis = took.as_secs_f32() * 1e3;
    if millis <= 1.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a logarithm above zero, and the last bin takes what is beyond it"
    )]
    let bin = (millis.log2() * BINS_AN_OCTAVE) as usize + 1;
    bin.min(BINS - 1)
}

/// The geometric middle of a bin.
fn middle_of(bin: usize) -> Duration {
    let exponent = (bin as f32 - 0.5) / BINS_AN_OCTAVE;
    Duration::from_secs_f32(exponent.exp2() / 1e3)
}

fn quantiles<'a>(slots: impl Iterator<Item = &'a Histogram>) -> Option<Quantiles> {
    let mut bins = [0_u64; BINS];
    for slot in slots {
        for (sum, count) in bins.iter_mut().zip(slot.0) {
            *sum += u64::from(count);
        }
    }
    let all: u64 = bins.iter().sum();
    let at = |percent: u64| {
        let rank = (all * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bin = bins.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        middle_of(bin.unwrap_or_default())
    };
    (all > 0).then(|| Quantiles {
        p50: at(50),
        p95: at(95),
        p99: at(99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn is_near(found: Duration, expected: f32) {
        let ratio = found.as_secs_f32() / expected;
        assert!((0.9..1.11).contains(&ratio), "{found:?} for {expected} s");
    }

    #[test]
    fn an_endpoint_s_past_stays_small() {
        assert!(size_of::<Windows>() <= 2048, "{}", size_of::<Windows>());
    }

    #[test]
    fn quantiles_are_those_of_the_last_minutes() {
        let mut windows = Windows::default();
        assert_eq!(windows.show(at(0)).first_content, None);
        for percent in 1..=100 {
            windows.first_content(Duration::from_millis(10 * percent), at(10));
        }
        let shown = windows.show(at(30)).first_content.unwrap();
        is_near(shown.p50, 0.5);
        is_near(shown.p95, 0.95);
        is_near(shown.p99, 0.99);
        for _ in 0..900 {
            windows.first_content(Duration::from_secs(4), at(130));
        }
        let shown = windows.show(at(150)).first_content.unwrap();
        is_near(shown.p50, 4.0);
        let later = windows.show(at(190)).first_content.unwrap();
        is_near(later.p50, 4.0);
        assert_eq!(windows.show(at(400)).first_content, None, "all is too old");
    }

    #[test]
    fn what_is_beyond_the_scale_stays_on_it() {
        let mut windows = Windows::default();
        windows.first_content(Duration::ZERO, at(1));
        assert!(windows.show(at(1)).first_content.unwrap().p99 <= Duration::from_millis(1));
        windows.first_content(Duration::from_secs(9_999), at(1));
        assert!(windows.show(at(1)).first_content.unwrap().p99 > Duration::from_secs(120));
    }

    #[test]
    fn uptime_is_the_share_that_succeeded_in_each_window() {
        let mut windows = Windows::default();
        let uptime = |windows: &Windows, seconds| windows.show(at(seconds)).uptime;
        assert_eq!(uptime(&windows, 5), Uptime::default(), "nothing is known");
        for _ in 0..3 {
            windows.failed(Class::ServerError, at(10));
        }
        windows.succeeded(at(11));
        let quarter = Some(0.25);
        let shown = uptime(&windows, 12);
        assert_eq!(
            (shown.five_minutes, shown.half_hour, shown.day),
            (quarter, quarter, quarter)
        );
        windows.succeeded(at(600));
        let shown = uptime(&windows, 600);
        assert_eq!(shown.five_minutes, Some(1.0), "the failures are older");
        assert_eq!(shown.half_hour, Some(0.4));
        let shown = uptime(&windows, 3 * 3600);
        assert_eq!((shown.five_minutes, shown.half_hour), (None, None));
        assert_eq!(shown.day, Some(0.4));
        assert_eq!(uptime(&windows, 30 * 3600), Uptime::default());
    }

    #[test]
    fn what_the_caller_caused_counts_nowhere_and_a_rate_limit_is_no_downtime() {
        let mut windows = Windows::default();
        windows.succeeded(at(1));
        for class in Class::ALL {
            if matches!(class.scope(), Scope::Request | Scope::Local) {
                windows.failed(class, at(1));
            }
        }
        let shown = windows.show(at(1));
        assert_eq!((shown.failures.len(), shown.last_failure), (0, None));
        windows.failed(Class::RateLimited, at(2));
        windows.failed(Class::RateLimited, at(3));
        let shown = windows.show(at(4));
        assert_eq!(shown.uptime.five_minutes, Some(1.0));
        assert_eq!(shown.failures, [(Class::RateLimited, 2)]);
        assert_eq!(shown.last_failure, Some((Class::RateLimited, at(3))));
        windows.failed(Class::AuthRejected, at(5));
        assert_eq!(windows.show(at(5)).uptime.five_minutes, Some(0.5));
    }

    #[test]
    fn a_late_report_falls_into_its_own_slot_or_nowhere() {
        let mut windows = Windows::default();
        windows.succeeded(at(3600));
        windows.failed(Class::ServerError, at(3590));
        windows.failed(Class::ServerError, at(10));
        assert_eq!(windows.show(at(3600)).uptime.five_minutes, Some(0.5));
    }
}
