//! Owns how a client's text finds a model: the model's name, a bare slug that one author has, an alias, and last
//! the wildcard of an author. Must never make a name up: what nobody configured is found by nobody.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::{Model, ModelIx};
use crate::core::names::ModelName;

/// The longest name that a wildcard takes: it goes into headers and to providers.
const LONGEST_NAME: usize = 200;

/// Every way to ask for a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Lookup {
    by_name: HashMap<ModelName, ModelIx>,
    by_slug: HashMap<String, Vec<ModelIx>>,
    /// The wildcard models.
    by_author: HashMap<String, ModelIx>,
    aliases: HashMap<String, ModelName>,
    /// Aliases that end in `*`, without it; the longest first.
    prefixes: Vec<(String, ModelName)>,
}

/// What was found: the model, and the name that was asked for where a wildcard has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    pub model: ModelIx,
    /// In full, `author/slug`; `None` is the model's own.
    pub wild: Option<&'a str>,
}

// === impl Lookup ===

impl Lookup {
    pub(super) fn new(models: &[Model]) -> Self {
        let mut lookup = Self::default();
        for (position, model) in models.iter().enumerate() {
            let ix = ModelIx::new(position);
            let name = model.name.as_str();
            match name.split_once('/') {
                Some((author, "*")) => {
                    lookup.by_author.insert(author.to_owned(), ix);
                    continue;
                }
                Some((_, slug)) => lookup.by_slug.entry(slug.to_owned()).or_default().push(ix),
                None => {}
            }
            lookup.by_name.insert(model.name.clone(), ix);
        }
        lookup
    }

    pub(super) fn aliases(&self) -> impl Iterator<Item = (String, &ModelName)> {
        let whole = self.aliases.iter().map(|(name, to)| (name.clone(), to));
        let stems = self
            .prefixes
            .iter()
            .map(|(stem, to)| (format!("{stem}*"), to));
        whole.chain(stems)
    }

    pub(super) fn add_aliases(&mut self, aliases: Vec<(String, ModelName)>) {
        for (name, target) in aliases {
            match name.strip_suffix('*') {
                Some(stem) => self.prefixes.push((stem.to_owned(), target)),
                None => drop(self.aliases.insert(name, target)),
            }
        }
        self.prefixes.sort_by_key(|(stem, _)| Reverse(stem.len()));
    }

    pub(super) fn find<'a>(&'a self, asked: &'a str) -> Option<Resolved<'a>> {
        let own = self.named(asked).or_else(|| self.slug(asked));
        let alias = || {
            let target = self.alias(asked)?.as_str();
            self.named(target).or_else(|| self.wildcard(target))
        };
        own.or_else(alias).or_else(|| self.wildcard(asked))
    }

    fn named(&self, name: &str) -> Option<Resolved<'static>> {
        self.by_name.get(name).copied().map(plain)
    }

    fn slug(&self, slug: &str) -> Option<Resolved<'static>> {
        match self.by_slug.get(slug)?.as_slice() {
            [only] => Some(plain(*only)),
            _ => None,
        }
    }

    fn alias(&self, asked: &str) -> Option<&ModelName> {
        let prefixed = || {
            let mut prefixes = self.prefixes.iter();
            prefixes.find(|(stem, _)| asked.starts_with(stem.as_str()))
        };
        self.aliases
            .get(asked)
            .or_else(|| prefixed().map(|(_, target)| target))
    }

    fn wildcard<'a>(&self, asked: &'a str) -> Option<Resolved<'a>> {
        let (author, slug) = asked.split_once('/')?;
        let model = *self.by_author.get(author)?;
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'*');
        let fits = !slug.is_empty() && asked.len() <= LONGEST_NAME && slug.bytes().all(is_plain);
        fits.then_some(Resolved {
            model,
            wild: Some(asked),
        })
    }
}

fn plain(model: ModelIx) -> Resolved<'static> {
    Resolved { model, wild: None }
}
