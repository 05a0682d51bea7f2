//! Recorded answers of Anthropic's, read where they lie beside the project; skipped where they do not.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;

use super::Messages;
use crate::core::exchange::{StreamEvent, Usage};
use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::client_error::Skin;
use crate::wire::dialect::{Downstream, Frame, Reply, Upstream, Whole};
use crate::wire::error_facts::error_facts;
use crate::wire::hub::{Answer, Event, Finish, Part};
use crate::wire::sse::{Data, Splitter};

const FOLDERS: [&str; 2] = ["anthropic", "clients"];

fn root() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let found = beside.is_dir();
    if !found {
        eprintln!("skipped: no recorded answers at {}", beside.display());
    }
    found.then_some(beside)
}

/// Files of the dialect by the end of their names, framed as events where they are payloads.
fn files(root: &Path, ends: &[&str]) -> Vec<(String, Bytes)> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let ours = name.starts_with("messages.200") || name.starts_with("anthropic.");
            let headers = name.ends_with(".headers.json");
            if ours && !headers && ends.iter().any(|end| name.ends_with(end)) {
                found.push((name, Bytes::from(std::fs::read(&path).unwrap())));
            }
        }
    }
    found.sort();
    found
}

fn framed(body: &Bytes) -> Bytes {
    if body.starts_with(b"event:") {
        return body.clone();
    }
    let text = std::str::from_utf8(body).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .flat_map(|line| ["data: ", line, "\n\n"])
        .collect::<String>()
        .into()
}

/// The events of a stream that comes in chunks of so many bytes, and its pieces.
fn read(body: &Bytes, chunk: usize) -> (Vec<StreamEvent>, Vec<Event>) {
    let mut splitter = Splitter::new(1 << 20);
    for part in body.chunks(chunk) {
        splitter.push(body.slice_ref(part));
    }
    let mut reader = Messages.reader();
    let (mut events, mut pieces) = (Vec::new(), Vec::new());
    while let Some(event) = splitter.next() {
        let event = event.unwrap();
        let data = match event.data() {
            Data::None => continue,
            Data::Line(line) => line.to_vec(),
            Data::Joined(joined) => joined,
        };
        let frame = Frame {
            name: "",
            data: &data,
            is_error: false,
        };
        events.push(reader.read(frame, &mut pieces));
    }
    (events, pieces)
}

fn reply(request: &Bytes) -> Reply<'_> {
    Reply {
        request,
        model: "a/m",
        id: "x",
        now: 7,
        usage: true,
        skin: Skin::OpenAi,
    }
}

fn written(pieces: &[Event]) -> Bytes {
    let mut writer = Messages.writer(&reply(&Bytes::new()));
    let mut out = Vec::new();
    for piece in pieces {
        writer.write(piece, &mut out);
    }
    writer.end(&mut out);
    out.into()
}

#[test]
fn recorded_streams_are_read_written_and_read_again() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, &[".sse", ".chunks.txt", ".chunks"]) {
        let body = framed(&body);
        let (events, pieces) = read(&body, body.len());
        for chunk in [1, 7, 100, 1460] {
            assert_eq!(
                read(&body, chunk),
                (events.clone(), pieces.clone()),
                "{name}"
            );
        }
        if name.contains("spliced") {
            let broken = events.contains(&StreamEvent::Malformed { fatal: true });
            assert!(broken, "{name}");
            continue;
        }
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        let finishes = pieces
            .iter()
            .filter(|it| matches!(it, Event::Finish { .. }))
            .count();
        let usages = pieces
            .iter()
            .filter(|it| matches!(it, Event::Usage(_)))
            .count();
        let starts = pieces
            .iter()
            .filter(|it| matches!(it, Event::Start { .. }))
            .count();
        assert_eq!((starts, finishes, usages), (1, 1, 1), "{name}");
        let again = written(&pieces);
        let (events, found) = read(&again, again.len());
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        assert_eq!(
            without_refusals(&found),
            without_refusals(&pieces),
            "{name}"
        );
        count += 1;
    }
    println!("{count} recorded streams");
    assert!(count >= 12);
}

/// A refusal's words come back as text, and counts that nobody gave as none.
fn without_refusals(pieces: &[Event]) -> Vec<Event> {
    let counted = |piece: &Event| match piece {
        Event::Usage(usage) => Event::Usage(Usage {
            cached_tokens: usage.cached_tokens.or(Some(0)),
            cache_write_tokens: usage.cache_write_tokens.or(Some(0)),
            ..*usage
        }),
        piece => piece.clone(),
    };
    let pieces: Vec<_> = pieces.iter().map(counted).collect();
    let refused = pieces.iter().any(|it| {
        matches!(
            it,
            Event::Finish {
                finish: Finish::Refused,
                ..
            }
        )
    });
    let said = |it: &&Event| matches!(it, Event::Refusal { .. } | Event::Text { .. });
    pieces
        .iter()
        .filter(|it| !refused || !said(it))
        .cloned()
        .collect()
}

fn good(name: &str, body: &[u8]) -> Answer {
    match Messages.read_answer(body) {
        Whole::Good(answer) => answer,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn recorded_answers_are_read_written_and_read_again() {
    let Some(root) = root() else { return };
    let mut count = 0;
    for (name, body) in files(&root, &[".json"]) {
        let answer = good(&name, &body);
        assert!(!answer.is_empty() && answer.usage.is_some(), "{name}");
        let again = Messages.write_answer(&answer, &reply(&Bytes::new()));
        let mut found = good(&name, &again);
        let refused = |part: &mut Part| {
            if let Part::Refusal(text) = part {
                *part = Part::text(std::mem::take(text));
            }
        };
        let mut expected = answer;
        expected.choices[0].parts.iter_mut().for_each(refused);
        found.choices[0].parts.iter_mut().for_each(refused);
        assert_eq!(found, expected, "{name}");
        count += 1;
    }
    println!("{count} recorded answers");
    assert!(count >= 9);
}

/// Part of a recorded error's name, its status and the class it must get.
const ERRORS: [(&str, u16, Class); 2] = [
    ("messages.401.", 401, Class::AuthRejected),
    ("count_tokens.404.", 404, Class::ModelUnavailable),
];

#[test]
fn recorded_errors_get_their_class_and_counts_their_form() {
    let Some(root) = root() else { return };
    let (mut errors, mut counts) = (0, 0);
    for entry in std::fs::read_dir(root.join("anthropic")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".headers.json") {
            continue;
        }
        let body = std::fs::read(&path).unwrap();
        for (_, status, class) in ERRORS.iter().filter(|(part, ..)| name.starts_with(part)) {
            let facts = error_facts(*status, &HeaderMap::new(), &body, SystemTime::UNIX_EPOCH);
            assert_eq!(classify(&Evidence::Status(facts), false), *class, "{name}");
            errors += 1;
        }
        if name.starts_with("count_tokens.200.") {
            let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let ours = super::count::answer(said["input_tokens"].as_u64().unwrap());
            let ours: serde_json::Value = serde_json::from_slice(&ours).unwrap();
            assert_eq!(ours, said, "{name}");
            counts += 1;
        }
    }
    assert_eq!((errors, counts), (2, 2));
}
