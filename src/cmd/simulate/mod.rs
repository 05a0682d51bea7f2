//! Owns `mainstay simulate`: incident scenarios through the routing code itself under a virtual clock. In
//! reading order: `file`, `program`, `incident` and `scenario` (what is asked), `choice`, `speeds` and `own` (a
//! configuration's own fleet), `chance`, `fleet`, `upstream` (who plays), `queue`, `drive`, `world` (a run), `ledger`,
//! `oracle` and `figures` (what it came to), `jobs` and `progress` (many runs), `table`, `json`, `bars` and `known`
//! (what is shown). Must never decide routing: that is `core`'s, unchanged.

mod file;
mod program;
mod incident;
mod scenario;
mod choice;
mod speeds;
mod own;
mod chance;
mod fleet;
mod upstream;
mod queue;
mod drive;
mod world;
mod ledger;
mod oracle;
mod figures;
mod jobs;
mod progress;
mod table;
mod json;
mod bars;
mod known;
#[cfg(test)]
#[expect(
    clippy::float_cmp,
    reason = "what is counted, or given, comes out exactly"
)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};

use crate::cmd::admin_client::{AdminClient, TokenArgs};
use crate::cmd::simulate::bars::Bars;
use crate::cmd::simulate::choice::Choice;
use crate::cmd::simulate::file::File;
use crate::cmd::simulate::known::{Judged, Known};
use crate::cmd::simulate::own::Own;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::speeds::Speeds;
use crate::config;
use crate::config::snapshot::Snapshot;

/// What is simulated, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A configuration whose own fleet, settings and policies meet the incidents, in place of the files' fleets.
    #[arg(short, long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// The model that is asked for; may be given more than once, each has runs of its own [default: the first].
    #[arg(long = "model", value_name = "M", requires = "config")]
    models: Vec<String>,
    /// Speeds of the configuration's endpoints, as JSON: {"t/m@one/main": {"ttft": 0.4, "tps": 90, "base_err": 0.01}}.
    #[arg(long, value_name = "SPEEDS", requires = "config")]
    latency: Option<PathBuf>,
    /// The admin port of a running process, such as http://127.0.0.1:8081, that has measured the speeds.
    #[arg(long, value_name = "URL", requires = "config")]
    admin: Option<String>,
    #[command(flatten)]
    token: TokenArgs,
    /// A policy: of the configuration, or a built-in sort; `even` or `pin:ENDPOINT` for fixed shares of a file's fleet;
    /// may be given more than once to compare [default: the model's own with a configuration, adaptive without].
    #[arg(long = "policy", value_name = "P")]
    policies: Vec<String>,
    /// Runs of each scenario, with the seeds 1 to N; every figure is their mean.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Only this scenario; may be given more than once.
    #[arg(long = "scenario", value_name = "ID")]
    only: Vec<String>,
    /// Requests a second, instead of the scenarios' own.
    #[arg(long, value_name = "R", value_parser = rate)]
    rps: Option<f64>,
    /// How the figures are shown.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// Exit with 1 where a figure misses its bar in this file. Without --rps, at every rate the file has bars for.
    #[arg(long, value_name = "FILE")]
    bars: Option<PathBuf>,
    /// Misses of bars that do not count as long as they grow no worse than this file says.
    #[arg(long, value_name = "FILE", requires = "bars")]
    known: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=10_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.001 to 10000".to_owned()),
    }
}

/// Arguments that cannot be meant.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Misuse(String);

/// Exit code of arguments that cannot be meant.
const USAGE: u8 = 2;

/// Runs the scenarios. Exits with 1 when a bar is missed.
pub(crate) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    match run(args) {
        Err(error) if error.is::<Misuse>() => {
            writeln!(std::io::stderr(), "error: {error}")?;
            Ok(ExitCode::from(USAGE))
        }
        result => result,
    }
}

fn run(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let json = args.format == Format::Json;
    let bars = args.bars.as_deref().map(Bars::read).transpose()?;
    let known = args.known.as_deref().map(Known::read).transpose()?;
    let rates = match (&bars, args.rps) {
        (_, Some(rps)) => vec![Some(rps)],
        (Some(bars), None) => bars.rates().into_iter().map(Some).collect(),
        (None, None) => vec![None],
    };
    let snapshot = args.config.as_deref().map(snapshot).transpose()?;
    let policies = Choice::all(&args.policies, snapshot.as_deref()).map_err(Misuse)?;
    if json && policies.len() > 1 {
        bail!(Misuse("--format json holds one policy".to_owned()));
    }
    if json && rates.len() > 1 {
        let advice = "--format json holds one rate: give --rps";
        bail!(Misuse(advice.to_owned()));
    }
    let mut scenarios = scenarios(args)?;
    if let Some(snapshot) = &snapshot {
        scenarios = staged(args, &scenarios, snapshot, &policies[0])?;
    }
    for (policy, scenario) in policies
        .iter()
        .flat_map(|policy| scenarios.iter().map(move |scenario| (policy, scenario)))
    {
        policy.suits(scenario).map_err(Misuse)?;
    }
    let mut out = std::io::stdout().lock();
    if !json {
        table::write_casts(&mut out, &scenarios)?;
    }
    let mut failed = false;
    for rps in rates {
        let rows = jobs::run(&at_rate(&scenarios, rps), &policies, args.seeds)?;
        match json {
            true => json::write(&mut out, &scenarios, &rows, args.seeds)?,
            false => table::write(&mut out, &rows, args.seeds, rps)?,
        }
        if let (Some(bars), Some(rps)) = (&bars, rps) {
            let missed = bars.missed(&rows, Some(rps))?;
            let judged = match &known {
                Some(known) => known.judge(&missed, &rows, rps)?,
                None => Judged {
                    missed: missed.iter().map(ToString::to_string).collect(),
                    ..Judged::default()
                },
            };
            failed |= !judged.missed.is_empty();
            tell(&judged)?;
        }
    }
    Ok(match failed {
        false => ExitCode::SUCCESS,
        true => ExitCode::FAILURE,
    })
}

fn tell(judged: &Judged) -> std::io::Result<()> {
    let lines = judged
        .known
        .iter()
        .chain(&judged.over)
        .chain(&judged.missed);
    for line in lines {
        writeln!(std::io::stderr(), "{line}")?;
    }
    Ok(())
}

/// The scenarios of all files that are asked for.
fn scenarios(args: &SimulateArgs) -> anyhow::Result<Vec<Scenario>> {
    let mut all: Vec<Scenario> = Vec::new();
    for path in &args.files {
        let file = File::read(path)?;
        let shown = || path.display().to_string();
        for scenario in Scenario::all(&file).with_context(shown)? {
            let twice = all.iter().any(|other| other.id == scenario.id);
            ensure!(
                !twice,
                "{}: scenario {} is in two files",
                shown(),
                scenario.id
            );
            all.push(scenario);
        }
    }
    for id in &args.only {
        if all.iter().all(|scenario| scenario.id != *id) {
            let names: Vec<_> = all.iter().map(|scenario| scenario.id.as_str()).collect();
            let there = names.join(", ");
            bail!(Misuse(format!("--scenario {id}: there are {there}")));
        }
    }
    if !args.only.is_empty() {
        all.retain(|scenario| args.only.contains(&scenario.id));
    }
    Ok(all)
}

/// A configuration that can be used.
fn snapshot(path: &std::path::Path) -> anyhow::Result<Arc<Snapshot>> {
    let env = |name: &str| std::env::var(name).ok();
    Ok(Arc::new(config::load(path, &env)?.snapshot))
}

/// The scenarios with each model's own fleet in place of theirs.
fn staged(
    args: &SimulateArgs,
    scenarios: &[Scenario],
    snapshot: &Arc<Snapshot>,
    first: &Choice,
) -> anyhow::Result<Vec<Scenario>> {
    let speeds = speeds(args, snapshot)?;
    let names: Vec<Option<&str>> = match args.models.is_empty() {
        true => vec![None],
        false => args.models.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut all = Vec::new();
    for name in &names {
        let own = Own::of(snapshot, *name).map_err(Misuse)?;
        for scenario in scenarios {
            let mut staged = own.stage(scenario, &speeds, &first.decides)?;
            if names.len() > 1 {
                staged.id = format!("{} {}", staged.id, own.name());
            }
            all.push(staged);
        }
    }
    Ok(all)
}

/// What is known of speeds: what a file gives wins over what a process has measured.
fn speeds(args: &SimulateArgs, snapshot: &Snapshot) -> anyhow::Result<Speeds> {
    let read = |path| Speeds::read(path, &snapshot.catalog);
    let given = args.latency.as_deref().map(read).transpose()?;
    let ask = |url: &str| Speeds::ask(&AdminClient::of(url, args.token.get())?);
    let measured = args.admin.as_deref().map(ask).transpose()?;
    Ok(given.unwrap_or_default().or(measured.unwrap_or_default()))
}

fn at_rate(scenarios: &[Scenario], rps: Option<f64>) -> Vec<Scenario> {
    let all = scenarios.iter().cloned();
    all.map(|scenario| match rps {
        Some(rps) => scenario.at(rps),
        None => scenario,
    })
    .collect()
}
