//! Owns `mainstay check`: every finding, or a summary of what would run. Must never show a secret.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::config::snapshot::{Listener, ListenerTls};
use crate::config::{self, Loaded};

/// Checks a file and says what it holds.
pub(crate) fn check(file: Option<&Path>) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(file, &env)?;
    let loaded = config::load(&path, &env)?;
    let mut out = std::io::stdout().lock();
    for warning in &loaded.warnings {
        writeln!(out, "{warning}")?;
    }
    writeln!(out, "{}: ok", path.display())?;
    summarise(&mut out, &loaded)?;
    Ok(ExitCode::SUCCESS)
}

fn summarise(out: &mut impl Write, loaded: &Loaded) -> std::io::Result<()> {
    let snapshot = &loaded.snapshot;
    let catalog = &snapshot.catalog;
    for Listener { address, tls } in &snapshot.server.listen {
        let with = match tls {
            Some(ListenerTls {
                client_ca_file: Some(_),
                ..
            }) => " with TLS for clients with a certificate",
            Some(_) => " with TLS",
            None => "",
        };
        writeln!(
            out,
            "listens on {address}{with}, admin on {}",
            snapshot.server.admin.listen
        )?;
    }
    match snapshot.callers.len() {
        0 => writeln!(out, "no keys: anyone who reaches the listener may call")?,
        keys => writeln!(out, "{keys} keys")?,
    }
    for model in catalog.models() {
        writeln!(out, "{}", model.name)?;
        for endpoint in &model.endpoints {
            let endpoint = catalog.endpoint(*endpoint);
            writeln!(out, "  {} as {}", endpoint.id, endpoint.upstream_model)?;
        }
        for fallback in &model.fallbacks {
            writeln!(out, "  falls back to {}", catalog.model(*fallback).name)?;
        }
    }
    Ok(())
}
