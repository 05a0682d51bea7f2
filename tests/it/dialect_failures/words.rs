//! Owns answers in a provider's own words. Must never say what they mean.

use std::collections::BTreeMap;
use std::time::Duration;

use mainstay::cmd::mock::{ErrorBody, Kind};

/// An error in a provider's own words, with AWS's name for it in the header.
pub(super) fn words(status: u16, body: &str) -> Kind {
    let name = match body {
        body if body.contains("security token") => "UnrecognizedClientException",
        body if body.contains("Too many") => "ThrottlingException",
        _ => "ValidationException",
    };
    with_headers(status, &[("x-amzn-errortype", name)], body)
}

/// An error with these words that asks for a wait.
pub(super) fn after(status: u16, seconds: &str, body: &str) -> Kind {
    with_headers(status, &[("retry-after", seconds)], body)
}

/// A status of 200 and this body.
pub(super) fn literal(body: &str) -> Kind {
    with_headers(200, &[], body)
}

fn with_headers(status: u16, headers: &[(&str, &str)], body: &str) -> Kind {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Kind::Status {
        status,
        retry_after: None,
        headers: headers.iter().map(owned).collect::<BTreeMap<_, _>>(),
        body: ErrorBody::Auto,
        text: Some(body.to_owned()),
        delay: Duration::ZERO,
    }
}

/// The row of a dialect.
pub(super) fn of<T: Copy>(table: &[(&str, T)], dialect: &str) -> T {
    let row = table.iter().find(|(name, _)| *name == dialect);
    row.map(|(_, value)| *value).expect("a row")
}
