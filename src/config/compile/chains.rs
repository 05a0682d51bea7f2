//! Owns the rules of `fallbacks`: every model named exists, once, and no chain leads back to its start.
//! Must never reorder one.

use std::collections::{HashMap, HashSet};

use crate::config::compile::names::check_known;
use crate::config::raw::models::Model;
use crate::config::report::Report;
use crate::config::scalar::Named;
use crate::config::trail::Trail;
use crate::core::catalog::ModelIx;

/// The chain of each model, in the order of the file.
pub(super) fn compile(
    models: &Named<Model>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<Vec<ModelIx>> {
    let index: HashMap<&str, usize> = models
        .0
        .iter()
        .enumerate()
        .map(|(position, (name, _))| (name.as_str(), position))
        .collect();
    let mut chains = Vec::new();
    for (name, model) in &models.0 {
        let at = at.key(name).key("fallbacks");
        chains.push(chain(name, model, &index, &at, report));
    }
    report_loops(models, &chains, at, report);
    let as_indices = |chain: Vec<Link>| chain.iter().map(|link| ModelIx::new(link.to)).collect();
    chains.into_iter().map(as_indices).collect()
}

/// A model named in a chain, and where.
struct Link {
    /// Its place in the list that the file holds.
    written: usize,
    to: usize,
}

fn chain(
    name: &str,
    model: &Model,
    index: &HashMap<&str, usize>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<Link> {
    let mut chain: Vec<Link> = Vec::new();
    for (written, fallback) in model.fallbacks.0.iter().enumerate() {
        let at = at.index(written);
        let fallback = fallback.0.as_str();
        if fallback == name {
            report.error(&at, format!("the model \"{name}\" falls back to itself"));
        } else if check_known("model", &at, fallback, index.keys().copied(), report)
            && let Some(to) = index.get(fallback).copied()
        {
            match chain.iter().any(|link| link.to == to) {
                true => report.error(&at, format!("{} is listed twice", report.quoted(&at))),
                false => chain.push(Link { written, to }),
            }
        }
    }
    chain
}

/// Reports each loop once, at the link of the file's order that closes it.
fn report_loops(models: &Named<Model>, chains: &[Vec<Link>], at: &Trail, report: &mut Report<'_>) {
    let name = |position: usize| models.0.get(position).map_or("", |(name, _)| name.as_str());
    for (from, chain) in chains.iter().enumerate() {
        // A loop is told at its last model, to which all others lead.
        for link in chain.iter().filter(|link| link.to < from) {
            if let Some(way) = way(chains, link.to, from) {
                let names: Vec<&str> = [from].into_iter().chain(way).map(name).collect();
                let at = at.key(name(from)).key("fallbacks").index(link.written);
                let message = format!("the fallbacks run in a circle: {}", names.join(" -> "));
                report.error(&at, message);
            }
        }
    }
}

/// The models from one to another, both included, along the chains.
fn way(chains: &[Vec<Link>], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut seen = HashSet::from([from]);
    let mut ways = vec![vec![from]];
    while let Some(way) = ways.pop() {
        let last = *way.last()?;
        if last == to {
            return Some(way);
        }
        for link in chains.get(last)? {
            if seen.insert(link.to) {
                ways.push(way.iter().copied().chain([link.to]).collect());
            }
        }
    }
    None
}
