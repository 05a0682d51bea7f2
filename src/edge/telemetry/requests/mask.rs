//! Owns what operators may read of an upstream's words about a failure. Upstreams quote what they were sent, with marks and
//! without: of prose only the words that errors are made of are kept, each of a closed list, and short numbers; of a code only what is
//! formed as one. Must never let a word through because it looks harmless.

/// Characters that are kept.
const LONGEST: usize = 200;
/// Digits of a number that is more likely a count than somebody's.
const LONGEST_NUMBER: usize = 6;
/// A code this long with digits in it is more likely a token than a code.
const LONGEST_CODE: usize = 20;
/// How vendors' credentials begin.
const CREDENTIALS: [&str; 9] = [
    "sk-", "sk_", "pk-", "key-", "gsk_", "xai-", "AIza", "AKIA", "eyJ",
];
/// What stands for words that are left out.
const CUT: &str = "…";

/// What errors are made of, as the recorded ones of a dozen vendors say it. In the order of the alphabet: it is searched.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "a", "about", "above", "access", "account", "active", "after", "again", "allowed", "allows", "already", "although",
    "an", "and", "another", "any", "api", "are", "argument", "as", "at", "audio", "authentication", "authorization",
    "authorized", "available", "backend", "bad", "balance", "be", "because", "been", "before", "being", "below",
    "billing", "blocked", "body", "both", "busy", "but", "by", "call", "calls", "can", "cannot", "capacity", "change",
    "check", "choose", "completion", "completions", "concurrency", "concurrent", "connect", "connection", "contact",
    "content", "context", "could", "country", "credential", "credentials", "credit", "credits", "current", "currently",
    "daily", "data", "day", "deactivated", "deadline", "demand", "deployment", "deprecated", "description", "details",
    "did", "disabled", "does", "doesn't", "down", "due", "during", "each", "either", "empty", "enabled", "endpoint",
    "error", "errors", "exceed", "exceeded", "exceeds", "exhausted", "exist", "exists", "expected", "expired", "failed",
    "failure", "field", "filter", "filtered", "for", "forbidden", "format", "found", "from", "function", "gateway",
    "generate", "generation", "got", "had", "has", "have", "header", "high", "hour", "if", "image", "images", "in",
    "incorrect", "input", "inputs", "insufficient", "integer", "internal", "invalid", "is", "it", "its", "json", "key",
    "large", "later", "least", "length", "less", "limit", "limited", "limits", "list", "load", "loading", "long",
    "longer", "lost", "malformed", "many", "max", "maximum", "may", "message", "messages", "minimum", "minute", "minutes",
    "missing", "model", "models", "month", "more", "most", "must", "name", "need", "needs", "network", "no", "not",
    "number", "object", "occurred", "of", "on", "only", "or", "organization", "out", "output", "over", "overloaded",
    "own", "parameter", "parameters", "parse", "payment", "per", "period", "permission", "permissions", "plan", "please",
    "policy", "processing", "project", "prompt", "property", "provide", "provided", "provider", "quota", "quotas", "rate",
    "reached", "reduce", "refused", "region", "rejected", "remaining", "request", "requested", "requests", "require",
    "required", "requires", "reset", "resource", "resources", "response", "result", "resulted", "retry", "role", "safety",
    "schema", "second", "seconds", "see", "server", "servers", "service", "should", "since", "size", "something",
    "stream", "string", "subscription", "such", "support", "supported", "supports", "system", "temperature",
    "temporarily", "temporary", "text", "than", "that", "the", "then", "there", "this", "throttled", "tier", "time",
    "timed", "timeout", "to", "token", "tokens", "too", "tool", "tools", "traffic", "try", "type", "unable",
    "unauthorized", "unavailable", "under", "unexpected", "unknown", "unprocessable", "unsupported", "until", "up",
    "upgrade", "upstream", "usage", "use", "used", "user", "using", "valid", "validation", "value", "values", "version",
    "violation", "wait", "was", "we", "were", "when", "while", "with", "within", "without", "wrong", "you", "your",
];

/// The words, those that are known.
pub(crate) fn masked(words: &str) -> String {
    let words = without_quotations(words);
    let mut masked = String::with_capacity(words.len().min(LONGEST * 2));
    for word in words.split(|c: char| c.is_whitespace() || c.is_control()) {
        let word = if is_known(word) { word } else { CUT };
        if word.is_empty() || (word == CUT && masked.ends_with(CUT)) {
            continue;
        }
        if !masked.is_empty() {
            masked.push(' ');
        }
        masked.push_str(word);
    }
    shortened(masked)
}

/// A code, where it is formed as one.
pub(crate) fn code(code: &str) -> Option<&str> {
    let formed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let dense = code.len() >= LONGEST_CODE && code.bytes().any(|byte| byte.is_ascii_digit());
    let named = CREDENTIALS.iter().any(|begin| code.starts_with(begin));
    (code.bytes().all(formed) && !dense && !named).then_some(code)
}

/// With what stands between quotation marks left out. A quotation without an end is one.
fn without_quotations(words: &str) -> String {
    let mut kept = String::with_capacity(words.len());
    let mut rest = words;
    while let Some(at) = rest.find(['"', '`', '\u{201c}', '\u{2018}']) {
        let (before, quoted) = rest.split_at(at);
        let mark = quoted.chars().next().unwrap_or('"');
        let closing = match mark {
            '\u{201c}' => '\u{201d}',
            '\u{2018}' => '\u{2019}',
            other => other,
        };
        let inside = quoted.strip_prefix(mark).unwrap_or_default();
        kept.push_str(before);
        kept.push(' ');
        kept.push_str(CUT);
        kept.push(' ');
        rest = inside.split_once(closing).map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    kept
}

/// A word of the list, a short number, or nothing but marks.
fn is_known(word: &str) -> bool {
    let plain = word.trim_matches(|c: char| ".,:;!?()[]{}<>'…-".contains(c));
    let digits = plain.bytes().all(|byte| byte.is_ascii_digit());
    match digits {
        true => plain.len() <= LONGEST_NUMBER,
        false => WORDS.binary_search(&&*plain.to_ascii_lowercase()).is_ok(),
    }
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
        assert_eq!(masked(words), expected, "{words}");
    }

    #[test]
    fn the_list_is_in_order() {
        assert!(WORDS.is_sorted(), "it is searched by halves");
    }

    #[test]
    fn the_prose_of_errors_stays_and_everything_else_goes() {
        check("The server is busy.", "The server is busy.");
        check(
            "Incorrect API key provided: sk-abc***xyz. See https://example.test/keys",
            "Incorrect API key provided: … See …",
        );
        check(
            "Rate limit reached for gpt-9 in organization org-77 on tokens per minute: Limit 30000, Used 29000",
            "Rate limit reached for … in organization … on tokens per minute: Limit 30000, Used 29000",
        );
        check(
            "This model's maximum context length is 8192 tokens",
            "This … maximum context length is 8192 tokens",
        );
        check("two\nrequests\u{1b}[31m", "… requests …");
    }

    #[test]
    fn what_a_client_wrote_is_not_shown_quoted_or_not() {
        check(
            "invalid value \"the user\" in messages",
            "invalid value … in messages",
        );
        check(
            "invalid value in messages: Erika Mustermann, 4111111111111111",
            "invalid value in messages: …",
        );
        check("invalid: Erika \u{201c}was\u{201d} unwell", "invalid: …");
        check("refused: \"the rest is", "refused: …");
        let long = masked(&"limit ".repeat(100));
        assert_eq!(long.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_code_is_formed_as_one() {
        assert_eq!(code("rate_limit_exceeded"), Some("rate_limit_exceeded"));
        assert_eq!(code("429"), Some("429"));
        for wrong in ["two words", "sk-live-1", "req011CSHoEeqs5C35K2U", "Müller"] {
            assert_eq!(code(wrong), None, "{wrong}");
        }
    }
}
