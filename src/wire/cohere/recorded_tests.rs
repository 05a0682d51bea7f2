//! Recorded answers of Cohere's, read where they lie beside the project; skipped where they do not.

use super::Cohere;
use crate::core::exchange::StreamEvent;
use crate::core::outcome::{Class, Evidence, classify};
use crate::wire::dialect::sample::{count, frame, read};
use crate::wire::dialect::{Upstream, Whole};
use crate::wire::hub::{Event, Part};
use crate::wire::recorded::Recordings;

const FOLDERS: [&str; 2] = ["cohere", "clients"];

fn check(name: &str, events: &[Vec<u8>]) {
    let mut reader = Cohere.reader();
    let mut pieces = Vec::new();
    let (mut content, mut finished) = (false, false);
    for data in events {
        match reader.read(frame(data), &mut pieces) {
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
    let usages = count(&pieces, |piece| matches!(piece, Event::Usage(_)));
    assert_eq!(usages, 1, "{name}");
    let calls = count(&pieces, |piece| matches!(piece, Event::ToolCall { .. }));
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
    let (verdicts, _) = read(Cohere.reader(), events);
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
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let streams = recordings.streams("v2.chat.200.");
    for (name, events) in &streams {
        match name.contains("sql-agent") {
            true => check_failed(events),
            false => check(name, events),
        }
    }
    println!("{} recorded streams", streams.len());
    assert!(streams.len() >= 8);
}

#[test]
fn recorded_chunks_are_read() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let chunks = recordings.lines("v2.chat.200.", ".chunks.txt");
    let clients = recordings.lines("cohere.", ".chunks");
    for (name, events) in chunks.into_iter().chain(clients) {
        check(&name, &events);
        count += 1;
    }
    println!("{count} recorded lists");
    assert!(count >= 6);
}

#[test]
fn recorded_answers_are_good() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut count = 0;
    let answers = recordings.files("v2.chat.200.", ".json");
    for (name, body) in answers
        .into_iter()
        .chain(recordings.files("cohere.", ".json"))
    {
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
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    recordings.check_errors(&[
        ("v2.chat.400.", 400, Class::ContextTooLong),
        ("v2.chat.401.", 401, Class::AuthRejected),
    ]);
}
