//! Owns what routing needs to know of a request, whatever dialect it came in.
//! Must never hold spans, bytes or lifetimes of the body: those stay in `wire`.

use crate::core::health::{Bucket, Kind, PromptSize};

/// A request, as routing sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The client's own text for the model.
    pub model: String,
    /// It asks for a model or an operation that the configuration does not vouch for: an endpoint that does not
    /// have it is not the sicker for that.
    pub unproven: bool,
    pub stream: bool,
    /// It asks the model to reason first.
    pub reasons: bool,
    pub tools: bool,
    pub images: bool,
    /// Bytes of the whole body.
    pub body_bytes: u64,
    /// The client's limit on completion tokens.
    pub max_tokens: Option<u64>,
}

impl RequestFacts {
    /// The requests that this one is compared with.
    pub fn bucket(&self) -> Bucket {
        Bucket {
            kind: match self.stream {
                true => Kind::Stream,
                false => Kind::Json,
            },
            reasons: self.reasons,
            size: PromptSize::of(self.body_bytes),
        }
    }
}
