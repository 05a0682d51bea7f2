//! Owns the breaker's states and the rules between them, for an endpoint, a host or a key alike:
//! closed -> open -> half-open -> ramp -> closed. Must never decide what counts as a failure.

use std::time::Duration;

use crate::core::health::memory::{BreakerMemory, duration};
use crate::core::health::settings::HealthSettings;
use crate::core::time::Time;

/// Probes of our own that must succeed in a row: with two, a provider that fails six in ten let itself in again (7).
const ACTIVE_TO_CLOSE: u8 = 4;
/// A breaker forgets its back-off level after this long closed (3.2).
const LEVEL_RESET: Duration = Duration::from_secs(30);
/// First back-off of most kinds, and of credentials (3.2).
const FIRST_REST: Duration = Duration::from_secs(1);
const FIRST_REST_AUTH: Duration = Duration::from_secs(30);
/// A slow probe may be repeated after this long without the pool's traffic to pay for it (3.2).
pub(crate) const PROBE_AT_LATEST: Duration = Duration::from_secs(300);
/// An outage that has lasted less is probed as often as traffic pays for it; later what it has lasted beyond lies between
/// probes. Over forty minutes at one request a second that makes 14 slow probes of 48 (`lt_hole`).
const YOUNG: Duration = Duration::from_secs(120);

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    #[default]
    Closed,
    /// Takes no traffic until its back-off is over, then a probe.
    Open,
    /// A probe is under way, or may follow at once.
    HalfOpen,
    /// Recovered; gets its share back step by step.
    Ramp,
}

impl State {
    /// Every one, at its own position.
    pub const ALL: [State; 4] = [State::Closed, State::Open, State::HalfOpen, State::Ramp];

    /// The name used in metrics and the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::Open => "open",
            State::HalfOpen => "half_open",
            State::Ramp => "ramp",
        }
    }
}

/// Which back-off a failure earns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RestKind {
    Connect,
    ServerError,
    Timeout,
    Auth,
}

/// What a trip is due to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    /// When the attempt that failed began.
    pub(crate) started: Time,
    /// 0..1
    pub(crate) jitter: f32,
    pub(crate) now: Time,
}

/// One breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Breaker {
    pub(crate) state: State,
    /// When the present state began: results of attempts that started before it cause no transition.
    pub(crate) since: Time,
    /// When it tripped last: successes of attempts that started since show that it recovers.
    pub(crate) tripped: Time,
    /// When it tripped first of those trips between which it did not recover.
    pub(crate) out_since: Time,
    /// When an open breaker's back-off is over.
    pub(crate) until: Time,
    level: u32,
    successes: u8,
    failures: u8,
    pub(crate) probing: bool,
    /// It is probed by requests of our own: more of them must succeed (routing-algorithm 7).
    pub(crate) probed_actively: bool,
    pub(crate) last_probe: Option<Time>,
    /// How long the failure took that tripped it last: what a probe may cost a client.
    pub(crate) failed_in: Duration,
    pub(crate) trips: u64,
    /// When a closed breaker's endpoint failed last, unless it has answered since.
    pub(crate) doubted: Option<Time>,
    /// How often it has entered each state, in the order of [`State::ALL`].
    pub(crate) entered: [u32; State::ALL.len()],
    /// An operator has taken the endpoint out. It changes no state and no state changes it.
    pub(crate) drained: bool,
}

impl Breaker {
    /// Opens for `min(first * 2^level, longest of the kind)`, jittered by `jitter` in 0..1 to U(0.9, 1.1) (3.2).
    pub(crate) fn trip(&mut self, kind: RestKind, settings: &HealthSettings, cause: &Cause) {
        let now = cause.now;
        if self.state == State::Closed && now.since(self.since) >= LEVEL_RESET {
            self.level = 0;
        }
        let (first, longest) = match kind {
            RestKind::Connect => (FIRST_REST, settings.rest.connect),
            RestKind::ServerError => (FIRST_REST, settings.rest.server_error),
            RestKind::Timeout => (FIRST_REST, settings.rest.timeout),
            RestKind::Auth => (FIRST_REST_AUTH, settings.rest.auth),
        };
        let rest = first
            .saturating_mul(1 << self.level.min(16))
            .min(longest)
            .mul_f32(0.9 + 0.2 * cause.jitter);
        self.level += 1;
        if !self.is_barring() {
            self.out_since = now;
        }
        self.failed_in = now.since(cause.started);
        self.enter(State::Open, now);
        self.tripped = now;
        self.until = now + rest;
        self.trips += 1;
    }

    /// Moves on with time alone: a ramp that is over is closed.
    pub(crate) fn settle(&mut self, settings: &HealthSettings, now: Time) {
        if self.state == State::Ramp && now.since(self.since) >= settings.ramp {
            // It has been closed since the ramp was over, whenever somebody looks.
            self.enter(State::Closed, self.since + settings.ramp);
        }
    }

    /// Whether a probe could start as far as this breaker alone is concerned.
    pub(crate) fn awaits_probe(&self, now: Time) -> bool {
        match self.state {
            State::Open => now >= self.until,
            State::HalfOpen => !self.probing,
            State::Closed | State::Ramp => false,
        }
    }

    /// Whether it keeps ordinary traffic away.
    pub(crate) fn is_barring(&self) -> bool {
        matches!(self.state, State::Open | State::HalfOpen)
    }

    /// Notes that a probe is under way.
    pub(crate) fn begin_probe(&mut self, now: Time, actively: bool) {
        if self.state == State::Open {
            self.enter(State::HalfOpen, now);
            self.successes = 0;
        }
        self.probing = true;
        self.probed_actively = actively;
        self.last_probe = Some(now);
    }

    /// How far apart probes that cost a client seconds are at least, however many requests could pay for them. What has
    /// been away for long is not back in a moment.
    pub(crate) fn slow_probes_apart(&self, now: Time) -> Duration {
        let old = now.since(self.out_since).saturating_sub(YOUNG);
        old.min(PROBE_AT_LATEST)
    }

    /// The back-off that it earned last.
    pub(crate) fn rest(&self) -> Duration {
        self.until.since(self.tripped)
    }

    /// A probe ended without saying anything about this breaker.
    pub(crate) fn release_probe(&mut self) {
        self.probing = false;
    }

    /// A success of an attempt. Returns whether the breaker recovered by it.
    pub(crate) fn succeed(&mut self, settings: &HealthSettings, now: Time) -> bool {
        self.failures = 0;
        self.probing = false;
        self.doubted = None;
        match self.state {
            State::Closed | State::Ramp => false,
            State::Open | State::HalfOpen => {
                if self.state == State::Open {
                    self.enter(State::HalfOpen, now);
                    self.successes = 0;
                }
                self.successes = self.successes.saturating_add(1);
                let needed = match self.probed_actively {
                    true => settings.probes_to_close.max(ACTIVE_TO_CLOSE),
                    false => settings.probes_to_close,
                };
                let recovered = self.successes >= needed;
                if recovered {
                    self.enter(State::Ramp, now);
                }
                recovered
            }
        }
    }

    /// A rate-limited probe shows that the endpoint answers: half-open becomes ramp (3.2).
    /// Returns whether it did.
    pub(crate) fn answer_probe(&mut self, now: Time) -> bool {
        let answers = self.state == State::HalfOpen;
        if answers {
            self.enter(State::Ramp, now);
        }
        answers
    }

    /// Whether a failure trips this breaker in its present state; `worn`: the endpoint's own count says
    /// so. Half-open: any failure. Ramp: any failure that is not a server error, or two of those in a row (3.2).
    pub(crate) fn trips_on(&mut self, kind: RestKind, worn: bool, started: Time) -> bool {
        if started < self.since {
            return false;
        }
        match self.state {
            State::Closed => worn,
            State::Open => false,
            State::HalfOpen => true,
            State::Ramp => {
                self.failures = self.failures.saturating_add(1);
                worn || kind != RestKind::ServerError || self.failures >= 2
            }
        }
    }

    /// What outlives the process. A ramp is over by the time that anybody reads it.
    pub(crate) fn remember(&self, now: Time) -> BreakerMemory {
        let rest = match self.state {
            State::Closed | State::Ramp => None,
            State::HalfOpen => Some(Duration::ZERO),
            State::Open => Some(self.until.since(now)),
        };
        BreakerMemory {
            rests_for: rest.map(|rest| rest.as_secs_f32()),
            level: self.level,
            failed_in: self.failed_in.as_secs_f32(),
        }
    }

    /// Goes on from what was remembered `away` ago.
    pub(crate) fn recall(&mut self, memory: &BreakerMemory, away: Duration, now: Time) {
        self.level = memory.level.min(16);
        self.failed_in = duration(memory.failed_in);
        if let Some(rest) = memory.rests_for {
            self.enter(State::Open, now);
            self.tripped = now;
            self.out_since = now;
            self.until = now + duration(rest).saturating_sub(away);
        }
    }

    fn enter(&mut self, state: State, now: Time) {
        self.state = state;
        self.entered[state as usize] = self.entered[state as usize].wrapping_add(1);
        self.since = now;
        self.failures = 0;
        self.probing = false;
        self.doubted = None;
        self.probed_actively &= state == State::HalfOpen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    fn cause(now: Time) -> Cause {
        Cause {
            started: now,
            jitter: 0.5,
            now,
        }
    }

    fn tripped(now: Time) -> Breaker {
        let mut breaker = Breaker::default();
        let settings = HealthSettings::default();
        breaker.trip(RestKind::ServerError, &settings, &cause(now));
        breaker
    }

    #[test]
    fn back_off_doubles_up_to_the_longest_of_its_kind() {
        let settings = HealthSettings::default();
        let mut breaker = Breaker::default();
        let mut rests = Vec::new();
        for _ in 0..6 {
            breaker.trip(RestKind::ServerError, &settings, &cause(at(0)));
            rests.push(breaker.until.since(at(0)).as_secs());
        }
        assert_eq!(rests, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn slow_probes_of_a_long_outage_are_far_apart_and_a_recovery_forgets_it() {
        let settings = HealthSettings::default();
        let mut breaker = tripped(at(0));
        assert_eq!(breaker.slow_probes_apart(at(100)), Duration::ZERO);
        breaker.begin_probe(at(100), false);
        breaker.trip(RestKind::Timeout, &settings, &cause(at(101)));
        let apart = |breaker: &Breaker, seconds| breaker.slow_probes_apart(at(seconds)).as_secs();
        assert_eq!([270, 5000].map(|now| apart(&breaker, now)), [150, 300]);
        breaker.begin_probe(at(5000), false);
        breaker.succeed(&settings, at(5001));
        breaker.succeed(&settings, at(5002));
        breaker.trip(RestKind::Timeout, &settings, &cause(at(5003)));
        assert_eq!(apart(&breaker, 5100), 0);
    }

    #[test]
    fn a_credential_rests_long_from_the_start() {
        let mut breaker = Breaker::default();
        let settings = HealthSettings::default();
        breaker.trip(RestKind::Auth, &settings, &cause(at(0)));
        assert_eq!(breaker.until, at(30));
    }

    #[test]
    fn two_successful_probes_lead_to_the_ramp_and_time_closes_it() {
        let settings = HealthSettings::default();
        let mut breaker = tripped(at(0));
        assert!(!breaker.awaits_probe(at(0)));
        assert!(breaker.awaits_probe(at(2)));
        breaker.begin_probe(at(2), false);
        assert!(!breaker.awaits_probe(at(2)), "one probe at a time");
        assert!(!breaker.succeed(&settings, at(3)));
        assert!(breaker.awaits_probe(at(3)), "the second may follow at once");
        breaker.begin_probe(at(3), false);
        assert!(breaker.succeed(&settings, at(4)));
        assert_eq!(breaker.state, State::Ramp);
        breaker.settle(&settings, at(8));
        assert_eq!(breaker.state, State::Ramp);
        breaker.settle(&settings, at(9));
        assert_eq!(breaker.state, State::Closed);
    }

    #[test]
    fn the_ramp_forgives_one_server_error_but_no_timeout() {
        let settings = HealthSettings::default();
        let ramping = || {
            let mut breaker = tripped(at(0));
            breaker.begin_probe(at(2), false);
            breaker.succeed(&settings, at(2));
            breaker.succeed(&settings, at(2));
            breaker
        };
        let mut breaker = ramping();
        assert!(!breaker.trips_on(RestKind::ServerError, false, at(3)));
        assert!(breaker.trips_on(RestKind::ServerError, false, at(3)));
        assert!(ramping().trips_on(RestKind::Timeout, false, at(3)));
    }

    #[test]
    fn an_attempt_from_before_the_last_transition_changes_nothing() {
        let settings = HealthSettings::default();
        let mut breaker = tripped(at(0));
        breaker.begin_probe(at(5), false);
        breaker.succeed(&settings, at(5));
        breaker.succeed(&settings, at(5));
        assert!(!breaker.trips_on(RestKind::Timeout, true, at(1)));
    }
}
