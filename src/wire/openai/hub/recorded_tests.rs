//! Recorded answers and streams, read into the hub and written again.

use bytes::Bytes;

use super::*;
use crate::core::exchange::StreamEvent;
use crate::wire::client_error::Skin;
use crate::wire::dialect::sample::{count, read, reply, written};
use crate::wire::hub::Event;
use crate::wire::recorded::{Recordings, framed};

const FOLDERS: [&str; 10] = [
    "openai-chat",
    "openai-other",
    "groq",
    "mistral",
    "deepseek",
    "xai",
    "perplexity",
    "azure",
    "openrouter",
    "clients",
];

/// Every recorded stream: its name and its frames.
fn streams(recordings: &Recordings) -> Vec<(String, Vec<Vec<u8>>)> {
    let mut found = recordings.streams("chat.completions.200.");
    found.extend(recordings.lines("chat.completions.200.", ".chunks.txt"));
    let clients = recordings.beside(&["clients"]);
    for begin in ["openai.", "mistral.", "azure."] {
        found.extend(clients.lines(begin, ".chunks"));
    }
    found
}

/// A stream is a `Start`, pieces, one `Finish`, and the usage once.
fn check_order(name: &str, pieces: &[Event]) {
    let starts = |piece: &Event| matches!(piece, Event::Start { .. });
    assert!(pieces.first().is_some_and(starts), "{name}");
    assert_eq!(count(pieces, starts), 1, "{name}");
    let usages = count(pieces, |piece| matches!(piece, Event::Usage(_)));
    assert!(usages <= 1, "{name}");
    let finishes = count(pieces, |piece| matches!(piece, Event::Finish { .. }));
    assert_eq!(finishes, 1, "{name}");
}

#[test]
fn recorded_streams_are_read_and_come_out_as_they_went_in() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let streams = streams(&recordings);
    let mut whole = 0;
    for (name, frames) in &streams {
        let (events, pieces) = read(Chat.reader(), frames);
        let failed = |event: &StreamEvent| {
            matches!(event, StreamEvent::Error(_) | StreamEvent::Malformed { .. })
        };
        if events.iter().any(failed) {
            let known = ["broken", "error"].iter().any(|word| name.contains(word));
            assert!(known, "{name}: {events:?}");
            continue;
        }
        let finished = events
            .iter()
            .any(|event| matches!(event, StreamEvent::Progress(progress) if progress.finished));
        if !finished {
            assert!(
                name.contains("not-complete") || name.contains("broken"),
                "{name}"
            );
            continue;
        }
        check_order(name, &pieces);
        whole += 1;
        check_written_again(name, &pieces);
    }
    eprintln!("{whole} of {} recorded streams are whole", streams.len());
    assert!(whole > 30, "{whole}");
}

fn check_written_again(name: &str, pieces: &[Event]) {
    let request = Bytes::new();
    for skin in [Skin::OpenAi, Skin::OpenRouter] {
        let reply = Reply {
            skin,
            ..reply(&request)
        };
        let out = written(Chat.writer(&reply), pieces);
        let (events, again) = read(Chat.reader(), &framed(&out, out.len()));
        assert_eq!(events.last(), Some(&StreamEvent::Done), "{name}");
        let without_ids = |pieces: &[Event]| -> Vec<Event> {
            let kept = pieces
                .iter()
                .filter(|piece| !matches!(piece, Event::Start { .. } | Event::Usage(_)));
            kept.cloned().collect()
        };
        assert_eq!(without_ids(&again), without_ids(pieces), "{name}");
        check_order(name, &again);
    }
}

#[test]
fn recorded_answers_are_read_and_come_out_as_they_went_in() {
    let Some(recordings) = Recordings::of(&FOLDERS) else {
        return;
    };
    let mut answers = recordings.files("chat.completions.200.", ".json");
    let clients = recordings.beside(&["clients"]);
    for begin in ["openai.", "mistral."] {
        answers.extend(clients.files(begin, ".json"));
    }
    let mut good = 0;
    for (name, body) in &answers {
        if name.contains("transcription") {
            continue;
        }
        let answer = match Chat.read_answer(body) {
            Whole::Good(answer) => answer,
            Whole::Error(_) if name.contains("prompt-content-filtering") => continue,
            other => panic!("{name}: {other:?}"),
        };
        good += 1;
        assert!(
            answer.choices.iter().all(|choice| choice.finish.is_some()),
            "{name}"
        );
        let request = Bytes::new();
        let out = Chat.write_answer(&answer, &reply(&request));
        let Whole::Good(again) = Chat.read_answer(&out) else {
            panic!("{name}");
        };
        assert_eq!(again.choices, answer.choices, "{name}");
        assert_eq!(again.usage.is_some(), answer.usage.is_some(), "{name}");
    }
    eprintln!("{good} recorded answers are good");
    assert!(good > 30, "{good}");
}
