//! Recorded answers of real providers, read where they lie beside the project; skipped where they do not.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;

use super::answer::{self, Answer};
use super::operation::Operation;
use super::request::Expects;
use super::stream::{AnswerStream, Reading, Relay};
use crate::core::exchange::StreamEvent;
use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::error_facts::error_facts;
use crate::wire::sse::{Event, Splitter};

const FOLDERS: [&str; 8] = [
    "openai-chat",
    "openai-other",
    "groq",
    "mistral",
    "deepseek",
    "xai",
    "perplexity",
    "azure",
];
const EXPECTS: Expects = Expects {
    operation: Operation::Chat,
    choices: 1,
    usage: true,
    structured: false,
};
const MODEL: &str = "author/slug";

pub(in crate::wire) fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !root.is_dir() {
        eprintln!("skipped: no recorded answers at {}", root.display());
        return None;
    }
    Some(root)
}

/// The files of the folders whose names begin and end so, by folder and name.
fn files(root: &Path, begin: &str, end: &str) -> Vec<(String, Bytes)> {
    files_in(&FOLDERS, root, begin, end)
}

/// The same of other folders.
pub(in crate::wire) fn files_in(
    folders: &[&str],
    root: &Path,
    begin: &str,
    end: &str,
) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    for folder in folders {
        for entry in root.join(folder).read_dir().expect("a fixtures folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(begin) && name.ends_with(end) && !name.ends_with("headers.json") {
                let body = std::fs::read(&path).expect("a fixture");
                found.push((format!("{folder}/{name}"), decoded(body)));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Some recordings are kept in base64, which here begins as `data: ` does.
pub(in crate::wire) fn decoded(body: Vec<u8>) -> Bytes {
    if !body.starts_with(b"ZGF0YTog") {
        return body.into();
    }
    let letters = body.iter().filter_map(|byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let letters: Vec<u8> = letters.collect();
    let quads = letters.chunks(4).flat_map(|quad| {
        let bits = quad
            .iter()
            .fold(0_u32, |bits, six| bits << 6 | u32::from(*six));
        let missing = 4 - quad.len();
        let bytes = (bits << (6 * missing)).to_be_bytes();
        bytes.into_iter().skip(1).take(3 - missing)
    });
    quads.collect()
}

fn readings(expects: Expects, body: &Bytes) -> (AnswerStream, Vec<(Event, Reading)>) {
    readings_of(expects, body, body.len())
}

/// Reads a stream that comes in chunks of so many bytes.
fn readings_of(
    expects: Expects,
    body: &Bytes,
    chunk: usize,
) -> (AnswerStream, Vec<(Event, Reading)>) {
    let mut splitter = Splitter::new(1 << 20);
    for part in body.chunks(chunk) {
        splitter.push(body.slice_ref(part));
    }
    let mut stream = AnswerStream::new(expects, MODEL);
    let mut readings = Vec::new();
    let mut read = |event: Event| {
        let reading = stream.read(&event);
        readings.push((event, reading));
    };
    while let Some(event) = splitter.next() {
        read(event.expect("a short event"));
    }
    // A recording may lack the last blank line.
    splitter.finish().into_iter().for_each(&mut read);
    (stream, readings)
}

/// The stream as a client gets it.
fn relayed(readings: &[(Event, Reading)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (event, reading) in readings {
        match &reading.relay {
            Relay::AsIs => out.extend_from_slice(event.raw()),
            Relay::Rewritten(bytes) => out.extend_from_slice(bytes),
            Relay::Nothing => {}
        }
    }
    out
}

/// Puts our model's name in by brute force: every value of a `"model"` key.
fn renamed(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).expect("recorded text");
    let mut parts = text.split("\"model\":");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let blanks = part.len() - part.trim_start().len();
        let (blank, value) = part.split_at(blanks);
        let rest = value
            .strip_prefix('"')
            .and_then(|value| value.split_once('"'));
        let (_, rest) = rest.expect("a string without escapes");
        write!(out, "\"model\":{blank}\"{MODEL}\"{rest}").expect("a string takes text");
    }
    out
}

fn check_stream(expects: Expects, name: &str, body: &Bytes) {
    let (stream, readings) = readings(expects, body);
    let mut finished = false;
    for (event, reading) in &readings {
        match &reading.event {
            StreamEvent::Progress(progress) => finished |= progress.finished,
            StreamEvent::Done | StreamEvent::Idle => {}
            other => panic!("{name}: {other:?} from {:?}", event.raw()),
        }
    }
    assert!(finished, "{name} is not finished");
    let content = readings.iter().any(
        |(_, reading)| matches!(reading.event, StreamEvent::Progress(progress) if progress.content),
    );
    assert!(content, "{name} has no content");
    let out = relayed(&readings);
    assert_eq!(String::from_utf8(out).unwrap(), renamed(body), "{name}");
    let done = readings
        .iter()
        .any(|(_, reading)| reading.event == StreamEvent::Done);
    assert_eq!(stream.close().is_none(), done, "{name}");
    assert!(!stream.head().id.is_empty(), "{name}");
    for chunk in [1, 7, 100, 1460] {
        let (_, split) = readings_of(expects, body, chunk);
        assert!(split == readings, "{name} in chunks of {chunk}");
    }
}

#[test]
fn recorded_streams_pass_byte_for_byte_but_for_the_model() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, "chat.completions.200.", ".sse") {
        if name.contains("tool-use-failed-error-streaming.0") {
            check_failed_stream(&body);
            continue;
        }
        check_stream(EXPECTS, &name, &body);
        count += 1;
    }
    for (name, body) in files(&root, "chat.completions.200.", ".chunks.txt") {
        let text = std::str::from_utf8(&body).unwrap();
        let events = text.lines().filter(|line| !line.is_empty());
        let framed = events
            .flat_map(|line| ["data: ", line, "\n\n"])
            .collect::<String>();
        check_stream(EXPECTS, &name, &framed.into());
        count += 1;
    }
    println!("{count} recorded streams");
    assert!(count > 20);
}

/// Recorded at Groq: reasoning, then `event: error`.
fn check_failed_stream(body: &Bytes) {
    let (stream, readings) = readings(EXPECTS, body);
    let (last, before) = readings.split_last().unwrap();
    let StreamEvent::Error(facts) = &last.1.event else {
        panic!("no error: {:?}", last.1);
    };
    assert_eq!(facts.code.as_deref(), Some("tool_use_failed"));
    assert_eq!(
        classify(&Evidence::InAnswer(*facts.clone()), false),
        Class::ErrorIn200
    );
    assert!(
        before
            .iter()
            .all(|(_, reading)| matches!(reading.event, StreamEvent::Progress(_)))
    );
    assert_eq!(stream.close(), None);
}

#[test]
fn a_broken_stream_is_malformed_and_never_ends_well() {
    let Some(root) = root() else { return };
    let broken = files(&root, "chat.completions.200.response-broken", "sse");
    let [(_, body)] = &broken[..] else {
        panic!("one broken stream is recorded");
    };
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(body.clone());
    let mut stream = AnswerStream::new(EXPECTS, MODEL);
    let mut events = Vec::new();
    while let Some(event) = splitter.next() {
        events.push(stream.read(&event.unwrap()).event);
    }
    let malformed = StreamEvent::Malformed { fatal: false };
    assert_eq!(events, [malformed.clone(), malformed]);
    let rest = splitter.finish().map(|event| stream.read(&event).event);
    assert_eq!(rest, Some(StreamEvent::Idle));
    assert_eq!(stream.close(), None);
}

#[test]
fn recorded_answers_are_good() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, "chat.completions.200.", ".json") {
        if name.contains("transcription") {
            continue; // A transcription's answer, filed under chat.
        }
        match answer::read(Operation::Chat, &body, MODEL) {
            Answer::Good { facts, body: out } => {
                assert!(!facts.empty && facts.usage.is_some(), "{name}");
                let out = String::from_utf8(out.segments().concat()).unwrap();
                assert_eq!(out, renamed(&body), "{name}");
            }
            Answer::Error(facts) => {
                assert!(
                    name.contains("prompt-content-filtering"),
                    "{name}: {facts:?}"
                );
                let class = classify(&Evidence::InAnswer(*facts), false);
                assert_eq!(class, Class::ContentFiltered);
            }
            Answer::Malformed => panic!("{name} is malformed"),
        }
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count > 20);
}

#[test]
fn recorded_completions_pass_byte_for_byte_but_for_the_model() {
    let Some(root) = root() else { return };
    let expects = Expects {
        operation: Operation::Completions,
        ..EXPECTS
    };
    let streams = files(&root, "completions.200.", ".sse");
    for (name, body) in &streams {
        check_stream(expects, name, body);
    }
    let answers = files(&root, "completions.200.", ".json");
    for (name, body) in &answers {
        check_answer(Operation::Completions, name, body);
    }
    assert!(streams.len() >= 4 && answers.len() >= 4);
}

#[test]
fn recorded_embeddings_pass_byte_for_byte_but_for_the_model() {
    let Some(root) = root() else { return };
    let answers = files(&root, "embeddings.200.", ".json");
    for (name, body) in &answers {
        check_answer(Operation::Embeddings, name, body);
    }
    assert!(!answers.is_empty());
}

fn check_answer(operation: Operation, name: &str, body: &Bytes) {
    let Answer::Good { facts, body: out } = answer::read(operation, body, MODEL) else {
        panic!("{name} is not good");
    };
    assert!(!facts.empty && facts.usage.is_some(), "{name}");
    let out = String::from_utf8(out.segments().concat()).unwrap();
    assert_eq!(out, renamed(body), "{name}");
}

/// Part of a recorded error's name, and the class it must get.
const ERRORS: [(&str, Class); 21] = [
    (
        "openai-chat/chat.completions.400.test-input-value-image",
        Class::InvalidRequest,
    ),
    (
        "openai-chat/chat.completions.400.test-openai-test-openai-o1-mini",
        Class::UnsupportedParameter,
    ),
    (
        "openai-chat/chat.completions.400.test-openai-test-openai-web-search",
        Class::UnsupportedParameter,
    ),
    (
        "openai-chat/chat.completions.400.test-vision-test-vision-base64",
        Class::InvalidRequest,
    ),
    (
        "openai-chat/chat.completions.400.test-vision-test-vision-with",
        Class::InvalidRequest,
    ),
    (
        "openai-chat/chat.completions.401.llama-index",
        Class::AuthRejected,
    ),
    (
        "openai-chat/chat.completions.404.test-agents",
        Class::ModelUnavailable,
    ),
    (
        "openai-chat/chat.completions.404.test-model-name",
        Class::ModelUnavailable,
    ),
    (
        "openai-other/completions.400.completion-bad-request",
        Class::InvalidRequest,
    ),
    (
        "openai-other/completions.401.v1-completion",
        Class::AuthRejected,
    ),
    (
        "openai-other/completions.404.completion-unknown",
        Class::ModelUnavailable,
    ),
    ("openai-other/embeddings.404.", Class::ModelUnavailable),
    ("groq/chat.completions.400.", Class::InvalidRequest),
    ("groq/chat.completions.404.", Class::ModelUnavailable),
    ("mistral/chat.completions.401.", Class::AuthRejected),
    ("deepseek/chat.completions.400.", Class::ContextTooLong),
    ("deepseek/chat.completions.401.", Class::AuthRejected),
    ("deepseek/responses.400.", Class::InvalidRequest),
    ("perplexity/chat.completions.400.", Class::ContextTooLong),
    ("azure/chat.completions.404.", Class::ModelUnavailable),
    ("azure/", Class::AuthRejected),
];

#[test]
fn recorded_errors_get_their_class() {
    let Some(root) = root() else { return };
    let mut seen = [false; ERRORS.len()];
    for (name, body) in files(&root, "", ".json") {
        let status = name.split('.').find_map(|part| part.parse::<u16>().ok());
        let Some(status) = status.filter(|status| *status >= 400) else {
            continue;
        };
        let facts = error_facts(status, &HeaderMap::new(), &body, SystemTime::UNIX_EPOCH);
        assert!(!facts.message.is_empty(), "{name}");
        let class = classify(&Evidence::Status(facts), false);
        let row = ERRORS.iter().position(|(part, _)| name.starts_with(part));
        let row = row.unwrap_or_else(|| panic!("no row for {name}"));
        assert_eq!(class, ERRORS[row].1, "{name}");
        seen[row] = true;
    }
    assert_eq!(seen, [true; ERRORS.len()]);
}
