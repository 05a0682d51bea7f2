//! Owns the list of models and each one's entry, in the union that the clients of OpenAI, OpenRouter and Anthropic all take.
//! Must never list what the caller may not use.

use bytes::Bytes;
use serde::Serialize;

use crate::config::snapshot::{Caller, Snapshot};
use crate::core::catalog::{Catalog, Model, Price};

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
    links: Links,
    total_count: usize,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
    has_more: bool,
}

#[derive(Serialize)]
struct Links {
    next: Option<&'static str>,
}

/// Fields of all three vendors; those of OpenRouter that we cannot know are null or empty, as its schema allows. Nobody
/// knows when a model was made: both fields for it are the epoch.
#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    created: u64,
    created_at: &'static str,
    display_name: &'a str,
    owned_by: &'a str,
    canonical_slug: &'a str,
    name: &'a str,
    context_length: Option<u64>,
    architecture: Architecture,
    pricing: Pricing,
    top_provider: TopProvider,
    per_request_limits: Option<()>,
    default_parameters: Option<()>,
    supported_parameters: [&'static str; 0],
    supported_voices: Option<()>,
    links: EntryLinks,
}

#[derive(Serialize)]
struct Architecture {
    modality: &'static str,
    input_modalities: [&'static str; 1],
    output_modalities: [&'static str; 1],
}

/// USD a token, as text.
#[derive(Serialize)]
struct Pricing {
    prompt: String,
    completion: String,
}

#[derive(Serialize)]
struct TopProvider {
    is_moderated: bool,
}

#[derive(Serialize)]
struct EntryLinks {
    details: String,
}

/// The models that the caller may use. A wildcard is none: nobody knows what is behind it.
pub(crate) fn usable<'a>(
    snapshot: &'a Snapshot,
    caller: Option<&'a Caller>,
) -> impl Iterator<Item = &'a Model> {
    let models = snapshot.catalog.models().iter();
    models
        .filter(|model| !model.is_wildcard())
        .filter(move |model| caller.is_none_or(|caller| caller.may_use(model.name.as_str())))
}

/// The models that the caller may use, as JSON.
pub(crate) fn list(snapshot: &Snapshot, caller: Option<&Caller>) -> Bytes {
    let data: Vec<_> = usable(snapshot, caller)
        .map(|model| entry(&snapshot.catalog, model, model.name.as_str()))
        .collect();
    let list = List {
        object: "list",
        total_count: data.len(),
        first_id: data.first().map(|entry| entry.id),
        last_id: data.last().map(|entry| entry.id),
        has_more: false,
        data,
        links: Links { next: None },
    };
    json(&list)
}

/// One model by the name that a request would have, as JSON; none where the caller may not use it.
pub(crate) fn one(snapshot: &Snapshot, caller: Option<&Caller>, name: &str) -> Option<Bytes> {
    let catalog = &snapshot.catalog;
    let found = catalog.resolve(name)?;
    let name = catalog.name_of(found.model, found.wild);
    let may_use = caller.is_none_or(|caller| caller.may_use(name));
    may_use.then(|| json(&entry(catalog, catalog.model(found.model), name)))
}

fn json(value: &impl Serialize) -> Bytes {
    let text = serde_json::to_vec(value).expect("plain fields always serialise");
    text.into()
}

fn entry<'a>(catalog: &Catalog, model: &Model, name: &'a str) -> Entry<'a> {
    let author = name.split_once('/').map_or("", |(author, _)| author);
    let price = cheapest(catalog, model);
    Entry {
        id: name,
        object: "model",
        kind: "model",
        created: 0,
        created_at: "1970-01-01T00:00:00Z",
        display_name: name,
        owned_by: author,
        canonical_slug: name,
        name,
        context_length: model.context_length,
        architecture: Architecture {
            modality: "text->text",
            input_modalities: ["text"],
            output_modalities: ["text"],
        },
        pricing: Pricing {
            prompt: per_token(price.prompt),
            completion: per_token(price.completion),
        },
        top_provider: TopProvider {
            is_moderated: false,
        },
        per_request_limits: None,
        default_parameters: None,
        supported_parameters: [],
        supported_voices: None,
        links: EntryLinks {
            details: format!("/api/v1/models/{name}/endpoints"),
        },
    }
}

/// The price of the model's cheapest endpoint.
fn cheapest(catalog: &Catalog, model: &Model) -> Price {
    let prices = model.endpoints.iter().map(|ix| catalog.endpoint(*ix).price);
    let known = prices.filter_map(|price| Some((price.typical()?, price)));
    known
        .min_by(|one, two| one.0.total_cmp(&two.0))
        .map(|(_, price)| price)
        .unwrap_or_default()
}

/// From USD a million tokens to USD a token, without an exponent.
fn per_token(price: Option<f64>) -> String {
    let text = format!("{:.12}", price.unwrap_or(0.0) / 1e6);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_plain_decimals_a_token() {
        assert_eq!(per_token(Some(0.25)), "0.00000025");
        assert_eq!(per_token(Some(2.0)), "0.000002");
        assert_eq!(per_token(Some(0.0)), "0");
        assert_eq!(per_token(None), "0");
    }
}
