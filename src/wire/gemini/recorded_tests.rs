//! Recorded answers of Google's, read where they lie beside the project; skipped where they do not.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::Gemini;
use crate::core::exchange::StreamEvent;
use crate::wire::dialect::{Frame, Upstream, Whole};
use crate::wire::hub::{Event, Part};
use crate::wire::sse::{Data, Splitter};

fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !root.is_dir() {
        eprintln!("skipped: no recorded answers at {}", root.display());
        return None;
    }
    Some(root)
}

/// The files whose names begin and end so.
fn files(root: &Path, begin: &str, end: &str) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    for folder in ["gemini", "vertex", "clients"] {
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

/// Two recordings are kept in base64, which here begins as `data: ` does.
fn decoded(body: Vec<u8>) -> Bytes {
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

/// The stream's events where it comes in chunks of so many bytes.
fn events(body: &Bytes, chunk: usize) -> Vec<Vec<u8>> {
    let mut splitter = Splitter::new(1 << 20);
    for part in body.chunks(chunk) {
        splitter.push(body.slice_ref(part));
    }
    let mut found = Vec::new();
    while let Some(event) = splitter.next() {
        found.push(event.expect("a short event"));
    }
    found.extend(splitter.finish());
    let data = found.iter().map(|event| match event.data() {
        Data::None => Vec::new(),
        Data::Line(line) => line.to_vec(),
        Data::Joined(joined) => joined,
    });
    data.collect()
}

fn read(events: &[Vec<u8>]) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut reader = Gemini.reader();
    let mut pieces = Vec::new();
    let verdicts = events.iter().map(|data| {
        let frame = Frame {
            name: "",
            data,
            is_error: false,
        };
        reader.read(frame, &mut pieces)
    });
    (verdicts.collect(), pieces)
}

fn check(name: &str, events: &[Vec<u8>]) -> Vec<Event> {
    let (verdicts, pieces) = read(events);
    let mut finished = false;
    let mut content = false;
    for verdict in &verdicts {
        match verdict {
            StreamEvent::Progress(progress) => {
                assert!(
                    !finished || progress.finished,
                    "{name} goes on after its end"
                );
                finished = progress.finished;
                content |= progress.content;
            }
            StreamEvent::Idle => {}
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(
        finished && content,
        "{name} is not finished or has no content"
    );
    assert!(
        matches!(&pieces[0], Event::Start { id, .. } if !id.is_empty()),
        "{name}"
    );
    let usages = pieces
        .iter()
        .filter(|piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages.count(), 1, "{name}");
    let finishes = pieces
        .iter()
        .filter(|piece| matches!(piece, Event::Finish { .. }));
    assert_eq!(finishes.count(), 1, "{name}");
    pieces
}

#[test]
fn recorded_streams_are_read_at_every_split() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, "streamGenerateContent.200.", ".sse") {
        let whole = events(&body, body.len());
        check(&name, &whole);
        for chunk in [1, 7, 100, 1460] {
            assert_eq!(events(&body, chunk), whole, "{name} in chunks of {chunk}");
        }
        count += 1;
    }
    println!("{count} recorded streams");
    assert!(count >= 10);
}

#[test]
fn recorded_chunks_and_lists_are_read() {
    let Some(root) = root() else { return };
    let mut count = 0;
    let lines = |body: &Bytes| -> Vec<Vec<u8>> {
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        lines.map(<[u8]>::to_vec).collect()
    };
    let chunks = files(&root, "generateContent.200.", ".chunks.txt");
    for (name, body) in chunks.into_iter().chain(files(&root, "gemini.", ".chunks")) {
        check(&name, &lines(&body));
        count += 1;
    }
    for (name, body) in files(&root, "streamGenerateContent.200.", ".json") {
        let list: Vec<&serde_json::value::RawValue> =
            serde_json::from_slice(&body).expect("a list");
        let events: Vec<_> = list
            .iter()
            .map(|one| one.get().as_bytes().to_vec())
            .collect();
        check(&name, &events);
        count += 1;
    }
    println!("{count} recorded lists");
    assert!(count >= 10);
    // Calls in pieces come only to those who ask for them.
    for (name, body) in files(&root, "streamGenerateContent.200.", ".chunks.txt") {
        let (verdicts, _) = read(&lines(&body));
        assert_eq!(
            verdicts[0],
            StreamEvent::Malformed { fatal: true },
            "{name}"
        );
    }
}

#[test]
fn recorded_answers_are_good() {
    let Some(root) = root() else { return };
    let mut count = 0;
    let answers = files(&root, "generateContent.200.", ".json");
    let clients = ["gemini.text", "gemini.tool-call", "gemini.reasoning"];
    let clients = clients
        .iter()
        .flat_map(|begin| files(&root, begin, ".json"));
    for (name, body) in answers.into_iter().chain(clients) {
        match Gemini.read_answer(&body) {
            Whole::Good(answer) => {
                assert!(!answer.is_empty() && answer.usage.is_some(), "{name}");
                assert!(answer.choices[0].finish.is_some(), "{name}");
                let ids = answer.choices[0]
                    .parts
                    .iter()
                    .filter_map(|part| match part {
                        Part::ToolCall(call) => Some(&call.id),
                        _ => None,
                    });
                assert!(
                    ids.into_iter().all(|id| !id.is_empty() && id.len() <= 40),
                    "{name}"
                );
            }
            Whole::Error(facts) => assert!(name.contains("blocked"), "{name}: {facts:?}"),
            Whole::Malformed => panic!("{name} is malformed"),
        }
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count >= 12);
}
