//! Owns what changes from one configuration to another, for those who decide on it and for the log. Must never
//! show a credential, or call two configurations equal that are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::config::facts::{Fact, Facts, Item, Kind};

/// What happens to one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum What {
    Added,
    Removed,
    /// One setting of it; `None` is a setting that the other does not have.
    Changed {
        field: String,
        from: Option<String>,
        to: Option<String>,
    },
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub kind: Kind,
    /// Empty where there is one of the kind.
    pub name: String,
    #[serde(flatten)]
    pub what: What,
    /// A running process cannot take it over.
    pub needs_restart: bool,
}

/// The changes in the order of kinds and names; empty between equal configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diff {
    pub changes: Vec<Change>,
}

// === impl Diff ===

impl Diff {
    /// What has to change in `from` to make it `to`. Both must be salted alike, or every credential differs.
    pub fn between(from: &Facts, to: &Facts) -> Self {
        let (old, new) = (by_name(from), by_name(to));
        let asked_of_clients = client_authorities(to);
        let mut changes = Vec::new();
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for key in names {
            let what = match (old.get(key), new.get(key)) {
                (Some(old), Some(new)) => changed(old, new),
                (None, _) => vec![What::Added],
                (_, None) => vec![What::Removed],
            };
            let (kind, name) = *key;
            changes.extend(what.into_iter().map(|what| Change {
                kind,
                name: name.to_owned(),
                needs_restart: needs_restart(kind, &what)
                    || (kind == Kind::File && asked_of_clients.contains(name)),
                what,
            }));
        }
        Self { changes }
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What a running process cannot take over.
    pub fn restarts(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.needs_restart)
    }
}

type ByName<'a> = BTreeMap<(Kind, &'a str), &'a Item>;

fn by_name(facts: &Facts) -> ByName<'_> {
    let items = facts.items.iter();
    items
        .map(|item| ((item.kind, item.name.as_str()), item))
        .collect()
}

fn changed(old: &Item, new: &Item) -> Vec<What> {
    let fields: BTreeSet<&String> = old.fields.keys().chain(new.fields.keys()).collect();
    let shown = |fact: Option<&Fact>| fact.map(ToString::to_string);
    fields
        .into_iter()
        .filter(|field| old.fields.get(*field) != new.fields.get(*field))
        .map(|field| What::Changed {
            field: field.clone(),
            from: shown(old.fields.get(field)),
            to: shown(new.fields.get(field)),
        })
        .collect()
}

/// Sockets, and what is asked of clients before a request is read, are fixed when a listener opens.
fn needs_restart(kind: Kind, what: &What) -> bool {
    let field = match what {
        What::Added | What::Removed => return kind == Kind::Listener,
        What::Changed { field, .. } => field.as_str(),
    };
    match kind {
        Kind::Server => matches!(field, "admin.listen" | "threads" | "upgrade_socket"),
        Kind::Listener => matches!(field, "tls" | "tls.client_ca_file"),
        Kind::CallerKey
        | Kind::Provider
        | Kind::ProviderKey
        | Kind::Model
        | Kind::Endpoint
        | Kind::Alias
        | Kind::Policy
        | Kind::Health
        | Kind::RetryBudget
        | Kind::Route
        | Kind::Store
        | Kind::Telemetry
        | Kind::File => false,
    }
}

/// The files with the authorities that clients' certificates must come from.
fn client_authorities(facts: &Facts) -> BTreeSet<&str> {
    let listeners = facts
        .items
        .iter()
        .filter(|item| item.kind == Kind::Listener);
    let files = listeners.filter_map(|item| match item.fields.get("tls.client_ca_file") {
        Some(Fact::Plain(file)) => Some(file.as_str()),
        Some(Fact::Secret { .. }) | None => None,
    });
    files.collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.what {
            What::Added => '+',
            What::Removed => '-',
            What::Changed { .. } => '~',
        };
        write!(f, "{sign} {}", self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if let What::Changed { field, from, to } = &self.what {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            write!(f, ": {field} {} -> {}", shown(from), shown(to))?;
        }
        match self.needs_restart {
            true => f.write_str(" (takes a restart)"),
            false => Ok(()),
        }
    }
}

/// One change a line.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.changes {
            writeln!(f, "{change}")?;
        }
        Ok(())
    }
}
