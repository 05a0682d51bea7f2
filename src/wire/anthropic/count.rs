//! Owns the counting of a prompt's tokens: its path and its answer. The request is that of a message, without a limit.
//! Must never claim more exactness than the number it is given has.

use bytes::Bytes;

/// What stands after the root of an API, a provider's as well as ours.
pub const PATH: &str = "/messages/count_tokens";

/// The answer to a question for a prompt's tokens.
pub fn answer(input_tokens: u64) -> Bytes {
    format!(r#"{{"input_tokens":{input_tokens}}}"#).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_number() {
        assert_eq!(answer(671), r#"{"input_tokens":671}"#);
    }
}
