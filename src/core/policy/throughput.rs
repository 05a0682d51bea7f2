//! The one that streams the most tokens a second gets most.

use crate::core::policy::adaptive::failures;
use crate::core::policy::{Part, Standing, sum};

/// What the time of a hundred tokens costs, and a failure beside it (routing-algorithm 3.3).
const TOKENS: f32 = 100.0;
const FAILURES: f32 = 0.5;

/// The expected loss: `100 / tokens_per_second + 3 * (1 - p) / p` (3.3). One that never streamed counts as
/// immediate, and so is asked.
pub(crate) fn loss(standing: &Standing) -> f32 {
    sum(&parts(standing))
}

/// The terms of the loss.
pub(crate) fn parts(standing: &Standing) -> [Part; 2] {
    let stream = standing
        .throughput
        .map_or(0.0, |rate| TOKENS / rate.max(0.1));
    let part = |name, value| Part { name, value };
    [
        part("throughput", stream),
        part("failures", FAILURES * failures(standing)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_a_second_count_and_a_price_does_not() {
        let fluent = Standing {
            throughput: Some(150.0),
            ..Standing::sample(9.0)
        };
        let cheap = Standing::sample(1.0);
        assert!(loss(&fluent) < loss(&cheap));
        let failing = Standing {
            expected: 0.5,
            ..fluent
        };
        assert!(loss(&failing) > loss(&cheap));
    }
}
