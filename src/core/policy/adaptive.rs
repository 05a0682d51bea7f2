//! The default policy: a weighted draw by expected loss, so that price, speed and reliability are traded
//! against each other as they are right now, and no endpoint's share jumps to nothing or everything.

use crate::core::policy::{Part, Standing, Weights, sum};

/// What a second to the first token costs, in prices of the cheapest endpoint (routing-algorithm 3.3).
const LATENCY_WEIGHT: f32 = 0.5;
/// What a second a token costs: 20 prices where a stream brings one token a second (3.3).
const STREAM_WEIGHT: f32 = 20.0;
/// What a failed attempt costs, likewise (amendment 6).
const FAILURE_WEIGHT: f32 = 6.0;
/// What a second costs that a whole JSON answer takes: as much as a second of a stream of 300 tokens, which is what it
/// consists of. With a first token's weight, JSON bought speed at prices that no stream paid (`mixed_steady`: 1.20 times
/// the cheapest, with this 1.08).
const ANSWER_WEIGHT: f32 = STREAM_WEIGHT / 300.0;
/// How sharply traffic prefers the smallest loss. With 12 (3.3 and section 6) 21 of 50 random programs had more than 1.2
/// times the regret of the best fixed policy, by what the draw left to the second best in calm; with 16 4, with 20 one,
/// and every bar that 12 met is met (2026-11-22).
const SHARPNESS: i32 = 20;

/// A loss beyond this makes no difference any more.
const LARGEST: f64 = 1e3;

/// The expected loss of sending a request there, in prices of the pool's cheapest endpoint.
pub(crate) fn loss(standing: &Standing, weights: &Weights) -> f32 {
    sum(&parts(standing, weights))
}

/// The terms of the loss: `price + 0.5 * latency + 20 / tokens_per_second + 6 * (1 - p) / p` (3.3), each by its
/// weight. A whole answer's latency is both: `price + answer / 15 + 6 * (1 - p) / p`.
pub(crate) fn parts(standing: &Standing, weights: &Weights) -> [Part; 4] {
    let told = standing.throughput.filter(|_| !standing.whole);
    let stream = told.map_or(0.0, |rate| STREAM_WEIGHT / rate.max(0.1));
    let latency = second(standing.whole) * standing.latency.unwrap_or(0.0);
    let part = |name, value| Part { name, value };
    [
        part("price", weights.price * standing.price),
        part("latency", weights.latency * latency),
        part("throughput", weights.throughput * stream),
        part("failures", weights.uptime * failures(standing)),
    ]
}

/// What a second costs until the first token, or of the wait for a `whole` answer.
pub(crate) fn second(whole: bool) -> f32 {
    match whole {
        true => ANSWER_WEIGHT,
        false => LATENCY_WEIGHT,
    }
}

/// What failures are expected to cost: `6 * (1 - p) / p`.
pub(crate) fn failures(standing: &Standing) -> f32 {
    let expected = standing.expected.max(0.01);
    FAILURE_WEIGHT * (1.0 - expected) / expected
}

/// The key of a one-pass weighted draw with weights `loss^-20`, which an `f32` does not hold.
pub(crate) fn key(loss: f32, uniform: f32) -> f64 {
    let loss = f64::from(loss).clamp(1e-3, LARGEST);
    race(loss.powi(SHARPNESS), uniform)
}

/// The smallest of `-ln(u) / w` wins with probability `w / sum(w)`, so that no candidate list is stored;
/// `inverse` is `1 / w`, `uniform` is in 0..1.
pub(crate) fn race(inverse: f64, uniform: f32) -> f64 {
    let uniform = uniform.clamp(f32::MIN_POSITIVE, 1.0 - f32::EPSILON);
    -f64::from(uniform.ln()) * inverse
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
    fn a_second_of_a_whole_answer_counts_like_one_of_a_stream() {
        let weights = Weights::default();
        let stream = |rate| Standing {
            throughput: Some(rate),
            ..Standing::sample(1.0)
        };
        let json = |seconds| Standing {
            latency: Some(seconds),
            whole: true,
            ..Standing::sample(1.0)
        };
        // 300 tokens at 100 and at 50 a second.
        let streamed = loss(&stream(50.0), &weights) - loss(&stream(100.0), &weights);
        let waited = loss(&json(6.4), &weights) - loss(&json(3.4), &weights);
        assert!((streamed - waited).abs() < 1e-4, "{streamed} {waited}");
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
