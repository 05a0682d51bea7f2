//! Owns what routing needs to know of a request, whatever dialect it came in.
//! Must never hold spans, bytes or lifetimes of the body: those stay in `wire`.

use crate::core::catalog::{Capability, Speech};
use crate::core::health::{Bucket, Kind, PromptSize};
use crate::core::quota::Need;

/// Bytes of a body that make a token of the prompt, roughly: English prose with its JSON around it.
const BYTES_A_TOKEN: u64 = 4;
/// Most tokens that a prompt with images or files is taken for: their bytes are no text. About three large images.
const MOST_ATTACHED: u64 = 4_000;
/// Completion tokens where the request sets no limit below them (design section 5: prior 300).
const COMPLETION: u64 = 300;

/// An estimate of a prompt is at most so many times too high: prose of long words, indented code and repetitions take up
/// to eight bytes a token.
pub(super) const ESTIMATE_MARGIN: u64 = 2;

/// A request, as routing sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// The client's own text for the model.
    pub model: String,
    /// It asks for a model or an operation that the configuration does not vouch for: an endpoint that does not
    /// have it is not the sicker for that.
    pub unproven: bool,
    pub stream: bool,
    /// How it is written.
    pub speech: Speech,
    /// It asks the model to reason first.
    pub reasons: bool,
    pub tools: bool,
    pub images: bool,
    /// It holds sound or files, whose bytes say nothing of its tokens; images do so too.
    pub files: bool,
    /// The answer must follow a schema.
    pub json_schema: bool,
    /// It replays reasoning that is signed or encrypted by the provider that made it.
    pub signed: bool,
    /// The field by which it leans on what the provider keeps that answered before.
    pub leans_on: Option<&'static str>,
    /// Bytes of the whole body.
    pub body_bytes: u64,
    /// The client's limit on completion tokens.
    pub max_tokens: Option<u64>,
}

impl RequestFacts {
    /// Tokens of the prompt, estimated from the size of the body.
    pub fn prompt_tokens(&self) -> u64 {
        let estimated = self.body_bytes / BYTES_A_TOKEN;
        match self.images || self.files {
            true => estimated.min(MOST_ATTACHED),
            false => estimated,
        }
    }

    /// What the prompt surely has, where an estimate is at most `margin` times too high.
    pub fn least_prompt_tokens(&self, margin: u64) -> u64 {
        match self.images || self.files {
            true => 0,
            false => self.prompt_tokens() / margin,
        }
    }

    /// Tokens that the answer is expected to have.
    pub fn completion_tokens(&self) -> u64 {
        self.max_tokens
            .map_or(COMPLETION, |most| most.min(COMPLETION))
    }

    /// What it is expected to take of an upstream's limits.
    pub fn takes(&self) -> Need {
        Need {
            prompt: self.prompt_tokens(),
            completion: self.completion_tokens(),
            least: self.least_prompt_tokens(ESTIMATE_MARGIN),
        }
    }

    /// What it needs of a model.
    pub fn needs(&self) -> impl Iterator<Item = Capability> {
        let needs = [
            (self.tools, Capability::Tools),
            (self.images, Capability::Images),
            (self.json_schema, Capability::JsonSchema),
            (self.reasons, Capability::Reasoning),
        ];
        needs
            .into_iter()
            .filter_map(|(is, need)| is.then_some(need))
    }

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
