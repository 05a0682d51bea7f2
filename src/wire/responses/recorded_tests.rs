//! Recorded answers and streams, read into the hub and written again.

use bytes::Bytes;

use super::*;
use crate::core::exchange::StreamEvent;
use crate::wire::dialect::sample::{read, reply, written};
use crate::wire::hub::{Event, Part, ThoughtKind};
use crate::wire::recorded::{Recordings, framed};

const FOLDERS: [&str; 6] = [
    "openai-responses",
    "openrouter",
    "deepseek",
    "xai",
    "azure",
    "clients",
];

/// Every recorded stream: its name and its frames.
fn streams(recordings: &Recordings) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = recordings.streams("responses.200.");
    found.extend(recordings.lines("responses.200.", ".chunks.txt"));
    found.extend(
        recordings
            .beside(&["clients"])
            .lines("responses.", ".chunks"),
    );
    found
}

/// Every event in its place: numbered without a gap, each item and part begun before it goes on and ended once.
pub(super) fn check_order(name: &str, frames: &[Vec<u8>]) {
    let mut open: Vec<String> = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        let event: serde_json::Value = serde_json::from_slice(frame).unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        assert_eq!(event["sequence_number"], at as u64, "{name}");
        let item = format!("item {}", event["output_index"]);
        let part = format!(
            "part {} {} {}",
            event["output_index"], event["content_index"], event["summary_index"]
        );
        let subject = match kind.as_str() {
            kind if kind.contains("output_item") => item,
            kind if kind.contains("part.") => part,
            kind if kind.contains("function_call_arguments") => item,
            "response.created"
            | "response.in_progress"
            | "response.completed"
            | "response.incomplete"
            | "response.failed"
            | "error" => continue,
            _ => part,
        };
        let begins = ["item.added", "part.added"];
        if begins.into_iter().any(|end| kind.ends_with(end)) {
            assert!(!open.contains(&subject), "{name}: {kind}");
            open.push(subject);
        } else {
            assert!(open.contains(&subject), "{name}: {kind} {open:?}");
            if kind.ends_with("item.done") || kind.ends_with("part.done") {
                open.retain(|known| *known != subject);
            }
        }
    }
    assert!(open.is_empty(), "{name}: {open:?}");
}

#[test]
fn recorded_streams_are_read_and_come_out_as_they_went_in() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let streams = streams(&recordings);
    let mut whole = 0;
    for (name, frames) in &streams {
        let (events, pieces) = read(Responses.reader(), frames);
        let failed = |event: &StreamEvent| matches!(event, StreamEvent::Error(_));
        if events.iter().any(failed) {
            assert!(name.contains("error."), "{name}: {events:?}");
            continue;
        }
        let malformed = |event: &StreamEvent| matches!(event, StreamEvent::Malformed { .. });
        assert!(!events.iter().any(malformed), "{name}: {events:?}");
        let ends = events
            .iter()
            .filter(|event| matches!(event, StreamEvent::Progress(progress) if progress.last));
        let count = ends.count();
        assert_eq!(count, 1, "{name}");
        assert!(
            matches!(pieces.first(), Some(Event::Start { .. })),
            "{name}"
        );
        assert!(matches!(pieces.last(), Some(Event::Usage(_))), "{name}");
        whole += 1;
        check_written_again(name, &pieces);
    }
    eprintln!("{whole} of {} recorded streams are whole", streams.len());
    assert!(whole > 15, "{whole}");
}

fn check_written_again(name: &str, pieces: &[Event]) {
    let request = Bytes::from_static(b"{}");
    let out = written(Responses.writer(&reply(&request)), pieces);
    let frames = framed(&out, out.len());
    check_order(name, &frames);
    let (_, again) = read(Responses.reader(), &frames);
    assert_eq!(said(&again), said(pieces), "{name}");
}

/// What a client gets of a stream, whatever its pieces.
pub(super) fn said(pieces: &[Event]) -> Vec<String> {
    let mut said: Vec<(&str, String)> = Vec::new();
    for piece in pieces {
        let (kind, text) = match piece {
            Event::Text { text, .. } => ("text", text.clone()),
            Event::Refusal { text, .. } => ("refusal", text.clone()),
            Event::Thought {
                kind: ThoughtKind::Encrypted,
                text,
                id,
                ..
            } => ("encrypted", format!("{text} {id:?}")),
            Event::Thought { text, .. } => ("thought", text.clone()),
            Event::ToolCall {
                index, id, name, ..
            } => ("call", format!("{index} {id} {name} ")),
            Event::Arguments { json, .. } => ("arguments", json.clone()),
            Event::Citation { citation, .. } => ("citation", citation.url.clone()),
            Event::Finish { finish, .. } => ("finish", format!("{finish:?}")),
            Event::Usage(usage) => ("usage", format!("{usage:?}").replace("None", "Some(0)")),
            Event::Start { .. } => continue,
        };
        if text.is_empty() {
            continue;
        }
        match said.last_mut() {
            Some((last, held)) if *last == kind => held.push_str(&text),
            _ => said.push((kind, text)),
        }
    }
    said.into_iter()
        .map(|(kind, text)| format!("{kind}: {text}"))
        .collect()
}

#[test]
fn recorded_answers_are_read_and_come_out_as_they_went_in() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut answers = recordings.files("responses.200.", ".json");
    answers.extend(recordings.beside(&["clients"]).files("responses.", ".json"));
    let mut good = 0;
    for (name, body) in &answers {
        let answer = match Responses.read_answer(body) {
            Whole::Good(answer) => answer,
            other => panic!("{name}: {other:?}"),
        };
        good += 1;
        assert!(answer.usage.is_some(), "{name}");
        let request = Bytes::from_static(b"{}");
        let Whole::Good(again) =
            Responses.read_answer(&Responses.write_answer(&answer, &reply(&request)))
        else {
            panic!("{name}");
        };
        let in_words = |answer: &Answer| -> Vec<Part> {
            let parts = answer.choices[0].parts.iter();
            parts.cloned().collect()
        };
        let kinds = |parts: Vec<Part>| -> Vec<_> {
            let parts = parts.into_iter().map(|part| match part {
                // Everything that is thought comes out as a summary.
                Part::Thought(mut thought) if thought.kind == ThoughtKind::Text => {
                    thought.kind = ThoughtKind::Summary;
                    thought.id = None;
                    Part::Thought(thought)
                }
                Part::Thought(mut thought) => {
                    thought.id = None;
                    Part::Thought(thought)
                }
                part => part,
            });
            parts.collect()
        };
        assert_eq!(kinds(in_words(&again)), kinds(in_words(&answer)), "{name}");
        assert_eq!(again.choices[0].finish, answer.choices[0].finish, "{name}");
    }
    eprintln!("{good} recorded answers are good");
    assert!(good > 25, "{good}");
}
