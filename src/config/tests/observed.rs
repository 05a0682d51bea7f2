//! Each setting has a test in which changing it changes what can be seen: the table `observed.txt` names it, and is
//! held against the schema. A new setting fails here until it has such a test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::config::schema;

/// The leaves of the schema, as `policies.*.timeouts.idle` or `auth.keys[].name`.
fn leaves() -> BTreeSet<String> {
    let schema = schema();
    let mut found = BTreeSet::new();
    walk(&schema, &schema, String::new(), &mut found);
    found
}

/// Adds the leaves of `part`, which stands at `at`. A choice that has a plain form besides its fields is a leaf too.
fn walk(whole: &Value, part: &Value, at: String, found: &mut BTreeSet<String>) {
    let part = resolved(whole, part);
    let mut inner = 0;
    for choice in ["anyOf", "oneOf", "allOf"] {
        for one in part[choice].as_array().into_iter().flatten() {
            if one["type"] != "null" {
                walk(whole, one, at.clone(), found);
                inner += 1;
            }
        }
    }
    for (name, property) in part["properties"].as_object().into_iter().flatten() {
        let path = match at.is_empty() {
            true => name.clone(),
            false => format!("{at}.{name}"),
        };
        walk(whole, property, path, found);
        inner += 1;
    }
    for (form, mark) in [("additionalProperties", ".*"), ("items", "[]")] {
        if part[form].is_object() {
            walk(whole, &part[form], format!("{at}{mark}"), found);
            inner += 1;
        }
    }
    if inner == 0 {
        found.insert(at);
    }
}

fn resolved<'a>(whole: &'a Value, part: &'a Value) -> &'a Value {
    match part["$ref"].as_str() {
        Some(reference) => {
            let pointer = reference.strip_prefix('#').expect("a reference within");
            resolved(whole, whole.pointer(pointer).expect("a definition"))
        }
        None => part,
    }
}

/// The rows: a setting, the file of its test, the test.
fn rows() -> BTreeMap<&'static str, (&'static str, &'static str)> {
    let table = include_str!("observed.txt");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let mut rows = BTreeMap::new();
    for line in lines {
        let (setting, test) = line.split_once(' ').expect(line);
        let at = test.trim().split_once("::").expect(line);
        assert!(rows.insert(setting, at).is_none(), "{setting} stands twice");
    }
    rows
}

/// The word by which a file writes this setting: `models` for `auth.keys[].models[]`.
fn word(setting: &str) -> &str {
    let last = setting.trim_end_matches("[]").trim_end_matches(".*");
    last.rsplit('.').next().expect("a name")
}

fn writes(text: &str, word: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = text.split_at(at);
        let after = after.strip_prefix(word).expect("it was found");
        !before.ends_with(of_name) && !after.starts_with(of_name)
    })
}

/// Why this row names no test of this setting.
fn fault(setting: &str, file: &str, test: &str) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(text) = std::fs::read_to_string(path) else {
        return Some(format!("{setting}: there is no file {file}"));
    };
    let functions = text.split("\n#[").skip(1);
    let marked = functions.filter(|item| {
        item.split('\n')
            .next()
            .is_some_and(|mark| mark.contains("test"))
    });
    let name = format!("fn {test}(");
    let mut marked = marked.filter_map(|item| item.split('\n').nth(1));
    if !marked.any(|line| line.contains(&name)) {
        return Some(format!("{setting}: {file} has no test {test}"));
    }
    let word = word(setting);
    (!writes(&text, word)).then(|| format!("{setting}: {file} never writes `{word}`"))
}

#[test]
fn every_setting_has_a_test_that_sees_it() {
    let (leaves, rows) = (leaves(), rows());
    assert!(leaves.len() > 100, "{leaves:?}");
    let missing = leaves
        .iter()
        .filter(|leaf| !rows.contains_key(leaf.as_str()));
    let missing = missing.map(|leaf| format!("{leaf} has no test in observed.txt"));
    let unknown = rows.keys().filter(|row| !leaves.contains(**row));
    let unknown = unknown.map(|row| format!("{row} is no setting"));
    let faults = rows.iter();
    let faults = faults.filter_map(|(setting, (file, test))| fault(setting, file, test));
    let all: Vec<String> = missing.chain(unknown).chain(faults).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn what_names_no_test_is_told() {
    let told =
        |test: &str, file: &str, setting: &str| fault(setting, file, test).unwrap_or_default();
    let here = "src/config/tests/observed.rs";
    let this = "what_names_no_test_is_told";
    assert_eq!(told(this, here, "server.threads"), "");
    assert!(told(this, "src/none.rs", "server.threads").contains("no file"));
    assert!(
        told("told", here, "server.threads").contains("no test"),
        "no test, a function"
    );
    let unwritten = ["server.max", "body"].join("_");
    assert!(told(this, here, &unwritten).contains("never writes"));
}
