//! Owns what is said about a configuration: findings, how they read as plain text, and the error that
//! carries them. Must never hold a secret: messages quote the file, not expanded values, and snippets are masked.

use std::fmt;

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
        write!(f, "{}: {}", self.severity, self.message)?;
        match &self.place {
            Some(place) => write_place(f, &self.file, place)?,
            None => write!(f, "\n  --> {}", self.file)?,
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  = help: {hint}"),
            None => Ok(()),
        }
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, file: &str, place: &Place) -> fmt::Result {
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let indent = " ".repeat(place.column.saturating_sub(1));
    let snippet = place.snippet.replace('\t', " ");
    write!(f, "\n{gutter}--> {file}:{}:{}", place.line, place.column)?;
    write!(
        f,
        "\n{gutter} |\n{number} | {snippet}\n{gutter} | {indent}^"
    )
}

/// Why a configuration cannot be used: everything that was found, in the order of the file.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", joined(findings))]
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

    /// Everything that was found, warnings included.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

fn joined(findings: &[Finding]) -> String {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
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
   |                 ^
  = help: did you mean \"openai\"?";
        assert_eq!(finding.to_string(), expected);
    }
}
