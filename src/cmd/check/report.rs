//! Owns the answer of `check` for programs. Must never show a secret.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::config::diff::Diff;
use crate::config::facts::{Facts, Item};
use crate::config::{ConfigError, Finding, Loaded};

/// Everything that `check` has to say.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    file: String,
    /// Whether the file can be used.
    ok: bool,
    findings: &'a [Finding],
    /// What would run; digests are salted with the file's own hash.
    items: Vec<Item>,
    /// What would change in the process asked.
    changes: Option<&'a Diff>,
}

impl<'a> Report<'a> {
    pub(super) fn of(path: &Path, loaded: &'a Loaded, changes: Option<&'a Diff>) -> Self {
        Self {
            file: path.display().to_string(),
            ok: true,
            findings: &loaded.warnings,
            items: Facts::of(&loaded.snapshot, &loaded.files, &loaded.hash).items,
            changes,
        }
    }

    pub(super) fn refused(path: &Path, error: &'a ConfigError) -> Self {
        Self {
            file: path.display().to_string(),
            ok: false,
            findings: error.findings(),
            items: Vec::new(),
            changes: None,
        }
    }

    pub(super) fn write(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, self)?;
        Ok(writeln!(out)?)
    }
}
