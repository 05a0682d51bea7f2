//! The table: every dialect with its faces, and everything a client can ask with the dialect it asks in. A further
//! dialect is a folder of its own and a line in each function here. Must never hold a rule of a dialect.

use bytes::Bytes;

use crate::wire::anthropic::Messages;
use crate::wire::anthropic::scan::{self, Purpose};
use crate::wire::bedrock::Bedrock;
use crate::wire::client_error::{ClientError, RequestError, Skin};
use crate::wire::client_request::ClientRequest;
use crate::wire::client_request::operation::Operation;
use crate::wire::cohere::Cohere;
use crate::wire::dialect::{Downstream, Upstream};
use crate::wire::gemini::Gemini;
use crate::wire::openai::hub::Chat;
use crate::wire::openai::request;
use crate::wire::openai::write;
use crate::wire::responses::{self, Responses};

/// A wire format that providers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions, with the older completions and embeddings.
    OpenAi,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini `generateContent`.
    Gemini,
    /// AWS Bedrock Converse.
    Bedrock,
    /// Cohere v2.
    Cohere,
}

/// What a client asks, and in which dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    OpenAi(Operation),
    Responses,
    Messages,
    /// How many tokens a request in Anthropic's dialect has.
    CountTokens,
}

// === impl Dialect ===

impl Dialect {
    /// Every dialect, each at its own [`Dialect::position`].
    pub const ALL: [Self; 6] = [
        Self::OpenAi,
        Self::Responses,
        Self::Anthropic,
        Self::Gemini,
        Self::Bedrock,
        Self::Cohere,
    ];

    /// The position in the list of all.
    pub const fn position(self) -> u8 {
        self as u8
    }

    /// The name in configuration files.
    pub const fn as_str(self) -> &'static str {
        match self {
            Dialect::OpenAi => "openai",
            Dialect::Responses => "openai-responses",
            Dialect::Anthropic => "anthropic",
            Dialect::Gemini => "gemini",
            Dialect::Bedrock => "bedrock",
            Dialect::Cohere => "cohere",
        }
    }

    /// How chat requests are sent in it.
    pub fn upstream(self) -> &'static dyn Upstream {
        match self {
            Dialect::OpenAi => &Chat,
            Dialect::Responses => &Responses,
            Dialect::Anthropic => &Messages,
            Dialect::Gemini => &Gemini,
            Dialect::Bedrock => &Bedrock,
            Dialect::Cohere => &Cohere,
        }
    }
}

// === impl Ask ===

impl Ask {
    /// Everything that can be asked, each at its own [`Ask::index`].
    pub const ALL: [Self; 6] = [
        Self::OpenAi(Operation::Chat),
        Self::OpenAi(Operation::Completions),
        Self::OpenAi(Operation::Embeddings),
        Self::Responses,
        Self::Messages,
        Self::CountTokens,
    ];

    /// The place in a list that has one entry for each.
    pub const fn index(self) -> usize {
        match self {
            Ask::OpenAi(operation) => operation.index(),
            Ask::Responses => 3,
            Ask::Messages => 4,
            Ask::CountTokens => 5,
        }
    }

    /// What stands after the root of an API, a provider's as well as ours.
    pub const fn path(self) -> &'static str {
        match self {
            Ask::OpenAi(operation) => operation.path(),
            Ask::Responses => "/responses",
            Ask::Messages => "/messages",
            Ask::CountTokens => "/messages/count_tokens",
        }
    }

    /// What is asked by a path after the root.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| ask.path() == path)
    }

    /// The dialect that it is asked in.
    pub const fn dialect(self) -> Dialect {
        match self {
            Ask::OpenAi(_) => Dialect::OpenAi,
            Ask::Responses => Dialect::Responses,
            Ask::Messages | Ask::CountTokens => Dialect::Anthropic,
        }
    }

    /// The name that telemetry has for it: that of the GenAI conventions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ask::OpenAi(operation) => operation.as_str(),
            Ask::Responses | Ask::Messages => Operation::Chat.as_str(),
            Ask::CountTokens => "count_tokens",
        }
    }

    /// How it is carried into other dialects; `None` where it is not.
    pub fn downstream(self) -> Option<&'static dyn Downstream> {
        match self {
            Ask::OpenAi(Operation::Chat) => Some(&Chat),
            Ask::OpenAi(Operation::Completions | Operation::Embeddings) | Ask::CountTokens => None,
            Ask::Responses => Some(&Responses),
            Ask::Messages => Some(&Messages),
        }
    }

    /// Reads a request's body for what routing needs.
    ///
    /// # Errors
    /// The body is not one JSON object, or a field that routing needs is missing, mistyped or repeated.
    pub fn scan(self, body: &Bytes) -> Result<ClientRequest, RequestError> {
        let mut request = match self {
            Ask::OpenAi(operation) => request::scan(operation, body),
            Ask::Responses => responses::scan::scan(body),
            Ask::Messages => scan::scan(Purpose::Answer, body),
            Ask::CountTokens => scan::scan(Purpose::Count, body),
        }?;
        request.facts.speech.tongue = self.dialect().position();
        Ok(request)
    }
}

/// An error as the body of an answer to the clients of a skin; the status and `retry-after` are the caller's to set.
pub fn error_body(error: &ClientError, skin: Skin) -> Bytes {
    match skin {
        Skin::OpenAi | Skin::OpenRouter => write::body(error, skin),
        Skin::Anthropic => Messages.write_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_at_its_place() {
        for (place, ask) in Ask::ALL.into_iter().enumerate() {
            assert_eq!(ask.index(), place);
            assert_eq!(Ask::at(ask.path()), Some(ask));
        }
        for (place, dialect) in Dialect::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(dialect.position()), place);
        }
        assert_eq!(Ask::at("/responses/"), None);
    }
}
