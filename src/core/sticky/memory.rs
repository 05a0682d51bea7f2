//! Owns what is known of one conversation, and what leaving its endpoint would cost. Must never believe in a cache
//! that an upstream does not show: what was to be cached and was not counts less each time.

use crate::core::catalog::{Fingerprint, Price};
use crate::core::policy::Pull;

/// No hosted cache takes a shorter beginning (OpenAI, Anthropic, Google: 1,024 tokens and more, 2026-11).
const SHORTEST: u32 = 1_024;
/// Part of an earlier prompt that is expected to be cached before anything was seen.
const UNSEEN: f32 = 0.5;
/// Cached tokens that a provider need not read again in a second: 100,000 tokens, 11.5 s without and 2.4 s with a
/// cache (<https://www.anthropic.com/news/prompt-caching>, 2024-08).
const TOKENS_A_SECOND: f32 = 11_000.0;

/// A turn that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// As the upstream counted them, else as estimated.
    pub prompt_tokens: u64,
    /// As the upstream says; `None`: it says nothing of tokens.
    pub cached_tokens: Option<u64>,
}

/// What is known of a conversation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    /// Where it was answered last.
    pub place: Fingerprint,
    prompt_tokens: u32,
    /// Part of an earlier prompt that is expected to be cached, 0 to 1.
    share: f32,
    /// The upstream has shown cached tokens.
    seen: bool,
}

impl Memory {
    /// A conversation that was answered at `place`, where it was not before.
    pub fn begin(place: Fingerprint, turn: Turn) -> Self {
        let prompt_tokens = narrow(turn.prompt_tokens);
        let cached = turn.cached_tokens.map_or(0, narrow);
        Self {
            place,
            prompt_tokens,
            share: UNSEEN.max(part(cached, prompt_tokens)),
            seen: cached > 0,
        }
    }

    /// The same after one more turn.
    #[must_use]
    pub fn after(&self, place: Fingerprint, turn: Turn) -> Self {
        if place != self.place {
            return Self::begin(place, turn);
        }
        let prompt_tokens = narrow(turn.prompt_tokens);
        let cacheable = self.prompt_tokens.min(prompt_tokens);
        let share = match turn.cached_tokens.map(narrow) {
            Some(cached) if cached > 0 || cacheable >= SHORTEST => {
                f32::midpoint(self.share, part(cached, cacheable))
            }
            Some(_) | None => self.share,
        };
        Self {
            place,
            prompt_tokens,
            share,
            seen: self.seen || turn.cached_tokens.is_some_and(|cached| cached > 0),
        }
    }

    /// Tokens of the next prompt that are expected to be cached where it was answered last, which takes `price`.
    pub fn cached_tokens(&self, prompt_tokens: u64, price: Price) -> f32 {
        let cacheable = self.prompt_tokens.min(narrow(prompt_tokens));
        let believed = self.seen || saving(price) > 0.0;
        match believed && (self.seen || cacheable >= SHORTEST) {
            true => cacheable as f32 * self.share,
            false => 0.0,
        }
    }

    /// What leaving is expected to cost. `cheapest`: USD of the request at the pool's cheapest endpoint.
    pub fn pull(
        &self,
        prompt_tokens: u64,
        price: Price,
        cheapest: Option<f64>,
        named: bool,
    ) -> Pull {
        let cached = self.cached_tokens(prompt_tokens, price);
        let money = cheapest.map_or(0.0, |cheapest| {
            f64::from(cached) * saving(price) / 1e6 / cheapest
        });
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a ratio of prices needs no more than an f32"
        )]
        Pull {
            money: money as f32,
            seconds: cached / TOKENS_A_SECOND,
            named,
        }
    }
}

/// USD that a million cached tokens save.
fn saving(price: Price) -> f64 {
    let known = price.prompt.zip(price.cache_read);
    known.map_or(0.0, |(prompt, cached)| (prompt - cached).max(0.0))
}

fn part(cached: u32, of: u32) -> f32 {
    (cached as f32 / of.max(1) as f32).min(1.0)
}

fn narrow(tokens: u64) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CACHING: Price = Price {
        prompt: Some(1.0),
        completion: Some(4.0),
        cache_read: Some(0.1),
    };
    const PLAIN: Price = Price {
        cache_read: None,
        ..CACHING
    };

    fn place(name: &str) -> Fingerprint {
        Fingerprint::of(&name)
    }

    fn turn(prompt_tokens: u64, cached_tokens: u64) -> Turn {
        Turn {
            prompt_tokens,
            cached_tokens: Some(cached_tokens),
        }
    }

    fn begun(prompt_tokens: u64) -> Memory {
        Memory::begin(place("here"), turn(prompt_tokens, 0))
    }

    fn is(value: f32, expected: f32) -> bool {
        (value - expected).abs() < 1e-3 * expected.max(1.0)
    }

    #[test]
    fn a_cache_is_worth_what_its_tokens_save() {
        let memory = begun(10_000);
        // Half of 10,000 tokens, 0.9 USD a million cheaper, of a request that costs 0.01 USD.
        let pull = memory.pull(12_000, CACHING, Some(0.01), false);
        assert!(is(pull.money, 0.45), "{pull:?}");
        assert!(is(pull.seconds, 5_000.0 / TOKENS_A_SECOND), "{pull:?}");
        let shorter = memory.pull(4_000, CACHING, Some(0.01), false);
        assert!(is(shorter.money, 0.18), "{shorter:?}");
    }

    #[test]
    fn no_price_no_length_and_no_evidence_are_worth_nothing() {
        let nothing = |memory: Memory, price, cheapest| {
            let pull = memory.pull(20_000, price, cheapest, false);
            assert!(!pull.holds(), "{pull:?}");
        };
        nothing(begun(1_000), CACHING, Some(0.001));
        nothing(begun(10_000), PLAIN, Some(0.01));
        let dearer = Price {
            cache_read: Some(2.0),
            ..CACHING
        };
        nothing(begun(10_000), dearer, Some(0.01));
        assert!(begun(10).pull(10, PLAIN, None, true).holds(), "named");
    }

    #[test]
    fn what_an_upstream_shows_decides_what_is_expected_of_it() {
        let seen = begun(10_000).after(place("here"), turn(12_000, 10_000));
        assert!(is(seen.cached_tokens(20_000, CACHING), 0.75 * 12_000.0));
        assert!(
            seen.pull(20_000, PLAIN, None, false).seconds > 0.5,
            "shown, so it saves time at least"
        );
        let mut never = begun(10_000);
        for _ in 0..4 {
            never = never.after(place("here"), turn(10_000, 0));
        }
        assert!(!never.pull(10_000, CACHING, Some(0.01), false).holds());
        let silent = Turn {
            prompt_tokens: 10_000,
            cached_tokens: None,
        };
        let untold = begun(10_000).after(place("here"), silent);
        assert!(is(untold.cached_tokens(10_000, CACHING), 5_000.0));
        let short = begun(100).after(place("here"), turn(10_000, 0));
        assert!(is(short.cached_tokens(10_000, CACHING), 5_000.0));
    }

    #[test]
    fn another_place_begins_anew() {
        let seen = begun(10_000).after(place("here"), turn(12_000, 10_000));
        let moved = seen.after(place("there"), turn(12_000, 0));
        assert_eq!(moved, Memory::begin(place("there"), turn(12_000, 0)));
    }
}
