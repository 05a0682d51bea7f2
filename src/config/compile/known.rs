//! Owns what the catalogue of well-known models fills in: prices of endpoints, and the window, the longest answer and the
//! capabilities of models, of providers with a preset. Must never replace what is written, or guess: a model of which one
//! endpoint is unknown stays unknown.

use std::collections::HashMap;

use crate::config::catalogue::{Entry, Known};
use crate::config::compile::presets;
use crate::config::compile::providers::Compiled;
use crate::config::raw::models as written;
use crate::config::report::Report;
use crate::config::trail::Trail;
use crate::core::catalog::{Capability, Model, Price};
use crate::core::names::ProviderName;

/// The catalogue, and the providers by which it is asked.
#[derive(Clone, Copy)]
pub(super) struct Knowledge<'a> {
    pub(super) known: &'a Known,
    pub(super) providers: &'a HashMap<ProviderName, Compiled>,
}

/// What the provider of an endpoint calls the model `name`.
pub(super) fn upstream_name<'a>(name: &'a str, endpoint: &'a written::Endpoint) -> &'a str {
    let slug = name.split_once('/').map_or(name, |(_, slug)| slug);
    endpoint.model.as_ref().map_or(slug, |text| &text.0)
}

impl<'a> Knowledge<'a> {
    /// What is known of the model `name` at an endpoint. A wildcard stands for models that differ.
    fn entry(&self, name: &str, endpoint: &written::Endpoint) -> Option<&'a Entry> {
        if name.ends_with("/*") {
            return None;
        }
        let provider = endpoint.provider.as_ref()?.0.as_str();
        let compiled = self.providers.get(&ProviderName::new(provider))?;
        self.known
            .find(compiled.preset, upstream_name(name, endpoint))
    }

    /// The price of an endpoint of the model `name` that has none in the file.
    pub(super) fn price(&self, name: &str, endpoint: &written::Endpoint) -> Option<Price> {
        let written::Price {
            prompt,
            completion,
            cache_read,
        } = endpoint.price;
        if prompt.or(completion).or(cache_read).is_some() {
            return None;
        }
        let price = Price::from(self.entry(name, endpoint)?.price);
        (price != Price::default()).then_some(price)
    }

    /// Fills what a model's settings do not say where all its endpoints are known. The largest limit of any counts: nobody
    /// is kept from who could answer. Returns the names of what was filled.
    pub(super) fn fill(&self, written: &written::Model, model: &mut Model) -> Vec<&'static str> {
        let endpoints = written.endpoints.0.iter();
        let entries = endpoints.map(|endpoint| self.entry(model.name.as_str(), endpoint));
        let entries: Vec<&Entry> = entries.collect::<Option<_>>().unwrap_or_default();
        let largest = |of: fn(&Entry) -> Option<u64>| {
            let all: Option<Vec<u64>> = entries.iter().map(|entry| of(entry)).collect();
            all.and_then(|all| all.into_iter().max())
        };
        let mut filled = Vec::new();
        let window = largest(|entry| entry.context_length);
        if put(&mut model.context_length, window) {
            filled.push("context_length");
        }
        if put(&mut model.max_output, largest(|entry| entry.max_output)) {
            filled.push("max_output");
        }
        if put(&mut model.supports, capabilities(&entries)) {
            filled.push("supports");
        }
        filled
    }
}

/// What any of them can do, where that is known of all.
fn capabilities(entries: &[&Entry]) -> Option<Vec<Capability>> {
    let each: Option<Vec<_>> = entries.iter().map(|entry| entry.capabilities()).collect();
    let each = each.filter(|each| !each.is_empty())?;
    let any = |it: &Capability| each.iter().any(|has| has.contains(it));
    let all = Capability::ALL.into_iter().map(|(_, it)| it);
    Some(all.filter(any).collect())
}

/// Whether it was empty and is no longer.
fn put<T>(slot: &mut Option<T>, known: Option<T>) -> bool {
    let is_filled = slot.is_none() && known.is_some();
    if is_filled {
        *slot = known;
    }
    is_filled
}

/// An entry of a preset that does not exist would never be found.
pub(super) fn check(known: &Known, report: &mut Report<'_>) {
    let strange = known
        .own()
        .iter()
        .find(|entry| presets::named(&entry.provider).is_none());
    if let Some(entry) = strange {
        let message = format!(
            "in the catalogue the provider of \"{}\" is no preset",
            entry.model
        );
        let hint = "`mainstay models --presets` lists them".to_owned();
        report.error_with(&Trail::top("catalog_file"), message, hint);
    }
}
