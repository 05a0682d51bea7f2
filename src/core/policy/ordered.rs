//! A fixed order: the first healthy endpoint of the file takes everything, sick ones come last.

use crate::core::policy::Standing;
use crate::core::policy::sickness::behind_if_sick;

/// The smallest key wins: healthy before sick, then the position in the file.
pub(crate) fn key(standing: &Standing) -> f32 {
    behind_if_sick(standing, standing.position as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_file_wins_while_healthy() {
        let first = Standing::sample(9.0);
        let second = Standing {
            position: 1,
            ..Standing::sample(1.0)
        };
        assert!(key(&first) < key(&second));
        let sick = Standing {
            expected: 0.5,
            ..first
        };
        assert!(key(&sick) > key(&second));
    }
}
