//! Owns a name as one segment of a path. Must never leave a byte that a proxy or a signature could read otherwise.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Writes `name` so that it is one segment of a path: what is not a letter, a digit, `-`, `.`, `_` or `~` becomes `%XX` with
/// capitals. That is AWS's `UriEncode` too
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, 2026-11-22).
pub(crate) fn path_segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stand_for_themselves() {
        assert_eq!(path_segment("gemini-2.5_pro~x"), "gemini-2.5_pro~x");
        assert_eq!(path_segment("a:0/b é%"), "a%3A0%2Fb%20%C3%A9%25");
    }
}
