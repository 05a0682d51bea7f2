//! Owns a name as one segment of a path. Must never leave a byte that a proxy or a signature could read otherwise.

use std::fmt::Write as _;

/// Writes `name` so that it is one segment of a path: all but RFC 3986's unreserved characters (letters, digits,
/// `-`, `.`, `_`, `~`) becomes `%XX` with capitals. That is AWS's `UriEncode` too
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>, 2026-11-22).
pub(crate) fn path_segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes text");
        }
    }
    out
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
