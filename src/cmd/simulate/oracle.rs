//! Owns what a router that knew every endpoint's true state could expect, and the loss that policies are
//! compared by. Must never be asked while a run goes on.

use crate::cmd::simulate::chance;
use crate::cmd::simulate::incident::Kind;
use crate::cmd::simulate::ledger::Request;
use crate::cmd::simulate::scenario::{Endpoint, Scenario};

/// What a request that fails costs, in prices of the cheapest endpoint (routing-algorithm 2).
const FAILED: f64 = 20.0;
/// What a second to the first token costs, and a second of a stream.
const WAITING: f64 = 0.5;
const STREAMING: f64 = 0.05;

/// What a request cost its caller, in prices of its model's cheapest endpoint.
pub(super) fn loss(scenario: &Scenario, request: &Request) -> f64 {
    if !request.answered {
        return FAILED;
    }
    let price = request.price / least_price(scenario, request.model);
    match request.first_token {
        Some(first) => price + WAITING * first + STREAMING * request.streamed,
        None => price + STREAMING * request.took,
    }
}

/// The smallest loss that can be expected of a request that arrives at `at`; `None` where requests differ so
/// that one expectation does not hold for all.
pub(super) fn expected(scenario: &Scenario, model: usize, at: f64) -> Option<f64> {
    let asked = &scenario.requests;
    let alike = asked.json <= 0.0 && asked.reasoning <= 0.0 && asked.prompt.is_none();
    let least = least_price(scenario, model);
    let chain = &scenario.models[model].fallbacks;
    let beyond = chain.iter().rev().fold(FAILED, |beyond, fallback| {
        expected_of(scenario, *fallback, (least, beyond), at)
    });
    alike.then(|| expected_of(scenario, model, (least, beyond), at))
}

/// What to expect of one model, where prices are relative to `least` and a request that it cannot answer
/// loses `beyond`.
fn expected_of(scenario: &Scenario, model: usize, (least, beyond): (f64, f64), at: f64) -> f64 {
    let fleet = scenario.fleet.iter().enumerate();
    let serves = |endpoint: &Endpoint| endpoint.model == scenario.models[model].name;
    let choices: Vec<Choice> = fleet
        .filter(|(_, endpoint)| serves(endpoint))
        .map(|(position, endpoint)| Choice::of(scenario, (position, endpoint), least, at))
        .collect();
    let alone = |(this, choice): (usize, &Choice)| {
        let others = choices.iter().enumerate();
        let others = others.filter(|(other, choice)| *other != this && choice.share >= 1.0);
        let next = others
            .map(|(_, other)| other.alone(beyond))
            .fold(beyond, f64::min);
        (choice.alone(next), choice.share)
    };
    let mut ranked: Vec<(f64, f64)> = choices.iter().enumerate().map(alone).collect();
    ranked.sort_by(|(one, _), (two, _)| one.total_cmp(two));
    let mut left = 1.0_f64;
    let mut total = 0.0;
    for (loss, share) in ranked {
        let taken = left.min(share);
        total += taken * loss;
        left -= taken;
    }
    total + left * beyond
}

/// An endpoint as it is at an instant.
#[derive(Clone, Copy, Debug)]
struct Choice {
    /// The loss of an answer by it.
    answered: f64,
    /// Probability that it fails.
    fails: f64,
    /// The share of all requests that it can take.
    share: f64,
}

// === impl Choice ===

impl Choice {
    fn of(
        scenario: &Scenario,
        (position, endpoint): (usize, &Endpoint),
        least: f64,
        at: f64,
    ) -> Self {
        let (mut first, mut speed) = (endpoint.first_token, endpoint.speed);
        let (mut works, mut share) = (1.0 - endpoint.errors, 1.0_f64);
        for incident in scenario.incidents_of(position).filter(|one| one.is_bad(at)) {
            match incident.kind {
                Kind::Refuse | Kind::SynDrop { .. } | Kind::Hole | Kind::Auth => works = 0.0,
                Kind::Error { p, p_to, .. } => works *= 1.0 - incident.between(p, p_to, at),
                Kind::Cut { p } => works *= 1.0 - p,
                Kind::SlowFirst { factor } => first *= factor,
                Kind::SlowStream { factor } => speed /= factor,
                Kind::Rate { share: limit, .. } => share = share.min(limit),
                Kind::Ramp {
                    share: low,
                    share_to,
                } => {
                    share = share.min(incident.between(low, share_to, at));
                }
            }
        }
        let waiting = WAITING * chance::mean_first_token(first);
        let streaming = STREAMING * chance::mean_stream(speed);
        Self {
            answered: endpoint.price / least + waiting + streaming,
            fails: 1.0 - works,
            share,
        }
    }

    /// The loss to expect where a failure costs `next`.
    fn alone(&self, next: f64) -> f64 {
        (1.0 - self.fails) * self.answered + self.fails * next
    }
}

fn least_price(scenario: &Scenario, model: usize) -> f64 {
    let name = &scenario.models[model].name;
    let its = scenario
        .fleet
        .iter()
        .filter(|endpoint| endpoint.model == *name);
    let prices = its
        .map(|endpoint| endpoint.price)
        .filter(|price| *price > 0.0);
    prices.reduce(f64::min).unwrap_or(1.0)
}
