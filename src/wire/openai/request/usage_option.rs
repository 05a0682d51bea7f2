//! Owns what a request says of usage in its stream, and the change by which an upstream is asked for it.
//! Must never judge an option of another type: the upstream will.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::wire::client_error::RequestError;
use crate::wire::openai::shape::present;
use crate::wire::splice::{Edit, span_of};

/// Inserted right after the model where the client gave no `stream_options`.
pub(super) const BEHIND_MODEL: &str = r#","stream_options":{"include_usage":true}"#;

/// What `stream_options` says of usage, and the change that makes it say yes.
#[derive(Default)]
pub(super) struct UsageOption {
    pub(super) asked: bool,
    pub(super) edit: Option<Edit>,
}

#[derive(serde::Deserialize)]
struct StreamOptions<'a> {
    /// `Some` for a null too: the key stands there.
    #[serde(borrow, default, deserialize_with = "present")]
    include_usage: Option<&'a RawValue>,
}

/// Reads `stream_options`, which stand in `text`.
pub(super) fn usage_option(
    text: &str,
    options: Option<&RawValue>,
) -> Result<UsageOption, RequestError> {
    let Some(options) = options else {
        return Ok(UsageOption::default());
    };
    let at = span_of(text, options.get());
    if options.get() == "null" {
        return Ok(change(at, r#"{"include_usage":true}"#));
    }
    let Some(inner) = options.get().strip_prefix('{') else {
        return Ok(UsageOption::default());
    };
    let read: StreamOptions<'_> = serde_json::from_str(options.get()).map_err(|_| {
        let message = "'include_usage' stands more than once in 'stream_options'";
        RequestError::about("stream_options", message)
    })?;
    let inside = at.start + 1..at.start + 1;
    Ok(match read.include_usage {
        None if inner.trim_start() == "}" => change(inside, r#""include_usage":true"#),
        None => change(inside, r#""include_usage":true,"#),
        Some(value) => match value.get() {
            "true" => UsageOption {
                asked: true,
                edit: None,
            },
            "false" | "null" => change(span_of(text, value.get()), "true"),
            _ => UsageOption::default(),
        },
    })
}

fn change(at: Range<usize>, with: &'static str) -> UsageOption {
    UsageOption {
        asked: false,
        edit: Some(Edit {
            at,
            with: Bytes::from_static(with.as_bytes()),
        }),
    }
}
