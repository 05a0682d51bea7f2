//! The schema says what the reader takes: an independent validator accepts the examples and refuses what has another
//! shape.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use super::{BASE, read, with};
use crate::config::{schema, value};

struct Validator {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Validator {
    fn new() -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", schema()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Why the text has not the shape of a configuration.
    fn check(&self, text: &str) -> Result<(), String> {
        let value = value::load(text).map_err(|(message, _)| message)?;
        let value: Value = serde_json::to_value(value).map_err(|error| error.to_string())?;
        let checked = self.schemas.validate(&value, self.index);
        checked.map_err(|error| format!("{error:#}"))
    }
}

#[test]
fn every_example_has_the_shape_of_the_schema() {
    let validator = Validator::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/conf");
    let examples = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut checked = 0;
    for path in examples.filter(|path| path.extension().is_some_and(|end| end == "yaml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(validator.check(&text), Ok(()), "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 4, "{checked} examples");
    assert_eq!(validator.check(BASE), Ok(()));
}

#[test]
fn what_has_another_shape_is_refused_by_both() {
    let validator = Validator::new();
    let broken = [
        "server: { threds: 2 }",
        "server: { threads: two }",
        "server: { threads: -1 }",
        "server: { drain: 30 }",
        "server: { listen: 8080 }",
        "server: { listen: [{ adress: \"127.0.0.1:1\" }] }",
        "auth: { open: maybe }",
        "policies: { p: { layers: retry } }",
        "policies: [a]",
        "policies: { p: { sticky: on } }",
        "policies: { p: { sticky: { key: user } } }",
        "health: { rest: { connect: soon } }",
        "retry_budget: { per_success: much }",
        "routes: { path: /v1/files }",
        "aliases: { fast: [a/b] }",
        "anything: {}",
    ];
    for line in broken {
        let text = with(&format!("{line}\n"));
        assert!(read(&text).is_err(), "the reader takes {line}");
        assert!(validator.check(&text).is_err(), "the schema takes {line}");
    }
    let sound = [
        "server: { threads: \"${NUMBER}\" }",
        "server: { threads: \"2\", drain: \"1m 30s\" }",
        "server: { listen: [\"127.0.0.1:1\", { address: \"127.0.0.1:2\", tls: null }] }",
        "policies: { p: { layers: null } }",
        "policies: { p: { sticky: off } }",
        "policies: { p: { sticky: null } }",
        "policies: { p: { sticky: { key: [user, x-thread-id], ttl: 1h } } }",
        "x-mine: { any: [thing] }",
    ];
    for line in sound {
        let text = with(&format!("{line}\n"));
        assert!(read(&text).is_ok(), "the reader refuses {line}");
        assert_eq!(validator.check(&text), Ok(()), "{line}");
    }
}

#[test]
fn every_setting_is_described() {
    let schema = schema();
    let mut missing = Vec::new();
    let mut seen = 0;
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, definition) in definitions.iter().chain([(&"root".to_owned(), &schema)]) {
        let Some(properties) = definition["properties"].as_object() else {
            continue;
        };
        for (property, described) in properties {
            seen += 1;
            if !described["description"].is_string() {
                missing.push(format!("{name}.{property}"));
            }
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(seen > 60, "{seen}");
}
