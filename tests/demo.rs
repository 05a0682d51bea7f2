//! Owns the check of `mainstay demo` as a stranger runs it. Must never look inside: output and exit code only.

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainstay"))
        .arg("demo")
        .args(arguments)
        .output()
        .expect("the binary was built for this test")
}

#[test]
fn a_short_run_loses_nothing_and_agrees_with_the_metrics() {
    let output = demo(&["--for", "4s"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for wanted in [
        "0 failed",
        "/metrics agrees",
        "outage: swift answers 503",
        "black hole: steady accepts",
        "cut streams: swift breaks off",
    ] {
        assert!(text.contains(wanted), "{wanted}\n{text}");
    }
    assert!(!text.contains('\x1b'), "no terminal, no escape sequence");
    assert!(output.stderr.is_empty());
}

#[test]
fn a_reader_that_leaves_ends_the_run_quietly() {
    let command = format!("{} demo | head -n 1", env!("CARGO_BIN_EXE_mainstay"));
    let begun = std::time::Instant::now();
    let output = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("Mainstay")
    );
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.is_empty(), "{complaint}");
    assert!(begun.elapsed().as_secs() < 20, "the run was not ended");
}

#[test]
fn a_length_without_room_for_an_incident_is_refused() {
    assert_eq!(demo(&["--for", "1s"]).status.code(), Some(2));
    assert_eq!(demo(&["--for", "9s", "--serve"]).status.code(), Some(2));
}

#[test]
fn providers_of_every_dialect_understand_clients_of_every_dialect() {
    let output = demo(&["--dialects"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("18 of 18 understood"), "{text}");
    let recovered = text.split("answers came after a failed").next().unwrap();
    let recovered = recovered.lines().last().unwrap();
    assert!(!recovered.starts_with("0 of 36"), "{text}");
    assert_eq!(demo(&["--dialects", "--serve"]).status.code(), Some(2));
}
