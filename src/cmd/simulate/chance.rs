//! Owns the random numbers of a run: each subject draws from a stream of its own, so that two policies meet
//! the same traffic. Must never draw from anything but the run's seed.

use std::f64::consts::TAU;

use fastrand::Rng;

/// Spread of times to the first token.
const FIRST_TOKEN_SIGMA: f64 = 0.4;
/// Share of first tokens that take three to ten times as long.
const LATE_SHARE: f64 = 0.02;
/// Spread of token rates.
const SPEED_SIGMA: f64 = 0.25;
/// Answers, in tokens.
const TOKENS_MEDIAN: f64 = 300.0;
const TOKENS_SIGMA: f64 = 0.8;
const TOKENS_CAP: f64 = 4000.0;
/// Hidden reasoning, in tokens; spread and cap are those of answers.
const HIDDEN_MEDIAN: f64 = 600.0;

/// Who draws. Each has its own stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Subject {
    Arrivals,
    /// The routing code's own randomness.
    Routing,
    /// What one request asks for.
    Request(u64),
    /// The incidents of a random program.
    Program,
    /// What an endpoint makes of one attempt of a request.
    Attempt {
        request: u64,
        number: u8,
    },
}

/// The stream of a subject in a run.
pub(super) fn stream(seed: u64, subject: Subject) -> Rng {
    let (kind, one, two) = match subject {
        Subject::Arrivals => (1, 0, 0),
        Subject::Routing => (2, 0, 0),
        Subject::Request(number) => (3, number, 0),
        Subject::Program => (5, 0, 0),
        Subject::Attempt { request, number } => (4, request, u64::from(number)),
    };
    let mixed = [kind, one, two]
        .into_iter()
        .fold(mix(seed), |mixed, part| mix(mixed ^ part));
    Rng::with_seed(mixed)
}

/// The finaliser of SplitMix64: neighbouring seeds give unrelated streams.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// Evenly between two numbers.
pub(super) fn uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.f64()
}

/// True with probability `p`.
pub(super) fn happens(rng: &mut Rng, p: f64) -> bool {
    rng.f64() < p
}

/// The time to the next arrival at `rate` a second, in seconds.
pub(super) fn gap(rng: &mut Rng, rate: f64) -> f64 {
    -(1.0 - rng.f64()).ln() / rate
}

/// Seconds to the first token where `median` is usual.
pub(super) fn first_token(rng: &mut Rng, median: f64) -> f64 {
    let usual = lognormal(rng, median, FIRST_TOKEN_SIGMA);
    match happens(rng, LATE_SHARE) {
        true => usual * uniform(rng, 3.0, 10.0),
        false => usual,
    }
}

/// Tokens a second where `median` is usual.
pub(super) fn speed(rng: &mut Rng, median: f64) -> f64 {
    lognormal(rng, median, SPEED_SIGMA)
}

/// The length of an answer in tokens.
pub(super) fn tokens(rng: &mut Rng) -> f64 {
    lognormal(rng, TOKENS_MEDIAN, TOKENS_SIGMA)
        .clamp(1.0, TOKENS_CAP)
        .round()
}

/// The mean of `first_token`.
pub(super) fn mean_first_token(median: f64) -> f64 {
    let late = 1.0 - LATE_SHARE + LATE_SHARE * 6.5; // the middle of 3 to 10
    median * (FIRST_TOKEN_SIGMA.powi(2) / 2.0).exp() * late
}

/// The mean time of a whole stream at a median speed, in seconds.
pub(super) fn mean_stream(speed: f64) -> f64 {
    let tokens = TOKENS_MEDIAN * (TOKENS_SIGMA.powi(2) / 2.0).exp();
    tokens / speed * (SPEED_SIGMA.powi(2) / 2.0).exp()
}

/// The length of reasoning that nobody sees, in tokens.
pub(super) fn hidden(rng: &mut Rng) -> f64 {
    lognormal(rng, HIDDEN_MEDIAN, TOKENS_SIGMA)
        .clamp(1.0, TOKENS_CAP)
        .round()
}

/// The length of a prompt, in tokens: as many of each order of magnitude.
pub(super) fn prompt(rng: &mut Rng, (shortest, longest): (f64, f64)) -> f64 {
    (uniform(rng, shortest.ln(), longest.ln())).exp().round()
}

/// A position, each as often as its weight says.
pub(super) fn weighted(rng: &mut Rng, weights: impl Iterator<Item = f64> + Clone) -> usize {
    let mut left = rng.f64() * weights.clone().sum::<f64>();
    let mut last = 0;
    for (position, weight) in weights.enumerate() {
        if weight > 0.0 {
            last = position;
            if left < weight {
                break;
            }
        }
        left -= weight;
    }
    last
}

fn lognormal(rng: &mut Rng, median: f64, sigma: f64) -> f64 {
    // Box and Muller, 1958.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    let normal = radius * (TAU * rng.f64()).cos();
    median * (sigma * normal).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(count: usize, mut draw: impl FnMut(&mut Rng) -> f64) -> Vec<f64> {
        let mut rng = stream(1, Subject::Arrivals);
        let mut drawn: Vec<f64> = (0..count).map(|_| draw(&mut rng)).collect();
        drawn.sort_by(f64::total_cmp);
        drawn
    }

    #[test]
    fn the_same_subject_draws_the_same_and_another_does_not() {
        let first = |seed, subject| stream(seed, subject).u64(..);
        let attempt = |request, number| Subject::Attempt { request, number };
        assert_eq!(first(7, attempt(3, 1)), first(7, attempt(3, 1)));
        let others = [
            first(7, attempt(3, 2)),
            first(7, attempt(2, 1)),
            first(8, attempt(3, 1)),
            first(7, Subject::Request(3)),
            first(7, Subject::Routing),
        ];
        assert!(!others.contains(&first(7, attempt(3, 1))));
    }

    #[test]
    fn first_tokens_have_the_median_and_the_late_tail() {
        let drawn = sorted(20_000, |rng| first_token(rng, 0.4));
        assert!((drawn[10_000] - 0.4).abs() < 0.02, "{}", drawn[10_000]);
        // e^(0.4 * 1.645) is 1.93 at the 95th percentile of the lognormal part.
        assert!(
            (drawn[19_000] - 0.4 * 2.05).abs() < 0.08,
            "{}",
            drawn[19_000]
        );
        let late = drawn.iter().filter(|drawn| **drawn > 0.4 * 3.6).count();
        assert!((200..440).contains(&late), "{late}");
    }

    #[test]
    fn means_are_those_of_what_is_drawn() {
        let drawn = sorted(50_000, |rng| first_token(rng, 0.4));
        let mean = drawn.iter().sum::<f64>() / 50_000.0;
        assert!((mean - mean_first_token(0.4)).abs() < 0.01, "{mean}");
        let drawn = sorted(50_000, |rng| tokens(rng) / speed(rng, 100.0));
        let mean = drawn.iter().sum::<f64>() / 50_000.0;
        assert!((mean - mean_stream(100.0)).abs() < 0.1, "{mean}");
    }

    #[test]
    fn weights_and_prompts_are_drawn_as_they_say() {
        let weights = [0.0, 3.0, 1.0];
        let second = sorted(10_000, |rng| weighted(rng, weights.into_iter()) as f64);
        assert!(second[0] > 0.5, "what weighs nothing is not drawn");
        let share = second.iter().filter(|drawn| **drawn < 1.5).count();
        assert!((7300..7700).contains(&share), "{share}");
        let prompts = sorted(10_000, |rng| prompt(rng, (100.0, 10_000.0)));
        assert!((prompts[5_000] - 1000.0).abs() < 60.0, "{}", prompts[5_000]);
    }

    #[test]
    fn answers_have_their_length_and_their_cap() {
        let drawn = sorted(20_000, tokens);
        assert!((drawn[10_000] - 300.0).abs() < 12.0);
        assert!(drawn[0] >= 1.0 && drawn[19_999] <= 4000.0);
    }

    #[test]
    fn gaps_have_the_mean_of_their_rate() {
        let drawn = sorted(20_000, |rng| gap(rng, 50.0));
        let mean = drawn.iter().sum::<f64>() / 20_000.0;
        assert!((mean - 0.02).abs() < 0.001, "{mean}");
    }
}
