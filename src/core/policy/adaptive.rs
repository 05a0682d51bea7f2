//! The default policy: a weighted draw by expected loss, so that price, speed and reliability are traded
//! against each other as they are right now, and no endpoint's share jumps to nothing or everything.

use crate::core::policy::{Part, Standing, Weights, sum};

/// What a second to the first token costs, in prices of the cheapest endpoint (routing-algorithm 3.3).
pub(crate) const LATENCY_WEIGHT: f32 = 0.5;
/// What a second a token costs: 20 prices where a stream brings one token a second (3.3).
const STREAM_WEIGHT: f32 = 20.0;
/// What a failed attempt costs, likewise (amendment 6).
const FAILURE_WEIGHT: f32 = 6.0;
/// How sharply traffic prefers the smallest loss. 4 cost 1.19 times the cheapest healthy choice, 20 cost
/// 1.03 but herds; 12 is the compromise (3.3 and section 6).
const SHARPNESS: i32 = 12;

/// A loss beyond this makes no difference any more; its twelfth power is still a finite `f32`.
const LARGEST: f32 = 1e3;

/// The expected loss of sending a request there, in prices of the pool's cheapest endpoint.
pub(crate) fn loss(standing: &Standing, weights: &Weights) -> f32 {
    sum(&parts(standing, weights))
}

/// The terms of the loss: `price + 0.5 * latency + 20 / tokens_per_second + 6 * (1 - p) / p` (3.3), each by its
/// weight.
pub(crate) fn parts(standing: &Standing, weights: &Weights) -> [Part; 4] {
    let stream = standing
        .throughput
        .map_or(0.0, |rate| STREAM_WEIGHT / rate.max(0.1));
    let latency = LATENCY_WEIGHT * standing.latency.unwrap_or(0.0);
    let part = |name, value| Part { name, value };
    [
        part("price", weights.price * standing.price),
        part("latency", weights.latency * latency),
        part("throughput", weights.throughput * stream),
        part("failures", weights.uptime * failures(standing)),
    ]
}

/// What failures are expected to cost: `6 * (1 - p) / p`.
pub(crate) fn failures(standing: &Standing) -> f32 {
    let expected = standing.expected.max(0.01);
    FAILURE_WEIGHT * (1.0 - expected) / expected
}

/// The key of a one-pass weighted draw with weights `loss^-12`.
pub(crate) fn key(loss: f32, uniform: f32) -> f32 {
    race(loss.clamp(1e-3, LARGEST).powi(SHARPNESS), uniform)
}

/// The smallest of `-ln(u) / w` wins with probability `w / sum(w)`, so that no candidate list is stored;
/// `inverse` is `1 / w`, `uniform` is in 0..1.
pub(crate) fn race(inverse: f32, uniform: f32) -> f32 {
    let uniform = uniform.clamp(f32::MIN_POSITIVE, 1.0 - f32::EPSILON);
    -uniform.ln() * inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_endpoint_loses_more_than_a_dear_one() {
        let weights = Weights::default();
        let dear = Standing::sample(2.0);
        let failing = Standing {
            expected: 0.5,
            ..Standing::sample(1.0)
        };
        assert!(loss(&failing, &weights) > loss(&dear, &weights));
    }

    #[test]
    fn a_weight_of_zero_leaves_its_term_out() {
        let weights = Weights {
            price: 0.0,
            ..Weights::default()
        };
        let (cheap, dear) = (Standing::sample(1.0), Standing::sample(9.0));
        let difference = loss(&cheap, &weights) - loss(&dear, &weights);
        assert!(difference.abs() < f32::EPSILON);
        assert!(loss(&cheap, &weights) < loss(&cheap, &Weights::default()));
    }

    #[test]
    fn the_draw_follows_the_weights() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (one, two) = (1.0, 1.1);
        let wins = (0..20_000)
            .filter(|_| key(one, rng.f32()) < key(two, rng.f32()))
            .count();
        let share = wins as f32 / 20_000.0;
        let expected = 1.0 / (1.0 + (one / two).powi(SHARPNESS));
        assert!((share - expected).abs() < 0.02, "{share} {expected}");
    }
}
