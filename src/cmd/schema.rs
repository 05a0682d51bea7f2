//! Owns `mainstay schema`: the JSON Schema of the configuration, for editors and pipelines. Must never read one.

use std::io::Write;
use std::process::ExitCode;

use crate::config;

/// Prints the schema.
pub(crate) fn schema() -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &config::schema())?;
    writeln!(out)?;
    Ok(ExitCode::SUCCESS)
}
