//! Owns the proof that the rules can fail: small crates that break one rule each, and some that break none.
//! Must never list what a room of the real crate may name today, beyond what will always hold.

use crate::rules::{House, listed};
use crate::source::Crate;
use crate::{LONGEST, unused};

/// A house of these files, of a few empty ones to point at, all with their `//!`.
fn house(files: &[(&str, &str)]) -> House {
    let rooms = [
        "core/names",
        "core/time",
        "core/exchange",
        "wire/sse",
        "config/raw",
        "edge/clock",
    ];
    let empty = rooms.map(|room| (format!("{room}.rs"), "//! A room.\n".to_owned()));
    let written = files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), format!("//! A file.\n{text}")));
    let mut all = Vec::from(empty);
    for (file, text) in written {
        all.retain(|(name, _)| *name != file);
        all.push((file, text));
    }
    House::judge(Crate::of(all))
}

/// What the rules say about one file, its own text beginning at line 2.
fn check(file: &str, text: &str, expected: &[&str]) {
    let found: Vec<_> = house(&[(file, text)])
        .breaches
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            found.contains(expected),
            "{text}\n{found}\nis not about {expected}"
        );
    }
}

#[test]
fn an_arrow_up_is_found_however_it_is_written() {
    let core = |text, line: usize, to| {
        let place = format!("src/core/names.rs:{line}: floor core may not name floor {to}");
        check("core/names.rs", text, &[&place]);
    };
    core("use crate::wire::sse::Event;", 2, "wire");
    core(
        "\nuse crate::{core::names::Name,\n  edge::{clock as c}};",
        4,
        "edge",
    );
    core("pub use crate::config::*;", 2, "config");
    core("use super::super::wire::sse;", 2, "wire");
    core("use crate::wire;", 2, "wire");
    core("fn f() {\n  crate::edge::clock::now();\n}", 3, "edge");
    core(
        "fn f(_: Vec<Option<super::super::edge::clock::Clock>>) {}",
        2,
        "edge",
    );
    core(
        "fn f() { vec![(1, crate::edge::clock::now())]; }",
        2,
        "edge",
    );
    core(
        "macro_rules! m { () => {\n $crate::edge::clock::now() } }",
        3,
        "edge",
    );
    core("#[derive(crate::edge::clock::Tick)] struct S;", 2, "edge");
    core(
        "mod inner { use super::super::super::wire::sse; }",
        2,
        "wire",
    );
    core("fn f() { use crate::wire::sse; }", 2, "wire");
}

#[test]
fn an_unlisted_arrow_between_rooms_is_found() {
    let names = |text, expected: &[&str]| check("core/names.rs", text, expected);
    let arrow = "core/names -> core/exchange is not in the list";
    names("use super::exchange::Record;", &[arrow]);
    names("use super::{exchange};", &[arrow]);
    check("core/exchange.rs", "use crate::core::time::Time;", &[]);
    check(
        "core/mod.rs",
        "fn f() { exchange::go(); }",
        &["core -> core/exchange is not in the list"],
    );
    // One breach for the import, which leads nowhere, and one where it is followed.
    names(
        "use crate::core;\nfn f() { core::exchange::go(); }",
        &["core/names -> core ", arrow],
    );
    names("use crate::VERSION;", &["lies on no floor"]);
}

#[test]
fn a_re_export_does_not_hide_where_a_name_comes_from() {
    let found = house(&[
        (
            "core/time.rs",
            "pub use crate::core::names::Hidden as Plain;",
        ),
        ("core/plan.rs", "use crate::core::time::Plain;"),
    ]);
    let found: Vec<_> = found.breaches.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("core/plan -> core/names"), "{}", found[0]);
    assert!(found[1].contains("core/time -> core/names"), "{}", found[1]);
}

#[test]
fn tests_and_visibility_are_no_arrows() {
    let test = "#[cfg(test)]\nmod tests { use crate::edge::clock; use tokio::net; }";
    check("core/names.rs", test, &[]);
    check(
        "core/names.rs",
        "#[cfg(all(test, unix))] use crate::edge::clock;",
        &[],
    );
    check("core/names/tests.rs", "use crate::edge::clock;", &[]);
    check("core/names/tests/more.rs", "use crate::edge::clock;", &[]);
    check("core/names.rs", "pub(in crate::core) struct S;", &[]);
    let found = house(&[
        ("core/names.rs", "#[cfg(test)] mod fixture;"),
        ("core/names/fixture.rs", "use crate::edge::clock;"),
    ]);
    assert!(found.breaches.is_empty());
    check(
        "core/names.rs",
        "#[cfg(not(test))] use crate::edge::clock;",
        &["floor edge"],
    );
}

#[test]
fn a_crate_outside_its_place_is_found() {
    for file in ["core/names.rs", "wire/sse.rs", "config/raw.rs"] {
        check(
            file,
            "use pingora_proxy::Session;",
            &["only edge and cmd may name `pingora_proxy"],
        );
    }
    check("edge/clock.rs", "use pingora::Error;", &[]);
    check(
        "cmd/demo.rs",
        "fn f() { serde_yaml::from_str(); }",
        &["only config and cmd/mock"],
    );
    check("cmd/mock/script.rs", "use serde_yaml::Value;", &[]);
    check(
        "edge/clock.rs",
        "use saphyr_parser as s;",
        &["only config may name"],
    );
}

#[test]
fn an_act_on_a_pure_floor_is_found() {
    let pure = "is pure and may not name";
    for text in [
        "use tokio::time::sleep;",
        "use std::{io, net::IpAddr};",
        "fn f() { std::fs::read(x); }",
        "use std::thread;",
        "#[tracing::instrument] fn f() {}",
        "use std::time::Instant as I;\nfn f() { I::now(); }",
        "use std::time;\nfn f() { time::SystemTime::now(); }",
        "use std::time::SystemTime;\nfn f() { g(SystemTime::now) }",
        "use std::time::SystemTime;\nfn f() { assert!(SystemTime::now() > x); }",
    ] {
        check("core/names.rs", text, &[pure]);
        check("wire/sse.rs", text, &[pure]);
        check("edge/clock.rs", text, &[]);
    }
    check(
        "wire/sse.rs",
        "use std::time::SystemTime;\nfn f(now: SystemTime) {}",
        &[],
    );
}

#[test]
fn a_file_without_form_is_found() {
    check(
        "core/names.rs",
        "mod helpers;",
        &["src/core/names.rs:2: `helpers` says nothing"],
    );
    check(
        "core/names.rs",
        &"\n".repeat(LONGEST),
        &["501 lines without tests"],
    );
    check("core/names.rs", &"\n".repeat(LONGEST - 1), &[]);
    let tests = format!("#[cfg(test)]\nmod tests {{{}}}", "\n".repeat(LONGEST));
    check("core/names.rs", &tests, &[]);
    let silent = Crate::of(vec![("main.rs".to_owned(), "fn main() {}".to_owned())]);
    assert_eq!(House::judge(silent).breaches.len(), 1);
}

#[test]
fn an_arrow_that_nobody_uses_is_found() {
    let one = house(&[("core/exchange.rs", "use crate::core::time::Time;")]);
    let unused = unused(&one);
    assert_eq!(unused.len(), listed().count() - 1);
    assert!(!unused.contains(&"core/exchange -> core/time".to_owned()));
}
