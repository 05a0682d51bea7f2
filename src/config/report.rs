//! Owns the findings of one reading: their places, what was said already, and what a message may quote.
//! Must never quote a value that a variable brought in, nor a credential.

use std::collections::HashSet;

use crate::config::finding::{Finding, Place, Severity};
use crate::config::outline::{Outline, Spot};
use crate::config::snippet;
use crate::config::source::Source;
use crate::config::trail::Trail;

/// More findings than anyone reads at once; a file that was no configuration at all is cut off here.
const MOST: usize = 200;

/// Collects what is wrong with one file.
pub(super) struct Report<'a> {
    source: &'a Source,
    outline: Outline,
    findings: Vec<Finding>,
    settled: HashSet<Trail>,
    has_errors: bool,
    has_syntax_error: bool,
    /// Findings beyond `MOST`.
    left_out: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(source: &'a Source, outline: Outline) -> Self {
        Self {
            source,
            outline,
            findings: Vec::new(),
            settled: HashSet::new(),
            has_errors: false,
            has_syntax_error: false,
            left_out: 0,
        }
    }

    /// Adds an error about the node.
    pub(super) fn error(&mut self, at: &Trail, message: impl Into<String>) {
        self.add(Severity::Error, at, message.into(), None);
    }

    /// Adds an error about the node, with what was probably meant.
    pub(super) fn error_with(
        &mut self,
        at: &Trail,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.add(Severity::Error, at, message.into(), hint.into());
    }

    /// Adds a doubt about the node.
    pub(super) fn warn(
        &mut self,
        at: &Trail,
        message: impl Into<String>,
        hint: impl Into<Option<String>>,
    ) {
        self.add(Severity::Warning, at, message.into(), hint.into());
    }

    /// Adds an error that points at the node's key and settles the node.
    pub(super) fn key_error(&mut self, at: &Trail, message: String, hint: Option<String>) {
        let spot = self.outline.key_spot(at);
        self.error_at(at, spot, message, hint);
        self.settle(at);
    }

    /// Keeps the node's value out of every snippet: it may be, or hold, a credential.
    pub(super) fn hide(&mut self, at: &Trail) {
        let spot = self.outline.value_spot(at);
        self.outline.hide(spot);
    }

    /// Keeps the node's key out of every snippet as well.
    pub(super) fn hide_key(&mut self, at: &Trail) {
        let spot = self.outline.key_spot(at);
        self.outline.hide(spot);
    }

    /// Adds an error about a spot of the text.
    pub(super) fn error_at(
        &mut self,
        at: &Trail,
        spot: Spot,
        message: String,
        hint: Option<String>,
    ) {
        self.push(Severity::Error, at, spot, (message, hint));
    }

    /// Adds an error about a text that cannot be parsed. An unquoted variable on the line, which YAML takes
    /// for the start of a map, is the likely cause and is pointed at.
    pub(super) fn syntax_error(&mut self, spot: Spot, message: String) {
        let cause = snippet::unquoted_variable(&self.source.text, spot);
        let spot = cause.unwrap_or(spot);
        let hint = match cause {
            Some(_) => "put quotes around it: \"${NAME}\"",
            None => {
                "names of one map begin in the same column, behind spaces; brackets and quotes are closed"
            }
        };
        let hint = Some(hint.to_owned());
        let message = match cause {
            Some(_) => "`${` must be quoted inside {} and []".to_owned(),
            None => message,
        };
        self.push(Severity::Error, &Trail::default(), spot, (message, hint));
        self.has_syntax_error = true;
    }

    /// Whether the text is no YAML, so that nothing else can be said.
    pub(super) fn has_syntax_error(&self) -> bool {
        self.has_syntax_error
    }

    /// Keeps later findings about the node, and what is below it, to itself: its trouble was told.
    pub(super) fn settle(&mut self, at: &Trail) {
        self.settled.insert(at.clone());
    }

    /// Whether the node, or one above it, is in trouble that was told.
    pub(super) fn is_settled(&self, at: &Trail) -> bool {
        at.ancestry().any(|trail| self.settled.contains(&trail))
    }

    /// A value as a message may quote it: as the file writes it.
    pub(super) fn quoted(&self, at: &Trail) -> String {
        format!("\"{}\"", self.outline.written(at).unwrap_or("..."))
    }

    /// A scalar as the file writes it.
    pub(super) fn written(&self, at: &Trail) -> Option<&str> {
        self.outline.written(at)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.has_errors
    }

    /// What was found, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.findings.sort_by_key(|finding| {
            let place = finding.place.as_ref();
            place.map_or((0, 0), |place| (place.line, place.column))
        });
        // An anchor that is used twice is wrong once.
        self.findings
            .dedup_by(|a, b| a.place == b.place && a.message == b.message);
        for place in self.findings.iter_mut().filter_map(|f| f.place.as_mut()) {
            let spot = Spot {
                line: place.line,
                column: place.column,
            };
            place.snippet = match self.has_syntax_error {
                true => snippet::of_broken_line(&self.source.text, &self.outline, spot),
                false => snippet::of_line(&self.source.text, &self.outline, spot),
            };
        }
        self.findings.extend(self.rest());
        self.findings
    }

    fn rest(&self) -> Option<Finding> {
        (self.left_out > 0).then(|| Finding {
            severity: Severity::Error,
            path: String::new(),
            file: self.source.path.display().to_string(),
            place: None,
            message: format!("{} more findings are not shown", self.left_out),
            hint: None,
        })
    }

    fn add(&mut self, severity: Severity, at: &Trail, message: String, hint: Option<String>) {
        if !self.is_settled(at) {
            let spot = self.outline.spot(at);
            self.push(severity, at, spot, (message, hint));
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        at: &Trail,
        spot: Spot,
        (message, hint): (String, Option<String>),
    ) {
        self.has_errors |= severity == Severity::Error;
        if self.findings.len() >= MOST {
            self.left_out += 1;
            return;
        }
        self.findings.push(Finding {
            severity,
            path: at.to_string(),
            file: self.source.path.display().to_string(),
            place: Some(Place {
                line: spot.line,
                column: spot.column,
                // Cut out at the end, when it is known what to mask.
                snippet: String::new(),
            }),
            message,
            hint,
        });
    }
}
