//! Owns `mainstay run`: loads, serves, reloads, drains. Must never serve a configuration with findings.

use std::process::ExitCode;

use anyhow::Context;

use crate::cmd::config_args::ConfigArgs;
use crate::cmd::process::Process;
use crate::cmd::reload::{Reloader, Triggers};
use crate::cmd::shutdown::OnSignal;
use crate::config;
use crate::edge::telemetry::{AccessLog, Telemetry};

/// Serves until told to stop.
pub(crate) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(args.config.as_deref(), &env)?;
    // What stands beside the data plane has a small runtime of its own: reading a file never delays a request.
    let beside = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("control")
        .enable_all()
        .build()
        .context("no runtime for the control tasks")?;
    let triggers = {
        let _context = beside.enter();
        Triggers::arm(&path).context("SIGHUP cannot be received")?
    };
    let loaded = config::load(&path, &env)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let process = Process::new(loaded, Telemetry::new(AccessLog::to_stdout()))?;
    let listen: Vec<String> = process.addresses.iter().map(ToString::to_string).collect();
    tracing::info!(
        config = %path.display(),
        listen = listen.join(","),
        admin = %process.admin,
        "serving"
    );
    let reloading = beside
        .spawn(Reloader::new(path, process.mainstay.clone(), process.shown.clone()).run(triggers));
    let shutdown = Box::new(OnSignal {
        mainstay: process.mainstay.clone(),
    });
    let mainstay = process.mainstay.clone();
    process.run(shutdown);
    reloading.abort();
    mainstay.keep_health();
    Ok(ExitCode::SUCCESS)
}
