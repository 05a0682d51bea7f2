//! Owns what can be wrong with a request or a provider, before a dialect puts it in its own words.
//! Must never hold a sentence of a dialect.

use super::refused::Refused;

/// A failure, as providers tell them apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The request is not understood.
    Refused(Refused),
    /// The mock was told to refuse it.
    Invalid,
    NoKey,
    WrongKey,
    Forbidden,
    NotFound,
    TooLarge,
    ContextLength,
    ContentPolicy,
    Prefill,
    /// Money or a plan is used up.
    Quota,
    RateLimit,
    Timeout,
    Server,
    Overloaded,
}

// === impl Trouble ===

impl Trouble {
    /// The trouble that usually comes with a status.
    pub(crate) fn of_status(status: u16) -> Self {
        match status {
            401 => Self::WrongKey,
            402 => Self::Quota,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            413 => Self::TooLarge,
            429 => Self::RateLimit,
            503 | 529 => Self::Overloaded,
            500.. => Self::Server,
            _ => Self::Invalid,
        }
    }

    /// A sentence of ours that fits any dialect.
    pub(crate) fn sentence(&self) -> String {
        let text = match self {
            Self::Refused(refused) => return refused.message.clone(),
            Self::Invalid => "This mock was told to refuse the request.",
            Self::NoKey => "The request carries no API key.",
            Self::WrongKey => "The API key is not one that this mock accepts.",
            Self::Forbidden => "The API key may not use this resource.",
            Self::NotFound => "The model is not found, or this key has no access to it.",
            Self::TooLarge => "The request exceeds the maximum size.",
            Self::ContextLength => {
                "The prompt is too long: 9000 tokens are more than the maximum of 8192 of this mock's context window."
            }
            Self::ContentPolicy => "The safety system of this mock rejected the request.",
            Self::Prefill => {
                "This model does not support assistant message prefill. The conversation must end with a user message."
            }
            Self::Quota => "The current quota is exceeded; check the plan and its billing.",
            Self::RateLimit => "The rate limit of this mock is reached; try again later.",
            Self::Timeout => "The request took too long.",
            Self::Server => "The server had an error while it processed the request.",
            Self::Overloaded => "The model is overloaded; try again later.",
        };
        text.to_owned()
    }
}
