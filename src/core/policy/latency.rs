//! The quickest to the first token (or whole answer) gets most; price is no matter, failures cost their full
//! weight (amendment 6: with 0.3 of it a 20 % brown-out was left after 14 s only).

use crate::core::policy::adaptive::failures;
use crate::core::policy::{Part, Standing, sum};

/// The expected loss in seconds: `T + 6 * (1 - p) / p` (routing-algorithm 3.3 with amendment 6). One that was never
/// asked counts as immediate, and so is asked.
pub(crate) fn loss(standing: &Standing) -> f32 {
    sum(&parts(standing))
}

/// The terms of the loss.
pub(crate) fn parts(standing: &Standing) -> [Part; 2] {
    let part = |name, value| Part { name, value };
    [
        part("latency", standing.latency.unwrap_or(0.0)),
        part("failures", failures(standing)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_counts_and_a_price_does_not() {
        let quick = Standing {
            latency: Some(0.2),
            ..Standing::sample(9.0)
        };
        let cheap = Standing::sample(1.0);
        assert!(loss(&quick) < loss(&cheap));
        let failing = Standing {
            expected: 0.8,
            ..quick
        };
        assert!(loss(&failing) > loss(&cheap));
    }
}
