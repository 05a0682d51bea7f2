//! Owns what operators may read of an upstream's words about a failure: short, one line, without what looks like a
//! credential and without long quotations, which may be the client's own text. Must never let a configured secret through.

/// Characters that are kept.
const LONGEST: usize = 200;
/// A quotation longer than this is more likely content than the name of a thing.
const LONGEST_QUOTE: usize = 40;
/// A word this long with digits in it is more likely a token than prose.
const LONGEST_WORD: usize = 20;
/// How vendors' credentials begin.
const CREDENTIALS: [&str; 9] = [
    "sk-", "sk_", "pk-", "key-", "gsk_", "xai-", "AIza", "AKIA", "eyJ",
];
const MASK: &str = "[redacted]";
const CUT: &str = "…";

/// The words, masked.
pub(crate) fn masked<'a>(words: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut words = words.to_owned();
    for secret in secrets.filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, MASK);
    }
    let words = without_quotations(&words);
    let mut masked = String::with_capacity(words.len().min(LONGEST * 2));
    let mut after_bearer = false;
    for word in words.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if !masked.is_empty() {
            masked.push(' ');
        }
        let hidden = after_bearer || is_credential(word);
        masked.push_str(if hidden { MASK } else { word });
        after_bearer = word.eq_ignore_ascii_case("bearer");
    }
    shortened(masked)
}

/// With what stands between quotation marks left out where it is long. A quotation without an end is one.
fn without_quotations(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(['"', '`', '\u{201c}']) {
        let (before, quoted) = rest.split_at(at);
        kept.push_str(before);
        let mark = quoted.chars().next().unwrap_or('"');
        let inside = quoted.strip_prefix(mark).unwrap_or_default();
        let closing = if mark == '\u{201c}' { '\u{201d}' } else { mark };
        let (quotation, after) = inside.split_once(closing).unwrap_or((inside, ""));
        kept.push(mark);
        let is_long = quotation.chars().count() > LONGEST_QUOTE;
        kept.push_str(if is_long { CUT } else { quotation });
        kept.push(closing);
        rest = after;
    }
    kept.push_str(rest);
    kept
}

fn is_credential(word: &str) -> bool {
    let mut parts = word.split(|c: char| !(c.is_ascii_alphanumeric() || "-_*.+/=".contains(c)));
    parts.any(|part| {
        let named = CREDENTIALS.iter().any(|begin| part.starts_with(begin));
        let starred = part.contains("**");
        let dense = part.len() >= LONGEST_WORD
            && part.bytes().any(|byte| byte.is_ascii_digit())
            && part.bytes().any(|byte| byte.is_ascii_alphabetic())
            && !part.contains('/');
        named || starred || dense
    })
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((at, _)) => {
            let mut short = text.get(..at).unwrap_or_default().to_owned();
            short.push_str(CUT);
            short
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, expected: &str) {
        assert_eq!(masked(words, std::iter::empty()), expected, "{words}");
    }

    #[test]
    fn prose_stays_and_credentials_go() {
        check("the server is busy", "the server is busy");
        check(
            "Incorrect API key provided: sk-abc***xyz. See https://example.test/keys",
            "Incorrect API key provided: [redacted] See https://example.test/keys",
        );
        check("got Bearer a1 and more", "got Bearer [redacted] and more");
        check(
            "request req011CSHoEeqs5C35K2U failed",
            "request [redacted] failed",
        );
        check("token eyJhbGciOi", "token [redacted]");
        check("two\nlines\u{1b}[31m", "two lines [31m");
    }

    #[test]
    fn what_is_configured_is_never_shown_however_it_looks() {
        let words = masked("no such user hunter2!", ["hunter2", ""].into_iter());
        assert_eq!(words, "no such user [redacted]!");
    }

    #[test]
    fn long_quotations_and_long_texts_are_cut() {
        let quoted = format!("invalid value \"{}\" in messages", "word ".repeat(20));
        check(&quoted, "invalid value \"…\" in messages");
        check("unknown field \"top_k\"", "unknown field \"top_k\"");
        let open = format!("refused: \"{}", "word ".repeat(20));
        check(&open, "refused: \"…\"");
        let long = masked(&"word ".repeat(100), std::iter::empty());
        assert_eq!(long.chars().count(), LONGEST + 1);
    }
}
