//! A fixed order: the first healthy endpoint of the file takes everything, sick ones come last.

use crate::core::policy::Standing;

/// Below this expected success an endpoint is sick (routing-algorithm 3.3).
const SICK_SUCCESS: f32 = 0.85;

/// The smallest key wins: healthy before sick, then the position in the file.
pub(crate) fn key(standing: &Standing) -> f32 {
    let sick = if is_sick(standing) { 1e6 } else { 0.0 };
    sick + standing.position as f32
}

/// `p < 0.85`, or much slower than usual: `T > 3 * T_long + 0.5 s`, or a third of the tokens a second (3.3).
fn is_sick(standing: &Standing) -> bool {
    let slow = match (standing.latency, standing.usual_latency) {
        (Some(now), Some(usual)) => now > 3.0 * usual + 0.5,
        _ => false,
    };
    let dripping = match (standing.throughput, standing.usual_throughput) {
        (Some(now), Some(usual)) => now < usual / 3.0,
        _ => false,
    };
    standing.expected < SICK_SUCCESS || slow || dripping
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(position: usize, expected: f32, latency: f32) -> Standing {
        Standing {
            position,
            price: 1.0,
            latency: Some(latency),
            usual_latency: Some(0.4),
            throughput: None,
            usual_throughput: None,
            expected,
        }
    }

    #[test]
    fn the_first_of_the_file_wins_while_healthy() {
        assert!(key(&standing(0, 0.98, 0.4)) < key(&standing(1, 0.99, 0.1)));
    }

    #[test]
    fn a_sick_or_suddenly_slow_endpoint_comes_last() {
        assert!(key(&standing(0, 0.5, 0.4)) > key(&standing(9, 0.98, 0.4)));
        assert!(key(&standing(0, 0.98, 5.0)) > key(&standing(9, 0.98, 0.4)));
    }
}
