//! Owns what requests of a model usually take: bytes of a body for each token of its prompt, and tokens of an answer, learnt
//! from what its upstreams count. Must never refuse a request: both are means, and a single prompt may be far off.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// Bytes of a body that make a token of the prompt, roughly: English prose with its JSON around it.
pub(crate) const BYTES_A_TOKEN: f32 = 4.0;
/// Tokens of an answer before any was counted (design section 5: prior 300).
pub(crate) const COMPLETION: u32 = 300;

/// What the prior of a prompt counts as much as, in tokens: a handful of prompts of a usual length.
const PRIOR_TOKENS: f32 = 2_000.0;
/// What the prior of an answer counts as much as, in answers.
const PRIOR_ANSWERS: f32 = 8.0;
/// Answers after which one has lost most of its weight.
const MEMORY: f32 = 256.0;
/// Tokens are between one byte (nothing is shorter) and so many (runs of blanks); what is beyond was miscounted.
const BYTES: std::ops::RangeInclusive<f32> = 1.0..=16.0;
/// No answer of any model known is longer, in tokens.
const LONGEST: f32 = 200_000.0;

/// What requests of a model usually take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usual {
    /// Bytes of the body for each token of the prompt.
    pub bytes_a_token: f32,
    /// Tokens of an answer, hidden reasoning among them.
    pub completion: u32,
}

// === impl Usual ===

impl Default for Usual {
    fn default() -> Self {
        Self {
            bytes_a_token: BYTES_A_TOKEN,
            completion: COMPLETION,
        }
    }
}

/// An answer, as an upstream counted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Bytes of the body and tokens of its prompt, where it is text.
    pub(crate) prompt: Option<(u64, u64)>,
    /// Tokens of the answer, where no limit of the client's ended it.
    pub(crate) completion: Option<u64>,
}

/// Learns from answers. What is read needs no lock.
#[derive(Debug)]
pub(crate) struct Learnt {
    /// The bits of an `f32`.
    bytes_a_token: AtomicU32,
    completion: AtomicU32,
    sums: Mutex<Sums>,
}

/// Sums that fade with each answer. Those of prompts are weighed by their tokens: what the JSON around a short prompt takes says
/// little of a long one.
#[derive(Clone, Copy, Debug)]
struct Sums {
    bytes: f32,
    tokens: f32,
    completion: f32,
    answers: f32,
}

// === impl Learnt ===

impl Default for Learnt {
    fn default() -> Self {
        Self {
            bytes_a_token: AtomicU32::new(BYTES_A_TOKEN.to_bits()),
            completion: AtomicU32::new(COMPLETION),
            sums: Mutex::new(Sums {
                bytes: PRIOR_TOKENS * BYTES_A_TOKEN,
                tokens: PRIOR_TOKENS,
                completion: PRIOR_ANSWERS * COMPLETION as f32,
                answers: PRIOR_ANSWERS,
            }),
        }
    }
}

impl Learnt {
    pub(crate) fn usual(&self) -> Usual {
        Usual {
            bytes_a_token: f32::from_bits(self.bytes_a_token.load(Relaxed)),
            completion: self.completion.load(Relaxed),
        }
    }

    pub(crate) fn note(&self, counted: Counted) {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.note(counted);
        let bytes_a_token = (sums.bytes / sums.tokens).clamp(*BYTES.start(), *BYTES.end());
        self.bytes_a_token.store(bytes_a_token.to_bits(), Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and the longest answer"
        )]
        let completion = (sums.completion / sums.answers).round() as u32;
        self.completion.store(completion, Relaxed);
    }
}

// === impl Sums ===

impl Sums {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean needs no more than an f32 holds"
    )]
    fn note(&mut self, counted: Counted) {
        let fade = 1.0 - 1.0 / MEMORY;
        if let Some((bytes, tokens)) = counted.prompt {
            let (bytes, tokens) = (bytes as f32, tokens as f32);
            if BYTES.contains(&(bytes / tokens)) {
                self.bytes = self.bytes * fade + bytes;
                self.tokens = self.tokens * fade + tokens;
            }
        }
        if let Some(tokens) = counted.completion {
            self.completion = self.completion * fade + (tokens as f32).min(LONGEST);
            self.answers = self.answers * fade + 1.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: usize, counted: Counted) -> Usual {
        let learnt = Learnt::default();
        (0..answers).for_each(|_| learnt.note(counted));
        learnt.usual()
    }

    #[test]
    fn a_language_with_shorter_tokens_is_learnt_from_what_upstreams_count() {
        let dense = Counted {
            prompt: Some((6_000, 3_000)),
            completion: None,
        };
        assert!(after(1, dense).bytes_a_token < 3.0);
        let learnt = after(100, dense);
        assert!((learnt.bytes_a_token - 2.0).abs() < 0.05, "{learnt:?}");
        assert_eq!(learnt.completion, COMPLETION);
    }

    #[test]
    fn long_answers_are_expected_of_a_model_that_gives_them() {
        let long = Counted {
            prompt: None,
            completion: Some(4_000),
        };
        assert!((600..2_000).contains(&after(3, long).completion));
        assert!((3_700..=4_000).contains(&after(200, long).completion));
    }

    #[test]
    fn a_short_prompt_within_much_json_changes_little() {
        let short = Counted {
            prompt: Some((90, 8)),
            completion: None,
        };
        assert!(after(5, short).bytes_a_token < 4.2);
    }

    #[test]
    fn a_count_that_cannot_be_is_left_out() {
        let none = Counted {
            prompt: Some((4_000, 0)),
            completion: Some(u64::MAX),
        };
        let learnt = after(10_000, none);
        assert!((learnt.bytes_a_token - BYTES_A_TOKEN).abs() < f32::EPSILON);
        assert!(learnt.completion <= 200_000, "{learnt:?}");
        let endless = Counted {
            prompt: Some((1, u64::MAX)),
            completion: None,
        };
        assert!((after(3, endless).bytes_a_token - BYTES_A_TOKEN).abs() < f32::EPSILON);
    }
}
