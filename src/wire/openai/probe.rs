//! Owns the smallest request of each operation: what a probe of our own asks. Must never ask for more than one token.

use bytes::Bytes;
use serde_json::json;

use crate::wire::client_request::operation::Operation;

/// A request that costs next to nothing. A model that takes no `max_tokens` says so, and shows thereby that it answers.
pub fn smallest(operation: Operation, model: &str) -> Bytes {
    let body = match operation {
        Operation::Chat => json!({
            "model": model,
            "messages": [{ "role": "user", "content": "." }],
            "max_tokens": 1,
        }),
        Operation::Completions => json!({ "model": model, "prompt": ".", "max_tokens": 1 }),
        Operation::Embeddings => json!({ "model": model, "input": "." }),
    };
    body.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_field_and_a_name_needs_no_care() {
        for operation in Operation::ALL {
            let body = smallest(operation, "a/\"b\"");
            let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(read["model"], "a/\"b\"");
            assert!(read.get(operation.input()).is_some());
            assert_eq!(read.get("max_tokens").is_some(), operation.may_stream());
        }
    }
}
