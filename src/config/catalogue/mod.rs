//! Owns the catalogue of well-known models: what a provider's documentation says of a model's window, its longest answer,
//! what it can do and its price, with the date and the source. `models.json` is made by `make catalogue`, never by hand;
//! `file`: an operator's own. Must never guess: what nobody says stays unknown.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::core::catalog::{Capability, Price};

mod file;

pub(in crate::config) use file::read;

const EMBEDDED: &str = include_str!("models.json");

/// Models of providers, in the order of their names.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    /// Where the facts come from.
    #[serde(default)]
    pub source: String,
    /// The source's licence.
    #[serde(default)]
    pub licence: String,
    /// When the source said so: `2026-11-22`.
    #[serde(default)]
    pub date: String,
    pub models: Vec<Entry>,
}

/// What is known of a model at a provider. `None` is unknown.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The provider's preset.
    pub provider: String,
    /// What the provider calls it.
    pub model: String,
    /// Prompt and completion together, tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u64>,
    /// Tokens of one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output: Option<u64>,
    /// What it is said to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub supports: Vec<Word>,
    /// What it is said not to do. What stands in neither list is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Word>,
    #[serde(default, skip_serializing_if = "Usd::is_unknown")]
    pub price: Usd,
}

/// A capability by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "&'static str")]
pub(crate) struct Word(pub Capability);

impl TryFrom<String> for Word {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let known = Capability::ALL.into_iter().find(|(name, _)| *name == word);
        known.map(|(_, it)| Self(it)).ok_or("no capability")
    }
}

impl From<Word> for &'static str {
    fn from(word: Word) -> Self {
        word.0.as_str()
    }
}

/// USD per million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Usd {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<f64>,
}

impl Usd {
    fn parts(&self) -> [Option<f64>; 3] {
        [self.prompt, self.completion, self.cache_read]
    }

    fn is_unknown(&self) -> bool {
        self.parts().iter().all(Option::is_none)
    }
}

impl From<Usd> for Price {
    fn from(usd: Usd) -> Self {
        Self {
            prompt: usd.prompt,
            completion: usd.completion,
            cache_read: usd.cache_read,
        }
    }
}

impl Entry {
    fn key(&self) -> (&str, &str) {
        (&self.provider, &self.model)
    }

    /// What it can do, where each capability is said to be there or not.
    pub(crate) fn capabilities(&self) -> Option<Vec<Capability>> {
        let is_said = |it: &Capability| {
            let mut said = self.supports.iter().chain(&self.lacks);
            said.any(|word| word.0 == *it)
        };
        let all_said = Capability::ALL.iter().all(|(_, it)| is_said(it));
        all_said.then(|| self.supports.iter().map(|word| word.0).collect())
    }

    /// What no model has: said of the entry's fields, for whoever wrote them.
    fn fault(&self) -> Option<&'static str> {
        let is_none = |tokens: Option<u64>| tokens == Some(0);
        if is_none(self.context_length) || is_none(self.max_output) {
            return Some("`context_length` and `max_output` must be at least 1");
        }
        let mut parts = self.price.parts().into_iter().flatten();
        if parts.any(|usd| !usd.is_finite() || usd < 0.0) {
            return Some("a price may not be negative");
        }
        let in_both = self.supports.iter().any(|word| self.lacks.contains(word));
        in_both.then_some("a capability stands in both `supports` and `lacks`")
    }
}

impl Catalogue {
    /// The catalogue that the program brings along.
    pub(crate) fn embedded() -> &'static Self {
        static READ: LazyLock<Catalogue> = LazyLock::new(|| {
            let read: Catalogue =
                serde_json::from_str(EMBEDDED).expect("a test reads what is embedded");
            read.sorted()
        });
        &READ
    }

    fn sorted(mut self) -> Self {
        self.models
            .sort_by(|one, other| one.key().cmp(&other.key()));
        self
    }

    fn find(&self, provider: &str, model: &str) -> Option<&Entry> {
        let found = self
            .models
            .binary_search_by(|entry| entry.key().cmp(&(provider, model)));
        self.models.get(found.ok()?)
    }
}

/// What one configuration knows: the embedded catalogue, and before it the operator's own.
#[derive(Debug, Default)]
pub(in crate::config) struct Known {
    own: Option<Catalogue>,
}

impl Known {
    /// The operator's own entries.
    pub(in crate::config) fn own(&self) -> &[Entry] {
        self.own.as_ref().map_or(&[], |own| &own.models)
    }

    /// What is known of a preset's model. An entry of one's own replaces the embedded one whole.
    pub(in crate::config) fn find(&self, preset: &str, model: &str) -> Option<&Entry> {
        if preset.is_empty() {
            return None;
        }
        let own = self.own.as_ref().and_then(|own| own.find(preset, model));
        own.or_else(|| Catalogue::embedded().find(preset, model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_embedded_is_sound_and_says_where_it_comes_from() {
        let known = Catalogue::embedded();
        assert!(known.models.len() > 500 && EMBEDDED.len() < 300_000);
        assert!(known.source.starts_with("litellm ") && known.licence.contains("MIT"));
        assert_eq!(known.date.len(), "2026-11-22".len());
        assert!(known.models.is_sorted_by(|a, b| a.key() < b.key()));
        for entry in &known.models {
            assert_eq!(entry.fault(), None, "{entry:?}");
            assert_eq!(
                entry.price.prompt.is_some(),
                entry.price.completion.is_some()
            );
        }
        let licence = include_str!("LICENSE");
        assert!(licence.contains("MIT License") && licence.contains("Copyright (c)"));
    }

    #[test]
    fn what_is_not_said_of_every_capability_is_unknown() {
        let said = |fields: &str| {
            let text = format!(r#"{{"provider":"openai","model":"m",{fields}}}"#);
            let entry: Entry = serde_json::from_str(&text).unwrap();
            (entry.capabilities(), entry.fault().is_some())
        };
        let all = r#""supports":["tools","images"],"lacks":["json_schema","reasoning"]"#;
        let can = vec![Capability::Tools, Capability::Images];
        assert_eq!(said(all), (Some(can), false));
        assert_eq!(said(r#""supports":["tools","images"]"#), (None, false));
        let both = r#""supports":["tools"],"lacks":["tools"]"#;
        for wrong in [both, r#""max_output":0"#, r#""price":{"prompt":-1}"#] {
            assert!(said(wrong).1, "{wrong}");
        }
    }
}
