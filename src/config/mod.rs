//! Owns the way from a YAML file to a validated `Snapshot`, with every finding on the way: where it is, what
//! is wrong, what was meant. Must never panic on a file, stop at the first finding, or show a secret.
//! Reading order: `snapshot` (what comes out), `finding`, `search`; then the steps: `outline` (positions),
//! `value` (YAML), `expand` (variables), `decode` into `raw` through `scalar`, `secret_file`, `catalogue`, `compile`; and what they share:
//! `trail`, `report`, `snippet`. Beside them `facts` and `diff`: what one says, and what
//! changes to the next; `schema`: what a file may hold.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::config::outline::{Outline, Spot};
use crate::config::report::Report;
use crate::config::snapshot::{Holds, NamedFile, Snapshot};
use crate::config::trail::Trail;

pub mod secret;
pub mod source;
pub mod snapshot;
mod finding;
mod search;
mod outline;
mod value;
mod expand;
mod decode;
mod secret_file;
mod catalogue;
mod raw;
mod scalar;
mod compile;
mod schema;
pub mod facts;
pub mod diff;
mod trail;
mod report;
mod snippet;

#[cfg(test)]
mod tests;

pub(crate) use catalogue::{Catalogue, Entry};
pub(crate) use compile::presets::{PRESETS, Preset};
pub use finding::{ConfigError, Finding, Place, Severity};
pub use schema::schema;
pub use search::search_path;
pub use source::Source;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub snapshot: Snapshot,
    /// What is probably not meant, in the order of the file.
    pub warnings: Vec<Finding>,
    /// SHA-256 of the text, and of every file that it names where `load` read it, in hexadecimal digits.
    pub hash: String,
    /// Every file that it names, in an order that does not change by itself.
    pub files: Vec<NamedFile>,
}

impl Loaded {
    /// As much of the hash as people compare.
    pub fn short_hash(&self) -> &str {
        self.hash.get(..16).unwrap_or(&self.hash)
    }
}

/// Reads and checks a file.
///
/// # Errors
/// The file cannot be read, or something in it is wrong; see [`parse`].
pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    let unreadable =
        |message: String| ConfigError::of_file(path.display().to_string(), message, None);
    let bytes = std::fs::read(path).map_err(|error| unreadable(format!("cannot read: {error}")))?;
    let text = String::from_utf8(bytes)
        .map_err(|_| unreadable("the file is not UTF-8 text".to_owned()))?;
    let mut loaded = parse(
        &Source {
            path: path.to_owned(),
            text,
        },
        env,
    )?;
    let certificates = loaded
        .files
        .iter_mut()
        .filter(|file| file.holds == Holds::Certificate);
    for file in certificates {
        // One that cannot be read is found when it is needed.
        let content = std::fs::read(&file.path).ok();
        file.digest = content.map(|bytes| Sha256::digest(bytes).into());
    }
    loaded.hash = with_named_files(&loaded);
    Ok(loaded)
}

/// The hash over the text and the files that it names.
fn with_named_files(loaded: &Loaded) -> String {
    let mut hasher = Sha256::new();
    hasher.update(&loaded.hash);
    for file in &loaded.files {
        hasher.update(file.digest.unwrap_or_default());
    }
    format!("{:x}", hasher.finalize())
}

/// Checks a configuration; `env` looks variables up. Files that hold its credentials are read.
///
/// # Errors
/// Everything that is wrong, at once, unless the text is no YAML at all.
pub fn parse(source: &Source, env: &dyn Fn(&str) -> Option<String>) -> Result<Loaded, ConfigError> {
    let hash = format!("{:x}", Sha256::digest(&source.text));
    let plain = without_mark(source);
    let mut report = read_outline(&plain);
    let read = match report.has_syntax_error() {
        true => None,
        false => read_value(&plain.text, env, &mut report),
    };
    let is_broken = report.has_errors();
    let findings = report.finish();
    match read {
        Some((snapshot, files)) if !is_broken => Ok(Loaded {
            snapshot,
            warnings: findings,
            hash,
            files,
        }),
        _ => Err(ConfigError::new(findings)),
    }
}

/// The text without the byte order mark that some editors put first.
fn without_mark(source: &Source) -> Source {
    let text = source.text.strip_prefix('\u{feff}').unwrap_or(&source.text);
    Source {
        path: source.path.clone(),
        text: text.to_owned(),
    }
}

fn read_outline(source: &Source) -> Report<'_> {
    let (outline, troubles, broken) = Outline::read(&source.text);
    let mut report = Report::new(source, outline);
    for trouble in troubles {
        match trouble.is_fatal {
            true => report.syntax_error(trouble.spot, trouble.message),
            false => report.error_at(&trouble.trail, trouble.spot, trouble.message, None),
        }
    }
    if let Some(error) = broken {
        let spot = Spot::from(*error.marker());
        report.syntax_error(spot, format!("not valid YAML: {}", error.info()));
    }
    report
}

fn read_value(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    report: &mut Report<'_>,
) -> Option<(Snapshot, Vec<NamedFile>)> {
    let mut value = match value::load(text) {
        Ok(value) => value,
        Err((message, spot)) => {
            report.syntax_error(spot.unwrap_or(Spot::START), message);
            return None;
        }
    };
    if value.is_null() {
        report.error(&Trail::default(), "the configuration is empty");
        return None;
    }
    drop_extensions(&mut value);
    expand::expand(&mut value, env, report);
    let mut config = decode::decode(value, report)?;
    secret_file::name_default(&mut config, compile::takes_tokens, env);
    let mut files = secret_file::read(&mut config, report);
    let (known, own) = catalogue::read(config.catalog_file.as_ref(), report);
    files.extend(own);
    let snapshot = compile::compile(&config, &known, report);
    files.extend(snapshot.certificates());
    Some((snapshot, files))
}

/// Takes out the top-level keys that hold anchors.
fn drop_extensions(value: &mut serde_yaml::Value) {
    if let Some(map) = value.as_mapping_mut() {
        map.retain(|key, _| !key.as_str().is_some_and(|key| key.starts_with("x-")));
    }
}
