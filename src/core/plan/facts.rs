//! Owns what routing needs to know of a request, whatever dialect it came in.
//! Must never hold spans, bytes or lifetimes of the body: those stay in `wire`.

use crate::core::catalog::{Capability, Speech};
use crate::core::health::{Bucket, Counted, Kind, PromptSize, Usual};
use crate::core::quota::Need;

/// Most tokens that a prompt with images or files is taken for: their bytes are no text. About three large images.
const MOST_ATTACHED: u64 = 4_000;
/// Most bytes of text that a token takes, but for oddities: prose of long words, indented code and repetitions.
const MOST_BYTES_A_TOKEN: u64 = 8;

/// A request, as routing sees it.
#[derive(Clone, Debug, Default, PartialEq)]
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
    /// What requests of the model asked for usually take; a plan sets it.
    pub usual: Usual,
}

impl RequestFacts {
    /// Tokens of the prompt, estimated from the size of the body.
    pub fn prompt_tokens(&self) -> u64 {
        self.prompt_tokens_of(self.usual)
    }

    /// The same for a model whose requests take `usual`.
    pub(super) fn prompt_tokens_of(&self, usual: Usual) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "an estimate of what is not negative"
        )]
        let estimated = (self.body_bytes as f64 / f64::from(usual.bytes_a_token)) as u64;
        match self.has_attachments() {
            true => estimated.min(MOST_ATTACHED),
            false => estimated,
        }
    }

    /// What the prompt surely has.
    pub fn least_prompt_tokens(&self) -> u64 {
        match self.has_attachments() {
            true => 0,
            false => self.body_bytes / MOST_BYTES_A_TOKEN,
        }
    }

    /// Tokens that the answer is expected to have.
    pub fn completion_tokens(&self) -> u64 {
        self.completion_tokens_of(self.usual)
    }

    /// The same for a model whose requests take `usual`.
    pub(super) fn completion_tokens_of(&self, usual: Usual) -> u64 {
        let usual = u64::from(usual.completion);
        self.max_tokens.map_or(usual, |most| most.min(usual))
    }

    /// What an upstream's count of prompt and answer says of others like them.
    pub(crate) fn counted(&self, prompt_tokens: u64, completion_tokens: u64) -> Counted {
        let is_text = !self.has_attachments();
        let ended_itself = self.max_tokens.is_none_or(|most| completion_tokens < most);
        Counted {
            prompt: is_text.then_some((self.body_bytes, prompt_tokens)),
            completion: ended_itself.then_some(completion_tokens),
        }
    }

    /// It holds bytes that are no text.
    fn has_attachments(&self) -> bool {
        self.images || self.files
    }

    /// What it is expected to take of an upstream's limits.
    pub fn takes(&self) -> Need {
        Need {
            prompt: self.prompt_tokens(),
            completion: self.completion_tokens(),
            least: self.least_prompt_tokens(),
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
