//! Owns what holds a conversation at an endpoint: how it is recognised, and whether what it would lose outweighs
//! what another endpoint is better. Must never ask whether an endpoint may be used: `core/plan` does, before.

use std::sync::Arc;
use std::time::Duration;

use crate::core::policy::sickness::is_sick;
use crate::core::policy::{Policy, Share, Sort, Standing, adaptive, latency, throughput};

/// Hosted prompt caches live five to ten minutes after their last use (OpenAI and Anthropic, 2026-11).
pub const TTL: Duration = Duration::from_secs(600);

/// A cache that is worth less, in prices of the cheapest endpoint or in seconds, holds nobody: traffic of short or
/// equal prompts stays balanced.
const LEAST_WORTH: f32 = 0.05;
/// What a conversation that its client named is worth at least, in the unit of the score: it is not moved for the
/// noise of a latency, and it is for a quarter of a price, half a second, or 4 % more failures.
const NAMED_WORTH: f32 = 0.25;
/// Prices that differ by less are equal.
const SAME_PRICE: f32 = 1e-3;

/// What tells a conversation from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The body's `session_id`.
    SessionId,
    /// The body's `prompt_cache_key`.
    PromptCacheKey,
    /// The body's `user`.
    User,
    /// How the conversation begins: its first instruction and its first other message.
    Beginning,
    /// A header, in lower case.
    Header(Arc<str>),
    /// The earlier answer that the body goes on with, which no configuration has to name.
    EarlierAnswer,
}

impl KeySource {
    /// Those that are no header, with the name the configuration uses.
    pub const WORDS: [(&'static str, KeySource); 4] = [
        ("session_id", KeySource::SessionId),
        ("prompt_cache_key", KeySource::PromptCacheKey),
        ("user", KeySource::User),
        ("conversation", KeySource::Beginning),
    ];

    /// The name the configuration uses.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Header(name) => name,
            Self::EarlierAnswer => "previous_response_id",
            Self::SessionId | Self::PromptCacheKey | Self::User | Self::Beginning => {
                let mut words = Self::WORDS.iter();
                let found = words.find(|(_, source)| source == self);
                found.map_or("", |(word, _)| word)
            }
        }
    }

    /// Whether the client says by it what belongs together.
    pub fn is_named(&self) -> bool {
        *self != Self::Beginning
    }
}

/// How a policy keeps conversations together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stickiness {
    /// The first that a request has is its conversation's key.
    pub keys: Vec<KeySource>,
    /// How long after its last success a conversation is remembered.
    pub ttl: Duration,
}

impl Default for Stickiness {
    fn default() -> Self {
        Self {
            keys: vec![
                KeySource::SessionId,
                KeySource::Header("x-session-id".into()),
                KeySource::PromptCacheKey,
                KeySource::Beginning,
            ],
            ttl: TTL,
        }
    }
}

/// What a conversation is expected to lose where it leaves its endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pull {
    /// What cached tokens save, in prices of the request at the pool's cheapest endpoint.
    pub money: f32,
    /// Seconds that a warm cache saves until the first token.
    pub seconds: f32,
    /// The client said what belongs together.
    pub named: bool,
}

impl Pull {
    /// Whether it holds at all.
    pub fn holds(&self) -> bool {
        self.named || self.money >= LEAST_WORTH || self.seconds >= LEAST_WORTH
    }
}

impl Policy {
    /// What staying is worth, in the unit of the policy's score. Where that unit is no price and no time, and what
    /// is lost is one, it is what a named conversation is worth. `whole`: one JSON answer is asked for.
    pub fn worth(&self, pull: &Pull, whole: bool) -> f32 {
        let counted = match self.sort {
            Sort::Adaptive => {
                self.weights.price * pull.money
                    + adaptive::second(whole) * self.weights.latency * pull.seconds
            }
            Sort::Cost => return pull.money,
            Sort::Latency => pull.seconds.max(NAMED_WORTH),
            Sort::Throughput | Sort::Ordered => NAMED_WORTH,
        };
        match pull.named {
            true => counted.max(NAMED_WORTH),
            false => counted,
        }
    }

    /// Whether a conversation stays with `here` although it could go to `there`. What is not known of `there` is no
    /// reason to go.
    pub(crate) fn stays(
        &self,
        pull: &Pull,
        (here, share): (&Standing, Option<Share>),
        there: &Standing,
    ) -> bool {
        if !pull.holds() || is_sick(here) {
            return false;
        }
        if let Some(Share { percent }) = share {
            return percent.is_some_and(|percent| percent > 0.0);
        }
        let there = Standing {
            latency: there.latency.or(here.latency),
            throughput: there.throughput.or(here.throughput),
            ..*there
        };
        let gain = match self.sort {
            Sort::Ordered => return true,
            Sort::Cost if is_sick(&there) || !there.priced => return true,
            Sort::Cost if !here.priced => return false,
            Sort::Cost => here.price - there.price - SAME_PRICE,
            Sort::Adaptive => {
                adaptive::loss(here, &self.weights) - adaptive::loss(&there, &self.weights)
            }
            Sort::Latency => latency::loss(here) - latency::loss(&there),
            Sort::Throughput => throughput::loss(here) - throughput::loss(&there),
        };
        gain <= self.worth(pull, here.whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::names::PolicyName;

    fn policy(sort: Sort) -> Policy {
        Policy {
            sort,
            ..Policy::built_in(PolicyName::new("p"))
        }
    }

    const NAMED: Pull = Pull {
        money: 0.0,
        seconds: 0.0,
        named: true,
    };

    fn stays(sort: Sort, pull: &Pull, here: &Standing, there: &Standing) -> bool {
        policy(sort).stays(pull, (here, None), there)
    }

    fn after(position: usize, price: f32) -> Standing {
        Standing {
            position,
            ..Standing::sample(price)
        }
    }

    #[test]
    fn a_sick_endpoint_holds_nobody_whatever_would_be_lost() {
        let pull = Pull {
            money: 9.0,
            seconds: 9.0,
            named: true,
        };
        let sick = Standing {
            expected: 0.8,
            ..Standing::sample(1.0)
        };
        for (name, sort) in Sort::ALL {
            let well = Standing::sample(1.0);
            assert!(!stays(sort, &pull, &sick, &well), "{name}");
            assert!(stays(sort, &pull, &well, &sick), "{name}");
        }
    }

    #[test]
    fn nothing_to_lose_holds_nobody() {
        let (pull, one) = (Pull::default(), Standing::sample(1.0));
        for (name, sort) in Sort::ALL {
            assert!(!stays(sort, &pull, &one, &one), "{name}");
        }
    }

    #[test]
    fn adaptive_stays_for_a_small_gain_and_leaves_for_a_large_one() {
        let here = Standing::sample(1.5);
        let cheap = Standing::sample(1.0);
        let worth = |money, seconds| Pull {
            money,
            seconds,
            named: false,
        };
        assert!(!stays(Sort::Adaptive, &NAMED, &here, &cheap));
        assert!(stays(Sort::Adaptive, &NAMED, &here, &Standing::sample(1.3)));
        assert!(!stays(Sort::Adaptive, &worth(0.4, 0.0), &here, &cheap));
        assert!(stays(Sort::Adaptive, &worth(0.6, 0.0), &here, &cheap));
        assert!(stays(Sort::Adaptive, &worth(0.4, 0.3), &here, &cheap));
        let blind = Policy {
            weights: crate::core::policy::Weights {
                latency: 0.0,
                ..Default::default()
            },
            ..policy(Sort::Adaptive)
        };
        assert!(
            !blind.stays(&worth(0.4, 0.3), (&here, None), &cheap),
            "a weight of 0 leaves the seconds out"
        );
    }

    #[test]
    fn what_was_never_measured_is_no_reason_to_go() {
        let here = Standing {
            latency: Some(3.0),
            usual_latency: Some(3.0),
            ..Standing::sample(1.0)
        };
        let unknown = Standing {
            latency: None,
            throughput: None,
            ..Standing::sample(1.0)
        };
        for sort in [Sort::Adaptive, Sort::Latency, Sort::Throughput] {
            assert!(stays(sort, &NAMED, &here, &unknown), "{}", sort.as_str());
        }
        let quick = Standing::sample(1.0);
        assert!(!stays(Sort::Latency, &NAMED, &here, &quick));
        assert!(stays(Sort::Throughput, &NAMED, &here, &quick));
    }

    #[test]
    fn ranks_are_left_only_for_sickness_or_money() {
        let (first, second) = (after(0, 1.0), after(1, 1.0));
        for sort in [Sort::Ordered, Sort::Cost] {
            assert!(stays(sort, &NAMED, &second, &first), "{}", sort.as_str());
        }
        let dear = after(1, 1.4);
        assert!(stays(Sort::Ordered, &NAMED, &dear, &first));
        assert!(!stays(Sort::Cost, &NAMED, &dear, &first));
        let cached = Pull {
            money: 0.5,
            ..NAMED
        };
        assert!(stays(Sort::Cost, &cached, &dear, &first));
        let unpriced = Standing {
            priced: false,
            ..first
        };
        assert!(stays(Sort::Cost, &NAMED, &dear, &unpriced));
        assert!(!stays(Sort::Cost, &cached, &unpriced, &dear));
    }

    #[test]
    fn a_split_keeps_conversations_as_long_as_the_endpoint_has_a_share() {
        let (here, there) = (after(1, 3.0), after(0, 1.0));
        let stays = |percent| {
            let share = Some(Share { percent });
            policy(Sort::Adaptive).stays(&NAMED, (&here, share), &there)
        };
        assert!(stays(Some(5.0)));
        assert!(!stays(Some(0.0)) && !stays(None));
    }

    #[test]
    fn every_source_has_the_name_that_the_file_uses() {
        let names: Vec<String> = Stickiness::default()
            .keys
            .iter()
            .map(|source| source.as_str().to_owned())
            .collect();
        let expected = [
            "session_id",
            "x-session-id",
            "prompt_cache_key",
            "conversation",
        ];
        assert_eq!(names, expected);
    }
}
