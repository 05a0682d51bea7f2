//! Owns the settings of one item as text. Must never take a credential: those come as facts.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::path::Path;
use std::time::Duration;

use super::Fact;
use crate::core::policy::{KeySource, Stickiness};
use crate::core::timeouts::TimeoutSettings;

/// The settings of one item, while they are collected.
#[derive(Default)]
pub(super) struct Fields(pub(super) BTreeMap<String, Fact>);

impl Fields {
    pub(super) fn fact(mut self, name: &str, fact: Fact) -> Self {
        self.0.insert(name.to_owned(), fact);
        self
    }

    pub(super) fn plain(self, name: &str, value: impl Display) -> Self {
        self.fact(name, Fact::Plain(value.to_string()))
    }

    /// A word of one of our closed lists.
    pub(super) fn shown(self, name: &str, word: impl Debug) -> Self {
        self.plain(name, format!("{word:?}").to_lowercase())
    }

    pub(super) fn time(self, name: &str, value: Duration) -> Self {
        self.plain(name, humantime::format_duration(value))
    }

    pub(super) fn path(self, name: &str, file: Option<&Path>) -> Self {
        self.optional(name, file.map(Path::display))
    }

    pub(super) fn optional(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.plain(name, value),
            None => self.plain(name, "none"),
        }
    }

    pub(super) fn list<T: Display>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.plain(name, format!("[{}]", values.join(", ")))
    }

    pub(super) fn timeouts(self, settings: &TimeoutSettings) -> Self {
        let TimeoutSettings {
            connect,
            first_token,
            answer,
            idle,
            total,
        } = settings;
        let all = [
            ("timeouts.connect", connect),
            ("timeouts.first_token", first_token),
            ("timeouts.answer", answer),
            ("timeouts.idle", idle),
            ("timeouts.total", total),
        ];
        all.into_iter().fold(self, |fields, (name, value)| {
            fields.optional(name, value.map(humantime::format_duration))
        })
    }

    pub(super) fn sticky(self, settings: Option<&Stickiness>) -> Self {
        let Some(Stickiness { keys, ttl }) = settings else {
            return self.plain("sticky", "off");
        };
        self.plain("sticky", "on")
            .list("sticky.key", keys.iter().map(KeySource::as_str))
            .time("sticky.ttl", *ttl)
    }
}
