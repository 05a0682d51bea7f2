//! Owns the rules of `fallbacks`: every model named exists, once, and is not the model itself. Only the list of
//! the model asked for is followed, so two models may well fall back to each other. Must never reorder one.

use std::collections::HashMap;

use crate::config::compile::names::check_known;
use crate::config::raw;
use crate::config::raw::models::Model;
use crate::config::report::Report;
use crate::config::scalar::{Named, Text};
use crate::config::trail::Trail;
use crate::core::catalog::ModelIx;

/// The chain of each model, in the order of the file.
pub(super) fn compile(
    config: &raw::Config,
    at: &Trail,
    report: &mut Report<'_>,
) -> Vec<Vec<ModelIx>> {
    // A wildcard has no name of its own that a provider could be asked for.
    let models = config.models.0.iter().enumerate();
    let index: HashMap<&str, usize> = models
        .filter(|(_, (name, _))| !name.contains('*'))
        .map(|(position, (name, _))| (name.as_str(), position))
        .collect();
    let mut chains = Vec::new();
    for (name, model) in &config.models.0 {
        let at = at.key(name).key("fallbacks");
        check_aliases(model, &config.aliases, &at, report);
        chains.push(chain(name, model, &index, &at, report));
    }
    chains
}

/// A chain is read by people at three in the morning: it names models.
fn check_aliases(model: &Model, aliases: &Named<Text>, at: &Trail, report: &mut Report<'_>) {
    for (written, fallback) in model.fallbacks.0.iter().enumerate() {
        let mut named = aliases.0.iter();
        if let Some((alias, _)) = named.find(|(alias, _)| *alias == fallback.0) {
            let at = at.index(written);
            let model = report.quoted(&Trail::top("aliases").key(alias));
            let hint = format!("name the model: {model}");
            report.error_with(&at, format!("\"{alias}\" is an alias"), hint);
            report.settle(&at);
        }
    }
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
