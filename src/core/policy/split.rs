//! Fixed shares, for a canary: each endpoint of the split gets its percentage of the requests while it is
//! healthy; the others of the model are asked only where none of the split is left.

use crate::core::policy::Standing;
use crate::core::policy::adaptive::race;
use crate::core::policy::sickness::behind_if_sick;

/// Behind all endpoints of the split, sick ones included.
const OUTSIDE: f32 = 1e9;

/// The key in a one-pass draw, the smallest wins: with probability `share / sum(shares)` among the healthy of the
/// split. `share` is `None` outside of it. `uniform` is in 0..1.
pub(crate) fn key(standing: &Standing, share: Option<f32>, uniform: f32) -> f32 {
    match share {
        Some(share) => behind_if_sick(standing, wins(share, uniform)),
        None => OUTSIDE + standing.position as f32,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "at most a hundred thousand"
)]
fn wins(share: f32, uniform: f32) -> f32 {
    race(1.0 / f64::from(share), uniform).min(1e5) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_follow_the_shares() {
        let mut rng = fastrand::Rng::with_seed(5);
        let well = Standing::sample(1.0);
        let canary = (0..20_000)
            .filter(|_| key(&well, Some(5.0), rng.f32()) < key(&well, Some(95.0), rng.f32()))
            .count();
        assert!((800..1200).contains(&canary), "{canary} of 20000");
        let sick = Standing {
            expected: 0.5,
            ..well
        };
        assert!(key(&sick, Some(95.0), 0.5) > key(&well, Some(5.0), 0.5));
        assert!(key(&well, None, 0.5) > key(&sick, Some(5.0), 0.5));
    }
}
