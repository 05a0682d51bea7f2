//! Owns the counting of a prompt's tokens: its answer. The request is that of a message, without a limit.
//! Must never claim more exactness than the number it is given has.

use bytes::Bytes;
use serde::Deserialize;

/// The answer to a question for a prompt's tokens.
pub fn answer(input_tokens: u64) -> Bytes {
    format!(r#"{{"input_tokens":{input_tokens}}}"#).into()
}

/// The number that an answer tells, `None` where it is no such answer.
pub fn read(body: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Count {
        input_tokens: u64,
    }
    let count: Count = serde_json::from_slice(body).ok()?;
    Some(count.input_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_number() {
        assert_eq!(answer(671), r#"{"input_tokens":671}"#);
        assert_eq!(read(&answer(671)), Some(671));
        assert_eq!(read(b"{}"), None);
    }
}
