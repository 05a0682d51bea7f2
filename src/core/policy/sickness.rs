//! Owns when an endpoint is sick for the policies that rank instead of weighing. Must never know a rank.

use crate::core::policy::Standing;

/// Below this expected success an endpoint is sick (routing-algorithm 3.3).
const SICK_SUCCESS: f32 = 0.85;
/// What being sick adds to a rank: behind all that are not.
const LAST: f32 = 1e6;

/// Seconds that a slower answer takes longer at least.
const NOTICED: f32 = 0.5;
/// Tokens of a typical answer (design section 5: prior 300).
const TYPICAL_TOKENS: f32 = 300.0;

/// The rank of a candidate, the smallest first, with the sick behind the others.
pub(crate) fn behind_if_sick(standing: &Standing, rank: f32) -> f32 {
    match is_sick(standing) {
        true => LAST + rank,
        false => rank,
    }
}

/// `p < 0.85`, or much slower than usual: `T > 3 * T_long + 0.5 s`, or a third of the tokens a second (3.3). The half
/// second counts there too: nobody notices which of two streams that are over at once was the slower one.
pub(crate) fn is_sick(standing: &Standing) -> bool {
    let slow = match (standing.latency, standing.usual_latency) {
        (Some(now), Some(usual)) => now > 3.0 * usual + NOTICED,
        _ => false,
    };
    let dripping = match (standing.throughput, standing.usual_throughput) {
        (Some(now), Some(usual)) => {
            now < usual / 3.0 && TYPICAL_TOKENS / now > TYPICAL_TOKENS / usual + NOTICED
        }
        _ => false,
    };
    standing.expected < SICK_SUCCESS || slow || dripping
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_or_is_much_slower_than_usual_is_sick() {
        let well = Standing::sample(1.0);
        assert!(!is_sick(&well));
        let fails = Standing {
            expected: 0.5,
            ..well
        };
        let slow = Standing {
            latency: Some(5.0),
            ..well
        };
        let drips = Standing {
            throughput: Some(10.0),
            ..well
        };
        assert!([fails, slow, drips].iter().all(is_sick));
        let instant = Standing {
            throughput: Some(9_000.0),
            usual_throughput: Some(90_000.0),
            ..well
        };
        assert!(!is_sick(&instant), "nobody notices");
        assert!(behind_if_sick(&fails, 0.0) > behind_if_sick(&well, 11.0));
    }
}
