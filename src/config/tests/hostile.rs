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

/// The credentials below that are written out.
const LITERAL: [&str; 6] = [
    "tok-canary-41d8e0a7f3c2",
    "tok-canary-7719aba7f3c2",
    "key-canary-02c9f3a7f3c2",
    "sk-canary-5e1f77a7f3c2",
    "sk-canary-9d3b20a7f3c2",
    "hdr-canary-8800cda7f3c2",
];

/// Credentials of every kind, written out, and one from the environment.
const CREDENTIALS: &str = "\
server:
  admin:
    token: tok-canary-41d8e0a7f3c2
    metrics_token: \"tok-canary-7719aba7f3c2\"
auth:
  keys:
    - { name: web, key: key-canary-02c9f3a7f3c2 }
    - name: batch
      key: ${SECRET}
providers:
  one:
    base_url: https://api.example.com/v1
    keys: [{ name: main, value: sk-canary-5e1f77a7f3c2 }, { name: spare, value: 'sk-canary-9d3b20a7f3c2' }]
    headers: { X-Api-Key: hdr-canary-8800cda7f3c2 }
  two:
    base_url: https://api.example.org/v1
    keys:
      - value: \"${SECRET}\"
models:
  a/b:
    context_length: 1000
    endpoints: [{ provider: one }, { provider: two }]
policies:
  default: { attempts: 2, deadline: 10s }
";

/// What stands around a credential decides what it is taken for.
#[test]
fn no_change_around_a_credential_puts_it_into_a_message() {
    assert!(read(CREDENTIALS).is_ok_and(|loaded| loaded.warnings.is_empty()));
    // One that was cut or glued to something is not the credential any more.
    let whole = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        words.filter(|word| LITERAL.contains(word)).count()
    };
    let mut random = fastrand::Rng::with_seed(11);
    let start = Instant::now();
    let (mut cases, mut refused) = (0_u32, 0_u32);
    while cases < 20_000 && start.elapsed() < Duration::from_secs(3) {
        let mut text: Vec<char> = CREDENTIALS.chars().collect();
        for _ in 0..random.usize(1..4) {
            change(&mut text, &mut random);
        }
        let text: String = text.into_iter().collect();
        let one_file = Instant::now();
        let said = match read(&text) {
            Ok(loaded) => format!("{:?}{:?}", loaded.warnings, loaded.snapshot),
            Err(error) => error.to_string(),
        };
        assert!(one_file.elapsed() < Duration::from_secs(1), "{text}");
        assert!(
            !said.contains("hidden-in-the-environment"),
            "{said}\n---\n{text}"
        );
        assert_eq!(whole(&said), 0, "{said}\n---\n{text}");
        refused += u32::from(said.starts_with("error"));
        cases += 1;
    }
    println!("{cases} changed files with credentials, {refused} of them refused");
    assert!(cases > 200 && refused > cases / 4, "{refused} of {cases}");
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
