//! Owns what an upstream says of its own limits, and what a request takes of them. Must never know a header's name, or
//! decide what follows.

use std::time::Duration;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    Requests,
    /// Prompt and completion together.
    Tokens,
    InputTokens,
    OutputTokens,
}

/// How many there are.
pub const QUANTITIES: usize = Quantity::ALL.len();

/// What was said of one limit. Nothing of it is believed yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The most in a period.
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// Until the limit is whole again.
    pub resets_in: Option<Duration>,
    /// How long its period is, where that was said or is the same for all who use these words.
    pub period: Option<Duration>,
}

/// What one answer said of all limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quotas([Option<Window>; QUANTITIES]);

/// What a request is expected to take, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub prompt: u64,
    pub completion: u64,
    /// What the prompt has at the very least.
    pub least: u64,
}

// === impl Quantity ===

impl Quantity {
    /// All, each at its own position.
    pub const ALL: [Self; 4] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
    ];

    /// The name used in metrics and the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
        }
    }
}

// === impl Quotas ===

impl Quotas {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    pub fn get(&self, quantity: Quantity) -> Option<Window> {
        self.0[quantity as usize]
    }

    pub fn set(&mut self, quantity: Quantity, window: Window) {
        self.0[quantity as usize] = Some(window);
    }

    /// The limits alone: what remains is said better by the refusal that brought them.
    #[must_use]
    pub fn of_refusal(self) -> Self {
        let limit = |window: Window| Window {
            limit: window.limit,
            ..Window::default()
        };
        Self(self.0.map(|window| window.map(limit)))
    }
}

// === impl Need ===

impl Need {
    /// What it takes of a limit.
    pub fn of(&self, quantity: Quantity) -> u64 {
        match quantity {
            Quantity::Requests => 1,
            Quantity::Tokens => self.prompt.saturating_add(self.completion),
            Quantity::InputTokens => self.prompt,
            Quantity::OutputTokens => self.completion,
        }
    }
}
