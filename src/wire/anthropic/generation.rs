//! Owns what tells the dialect's models apart: which form of thinking, of a schema and of sampling each takes. The one table
//! of model names; a further generation is a row here.
//! Must never name a provider: the same models are sold by several, under names that hold these.

/// What a model of the dialect takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) thinking: Form,
    /// `output_config.format`, and `strict` of tools.
    pub(super) schema: bool,
    /// `temperature`, `top_p` and `top_k`.
    pub(super) sampling: Sampling,
    /// Completion tokens where a request sets no limit: the dialect demands one. The most that every model of the
    /// generation takes, so that an answer is not cut short for want of a limit that the client never set.
    pub(super) max_tokens: u64,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `{"type":"enabled","budget_tokens":n}`.
    Budget {
        /// It takes `display`.
        display: bool,
    },
    /// `{"type":"adaptive"}` with `output_config.effort`.
    Adaptive {
        /// It knows `xhigh`; `max` else.
        xhigh: bool,
        /// It thinks beside a tool that must be called; others refuse.
        beside_forced_tools: bool,
        /// It can be told not to think at all.
        can_rest: bool,
    },
}

/// What a model takes of sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sampling {
    All,
    /// `temperature` or `top_p`, not both.
    OneOf,
    /// Values are refused.
    None,
}

const OLD: Generation = Generation {
    thinking: Form::Budget { display: false },
    schema: false,
    sampling: Sampling::All,
    max_tokens: 4_096,
};

const FOUR: Generation = Generation {
    thinking: Form::Budget { display: true },
    max_tokens: 32_000,
    ..OLD
};

const FOUR_ONE: Generation = Generation {
    sampling: Sampling::OneOf,
    ..FOUR
};

const FOUR_FIVE: Generation = Generation {
    schema: true,
    max_tokens: 64_000,
    ..FOUR_ONE
};

const FOUR_SIX: Generation = Generation {
    thinking: Form::Adaptive {
        xhigh: false,
        beside_forced_tools: false,
        can_rest: true,
    },
    ..FOUR_FIVE
};

const FOUR_SEVEN: Generation = Generation {
    thinking: Form::Adaptive {
        xhigh: true,
        beside_forced_tools: false,
        can_rest: true,
    },
    sampling: Sampling::None,
    ..FOUR_SIX
};

const NEWEST: Generation = Generation {
    thinking: Form::Adaptive {
        xhigh: true,
        beside_forced_tools: true,
        can_rest: true,
    },
    ..FOUR_SEVEN
};

const RESTLESS: Generation = Generation {
    thinking: Form::Adaptive {
        xhigh: true,
        beside_forced_tools: true,
        can_rest: false,
    },
    ..NEWEST
};

/// Parts of names and their generation, the first that fits. From Anthropic's pages on models, structured outputs and
/// adaptive thinking, from what its SDKs and `@ai-sdk/anthropic` know of them, and from refusals that users report (aelix-ai#258,
/// opencodex#65, cline#13203, langchain-aws#1141), read in November 2026.
const NAMES: [(&str, Generation); 17] = [
    ("claude-2", OLD),
    ("claude-instant", OLD),
    ("claude-3", OLD),
    ("claude-fable", RESTLESS),
    ("claude-mythos", RESTLESS),
    ("claude-opus-4-7", FOUR_SEVEN),
    ("claude-sonnet-4-6", FOUR_SIX),
    ("claude-opus-4-6", FOUR_SIX),
    ("claude-sonnet-4-5", FOUR_FIVE),
    ("claude-opus-4-5", FOUR_FIVE),
    ("claude-haiku-4-5", FOUR_FIVE),
    ("claude-opus-4-1", FOUR_ONE),
    // Dated names of the first of that number: `claude-opus-4-20250514`.
    ("claude-opus-4-2", FOUR),
    ("claude-sonnet-4-2", FOUR),
    ("claude-opus-4-0", FOUR),
    ("claude-sonnet-4-0", FOUR),
    // Whatever is newer than this table follows the newest row of it.
    ("claude-", NEWEST),
];

// === impl Generation ===

impl Generation {
    /// A model of another maker's: the dialect as most of its imitators have it, older and without extras.
    pub(super) const UNKNOWN: Self = Self {
        max_tokens: 8_192,
        ..OLD
    };

    /// Of a model, by the name that its seller has for it.
    pub(super) fn of(model: &str) -> Self {
        // Aggregators write versions with a dot, Vertex a date behind an at sign.
        let plain = model.to_ascii_lowercase().replace(['.', '@'], "-");
        let bare = ["claude-opus-4", "claude-sonnet-4"];
        if bare.iter().any(|name| plain.ends_with(name)) {
            return FOUR;
        }
        let row = NAMES.iter().find(|(part, _)| plain.contains(part));
        row.map_or(Self::UNKNOWN, |(_, generation)| *generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seller_s_name_finds_its_generation() {
        let table = [
            ("claude-3-haiku-20240307", OLD),
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", OLD),
            ("anthropic/claude-3.5-haiku", OLD),
            ("claude-opus-4@20250514", FOUR),
            ("anthropic/claude-sonnet-4", FOUR),
            ("claude-sonnet-4-20250514", FOUR),
            ("claude-opus-4-1-20250805", FOUR_ONE),
            ("anthropic/claude-sonnet-4.5", FOUR_FIVE),
            ("us.anthropic.claude-haiku-4-5-20251001-v1:0", FOUR_FIVE),
            ("claude-opus-4-6", FOUR_SIX),
            ("claude-opus-4-7", FOUR_SEVEN),
            ("claude-opus-4-8", NEWEST),
            ("anthropic/claude-fable-5", RESTLESS),
            ("claude-sonnet-5", NEWEST),
            ("claude-of-the-future", NEWEST),
            ("MiniMax-M2", Generation::UNKNOWN),
        ];
        for (name, generation) in table {
            assert_eq!(Generation::of(name), generation, "{name}");
        }
    }
}
