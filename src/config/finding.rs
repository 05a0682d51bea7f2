//! Owns what is said about a configuration: findings, how they read as plain text, and the error that
//! carries them. Must never hold a secret: messages quote the file, not expanded values, and snippets are masked.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

/// Whether the configuration can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A spot in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The line's text with literal credentials masked.
    pub snippet: String,
}

/// One thing that is wrong or doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// The setting, such as `models.openai/gpt-5-mini.endpoints[0].provider`; empty = the whole file.
    pub path: String,
    /// The file as it was named.
    pub file: String,
    /// `None` = the whole file.
    pub place: Option<Place>,
    pub message: String,
    /// What was probably meant.
    pub hint: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.drawn(&Renderer::plain()))
    }
}

impl Finding {
    fn drawn(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(&self.message);
        let group = match &self.place {
            Some(place) => title.element(place.drawn(&self.file)),
            None => title.element(Origin::path(&self.file)),
        };
        let help = self.hint.as_ref().map(|hint| Level::HELP.message(hint));
        renderer.render(&[group.elements(help)])
    }
}

impl Place {
    fn drawn<'a>(&'a self, file: &'a str) -> Snippet<'a, Annotation<'a>> {
        Snippet::source(&self.snippet)
            .path(file)
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(self.span()))
    }

    /// What is pointed at, in bytes of the snippet: the key or value that begins at the column.
    fn span(&self) -> Range<usize> {
        let mut characters = self.snippet.char_indices();
        let start = characters.nth(self.column.saturating_sub(1));
        let start = start.map_or(self.snippet.len(), |(at, _)| at);
        let rest = self.snippet.get(start..).unwrap_or_default();
        start..start + word(rest).len()
    }
}

/// The quoted or plain scalar that a text begins with.
fn word(text: &str) -> &str {
    let quote = text
        .chars()
        .next()
        .filter(|first| ['"', '\''].contains(first));
    let end = match quote {
        Some(quote) => text.get(1..).and_then(|rest| Some(rest.find(quote)? + 2)),
        None => text.find([',', '}', ']', ':', ' ']),
    };
    let found = end.and_then(|end| text.get(..end));
    found.filter(|word| !word.is_empty()).unwrap_or(text)
}

/// Why a configuration cannot be used: everything that was found, in the order of the file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", joined(findings, &Renderer::plain()))]
pub struct ConfigError {
    findings: Vec<Finding>,
}

impl ConfigError {
    /// Wraps what was found, at least one error.
    pub(super) fn new(findings: Vec<Finding>) -> Self {
        Self { findings }
    }

    /// An error about a file that could not be read.
    pub(super) fn of_file(file: String, message: String, hint: Option<String>) -> Self {
        Self::new(vec![Finding {
            severity: Severity::Error,
            path: String::new(),
            file,
            place: None,
            message,
            hint,
        }])
    }

    /// The findings in colour.
    pub fn for_terminal(&self) -> String {
        joined(&self.findings, &Renderer::styled())
    }

    /// Everything that was found, warnings included.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

fn joined(findings: &[Finding], renderer: &Renderer) -> String {
    let texts: Vec<String> = findings.iter().map(|one| one.drawn(renderer)).collect();
    texts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_plain_text() {
        let finding = Finding {
            severity: Severity::Error,
            path: "models.a/b.endpoints[0].provider".to_owned(),
            file: "mainstay.yaml".to_owned(),
            place: Some(Place {
                line: 12,
                column: 17,
                snippet: "    - provider: opena".to_owned(),
            }),
            message: "unknown provider \"opena\"".to_owned(),
            hint: Some("did you mean \"openai\"?".to_owned()),
        };
        let expected = "\
error: unknown provider \"opena\"
  --> mainstay.yaml:12:17
   |
12 |     - provider: opena
   |                 ^^^^^
   |
   = help: did you mean \"openai\"?";
        assert_eq!(finding.to_string(), expected);
    }

    #[test]
    fn what_is_pointed_at_is_a_whole_key_or_value() {
        let check = |snippet: &str, column: usize, expected: &str| {
            let place = Place {
                line: 1,
                column,
                snippet: snippet.to_owned(),
            };
            assert_eq!(snippet.get(place.span()), Some(expected), "{snippet}");
        };
        check("    base_ulr: x", 5, "base_ulr");
        check("{ key: \"${A, B}\", name: b }", 8, "\"${A, B}\"");
        check("{ key: \"not closed", 8, "\"not closed");
        check("größe: [zwölf, 1]", 9, "zwölf");
        check("a: }", 4, "}");
        check("a: b", 40, "");
        check("", 1, "");
    }

    #[test]
    fn no_terminal_obeys_what_a_file_holds() {
        let finding = Finding {
            severity: Severity::Warning,
            path: String::new(),
            file: "a.yaml".to_owned(),
            place: None,
            message: "unknown field \"\u{1b}[2J\"".to_owned(),
            hint: None,
        };
        let text = finding.to_string();
        assert!(text.starts_with("warning: unknown field") && text.ends_with("--> a.yaml"));
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
