//! Owns the figures of a run, each as `docs/simulate.md` defines it. Must never leave out a request that was
//! scored, or score one that was not.

use crate::cmd::simulate::incident::{Incident, Kind};
use crate::cmd::simulate::ledger::{Ledger, Request, Trip};
use crate::cmd::simulate::oracle;
use crate::cmd::simulate::scenario::{Load, Scenario};

/// The steps in which shares of traffic are looked at, in seconds.
const STEP: f64 = 0.5;
/// Below this share of all attempts, traffic has moved away.
const DIVERTED: f64 = 0.05;
/// An endpoint that had no more than this share before has none to get back.
const LEAST_SHARE: f64 = 0.02;

/// What a run amounts to. `None` where a figure means nothing in the scenario.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// Share answered whole, 0 to 1.
    pub(super) success: f64,
    /// Share answered whole by the first attempt, 0 to 1.
    pub(super) first: f64,
    /// Attempts a request beyond the first.
    pub(super) extra: f64,
    /// Seconds from the arrival to the first token.
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    /// Seconds a request spent in attempts that failed.
    pub(super) lost: f64,
    /// Seconds until traffic has moved away from the incident's endpoint.
    pub(super) divert: Option<f64>,
    /// Attempts on it during the incident.
    pub(super) hits: f64,
    /// Seconds after the incident until half its share is back.
    pub(super) ret: Option<f64>,
    /// Price a request, in prices of the cheapest healthy endpoint of the moment.
    pub(super) cost: f64,
    /// Trips of endpoints without an incident.
    pub(super) false_trips: f64,
    /// Mean loss a request beyond the oracle's (`oracle`), in prices of the cheapest endpoint.
    pub(super) regret: Option<f64>,
    /// Share of a rate-limited endpoint's capacity that was used.
    pub(super) capacity: Option<f64>,
}

impl Figures {
    /// Reckons the figures of one run.
    pub(super) fn of(scenario: &Scenario, ledger: &Ledger) -> Self {
        let (from, to) = scenario.window;
        let in_window = |request: &&Request| (from..to).contains(&request.arrived);
        let scored = ledger.requests.iter().filter(in_window);
        let scored: Vec<&Request> = scored.filter(|request| !request.faulty).collect();
        let share = |counts: &dyn Fn(&Request) -> f64| mean(scored.iter().map(|one| counts(one)));
        let mut first_tokens: Vec<f64> = scored.iter().filter_map(|one| one.first_token).collect();
        first_tokens.sort_by(f64::total_cmp);
        let shares = Shares::of(scenario, ledger);
        let first = scenario.incidents.first();
        Self {
            success: share(&|one| f64::from(u8::from(one.answered))),
            first: share(&|one| f64::from(u8::from(one.answered && one.attempts == 1))),
            extra: share(&|one| one.attempts.saturating_sub(1) as f64),
            p50: quantile(&first_tokens, 0.50),
            p95: quantile(&first_tokens, 0.95),
            p99: quantile(&first_tokens, 0.99),
            lost: share(&|one| one.lost),
            divert: first.map(|incident| shares.divert(incident)),
            hits: first.map_or(0.0, |incident| shares.hits(incident)),
            ret: first.and_then(|incident| shares.ret(incident, scenario.duration)),
            cost: share(&|one| one.price) / share(&|one| cheapest(scenario, one)).max(1e-9),
            false_trips: false_trips(scenario, ledger),
            regret: regret(scenario, &scored),
            capacity: first.and_then(|incident| capacity(scenario, ledger, incident)),
        }
    }

    /// The mean of several runs; a figure that some runs do not have is the mean of the others'.
    pub(super) fn mean(runs: &[Self]) -> Self {
        let mean_of = |figure: &dyn Fn(&Self) -> f64| mean(runs.iter().map(figure));
        let some_of = |figure: &dyn Fn(&Self) -> Option<f64>| {
            let there: Vec<f64> = runs.iter().filter_map(figure).collect();
            (!there.is_empty()).then(|| mean(there.iter().copied()))
        };
        Self {
            success: mean_of(&|run| run.success),
            first: mean_of(&|run| run.first),
            extra: mean_of(&|run| run.extra),
            p50: mean_of(&|run| run.p50),
            p95: mean_of(&|run| run.p95),
            p99: mean_of(&|run| run.p99),
            lost: mean_of(&|run| run.lost),
            divert: some_of(&|run| run.divert),
            hits: mean_of(&|run| run.hits),
            ret: some_of(&|run| run.ret),
            cost: mean_of(&|run| run.cost),
            false_trips: mean_of(&|run| run.false_trips),
            regret: some_of(&|run| run.regret),
            capacity: some_of(&|run| run.capacity),
        }
    }
}

/// What was lost beyond what had to be.
fn regret(scenario: &Scenario, scored: &[&Request]) -> Option<f64> {
    let needless = |one: &&Request| {
        let expected = oracle::expected(scenario, one.model, one.arrived)?;
        Some(oracle::loss(scenario, one) - expected)
    };
    let needless: Option<Vec<f64>> = scored.iter().map(needless).collect();
    needless.map(|all| mean(all.into_iter()))
}

/// Zero where there is nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0_f64);
    for value in values {
        sum += value;
        count += 1.0;
    }
    sum / count.max(1.0)
}

/// The smallest of the sorted values that `share` of them do not exceed; zero where there is none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a position in the list"
    )]
    let position = (rank as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(position).copied().unwrap_or(0.0)
}

/// The price of the cheapest endpoint of the request's model that was healthy when it arrived; where none was,
/// of the first model of its chain with one; where none has one, of the cheapest of its model.
fn cheapest(scenario: &Scenario, request: &Request) -> f64 {
    let asked = &scenario.models[request.model];
    let is_healthy = |position: &usize| {
        let mut incidents = scenario.incidents_of(*position);
        !incidents.any(|incident| incident.is_bad(request.arrived))
    };
    let of_model = |model: usize| {
        let name = &scenario.models[model].name;
        let all = 0..scenario.fleet.len();
        all.filter(move |position| scenario.fleet[*position].model == *name)
    };
    let price = |position: usize| scenario.fleet[position].price;
    let chain = std::iter::once(request.model).chain(asked.fallbacks.iter().copied());
    let mut healthy = chain.filter_map(|model| {
        let healthy = of_model(model).filter(is_healthy);
        healthy.map(price).reduce(f64::min)
    });
    let any = || of_model(request.model).map(price).reduce(f64::min);
    healthy.next().or_else(any).unwrap_or(0.0)
}

/// Trips of endpoints that had no incident at any time of the attempt behind the trip.
fn false_trips(scenario: &Scenario, ledger: &Ledger) -> f64 {
    let is_false = |trip: &&Trip| {
        let mut incidents = scenario.incidents_of(trip.endpoint);
        !incidents.any(|one| trip.attempt_began < one.to && one.from <= trip.at)
    };
    ledger.trips.iter().filter(is_false).count() as f64
}

/// What a rate-limited endpoint answered beyond errors, of what its limit let it answer.
fn capacity(scenario: &Scenario, ledger: &Ledger, incident: &Incident) -> Option<f64> {
    let Kind::Rate { share, .. } = incident.kind else {
        return None;
    };
    let offered = share * scenario.rps * (incident.to - incident.from);
    let admitted = ledger.attempts.iter().filter(|sent| {
        let its = sent.endpoint == incident.endpoint && !sent.limited;
        its && (incident.from..incident.to).contains(&sent.at)
    });
    (offered > 0.0).then(|| admitted.count() as f64 / offered)
}

/// Who got which part of the traffic, and when.
struct Shares {
    /// When each attempt began, in order.
    all: Vec<f64>,
    /// Those on the first incident's endpoint.
    its: Vec<f64>,
    /// The width of a look, in seconds.
    width: f64,
}

impl Shares {
    fn of(scenario: &Scenario, ledger: &Ledger) -> Self {
        let endpoint = scenario.incidents.first().map(|incident| incident.endpoint);
        let attempts = ledger.attempts.iter();
        let its = attempts
            .clone()
            .filter(|sent| Some(sent.endpoint) == endpoint);
        let rate = match scenario.load {
            Load::Open => scenario.rps,
            Load::Closed { .. } => ledger.requests.len() as f64 / scenario.duration,
        };
        Self {
            its: its.map(|sent| sent.at).collect(),
            all: attempts.map(|sent| sent.at).collect(),
            width: (20.0 / rate.max(1e-9)).max(5.0),
        }
    }

    /// Its share of what began from `from` on and before `to`; `None` where nothing did.
    fn within(&self, from: f64, to: f64) -> Option<f64> {
        let all = count(&self.all, from, to);
        (all > 0.0).then(|| count(&self.its, from, to) / all)
    }

    fn divert(&self, incident: &Incident) -> f64 {
        let gone = |at: &f64| self.within(*at, at + self.width).unwrap_or(0.0) < DIVERTED;
        let away = steps(incident.from, incident.to).find(gone);
        away.unwrap_or(incident.to) - incident.from
    }

    fn ret(&self, incident: &Incident, end: f64) -> Option<f64> {
        let before = incident.from - self.width.max(30.0);
        let usual = self.within(before, incident.from)?;
        if usual <= LEAST_SHARE {
            return None;
        }
        let back = |at: &f64| self.within(*at, at + self.width).unwrap_or(0.0) >= usual / 2.0;
        let returned = steps(incident.to, end).find(back);
        Some(returned.unwrap_or(end) - incident.to)
    }

    fn hits(&self, incident: &Incident) -> f64 {
        count(&self.its, incident.from, incident.to)
    }
}

fn count(sorted: &[f64], from: f64, to: f64) -> f64 {
    let before = |limit: f64| sorted.partition_point(|at| *at < limit);
    before(to).saturating_sub(before(from)) as f64
}

/// From `from` on in steps, before `to`.
fn steps(from: f64, to: f64) -> impl Iterator<Item = f64> {
    let at = (0_u32..).map(move |step| from + STEP * f64::from(step));
    at.take_while(move |at| *at < to)
}
