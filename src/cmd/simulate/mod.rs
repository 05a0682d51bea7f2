//! Owns `mainstay simulate`: incident scenarios through the routing code itself under a virtual clock. In
//! reading order: `file`, `program`, `incident` and `scenario` (what is asked), `chance`, `fleet`, `upstream`
//! (who plays), `queue`, `drive`, `world` (a run), `ledger`, `oracle` and `figures` (what it came to), `jobs` and
//! `progress` (many runs), `table`, `json`, `bars` and `known` (what is shown). Must never decide routing: that is
//! `core`'s, unchanged.

mod file;
mod program;
mod incident;
mod scenario;
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

use anyhow::{Context, bail, ensure};

use crate::cmd::simulate::bars::Bars;
use crate::cmd::simulate::file::File;
use crate::cmd::simulate::known::{Judged, Known};
use crate::cmd::simulate::scenario::Scenario;
use crate::core::policy::Sort;

/// What is simulated, and how it is shown.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SimulateArgs {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A policy; may be given more than once to compare.
    #[arg(long = "policy", value_name = "P", default_value = "adaptive", value_parser = policy)]
    policies: Vec<Choice>,
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

/// A policy by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Choice {
    name: &'static str,
    sort: Sort,
}

fn policy(text: &str) -> Result<Choice, String> {
    let mut known = Sort::ALL.into_iter();
    let found = known.find(|(name, _)| *name == text);
    found
        .map(|(name, sort)| Choice { name, sort })
        .ok_or_else(|| {
            let names = Sort::ALL.map(|(name, _)| name).join(", ");
            format!("the policies are {names}")
        })
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
    if json && args.policies.len() > 1 {
        bail!(Misuse("--format json holds one policy".to_owned()));
    }
    if json && rates.len() > 1 {
        let advice = "--format json holds one rate: give --rps";
        bail!(Misuse(advice.to_owned()));
    }
    let scenarios = scenarios(args)?;
    let mut out = std::io::stdout().lock();
    let mut failed = false;
    for rps in rates {
        let rows = jobs::run(&at_rate(&scenarios, rps), &args.policies, args.seeds)?;
        match json {
            true => json::write(&mut out, &rows, args.seeds)?,
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

fn at_rate(scenarios: &[Scenario], rps: Option<f64>) -> Vec<Scenario> {
    let all = scenarios.iter().cloned();
    all.map(|scenario| match rps {
        Some(rps) => scenario.at(rps),
        None => scenario,
    })
    .collect()
}
