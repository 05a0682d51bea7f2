//! Recorded answers of Google's, read where they lie beside the project; skipped where they do not.

use super::Gemini;
use crate::core::exchange::StreamEvent;
use crate::wire::dialect::sample::{count, read};
use crate::wire::dialect::{Upstream, Whole};
use crate::wire::hub::{Event, Part};
use crate::wire::recorded::Recordings;

const FOLDERS: [&str; 3] = ["gemini", "vertex", "clients"];

fn check(name: &str, events: &[Vec<u8>]) -> Vec<Event> {
    let (verdicts, pieces) = read(Gemini.reader(), events);
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
    let usages = count(&pieces, |piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages, 1, "{name}");
    let finishes = count(&pieces, |piece| matches!(piece, Event::Finish { .. }));
    assert_eq!(finishes, 1, "{name}");
    pieces
}

#[test]
fn recorded_streams_are_read_at_every_split() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let streams = recordings.streams("streamGenerateContent.200.");
    for (name, events) in &streams {
        check(name, events);
    }
    println!("{} recorded streams", streams.len());
    assert!(streams.len() >= 10);
}

#[test]
fn recorded_chunks_and_lists_are_read() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let chunks = recordings.lines("generateContent.200.", ".chunks.txt");
    let clients = recordings.lines("gemini.", ".chunks");
    for (name, events) in chunks.into_iter().chain(clients) {
        check(&name, &events);
        count += 1;
    }
    for (name, body) in recordings.files("streamGenerateContent.200.", ".json") {
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
    for (name, events) in recordings.lines("streamGenerateContent.200.", ".chunks.txt") {
        let (verdicts, _) = read(Gemini.reader(), &events);
        assert_eq!(
            verdicts[0],
            StreamEvent::Malformed { fatal: true },
            "{name}"
        );
    }
}

#[test]
fn recorded_answers_are_good() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let answers = recordings.files("generateContent.200.", ".json");
    let clients = ["gemini.text", "gemini.tool-call", "gemini.reasoning"];
    let clients = clients
        .iter()
        .flat_map(|begin| recordings.files(begin, ".json"));
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
