//! The default policy: a weighted draw by expected loss, so that price, speed and reliability are traded
//! against each other as they are right now, and no endpoint's share jumps to nothing or everything.

use crate::core::policy::Standing;

/// What a second to the first token costs, in prices of the cheapest endpoint (routing-algorithm 3.3).
const LATENCY_WEIGHT: f32 = 0.5;
/// What a second a token costs: 20 prices where a stream brings one token a second (3.3).
const STREAM_WEIGHT: f32 = 20.0;
/// What a failed attempt costs, likewise (amendment 6).
const FAILURE_WEIGHT: f32 = 6.0;
/// How sharply traffic prefers the smallest loss. 4 cost 1.19 times the cheapest healthy choice, 20 cost
/// 1.03 but herds; 12 is the compromise (3.3 and section 6).
const SHARPNESS: i32 = 12;

/// The expected loss of sending a request there, in prices of the pool's cheapest endpoint:
/// `price + 0.5 * latency + 20 / tokens_per_second + 6 * (1 - p) / p` (3.3).
pub(crate) fn loss(standing: &Standing) -> f32 {
    let expected = standing.expected.max(0.01);
    let speed = standing.latency.unwrap_or(0.0);
    let stream = standing
        .throughput
        .map_or(0.0, |rate| STREAM_WEIGHT / rate.max(0.1));
    standing.price + LATENCY_WEIGHT * speed + stream + FAILURE_WEIGHT * (1.0 - expected) / expected
}

/// The key of a one-pass weighted draw: the smallest of `-ln(u) / w` wins with probability `w / sum(w)`,
/// here with `w = loss^-12`, so that no candidate list is stored. `uniform` is in 0..1.
pub(crate) fn key(loss: f32, uniform: f32) -> f32 {
    let uniform = uniform.clamp(f32::MIN_POSITIVE, 1.0 - f32::EPSILON);
    -uniform.ln() * loss.max(1e-3).powi(SHARPNESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(price: f32, latency: f32, expected: f32) -> Standing {
        Standing {
            position: 0,
            price,
            latency: Some(latency),
            usual_latency: Some(latency),
            throughput: Some(50.0),
            usual_throughput: Some(50.0),
            expected,
        }
    }

    #[test]
    fn a_failing_endpoint_loses_more_than_a_dear_one() {
        let dear = loss(&standing(2.0, 0.4, 0.98));
        let failing = loss(&standing(1.0, 0.4, 0.5));
        assert!(failing > dear);
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
