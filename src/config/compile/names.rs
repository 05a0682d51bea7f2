//! Owns what names may look like and how references to them are checked. Must never know what a name stands for.

use crate::config::report::Report;
use crate::config::trail::Trail;
use crate::core::nearest::did_you_mean;

/// Checks a name that becomes part of an endpoint's id, of a metric's label or of a log line.
pub(super) fn check_name(kind: &str, at: &Trail, name: &str, report: &mut Report<'_>) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() {
        report.error(at, format!("the {kind} is empty"));
    } else if !name.chars().all(is_plain) {
        let message = format!("the {kind} may hold only letters, digits, `-`, `_` and `.`");
        report.error(at, message);
    }
}

/// Whether a character may be part of a model's name.
pub(super) fn is_plain(c: char) -> bool {
    c.is_ascii_graphic() && c != '@'
}

/// Checks a model's name.
pub(super) fn check_model_name(at: &Trail, name: &str, report: &mut Report<'_>) {
    let has_author = matches!(name.split_once('/'), Some((author, slug)) if !author.is_empty() && !slug.is_empty());
    let is_wildcard = matches!(name.split_once('/'), Some((author, "*")) if !author.contains('*'));
    if name.contains('*') && !is_wildcard {
        report.error_with(
            at,
            "a model's name may hold no `*` but as the whole slug".to_owned(),
            "author/* is any other model of that author".to_owned(),
        );
    } else if !has_author {
        report.error_with(
            at,
            format!("the model name \"{name}\" has no author"),
            "names have the form author/slug, such as openai/gpt-5-mini".to_owned(),
        );
    } else if !name.chars().all(is_plain) {
        report.error(
            at,
            "a model name may hold no spaces, `@` or characters beyond ASCII",
        );
    }
}

/// Checks that a name stands for something; an unknown one is reported with the nearest known.
pub(super) fn check_known<'a>(
    kind: &str,
    at: &Trail,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    report: &mut Report<'_>,
) -> bool {
    let is_known = known.clone().any(|candidate| candidate == name);
    if !is_known {
        let message = format!("unknown {kind} {}", report.quoted(at));
        report.error_with(at, message, did_you_mean(name, known));
    }
    is_known
}

/// Reads one word of a closed list. A word of the unbuilt list is told apart from nonsense.
pub(super) fn one_of<T: Copy>(
    kind: &str,
    at: &Trail,
    word: &str,
    built: &[(&str, T)],
    unbuilt: &[&str],
    report: &mut Report<'_>,
) -> Option<T> {
    if let Some((_, value)) = built.iter().find(|(name, _)| *name == word) {
        return Some(*value);
    }
    let names: Vec<&str> = built.iter().map(|(name, _)| *name).collect();
    let quoted = report.quoted(at);
    let supported = format!("supported: {}", names.join(", "));
    if unbuilt.contains(&word) {
        report.error_with(
            at,
            format!("{kind} {quoted} is not supported yet"),
            supported,
        );
    } else {
        let hint = did_you_mean(word, names.iter().copied()).unwrap_or(supported);
        report.error_with(at, format!("unknown {kind} {quoted}"), hint);
    }
    None
}
