//! Owns the rules of labels, capabilities, `require`, `degrade` and `max_cost`. Must never guess what a provider is.

use std::collections::BTreeSet;

use crate::config::compile::names::{check_name, one_of};
use crate::config::raw;
use crate::config::raw::models;
use crate::config::raw::policies as written;
use crate::config::raw::providers;
use crate::config::report::Report;
use crate::config::scalar::{Number, Text};
use crate::config::snapshot::Snapshot;
use crate::config::trail::Trail;
use crate::core::catalog::{
    Capability, Catalog, DataCollection, EndpointIx, Labels, Model, Quantization,
};
use crate::core::names::{PolicyName, Region};
use crate::core::nearest::did_you_mean;
use crate::core::policy::{Degrade, Label, Otherwise, Require};

/// Nobody said how exact: OpenRouter's word for it.
const UNKNOWN: &str = "unknown";
const COST: &str = "cost";

/// What a provider's endpoints have in common.
pub(super) fn labels(written: &providers::Provider, at: &Trail, report: &mut Report<'_>) -> Labels {
    if let Some(Text(region)) = &written.region {
        check_name("region", &at.key("region"), region, report);
    }
    Labels {
        region: written
            .region
            .as_ref()
            .map(|text| Region::new(text.0.as_str())),
        data_collection: collection(&written.data_collection, at, report),
        zdr: written.zdr.0,
        quantization: None,
    }
}

fn collection(word: &Text, at: &Trail, report: &mut Report<'_>) -> DataCollection {
    let at = at.key("data_collection");
    let read = one_of(
        "data_collection",
        &at,
        &word.0,
        &DataCollection::ALL,
        &[],
        report,
    );
    read.unwrap_or_default()
}

/// How exact an endpoint's weights are; `unknown` may be written.
pub(super) fn quantization(
    word: Option<&Text>,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<Quantization> {
    let word = &word.filter(|word| word.0 != UNKNOWN)?.0;
    one_of("quantization", at, word, &Quantization::ALL, &[], report)
}

/// What a model can do.
pub(super) fn supports(
    written: &models::Model,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<Vec<Capability>> {
    let at = at.key("supports");
    let words = written.supports.as_ref()?.0.iter().enumerate();
    let mut read = Vec::new();
    for (index, word) in words {
        let at = at.index(index);
        let capability = one_of("capability", &at, &word.0, &Capability::ALL, &[], report);
        read.extend(capability);
    }
    Some(read)
}

/// Tokens of one answer.
pub(super) fn max_output(
    written: &models::Model,
    at: &Trail,
    report: &mut Report<'_>,
) -> Option<u64> {
    let most = written.max_output?.0;
    if most == 0 {
        report.error(&at.key("max_output"), "`max_output` must be at least 1");
    }
    Some(most)
}

/// A limit above 0.
pub(super) fn positive(number: Option<Number>, at: &Trail, report: &mut Report<'_>) -> Option<f64> {
    let number = number?.0;
    if number <= 0.0 {
        report.error(at, "must be above 0");
    }
    Some(number)
}

pub(super) fn require(written: &written::Require, at: &Trail, report: &mut Report<'_>) -> Require {
    let at = at.key("require");
    let words = |list: &[Text]| list.iter().map(|text| text.0.clone()).collect();
    let regions = written.region.0.iter();
    let floor = written.min_quantization.as_ref();
    Require {
        region: regions.map(|text| Region::new(text.0.as_str())).collect(),
        data_collection: collection(&written.data_collection, &at, report),
        zdr: written.zdr.0,
        min_quantization: floor_of(floor, &at, report),
        only: words(&written.only.0),
        ignore: words(&written.ignore.0),
    }
}

fn floor_of(word: Option<&Text>, at: &Trail, report: &mut Report<'_>) -> Option<Quantization> {
    let at = at.key("min_quantization");
    one_of(
        "quantization",
        &at,
        &word?.0,
        &Quantization::ALL,
        &[],
        report,
    )
}

pub(super) fn degrade(written: &written::Degrade, at: &Trail, report: &mut Report<'_>) -> Degrade {
    let at = at.key("degrade");
    let mut labels = Vec::new();
    for (index, word) in written.labels.0.iter().enumerate() {
        let at = at.key("labels").index(index);
        labels.extend(one_of("label", &at, &word.0, &Label::ALL, &[], report));
    }
    let otherwise = one_of(
        "otherwise",
        &at.key("otherwise"),
        &written.otherwise.0,
        &Otherwise::ALL,
        &[],
        report,
    );
    let ratio = positive(written.max_price_ratio, &at.key("max_price_ratio"), report);
    let models: Vec<String> = written.models.0.iter().map(|text| text.0.clone()).collect();
    Degrade {
        max_price_ratio: ratio,
        max_added_latency: written.max_added_latency.map(|span| span.0),
        // `*` is any model, and so is no limit at all.
        models: match models.iter().any(|pattern| pattern == "*") {
            true => Vec::new(),
            false => models,
        },
        min_quantization: floor_of(written.min_quantization.as_ref(), &at, report),
        labels,
        otherwise: otherwise.unwrap_or_default(),
    }
}

/// Checks what policies name against the catalogue.
pub(super) fn check(config: &raw::Config, catalog: &Catalog, report: &mut Report<'_>) {
    check_windows(catalog, report);
    check_unpriced(config, catalog, report);
    for (name, policy) in &config.policies.0 {
        let at = Trail::top("policies").key(name);
        let require = at.key("require");
        check_sellers(
            &policy.require.only.0,
            &require.key("only"),
            catalog,
            report,
        );
        check_sellers(
            &policy.require.ignore.0,
            &require.key("ignore"),
            catalog,
            report,
        );
        check_regions(
            &policy.require.region.0,
            &require.key("region"),
            catalog,
            report,
        );
        let at = at.key("degrade").key("models");
        check_patterns(&policy.degrade.models.0, &at, catalog, report);
    }
}

/// Each stands for a provider or an endpoint.
fn check_sellers(written: &[Text], at: &Trail, catalog: &Catalog, report: &mut Report<'_>) {
    let known: BTreeSet<&str> = catalog
        .endpoints()
        .iter()
        .flat_map(|endpoint| [endpoint.provider.as_str(), endpoint.id.as_str()])
        .collect();
    for (index, text) in written.iter().enumerate() {
        if !known.contains(text.0.as_str()) {
            let at = at.index(index);
            let message = format!(
                "no endpoint or provider of a model is {}",
                report.quoted(&at)
            );
            report.error_with(&at, message, did_you_mean(&text.0, known.iter().copied()));
        }
    }
}

/// A region that no provider has leaves nobody.
fn check_regions(written: &[Text], at: &Trail, catalog: &Catalog, report: &mut Report<'_>) {
    let endpoints = catalog.endpoints().iter();
    let known: BTreeSet<&str> = endpoints
        .filter_map(|endpoint| endpoint.labels.region.as_ref())
        .map(Region::as_str)
        .collect();
    for (index, text) in written.iter().enumerate() {
        if !known.contains(text.0.as_str()) {
            let at = at.index(index);
            let message = format!("no provider has the region {}", report.quoted(&at));
            report.warn(&at, message, did_you_mean(&text.0, known.iter().copied()));
        }
    }
}

fn check_patterns(written: &[Text], at: &Trail, catalog: &Catalog, report: &mut Report<'_>) {
    let names = || {
        catalog
            .models()
            .iter()
            .map(|model: &Model| model.name.as_str())
    };
    if written.is_empty() {
        let hint = "leave `fallback` out of `layers` to allow no other model".to_owned();
        report.error_with(at, "`models` names no model", hint);
    }
    for (index, Text(pattern)) in written.iter().enumerate() {
        let at = at.index(index);
        let stem = pattern.strip_suffix('*').unwrap_or(pattern);
        let limits = Degrade {
            models: vec![pattern.clone()],
            ..Degrade::default()
        };
        if stem.contains('*') {
            report.error(&at, "a pattern may hold one `*`, at its end");
        } else if !names().any(|name| limits.allows_model(name)) {
            let message = format!("no model matches {}", report.quoted(&at));
            report.warn(&at, message, did_you_mean(pattern, names()));
        }
    }
}

/// A prompt that is too long for the model asked for has nowhere to go, though there is a choice of models. A chain
/// of one is left alone: it is written for outages.
fn check_windows(catalog: &Catalog, report: &mut Report<'_>) {
    for model in catalog.models() {
        let window = |model: &Model| model.context_length;
        let chain = model.fallbacks.iter();
        let chain: Option<Vec<u64>> = chain.map(|ix| window(catalog.model(*ix))).collect();
        let (Some(own), Some(chain)) = (window(model), chain) else {
            continue;
        };
        if chain.len() > 1 && chain.iter().all(|window| *window < own) {
            let at = Trail::top("models")
                .key(model.name.as_str())
                .key("fallbacks");
            let message = format!(
                "every model of the chain has a smaller window than {} ({own} tokens)",
                model.name
            );
            let hint = "a prompt that is too long for it can fall back to none of them".to_owned();
            report.warn(&at, message, hint);
        }
    }
}

/// Models without any full price whose policy decides by price, be it their own or that of a key that may use them.
/// Where some endpoints have one, `models` warns.
fn check_unpriced(config: &raw::Config, catalog: &Catalog, report: &mut Report<'_>) {
    for model in catalog.models() {
        let price = |ix: &EndpointIx| catalog.endpoint(*ix).price.typical();
        if model.endpoints.iter().any(|ix| price(ix).is_some()) {
            continue;
        }
        let mut deciding = deciding(config, model).into_iter();
        let Some((name, needs)) =
            deciding.find_map(|name| Some((name, needs_prices(config, name, model)?)))
        else {
            continue;
        };
        let at = Trail::top("models")
            .key(model.name.as_str())
            .key("endpoints");
        let message =
            format!("no endpoint has a full price, which {needs} of the policy \"{name}\" needs");
        let hint = "write `prompt` and `completion` in USD per million tokens; 0 = free".to_owned();
        report.warn(&at, message, hint);
    }
}

/// The names of the policies that may decide for requests for the model.
fn deciding<'c>(config: &'c raw::Config, model: &'c Model) -> Vec<&'c str> {
    let own = model.policy.as_ref();
    let own = own.map_or(Snapshot::DEFAULT_POLICY, PolicyName::as_str);
    let may_use = |key: &&raw::auth::CallerKey| {
        let allowed = |pattern: &Text| match pattern.0.strip_suffix('*') {
            Some(stem) => model.name.as_str().starts_with(stem),
            None => model.name.as_str() == pattern.0,
        };
        key.models.0.is_empty() || key.models.0.iter().any(allowed)
    };
    let keys = config.auth.keys.0.iter().filter(may_use);
    let of_keys = keys.filter_map(|key| Some(key.policy.as_ref()?.0.as_str()));
    [own].into_iter().chain(of_keys).collect()
}

/// The field of the policy that decides by price, if any does.
fn needs_prices(config: &raw::Config, policy: &str, model: &Model) -> Option<&'static str> {
    let mut policies = config.policies.0.iter();
    let (_, policy) = policies.find(|(known, _)| known == policy)?;
    if policy.sort.0 == COST {
        Some("`sort: cost`")
    } else if policy.max_cost.is_some() {
        Some("`max_cost`")
    } else if policy.degrade.max_price_ratio.is_some() && !model.fallbacks.is_empty() {
        Some("`max_price_ratio`")
    } else {
        None
    }
}
