//! Owns the marks on reasoning that a provider hands out and takes back: sealed by this mock, and refused when they
//! are anyone else's. A mark is a hash that tells a copy from an invention; it hides nothing, and is no signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

const MARK: &str = "mainstay-mock";
const HASH: usize = 32;

/// Seals a text for an origin.
pub(crate) fn seal(origin: &str, text: &str) -> String {
    let mut bytes = hash(origin, text.as_bytes());
    bytes.extend_from_slice(text.as_bytes());
    STANDARD.encode(bytes)
}

/// The text under a seal of this origin; none for any other bytes.
pub(crate) fn open(origin: &str, sealed: &str) -> Option<String> {
    let bytes = STANDARD.decode(sealed).ok()?;
    let (mark, text) = bytes.split_at_checked(HASH)?;
    (mark == hash(origin, text)).then(|| String::from_utf8(text.to_vec()).ok())?
}

fn hash(origin: &str, text: &[u8]) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(MARK);
    hasher.update(origin);
    hasher.update(text);
    hasher.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_for_this_origin_opens() {
        let sealed = seal("claude", "tide and wind");
        assert_eq!(open("claude", &sealed).as_deref(), Some("tide and wind"));
        assert_eq!(open("openai", &sealed), None);
        for forged in [
            "",
            "EqQB",
            "not base64",
            &sealed.replacen(['a', 'b'], "c", 1),
        ] {
            assert_eq!(open("claude", forged), None);
        }
    }
}
