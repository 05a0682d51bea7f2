//! What the catalogue of well-known models fills in, and that what is written wins.

use std::path::Path;

use super::{load, read};
use crate::config::catalogue::{Catalogue, Entry};
use crate::config::snapshot::{Holds, Snapshot, WellKnown};
use crate::config::{Loaded, PRESETS};
use crate::core::catalog::{Capability, Model, Price};

const NAME: &str = "gpt-5-mini";

fn text(preset: &str, model: &str, endpoint: &str) -> String {
    format!(
        "providers:\n  p: {{ {preset} keys: [{{ value: k }}] }}\n  own: {{ base_url: \"http://10.0.0.1/v1\", auth: none }}\n\
         models: {{ openai/{NAME}: {{ {model} endpoints: [{{ provider: p, {endpoint} }}] }} }}\n"
    )
}

fn snapshot(preset: &str, model: &str, endpoint: &str) -> Snapshot {
    load(&text(preset, model, endpoint)).snapshot
}

fn first(snapshot: &Snapshot) -> (&Model, Price) {
    let catalog = &snapshot.catalog;
    (&catalog.models()[0], catalog.endpoints()[0].price)
}

fn known() -> &'static Entry {
    let mut models = Catalogue::embedded().models.iter();
    let found = models.find(|it| it.provider == "openai" && it.model == NAME);
    found.expect("a model of the catalogue")
}

const OPENAI: &str = "preset: openai,";

#[test]
fn the_catalogue_fills_what_is_not_written() {
    let filled = snapshot(OPENAI, "", "");
    let (model, price) = first(&filled);
    assert_eq!(model.context_length, known().context_length);
    assert_eq!(model.max_output, known().max_output);
    assert_eq!(model.supports, known().capabilities());
    assert!(model.supports.is_some() && model.context_length.is_some());
    assert!(price.prompt > Some(0.0) && price == Price::from(known().price));
    assert_eq!(filled.well_known.prices.len(), 1);
    let settings = filled.well_known.models.values().next().unwrap();
    assert_eq!(settings, &["context_length", "max_output", "supports"]);

    let own = snapshot(
        OPENAI,
        "context_length: 7, max_output: 5, supports: [tools],",
        "price: { prompt: 9 }",
    );
    let (model, price) = first(&own);
    assert_eq!((model.context_length, model.max_output), (Some(7), Some(5)));
    assert_eq!(model.supports, Some(vec![Capability::Tools]));
    assert_eq!((price.prompt, price.completion), (Some(9.0), None));
    assert_eq!(own.well_known, WellKnown::default());
}

#[test]
fn who_has_no_preset_or_no_such_model_takes_nothing() {
    let plain = "base_url: \"https://api.openai.com/v1\",";
    for (preset, endpoint) in [
        (plain, ""),
        (OPENAI, "model: gpt-of-nobody"),
        ("preset: xai,", ""),
    ] {
        let empty = snapshot(preset, "", endpoint);
        let (model, price) = first(&empty);
        assert_eq!((model.context_length, &model.supports), (None, &None));
        assert_eq!(price, Price::default());
    }
    let wild = text(OPENAI, "", "").replace(&format!("openai/{NAME}"), "openai/*");
    assert_eq!(first(&load(&wild).snapshot).1, Price::default());
    // The window of a model is that of all its endpoints, its price each one's own.
    let mixed =
        text(OPENAI, "", "").replace("{ provider: p,  }", "{ provider: p }, { provider: own }");
    let mixed = load(&mixed);
    let (model, price) = first(&mixed.snapshot);
    assert_eq!((model.context_length, model.max_output), (None, None));
    assert_eq!(price, Price::from(known().price));
    assert_eq!(mixed.warnings.len(), 1, "the other endpoint has no price");
}

#[test]
fn every_entry_is_of_a_preset() {
    for entry in &Catalogue::embedded().models {
        let mut presets = PRESETS.iter().map(|preset| preset.name);
        assert!(presets.any(|name| name == entry.provider), "{entry:?}");
    }
}

fn with_own(path: &Path) -> String {
    format!("catalog_file: {}\n{}", path.display(), text(OPENAI, "", ""))
}

#[test]
fn a_catalogue_of_ones_own_wins() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.yaml");
    let loaded = |window: u32| -> Loaded {
        let entry = format!(
            "models: [{{ provider: openai, model: {NAME}, context_length: {window}, price: {{ prompt: 8, completion: 9 }} }}]"
        );
        std::fs::write(&path, entry).unwrap();
        load(&with_own(&path))
    };
    let (one, other) = (loaded(1234), loaded(5678));
    let (model, price) = first(&one.snapshot);
    assert_eq!((model.context_length, model.max_output), (Some(1234), None));
    assert_eq!((price.prompt, price.completion), (Some(8.0), Some(9.0)));
    assert_eq!(first(&other.snapshot).0.context_length, Some(5678));
    let (file, changed) = (&one.files[0], &other.files[0]);
    assert_eq!((&file.path, file.holds), (&path, Holds::Catalogue));
    assert!(file.digest.is_some() && file.digest != changed.digest);
    // Of what it does not hold, the embedded one still knows.
    std::fs::write(&path, "models: []").unwrap();
    let empty = load(&with_own(&path));
    assert_eq!(first(&empty.snapshot).1, Price::from(known().price));
}

#[test]
fn a_catalogue_that_cannot_be_used_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.yaml");
    let refused = |expected: &str| {
        let error = read(&with_own(&path)).unwrap_err().to_string();
        assert!(
            error.contains(expected) && error.contains("1:15"),
            "{error}"
        );
    };
    refused("cannot use the file");
    std::fs::write(&path, "models: [{ provider: nobody, model: m }]").unwrap();
    refused("is no preset");
    std::fs::write(&path, "models: [{ provider: openai, modell: m }]").unwrap();
    refused("not as in a catalogue");
}
