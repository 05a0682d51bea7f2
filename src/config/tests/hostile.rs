//! No file makes the reader panic, hang or eat the memory.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::read;

const REFERENCE: &str = include_str!("../../../conf/reference.yaml");

/// Pieces that mean something to YAML or to the reader.
const PIECES: [&str; 24] = [
    "{", "}", "[", "]", ":", " ", "\n", "- ", "*a", "&a ", "<<: ", "\"", "'", "${", "}", "$", "#",
    "| ", "!x ", "null", "-1", "\t", "é", "---\n",
];

#[test]
fn random_changes_to_the_reference_never_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let start = Instant::now();
    let mut cases = 0_u32;
    while cases < 4_000 && start.elapsed() < Duration::from_secs(2) {
        let mut text: Vec<char> = REFERENCE.chars().collect();
        for _ in 0..random.usize(1..4) {
            change(&mut text, &mut random);
        }
        let text: String = text.into_iter().collect();
        if let Err(error) = read(&text) {
            assert!(!error.to_string().is_empty());
        }
        cases += 1;
    }
    println!("{cases} changed files");
    assert!(cases > 50, "only {cases} cases in two seconds");
}

fn change(text: &mut Vec<char>, random: &mut fastrand::Rng) {
    let at = random.usize(0..=text.len());
    let to = (at + random.usize(0..40)).min(text.len());
    match random.u8(0..5) {
        0 => drop(text.drain(at..to)),
        1 => {
            let copied: Vec<char> = text[at..to].to_vec();
            let place = random.usize(0..=text.len());
            text.splice(place..place, copied);
        }
        2 => text.truncate(at),
        _ => {
            let piece = random.choice(PIECES).unwrap_or(" ");
            text.splice(at..at, piece.chars());
        }
    }
}

fn lines(numbers: Range<usize>, line: impl Fn(usize) -> String) -> String {
    numbers.map(line).collect::<Vec<_>>().concat()
}

#[test]
fn deep_and_exploding_files_end_soon() {
    let laughs = lines(1..12, |level| {
        let below = format!("*a{}, ", level - 1).repeat(9);
        format!("a{level}: &a{level} [{below}]\n")
    });
    let merges = lines(1..30, |level| {
        let below = format!("*a{}", level - 1);
        format!("a{level}: &a{level} {{ <<: [{below}, {below}], k{level}: {below} }}\n")
    });
    let bombs = [
        "[".repeat(5_000),
        "{".repeat(5_000),
        "{a: ".repeat(5_000),
        "- ".repeat(5_000),
        "? ".repeat(5_000),
        format!("a0: &a0 [x]\n{laughs}"),
        format!("a0: &a0 {{ x: 1 }}\n{merges}"),
        "a: &a [*a]\n".to_owned(),
        "a: &a { <<: *a }\n".to_owned(),
        "x: y\n".repeat(20_000),
        lines(0..20_000, |n| format!("x{n}: y\n")),
        "${A}".repeat(50_000),
        format!("server: {{ threads: \"{}\" }}\n", "${".repeat(50_000)),
    ];
    for bomb in bombs {
        let start = Instant::now();
        let shown: String = bomb.chars().take(40).collect();
        assert!(read(&bomb).is_err(), "{shown}");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?} for {shown}");
    }
}
