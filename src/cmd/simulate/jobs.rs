//! Owns the runs of a command: every scenario under every policy with every seed, on all processors. Must
//! never let the number of threads change a figure.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use anyhow::{Context, anyhow};

use crate::cmd::simulate::choice::Choice;
use crate::cmd::simulate::figures::Figures;
use crate::cmd::simulate::progress::Progress;
use crate::cmd::simulate::scenario::Scenario;
use crate::cmd::simulate::world;

/// What a policy made of a scenario, over all seeds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) scenario: String,
    pub(super) policy: String,
    pub(super) figures: Figures,
}

/// Runs everything; rows come by scenario, then by policy.
///
/// # Errors
/// Where a thread cannot be started, or dies.
pub(super) fn run(
    scenarios: &[Scenario],
    policies: &[Choice],
    seeds: u64,
) -> anyhow::Result<Vec<Row>> {
    let mut jobs = Vec::new();
    for scenario in scenarios {
        for policy in policies {
            jobs.extend((1..=seeds).map(|seed| (scenario, policy, seed)));
        }
    }
    let progress = Progress::new(jobs.len());
    let next = AtomicUsize::new(0);
    let results = Mutex::new(vec![None; jobs.len()]);
    let work = || {
        while let Some((position, (scenario, policy, seed))) = take(&next, &jobs) {
            let ledger = world::run(scenario, policy.decides.clone(), *seed);
            let figures = Figures::of(scenario, &ledger);
            let mut results = results.lock().map_err(|_| anyhow!("a run died"))?;
            results[position] = Some(figures);
            progress.step(&scenario.id);
        }
        anyhow::Ok(())
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let started: Vec<_> = (0..threads.min(jobs.len()))
            .map(|_| scope.spawn(work))
            .collect();
        let ended = started.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .into_iter()
            .try_for_each(|end| end.map_err(|_| anyhow!("a run died"))?)
    })?;
    progress.end();
    let results = results.into_inner().map_err(|_| anyhow!("a run died"))?;
    let results: Option<Vec<Figures>> = results.into_iter().collect();
    let results = results.context("a run has no result")?;
    let per_row = usize::try_from(seeds)?;
    let rows = jobs.chunks(per_row).zip(results.chunks(per_row));
    Ok(rows
        .map(|(jobs, runs)| Row {
            scenario: jobs[0].0.id.clone(),
            policy: jobs[0].1.name.clone(),
            figures: Figures::mean(runs),
        })
        .collect())
}

fn take<'a, T>(next: &AtomicUsize, jobs: &'a [T]) -> Option<(usize, &'a T)> {
    let position = next.fetch_add(1, Relaxed);
    Some((position, jobs.get(position)?))
}
