//! Owns the rules of `models` and the catalogue made of them: one endpoint per provider key. Must never ask
//! a provider anything.

use std::collections::{HashMap, HashSet};

use crate::config::catalogue::Known;
use crate::config::compile::known::{Knowledge, upstream_name};
use crate::config::compile::names::{check_known, check_model_name, check_name};
use crate::config::compile::policies::known_policies;
use crate::config::compile::providers::Compiled;
use crate::config::compile::{chains, filters};
use crate::config::raw;
use crate::config::raw::models as written;
use crate::config::report::Report;
use crate::config::scalar::{Number, Text};
use crate::config::secret::Secret;
use crate::config::snapshot::WellKnown;
use crate::config::trail::Trail;
use crate::core::catalog::{
    Catalog, Credential, Endpoint, EndpointIx, Fingerprint, HostIx, KeyIx, Labels, Model, ModelIx,
    Price, Tongues,
};
use crate::core::names::{EndpointId, HostName, KeyName, ModelName, PolicyName, ProviderName};

pub(super) fn compile(
    config: &raw::Config,
    providers: &HashMap<ProviderName, Compiled>,
    known: &Known,
    report: &mut Report<'_>,
) -> (Catalog, WellKnown) {
    let at = Trail::top("models");
    if config.models.0.is_empty() {
        report.error(&at, "no models are configured");
    }
    let chains = chains::compile(config, &at, report);
    let mut assembly = Assembly {
        config,
        providers,
        knowledge: Knowledge { known, providers },
        well_known: WellKnown::default(),
        endpoints: Vec::new(),
        hosts: Vec::new(),
        credentials: Vec::new(),
    };
    let mut models = Vec::new();
    for ((name, model), fallbacks) in config.models.0.iter().zip(chains) {
        let at = at.key(name);
        check_model_name(&at, name, report);
        check_context(model, &at, report);
        let ix = ModelIx::new(models.len());
        let mut compiled = Model {
            name: ModelName::new(name.as_str()),
            context_length: model.context_length.map(|count| count.0),
            max_output: filters::max_output(model, &at, report),
            supports: filters::supports(model, &at, report),
            endpoints: assembly.pool(ix, (name, model), &at, report),
            fallbacks,
            policy: assembly.policy(model, &at, report),
        };
        let filled = assembly.knowledge.fill(model, &mut compiled);
        if !filled.is_empty() {
            assembly.well_known.models.insert(ix, filled);
        }
        models.push(compiled);
    }
    let catalog = Catalog::new(
        models,
        assembly.endpoints,
        assembly.hosts,
        assembly.credentials,
    );
    (catalog, assembly.well_known)
}

fn check_context(model: &written::Model, at: &Trail, report: &mut Report<'_>) {
    if model.context_length.is_some_and(|count| count.0 == 0) {
        report.error(
            &at.key("context_length"),
            "`context_length` must be at least 1",
        );
    }
}

/// The catalogue's lists while they grow.
struct Assembly<'a> {
    config: &'a raw::Config,
    providers: &'a HashMap<ProviderName, Compiled>,
    knowledge: Knowledge<'a>,
    well_known: WellKnown,
    endpoints: Vec<Endpoint>,
    hosts: Vec<HostName>,
    credentials: Vec<Credential>,
}

impl Assembly<'_> {
    fn policy(
        &self,
        model: &written::Model,
        at: &Trail,
        report: &mut Report<'_>,
    ) -> Option<PolicyName> {
        let policy = &model.policy.as_ref()?.0;
        let known = known_policies(&self.config.policies);
        check_known("policy", &at.key("policy"), policy, known, report);
        Some(PolicyName::new(policy.as_str()))
    }

    /// The endpoints of one model.
    fn pool(
        &mut self,
        ix: ModelIx,
        (name, model): (&str, &written::Model),
        at: &Trail,
        report: &mut Report<'_>,
    ) -> Vec<EndpointIx> {
        let at = at.key("endpoints");
        let written = &model.endpoints.0;
        if written.is_empty() {
            report.error(&at, format!("the model \"{name}\" has no endpoints"));
        }
        check_told_apart(written, &at, report);
        check_own_names(name, written, &at, report);
        let knowledge = self.knowledge;
        check_prices(
            written,
            |entry| knowledge.price(name, entry).is_some(),
            &at,
            report,
        );
        let before = self.endpoints.len();
        for (index, entry) in written.iter().enumerate() {
            self.entry(ix, name, entry, &at.index(index), report);
        }
        (before..self.endpoints.len())
            .map(EndpointIx::new)
            .collect()
    }

    /// One endpoint for each key of the entry's provider.
    fn entry(
        &mut self,
        model: ModelIx,
        name: &str,
        entry: &written::Endpoint,
        at: &Trail,
        report: &mut Report<'_>,
    ) {
        check_entry(entry, at, report);
        let providers = self.providers;
        let provider = self.provider(entry, at, report);
        let Some((provider, compiled)) = provider.and_then(|name| providers.get_key_value(&name))
        else {
            return;
        };
        let labels = Labels {
            quantization: filters::quantization(
                entry.quantization.as_ref(),
                &at.key("quantization"),
                report,
            ),
            ..compiled.labels.clone()
        };
        let tag = entry.tag.as_ref().map(|tag| tag.0.as_str());
        let host = self.host(compiled);
        let upstream_model = upstream_name(name, entry);
        let known = self.knowledge.price(name, entry);
        for (key, secret) in &compiled.provider.keys {
            let credential = self.credential(provider, key, secret.as_ref());
            if known.is_some() {
                let ix = EndpointIx::new(self.endpoints.len());
                self.well_known.prices.insert(ix);
            }
            self.endpoints.push(Endpoint {
                id: EndpointId::new(&ModelName::new(name), provider, key, tag),
                model,
                provider: provider.clone(),
                key: key.clone(),
                upstream_model: upstream_model.to_owned(),
                tongues: Tongues::of(compiled.provider.dialects.iter().map(|it| it.position())),
                fingerprint: Fingerprint::of(&(&compiled.provider.base, upstream_model)),
                price: known.unwrap_or_else(|| price(&entry.price)),
                labels: labels.clone(),
                host,
                credential,
                timeouts: compiled.timeouts,
            });
        }
    }

    fn provider(
        &self,
        entry: &written::Endpoint,
        at: &Trail,
        report: &mut Report<'_>,
    ) -> Option<ProviderName> {
        let at = at.key("provider");
        let Some(Text(name)) = &entry.provider else {
            report.error(&at, "the endpoint has no `provider`");
            return None;
        };
        let known = self
            .config
            .providers
            .0
            .iter()
            .map(|(name, _)| name.as_str());
        check_known("provider", &at, name, known, report).then(|| ProviderName::new(name.as_str()))
    }

    fn host(&mut self, compiled: &Compiled) -> HostIx {
        let base = &compiled.provider.base;
        let name = match base.host.contains(':') {
            true => format!("[{}]:{}", base.host, base.port),
            false => format!("{}:{}", base.host, base.port),
        };
        HostIx::new(position_of(&mut self.hosts, HostName::new(name)))
    }

    fn credential(
        &mut self,
        provider: &ProviderName,
        key: &KeyName,
        secret: Option<&Secret>,
    ) -> KeyIx {
        let credential = Credential {
            provider: provider.clone(),
            key: key.clone(),
            fingerprint: Fingerprint::of(&secret),
        };
        KeyIx::new(position_of(&mut self.credentials, credential))
    }
}

fn check_entry(entry: &written::Endpoint, at: &Trail, report: &mut Report<'_>) {
    if let Some(tag) = &entry.tag {
        check_name("tag", &at.key("tag"), &tag.0, report);
    }
    if entry.model.as_ref().is_some_and(|model| model.0.is_empty()) {
        let message = "the model's name at the provider is empty";
        report.error(&at.key("model"), message);
    }
}

/// Where the item stands in the list, at its end if it is new.
fn position_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> usize {
    let found = list.iter().position(|other| *other == item);
    found.unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    })
}

fn price(written: &written::Price) -> Price {
    let usd = |number: Option<Number>| number.map(|number| number.0);
    Price {
        prompt: usd(written.prompt),
        completion: usd(written.completion),
        cache_read: usd(written.cache_read),
    }
}

/// Two entries of one provider would have one id.
fn check_told_apart(entries: &[written::Endpoint], at: &Trail, report: &mut Report<'_>) {
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let tag = entry.tag.as_ref().map(|tag| tag.0.as_str());
        let Some(provider) = &entry.provider else {
            continue;
        };
        let at = at.index(index).key("provider");
        if !report.is_settled(&at) && !seen.insert((provider.0.as_str(), tag)) {
            let message = format!("the model lists the provider {} twice", report.quoted(&at));
            let hint = "tell them apart with `tag`".to_owned();
            report.error_with(&at, message, hint);
        }
    }
}

/// A wildcard's endpoints get each model by its own name.
fn check_own_names(
    model: &str,
    entries: &[written::Endpoint],
    at: &Trail,
    report: &mut Report<'_>,
) {
    let named = entries.iter().enumerate();
    for (index, _) in named.filter(|(_, entry)| entry.model.is_some() && model.ends_with("/*")) {
        let hint = "leave it out: each model is sent by its own name".to_owned();
        let message = "`model` would send every model of the wildcard to one";
        report.error_with(&at.index(index).key("model"), message, hint);
    }
}

fn check_prices(
    entries: &[written::Endpoint],
    is_well_known: impl Fn(&written::Endpoint) -> bool,
    at: &Trail,
    report: &mut Report<'_>,
) {
    let is_known = |entry: &written::Endpoint| {
        entry.price.prompt.is_some() && entry.price.completion.is_some() || is_well_known(entry)
    };
    let some_known = entries.iter().any(is_known);
    for (index, entry) in entries.iter().enumerate() {
        let at = at.index(index).key("price");
        check_signs(&entry.price, &at, report);
        if some_known && !is_known(entry) {
            let hint =
                "write `prompt` and `completion` in USD per million tokens; 0 = free".to_owned();
            let message = "this endpoint has no full price while others of the model have one";
            report.warn(&at, message, hint);
        }
    }
}

fn check_signs(price: &written::Price, at: &Trail, report: &mut Report<'_>) {
    let parts = [
        ("prompt", price.prompt),
        ("completion", price.completion),
        ("cache_read", price.cache_read),
    ];
    for (name, part) in parts {
        if part.is_some_and(|number| number.0 < 0.0) {
            report.error(&at.key(name), "a price may not be negative");
        }
    }
}
