//! Owns the tests of whole files: `broken` (what is said about which file), `built` (what loads and what is
//! not built yet), `catalogue`, `diff`, `examples` (the files in `conf/`), `secrets`, `schema`, `observed` (a test for each setting), `hostile`.

use std::path::PathBuf;

use crate::config::finding::ConfigError;
use crate::config::{Loaded, Source, parse};

mod broken;
mod built;
mod catalogue;
mod diff;
mod examples;
mod presets;
mod secrets;
mod schema;
mod observed;
mod hostile;

/// A configuration to which cases add their own lines.
const BASE: &str = "\
providers:
  openai: { base_url: https://api.openai.com/v1, keys: [{ value: sk-test }] }
models:
  openai/gpt-5-mini: { endpoints: [{ provider: openai }] }
";

/// Variables of the tests: `KEY`, those that end in `_KEY` or `_KEY_ID`, `EMPTY` and `NUMBER`.
fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "NUMBER" => Some("7".to_owned()),
        "SECRET" => Some("sk-hidden-in-the-environment".to_owned()),
        _ if name.ends_with("KEY") || name.ends_with("KEY_ID") => {
            Some(format!("sk-{}", name.to_lowercase()))
        }
        _ => None,
    }
}

fn read(text: &str) -> Result<Loaded, ConfigError> {
    let source = Source {
        path: PathBuf::from("mainstay.yaml"),
        text: text.to_owned(),
    };
    parse(&source, &env)
}

/// The base with more lines.
fn with(lines: &str) -> String {
    format!("{BASE}{lines}")
}

fn load(text: &str) -> Loaded {
    read(text).unwrap_or_else(|error| panic!("{error}\n---\n{text}"))
}
