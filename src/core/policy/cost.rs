//! The cheapest healthy endpoint takes everything; one whose price is not known comes behind all others that are
//! healthy, sick ones come last.

use crate::core::policy::Standing;
use crate::core::policy::sickness::behind_if_sick;

/// The rank of an unknown price: no ratio of prices is as large.
const UNKNOWN: f32 = 1e5;
/// Keeps equal prices in the order of the file.
const STEP: f32 = 1e-4;

/// The smallest key wins: healthy before sick, then the price, then the position in the file.
pub(crate) fn key(standing: &Standing) -> f32 {
    let price = match standing.priced {
        true => standing.price.min(UNKNOWN / 2.0),
        false => UNKNOWN,
    };
    behind_if_sick(standing, price + STEP * standing.position as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cheapest_that_is_well_wins_and_the_unknown_come_behind() {
        let cheap = Standing::sample(1.0);
        let dear = Standing::sample(3.0);
        let unknown = Standing {
            priced: false,
            ..cheap
        };
        let sick = Standing {
            expected: 0.5,
            ..cheap
        };
        let ranks = [cheap, dear, unknown, sick].map(|standing| key(&standing));
        assert!(ranks.is_sorted(), "{ranks:?}");
        let twin = Standing {
            position: 1,
            ..cheap
        };
        assert!(key(&twin) > key(&cheap));
    }
}
