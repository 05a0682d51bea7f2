//! Owns `mainstay run`: loads, serves, reloads, drains. Must never serve a configuration with findings.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::cmd::config_args::ConfigArgs;
use crate::cmd::handover::{self, Giver, Predecessor};
use crate::cmd::process::Process;
use crate::cmd::reload::{Reloader, Triggers};
use crate::cmd::shutdown::OnSignal;
use crate::config;
use crate::edge::telemetry::{AccessLog, Telemetry};

/// The arguments of `mainstay run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Take over the listeners of the process that serves, which then finishes what it carries and ends. Both find
    /// each other at `server.upgrade_socket`.
    #[arg(long)]
    upgrade: bool,
}

/// Serves until told to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let env = |name: &str| std::env::var(name).ok();
    let path = config::search_path(args.config.config.as_deref(), &env)?;
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
    let meeting = loaded.snapshot.server.upgrade_socket.clone();
    let mut predecessor = match args.upgrade {
        true => predecessor(meeting.as_deref())?,
        false => None,
    };
    let telemetry = Telemetry::new(AccessLog::to_stdout());
    let mut process = Process::new(loaded, telemetry, predecessor.as_mut())?;
    let listen: Vec<String> = process.addresses.iter().map(ToString::to_string).collect();
    tracing::info!(
        config = %path.display(),
        listen = listen.join(","),
        admin = %process.admin,
        "serving"
    );
    let reloading = beside
        .spawn(Reloader::new(path, process.mainstay.clone(), process.shown.clone()).run(triggers));
    let mainstay = process.mainstay.clone();
    let sockets = std::mem::take(&mut process.sockets);
    let giver = {
        let _context = beside.enter();
        let doors = process.doors.clone();
        let prepare = |path: &Path| Giver::prepare(path, sockets, doors, mainstay.clone());
        meeting.as_deref().map(prepare).transpose()
    };
    let giver = giver.context("server.upgrade_socket cannot be used")?;
    let handing = beside.spawn(handover::attend(process.phases(), predecessor, giver));
    let shutdown = Box::new(OnSignal {
        mainstay: mainstay.clone(),
        doors: process.doors.clone(),
    });
    process.run(shutdown);
    handing.abort();
    reloading.abort();
    mainstay.keep_health();
    Ok(ExitCode::SUCCESS)
}

/// The process to take over from. Where there is none this one serves as if it had not been asked to: whoever
/// starts processes need not know whether one runs.
fn predecessor(path: Option<&Path>) -> anyhow::Result<Option<Predecessor>> {
    let path =
        path.context("--upgrade needs `server.upgrade_socket`, where both processes meet")?;
    let predecessor = handover::ask(path).context("nothing could be taken over")?;
    let found = predecessor.is_some();
    tracing::info!(path = %path.display(), found, "asked for the listeners of the process that serves");
    Ok(predecessor)
}
