//! Owns the rules of `fallbacks`: every model named exists, once, and is not the model itself. Only the list of
//! the model asked for is followed, so two models may well fall back to each other. Must never reorder one.

use std::collections::HashMap;

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
    chains
}

fn chain(
    name: &str,
    model: &Model,
    index: &HashMap<&str, usize>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<ModelIx> {
    let mut chain = Vec::new();
    for (written, fallback) in model.fallbacks.0.iter().enumerate() {
        let at = at.index(written);
        let fallback = fallback.0.as_str();
        if fallback == name {
            report.error(&at, format!("the model \"{name}\" falls back to itself"));
        } else if check_known("model", &at, fallback, index.keys().copied(), report)
            && let Some(to) = index.get(fallback).copied()
        {
            let to = ModelIx::new(to);
            match chain.contains(&to) {
                true => report.error(&at, format!("{} is listed twice", report.quoted(&at))),
                false => chain.push(to),
            }
        }
    }
    chain
}
