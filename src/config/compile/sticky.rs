//! Owns the rules of a policy's `sticky`. Must never take a word that is neither a field nor a header.

use http::HeaderName;

use crate::config::raw::sticky as raw;
use crate::config::report::Report;
use crate::config::trail::Trail;
use crate::core::nearest::did_you_mean;
use crate::core::policy::{KeySource, Stickiness};

/// What to write instead of a map that remembers nothing.
const OFF: &str = "`sticky: off` remembers nothing";
/// Headers that say who asks or how, and never which conversation goes on.
const NEVER: [&str; 3] = ["proxy-authorization", "x-api-key", "x-request-id"];

pub(super) fn compile(
    written: &raw::Sticky,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<Stickiness> {
    let at = at.key("sticky");
    let settings = written.0.as_ref()?;
    if settings.ttl.0.is_zero() {
        report.error_with(&at.key("ttl"), "must be more than 0s", OFF.to_owned());
    }
    if settings.key.0.is_empty() {
        report.error_with(
            &at.key("key"),
            "names nothing that tells conversations apart",
            OFF.to_owned(),
        );
    }
    let mut keys: Vec<KeySource> = Vec::new();
    for (index, text) in settings.key.0.iter().enumerate() {
        let at = at.key("key").index(index);
        match source(&text.0, &at, report) {
            Some(source) if keys.contains(&source) => {
                let message = format!("{} stands there twice", report.quoted(&at));
                report.error(&at, message);
            }
            source => keys.extend(source),
        }
    }
    let ttl = settings.ttl.0;
    Some(Stickiness { keys, ttl })
}

/// A field or a header. A header has a hyphen, so that a misspelt field is not taken for one.
fn source(word: &str, at: &Trail, report: &mut Report<'_>) -> Option<KeySource> {
    let words = || KeySource::WORDS.iter();
    if let Some((_, source)) = words().find(|(name, _)| *name == word) {
        return Some(source.clone());
    }
    let header = HeaderName::try_from(word)
        .ok()
        .filter(|_| word.contains('-'));
    let Some(header) = header else {
        let names: Vec<&str> = words().map(|(name, _)| *name).collect();
        let supported = format!(
            "supported: {}, or a header's name with a hyphen",
            names.join(", ")
        );
        let hint = did_you_mean(word, names.iter().copied()).unwrap_or(supported);
        let message = format!("unknown key {}", report.quoted(at));
        report.error_with(at, message, hint);
        return None;
    };
    if NEVER.contains(&header.as_str()) {
        let message = format!("{} does not tell conversations apart", report.quoted(at));
        report.error(at, message);
        return None;
    }
    Some(KeySource::Header(header.as_str().into()))
}
