//! Recorded answers of Cohere's, read where they lie beside the project; skipped where they do not.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;

use super::Cohere;
use crate::core::exchange::StreamEvent;
use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::dialect::{Frame, Upstream, Whole};
use crate::wire::error_facts::error_facts;
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
    for folder in ["cohere", "clients"] {
        for entry in root.join(folder).read_dir().expect("a fixtures folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(begin) && name.ends_with(end) && !name.ends_with("headers.json") {
                let body = std::fs::read(&path).expect("a fixture");
                found.push((format!("{folder}/{name}"), body.into()));
            }
        }
    }
    found.sort_unstable();
    found
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

fn check(name: &str, events: &[Vec<u8>]) {
    let mut reader = Cohere.reader();
    let mut pieces = Vec::new();
    let (mut content, mut finished) = (false, false);
    for data in events {
        let frame = Frame {
            name: "",
            data,
            is_error: false,
        };
        match reader.read(frame, &mut pieces) {
            StreamEvent::Progress(progress) => {
                assert!(!finished, "{name} goes on after its end");
                content |= progress.content;
                finished = progress.finished;
            }
            StreamEvent::Idle => {}
            StreamEvent::Done => assert!(finished, "{name} is done before its end"),
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(
        finished && content,
        "{name} is not finished or has no content"
    );
    let started = matches!(&pieces[0], Event::Start { id, .. } if !id.is_empty());
    assert!(started, "{name}");
    let usages = pieces
        .iter()
        .filter(|piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages.count(), 1, "{name}");
    let calls = pieces
        .iter()
        .filter(|piece| matches!(piece, Event::ToolCall { .. }))
        .count();
    for index in 0..u32::try_from(calls).unwrap() {
        let json: String = pieces
            .iter()
            .filter_map(|piece| match piece {
                Event::Arguments {
                    index: of, json, ..
                } if *of == index => Some(json.as_str()),
                _ => None,
            })
            .collect();
        let parsed = serde_json::from_str::<serde_json::Map<_, _>>(&json);
        assert!(parsed.is_ok(), "{name}: {json}");
    }
}

/// A model that made no call that could be read: words, then an error in the last event.
fn check_failed(events: &[Vec<u8>]) {
    let mut reader = Cohere.reader();
    let verdicts = events.iter().map(|data| {
        let frame = Frame {
            name: "",
            data,
            is_error: false,
        };
        reader.read(frame, &mut Vec::new())
    });
    let verdicts: Vec<_> = verdicts.collect();
    let failed = verdicts
        .iter()
        .position(|verdict| matches!(verdict, StreamEvent::Error(_)));
    let (before, rest) = verdicts.split_at(failed.expect("an error"));
    let StreamEvent::Error(facts) = &rest[0] else {
        panic!("{rest:?}");
    };
    assert!(facts.message.contains("invalid tool generation"));
    let class = classify(&Evidence::InAnswer(*facts.clone()), false);
    assert_eq!(class, Class::ErrorIn200);
    let going =
        |verdict: &StreamEvent| matches!(verdict, StreamEvent::Progress(one) if !one.finished);
    assert!(before.iter().all(going));
}

#[test]
fn recorded_streams_are_read_at_every_split() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, "v2.chat.200.", ".sse") {
        let whole = events(&body, body.len());
        match name.contains("sql-agent") {
            true => check_failed(&whole),
            false => check(&name, &whole),
        }
        for chunk in [1, 7, 100, 1460] {
            assert_eq!(events(&body, chunk), whole, "{name} in chunks of {chunk}");
        }
        count += 1;
    }
    println!("{count} recorded streams");
    assert!(count >= 8);
}

#[test]
fn recorded_chunks_are_read() {
    let Some(root) = root() else { return };
    let mut count = 0;
    let chunks = files(&root, "v2.chat.200.", ".chunks.txt");
    for (name, body) in chunks.into_iter().chain(files(&root, "cohere.", ".chunks")) {
        let lines = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.map(<[u8]>::to_vec).collect();
        check(&name, &lines);
        count += 1;
    }
    println!("{count} recorded lists");
    assert!(count >= 6);
}

#[test]
fn recorded_answers_are_good() {
    let Some(root) = root() else { return };
    let mut count = 0;
    let answers = files(&root, "v2.chat.200.", ".json");
    for (name, body) in answers.into_iter().chain(files(&root, "cohere.", ".json")) {
        if name.contains("embedding") {
            continue; // An embedding's answer, filed under chat.
        }
        let Whole::Good(answer) = Cohere.read_answer(&body) else {
            panic!("{name} is not good");
        };
        assert!(
            !answer.is_empty() && answer.usage.is_some() && !answer.id.is_empty(),
            "{name}"
        );
        let cited = answer.choices[0]
            .parts
            .iter()
            .any(|part| matches!(part, Part::Text { citations, .. } if !citations.is_empty()));
        assert_eq!(cited, name.contains("citations"), "{name}");
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count >= 10);
}

#[test]
fn recorded_errors_get_their_class() {
    let Some(root) = root() else { return };
    let table = [
        ("v2.chat.400.", 400, Class::ContextTooLong),
        ("v2.chat.401.", 401, Class::AuthRejected),
    ];
    for (begin, status, class) in table {
        let found = files(&root, begin, ".json");
        assert!(!found.is_empty(), "{begin}");
        for (name, body) in found {
            let facts = error_facts(status, &HeaderMap::new(), &body, SystemTime::UNIX_EPOCH);
            assert_eq!(classify(&Evidence::Status(facts), false), class, "{name}");
        }
    }
}
