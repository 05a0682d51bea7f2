//! Owns the writing of errors, as a body and as the end of a stream, in the API's types
//! (<https://platform.claude.com/docs/en/api/errors>). Must never write a clean end after an error.

use serde::Serialize;

use crate::wire::client_error::ClientError;

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

/// An error as the body of an answer.
pub(super) fn body(error: &ClientError) -> Vec<u8> {
    let body = Body {
        kind: "error",
        error: Inner {
            kind: kind_of(error.status),
            message: &error.message,
        },
    };
    serde_json::to_vec(&body).expect("structs of strings always serialise")
}

/// An error as the last event of a stream.
pub(super) fn event(error: &ClientError) -> Vec<u8> {
    [&b"event: error\ndata: "[..], &body(error), b"\n\n"].concat()
}

/// The API's type for a status.
fn kind_of(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_type() {
        let table = [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (413, "request_too_large"),
            (422, "invalid_request_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ];
        for (status, kind) in table {
            let error = ClientError::new(status, "x", "a \"word\"");
            let expected =
                format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"a \"word\""}}}}"#);
            assert_eq!(String::from_utf8(body(&error)).unwrap(), expected);
        }
    }

    #[test]
    fn a_broken_stream_ends_in_an_event_of_its_own() {
        let error = ClientError::new(502, "provider_unavailable", "broke");
        let expected = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"broke\"}}\n\n";
        assert_eq!(String::from_utf8(event(&error)).unwrap(), expected);
    }
}
